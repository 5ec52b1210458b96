"""The one jitted function of training: several steps in a dispatch, over a mesh of devices."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from pix2pix_jax.methods.contract import Layout
from pix2pix_jax.methods.packing import packing
from pix2pix_jax.methods.registry import METHODS
from pix2pix_jax.runtime import random_streams


def make_run_steps(config: Any, examples: Any, mesh: Mesh) -> Callable:
    """The one jitted function of training: several steps in a dispatch, the state donated.

    Returns:
        (state, cache, chunk, flags) -> (state, losses), where chunk (see `Examples.chunk`) has
        leading axes [steps, batch] and every loss comes back as [steps]. So does "stop", the
        largest of the flags [steps, devices], unless these are None.
    """
    over_devices = NamedSharding(mesh, PartitionSpec("data"))
    layout = Layout(
        groups=1 if config.model.sync_batch_norm else mesh.size,
        spread=lambda images: jax.lax.with_sharding_constraint(images, over_devices),
    )
    train_step = METHODS[config.method].make_train_step(config, len(examples), layout)

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
        names = list(jax.eval_shape(one_step, state, jax.tree.map(lambda x: x[0], items))[1])

        def one_packed(packed, item):
            state, losses = one_step(unpack(packed), item)
            return pack(state), jnp.stack([losses[name] for name in names])

        packed, losses = jax.lax.scan(one_packed, pack(state), items)
        return unpack(packed), dict(zip(names, losses.T, strict=True))

    replicated, split = shardings(mesh)
    return jax.jit(
        run_steps,
        donate_argnums=0,
        in_shardings=(replicated, replicated, split, split),
        out_shardings=replicated,
    )


def shardings(mesh: Mesh) -> tuple[NamedSharding, NamedSharding]:
    """Of what every device has whole, and of [steps, batch, ...] that they share."""
    return NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec(None, "data"))


def fused_steps(config: Any, total_steps: int, start: int = 0) -> int:
    """Steps in one dispatch: the most that divide every interval, so that one function serves."""
    train = config.train
    most = train.steps_per_call or (1 if jax.default_backend() == "cpu" else 20)
    intervals = (train.log_every, train.sample_every, train.eval_every, train.checkpoint_every)
    common = math.gcd(total_steps, start, *intervals)
    return max(n for n in range(1, most + 1) if common % n == 0)
