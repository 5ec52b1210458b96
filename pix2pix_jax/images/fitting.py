"""Images of any size as a network takes them, and its results in their size again."""

from collections.abc import Callable

import numpy as np

from pix2pix_jax.images.resizing import resize

Restore = Callable[[np.ndarray], np.ndarray]  # of a result of the fitted size: the image's size


def fit(
    image: np.ndarray,
    how: str,
    crop_size: tuple[int, int],
    divisor: int,
    method: str = "bicubic",
) -> tuple[np.ndarray, Restore]:
    """An image, uint8 or a raster [H, W, C], in a size that a network takes.

    Args:
        image: of any size.
        how: resize (to crop_size), scale (the same in the image's own proportions: its
            shorter side becomes crop_size's, and the borders are mirrored up to the divisor) or
            pad (its own resolution, with such borders).
        crop_size: (height, width) of training.
        divisor: heights and widths that the network takes are its multiples.
        method: how the image is resized; its result is resized bicubically.

    Returns:
        the fitted image, and the function that brings a result of its size to [H, W, ...].
    """
    if how == "pad":
        return pad_to_multiple(image, divisor)
    size = image.shape[:2]
    back = lambda result: resize(result, size)
    if how == "resize":
        return resize(image, crop_size, method), back
    scaled = resize(image, scaled_size(size, min(crop_size)), method)
    fitted, cut = pad_to_multiple(scaled, divisor)
    return fitted, lambda result: back(cut(result))


def fitted_size(
    size: tuple[int, int], how: str, crop_size: tuple[int, int], divisor: int
) -> tuple[int, int]:
    """(height, width) that `fit` makes of an image's."""
    if how == "resize":
        return tuple(crop_size)
    if how == "scale":
        size = scaled_size(size, min(crop_size))
    return tuple(side + -side % divisor for side in size)


def scaled_size(size: tuple[int, int], shorter: int) -> tuple[int, int]:
    """(height, width) in the same proportions, with `shorter` as the shorter side."""
    return tuple(round(side * shorter / min(size)) for side in size)


def pad_to_multiple(image: np.ndarray, divisor: int) -> tuple[np.ndarray, Restore]:
    """Mirrors the right and lower border of [H, W, C] up to the next multiples of `divisor`.

    Returns:
        the larger image, and the function that cuts a result of its size to [H, W, ...].
    """
    height, width = image.shape[:2]
    pads = [(0, -height % divisor), (0, -width % divisor), (0, 0)]
    return np.pad(image, pads, mode="symmetric"), lambda result: result[:height, :width]
