"""Pictures as the page takes and shows them: uint8 [H, W, 3], no side longer than MAX_SIDE."""

import functools
import os

import numpy as np
from PIL import Image

from pix2pix_jax.data.synthetic import SyntheticFacades
from pix2pix_jax.images.files import image_size, naming, open_image
from pix2pix_jax.images.resizing import resize

MAX_SIDE = 1024  # longer images are scaled down, so that every answer comes in seconds
MAX_PIXELS = 2**25  # of an upload; larger ones are refused before they are decoded
DECODED = 4  # uploads kept in memory: moving a slider does not decode them again


def read_upload(path: str | None, what: str) -> np.ndarray:
    """The image at `path`, scaled down where it is longer than MAX_SIDE; not to be written to.

    Raises:
        ValueError: there is none, it is damaged or has too many pixels; the message calls it
            `what`.
    """
    if not path:
        raise ValueError(f"choose {what}")
    with naming(what):
        height, width = image_size(path)  # the header alone
    if height * width > MAX_PIXELS:
        raise ValueError(
            f"{what} is {width}x{height}: scale it down to {MAX_PIXELS / 1e6:.0f} million pixels"
        )
    with naming(what):
        return _decoded(path, os.stat(path).st_mtime_ns)


@functools.lru_cache(maxsize=DECODED)
def _decoded(path, written):
    image = scaled(open_image(path, 3))
    image.flags.writeable = False
    return image


def scaled(image: np.ndarray) -> np.ndarray:
    """The image, scaled down if a side is longer than MAX_SIDE."""
    ratio = MAX_SIDE / max(image.shape[:2])
    if ratio >= 1:
        return image
    return resize(image, tuple(max(1, round(side * ratio)) for side in image.shape[:2]))


def flatten(drawing: dict | None, ground: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """What an ImageEditor holds: uint8 [H, W, 3] with its strokes on `ground`, and where they are.

    Strokes get hard edges: a mixture of the colours of two labels would be the colour of a third.

    Raises:
        ValueError: nothing was uploaded or drawn.
    """
    pictures = [drawing["background"], *drawing["layers"]] if drawing else []
    pictures = [np.asarray(picture) for picture in pictures if picture is not None]
    if not any(picture[..., 3].any() for picture in pictures):
        raise ValueError("upload an image, or draw one")
    height, width = pictures[0].shape[:2]
    image = Image.new("RGBA", (width, height), (*ground, 255))
    if drawing["background"] is not None:
        image.alpha_composite(Image.fromarray(pictures.pop(0)))
    image = np.asarray(image.convert("RGB")).copy()
    strokes = np.zeros((height, width), bool)
    for layer in pictures:
        solid = layer[..., 3] > 127
        image[solid] = layer[solid, :3]
        strokes |= solid
    return image, strokes


def as_rgb(image: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 1 or 3] -> [H, W, 3]."""
    return np.broadcast_to(image, (*image.shape[:2], 3))


def example(size: int, kind: str, seed: int = 0) -> np.ndarray:
    """A synthetic facade, uint8 [size, size, 3]; `kind` is photo, labels or night."""
    domain = "night" if kind == "night" else "labels"
    record = SyntheticFacades("demo", 1, max(32, size), seed, domain)[0]
    return record["A" if kind == "photo" else "B"]
