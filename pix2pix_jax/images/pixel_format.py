"""How the images of a domain are stored in their files, and what they are in memory.

Photographs are uint8 [H, W, C] there, 1 or 3 channels. With a value range they are rasters:
float32 [H, W, C] in [-1, 1], of any number of channels, exact to the numbers of 8 and 16 bits and
to 2^-25 of the range for others.
"""

import contextlib
import pathlib
from typing import Any, NamedTuple

import numpy as np

from pix2pix_jax.images import classes, rasters
from pix2pix_jax.images.files import image_size, naming, read_image
from pix2pix_jax.images.finding import Path, is_image
from pix2pix_jax.images.rasters import FileKind


class PixelFormat(NamedTuple):
    """Channels of the images, for rasters the numbers that -1 and 1 stand for, and what files hold.

    With `as_numbers` that are classes, and transparency is laid on `background`, see
    `files.open_image`.
    """

    channels: int = 3
    value_range: tuple[float, float] | None = None
    as_numbers: bool = False
    background: str = "white"

    def wanted(self, path: pathlib.PurePath) -> bool:
        """Whether a file has the name of such an image."""
        return rasters.is_raster(path) if self.value_range else is_image(path)

    def size(self, path: Path) -> tuple[int, int]:
        """(height, width) of an image, from its header.

        Raises:
            ValueError: the file is damaged or not an image; the message names it.
        """
        if self.value_range:
            with naming(path):
                return rasters.size(path, self.channels)
        with _hint(path), naming(path):
            return image_size(path)

    def read(self, path: Path) -> np.ndarray:
        """The image of a file: uint8, or a raster float32 in [-1, 1].

        Raises:
            ValueError: the file is damaged, or a raster has other channels or values beyond the
                range; the message names it.
        """
        if not self.value_range:
            with _hint(path):
                return read_image(path, self.channels, self.as_numbers, self.background)
        with naming(path):
            numbers = rasters.read(path, self.channels)
        return self.raster(numbers, path)

    def raster(self, numbers: np.ndarray, name: Any) -> np.ndarray:
        """Numbers in the value range as a raster, float32 in [-1, 1]; the inverse of `values`.

        Raises:
            ValueError: some are beyond the range; the message calls them `name`.
        """
        low, high = self.value_range
        numbers = numbers.astype(np.float64)
        least, most = numbers.min(), numbers.max()
        if not (least >= low and most <= high):  # NaN fails too
            raise ValueError(
                f"{name} has values from {least:g} to {most:g}, and config.data.value_range is "
                f"{low:g} to {high:g}: widen it, or change the values"
            )
        return ((numbers - low) * (2 / (high - low)) - 1).astype(np.float32)

    def values(self, image: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """The numbers of a raster, as `read` took them: the nearest ones if `dtype` is integer."""
        low, high = self.value_range
        values = (image.astype(np.float64) + 1) * ((high - low) / 2) + low
        if dtype.kind not in "ui":
            return values.astype(dtype)
        bounds = np.iinfo(dtype)
        return np.clip(np.round(values), bounds.min, bounds.max).astype(dtype)


@contextlib.contextmanager
def _hint(path):
    """Adds to the error of a TIFF what it may be about, for PIL takes few kinds of them."""
    try:
        yield
    except ValueError as error:
        if pathlib.PurePath(path).suffix.lower() not in (".tif", ".tiff"):
            raise
        raise ValueError(
            f"{error}; or if it is whole, and has other channels or numbers than photographs, set "
            "config.data.value_range"
        ) from error


def formats(data: Any) -> tuple[PixelFormat, PixelFormat]:
    """Those of input and target, or of A and B without pairs, from the `data` section of a config.

    data.value_range has (low, high) of both, or of the first and then of the second.
    """
    both = tuple(data.value_range) * (2 if len(data.value_range) == 2 else 1)
    ranges = (both[:2], both[2:]) if both else (None, None)
    channels = (data.input_channels, data.output_channels)
    first, second = (PixelFormat(c, r) for c, r in zip(channels, ranges, strict=True))
    return first._replace(as_numbers=classes.are_numbers(data)), second


def formats_from(data: Any, source: str) -> tuple[PixelFormat, PixelFormat]:
    """Those of a direction that takes images of `source` (A or B): of its input and its output."""
    first, second = formats(data)
    return (second, first) if source == "B" else (first, second)


def output_dtype(dtype: np.dtype, of_input: PixelFormat, of_output: PixelFormat) -> np.dtype:
    """The numbers of a translated raster: those of the input, or with a range of its own float32.

    Args:
        dtype: of the input's numbers.
        of_input: how inputs are stored.
        of_output: how outputs are stored.
    """
    return dtype if of_input.value_range == of_output.value_range else np.dtype(np.float32)


def output_kind(path: Path, of_input: PixelFormat, of_output: PixelFormat) -> FileKind:
    """How the translation of a file is stored: like the file, if it can hold its numbers."""
    suffix, dtype = rasters.kind_of(path)
    kind = FileKind(suffix, output_dtype(dtype, of_input, of_output))
    in_png = kind.dtype in (np.uint8, np.uint16) and of_output.channels in (1, 3, 4)
    return kind._replace(suffix=".tif") if kind.suffix == ".png" and not in_png else kind
