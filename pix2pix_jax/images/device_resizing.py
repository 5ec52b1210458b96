"""PIL's resize on the device, equal to it in every bit, for uint8 images of one size.

PIL resizes the width, rounds to uint8, then the height. Each output is a sum of neighbours with
weights of 22 binary places, in integers; here the neighbours of one pass are gathered at once.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from pix2pix_jax.images import pil_filters

PLACES = 22  # binary places of the weights


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
def taps(length: int, new_length: int, method: str) -> tuple[np.ndarray, np.ndarray]:
    """`pil_filters.taps` with the weights as PIL rounds them: positions and weights, int32."""
    positions, weights = pil_filters.taps(length, new_length, method)
    weights = np.trunc(weights * 2**PLACES + np.copysign(0.5, weights)).astype(np.int32)
    used = weights.any(axis=0)
    return positions[:, used], weights[:, used]
