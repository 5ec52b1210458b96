"""`pair`: images A|B side by side, from two folders or from one and a rule."""

import functools
import pathlib
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

from pix2pix_jax.data.sources import TwoFolders
from pix2pix_jax.dataset.writing import side_by_side, write_all
from pix2pix_jax.images.files import read_image
from pix2pix_jax.images.finding import Path, find_images, unique_names
from pix2pix_jax.images.resizing import resize

SIGMA = 1.4  # of the blur before edges, pixels
WEAK, STRONG = 4.0, 10.0  # levels a pixel: edges have a strong gradient, and weak ones beside it
COARSE = 8  # "coarse": pixels that become one


def grayscale(image: np.ndarray) -> np.ndarray:
    """The luma of uint8 [H, W, 3], as RGB."""
    return np.asarray(Image.fromarray(image).convert("L").convert("RGB"))


def coarse(image: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 3] made of squares of 8 x 8 pixels, for super-resolution."""
    height, width = image.shape[:2]
    small = resize(image, (max(height // COARSE, 1), max(width // COARSE, 1)), "bilinear")
    return resize(small, (height, width), "nearest")


def edges(image: np.ndarray) -> np.ndarray:
    """Black edges of uint8 [H, W, 3] on white, one pixel wide (Canny 1986)."""
    blurred = Image.fromarray(image).convert("L").filter(ImageFilter.GaussianBlur(SIGMA))
    padded = np.pad(np.asarray(blurred, np.float32), 1, "edge")
    dy, dx = _sobel(padded), _sobel(padded.T).T
    strength = np.hypot(dy, dx)
    thin = np.where(_is_ridge(strength, dy, dx), strength, 0)
    kept, weak = thin >= STRONG, thin >= WEAK
    while True:  # edges grow from strong pixels along weak ones
        grown = weak & _neighbourhood(kept)
        if (grown == kept).all():
            return np.repeat(np.where(kept, 0, 255).astype(np.uint8)[..., None], 3, axis=-1)
        kept = grown


def _sobel(padded):
    """Derivative along the first axis, levels a pixel, of [H + 2, W + 2] -> [H, W]."""
    smooth = (padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]) / 4
    return (smooth[2:] - smooth[:-2]) / 2


def _is_ridge(strength, dy, dx):
    """Whether a pixel is stronger than both neighbours across the edge, by the nearest of 4."""
    height, width = strength.shape
    padded = np.pad(strength, 1)
    at = lambda y, x: padded[1 + y : 1 + y + height, 1 + x : 1 + x + width]
    sector = np.round(np.arctan2(dy, dx) / (np.pi / 4)).astype(int) % 4
    ridge = np.zeros(strength.shape, bool)
    for number, (y, x) in enumerate([(0, 1), (1, 1), (1, 0), (1, -1)]):
        ridge |= (sector == number) & (strength >= at(y, x)) & (strength > at(-y, -x))
    return ridge


def _neighbourhood(mask):
    """A mask grown by a pixel to all 8 sides."""
    padded = np.pad(mask, 1)
    rows = padded[:-2] | padded[1:-1] | padded[2:]
    return rows[:, :-2] | rows[:, 1:-1] | rows[:, 2:]


RULES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "edges": edges,
    "grayscale": grayscale,
    "coarse": coarse,
}


def pair_folders(folder_a: Path, folder_b: Path, output: Path) -> int:
    """Writes the pairs of two folders whose files have the same names; returns their number.

    Raises:
        FileNotFoundError: a folder has no images.
        ValueError: a file without a partner of its name and size, or a damaged one.
    """
    pairs = TwoFolders(folder_a, folder_b)

    def make(number):
        pair = pairs[number]
        return side_by_side(pair["A"], pair["B"])

    names = [pairs.header(number)[0] for number in range(len(pairs))]
    jobs = [(name, functools.partial(make, number)) for number, name in enumerate(names)]
    write_all(pathlib.Path(output), jobs)
    return len(jobs)


def pair_by_rule(folder: Path, rule: str, output: Path) -> int:
    """Writes every image beside what a rule of RULES makes of it, A; returns their number.

    Raises:
        FileNotFoundError: the folder has no images.
        ValueError: a damaged one.
    """
    paths = find_images(folder)

    def make(path):
        image = read_image(path, 3)
        return side_by_side(RULES[rule](image), image)

    names = unique_names(paths, folder)
    jobs = [(n, functools.partial(make, path)) for n, path in zip(names, paths, strict=True)]
    write_all(pathlib.Path(output), jobs)
    return len(jobs)
