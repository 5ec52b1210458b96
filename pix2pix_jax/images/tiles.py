"""Images in overlapping tiles, and tiles blended to an image without seams."""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np


class Side(NamedTuple):
    """How tiles lie along one side of an image."""

    starts: np.ndarray  # int [T], pixels
    weights: np.ndarray  # float32 [T, tile]; those of all tiles at a pixel sum to 1


def side(length: int, tile: int, overlap: int) -> Side:
    """Tiles of `tile` pixels, evenly spread, the first and last at the ends of `length` pixels.

    Neighbours share at least `overlap` pixels, where one fades linearly into the other.

    Args:
        length: at least `tile`.
        tile: length of a tile.
        overlap: less than `tile`.
    """
    count = 1 + -(-(length - tile) // (tile - overlap))
    starts = np.round(np.linspace(0, length - tile, count)).astype(int)
    inside = np.arange(tile) + 0.5
    weights = np.zeros((count, tile))
    total = np.zeros(length)
    for i, start in enumerate(starts):
        to_left = inside if i > 0 else np.full(tile, np.inf)
        to_right = inside[::-1] if i < count - 1 else np.full(tile, np.inf)
        weights[i] = np.minimum(np.minimum(to_left, to_right), max(overlap, 1))
        total[start : start + tile] += weights[i]
    for i, start in enumerate(starts):
        weights[i] /= total[start : start + tile]
    return Side(starts, weights.astype(np.float32))


class Tiling(NamedTuple):
    """The tiles of an image, numbered row by row."""

    size: tuple[int, int]  # of the image, at least that of a tile
    tile: tuple[int, int]
    rows: Side
    columns: Side

    @classmethod
    def of(cls, size: tuple[int, int], tile: tuple[int, int], overlap: float) -> "Tiling":
        """Tiles that share `overlap`, a part of their sides, with their neighbours."""
        sides = [side(n, t, int(t * overlap)) for n, t in zip(size, tile, strict=True)]
        return cls(size, tile, *sides)

    def __len__(self) -> int:
        return len(self.rows.starts) * len(self.columns.starts)

    def cut(self, image: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """Some tiles of an image [H, W, C]: [n, *tile, C]."""
        boxes = list(self._boxes())
        return np.stack([image[boxes[number]] for number in numbers])

    def blend(self, batches: Iterator[np.ndarray]) -> np.ndarray:
        """The image [H, W, C] of all tiles, which come in batches [n, *tile, C], in their dtype."""
        blended, boxes = None, self._boxes()
        weights = itertools.product(self.rows.weights, self.columns.weights)
        for tile in itertools.chain.from_iterable(batches):
            if blended is None:
                blended = np.zeros((*self.size, tile.shape[-1]), np.float32)
            down, across = next(weights)
            blended[next(boxes)] += tile * (down[:, None] * across)[..., None]
        return np.round(blended).astype(np.uint8) if tile.dtype == np.uint8 else blended

    def _boxes(self):
        height, width = self.tile
        for top, left in itertools.product(self.rows.starts, self.columns.starts):
            yield slice(top, top + height), slice(left, left + width)
