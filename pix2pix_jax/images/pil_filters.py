"""The filters of PIL's resize along one axis, which average where the axis shrinks."""

import math

import numpy as np


def _bicubic(x):
    """Keys's kernel with a = -0.5."""
    near, far = (1.5 * x - 2.5) * x * x + 1, -0.5 * (((x - 5) * x + 8) * x - 4)
    return np.where(x < 1, near, np.where(x < 2, far, 0))


KERNELS = {  # function of the distance, and where it ends
    "bicubic": (_bicubic, 2),
    "bilinear": (lambda x: np.maximum(1 - x, 0), 1),
}


def taps(length: int, new_length: int, method: str) -> tuple[np.ndarray, np.ndarray]:
    """Which of `length` pixels make each of the `new_length`, and their shares.

    The kernel is stretched where the row shrinks, and its weights sum to 1 inside the image.

    Args:
        length: pixels before.
        new_length: pixels after.
        method: of KERNELS.

    Returns:
        positions int [new_length, taps] and weights float64 [new_length, taps], 0 for taps beyond
        the image or the kernel.
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
    return np.minimum(positions, length - 1), weights
