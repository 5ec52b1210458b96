"""Dilated residual networks that segment (Yu et al. 2017): DRN-D-22 and DRN-D-105.

The output has an eighth of the image's size, and is enlarged by a fixed bilinear interpolation.
Modules have the names of the published files.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from pix2pix_jax.models.frozen import HIGHEST, FrozenConv

CHANNELS = (16, 32, 64, 128, 256, 512, 512, 512)
STRIDES = (1, 2, 2, 2, 1, 1)  # of levels 1 to 6
DILATIONS = (1, 1, 1, 1, 2, 4, 2, 1)  # of levels 1 to 8
FACTOR = 8  # of the enlargement


class DRN(nn.Module):
    """Images [N, H, W, 3], normalised, to class scores [N, H, W, classes]; H, W multiples of 8.

    The logarithm of the softmax that follows in the original is left out: at a pixel it takes the
    same number from all classes, also when it is interpolated after that.
    """

    blocks: tuple[int, int, int, int] = (2, 2, 2, 2)  # in levels 3 to 6; D-105: 3, 4, 23, 3
    bottleneck: bool = False  # blocks of three convolutions (D-105) instead of two (D-22)
    classes: int = 19
    widths: tuple[int, ...] = CHANNELS

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Scores of every class at every pixel."""
        height, width = x.shape[1:3]
        x = nn.relu(FrozenConv(self.widths[0], (7, 7), 1, (3, 3), name="base.0.0")(x))
        for level, channels in enumerate(self.widths, start=1):
            dilation = DILATIONS[level - 1]
            stride = STRIDES[level - 1] if level <= 6 else 1
            if level in (3, 4, 5, 6):
                for i in range(self.blocks[level - 3]):
                    x = self._block(x, f"base.{level}.{i}", channels, stride, dilation)
                    stride = 1
            else:
                name, padding = f"base.{level}.0", (dilation, dilation)
                x = nn.relu(FrozenConv(channels, (3, 3), stride, padding, dilation, name=name)(x))
        x = FrozenConv(self.classes, (1, 1), name="seg")(x)
        return enlarge(x)[:, :height, :width]

    def _block(self, x, name, channels, stride, dilation):
        """A residual block; its convolutions have their batch norms folded in."""
        three = {"kernel": (3, 3), "padding": (dilation, dilation), "dilation": dilation}
        if self.bottleneck:
            y = nn.relu(FrozenConv(channels, (1, 1), name=f"{name}.conv1")(x))
            y = nn.relu(FrozenConv(channels, stride=stride, **three, name=f"{name}.conv2")(y))
            channels = 4 * channels
            y = FrozenConv(channels, (1, 1), name=f"{name}.conv3")(y)
        else:
            y = nn.relu(FrozenConv(channels, stride=stride, **three, name=f"{name}.conv1")(x))
            y = FrozenConv(channels, **three, name=f"{name}.conv2")(y)
        if stride > 1 or x.shape[-1] != channels:
            x = FrozenConv(channels, (1, 1), stride, name=f"{name}.downsample.0")(x)
        return nn.relu(x + y)


DRN_D_22 = DRN()
DRN_D_105 = DRN((3, 4, 23, 3), bottleneck=True)


def enlarge(x: jax.Array) -> jax.Array:
    """x [N, h, w, C] -> [N, 8 h, 8 w, C]: the transposed convolution 16, stride 8, padding 4.

    Its kernel is that of bilinear interpolation, the same for all classes; beyond the border is 0.
    """
    kernel = 1 - np.abs(np.arange(2 * FACTOR) / FACTOR - 15 / 16)
    for axis in (1, 2):
        size = x.shape[axis]
        tap = np.arange(FACTOR * size)[:, None] + FACTOR // 2 - FACTOR * np.arange(size)
        inside = (tap >= 0) & (tap < 2 * FACTOR)
        matrix = np.where(inside, kernel[np.clip(tap, 0, 2 * FACTOR - 1)], 0)
        matrix = jnp.asarray(matrix, jnp.float32)
        x = jnp.moveaxis(jnp.tensordot(matrix, x, ((1,), (axis,)), precision=HIGHEST), 0, axis)
    return x
