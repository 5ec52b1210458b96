"""Names of the layers in the PyTorch baselines' state_dicts, and conversion to Flax and back."""

import re
from typing import Any

import numpy as np
from flax import traverse_util

State = dict[str, np.ndarray]
Keys = dict[str, tuple[str, ...]]  # torch prefix -> path of the Flax layer
STALE = ("running_mean", "running_var", "num_batches_tracked")  # of an InstanceNorm, before 0.4
LEAVES = {  # Flax's collection and name of an array of a layer: PyTorch's name
    ("params", "kernel"): "weight",
    ("params", "scale"): "weight",
    ("params", "bias"): "bias",
    ("batch_stats", "mean"): "running_mean",
    ("batch_stats", "var"): "running_var",
}


def unet_keys(num_downs: int) -> Keys:
    """Layers of a U-Net; level k of the nest holds down_k, up_k and their norms."""
    keys = {"model.model.0": ("down_1",), "model.model.3": ("up_1",)}
    for k in range(2, num_downs + 1):
        level = "model.model.1" + ".model.3" * (k - 2) + ".model."
        keys[level + "1"] = (f"down_{k}",)
        if k < num_downs:
            keys[level + "2"] = (f"down_norm_{k}",)
        keys[level + ("5" if k < num_downs else "3")] = (f"up_{k}",)
        keys[level + ("6" if k < num_downs else "4")] = (f"up_norm_{k}",)
    return keys


def resnet_keys(num_blocks: int, dropout: bool, padding: str = "reflect") -> Keys:
    """Layers of a ResNet generator; dropout and zero padding shift the numbers in its blocks."""
    keys = {"model.1": ("conv_in",), "model.2": ("norm_in",)}
    for i in (1, 2):
        keys[f"model.{1 + 3 * i}"] = (f"down_{i}",)
        keys[f"model.{2 + 3 * i}"] = (f"down_norm_{i}",)
    pad = 0 if padding == "zero" else 1
    first = pad
    second = first + 3 + (1 if dropout else 0) + pad
    for i in range(1, num_blocks + 1):
        prefix, block = f"model.{9 + i}.conv_block.", f"block_{i}"
        keys[f"{prefix}{first}"] = (block, "conv_1")
        keys[f"{prefix}{first + 1}"] = (block, "norm_1")
        keys[f"{prefix}{second}"] = (block, "conv_2")
        keys[f"{prefix}{second + 1}"] = (block, "norm_2")
    for i in (1, 2):
        keys[f"model.{7 + num_blocks + 3 * i}"] = (f"up_{i}",)
        keys[f"model.{8 + num_blocks + 3 * i}"] = (f"up_norm_{i}",)
    keys[f"model.{17 + num_blocks}"] = ("conv_out",)
    return keys


def patchgan_keys(n_layers: int) -> Keys:
    """Layers of a PatchGAN."""
    keys = {"model.0": ("conv_0",)}
    for i in range(1, n_layers + 1):
        keys[f"model.{3 * i - 1}"] = (f"conv_{i}",)
        keys[f"model.{3 * i}"] = (f"norm_{i}",)
    keys[f"model.{3 * n_layers + 2}"] = (f"conv_{n_layers + 1}",)
    return keys


def pixel_keys() -> Keys:
    """Layers of the pixel discriminator."""
    layers = ("net.0", "conv_0"), ("net.2", "conv_1"), ("net.3", "norm_1"), ("net.5", "conv_2")
    return {prefix: (name,) for prefix, name in layers}


def inpainting_keys() -> Keys:
    """Layers of PEN-Net's encoder and decoder without attention."""
    keys = {f"dw_conv0{k}.0": (f"down_{k}",) for k in range(1, 7)}
    keys |= {f"up_conv0{k}.0": (f"up_{k}",) for k in range(1, 6)}
    return keys | {"decoder.0": ("out_1",), "decoder.2": ("out_2",)}


def generator_keys(model: Any) -> Keys:
    """Layers of the generator that a config's `model` section describes.

    Raises:
        ValueError: the baseline has no such network.
    """
    if model.upsample != "transposed" or model.norm_innermost:
        raise ValueError(
            "PyTorch weights fit only config.model.upsample=transposed with "
            "config.model.norm_innermost=False"
        )
    if model.generator == "inpainting_unet":
        return inpainting_keys()
    match = re.fullmatch(r"(unet|resnet)_(\d+)(?:blocks)?", model.generator)
    if not match:
        raise ValueError(
            f"config.model.generator={model.generator} has no counterpart in the PyTorch code, so "
            "its weights can be neither read from a .pth file nor written to one"
        )
    if match[1] == "unet":
        return unet_keys(int(match[2]).bit_length() - 1)
    return resnet_keys(int(match[2]), model.dropout > 0, model.padding)


def discriminator_keys(model: Any) -> Keys:
    """Layers of the discriminator that a config's `model` section describes."""
    return pixel_keys() if model.discriminator == "pixel" else patchgan_keys(model.n_layers)


def to_flax(state: State, keys: Keys) -> dict[str, Any]:
    """{"params", "batch_stats"} of a state_dict, in float32, without stale InstanceNorm statistics.

    Raises:
        ValueError: an array has no place in the layers that `keys` names, is not of floating
            point, or is NaN or infinite somewhere.
    """
    places = {leaf: place for place, leaf in LEAVES.items()}
    flat = {}
    for name, array in state.items():
        prefix, _, leaf = name.rpartition(".")
        weight = state.get(f"{prefix}.weight")
        has_norm = weight is not None and weight.ndim == 1
        if prefix not in keys or leaf not in {*places, *STALE}:
            raise ValueError(f"the network has no place for {name!r} of shape {array.shape}")
        if leaf == "num_batches_tracked" or (leaf in STALE and not has_norm):
            continue
        collection, its_name = places[leaf]
        array = _as_weights(name, array)
        if leaf == "weight":
            its_name = "kernel" if array.ndim == 4 else "scale"
            # Conv2d [O, I, K, K] and ConvTranspose2d [I, O, K, K] both turn into HWIO.
            array = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array
        flat[collection, *keys[prefix], its_name] = np.ascontiguousarray(array)
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


def to_torch(variables: dict[str, Any], keys: Keys, num_batches: int = 0) -> State:
    """The state_dict of a Flax network; `num_batches` goes into num_batches_tracked."""
    flat = traverse_util.flatten_dict(variables)
    state: State = {}
    for prefix, path in sorted(keys.items(), key=lambda item: _natural(item[0])):
        for (collection, its_name), leaf in LEAVES.items():
            if (collection, *path, its_name) in flat:
                array = np.asarray(flat[collection, *path, its_name])
                array = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array
                state[f"{prefix}.{leaf}"] = np.ascontiguousarray(array)
        if f"{prefix}.running_mean" in state:
            state[f"{prefix}.num_batches_tracked"] = np.array(num_batches, np.int64)
    return state


def _natural(name):
    return [int(part) if part.isdigit() else part for part in name.split(".")]
