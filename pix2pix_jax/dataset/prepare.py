"""`prepare`: a folder for training, its images resized, with shares of them as val and test."""

import functools
import hashlib
import os
import pathlib

import numpy as np

from pix2pix_jax.data.side_by_side import check_width, split_pair
from pix2pix_jax.dataset.parts import SIDE_BY_SIDE, SINGLE, Item, find_parts
from pix2pix_jax.dataset.writing import WRITERS, side_by_side
from pix2pix_jax.images.files import read_image
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
            on or that the folder has already, or an `output` that is not empty.
    """
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
    jobs = [
        (f"{split}/{item.name}", functools.partial(_make, item, its_form, size, fit, method))
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


def _make(item, form, size, fit, method) -> np.ndarray:
    """The resized image, or pair A|B, of an item."""
    images = [read_image(path, 3) for path in item.paths]
    if form == SIDE_BY_SIDE:
        check_width(images[0].shape[1], item.paths[0])
        halves = split_pair(images[0], (3, 3))
        images = [halves["A"], halves["B"]]
    if size:
        images = [fitted(image, size, fit, method) for image in images]
    if len({image.shape for image in images}) > 1:
        sizes = " and ".join(f"{image.shape[1]}x{image.shape[0]}" for image in images)
        raise ValueError(f"the images of the pair {item.name} are {sizes}: give a --size")
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
