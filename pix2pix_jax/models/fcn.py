"""Networks of the plain regression baselines: conv/deconv nets and FCN-32s/16s/8s."""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from pix2pix_jax.models.layers import Conv, ConvTranspose, check_multiple, with_features
from pix2pix_jax.models.normalization import Identity


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
    def __call__(
        self,
        x: jax.Array,
        *,
        running: bool = False,
        dropout: bool = False,
        features: tuple[str, ...] = (),
    ) -> Any:
        """Translates x [N, H, W, C] to [N, H, W, out_channels] in [-1, 1]; has no dropout.

        With `features`, names of layers (conv_1, ..., deconv_4), returns (images, {name: what the
        layer gives, before norm and activation}).
        """
        check_multiple(x, self.divisor, "the convolution/deconvolution net")
        layers = {}
        for k in range(1, 5):
            conv = self.conv(self.ngf * 2 ** (k - 1), use_bias=self.bias, name=f"conv_{k}")
            x = layers[f"conv_{k}"] = conv(x)
            x = nn.relu(self.norm(name=f"conv_norm_{k}")(x, running))
        for k in range(1, 5):
            width = self.ngf * 2 ** (3 - k) if k < 4 else self.out_channels
            deconv = self.conv_transpose(width, use_bias=self.bias, name=f"deconv_{k}")
            x = layers[f"deconv_{k}"] = deconv(x)
            if k < 4:
                x = nn.relu(self.norm(name=f"deconv_norm_{k}")(x, running))
        return with_features(jnp.tanh(x.astype(jnp.float32)), layers, features)


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
    def __call__(
        self,
        x: jax.Array,
        *,
        running: bool = False,
        dropout: bool = True,
        features: tuple[str, ...] = (),
    ) -> Any:
        """Translates x [N, H, W, C] to [N, H, W, out_channels] in [-1, 1].

        `running` normalises with the running statistics, `dropout` keeps dropout on. With
        `features`, names of layers (conv_1_1, ..., pool_1, ..., fc_7, score_32), returns (images,
        {name: what the layer gives, before norm and activation}).
        """
        check_multiple(x, self.divisor, f"FCN-{self.stride}s")
        drop = nn.Dropout(self.dropout, deterministic=not dropout)
        layers = {}
        for stage, count in enumerate(self.stage_convs, start=1):
            width = self.ngf * min(2 ** (stage - 1), 8)
            for i in range(1, count + 1):
                name = f"conv_{stage}_{i}"
                x = layers[name] = self._conv(width, 3, name)(x)
                x = nn.relu(self.norm(name=f"norm_{stage}_{i}")(x, running))
            x = layers[f"pool_{stage}"] = max_pool(x)

        for name in ("fc_6", "fc_7"):
            x = layers[name] = self._conv(64 * self.ngf, 1, name)(x)
            x = drop(nn.relu(x))
        x = layers["score_32"] = self._conv(self.out_channels, 1, "score_32")(x)
        for finer, pool in ((16, "pool_4"), (8, "pool_3")):
            if finer >= self.stride:
                x = self._upsample(x, 2, f"upscore_{finer}")
                x = x + self._conv(self.out_channels, 1, f"score_{finer}")(layers[pool])
        if not self.split_upsampling:
            x = self._upsample(x, self.stride, "upscore")
        else:
            for i in range(1, self.stride.bit_length()):
                x = self._upsample(x, 2, f"upscore_{i}")
        return with_features(jnp.tanh(x.astype(jnp.float32)), layers, features)

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
    # By comparisons, not by what equals the largest: XLA may compute x again, rounded otherwise,
    # and of two such values neither need be equal; one of the four is chosen in any case.
    a, b, c, d = _quarters(x)
    upper = jnp.maximum(a, b) >= jnp.maximum(c, d)
    left_above, left_below = a >= b, c >= d
    hits = [upper & left_above, upper & ~left_above, ~upper & left_below, ~upper & ~left_below]
    parts = [jnp.where(hit, gradient, 0) for hit in hits]
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
