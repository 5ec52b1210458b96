"""Names of the layers in the PyTorch baselines' state_dicts, and conversion to Flax and back."""

import re
from typing import Any

import numpy as np
from flax import traverse_util

from pix2pix_jax.models import blur
from pix2pix_jax.models.pix2pixhd import GLOBAL
from pix2pix_jax.pytorch import spectral_norm

State = dict[str, np.ndarray]
Keys = dict[str, tuple[str, ...]]  # torch prefix -> path of the Flax layer
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


def resnet_keys(
    num_blocks: int,
    dropout: bool,
    padding: str = "reflect",
    antialias: bool = False,
    antialias_up: bool = False,
    num_downs: int = 2,
) -> Keys:
    """Layers of a ResNet generator; dropout and zero padding shift the numbers in its blocks.

    So do the blurs of CUT's networks the numbers of all layers behind them.
    """
    keys = {"model.1": ("conv_in",), "model.2": ("norm_in",)}
    number = 4  # of the next layer
    for i in range(1, num_downs + 1):
        keys[f"model.{number}"] = (f"down_{i}",)
        keys[f"model.{number + 1}"] = (f"down_norm_{i}",)
        if antialias:
            keys[f"model.{number + 3}"] = (f"down_{i}", "blur_down")
        number += 3 + antialias
    for i in range(1, num_blocks + 1):
        keys |= _block_keys(f"model.{number}", f"block_{i}", dropout, padding)
        number += 1
    for i in range(1, num_downs + 1):
        if antialias_up:
            keys[f"model.{number}"] = (f"up_{i}", "blur_up")
        number += antialias_up
        keys[f"model.{number}"] = (f"up_{i}",)
        keys[f"model.{number + 1}"] = (f"up_norm_{i}",)
        number += 3
    keys[f"model.{number + 1}"] = ("conv_out",)
    return keys


def _block_keys(prefix, name, dropout, padding):
    """Layers of a residual block."""
    pad = 0 if padding == "zero" else 1
    second = pad + 3 + (1 if dropout else 0) + pad
    keys = {}
    for number, layer in ((pad, 1), (second, 2)):
        keys[f"{prefix}.conv_block.{number}"] = (name, f"conv_{layer}")
        keys[f"{prefix}.conv_block.{number + 1}"] = (name, f"norm_{layer}")
    return keys


def enhancer_keys(
    num_blocks: int, num_downs: int, enhancers: int, local_blocks: int, padding: str = "reflect"
) -> Keys:
    """Layers of pix2pixHD's local enhancer; its global generator's without the last one."""
    of_global = resnet_keys(num_blocks, False, padding, num_downs=num_downs)
    keys = {k: (GLOBAL, *path) for k, path in of_global.items() if path != ("conv_out",)}
    for k in range(1, enhancers + 1):
        name, down, up = f"local_{k}", f"model{k}_1.", f"model{k}_2."
        keys |= {f"{down}1": (name, "conv_in"), f"{down}2": (name, "norm_in")}
        keys |= {f"{down}4": (name, "down"), f"{down}5": (name, "down_norm")}
        for i in range(local_blocks):
            block = _block_keys(f"{up}{i}", f"block_{i + 1}", False, padding)
            keys |= {prefix: (name, *path) for prefix, path in block.items()}
        keys |= {f"{up}{local_blocks}": (name, "up"), f"{up}{local_blocks + 1}": (name, "up_norm")}
    keys[f"{up}{local_blocks + 4}"] = ("conv_out",)
    return keys


def multiscale_keys(model: Any, with_features: bool) -> Keys:
    """Layers of pix2pixHD's discriminators, scale0 for the smallest images.

    Its code numbers them anew in each layer where their features are compared, else through all.
    """
    keys = {}
    for prefix, (name,) in patchgan_keys(model.n_layers).items():
        layer, number = int(name.split("_")[1]), int(name.startswith("norm_"))
        for s in range(model.num_d):
            place = f"scale{s}_layer{layer}.{number}"
            if not with_features:
                place = f"layer{s}.{prefix.removeprefix('model.')}"
            keys[place] = (f"scale_{s}", name) if model.num_d > 1 else (name,)
    return keys


def patchgan_keys(n_layers: int, antialias: bool = False) -> Keys:
    """Layers of a PatchGAN."""
    keys, number = {}, 0  # of the next layer
    for i in range(n_layers + 1):
        keys[f"model.{number}"] = (f"conv_{i}",)
        if i:
            keys[f"model.{number + 1}"] = (f"norm_{i}",)
        number += 3 if i else 2
        if antialias and i < n_layers:
            keys[f"model.{number}"] = (f"conv_{i}", "blur_down")
            number += 1
    keys[f"model.{number}"] = (f"conv_{n_layers + 1}",)
    return keys


def projection_keys(layers: int) -> Keys:
    """Layers of CUT's projection head."""
    names = (("0", "first"), ("2", "second"))
    return {f"mlp_{i}.{n}": (f"{name}_{i}",) for i in range(layers) for n, name in names}


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
    if model.upsample != "transposed" or model.norm_innermost or model.skip_leaks:
        raise ValueError(
            "PyTorch weights fit only config.model.upsample=transposed with "
            "config.model.norm_innermost=False and config.model.skip_leaks=False"
        )
    if model.generator == "inpainting_unet":
        return inpainting_keys()
    match = re.fullmatch(r"(unet|resnet|enhancer)_(\d+)(?:blocks)?", model.generator)
    if not match:
        raise ValueError(
            f"config.model.generator={model.generator} has no counterpart in the PyTorch code, so "
            "its weights can be neither read from a .pth file nor written to one"
        )
    if match[1] == "unet":
        return unet_keys(int(match[2]).bit_length() - 1)
    blocks = int(match[2])
    if match[1] == "enhancer":
        sizes = (model.num_downs, model.local_enhancers, model.local_blocks)
        return enhancer_keys(blocks, *sizes, model.padding)
    has_dropout, blurs = model.dropout > 0, (model.antialias, model.antialias_up)
    return resnet_keys(blocks, has_dropout, model.padding, *blurs, model.num_downs)


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


def discriminator_keys(model: Any) -> Keys:
    """Layers of the discriminator that a config's `model` section describes."""
    if model.discriminator == "pixel":
        return pixel_keys()
    return patchgan_keys(model.n_layers, model.antialias)


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
