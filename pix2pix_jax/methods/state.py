"""The immutable training state, and how networks are made and applied."""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from pix2pix_jax.methods import optim as optimizers
from pix2pix_jax.methods.packing import packing
from pix2pix_jax.models.computed_once import computed_once
from pix2pix_jax.models.normalization import for_passes

LARGE = 1 << 16  # numbers; less is copied faster than what avoids it is compiled


@flax.struct.dataclass
class NetworkState:
    """Variables of one network, and its optimizer's state."""

    params: Any
    batch_stats: Any  # running statistics of batch norm; empty with other norms
    opt_state: Any

    @property
    def variables(self) -> dict[str, Any]:
        """What `module.apply` takes."""
        return {"params": self.params, "batch_stats": self.batch_stats}

    def update(self, optim: Any, learning_rate: jax.Array, gradients: Any) -> "NetworkState":
        """One step of Adam."""
        pack, unpack = packing(self.params)

        def step(params, opt_state, gradients, rate):
            updates, opt_state = optimizers.adam(optim).update(gradients, opt_state)
            return jax.tree.map(lambda p, u: p - rate * u, params, updates), opt_state

        def each(params, opt_state, gradients, rate):
            # No parameter is written before all are read, no mean before what it is for is: then
            # XLA needs no copies of them, which take a tenth of pix2pix's step.
            rate += 0 * sum(_first(g) for g in jax.tree.leaves(gradients) if g.size >= LARGE)
            rate = computed_once(rate)  # and not for each parameter
            params, opt_state = step(params, opt_state, gradients, rate)
            after = lambda m, p: m + 0 * _first(p) if m.size >= LARGE else m
            return params, opt_state._replace(mu=jax.tree.map(after, opt_state.mu, params))

        def together(params, opt_state, gradients, rate):
            opt_state = opt_state._replace(mu=pack(opt_state.mu), nu=pack(opt_state.nu))
            params, opt_state = step(pack(params), opt_state, pack(gradients), rate)
            mu, nu = unpack(opt_state.mu), unpack(opt_state.nu)
            return unpack(params), opt_state._replace(mu=mu, nu=nu)

        params, opt_state = jax.lax.platform_dependent(
            self.params, self.opt_state, gradients, learning_rate, cpu=each, default=together
        )
        return self.replace(params=params, opt_state=opt_state)


@flax.struct.dataclass
class TrainState:
    """All that training carries from step to step; nothing random is stored."""

    step: jax.Array  # int32, steps done
    networks: dict[str, NetworkState]  # by the PyTorch code's names: G, D; G_A, G_B, D_A, D_B; F
    plateau: optimizers.Plateau
    extra: dict[str, Any]  # what the method adds, by name: CycleGAN's pools

    def to_tree(self) -> dict[str, Any]:
        """As checkpoints hold it: what the method adds lies beside the rest, under its names."""
        rest = {"step": self.step, "networks": self.networks, "plateau": self.plateau}
        return rest | self.extra

    @classmethod
    def from_tree(cls, tree: dict[str, Any]) -> "TrainState":
        """The inverse of `to_tree`."""
        shared = {name: tree[name] for name in ("step", "networks", "plateau")}
        return cls(**shared, extra={k: v for k, v in tree.items() if k not in shared})


def _first(x):
    """One number of x, as an array without axes."""
    return jax.lax.slice(x, [0] * x.ndim, [1] * x.ndim).reshape(())


def create_network(module: nn.Module, optim: Any, key: jax.Array, shape: Any) -> NetworkState:
    """Initialises `module` for an input of `shape` [N, H, W, C], or a list of several."""
    keys = dict(zip(("params", "dropout"), jax.random.split(key), strict=True))
    inputs = jax.tree.map(jnp.zeros, shape, is_leaf=lambda node: isinstance(node, tuple))
    variables = module.init(keys, inputs)
    params = variables["params"]
    opt_state = optimizers.adam(optim).init(params)
    return NetworkState(params, variables.get("batch_stats", {}), opt_state)


def apply(module: nn.Module, variables: Any, x: jax.Array, **settings: Any) -> tuple[Any, Any]:
    """Applies a network; returns its output and the batch statistics after it."""
    y, updated = module.apply(variables, x, mutable=["batch_stats"], **settings)
    return y, updated.get("batch_stats", {})


def apply_together(
    module: nn.Module,
    variables: Any,
    batches: Sequence[jax.Array],
    one_batch: bool = False,
    **settings: Any,
) -> tuple[list[Any], Any]:
    """Applies a network to several batches as one, with the results of one after the other.

    One call of twice the size takes fewer kernels of an accelerator than two calls, and shares
    what a CPU makes of the weights.

    Args:
        module: the network.
        variables: its parameters and batch statistics.
        batches: alike in shape, [N, H, W, C].
        one_batch: whether batch norm, too, takes them as one.
        settings: of the call.

    Returns:
        the outputs, one for each batch, and the batch statistics after the last.
    """
    count = len(batches)
    # Images alternate, so that every device keeps its own.
    x = jnp.stack(batches, axis=1).reshape(-1, *batches[0].shape[1:])
    if not one_batch:
        module = for_passes(module, count)
    y, batch_stats = apply(module, variables, x, **settings)
    apart = jax.tree.map(lambda leaf: leaf.reshape(-1, count, *leaf.shape[1:]), y)
    return [jax.tree.map(lambda leaf, i=i: leaf[:, i], apart) for i in range(count)], batch_stats


def learning_rate_at(config: Any, state: TrainState, num_examples: int) -> jax.Array:
    """Learning rate of the next step, by its epoch and the plateau policy's decays."""
    epoch = epoch_of(state.step, config.train.batch_size, num_examples)
    return optimizers.learning_rate(config.optim, epoch) * state.plateau.scale


def epoch_of(step: jax.Array, batch_size: int, num_examples: int) -> jax.Array:
    """0-based epoch in which the batch at `step` begins; examples stream without gaps."""
    return step * batch_size // num_examples
