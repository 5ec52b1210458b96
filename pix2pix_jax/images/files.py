"""Image files: decoding them to uint8 [H, W, C], and writing them."""

import pathlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from pix2pix_jax.images.finding import Path
from pix2pix_jax.runtime.whole_file import whole_file

# PIL goes by the content of a file, whatever its name, and for EPS would start Ghostscript.
FORMATS = ("JPEG", "PNG", "PPM", "BMP", "TIFF", "WEBP")
# Formats that results are written in: PIL's names and settings.
PICTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "png": ("PNG", {"compress_level": 4}),  # half of the time of PIL's 6, for 1 % of the size
    "jpg": ("JPEG", {"quality": 95}),
    "webp": ("WEBP", {"quality": 95}),
}
# Values of EXIF's tag Orientation, and what turns such an image upright.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
ON_ITS_SIDE = (5, 6, 7, 8)


def open_image(
    file: Any, channels: int, as_numbers: bool = False, background: str = "white"
) -> np.ndarray:
    """Decodes a path or binary file to uint8 [H, W, channels]; 1 channel is luma, 3 are RGB.

    Turned upright by its EXIF tag, transparency laid on `background`; 16 bits are scaled to 8 by
    the range of the format (not of the image), floating point from [0, 1]. With `as_numbers` those
    of 16 bits, or of a palette, are taken as they are, for 1 channel.

    Raises:
        Exception: of any kind that PIL raises for a damaged file, or ValueError for values beyond
            those ranges; `naming` makes one DamagedImage of them.
    """
    with Image.open(file, formats=FORMATS) as image:
        size, turn = _upright_size(image)
        image.load()
        if turn is not None:
            image = image.transpose(turn)
        array = to_array(image, channels, as_numbers, background)
    if array.shape[:2] != size:
        raise ValueError(f"its header says {size[1]}x{size[0]}, but it decodes to another size")
    return array


def to_array(
    image: Image.Image, channels: int, as_numbers: bool = False, background: str = "white"
) -> np.ndarray:
    """PIL's image as uint8 [H, W, channels], with the conversions of `open_image`.

    Raises:
        ValueError: values beyond the range of its kind.
    """
    if as_numbers and (image.mode == "P" or image.mode.startswith("I")):
        numbers = np.asarray(image)
        if not 0 <= numbers.min() <= numbers.max() <= 255:
            raise ValueError(
                f"it has numbers from {numbers.min()} to {numbers.max()}, not 0 to 255"
            )
        return numbers.astype(np.uint8)[..., None]
    if image.mode.startswith("I") or image.mode == "F":
        image = Image.fromarray(_eight_bits(np.asarray(image, np.float64), image.mode))
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, background), image)
    array = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    return array.reshape(*array.shape[:2], channels)


def in_channels(image: np.ndarray, channels: int) -> np.ndarray:
    """uint8 RGB, or of these channels already, as [H, W, channels]; 1 channel is luma."""
    if channels == image.shape[-1]:
        return image
    return np.asarray(Image.fromarray(np.ascontiguousarray(image)).convert("L"))[..., None]


def to_pil(image: np.ndarray) -> Image.Image:
    """uint8 [H, W, 1 or 3] as PIL's image, L or RGB."""
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)


def image_size(file: Any) -> tuple[int, int]:
    """(height, width) as `open_image` decodes it, from the header alone. Raises as that does."""
    with Image.open(file, formats=FORMATS) as image:
        return _upright_size(image)[0]


def _upright_size(image):
    """(height, width) of an opened image once it is upright, and the transposition to apply.

    Called before the pixels are decoded, so that the header alone and the whole file give the
    same answer: a tag that a PNG has only after its pixels does not count, nor does one that is
    damaged.
    """
    orientation = 1
    if image.format != "TIFF":  # PIL turns these itself, and gives the size as turned
        with suppress(Exception):
            # A PNG's own getexif would decode the pixels to look for a tag behind them.
            orientation = Image.Image.getexif(image).get(ExifTags.Base.Orientation)
    if not isinstance(orientation, int):
        orientation = 1
    size = image.size if orientation in ON_ITS_SIDE else image.size[::-1]
    return size, UPRIGHT.get(orientation)


def _eight_bits(array, mode):
    top = 1.0 if mode == "F" else 65535.0
    if not (array.min() >= 0 and array.max() <= top):  # NaN fails too
        raise ValueError(
            f"its values go from {array.min():g} to {array.max():g}, and images of this kind are "
            f"read from 0 to {top:g}; save it with 8 or 16 bits"
        )
    return np.round(array * (255 / top)).astype(np.uint8)


class DamagedImage(ValueError):
    """A file cannot be read as an image; the message names it, and says why."""


@contextmanager
def naming(name: Any) -> Iterator[None]:
    """Turns whatever PIL raises for a damaged image into a DamagedImage that names the image.

    Damage makes PIL raise nearly anything: struct.error, TypeError, IndexError, MemoryError, ...
    """
    try:
        yield
    except FileNotFoundError as error:
        raise DamagedImage(f"{name} cannot be read as an image: there is no such file") from error
    except IsADirectoryError as error:
        raise ValueError(f"{name} is a folder: give the image files in it") from error
    except Exception as error:
        reason = str(error) or type(error).__name__
        if isinstance(error, UnidentifiedImageError):  # whose text names the file again
            reason = _unknown(pathlib.Path(str(name)))
        elif isinstance(error, OSError) and error.strerror:
            reason = error.strerror
        raise DamagedImage(
            f"{name} cannot be read as an image ({reason}): replace or remove it"
        ) from error


def _unknown(path):
    """Why a file is none that PIL knows."""
    if path.is_file() and not path.stat().st_size:
        return "it is empty"
    tiff = path.suffix.lower() in (".tif", ".tiff")
    hint = "; a TIFF of other channels or numbers takes config.data.value_range" if tiff else ""
    return f"it is none of {', '.join(FORMATS)}{hint}"


def read_image(
    path: Path, channels: int, as_numbers: bool = False, background: str = "white"
) -> np.ndarray:
    """The image file at `path`, as `open_image` decodes it.

    Raises:
        DamagedImage: the file is damaged or not an image; the message names it.
    """
    with naming(path):
        return open_image(path, channels, as_numbers, background)


def read_mask(path: Path) -> np.ndarray:
    """The mask at `path`, uint8 [H, W, 1], white in the hole; what is transparent is not in it.

    Raises:
        ValueError: as `read_image` does.
    """
    return read_image(path, 1, background="black")


def save_picture(path: Path, image: np.ndarray) -> None:
    """Writes uint8 [H, W, 1 or 3] in the format of the path's ending, one of `PICTURES`."""
    name, settings = PICTURES[pathlib.PurePath(path).suffix.removeprefix(".")]
    with whole_file(path) as temporary:
        to_pil(image).save(temporary, name, **settings)


def save_png(path: Path, image: np.ndarray) -> None:
    """Writes uint8 [H, W, 1 or 3]; the file appears under its name only once it is complete."""
    with whole_file(path) as temporary:
        to_pil(image).save(temporary, "PNG", **PICTURES["png"][1])
