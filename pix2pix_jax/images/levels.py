"""uint8 levels, as files and the host have them, and float32 in [-1, 1], as networks see them.

The host has rasters (see `pixel_format`) as networks see them.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np


def to_float(images: jax.Array) -> jax.Array:
    """uint8 levels to float32 in [-1, 1]; rasters as they are."""
    if images.dtype == jnp.float32:
        return images
    return images.astype(jnp.float32) / 127.5 - 1.0


def to_uint8(images: jax.Array) -> jax.Array:
    """[-1, 1] to the nearest uint8 level; the inverse of `to_float`."""
    return jnp.round(jnp.clip((images + 1.0) * 127.5, 0, 255)).astype(jnp.uint8)


def like(images: jax.Array, others: jax.Array) -> jax.Array:
    """Images in [-1, 1] as uint8 levels if `others` are levels, else clipped to [-1, 1]."""
    return to_uint8(images) if others.dtype == jnp.uint8 else jnp.clip(images, -1.0, 1.0)


def to_picture(image: np.ndarray, shown: Sequence[int] = ()) -> np.ndarray:
    """uint8 [H, W, 1 or 3] as it is; of a raster [H, W, C] some channels, as levels.

    Args:
        image: uint8, or float32 in [-1, 1].
        shown: numbers of one channel, or of those for red, green and blue; empty, or where an
            image has no such channels: the first three, or the first of fewer.
    """
    if image.dtype == np.uint8:
        return image
    channels = image.shape[-1]
    if not shown or max(shown) >= channels:
        shown = (0, 1, 2) if channels >= 3 else (0,)
    return np.round((image[..., list(shown)] + 1) * 127.5).clip(0, 255).astype(np.uint8)
