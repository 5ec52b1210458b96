"""Files with any number of channels of 8 or 16 bits or floating point: TIFF, PNG and .npy.

`files` reads photographs, as uint8 with 1 or 3 channels; here files keep their numbers.
"""

import pathlib
import struct
import zlib
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from pix2pix_jax.images.files import FORMATS, image_size, open_image
from pix2pix_jax.images.finding import EXTENSIONS, Path
from pix2pix_jax.runtime.whole_file import whole_file

RASTER_EXTENSIONS = EXTENSIONS | {".npy"}
NPY_SIGNATURE = b"\x93NUMPY"
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_CHANNELS = {0: 1, 2: 3, 6: 4}  # of the colour types that can have 16 bits and be read here
TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


class FileKind(NamedTuple):
    """How numbers are stored."""

    suffix: str  # .tif, .png or .npy
    dtype: np.dtype


def is_raster(path: pathlib.PurePath) -> bool:
    """Whether a file has the name of one that is read here; hidden files are left out."""
    return path.suffix.lower() in RASTER_EXTENSIONS and not path.name.startswith(".")


def kind_of(path: Path) -> FileKind:
    """How a file stores its numbers; photographs in other formats count as 8-bit PNG."""
    signature = _signature(path)
    if signature.startswith(NPY_SIGNATURE):
        suffix, dtype = ".npy", np.load(path, mmap_mode="r", allow_pickle=False).dtype
    elif signature.startswith(TIFF_SIGNATURES):
        with _tiff(path) as tiff:
            suffix, dtype = ".tif", tiff.series[0].dtype
    else:
        suffix, dtype = ".png", np.uint16 if _is_deep_png(signature) else np.uint8
    return FileKind(suffix, np.dtype(dtype).newbyteorder("="))


def read(path: Path, channels: int) -> np.ndarray:
    """The numbers of a file, [H, W, channels].

    Photographs of 8 bits become gray or RGB if 1 or 3 channels are wanted, as in `files`.

    Args:
        path: of the file; its content decides on the format.
        channels: that it must have.

    Raises:
        Exception: of any kind for a damaged file, ValueError for other channels or numbers;
            `files.naming` makes one ValueError of them.
    """
    signature = _signature(path)
    if signature.startswith(NPY_SIGNATURE):
        array = np.load(path, allow_pickle=False)
        array = array[..., None] if array.ndim == 2 else array
    elif signature.startswith(TIFF_SIGNATURES):
        array = _read_tiff(path, channels)
    elif _is_deep_png(signature):
        array = _read_deep_png(path, signature)
    elif channels in (1, 3):
        return open_image(path, channels)
    else:
        with Image.open(path, formats=FORMATS) as image:
            array = np.atleast_3d(np.asarray(image))
    if array.ndim != 3 or array.dtype.kind not in "uif":
        raise ValueError(
            f"it has {array.dtype} of shape {array.shape}, and no [H, W, C] of numbers"
        )
    if array.shape[-1] != channels:
        raise ValueError(
            f"it has {array.shape[-1]} channels, and config.data.input_channels (of a target: "
            f"output_channels) is {channels}"
        )
    return array


def size(path: Path, channels: int) -> tuple[int, int]:
    """(height, width) of what `read` gives, from the header alone. Raises as that does."""
    signature = _signature(path)
    if signature.startswith(NPY_SIGNATURE):
        height, width = np.load(path, mmap_mode="r", allow_pickle=False).shape[:2]
        return height, width
    if signature.startswith(TIFF_SIGNATURES):
        with _tiff(path) as tiff:
            series = tiff.series[0]
            sides = list(series.shape)
            if len(sides) == 3:
                del sides[_channel_axis(series.axes, series.shape, channels)]
            height, width = sides
        return height, width
    if channels in (1, 3) and not _is_deep_png(signature):
        return image_size(path)
    with Image.open(path, formats=FORMATS) as image:
        return image.size[::-1]


def save(path: Path, array: np.ndarray) -> None:
    """Writes [H, W, C] as .tif, .npy or .png (uint8 or uint16, up to 4 channels), by the suffix."""
    suffix = pathlib.Path(path).suffix
    squeezed = array[..., 0] if array.shape[-1] == 1 else array
    with whole_file(path) as temporary, open(temporary, "wb") as file:
        if suffix == ".npy":
            np.save(file, array)
        elif suffix == ".tif":
            import tifffile

            of_rgb = array.shape[-1] == 3 and array.dtype in (np.uint8, np.uint16)
            contiguous = {"planarconfig": "contig"} if squeezed.ndim == 3 else {}
            photometric = "rgb" if of_rgb else "minisblack"
            tifffile.imwrite(file, squeezed, photometric=photometric, **contiguous)
        elif array.dtype == np.uint16:
            file.write(_deep_png(array))
        else:
            Image.fromarray(squeezed).save(file, "PNG")


def _signature(path):
    """The first bytes of a file, with a PNG's bits and colour type."""
    with open(path, "rb") as file:
        return file.read(26)


def _tiff(path) -> Any:
    import tifffile  # takes longer to load than most programs here need it

    return tifffile.TiffFile(path)


def _read_tiff(path, channels):
    with _tiff(path) as tiff:
        series, page = tiff.series[0], tiff.pages[0]
        is_photo = series.dtype == np.uint8 and page.samplesperpixel <= 4 and len(tiff.pages) == 1
        if is_photo and channels in (1, 3):
            return open_image(path, channels)
        try:
            array = series.asarray()
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
            raise ValueError(
                f"its compression {page.compression.name} takes another package: pip install "
                "imagecodecs, or save it without compression or with deflate"
            ) from error
        if array.ndim == 2:
            return array[..., None]
        if array.ndim != 3:
            return array
        return np.moveaxis(array, _channel_axis(series.axes, array.shape, channels), -1)


def _channel_axis(axes, shape, channels):
    """Which of three axes has the channels: the one that says so (samples), or the pages.

    An array [H, W, C] that was saved without a word on its axes lies in the file as H pages.
    """
    named = [i for i, axis in enumerate(axes) if axis in "SC"]
    if len(named) == 1:
        return named[0]
    return 2 if shape[2] == channels != shape[0] else 0


def _is_deep_png(signature):
    return signature.startswith(PNG_SIGNATURE) and signature[24] == 16


def _read_deep_png(path, signature):
    """A PNG of 16 bits, of which PIL gives all only if it is gray."""
    if signature[25] not in PNG_CHANNELS:
        raise ValueError("it is a PNG of 16 bits with gray and transparency: save it as TIFF")
    if PNG_CHANNELS[signature[25]] == 1:
        with Image.open(path, formats=("PNG",)) as image:
            return np.asarray(image).astype(np.uint16)[..., None]
    high, low = (_bytes_of_deep_png(path, order).astype(np.uint16) for order in ("16B", "16L"))
    return (high << 8) | low


def _bytes_of_deep_png(path, order):
    """The first bytes of the numbers, or with the order of little-endian files the second ones."""
    with Image.open(path, formats=("PNG",)) as image:
        (tile,) = image.tile
        image.tile = [tile._replace(args=f"{image.mode};{order}")]
        return np.asarray(image)


def _deep_png(array):
    """A PNG file of uint16 [H, W, 1, 3 or 4]."""
    height, width, channels = array.shape
    colour_type = {count: number for number, count in PNG_CHANNELS.items()}[channels]
    rows = array.astype(">u2").reshape(height, -1).view(np.uint8)
    unfiltered = np.pad(rows, ((0, 0), (1, 0)))  # each row begins with the number of its filter
    parts = {
        b"IHDR": struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0),
        b"IDAT": zlib.compress(unfiltered.tobytes()),
        b"IEND": b"",
    }
    chunks = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts.items()
    )
    return PNG_SIGNATURE + b"".join(chunks)
