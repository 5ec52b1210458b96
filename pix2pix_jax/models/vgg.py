"""VGG's convolutions (Simonyan & Zisserman 2015), whose features are compared as a distance.

Layers have the names of torchvision's files: "features.N".
"""

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax

from pix2pix_jax.models.frozen import max_pool
from pix2pix_jax.models.layers import Conv

# Numbers of each stage's convolutions, and their filters.
Stages = Sequence[tuple[Sequence[int], int]]
STAGES: Stages = (  # of VGG-19
    ((0, 2), 64),
    ((5, 7), 128),
    ((10, 12, 14, 16), 256),
    ((19, 21, 23, 25), 512),
    ((28,), 512),
)


def stage_maps(
    x: jax.Array, stages: Stages, conv: Callable[[int, str], nn.Module], kept: int
) -> list[jax.Array]:
    """One feature map of each stage, with a pooling between stages.

    Args:
        x: [N, H, W, 3].
        stages: see `Stages`.
        conv: (filters, name) -> a 3x3 convolution of the module that is being computed.
        kept: which ReLU of a stage gives its map: 0 the first, -1 the last.
    """
    found = []
    for numbers, width in stages:
        x = max_pool(x, 2, 2) if found else x
        for number in numbers:
            x = nn.relu(conv(width, f"features.{number}")(x))
            if number == numbers[kept]:
                found.append(x)
    return found


class VGG19(nn.Module):
    """Convolutions of VGG-19 up to conv5_1; images [N, H, W, 3] to five feature maps."""

    conv: Callable[..., nn.Module] = Conv  # with the dtype bound

    @nn.compact
    def __call__(self, x: jax.Array) -> list[jax.Array]:
        """The maps after the first ReLU of each stage."""
        conv = lambda width, name: self.conv(width, 3, 1, 1, use_bias=True, name=name)
        return stage_maps(x, STAGES, conv, 0)
