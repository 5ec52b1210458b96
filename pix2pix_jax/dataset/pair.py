"""`pair`: images A|B side by side, from two folders or from one and a rule."""

import functools
import pathlib
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

from pix2pix_jax.data.sources import by_name
from pix2pix_jax.dataset.parts import TWO_FILES, Item
from pix2pix_jax.dataset.prepare import fitted, make, refuse_unlike
from pix2pix_jax.dataset.writing import check_apart, side_by_side, write_all
from pix2pix_jax.images.files import read_image
from pix2pix_jax.images.finding import Path, find_images, folder_at, natural, unique_names
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


def pair_folders(
    folder_a: Path,
    folder_b: Path,
    output: Path,
    suffix_a: str = "",
    suffix_b: str = "",
    size: tuple[int, int] | None = None,
    fit: str = "crop",
    method: str = "bicubic",
) -> int:
    """Writes the pairs of two folders whose files have the same names; returns their number.

    Args:
        folder_a: of A.
        folder_b: of B; the same folder, if that has both.
        output: a new folder.
        suffix_a: what the names of A end in, before .png or the like, and those of B do not.
        suffix_b: the same of B.
        size: (height, width) of each image; None: as they are.
        fit: see `prepare`.
        method: see `prepare`.

    Raises:
        FileNotFoundError: no such folder, or it has no images.
        NotADirectoryError: a folder is a file.
        ValueError: a file without the suffix or without a partner of its name and size, damaged
            ones, or an `output` that is not empty or lies in a folder of images.
    """
    folders = [folder_at(folder) for folder in (folder_a, folder_b)]
    check_apart(output, *folders)
    if folders[0].samefile(folders[1]):
        if suffix_a == suffix_b:
            raise ValueError(
                f"{folder_a} is given for A and for B: tell them apart by --suffix_a and --suffix_b"
            )
        a, b = _named(folder_a, suffix_a, suffix_b)
    else:
        (a,), (b,) = _named(folder_a, suffix_a), _named(folder_b, suffix_b)
    if alone := sorted(a.keys() ^ b.keys(), key=natural):
        first = alone[0]
        here, where, suffix = (a, folder_b, suffix_b) if first in a else (b, folder_a, suffix_a)
        hint = ", or where suffixes tell A from B, give --suffix_a and --suffix_b"
        hint = hint if not (suffix_a or suffix_b or a.keys() & b.keys()) else ""
        raise ValueError(
            f"{here[first]} has no partner named {first}{suffix} in {where} (one of {len(alone)} "
            f"files without): add, remove or rename files{hint}"
        )
    items = [(Item(name, (a[name], b[name])), TWO_FILES) for name in sorted(a, key=natural)]
    if not size:
        refuse_unlike(items)
    jobs = [
        (item.name, functools.partial(make, item, form, size, fit, method)) for item, form in items
    ]
    write_all(pathlib.Path(output), jobs)
    return len(jobs)


def _named(folder, *suffixes):
    """The images of a folder that end in each suffix, the longest that fits, by the name before."""
    found = {suffix: {} for suffix in suffixes}
    for name, path in by_name(pathlib.Path(folder)).items():
        fits = [s for s in suffixes if path.stem.endswith(s) and path.stem != s]
        if not fits:
            raise ValueError(
                f"{path} does not end in {' or '.join(suffixes)} before its {path.suffix}: rename "
                "or remove it, or give other suffixes"
            )
        suffix = max(fits, key=len)
        found[suffix][name.removesuffix(suffix)] = path
    return list(found.values())


def pair_by_rule(
    folder: Path,
    rule: str,
    output: Path,
    size: tuple[int, int] | None = None,
    fit: str = "crop",
    method: str = "bicubic",
) -> int:
    """Writes every image beside what a rule of RULES makes of it, A; returns their number.

    Args:
        folder: of B.
        rule: a key of RULES.
        output: a new folder.
        size: (height, width) of each image; None: as they are.
        fit: see `prepare`.
        method: see `prepare`.

    Raises:
        FileNotFoundError: the folder has no images.
        ValueError: damaged ones, or an `output` that is not empty or lies in the folder.
    """
    check_apart(output, folder)
    paths = find_images(folder)

    def beside(path):
        image = read_image(path, 3)
        image = fitted(image, size, fit, method) if size else image
        return side_by_side(RULES[rule](image), image)

    names = unique_names(paths, folder)
    jobs = [(n, functools.partial(beside, path)) for n, path in zip(names, paths, strict=True)]
    write_all(pathlib.Path(output), jobs)
    return len(jobs)
