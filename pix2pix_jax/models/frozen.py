"""Layers of networks that only measure: published weights, no training, float32 on every device.

Batch norm with its stored statistics is folded into the convolutions when the weights are read
(`pytorch/frozen.py`), so that a layer is a convolution with a bias.
"""

import flax.linen as nn
import jax
from jax import lax

from pix2pix_jax.models.convolution import cpu, winograd
from pix2pix_jax.models.convolution.geometry import Geometry
from pix2pix_jax.models.convolution.stock import DIMENSIONS

HIGHEST = lax.Precision.HIGHEST  # GPUs and TPUs would round to fewer bits


class FrozenConv(nn.Module):
    """Convolution with a bias; kernels and paddings may differ in height and width."""

    features: int
    kernel: tuple[int, int] = (3, 3)
    stride: int = 1
    padding: tuple[int, int] = (0, 0)
    dilation: int = 1

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Takes x [N, H, W, I] -> [N, h, w, features]."""
        shape = (*self.kernel, x.shape[-1], self.features)
        w = self.param("kernel", nn.initializers.zeros, shape)
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return self._convolve(x, w) + bias

    def _convolve(self, x: jax.Array, w: jax.Array) -> jax.Array:
        if self.kernel == (1, 1) and self.padding == (0, 0):
            x = x[:, :: self.stride, :: self.stride]
            return lax.dot_general(x, w[0, 0], (((3,), (0,)), ((), ())), precision=HIGHEST)
        square = self.kernel[0] == self.kernel[1] and self.padding[0] == self.padding[1]
        if square and self.dilation == 1:
            geometry = Geometry(*x.shape[1:3], self.kernel[0], self.stride, self.padding[0])
            if cpu.choose_conv(x, w, geometry) is winograd.conv:
                # Not on a GPU, whose own convolutions are fast, and exact only in plain form.
                return lax.platform_dependent(
                    x, w, cpu=lambda x, w: winograd.conv(x, w, geometry), default=self._plain
                )
        return self._plain(x, w)

    def _plain(self, x: jax.Array, w: jax.Array) -> jax.Array:
        # XLA's CPU convolution is several times slower without padding: pad, and cut the border.
        extra = self.stride if self.padding == (0, 0) else 0
        y = lax.conv_general_dilated(
            x,
            w,
            (self.stride, self.stride),
            [(p + extra, p + extra) for p in self.padding],
            rhs_dilation=(self.dilation, self.dilation),
            dimension_numbers=DIMENSIONS,
            precision=HIGHEST,
        )
        if not extra:
            return y
        height, width = (
            (n - self.dilation * (k - 1) - 1) // self.stride + 1
            for n, k in zip(x.shape[1:3], self.kernel, strict=True)
        )
        return y[:, 1 : 1 + height, 1 : 1 + width]


def max_pool(x: jax.Array, size: int, stride: int, padding: int = 0) -> jax.Array:
    """Largest of each window of x [N, H, W, C], as torch's MaxPool2d."""
    return nn.max_pool(x, (size, size), (stride, stride), ((padding, padding),) * 2)


def mean_pool(x: jax.Array) -> jax.Array:
    """Mean of the 3x3 pixels around each of x [N, H, W, C], as far as they lie in the image."""
    return nn.avg_pool(x, (3, 3), (1, 1), ((1, 1), (1, 1)), count_include_pad=False)
