"""Image files: finding them in a fixed order, decoding them to uint8 [H, W, C], writing them."""

import os
import pathlib
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from pix2pix_jax.runtime.whole_file import whole_file

Path = str | os.PathLike[str]
EXTENSIONS = {".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".tif", ".tiff", ".webp"}
ORIENTATION = 0x0112  # EXIF tag; values from 5 on lay the image on its side


def is_image(path: pathlib.PurePath) -> bool:
    """Whether a file is named like an image; hidden ones (macOS's ._1.jpg) are none."""
    return path.suffix.lower() in EXTENSIONS and not path.name.startswith(".")


def find_images(path: Path) -> list[pathlib.Path]:
    """The image at `path`, or all images below it, sorted by name (2 before 10).

    Raises:
        FileNotFoundError: there is nothing, or no image.
    """
    path = pathlib.Path(path)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise FileNotFoundError(f"there is no file or folder {path}{neighbours(path)}")
    found = [p for p in path.rglob("*") if is_image(p) and p.is_file()]
    if not found:
        kinds = " ".join(sorted(EXTENSIONS))
        raise FileNotFoundError(f"{path} holds no images ({kinds}): put some there")
    return sorted(found, key=lambda p: natural(p.relative_to(path).as_posix()))


def unique_names(paths: list[pathlib.Path], root: Path) -> list[str]:
    """Paths below `root` without their endings, but with them where two would be alike."""
    root = pathlib.Path(root)
    root = root if root.is_dir() else root.parent
    names = [path.relative_to(root) for path in paths]
    count = Counter(name.with_suffix("") for name in names)
    return [
        (name if count[name.with_suffix("")] > 1 else name.with_suffix("")).as_posix()
        for name in names
    ]


def natural(name: str) -> list[tuple[bool, int | str]]:
    """Sorting key that puts 2.jpg before 10.jpg."""
    return [
        (not part.isdecimal(), int(part) if part.isdecimal() else part)
        for part in re.split(r"(\d+)", name)
        if part
    ]


def neighbours(path: pathlib.Path) -> str:
    """Which folders exist where `path` does not, as the end of a sentence."""
    if not path.parent.is_dir():
        return ""
    names = sorted(p.name for p in path.parent.iterdir() if p.is_dir())
    return f"; {path.parent} has {', '.join(names) or 'no folders'}"


def open_image(file: Any, channels: int) -> np.ndarray:
    """Decodes an image to uint8 [H, W, channels]; 1 is luma, 3 RGB.

    Turned upright by its EXIF tag, transparency laid on white; 16 bits are scaled to 8 by the
    range of the format (not of the image), floating point from [0, 1].

    Raises:
        ValueError: values beyond those ranges.
        OSError, SyntaxError, PIL.Image.DecompressionBombError: damaged, or no image.
    """
    with Image.open(file) as image:
        image.load()
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I") or image.mode == "F":
            image = Image.fromarray(_eight_bits(np.asarray(image, np.float64), image.mode))
        if "A" in image.getbands() or "transparency" in image.info:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        array = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    return array.reshape(*array.shape[:2], channels)


def _eight_bits(array, mode):
    top = 1.0 if mode == "F" else 65535.0
    if not (array.min() >= 0 and array.max() <= top):  # NaN fails too
        raise ValueError(
            f"its values go from {array.min():g} to {array.max():g}, and images of this kind are "
            f"read from 0 to {top:g}; save it with 8 or 16 bits"
        )
    return np.round(array * (255 / top)).astype(np.uint8)


@contextmanager
def naming(name: Any) -> Iterator[None]:
    """Turns what PIL raises for a damaged image into a ValueError that names it."""
    try:
        yield
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(
            f"{name} cannot be read as an image ({error}): mend or remove it"
        ) from error


def read_image(path: Path, channels: int) -> np.ndarray:
    """The image file at `path`, as `open_image` decodes it.

    Raises:
        ValueError: the file is damaged or no image.
    """
    with naming(path):
        return open_image(path, channels)


def image_size(file: Any) -> tuple[int, int]:
    """(height, width) as `open_image` decodes it, from the header alone. Raises as that does."""
    with Image.open(file) as image:
        width, height = image.size
        # PIL gives a TIFF's size as turned, and would decode a whole PNG to look for the tag.
        tagged = image.format != "TIFF" and (image.format != "PNG" or "exif" in image.info)
        turned = tagged and image.getexif().get(ORIENTATION, 1) >= 5
    return (width, height) if turned else (height, width)


def save_png(path: Path, image: np.ndarray) -> None:
    """Writes uint8 [H, W, 1 or 3]; the file appears under its name only when it is whole."""
    squeezed = image[..., 0] if image.shape[-1] == 1 else image
    with whole_file(path) as temporary:
        Image.fromarray(squeezed).save(temporary, "PNG")
