"""Pairs in one image A|B, as the authors of pix2pix publish them."""

import pathlib
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np

from pix2pix_jax.data.shards import images_of
from pix2pix_jax.data.sources import PHOTOS, Formats, Header, Record
from pix2pix_jax.images.files import DamagedImage, image_size, in_channels, naming
from pix2pix_jax.images.finding import Path, say_once

# Halves of a pair whose aspect ratio is this far from the wanted one are reported. Single images
# of 4:3 or 1:1, taken for square pairs, are 1.5 and 2.
ASPECT_TOLERANCE = 1.4
PAIR_ASPECT = 1.8  # wider images are taken for two, side by side; photographs are up to 16:9
LOOKED_AT = 100  # images, to tell whether they are pairs


class SideBySide:
    """Pairs published as one image A|B, split in the middle as PyTorch's code splits it.

    Of an odd width B gets the column in the middle.
    """

    def __init__(self, folder: Path, formats: Formats = PHOTOS, equal_halves: bool = False):
        """Checks every file's header.

        Args:
            folder: of the images, or of shards.
            formats: of A and of B; rasters have the same.
            equal_halves: refuse odd widths; for images that are not resized to one size.

        Raises:
            FileNotFoundError: no images.
            ValueError: a damaged file, or one that cannot be split.
        """
        if formats[0].value_range and formats[0] != formats[1]:
            raise ValueError(
                f"{folder} has A and B in one file, which have the same channels and values then, "
                "and config.data says that they differ: put A and B into two folders"
            )
        whole = formats[0] if formats[0].value_range else PHOTOS[0]
        self._images = images_of(folder, whole)
        self._channels = (formats[0].channels, formats[1].channels)
        self._headers: list[Header] = []
        for i in range(len(self._images)):
            name, (height, width) = self._images.header(i)
            label = self._images.label(i)
            check_width(width, label)
            if width % 2 and equal_halves:
                raise ValueError(
                    f"{label} is {width}x{height}, so its halves A|B differ in width: crop it to "
                    "an even width, or set data.preprocess=resize_and_crop, which makes all one "
                    "size"
                )
            self._headers.append((name, (height, width // 2)))

    def check_aspect(self, size: tuple[int, int] | None = None) -> None:
        """Prints a line if halves have an aspect ratio far from that of `size`, (height, width).

        Either such pairs are stretched, or these are single images and not pairs. Without a size
        the line comes if the files are no wider than single photographs.
        """
        unlike = []
        for i, (_, (height, width)) in enumerate(self._headers):
            ratio = (width * size[0]) / (height * size[1]) if size else 1
            single = not size and 2 * width < PAIR_ASPECT * height
            if single or max(ratio, 1 / ratio) > ASPECT_TOLERANCE:
                unlike.append((self._images.label(i), height, width))
        if not unlike:
            return
        label, height, width = unlike[0]
        far = f", far from the aspect ratio of {size[1]}x{size[0]}" if size else ""
        others = f" ({len(unlike)} of {len(self)} files are like that)" if len(unlike) > 1 else ""
        say_once(
            f"{label}: its halves A|B are {width}x{height}{far}{others}. Are these single images? "
            "Pairs are A and B side by side in one file, or in two folders A/ and B/; single "
            "images are for configs/colorization.py:folder and configs/inpaint.py:folder"
        )

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Record:
        record = self._images[index]
        return {**split_pair(record["A"], self._channels), "name": record["name"]}

    def header(self, index: int) -> Header:
        """Name of a pair and (height, width) of each of its images."""
        return self._headers[index]


def look_like_pairs(paths: Sequence[pathlib.Path]) -> bool:
    """Whether most of some images are at least `PAIR_ASPECT` times as wide as high."""
    aspects = []
    for path in paths[:LOOKED_AT]:
        try:
            with naming(path):
                height, width = image_size(path)
        except DamagedImage:  # reading it will say so
            continue
        aspects.append(width / height)
    return bool(aspects) and statistics.median(aspects) >= PAIR_ASPECT


def check_width(width: int, label: Any) -> None:
    """Raises ValueError if an image, called `label`, is too narrow to be two."""
    if width < 2:
        raise ValueError(f"{label} is one pixel wide, which is no pair A|B: remove it")


def split_pair(image: np.ndarray, channels: tuple[int, int]) -> Record:
    """The halves of [H, W, C], as {"A", "B"}; of an odd width B is one pixel wider.

    Of uint8 RGB a half with 1 channel is luma.
    """
    half = image.shape[1] // 2
    return {
        "A": in_channels(image[:, :half], channels[0]),
        "B": in_channels(image[:, half:], channels[1]),
    }
