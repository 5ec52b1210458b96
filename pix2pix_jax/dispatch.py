"""The one jitted function of training: several steps in a dispatch, over a mesh of devices."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from pix2pix_jax.methods.contract import Layout
from pix2pix_jax.methods.packing import packing
from pix2pix_jax.methods.registry import METHODS, make_train_step
from pix2pix_jax.runtime import random_streams

# On few cores: the order of kernels that needs least memory takes no longer.
ON_CPU = {"xla_cpu_enable_concurrency_optimized_scheduler": False}
# YNNPACK, which computes small products best, is left out. XLA finds each of its products by going
# through all instructions: of a CycleGAN's step, that was half the time to load it from the cache.
MANY_PRODUCTS_ON_CPU = {
    "xla_cpu_experimental_ynn_fusion_type": (
        "LIBRARY_FUSION_TYPE_INDIVIDUAL_CONVOLUTION,LIBRARY_FUSION_TYPE_REDUCE"
    )
}


def make_run_steps(config: Any, examples: Any, mesh: Mesh) -> Callable:
    """The one jitted function of training: several steps in a dispatch, the state donated.

    Returns:
        (state, cache, chunk, flags) -> (state, losses), where chunk (see `Examples.chunk`) has
        leading axes [steps, batch] and every loss comes back as [steps]. So does "stop", the
        largest of the flags [steps, devices], unless these are None.
    """
    constrained = lambda *axes: functools.partial(
        jax.lax.with_sharding_constraint, shardings=NamedSharding(mesh, PartitionSpec(*axes))
    )
    layout = Layout(
        groups=1 if config.model.sync_batch_norm else mesh.size,
        spread=constrained("data"),
        gather=constrained(),
    )
    train_step = make_train_step(config, len(examples), layout)

    def run_steps(state, cache, chunk, flags):
        def one_step(state, item):
            chunk, flags = item
            key = random_streams.at_step(config.seed, random_streams.JITTER, state.step)
            state, losses = train_step(state, examples.batch(key, cache, chunk))
            return state, losses if flags is None else losses | {"stop": flags.max()}

        items = (chunk, flags)
        if jax.tree.leaves(chunk)[0].shape[0] == 1:  # XLA's CPU loops run on a single thread
            state, losses = one_step(state, jax.tree.map(lambda x: x[0], items))
            return state, jax.tree.map(lambda x: x[None], losses)
        pack, unpack = packing(state)
        names = METHODS[config.method].loss_names(config) + (() if flags is None else ("stop",))

        def one_packed(packed, item):
            state, losses = one_step(unpack(packed), item)
            return pack(state), jnp.stack([losses[name] for name in names])

        packed, losses = jax.lax.scan(one_packed, pack(state), items)
        return unpack(packed), dict(zip(names, losses.T, strict=True))

    replicated, split = shardings(mesh)
    return jax.jit(
        run_steps,
        donate_argnums=0,
        compiler_options=compiler_options(config, mesh.devices.flat[0].platform),
        in_shardings=(replicated, replicated, split, split),
        out_shardings=replicated,
    )


def compiler_options(config: Any, platform: str) -> dict[str, Any] | None:
    """XLA's options for the training step on a platform."""
    if platform != "cpu":
        return None
    return ON_CPU | (MANY_PRODUCTS_ON_CPU if METHODS[config.method].many_products(config) else {})


def shardings(mesh: Mesh) -> tuple[NamedSharding, NamedSharding]:
    """Of what every device has whole, and of [steps, batch, ...] that they share."""
    return NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec(None, "data"))


def spans(config: Any, start: int, total_steps: int) -> Iterator[range]:
    """The steps of each dispatch from step `start` on, which end where anything falls due.

    A dispatch has as many steps as `fused_steps` says, or a single one where fewer are left. Its
    end depends on its beginning alone, so a run that is stopped and resumed has the same ones.
    """
    length, intervals = fused_steps(config, total_steps), _intervals(config)
    while start < total_steps:
        due = min([total_steps, *((start // n + 1) * n for n in intervals)])
        stop = start + (length if due - start >= length else 1)
        yield range(start, stop)
        start = stop


def fused_steps(config: Any, total_steps: int) -> int:
    """Steps in a dispatch: at most train.steps_per_call, those that make the fewest dispatches.

    Each length is a program of its own, and an accelerator's takes a minute to compile. Hence two:
    this one, and a single step for what is left before anything falls due. With log_every=50 that
    is 10, for 5 dispatches; 20 would need 2 and ten single ones. (One program for any number would
    ask the host after every step whether to go on, or compute steps for nothing.)
    """
    train = config.train
    most = train.steps_per_call or (1 if jax.default_backend() == "cpu" else 20)
    due = [np.arange(0, total_steps, n) for n in _intervals(config)]
    gaps, counts = np.unique(
        np.diff(np.unique(np.concatenate([*due, [0, total_steps]]))), return_counts=True
    )

    def dispatches(length):
        single = counts @ (gaps % length)
        return counts @ (gaps // length) + single, single, -length

    return min(range(1, most + 1), key=dispatches)


def _intervals(config):
    """Steps between what falls due: all that are asked for."""
    train = config.train
    every = (train.log_every, train.sample_every, train.eval_every, train.checkpoint_every)
    return [n for n in every if n]
