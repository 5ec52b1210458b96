"""Images that a verb writes into a new folder."""

import concurrent.futures
import contextlib
import functools
import pathlib
import shutil
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from pix2pix_jax.data import shards
from pix2pix_jax.images.files import DamagedImage, save_png
from pix2pix_jax.images.finding import Path
from pix2pix_jax.runtime.storage import lies_in

THREADS = 4
Job = tuple[str, Callable[[], np.ndarray]]  # name, and what makes the image, uint8 [H, W, 3]


def side_by_side(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The pair A|B, uint8 [H, 2 W, 3]."""
    return np.concatenate([a, b], axis=1)


def check_apart(output: Path, *folders: Path) -> None:
    """Raises ValueError if `output` is one of the folders of images, or lies below one."""
    for folder in folders:
        if lies_in(output, folder):
            raise ValueError(
                f"{output} would lie in {folder}, whose images the new ones would mix with: give "
                "an --output outside it"
            )


def write_all(folder: pathlib.Path, jobs: Sequence[Job]) -> None:
    """Writes every image as folder/name.png; or none, and the error names all damaged files.

    Raises:
        ValueError: the folder has something in it already, or a job raises it.
    """

    def write(job):
        name, make = job
        path, image = folder / f"{name}.png", make()
        path.parent.mkdir(parents=True, exist_ok=True)
        save_png(path, image)

    with _new(folder, jobs) as trials, concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(write, trials))


def write_shards(folder: pathlib.Path, jobs: Sequence[Job]) -> None:
    """As `write_all`, but as shards in folder/split, of images that are named split/name."""
    splits: dict[str, dict[str, Callable[[], np.ndarray]]] = {}
    with _new(folder, jobs) as trials, concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        for path, make in trials:
            split, _, name = path.partition("/")
            splits.setdefault(split, {})[name] = make
        for split, images in splits.items():
            make_all = lambda names, images=images: pool.map(lambda name: images[name](), names)
            shards.write(folder / split, list(images), make_all)


@contextlib.contextmanager
def _new(folder, jobs) -> Iterator[list[Job]]:
    """Checks that there is nothing in the folder, and leaves nothing where writing fails.

    Gives the jobs as such that go on after a damaged file, so that the error can name all.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} is there already, and is not empty: give a new folder")
    damaged: dict[str, DamagedImage] = {}

    def attempt(name, make):
        try:
            return make()
        except DamagedImage as error:
            damaged[name] = error
            return np.zeros((1, 2, 3), np.uint8)  # for the time being

    try:
        yield [(name, functools.partial(attempt, name, make)) for name, make in jobs]
        named = [str(damaged[name]) for name, _ in jobs if name in damaged]
        lines = "\n".join(named).splitlines()
        if len(lines) > 1:
            lines.insert(0, f"nothing is written, for {len(lines)} images cannot be read:")
        if lines:
            raise DamagedImage("\n".join(lines))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


WRITERS = {"png": write_all, "array_record": write_shards}
