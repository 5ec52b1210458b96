"""From a global generator to a local enhancer around it (Wang et al. 2018, section 3.1)."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from pix2pix_jax.methods.state import NetworkState, TrainState, epoch_of
from pix2pix_jax.models.pix2pixhd import GLOBAL


def first_phase(config: Any) -> Any:
    """The config that trained the global generator of a local enhancer; None for other networks."""
    kind, _, blocks = config.model.generator.partition("_")
    if kind != "enhancer":
        return None
    config, model = config.copy_and_resolve_references(), config.model
    config.model.generator = f"resnet_{blocks}"
    config.model.ngf = model.ngf * 2**model.local_enhancers
    return config


def grow(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Variables of a local enhancer and its D, with those of a global generator and its own D.

    The layer that makes its image is left out. D for the smallest images stays D for the smallest.
    """
    grown = {name: dict(variables) for name, variables in new.items()}
    for kind, tree in new["G"].items():
        if GLOBAL in tree:
            grown["G"][kind] = tree | {GLOBAL: _shared(old["G"][kind], tree[GLOBAL])}
    for kind, tree in new["D"].items() if "D" in old else ():
        before = old["D"][kind]
        several = any(name.startswith("scale_") for name in before)
        grown["D"][kind] = _shared(before if several else {"scale_0": before}, tree)
    return grown


def _shared(old, new):
    return {name: old.get(name, tree) for name, tree in new.items()}


def frozen_at_first(
    config: Any, state: TrainState, num_examples: int, g: NetworkState, gradients: Any
) -> tuple[NetworkState, Any]:
    """G and its gradients, of which in the first optim.epochs_frozen only the last enhancer's stay.

    With neither gradients nor moments Adam leaves the other parameters as they are. After these
    epochs it starts anew for all, as the PyTorch code does.
    """
    optim = config.optim
    if not optim.epochs_frozen:
        return g, gradients
    of_step = functools.partial(
        epoch_of, batch_size=config.train.batch_size, num_examples=num_examples
    )
    is_frozen = lambda step: of_step(step) + optim.epoch_count - 1 < optim.epochs_frozen
    frozen = is_frozen(state.step)
    anew = is_frozen(state.step - 1) & ~frozen
    trained = (f"local_{config.model.local_enhancers}", "conv_out")
    gradients = {
        name: tree if name in trained else jax.tree.map(lambda x: jnp.where(frozen, 0, x), tree)
        for name, tree in gradients.items()
    }
    moments = jax.tree.map(lambda x: jnp.where(anew, jnp.zeros_like(x), x), g.opt_state)
    return g.replace(opt_state=moments), gradients
