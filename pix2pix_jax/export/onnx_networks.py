"""The generators of `models/` as ONNX graphs: each function mirrors the module of its name."""

from collections.abc import Callable

import flax.linen as nn

from pix2pix_jax.export.onnx_layers import Layers
from pix2pix_jax.models.fcn import FCN, ConvDeconv
from pix2pix_jax.models.inpainting import InpaintingUNet
from pix2pix_jax.models.pix2pixhd import GLOBAL, LocalEnhancer
from pix2pix_jax.models.resnet import ResNet
from pix2pix_jax.models.unet import UNet


def unet(net: UNet, layers: Layers, x: str) -> str:
    """See `models.unet.UNet`; without dropout."""
    n = net.num_downs
    skips = []
    for k in range(1, n + 1):
        if k > 1:
            x = layers.leaky_relu(x, net.leaky_slope)
        has_norm = 1 < k < n or (k == n and net.norm_innermost)
        x = layers.conv(x, f"down_{k}", norm=f"down_norm_{k}" if has_norm else None)
        skips.append(x)

    for k in range(n, 0, -1):
        skip = skips[k - 1]
        if net.skip_leaks:
            skip = layers.leaky_relu(skip, net.leaky_slope)
            x = layers.relu(x) if k < n else x
        if k == n:
            x = skip
        elif net.skip_first:
            x = layers.concat(skip, x)
        else:
            x = layers.concat(x, skip)
        if not net.skip_leaks:
            x = layers.relu(x)  # of both at once
        norm = f"up_norm_{k}" if k > 1 else None
        if net.upsample == "transposed":
            x = layers.conv_transpose(x, f"up_{k}", norm=norm)
        else:
            x = layers.pad(layers.double_nearest(x), 1, "reflect")
            x = layers.conv(x, f"up_{k}", stride=1, padding=0, norm=norm)
    return layers.tanh(x)


def resnet(net: ResNet, layers: Layers, x: str) -> str:
    """See `models.resnet.ResNet`; without dropout."""
    return _image(layers, _resnet_features(net, layers, x))


def _resnet_features(net, layers, x, prefix=""):
    """All of a ResNet but the layer that makes an image; `prefix` is of its layers' names."""
    x = layers.relu(_padded_conv(layers, x, f"{prefix}conv_in", 3, "reflect", f"{prefix}norm_in"))
    for i in range(1, net.num_downs + 1):
        stride = 1 if getattr(net, "antialias", False) else 2
        x = layers.conv(x, f"{prefix}down_{i}", stride, norm=f"{prefix}down_norm_{i}")
        x = layers.relu(x)
        if stride == 1:
            x = layers.blur_down(x, net.ngf * 2**i)
    for i in range(1, net.num_blocks + 1):
        x = _block(layers, x, f"{prefix}block_{i}", net.padding)
    for i in range(1, net.num_downs + 1):
        name, norm = f"{prefix}up_{i}", f"{prefix}up_norm_{i}"
        if getattr(net, "antialias_up", False):
            x = layers.conv(layers.blur_up(x), name, stride=1, norm=norm)
        else:
            x = layers.conv_transpose(x, name, output_padding=1, norm=norm)
        x = layers.relu(x)
    return x


def _padded_conv(layers, x, name, width, kind, norm=None):
    return layers.conv(layers.pad(x, width, kind), name, stride=1, padding=0, norm=norm)


def _block(layers, x, name, padding):
    """See `models.resnet.ResNetBlock`."""
    y = _padded_conv(layers, x, f"{name}/conv_1", 1, padding, f"{name}/norm_1")
    y = _padded_conv(layers, layers.relu(y), f"{name}/conv_2", 1, padding, f"{name}/norm_2")
    return layers.add(x, y)


def _image(layers, x):
    return layers.tanh(_padded_conv(layers, x, "conv_out", 3, "reflect"))


def local_enhancer(net: LocalEnhancer, layers: Layers, x: str) -> str:
    """See `models.pix2pixhd.LocalEnhancer`."""
    pyramid = [x]
    for _ in range(net.enhancers):
        pyramid.insert(0, layers.mean_pool(pyramid[0]))
    y = _resnet_features(net, layers, pyramid[0], f"{GLOBAL}/")
    for k, images in enumerate(pyramid[1:], start=1):
        name = f"local_{k}/"
        x = _padded_conv(layers, images, f"{name}conv_in", 3, "reflect", f"{name}norm_in")
        x = layers.conv(layers.relu(x), f"{name}down", norm=f"{name}down_norm")
        y = layers.add(layers.relu(x), y)
        for i in range(1, net.local_blocks + 1):
            y = _block(layers, y, f"{name}block_{i}", net.padding)
        y = layers.conv_transpose(y, f"{name}up", output_padding=1, norm=f"{name}up_norm")
        y = layers.relu(y)
    return _image(layers, y)


def conv_deconv(net: ConvDeconv, layers: Layers, x: str) -> str:
    """See `models.fcn.ConvDeconv`."""
    del net
    for k in range(1, 5):
        x = layers.relu(layers.conv(x, f"conv_{k}", norm=f"conv_norm_{k}"))
    for k in range(1, 4):
        x = layers.relu(layers.conv_transpose(x, f"deconv_{k}", norm=f"deconv_norm_{k}"))
    return layers.tanh(layers.conv_transpose(x, "deconv_4"))


def fcn(net: FCN, layers: Layers, x: str) -> str:
    """See `models.fcn.FCN`; without dropout."""
    pools = {}
    for stage, count in enumerate(net.stage_convs, start=1):
        for i in range(1, count + 1):
            norm = f"norm_{stage}_{i}"
            x = layers.relu(layers.conv(x, f"conv_{stage}_{i}", stride=1, padding=1, norm=norm))
        x = pools[stage] = layers.max_pool(x)

    def score(x, name):
        return layers.conv(x, name, stride=1, padding=0)

    def upsample(x, factor, name):
        return layers.conv_transpose(x, name, stride=factor, padding=factor // 2)

    for name in ("fc_6", "fc_7"):
        x = layers.relu(score(x, name))
    x = score(x, "score_32")
    for finer, stage in ((16, 4), (8, 3)):
        if finer >= net.stride:
            x = upsample(x, 2, f"upscore_{finer}")
            x = layers.add(x, score(pools[stage], f"score_{finer}"))
    if not net.split_upsampling:
        x = upsample(x, net.stride, "upscore")
    else:
        for i in range(1, net.stride.bit_length()):
            x = upsample(x, 2, f"upscore_{i}")
    return layers.tanh(x)


def inpainting_unet(net: InpaintingUNet, layers: Layers, x: str) -> str:
    """See `models.inpainting.InpaintingUNet`."""
    skips = []
    for k in range(1, 7):
        x = layers.conv(x, f"down_{k}")
        x = layers.relu(x) if k == 6 else layers.leaky_relu(x, net.leaky_slope)
        skips.append(x)

    def conv(x, name):
        return layers.conv(layers.double_bilinear(x), name, stride=1, padding=1)

    for k in range(5, 0, -1):
        x = layers.concat(layers.relu(conv(x, f"up_{k}")), skips[k - 1])
    x = layers.relu(conv(x, "out_1"))
    return layers.tanh(layers.conv(x, "out_2", stride=1, padding=1))


NETWORKS: dict[type[nn.Module], Callable[..., str]] = {
    UNet: unet,
    ResNet: resnet,
    LocalEnhancer: local_enhancer,
    ConvDeconv: conv_deconv,
    FCN: fcn,
    InpaintingUNet: inpainting_unet,
}
