"""Weights of the networks that measure: from their published state_dicts to Flax.

The modules of `models/inception.py`, `models/lpips.py` and `models/drn.py` are named like the
layers of these files, so that no table of names is needed.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from pix2pix_jax.pytorch.state_dicts import State


class Layer(NamedTuple):
    """Where a state_dict has a convolution: prefixes of the names of its arrays."""

    conv: str
    norm: str | None = None  # the batch norm after it
    eps: float = 1e-5  # of that


def to_frozen(
    state: State, module: nn.Module, shape: tuple[int, ...], locate: Callable[[str], Layer]
) -> dict[str, Any]:
    """Variables of a module of `FrozenConv` layers, with the batch norms folded in.

    A convolution w, then (y - mean) scale / sqrt(var + eps) + bias, is one of w scale / sqrt(var +
    eps).

    Args:
        state: arrays of a .pth file.
        module: the network.
        shape: [N, H, W, C] of what it takes.
        locate: from a layer's path in the module, joined by dots, to its place in the file.

    Raises:
        ValueError: an array is missing, or has another shape than the network's.
    """
    abstract = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros(shape))["params"]
    flat = {}
    for path, leaf in traverse_util.flatten_dict(abstract).items():
        if path[-1] != "kernel":
            continue
        layer = locate(".".join(path[:-1]))
        kernel, bias = _folded(state, layer)
        if kernel.shape != leaf.shape:
            raise ValueError(
                f"its array {layer.conv}.weight is a kernel of shape {kernel.shape} (height, "
                f"width, in, out), and the network's is {leaf.shape}"
            )
        flat[path] = kernel
        flat[*path[:-1], "bias"] = bias
    return {"params": traverse_util.unflatten_dict(flat)}


def _folded(state, layer):
    """Kernel [KH, KW, I, O] and bias [O], float32."""
    take = lambda name: _array(state, name)
    kernel = take(f"{layer.conv}.weight").transpose(2, 3, 1, 0)
    if layer.norm is None:
        return kernel.astype(np.float32), take(f"{layer.conv}.bias").astype(np.float32)
    factor = take(f"{layer.norm}.weight") / np.sqrt(take(f"{layer.norm}.running_var") + layer.eps)
    bias = take(f"{layer.norm}.bias") - take(f"{layer.norm}.running_mean") * factor
    return (kernel * factor).astype(np.float32), bias.astype(np.float32)


def _array(state, name):
    """An array in float64, so that folding rounds once."""
    if name not in state:
        raise ValueError(f"it has no array {name!r}")
    return state[name].astype(np.float64)
