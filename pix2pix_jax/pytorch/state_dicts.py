"""State_dicts of the PyTorch baselines to Flax variables, and back."""

import re
from typing import Any

import numpy as np
from flax import traverse_util

from pix2pix_jax.models import blur
from pix2pix_jax.pytorch import spectral_norm
from pix2pix_jax.pytorch.layer_names import Keys, unet_keys

State = dict[str, np.ndarray]
STALE = ("running_mean", "running_var", "num_batches_tracked")  # of an InstanceNorm, before 0.4
LEAVES = {  # Flax's collection and name of an array of a layer: PyTorch's name
    ("params", "kernel"): "weight",
    ("params", "scale"): "weight",
    ("params", "bias"): "bias",
    ("batch_stats", "mean"): "running_mean",
    ("batch_stats", "var"): "running_var",
    ("batch_stats", "u"): "weight_u",  # of spectral normalization
}
SETTINGS = {"leaky_slope": 0.2, "norm_eps": 1e-5}  # of its code, which no file holds
# Of CUT's blurs, which PyTorch's files hold and Flax's variables do not: a row of the filter, and
# which axis of the kernel beside it has the channels. Their layer's path has the name at its end.
BLURS = {"blur_down": (blur.DOWN, 3), "blur_up": (blur.UP, 2)}


def in_order(state: State, model: Any) -> State:
    """The state_dict of a generator for the order in which `model` joins a U-Net's skips, or back.

    PyTorch's U-Net has [skip, up], and with model.skip_first=False ours has [up, skip]: then the
    two halves of what an up convolution takes change places.
    """
    match = re.fullmatch(r"unet_(\d+)", model.generator)
    if model.skip_first or not match:
        return state
    num_downs = int(match[1]).bit_length() - 1
    joined = {(f"up_{k}",) for k in range(1, num_downs)}  # all but the innermost
    ups = {f"{prefix}.weight" for prefix, path in unet_keys(num_downs).items() if path in joined}
    swapped = lambda kernel: np.roll(kernel, len(kernel) // 2, axis=0)  # [I, O, K, K]
    return {name: swapped(array) if name in ups else array for name, array in state.items()}


def to_flax(state: State, keys: Keys) -> dict[str, Any]:
    """{"params", "batch_stats"} of a state_dict, in float32, without stale InstanceNorm statistics.

    Raises:
        ValueError: an array has no place in the layers that `keys` names, is not of floating
            point, or is NaN or infinite somewhere.
    """
    places = {leaf: place for place, leaf in LEAVES.items()}
    flat = {}
    state = spectral_norm.plain(state)
    for name, array in state.items():
        prefix, _, leaf = name.rpartition(".")
        weight = state.get(f"{prefix}.weight")
        has_norm = weight is not None and weight.ndim == 1
        path = keys.get(prefix, ("",))
        if leaf == "filt" and path[-1] in BLURS:
            _check_blur(name, array, _blur_filter(path[-1], len(array)))
            continue
        if prefix not in keys or path[-1] in BLURS or leaf not in {*places, *STALE}:
            raise ValueError(f"the network has no place for {name!r} of shape {array.shape}")
        if leaf == "num_batches_tracked" or (leaf in STALE and not has_norm):
            continue
        collection, its_name = places[leaf]
        array = _as_weights(name, array)
        if leaf == "weight":
            its_name = "scale" if array.ndim == 1 else "kernel"
            # Conv2d [O, I, K, K] and ConvTranspose2d [I, O, K, K] both turn into HWIO.
            array = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T
        flat[collection, *path, its_name] = np.ascontiguousarray(array)
    return {"params": {}, "batch_stats": {}} | traverse_util.unflatten_dict(flat)


def _as_weights(name, array):
    """The array as float32."""
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(
            f"{name!r} holds {array.dtype} values, and weights are floating-point numbers: save "
            "the model in float32"
        )
    with np.errstate(all="ignore"):  # what float32 cannot hold is infinite, and refused
        array = array.astype(np.float32, copy=False)
    if not np.isfinite(array).all():
        raise ValueError(
            f"{name!r} has NaN or infinite values, as after a training that diverged: use an "
            "earlier checkpoint"
        )
    return array


def _blur_filter(kind, channels):
    """[C, 1, K, K]: the same for every channel."""
    row = np.array(BLURS[kind][0], np.float32)
    return np.tile(np.outer(row, row), (channels, 1, 1, 1))


def _check_blur(name, array, expected):
    if array.shape != expected.shape or not np.allclose(array, expected, rtol=0, atol=1e-6):
        raise ValueError(
            f"{name!r} of shape {array.shape} is not the blur filter of CUT's defaults, of shape "
            f"{expected.shape}, and no other is known here"
        )


def to_torch(variables: dict[str, Any], keys: Keys, num_batches: int = 0) -> State:
    """The state_dict of a Flax network; `num_batches` goes into num_batches_tracked."""
    flat = traverse_util.flatten_dict(variables)
    state: State = {}
    for prefix, path in sorted(keys.items(), key=lambda item: _natural(item[0])):
        if path[-1] in BLURS:
            kernel, axis = flat["params", *path[:-1], "kernel"], BLURS[path[-1]][1]
            state[f"{prefix}.filt"] = _blur_filter(path[-1], kernel.shape[axis])
        for (collection, its_name), leaf in LEAVES.items():
            if (collection, *path, its_name) in flat:
                array = np.asarray(flat[collection, *path, its_name])
                array = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T
                state[f"{prefix}.{leaf}"] = np.ascontiguousarray(array)
        if f"{prefix}.running_mean" in state:
            state[f"{prefix}.num_batches_tracked"] = np.array(num_batches, np.int64)
    return spectral_norm.rename(state)


def _natural(name):
    return [int(part) if part.isdigit() else part for part in name.split(".")]
