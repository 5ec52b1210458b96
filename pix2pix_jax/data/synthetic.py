"""Synthetic facades: procedural label maps and the photographs that go with them.

The offline data set of the quick start. Domain A is the photograph, domain B the label map, in the
colours of the published facades set. A facade is a pure function of (seed, split, number).
"""

import zlib

import numpy as np

from pix2pix_jax.data.facade_layout import design, draw_labels
from pix2pix_jax.data.facade_painting import darken, paint
from pix2pix_jax.data.sources import Record
from pix2pix_jax.images.files import in_channels


class SyntheticFacades:
    """Pairs {"A": photograph, "B": label map, "name"}, uint8 [size, size, 3 or 1]."""

    def __init__(
        self,
        split: str,
        count: int,
        size: int,
        seed: int = 0,
        kind: str = "labels",
        channels: tuple[int, int] = (3, 3),
    ):
        """A split of `count` facades, drawn independently of the other splits.

        Layouts are whole pixels: at size 32 a label map may turn up twice, at 64 hardly ever.

        Args:
            split: any name.
            count: number of facades.
            size: height and width of the images.
            seed: of all of them.
            kind: domain B: "labels", or "night", the photograph after dark.
            channels: of A and of B; 1 is luma.

        Raises:
            ValueError: `size` is too small for a facade.
        """
        if size < 32:
            raise ValueError(f"data.synthetic_size is {size}: a facade takes at least 32 pixels")
        self._split, self._count, self._size, self._seed = split, count, size, seed
        self._kind, self._channels = kind, channels

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Record:
        if not 0 <= index < self._count:
            raise IndexError(index)
        # The split's name enters by its checksum: hash() changes from process to process.
        key = [self._seed % 2**64, zlib.crc32(self._split.encode()), index]
        generator = np.random.default_rng(key)
        parts = design(generator, self._size)
        photo = paint(generator, parts, self._size)
        night = self._kind == "night"
        other = darken(photo, parts) if night else draw_labels(parts, self._size)
        return {
            "A": in_channels(photo, self._channels[0]),
            "B": in_channels(other, self._channels[1]),
            "name": f"{self._split}_{index:05}",
        }
