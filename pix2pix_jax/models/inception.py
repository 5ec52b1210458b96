"""Inception-v3 as FID and KID use it (Szegedy et al. 2016, in the weights of 2015-12-05).

It differs from the usual Inception-v3: average pools leave out what lies beyond the border, and the
last block has a maximum in the place of one. Modules have the names of the published file.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from pix2pix_jax.models.frozen import FrozenConv, max_pool, mean_pool

FEATURES = 2048
SIZE = 299  # pixels, the height and width that images are resized to

Pool = Callable[[jax.Array], jax.Array]


class Inception(nn.Module):
    """Images [N, H, W, 3] in [-1, 1] to features [N, 2048], the means over the last map."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """H and W are at least 75."""
        x = ConvRelu(32, 3, stride=2, name="Conv2d_1a_3x3")(x)
        x = ConvRelu(32, 3, name="Conv2d_2a_3x3")(x)
        x = ConvRelu(64, 3, padding=1, name="Conv2d_2b_3x3")(x)
        x = max_pool(x, 3, 2)
        x = ConvRelu(80, name="Conv2d_3b_1x1")(x)
        x = ConvRelu(192, 3, name="Conv2d_4a_3x3")(x)
        x = max_pool(x, 3, 2)
        for letter, width in zip("bcd", (32, 64, 64), strict=True):
            x = BlockA(width, name=f"Mixed_5{letter}")(x)
        x = ReductionA(name="Mixed_6a")(x)
        for letter, width in zip("bcde", (128, 160, 160, 192), strict=True):
            x = BlockB(width, name=f"Mixed_6{letter}")(x)
        x = ReductionB(name="Mixed_7a")(x)
        x = BlockC(mean_pool, name="Mixed_7b")(x)
        x = BlockC(lambda x: max_pool(x, 3, 1, padding=1), name="Mixed_7c")(x)
        return x.mean((1, 2))


class ConvRelu(nn.Module):
    """Convolution, with its batch norm folded in, and ReLU."""

    features: int
    kernel: int | tuple[int, int] = 1
    stride: int = 1
    padding: int | tuple[int, int] = 0

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Takes x [N, H, W, I] -> [N, h, w, features]."""
        kernel, padding = (
            v if isinstance(v, tuple) else (v, v) for v in (self.kernel, self.padding)
        )
        conv = FrozenConv(self.features, kernel, self.stride, padding, name="conv")
        return nn.relu(conv(x))


ROW, COLUMN = (
    {"kernel": (1, 7), "padding": (0, 3)},
    {"kernel": (7, 1), "padding": (3, 0)},
)


class BlockA(nn.Module):
    """At 35x35: 1x1, 5x5, two 3x3, pool."""

    pool_features: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Takes x [N, H, W, I] -> [N, H, W, 224 + pool_features]."""
        a = ConvRelu(64, name="branch1x1")(x)
        b = ConvRelu(48, name="branch5x5_1")(x)
        b = ConvRelu(64, 5, padding=2, name="branch5x5_2")(b)
        c = ConvRelu(64, name="branch3x3dbl_1")(x)
        c = ConvRelu(96, 3, padding=1, name="branch3x3dbl_2")(c)
        c = ConvRelu(96, 3, padding=1, name="branch3x3dbl_3")(c)
        d = ConvRelu(self.pool_features, name="branch_pool")(mean_pool(x))
        return jnp.concatenate([a, b, c, d], -1)


class ReductionA(nn.Module):
    """From 35x35 to 17x17."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Takes x [N, H, W, I] -> [N, h, w, I + 480]."""
        a = ConvRelu(384, 3, stride=2, name="branch3x3")(x)
        b = ConvRelu(64, name="branch3x3dbl_1")(x)
        b = ConvRelu(96, 3, padding=1, name="branch3x3dbl_2")(b)
        b = ConvRelu(96, 3, stride=2, name="branch3x3dbl_3")(b)
        return jnp.concatenate([a, b, max_pool(x, 3, 2)], -1)


class BlockB(nn.Module):
    """At 17x17: 1x1, 7x7 as 1x7 and 7x1, two of these, pool."""

    width: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Takes x [N, H, W, I] -> [N, H, W, 768]."""
        a = ConvRelu(192, name="branch1x1")(x)
        b = ConvRelu(self.width, name="branch7x7_1")(x)
        b = ConvRelu(self.width, **ROW, name="branch7x7_2")(b)
        b = ConvRelu(192, **COLUMN, name="branch7x7_3")(b)
        c = ConvRelu(self.width, name="branch7x7dbl_1")(x)
        c = ConvRelu(self.width, **COLUMN, name="branch7x7dbl_2")(c)
        c = ConvRelu(self.width, **ROW, name="branch7x7dbl_3")(c)
        c = ConvRelu(self.width, **COLUMN, name="branch7x7dbl_4")(c)
        c = ConvRelu(192, **ROW, name="branch7x7dbl_5")(c)
        d = ConvRelu(192, name="branch_pool")(mean_pool(x))
        return jnp.concatenate([a, b, c, d], -1)


class ReductionB(nn.Module):
    """From 17x17 to 8x8."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Takes x [N, H, W, I] -> [N, h, w, I + 512]."""
        a = ConvRelu(192, name="branch3x3_1")(x)
        a = ConvRelu(320, 3, stride=2, name="branch3x3_2")(a)
        b = ConvRelu(192, name="branch7x7x3_1")(x)
        b = ConvRelu(192, **ROW, name="branch7x7x3_2")(b)
        b = ConvRelu(192, **COLUMN, name="branch7x7x3_3")(b)
        b = ConvRelu(192, 3, stride=2, name="branch7x7x3_4")(b)
        return jnp.concatenate([a, b, max_pool(x, 3, 2)], -1)


class BlockC(nn.Module):
    """At 8x8: 1x1, 3x3 forked into 1x3 and 3x1, the same after another 3x3, pool."""

    pool: Pool

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Takes x [N, H, W, I] -> [N, H, W, 2048]."""
        row = {"kernel": (1, 3), "padding": (0, 1)}
        column = {"kernel": (3, 1), "padding": (1, 0)}
        a = ConvRelu(320, name="branch1x1")(x)
        b = ConvRelu(384, name="branch3x3_1")(x)
        b = [
            ConvRelu(384, **row, name="branch3x3_2a")(b),
            ConvRelu(384, **column, name="branch3x3_2b")(b),
        ]
        c = ConvRelu(448, name="branch3x3dbl_1")(x)
        c = ConvRelu(384, 3, padding=1, name="branch3x3dbl_2")(c)
        c = [
            ConvRelu(384, **row, name="branch3x3dbl_3a")(c),
            ConvRelu(384, **column, name="branch3x3dbl_3b")(c),
        ]
        d = ConvRelu(192, name="branch_pool")(self.pool(x))
        return jnp.concatenate([a, *b, *c, d], -1)
