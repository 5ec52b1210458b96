"""PIL's resize on the device, equal to it in every bit, for uint8 images of one size.

PIL resizes the width, rounds to uint8, then the height. Each output is a sum of neighbours with
weights of 22 binary places, in integers; here the neighbours of one pass are gathered at once.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

PLACES = 22  # binary places of the weights
Taps = tuple[np.ndarray, np.ndarray]


def _bicubic(x):
    """Keys's kernel with a = -0.5."""
    near, far = (1.5 * x - 2.5) * x * x + 1, -0.5 * (((x - 5) * x + 8) * x - 4)
    return np.where(x < 1, near, np.where(x < 2, far, 0))


KERNELS = {  # function of the distance, and where it ends
    "bicubic": (_bicubic, 2),
    "bilinear": (lambda x: np.maximum(1 - x, 0), 1),
}


def resize(images: jax.Array, size: tuple[int, int], method: str = "bicubic") -> jax.Array:
    """What `resizing.resize` makes of each image: uint8 [N, H, W, C] to [N, *size, C].

    Args:
        images: uint8.
        size: (height, width).
        method: bicubic or bilinear.
    """
    for axis, length in ((2, size[1]), (1, size[0])):
        if images.shape[axis] != length:
            images = _one_pass(images, axis, taps(images.shape[axis], length, method))
    return images


def _one_pass(images, axis, taps):
    positions, weights = taps
    gathered = [jnp.take(images, column, axis).astype(jnp.int32) for column in positions.T]
    along = [-1 if i == axis else 1 for i in range(images.ndim)]
    # Summed by a reduction: XLA does not fuse what makes its operands into it, which on CPU would
    # compute the first pass anew for every tap of the second.
    total = (jnp.stack(gathered) * weights.T.reshape(len(gathered), *along)).sum(0)
    rounded = (total + (1 << (PLACES - 1))) >> PLACES
    return jnp.clip(rounded, 0, 255).astype(jnp.uint8)


@functools.cache
def taps(length: int, new_length: int, method: str) -> Taps:
    """Which pixels of a row make each of the new ones: positions and weights, int32 [new, taps].

    The kernel is stretched where the row shrinks, and its weights sum to 1 inside the image.
    """
    kernel, reach = KERNELS[method]
    scale = length / new_length
    stretch = max(scale, 1.0)
    centers = (np.arange(new_length) + 0.5) * scale
    first = np.maximum((centers - reach * stretch + 0.5).astype(np.int32), 0)
    end = np.minimum((centers + reach * stretch + 0.5).astype(np.int32), length)
    positions = first[:, None] + np.arange(math.ceil(reach * stretch) * 2 + 1)
    inside = positions < end[:, None]
    distances = np.abs((positions - centers[:, None] + 0.5) * (1 / stretch))
    weights = np.where(inside, kernel(distances), 0)
    weights /= np.cumsum(weights, axis=1)[:, -1:]  # in order, as PIL's sum
    weights = np.trunc(weights * 2**PLACES + np.copysign(0.5, weights)).astype(np.int32)
    used = weights.any(axis=0)
    return np.minimum(positions, length - 1)[:, used], weights[:, used]
