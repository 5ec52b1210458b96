"""The deterministic half of the jitter: resizing, by PIL, as the PyTorch baseline does it.

It has no randomness, so each image is resized once, when it is loaded, and the resized uint8
image is what the device keeps: exactly PIL's pixels, and nothing to resize in a training step. (Of
images that stream, those that are enlarged are left to the device, see `device_resizing`.)
"""

import numpy as np
from PIL import Image

METHODS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "nearest": Image.Resampling.NEAREST,
}


def resize(image: np.ndarray, size: tuple[int, int], method: str = "bicubic") -> np.ndarray:
    """PIL's resize of uint8 [H, W, 1 or 3], or of a float raster [H, W, C], to `size`.

    Args:
        image: uint8, or float32 in [-1, 1], where bicubic overshoots are clipped.
        size: (height, width).
        method: of METHODS.
    """
    if image.shape[:2] == tuple(size):
        return image
    if image.dtype != np.uint8:
        bands = (Image.fromarray(band) for band in np.moveaxis(image, -1, 0))
        resized = [np.asarray(band.resize(size[::-1], METHODS[method])) for band in bands]
        return np.stack(resized, axis=-1).clip(-1, 1)
    squeezed = image[..., 0] if image.shape[-1] == 1 else image
    resized = np.asarray(Image.fromarray(squeezed).resize(size[::-1], METHODS[method]))
    return resized.reshape(*size, image.shape[-1])


def target_size(
    height: int,
    width: int,
    preprocess: str,
    load_size: tuple[int, int],
    crop_size: tuple[int, int],
) -> tuple[int, int]:
    """(height, width) that an image is resized to before the crop.

    resize_and_crop: load_size. scale_width, scale_width_and_crop: load_size's width, the height
    in proportion but no less than crop_size's. crop: as it is. none: multiples of 4.
    """
    if preprocess == "resize_and_crop":
        return tuple(load_size)
    if preprocess in ("scale_width", "scale_width_and_crop"):
        return int(max(load_size[1] * height / width, crop_size[0])), load_size[1]
    if preprocess == "none":
        return round(height / 4) * 4, round(width / 4) * 4
    return height, width


def crops(preprocess: str) -> bool:
    """Whether a random crop follows the resize."""
    return "crop" in preprocess
