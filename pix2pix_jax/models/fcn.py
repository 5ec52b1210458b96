"""Networks of the plain regression baselines: conv/deconv nets and FCN-32s/16s/8s."""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from pix2pix_jax.models.layers import Conv, ConvTranspose, Identity, check_multiple


class ConvDeconv(nn.Module):
    """Four strided convolutions and four transposed ones, without skips.

    Filters 3-8-16-32-64-32-16-8-3 at ngf 8: 87,315 parameters with batch norm.
    """

    out_channels: int = 3
    ngf: int = 8  # filters of the first layer, doubled by each of the next three
    norm: Callable[..., nn.Module] = Identity
    bias: bool = True  # of all convolutions
    conv: Callable[..., nn.Module] = Conv
    conv_transpose: Callable[..., nn.Module] = ConvTranspose

    divisor = 16  # heights and widths are multiples of this

    @nn.compact
    def __call__(self, x: jax.Array, *, running: bool = False, dropout: bool = False) -> jax.Array:
        """Translates x [N, H, W, C] to [N, H, W, out_channels] in [-1, 1]; has no dropout."""
        check_multiple(x, self.divisor, "the convolution/deconvolution net")
        for k in range(1, 5):
            x = self.conv(self.ngf * 2 ** (k - 1), use_bias=self.bias, name=f"conv_{k}")(x)
            x = nn.relu(self.norm(name=f"conv_norm_{k}")(x, running))
        for k in range(1, 4):
            features = self.ngf * 2 ** (3 - k)
            x = self.conv_transpose(features, use_bias=self.bias, name=f"deconv_{k}")(x)
            x = nn.relu(self.norm(name=f"deconv_norm_{k}")(x, running))
        x = self.conv_transpose(self.out_channels, use_bias=self.bias, name="deconv_4")(x)
        return jnp.tanh(x.astype(jnp.float32))


class FCN(nn.Module):
    """Fully convolutional network (Long et al. 2015, section 4) that regresses an image.

    An encoder of VGG-16's widths, a classifier of 1x1 convolutions on its last map, and, at
    strides 16 and 8, scores of the finer maps added before the last upsampling. Padding is
    "same" rather than 100 pixels, so nothing is cropped.
    """

    out_channels: int = 3
    stride: int = 8  # of the finest map that is scored: 32, 16 or 8
    ngf: int = 64  # filters of the first stage; VGG-16 has 64-128-256-512-512
    stage_convs: tuple[int, ...] = (2, 2, 3, 3, 3)  # convolutions of each stage
    split_upsampling: bool = False  # x2 layers in the place of the last x stride
    norm: Callable[..., nn.Module] = Identity
    bias: bool = True  # of all but the upsamplings
    dropout: float = 0.5  # in the classifier
    conv: Callable[..., nn.Module] = Conv
    conv_transpose: Callable[..., nn.Module] = ConvTranspose

    divisor = 32

    @nn.compact
    def __call__(self, x: jax.Array, *, running: bool = False, dropout: bool = True) -> jax.Array:
        """Translates x [N, H, W, C] to [N, H, W, out_channels] in [-1, 1].

        `running` normalises with the running statistics, `dropout` keeps dropout on.
        """
        check_multiple(x, self.divisor, f"FCN-{self.stride}s")
        drop = nn.Dropout(self.dropout, deterministic=not dropout)
        pools = {}
        for stage, count in enumerate(self.stage_convs, start=1):
            features = self.ngf * min(2 ** (stage - 1), 8)
            for i in range(1, count + 1):
                x = self._conv(features, 3, f"conv_{stage}_{i}")(x)
                x = nn.relu(self.norm(name=f"norm_{stage}_{i}")(x, running))
            x = pools[2**stage] = max_pool(x)

        for name in ("fc_6", "fc_7"):
            x = drop(nn.relu(self._conv(64 * self.ngf, 1, name)(x)))
        x = self._conv(self.out_channels, 1, "score_32")(x)
        for finer in (16, 8):
            if finer >= self.stride:
                x = self._upsample(x, 2, f"upscore_{finer}")
                x = x + self._conv(self.out_channels, 1, f"score_{finer}")(pools[finer])
        if not self.split_upsampling:
            x = self._upsample(x, self.stride, "upscore")
        else:
            for i in range(1, self.stride.bit_length()):
                x = self._upsample(x, 2, f"upscore_{i}")
        return jnp.tanh(x.astype(jnp.float32))

    def _conv(self, features, kernel, name):
        return self.conv(
            features, kernel, stride=1, padding=kernel // 2, use_bias=self.bias, name=name
        )

    def _upsample(self, x, factor, name):
        """A learned transposed convolution that begins as bilinear interpolation."""
        return self.conv_transpose(
            x.shape[-1], 2 * factor, factor, factor // 2, init=bilinear_init, name=name
        )(x)


@jax.custom_vjp
def max_pool(x: jax.Array) -> jax.Array:
    """Largest of each 2x2 pixels, [N, H, W, C] -> [N, H/2, W/2, C]; the first of equal ones.

    Elementwise, and so is the gradient: XLA's own pooling scatters it on a single CPU thread.
    """
    return functools.reduce(jnp.maximum, _quarters(x))


def _quarters(x):
    return [x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)]


def _max_pool_forward(x):
    return max_pool(x), x


def _max_pool_backward(x, gradient):
    largest, left, parts = max_pool(x), gradient, []
    for quarter in _quarters(x):
        hit = quarter == largest
        parts.append(jnp.where(hit, left, 0))
        left = jnp.where(hit, 0, left)
    n, height, width, channels = x.shape
    rows = [jnp.stack(parts[i : i + 2], axis=3) for i in (0, 2)]
    return (jnp.stack(rows, axis=2).reshape(n, height, width, channels),)


max_pool.defvjp(_max_pool_forward, _max_pool_backward)


def bilinear_init(key: jax.Array, shape: tuple[int, ...], dtype=jnp.float32) -> jax.Array:
    """Kernel [K, K, C, C] of the transposed convolution that interpolates by K / 2."""
    size = shape[0]
    distance = np.abs(np.arange(size) - (size - 1) / 2) / (size / 2)
    weights = np.multiply.outer(1 - distance, 1 - distance)
    return jnp.asarray(weights[..., None, None] * np.eye(*shape[2:]), dtype)
