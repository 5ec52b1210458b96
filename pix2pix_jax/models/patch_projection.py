"""Projection head of CUT: features of patches to vectors of length 1 (Park et al. 2020, 3.2)."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from pix2pix_jax.models.layers import Initializer, kernel_init


class PatchProjection(nn.Module):
    """A perceptron of two layers for each layer of the generator that features come from.

    560,384 parameters for CUT's five layers, of 3, 128, 256, 256 and 256 channels.
    """

    width: int = 256
    initializer: Initializer = kernel_init("xavier", 0.02)  # of the kernels

    @nn.compact
    def __call__(self, features: Sequence[jax.Array]) -> list[jax.Array]:
        """Takes a [..., C] for each layer -> a [..., width] for each, of length 1."""
        projected = []
        for i, x in enumerate(features):
            x = nn.relu(nn.Dense(self.width, kernel_init=self.initializer, name=f"first_{i}")(x))
            x = nn.Dense(self.width, kernel_init=self.initializer, name=f"second_{i}")(x)
            squares = jnp.square(x).sum(-1, keepdims=True)
            length = jnp.sqrt(squares + 1e-30)  # its derivative is finite at 0
            projected.append(x / (length + 1e-7))
        return projected


def patches(features: jax.Array, positions: jax.Array) -> jax.Array:
    """Features [N, H, W, C] at `positions` [S], row * W + column, of every image: [N, S, C]."""
    return features.reshape(features.shape[0], -1, features.shape[-1])[:, positions]
