"""`labels`: maps of classes and of instances as one image, for pix2pixHD (data.labels=ids)."""

import functools
import pathlib

import numpy as np
from PIL import Image

from pix2pix_jax.dataset.writing import write_all
from pix2pix_jax.images.files import FORMATS, image_size, naming
from pix2pix_jax.images.finding import Path, find_images, unique_names

MOST = {"class": 256, "instance": 2**16}


def label_maps(labels: Path, instances: Path, photos: Path, output: Path) -> int:
    """Writes (class, high byte, low byte of the instance) in RGB; returns the number of images.

    Files belong together by their order, as in pix2pixHD's own folders, and the results are named
    like the photos. Of files with a palette the numbers count, not the colours.

    Raises:
        FileNotFoundError: a folder has no images.
        ValueError: the folders differ in number, or files in size; a damaged file, or one without
            such numbers.
    """
    folders = [find_images(folder) for folder in (labels, instances, photos)]
    counts = [len(paths) for paths in folders]
    if len(set(counts)) > 1:
        raise ValueError(
            f"{labels}, {instances} and {photos} have {counts[0]}, {counts[1]} and {counts[2]} "
            "images, which belong together by their order: they must be as many"
        )
    names = unique_names(folders[2], photos)
    triples = zip(*folders, strict=True)
    jobs = [
        (n, functools.partial(_join, *triple)) for n, triple in zip(names, triples, strict=True)
    ]
    write_all(pathlib.Path(output), jobs)
    return len(jobs)


def _join(label, instance, photo):
    """The image of three files, uint8 [H, W, 3]."""
    classes, objects = _numbers(label, "class"), _numbers(instance, "instance")
    with naming(photo):
        size = image_size(photo)
    for path, found in ((instance, objects.shape), (photo, size)):
        if found != classes.shape:
            raise ValueError(
                f"{path} is {found[1]}x{found[0]}, and {label} {classes.shape[1]}x"
                f"{classes.shape[0]}: they belong together by their order, so look for a missing "
                "file"
            )
    return np.stack([classes, objects >> 8, objects & 255], axis=-1).astype(np.uint8)


def _numbers(path, what):
    """The numbers of a file, [H, W], which say the class or the instance of a pixel."""
    with naming(path), Image.open(path, formats=FORMATS) as image:
        array = np.asarray(image)
    if (
        array.ndim != 2
        or array.dtype.kind not in "iu"
        or not 0 <= array.min() <= array.max() < MOST[what]
    ):
        raise ValueError(
            f"{path} has no number of a{'n' * (what == 'instance')} {what} below {MOST[what]} for "
            "each pixel: take the maps of ids, not those of colours"
        )
    return array.astype(np.int64)
