"""Networks, built from the `model` section of a config."""

import functools
import re
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from pix2pix_jax.models import layers
from pix2pix_jax.models.patchgan import PatchGAN, PixelDiscriminator
from pix2pix_jax.models.resnet import ResNet
from pix2pix_jax.models.unet import UNet

BIAS_RULES = ("torch", "last", "none")


def build_generator(model: Any, out_channels: int, groups: int = 1) -> nn.Module:
    """The generator that `model.generator` names.

    Args:
        model: the `model` section of a config.
        out_channels: channels of the images it makes.
        groups: runs of images that batch norm normalises apart (see `layers.BatchNorm`).

    Raises:
        ValueError: a field has a value that no network knows.
    """
    shared = _shared(model, groups)
    shared["conv_transpose"] = functools.partial(layers.ConvTranspose, **_conv_settings(model))
    shared["last_bias"] = model.bias != "none"
    if match := re.fullmatch(r"unet_(\d+)", model.generator):
        size = int(match[1])
        num_downs = size.bit_length() - 1
        if size != 2**num_downs or num_downs < 5:
            raise ValueError(
                f"model.generator is {model.generator!r}: a U-Net's size is a power of two from 32"
            )
        if model.upsample not in ("transposed", "resize"):
            raise ValueError(f"model.upsample is {model.upsample!r}; choose transposed or resize")
        return UNet(
            out_channels,
            num_downs,
            model.ngf,
            norm_innermost=model.norm_innermost,
            dropout=model.dropout,
            dropout_blocks=tuple(model.dropout_blocks),
            leaky_slope=model.leaky_slope,
            skip_first=model.skip_first,
            skip_leaks=model.skip_leaks,
            upsample=model.upsample,
            **shared,
        )
    if match := re.fullmatch(r"resnet_(\d+)blocks", model.generator):
        return ResNet(
            out_channels,
            int(match[1]),
            model.ngf,
            dropout=model.dropout,
            padding=model.padding,
            remat=model.remat,
            **shared,
        )
    raise ValueError(
        f"model.generator is {model.generator!r}; choose unet_<size> (unet_256, unet_128, ...) "
        "or resnet_<n>blocks (resnet_9blocks, resnet_6blocks)"
    )


def build_discriminator(model: Any, groups: int = 1) -> nn.Module:
    """The discriminator that `model.discriminator` names; arguments as `build_generator`."""
    shared = _shared(model, groups)
    shared["first_bias"] = model.bias == "torch"
    shared["leaky_slope"] = model.leaky_slope
    if model.discriminator == "patchgan":
        return PatchGAN(model.n_layers, model.ndf, last_bias=model.bias != "none", **shared)
    if model.discriminator == "pixel":
        return PixelDiscriminator(model.ndf, **shared)
    raise ValueError(
        f"model.discriminator is {model.discriminator!r}; choose patchgan (model.n_layers sets its "
        "receptive field) or pixel"
    )


def _shared(model, groups):
    """Settings that every network has: normalisation, bias rule, convolution."""
    if model.bias not in BIAS_RULES:
        raise ValueError(f"model.bias is {model.bias!r}; choose one of {', '.join(BIAS_RULES)}")
    return {
        "norm": _norm(model, groups),
        "bias": model.bias == "torch" and model.norm == "instance",
        "conv": functools.partial(layers.Conv, **_conv_settings(model)),
    }


def _conv_settings(model):
    if model.dtype not in ("float32", "bfloat16"):
        raise ValueError(f"model.dtype is {model.dtype!r}; choose float32 or bfloat16")
    init = layers.kernel_init(model.init_type, model.init_gain)
    return {"init": init, "dtype": jnp.dtype(model.dtype)}


def _norm(model, groups):
    dtype = jnp.dtype(model.dtype)
    if model.norm == "batch":
        return functools.partial(
            layers.BatchNorm, model.norm_eps, model.norm_momentum, groups, dtype
        )
    if model.norm == "instance":
        return functools.partial(layers.InstanceNorm, model.norm_eps, model.norm_affine, dtype)
    if model.norm == "none":
        return layers.Identity
    raise ValueError(f"model.norm is {model.norm!r}; choose batch, instance or none")
