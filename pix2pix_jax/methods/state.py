"""The immutable training state, and how networks are made and applied."""

from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from pix2pix_jax.methods import optim as optimizers


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
        updates, opt_state = optimizers.adam(optim).update(gradients, self.opt_state)
        params = jax.tree.map(lambda p, u: p - learning_rate * u, self.params, updates)
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


def create_network(module: nn.Module, optim: Any, key: jax.Array, shape: Any) -> NetworkState:
    """Initialises `module` for an input of `shape` [N, H, W, C], or a list of several."""
    keys = dict(zip(("params", "dropout"), jax.random.split(key), strict=True))
    several = isinstance(shape, list)
    variables = module.init(keys, [*map(jnp.zeros, shape)] if several else jnp.zeros(shape))
    params = variables["params"]
    opt_state = optimizers.adam(optim).init(params)
    return NetworkState(params, variables.get("batch_stats", {}), opt_state)


def apply(module: nn.Module, variables: Any, x: jax.Array, **settings: Any) -> tuple[Any, Any]:
    """Applies a network; returns its output and the batch statistics after it."""
    y, updated = module.apply(variables, x, mutable=["batch_stats"], **settings)
    return y, updated.get("batch_stats", {})


def learning_rate_at(config: Any, state: TrainState, num_examples: int) -> jax.Array:
    """Learning rate of the next step, by its epoch and the plateau policy's decays."""
    epoch = epoch_of(state.step, config.train.batch_size, num_examples)
    return optimizers.learning_rate(config.optim, epoch) * state.plateau.scale


def epoch_of(step: jax.Array, batch_size: int, num_examples: int) -> jax.Array:
    """0-based epoch in which the batch at `step` begins; examples stream without gaps."""
    return step * batch_size // num_examples
