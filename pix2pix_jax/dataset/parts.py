"""What a folder of images consists of: its splits, each of pairs or of single images."""

import pathlib
from typing import NamedTuple

from pix2pix_jax.data.folders import pair_folders
from pix2pix_jax.data.shards import SUFFIX, is_shard
from pix2pix_jax.data.side_by_side import look_like_pairs
from pix2pix_jax.data.sources import by_name
from pix2pix_jax.images.finding import (
    Path,
    find_images,
    folder_at,
    is_image,
    natural,
    unique_names,
    walk,
)

SIDE_BY_SIDE, TWO_FILES, SINGLE = "A|B", "A and B", "single"


class Item(NamedTuple):
    """An image, or the two of a pair, with the name that it is called by."""

    name: str
    paths: tuple[pathlib.Path, ...]


class Part(NamedTuple):
    """A split, or one domain of it, or the whole folder if it has no splits."""

    name: str  # "train", "trainA"; "" is the whole folder
    form: str  # SIDE_BY_SIDE, TWO_FILES or SINGLE
    items: list[Item]
    alone: list[pathlib.Path]  # files without a partner


def find_parts(root: Path, form: str | None = None) -> list[Part]:
    """The parts of a folder, train before val before test before others.

    Args:
        root: a folder of one of the forms that training takes, see `data.folders`, or of images.
        form: of images that lie in one folder, SIDE_BY_SIDE or SINGLE; if not given they are
            pairs when most are at least 1.8 times as wide as high.

    Raises:
        FileNotFoundError: no such folder, or it has no images.
        NotADirectoryError: it is a file.
        ValueError: two files of a domain differ in their endings only, or there are shards.
    """
    root = folder_at(root)
    if any(map(is_shard, walk(root))):
        raise ValueError(
            f"{root} has its images in {SUFFIX} files, which are for training: give the folder "
            "that they were prepared from"
        )
    parts = []
    for name in _splits(root):
        folders = pair_folders(root, name)
        if len(folders) == 2:
            parts += _two_folders(name, *folders)
        else:
            domain = _has_other_domain(root, name)
            parts.append(_one_folder(name, folders[0], SINGLE if domain else form))
    return parts


def _two_folders(name, folder_a, folder_b):
    """One part of pairs; or two of single images, if no image has a partner of its name."""
    a, b = by_name(folder_a), by_name(folder_b)
    both, alone = (
        sorted(names, key=natural) for names in (a.keys() & b.keys(), a.keys() ^ b.keys())
    )
    if not both:
        return [_one_folder(f"{name}{d}", f, SINGLE) for d, f in (("A", folder_a), ("B", folder_b))]
    items = [Item(each, (a[each], b[each])) for each in both]
    return [Part(name, TWO_FILES, items, [(a | b)[each] for each in alone])]


def _one_folder(name, folder, form):
    paths = find_images(folder)
    names = unique_names(paths, folder)
    items = [Item(n, (path,)) for n, path in zip(names, paths, strict=True)]
    looks = SIDE_BY_SIDE if look_like_pairs(paths) else SINGLE
    return Part(name, form or looks, items, [])


def _splits(root):
    """Names of the splits, "" if there are none."""
    shown = [path for path in root.iterdir() if not path.name.startswith(".")]
    folders = [path.name for path in shown if path.is_dir() and _has_images(path)]
    names = {name for name in folders if name not in ("A", "B")}
    if {"A", "B"} <= set(folders):
        names |= {path.name for path in (root / "A").iterdir() if (root / "B" / path.name).is_dir()}
    # Training leaves out images beside its folders, too.
    has_training = not names.isdisjoint(("train", "trainA", "trainB"))
    if not names or (any(map(is_image, shown)) and not has_training):
        return [""]
    order = ["train", "val", "test"]
    place = lambda name: next((i for i, o in enumerate(order) if name.startswith(o)), len(order))
    return sorted(names, key=lambda name: (place(name), name))


def _has_images(folder):
    return any(map(is_image, walk(folder)))


def _has_other_domain(root, name):
    other = {"A": "B", "B": "A"}.get(name[-1:])
    return bool(other) and (root / f"{name[:-1]}{other}").is_dir()
