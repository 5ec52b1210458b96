"""VGG-19 as pix2pixHD's loss takes it (Simonyan & Zisserman 2015), with torchvision's weights.

Layers have the names of torchvision's file: "features.N".
"""

from collections.abc import Callable

import flax.linen as nn
import jax

from pix2pix_jax.models.frozen import max_pool
from pix2pix_jax.models.layers import Conv

# Numbers of each stage's convolutions, and their filters.
STAGES = (
    ((0, 2), 64),
    ((5, 7), 128),
    ((10, 12, 14, 16), 256),
    ((19, 21, 23, 25), 512),
    ((28,), 512),
)


class VGG19(nn.Module):
    """Convolutions up to conv5_1; images [N, H, W, 3] to five feature maps."""

    conv: Callable[..., nn.Module] = Conv  # with the dtype bound

    @nn.compact
    def __call__(self, x: jax.Array) -> list[jax.Array]:
        """The maps after the first ReLU of each stage."""
        found = []
        for numbers, width in STAGES:
            x = max_pool(x, 2, 2) if found else x
            for number in numbers:
                conv = self.conv(width, 3, 1, 1, use_bias=True, name=f"features.{number}")
                x = nn.relu(conv(x))
                if number == numbers[0]:
                    found.append(x)
        return found
