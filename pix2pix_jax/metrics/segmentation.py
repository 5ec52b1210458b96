"""Segmentation scores: how well a segmenter recognises the label map in what was made of it.

One confusion matrix over the whole set gives pixel accuracy, class accuracy and class IoU (Long et
al. 2015, section 5). Classes are numbers from 0; `IGNORED` pixels of the truth do not count.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

IGNORED = 255
VOID = "unlabeled"  # the colour of a palette that is no class
SCORES = ("pixel_accuracy", "class_accuracy", "class_iou")
# The classes of Cityscapes: their numbers in gtFine's labelIds files, in the order of training.
CITYSCAPES_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)

Palette = dict[str, tuple[int, int, int]]
# (images uint8 [N, h, w, 3], (H, W)) -> classes [N, H, W]
Segment = Callable[[np.ndarray, tuple[int, int]], np.ndarray]


def num_classes(palette: Palette) -> int:
    """Classes of a palette; `VOID` is none."""
    return len(palette) - (VOID in palette)


def true_classes(labels: np.ndarray, palette: Palette) -> np.ndarray:
    """Label maps uint8 [N, H, W, 3] -> classes [N, H, W], `IGNORED` where they are unlabeled.

    By the nearest colour, for label maps may have been saved as JPEG.
    """
    names = list(palette)
    found = nearest_colour(labels, palette)
    classes = [name for name in names if name != VOID]
    numbers = [classes.index(name) if name != VOID else IGNORED for name in names]
    return np.array(numbers, np.uint8)[found]


def predicted_classes(images: np.ndarray, palette: Palette) -> np.ndarray:
    """Images of label maps, uint8 [N, H, W, 3] -> the classes of the nearest colours."""
    return nearest_colour(images, {k: v for k, v in palette.items() if k != VOID})


def nearest_colour(images: np.ndarray, palette: Palette) -> np.ndarray:
    """Images uint8 [N, H, W, 3] -> positions in the palette, int32 [N, H, W]."""
    return np.asarray(_nearest(images, np.array(list(palette.values()), np.int32)))


@jax.jit
def _nearest(images, colours):
    difference = images[..., None, :].astype(jnp.int32) - colours
    return jnp.square(difference).sum(-1).argmin(-1)


def from_ids(labels: np.ndarray) -> np.ndarray:
    """Cityscapes' labelIds, uint8 -> classes, in the order of training; others are `IGNORED`."""
    table = np.full(256, IGNORED, np.uint8)
    table[list(CITYSCAPES_IDS)] = np.arange(len(CITYSCAPES_IDS))
    return table[labels]


def confusion(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Numbers of pixels [true class, predicted class], int64, of two arrays of one shape.

    Raises:
        ValueError: the truth has a class beyond `classes`.
    """
    known = truth != IGNORED
    if known.any() and truth[known].max() >= classes:
        raise ValueError(
            f"the label maps have a class {truth[known].max()}, and there are {classes}: say how "
            "they are stored with --labels"
        )
    pairs = classes * truth[known].astype(np.int64) + predicted[known]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def scores(matrix: np.ndarray) -> dict[str, float]:
    """`SCORES` of a confusion matrix, in 0 to 1.

    Classes that are nowhere are left out of the means, as in the code of DRN; pix2pix's counts them
    as 0.

    Raises:
        ValueError: no pixel has a true class.
    """
    if not matrix.sum():
        raise ValueError("no pixel of the label maps has a class: choose their palette")
    right, true, predicted = np.diag(matrix), matrix.sum(1), matrix.sum(0)
    with np.errstate(invalid="ignore"):
        accuracy, overlap = right / true, right / (true + predicted - right)
    values = right.sum() / matrix.sum(), np.nanmean(accuracy), np.nanmean(overlap)
    return dict(zip(SCORES, map(float, values), strict=True))


class Segmentation:
    """Gathers the confusion matrix of images with their label maps."""

    def __init__(self, segment: Segment, palette: Palette, batch_size: int):
        """`segment` finds the classes of an image; label maps are drawn in `palette`."""
        self._segment, self._palette, self._size = segment, palette, batch_size
        self.clear()

    def clear(self) -> None:
        """Forgets all images."""
        classes = num_classes(self._palette)
        self._matrix = np.zeros((classes, classes), np.int64)
        self._waiting: list[tuple[np.ndarray, np.ndarray]] = []

    def add(self, image: np.ndarray, label: np.ndarray) -> None:
        """Adds an image and its label map, both uint8 [h, w, 3]."""
        shapes = lambda pair: [x.shape for x in pair]
        if self._waiting and shapes(self._waiting[0]) != shapes((image, label)):
            self._count()
        self._waiting.append((image, label))
        if len(self._waiting) == self._size:
            self._count()

    def result(self) -> dict[str, float]:
        """`scores` of all images so far."""
        self._count()
        return scores(self._matrix)

    def _count(self):
        if self._waiting:
            images, labels = map(np.stack, zip(*self._waiting, strict=True))
            self._waiting = []
            truth = true_classes(labels, self._palette)
            predicted = self._segment(images, truth.shape[1:])
            self._matrix += confusion(truth, predicted, len(self._matrix))
