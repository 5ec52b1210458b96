"""LPIPS, a learned distance of image patches (Zhang et al. 2018, section 4; version 0.1).

Features of AlexNet or VGG-16 after five of their ReLUs, made unit vectors at every pixel; squared
differences of two images, weighted by channel, averaged over pixels and summed over layers.
Modules have the names of torchvision's files: "features.N".
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from pix2pix_jax.models.frozen import FrozenConv, max_pool
from pix2pix_jax.models.vgg import stage_maps

EPS = 1e-10
# ImageNet's mean and standard deviation, for images in [-1, 1].
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
LEAST = 32  # pixels of height and width that AlexNet takes


class AlexNet(nn.Module):
    """Convolutions of AlexNet; images [N, H, W, 3] to its five feature maps."""

    channels = (64, 192, 384, 256, 256)

    @nn.compact
    def __call__(self, x: jax.Array) -> list[jax.Array]:
        """The maps after each ReLU."""
        kernels = ((0, 11, 4, 2), (3, 5, 1, 2), (6, 3, 1, 1), (8, 3, 1, 1), (10, 3, 1, 1))
        found = []
        for (number, kernel, stride, padding), width in zip(kernels, self.channels, strict=True):
            if number in (3, 6):
                x = max_pool(x, 3, 2)
            conv = FrozenConv(
                width, (kernel,) * 2, stride, (padding,) * 2, name=f"features.{number}"
            )
            x = nn.relu(conv(x))
            found.append(x)
        return found


class VGG16(nn.Module):
    """Convolutions of VGG-16; images [N, H, W, 3] to five feature maps."""

    channels = (64, 128, 256, 512, 512)

    @nn.compact
    def __call__(self, x: jax.Array) -> list[jax.Array]:
        """The maps after the last ReLU of each stage."""
        numbers = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
        conv = lambda width, name: FrozenConv(width, padding=(1, 1), name=name)
        return stage_maps(x, tuple(zip(numbers, self.channels, strict=True)), conv, -1)


BACKBONES = {"alex": AlexNet, "vgg": VGG16}


def distance(
    backbone: nn.Module, variables: dict, heads: list[jax.Array], x: jax.Array, y: jax.Array
) -> jax.Array:
    """LPIPS of images [N, H, W, 3] in [-1, 1] -> [N]; 0 for equal images.

    Args:
        backbone: AlexNet() or VGG16().
        variables: of the backbone.
        heads: weights of the channels of each map, [C].
        x: images.
        y: images.
    """
    scaled = (jnp.concatenate([x, y]) - jnp.array(SHIFT)) / jnp.array(SCALE)
    maps = backbone.apply(variables, scaled)
    return sum(layer_distance(m, w) for m, w in zip(maps, heads, strict=True))


def layer_distance(features: jax.Array, weights: jax.Array) -> jax.Array:
    """The part of one layer: features [2 N, H, W, C] of both images, weights [C] -> [N]."""
    length = jnp.sqrt(jnp.square(features).sum(-1, keepdims=True))
    a, b = jnp.split(features / (length + EPS), 2)
    return (jnp.square(a - b) * weights).sum(-1).mean((1, 2))
