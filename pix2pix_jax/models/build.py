"""Networks, built from the `model` section of a config."""

import functools
import re
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from pix2pix_jax.models import layers, normalization
from pix2pix_jax.models.fcn import FCN, ConvDeconv
from pix2pix_jax.models.inpainting import InpaintingUNet
from pix2pix_jax.models.patch_projection import PatchProjection
from pix2pix_jax.models.patchgan import PatchGAN, PixelDiscriminator
from pix2pix_jax.models.pix2pixhd import LocalEnhancer, MultiScale
from pix2pix_jax.models.resnet import ResNet
from pix2pix_jax.models.unet import UNet
from pix2pix_jax.models.vgg import VGG19

BIAS_RULES = ("torch", "all", "last", "none")


def generator(model: Any, out_channels: int, groups: int = 1) -> nn.Module:
    """The generator that `model.generator` names.

    Heights and widths of its images are multiples of its `divisor`.

    Args:
        model: the `model` section of a config.
        out_channels: channels of the images it makes.
        groups: runs of images that batch norm normalises apart (see `normalization.BatchNorm`).

    Raises:
        ValueError: a field has a value that no network knows.
    """
    for pattern, build in GENERATORS.items():
        if match := re.fullmatch(pattern, model.generator):
            return build(model, out_channels, groups, match[1] if match.groups() else None)
    raise ValueError(
        f"model.generator is {model.generator!r}; choose unet_<size> (unet_256, unet_128, ...), "
        "resnet_<n>blocks (resnet_9blocks, resnet_6blocks), enhancer_<n>blocks, convdeconv, "
        "fcn_32s, fcn_16s, fcn_8s or inpainting_unet"
    )


def _unet(model, out_channels, groups, size):
    num_downs = int(size).bit_length() - 1
    if int(size) != 2**num_downs or num_downs < 5:
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
        last_bias=model.bias != "none",
        conv_transpose=_conv_transpose(model),
        **_shared(model, groups),
    )


def _resnet(model, out_channels, groups, blocks):
    return ResNet(
        out_channels,
        int(blocks),
        model.ngf,
        model.num_downs,
        dropout=model.dropout,
        padding=model.padding,
        antialias=model.antialias,
        antialias_up=model.antialias_up,
        remat=model.remat,
        last_bias=model.bias != "none",
        conv_transpose=_conv_transpose(model),
        **_shared(model, groups),
    )


def _enhancer(model, out_channels, groups, blocks):
    return LocalEnhancer(
        out_channels,
        int(blocks),
        model.ngf,
        model.num_downs,
        model.local_enhancers,
        model.local_blocks,
        padding=model.padding,
        remat=model.remat,
        last_bias=model.bias != "none",
        conv_transpose=_conv_transpose(model),
        **_shared(model, groups),
    )


def _convdeconv(model, out_channels, groups, _):
    shared = _shared(model, groups) | {"bias": model.bias != "none"}
    return ConvDeconv(out_channels, model.ngf, conv_transpose=_conv_transpose(model), **shared)


def _fcn(model, out_channels, groups, stride):
    return FCN(
        out_channels,
        int(stride),
        model.ngf,
        stage_convs=tuple(model.fcn_convs),
        split_upsampling=model.fcn_split_upsampling,
        dropout=model.dropout,
        conv_transpose=_conv_transpose(model),
        **(_shared(model, groups) | {"bias": model.bias != "none"}),
    )


def _inpainting_unet(model, out_channels, groups, _):
    return InpaintingUNet(
        out_channels,
        model.ngf,
        bias=model.bias != "none",
        leaky_slope=model.leaky_slope,
        conv=_shared(model, groups)["conv"],
    )


GENERATORS = {
    r"unet_(\d+)": _unet,
    r"resnet_(\d+)blocks": _resnet,
    r"enhancer_(\d+)blocks": _enhancer,
    r"convdeconv": _convdeconv,
    r"fcn_(32|16|8)s": _fcn,
    r"inpainting_unet": _inpainting_unet,
}


def discriminator(model: Any, groups: int = 1) -> nn.Module:
    """The discriminator that `model.discriminator` names; arguments as `generator`."""
    shared = _shared(model, groups, model.norm if model.norm_d == "same" else model.norm_d)
    if model.spectral_norm:
        shared["conv"] = functools.partial(shared["conv"], spectral_norm=True)
    shared["first_bias"] = model.bias in ("torch", "all")
    shared["leaky_slope"] = model.leaky_slope
    if model.discriminator == "patchgan":
        shared |= {"last_bias": model.bias != "none", "antialias": model.antialias}
        shared |= {"padding": model.d_padding, "widest": model.d_widest or None}
        if model.num_d == 1:
            return PatchGAN(model.n_layers, model.ndf, **shared)
        norm = shared.pop("norm")
        judge = functools.partial(PatchGAN, model.n_layers, model.ndf, **shared)
        return MultiScale(model.num_d, norm, judge)
    if model.discriminator == "pixel":
        if model.num_d > 1:
            raise ValueError(
                f"config.model.num_d is {model.num_d}, and pixels are the same at every size: set "
                "config.model.discriminator=patchgan"
            )
        return PixelDiscriminator(model.ndf, **shared)
    raise ValueError(
        f"model.discriminator is {model.discriminator!r}; choose patchgan (model.n_layers sets its "
        "receptive field) or pixel"
    )


def projection(model: Any) -> PatchProjection:
    """The projection head of CUT for features of the generator."""
    return PatchProjection(
        model.projection_width, layers.kernel_init(model.init_type, model.init_gain)
    )


def vgg(model: Any) -> VGG19:
    """The network whose features pix2pixHD compares, in the precision of the others."""
    return VGG19(functools.partial(layers.Conv, dtype=jnp.dtype(model.dtype)))


def _shared(model, groups, norm=None):
    """Settings that every network has: normalisation (model.norm), bias rule, convolution."""
    norm = norm or model.norm
    if model.bias not in BIAS_RULES:
        raise ValueError(f"model.bias is {model.bias!r}; choose one of {', '.join(BIAS_RULES)}")
    return {
        "norm": _norm(model, norm, groups),
        "bias": model.bias == "all" or (model.bias == "torch" and norm == "instance"),
        "conv": functools.partial(layers.Conv, **_conv_settings(model)),
    }


def _conv_transpose(model):
    return functools.partial(layers.ConvTranspose, **_conv_settings(model))


def _conv_settings(model):
    if model.dtype not in ("float32", "bfloat16"):
        raise ValueError(f"model.dtype is {model.dtype!r}; choose float32 or bfloat16")
    init = layers.kernel_init(model.init_type, model.init_gain)
    init_bias = layers.bias_init(model.init_bias)
    return {"init": init, "init_bias": init_bias, "dtype": jnp.dtype(model.dtype)}


def _norm(model, norm, groups):
    dtype = jnp.dtype(model.dtype)
    if norm == "batch":
        return functools.partial(
            normalization.BatchNorm,
            eps=model.norm_eps,
            momentum=model.norm_momentum,
            groups=groups,
            dtype=dtype,
        )
    if norm == "instance":
        return functools.partial(
            normalization.InstanceNorm, eps=model.norm_eps, affine=model.norm_affine, dtype=dtype
        )
    if norm == "none":
        return normalization.Identity
    raise ValueError(f"model.norm is {norm!r}; choose batch, instance or none")
