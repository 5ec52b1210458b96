"""Images of a folder, decoded ahead in threads, for the metrics of two folders."""

import concurrent.futures
import itertools
import pathlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from pix2pix_jax.images.files import read_image
from pix2pix_jax.images.finding import find_images, is_image, natural, walk
from pix2pix_jax.runtime.counter import Counter

THREADS = 4


def find(images: str) -> list[pathlib.Path]:
    """The image files of a set.

    Args:
        images: a folder; or a pattern such as "results/*_fake_B.png", which finds files in and
            below that folder.

    Raises:
        FileNotFoundError: there are none.
    """
    root, pattern = _split(images)
    if not pattern:
        return find_images(images)
    paths = [path for path in walk(root) if path.match(pattern) and is_image(path)]
    if not paths:
        raise FileNotFoundError(f"no image is called {images}: look into {root}")
    return sorted(paths, key=lambda path: natural(path.relative_to(root).as_posix()))


def by_name(images: str) -> dict[str, pathlib.Path]:
    """The files that `find` gives, by name.

    That is the path in the folder without its ending, or what the asterisk stands for.

    Raises:
        FileNotFoundError: there are none.
        ValueError: two have the same name.
    """
    (root, pattern), paths = _split(images), find(images)
    before, _, after = pattern.partition("*")
    stem = lambda path: path.name.removeprefix(before).removesuffix(after) if pattern else path.stem
    names = [path.relative_to(root).with_name(stem(path)).as_posix() for path in paths]
    found = dict(zip(names, paths, strict=True))
    if len(found) < len(paths):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{images} has two images called {twice}: keep one of them")
    return found


def _split(images):
    """The folder of a set, and the pattern of its files' names; it is empty if there is none."""
    path = pathlib.Path(images)
    if "*" in path.name:
        return path.parent, path.name
    return (path.parent if path.is_file() else path), ""


def pairs(first: str, second: str) -> list[tuple[pathlib.Path, pathlib.Path]]:
    """The files of two sets that have the same names, see `by_name`.

    Raises:
        FileNotFoundError: there are none, or an image has no counterpart.
    """
    a, b = by_name(first), by_name(second)
    if alone := sorted(a.keys() ^ b.keys(), key=natural):
        where, missing = (first, second) if alone[0] in a else (second, first)
        raise FileNotFoundError(
            f"{len(alone)} images have no counterpart of their name, such as {alone[0]}, which is "
            f"in {where} and not in {missing}: where names have endings, give patterns "
            "('*_fake_B.png')"
        )
    return [(a[name], b[name]) for name in a]


def batches(
    paths: Sequence[Sequence[pathlib.Path]], channels: Sequence[int], size: int, title: str
) -> Iterator[list[np.ndarray]]:
    """Reads rows of files, `size` rows at a time, and shows the progress.

    Args:
        paths: the files of each row.
        channels: of the images in a row, 1 or 3.
        size: of a batch.
        title: what the progress calls them.

    Yields:
        for each column uint8 [n, h, w, c]. Rows of one shape come together, in their order.

    Raises:
        ValueError: a file is damaged.
    """
    read = lambda row: [read_image(p, c) for p, c in zip(row, channels, strict=True)]
    progress, rows = Counter(len(paths), title), iter(paths)
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        start = lambda: [pool.submit(read, row) for row in itertools.islice(rows, size)]
        reading = start()
        while reading:
            following = start()
            images = [future.result() for future in reading]
            shape = lambda row: [image.shape for image in row]
            for _, alike in itertools.groupby(images, key=shape):
                yield [np.stack(column) for column in zip(*alike, strict=True)]
            progress.add(len(images))
            reading = following


def describe(
    paths: Sequence[pathlib.Path],
    features: Callable[[np.ndarray], np.ndarray],
    size: int,
    title: str,
) -> np.ndarray:
    """Features [N, ...] of images, `size` of them computed at once; see `batches`."""
    rows = [(path,) for path in paths]
    return np.concatenate([features(x) for (x,) in batches(rows, (3,), size, title)])
