"""Images that a verb writes into a new folder."""

import concurrent.futures
import contextlib
import pathlib
import shutil
from collections.abc import Callable, Sequence

import numpy as np

from pix2pix_jax.data import shards
from pix2pix_jax.images.files import save_png

THREADS = 4
Job = tuple[str, Callable[[], np.ndarray]]  # name, and what makes the image, uint8 [H, W, 3]


def side_by_side(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The pair A|B, uint8 [H, 2 W, 3]."""
    return np.concatenate([a, b], axis=1)


def write_all(folder: pathlib.Path, jobs: Sequence[Job]) -> None:
    """Writes every image as folder/name.png.

    Raises:
        ValueError: the folder has something in it already, or a job raises it.
    """

    def write(job):
        name, make = job
        path, image = folder / f"{name}.png", make()
        path.parent.mkdir(parents=True, exist_ok=True)
        save_png(path, image)

    with _new(folder), concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(write, jobs))


def write_shards(folder: pathlib.Path, jobs: Sequence[Job]) -> None:
    """As `write_all`, but as shards in folder/split, of images that are named split/name."""
    splits: dict[str, dict[str, Callable[[], np.ndarray]]] = {}
    for path, make in jobs:
        split, _, name = path.partition("/")
        splits.setdefault(split, {})[name] = make
    with _new(folder), concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        for split, images in splits.items():
            make_all = lambda names, images=images: pool.map(lambda name: images[name](), names)
            shards.write(folder / split, list(images), make_all)


@contextlib.contextmanager
def _new(folder):
    """Checks that there is nothing in the folder, and leaves nothing where writing fails."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} is there already, and is not empty: give a new folder")
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


WRITERS = {"png": write_all, "array_record": write_shards}
