"""An exponential moving average of the generators' parameters, for every method alike (EMA).

The rule is that of StyleGAN's training (Karras et al. 2020, 2021): a half-life in images, and a
ramp that keeps it short while few have been seen. What is averaged is evaluated, translated with
and exported; training goes on with the parameters themselves.
"""

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp

from pix2pix_jax.methods.contract import Step
from pix2pix_jax.methods.state import NetworkState, TrainState

NAME = "ema"  # of its part of the state, and of checkpoints


def start(
    optim: Any, networks: dict[str, NetworkState], generators: Iterable[str]
) -> dict[str, Any]:
    """The average before the first step, as a part of `TrainState.extra`; empty if none is kept."""
    if not optim.ema_images:
        return {}
    # Copies: where the state is donated, no two of its arrays may share memory.
    return {NAME: {g: jax.tree.map(lambda p: p.copy(), networks[g].params) for g in generators}}


def kept_share(optim: Any, seen: jax.Array | int, batch_size: int) -> jax.Array:
    """Weight of the average in the next step, 2^(-batch / half-life); 0 at the first with a ramp.

    Args:
        optim: the section of a config.
        seen: images before this step.
        batch_size: images of a step.
    """
    half_life = jnp.float32(optim.ema_images)
    if optim.ema_ramp:
        half_life = jnp.minimum(half_life, seen * optim.ema_ramp)
    return 0.5 ** (batch_size / jnp.maximum(half_life, 1e-8))


def with_average(config: Any, step: Step) -> Step:
    """A method's training step, followed by that of the average; `step` itself if none is kept."""
    optim, batch_size = config.optim, config.train.batch_size
    if not optim.ema_images:
        return step

    def averaged_step(state, batch):
        new, losses = step(state, batch)
        share = kept_share(optim, state.step * batch_size, batch_size)
        mix = lambda parameter, average: parameter + share * (average - parameter)
        averages = {
            name: jax.tree.map(mix, new.networks[name].params, average)
            for name, average in state.extra[NAME].items()
        }
        return new.replace(extra={**new.extra, NAME: averages}), losses

    return averaged_step


def evaluated(state: TrainState, average: bool) -> dict[str, Any]:
    """Variables of the networks by name, those of generators with their average if there is one.

    Batch statistics are the latest: they are averages themselves.
    """
    averages = state.extra.get(NAME, {}) if average else {}
    found = {name: network.variables for name, network in state.networks.items()}
    return found | {name: {**found[name], "params": a} for name, a in averages.items()}
