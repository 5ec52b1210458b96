"""`prepare`: a folder for training, its images resized, with shares of them as val and test."""

import concurrent.futures
import functools
import hashlib
import os
import pathlib

import numpy as np

from pix2pix_jax.data.side_by_side import check_width, split_pair
from pix2pix_jax.dataset.parts import SIDE_BY_SIDE, SINGLE, Item, find_parts
from pix2pix_jax.dataset.writing import THREADS, WRITERS, check_apart, side_by_side
from pix2pix_jax.images.files import DamagedImage, image_size, naming, read_image
from pix2pix_jax.images.finding import Path
from pix2pix_jax.images.resizing import resize

FITS = ("crop", "stretch")


def prepare(
    root: Path,
    output: Path,
    size: tuple[int, int] | None = None,
    fit: str = "crop",
    method: str = "bicubic",
    shares: dict[str, float] | None = None,
    seed: int = 0,
    form: str | None = None,
    file_format: str = "png",
) -> dict[str, int]:
    """Writes output/train/NAME.png, output/val/... of the images of a folder, pairs side by side.

    Or output/train/*.array_record, ...: the same PNG files in a few large ones, see `data.shards`.
    Splits that the folder has stay what they are. Unpaired domains, two folders A and B without
    common names or trainA and trainB, become trainA, trainB, valA, ...

    Args:
        root: the folder.
        output: a new folder.
        size: (height, width) of each image, of each half of a pair; None: as they are.
        fit: where the aspect ratio is another: crop (scaled, then the middle) or stretch.
        method: of `resizing.METHODS`; nearest keeps the colours of label maps.
        shares: {"val": 0.1, "test": 0.1}: what is split off the training images.
        seed: of the draw, see `draw`.
        form: of images in one folder, see `find_parts`.
        file_format: png or array_record.

    Returns:
        numbers of images by the folder that they were written to.

    Raises:
        FileNotFoundError: no such folder, or no images.
        ValueError: damaged images, files that are no pairs, shares that leave nothing to train
            on or that the folder has already, or an `output` that is not empty or lies in `root`.
    """
    check_apart(output, root)
    splits: dict[str, list[tuple[Item, str]]] = {}
    for part in find_parts(root, form):
        if part.alone:
            raise ValueError(f"{part.alone[0]} has no partner of its name: add or remove files")
        domain = part.name[-1:] if part.form == SINGLE and part.name[-1:] in ("A", "B") else ""
        split = part.name.removesuffix(domain) or "train"
        if split in (shares or {}):
            raise ValueError(f"{root} has {part.name} already: leave out --{split}")
        items = [(item, part.form) for item in part.items]
        drawn = draw(items, shares or {}, seed) if split == "train" else {split: items}
        splits |= {f"{name}{domain}": chosen for name, chosen in drawn.items()}
    if not size:
        refuse_unlike([item for items in splits.values() for item in items])
    jobs = [
        (f"{split}/{item.name}", functools.partial(make, item, its_form, size, fit, method))
        for split, items in splits.items()
        for item, its_form in items
    ]
    WRITERS[file_format](pathlib.Path(output), jobs)
    return {split: len(items) for split, items in splits.items()}


def draw(
    items: list[tuple[Item, str]], shares: dict[str, float], seed: int
) -> dict[str, list[tuple[Item, str]]]:
    """Divides items into "train" and a share for each other split, at least one item each.

    They are ordered by a checksum of seed and name, so that few change their split when others
    come or go.
    """
    checksum = lambda item: hashlib.sha256(os.fsencode(f"{seed}/{item[0].name}")).digest()
    rest, drawn = sorted(items, key=checksum), {}
    for split, share in shares.items():
        count = max(round(share * len(items)), 1)
        drawn[split], rest = rest[:count], rest[count:]
    if not rest:
        raise ValueError(f"of {len(items)} images nothing is left to train on: lower the shares")
    chosen = {id(item): split for split, its in drawn.items() for item in its}
    order = lambda split: [item for item in items if chosen.get(id(item), "train") == split]
    return {split: order(split) for split in ("train", *shares)}


def refuse_unlike(items: list[tuple[Item, str]]) -> None:
    """Raises ValueError if the two images of a pair differ in size, by the headers of the files.

    Args:
        items: each with the form that it has.
    """
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        sizes = list(pool.map(lambda item: _sizes(*item), items))
    unlike = [i for i, found in enumerate(sizes) if len(set(found)) > 1]
    if unlike:
        (item, form), found = items[unlike[0]], sizes[unlike[0]]
        first, second = (f"{width}x{height}" for height, width in found)
        what = f"{item.paths[0]} is {first}, but its partner {item.paths[-1]} is {second}"
        if form == SIDE_BY_SIDE:
            what = f"{item.paths[0]} has halves of {first} and {second}"
        raise ValueError(
            f"{what} (one of {len(unlike)} pairs that differ): give a --size, as --size=256, that "
            "all are resized to"
        )


def _sizes(item, form):
    """(height, width) of the images of an item; none of a damaged one, which `make` will name."""
    try:
        sizes = []
        for path in item.paths:
            with naming(path):
                sizes.append(image_size(path))
    except DamagedImage:
        return []
    if form == SIDE_BY_SIDE:
        height, width = sizes[0]
        sizes = [(height, width // 2), (height, width - width // 2)]
    return sizes


def make(item: Item, form: str, size: tuple[int, int] | None, fit: str, method: str) -> np.ndarray:
    """The resized image, or pair A|B, of an item; see `prepare`.

    Raises:
        DamagedImage: a file cannot be read; of two, each has a line.
    """
    images, wrong = [], []
    for path in item.paths:
        try:
            images.append(read_image(path, 3))
        except DamagedImage as error:
            wrong.append(str(error))
    if wrong:
        raise DamagedImage("\n".join(wrong))
    if form == SIDE_BY_SIDE:
        check_width(images[0].shape[1], item.paths[0])
        halves = split_pair(images[0], (3, 3))
        images = [halves["A"], halves["B"]]
    if size:
        images = [fitted(image, size, fit, method) for image in images]
    return images[0] if len(images) == 1 else side_by_side(*images)


def fitted(image: np.ndarray, size: tuple[int, int], fit: str, method: str) -> np.ndarray:
    """uint8 [h, w, 3] at `size` (height, width), by one of FITS."""
    if fit == "stretch":
        return resize(image, size, method)
    height, width = image.shape[:2]
    scale = max(size[0] / height, size[1] / width)
    scaled = (max(round(height * scale), size[0]), max(round(width * scale), size[1]))
    top, left = ((s - wanted) // 2 for s, wanted in zip(scaled, size, strict=True))
    return resize(image, scaled, method)[top : top + size[0], left : left + size[1]]
