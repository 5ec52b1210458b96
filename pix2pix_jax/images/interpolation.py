"""Resizing of float images as products with matrices: PyTorch's bilinear and PIL's filters.

`resizing` has PIL itself, for uint8. A metric's networks take images that are not rounded after
the resize, and take them on the device.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from pix2pix_jax.images import pil_filters


def torch_bilinear(size: int, new_size: int) -> np.ndarray:
    """[new_size, size] of torch's interpolate with mode="bilinear" and align_corners=False."""
    position = np.maximum((np.arange(new_size) + 0.5) * (size / new_size) - 0.5, 0)
    low = np.minimum(position.astype(int), size - 1)
    high = np.minimum(low + 1, size - 1)
    columns = np.arange(size)
    share = (position - low)[:, None]
    return (1 - share) * (columns == low[:, None]) + share * (columns == high[:, None])


def pil_bilinear(size: int, new_size: int) -> np.ndarray:
    """[new_size, size] of PIL's bilinear resize."""
    return _pil_matrix(size, new_size, "bilinear")


def pil_bicubic(size: int, new_size: int) -> np.ndarray:
    """[new_size, size] of PIL's bicubic resize."""
    return _pil_matrix(size, new_size, "bicubic")


def _pil_matrix(size, new_size, method):
    positions, weights = pil_filters.taps(size, new_size, method)
    matrix = np.zeros((new_size, size))
    np.add.at(matrix, (np.arange(new_size)[:, None], positions), weights)
    return matrix


def resize(
    images: jax.Array, size: tuple[int, int], matrix: Callable[[int, int], np.ndarray]
) -> jax.Array:
    """Resizes images float32 [N, H, W, C] to `size` (height, width) by one of the above.

    Can be jitted; float32 on every device.
    """
    height, width = images.shape[1:3]
    if (height, width) == tuple(size):
        return images
    rows, columns = (
        jnp.asarray(matrix(*sizes), jnp.float32) for sizes in ((height, size[0]), (width, size[1]))
    )
    highest = jax.lax.Precision.HIGHEST
    images = jnp.einsum("nhwc,vw->nhvc", images, columns, precision=highest)
    return jnp.einsum("nhwc,uh->nuwc", images, rows, precision=highest)
