"""PyTorch's names of the layers of each network, and where Flax has the same layer."""

import re
from typing import Any

from pix2pix_jax.models.pix2pixhd import GLOBAL

Keys = dict[str, tuple[str, ...]]  # torch prefix -> path of the Flax layer


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


def discriminator_keys(model: Any) -> Keys:
    """Layers of the discriminator that a config's `model` section describes."""
    if model.discriminator == "pixel":
        return pixel_keys()
    return patchgan_keys(model.n_layers, model.antialias)
