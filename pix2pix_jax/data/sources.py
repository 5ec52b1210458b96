"""Folders of images as record sources: a length, and records by number.

A record is {"A": uint8 [H, W, C], "B": ..., "name": str}: the two published domains of a pair.
"""

import concurrent.futures
import pathlib
import re
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from PIL import Image

from pix2pix_jax.images.files import (
    Path,
    existing_folders,
    find_images,
    image_size,
    naming,
    natural,
    read_image,
    unique_names,
)

Record = dict[str, Any]
Header = tuple[str, tuple[int, int]]
HOLD_OUT = 20  # a folder without splits: each so many-th image is for validation
HEADER_THREADS = 8  # headers wait for the disk, not for the processor


class Source(Protocol):
    """Random access to records; safe to read from several threads.

    A source that can also tell a record's name and (height, width) without decoding it has a
    method `header(index)`; use `header_of`.
    """

    def __len__(self) -> int:
        """Number of records."""

    def __getitem__(self, index: int) -> Record:
        """The record at `index`."""


def header_of(source: Source, index: int) -> Header:
    """Name and (height, width) of a record; decodes it only if the source has no `header`."""
    if hasattr(source, "header"):
        return source.header(index)
    record = source[index]
    image = record["A"] if "A" in record else record["B"]
    return record["name"], image.shape[:2]


def _sizes(paths):
    """(height, width) of every file, from the headers; the first damaged one raises."""

    def one(path):
        with naming(path):
            return image_size(path)

    with concurrent.futures.ThreadPoolExecutor(HEADER_THREADS) as pool:
        return list(pool.map(one, paths))


class SingleFolder:
    """Images of one domain, below a folder (or one file): {domain, "name"}."""

    def __init__(self, folder: Path, channels: int = 3, domain: str = "A"):
        """Checks every file's header."""
        self.paths = find_images(folder)
        self._headers = list(zip(unique_names(self.paths, folder), _sizes(self.paths), strict=True))
        self._channels, self._domain = channels, domain

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Record:
        image = read_image(self.paths[index], self._channels)
        return {self._domain: image, "name": self._headers[index][0]}

    def header(self, index: int) -> Header:
        """Name and (height, width) of an image."""
        return self._headers[index]


def same_names(a: SingleFolder, b: SingleFolder) -> bool:
    """Whether the files of two folders pair up by name, but for an ending _A or _B."""
    names = [[re.sub(r"_[AB]$", "", path.stem) for path in folder.paths] for folder in (a, b)]
    return names[0] == names[1]


class SideBySide:
    """Pairs published as one image A|B, twice as wide as high (the pix2pix archives)."""

    def __init__(self, folder: Path, channels: tuple[int, int], square: bool = True):
        """Checks every file's header.

        Args:
            folder: of the images.
            channels: of A and of B.
            square: whether both halves must be square, which tells pairs from single images.
                Where load and crop size are not square any even width passes.

        Raises:
            FileNotFoundError: no images.
            ValueError: a damaged file, or one that is no pair.
        """
        self.paths = find_images(folder)
        self._channels = channels
        self._headers: list[Header] = []
        names = unique_names(self.paths, folder)
        for path, name, (height, width) in zip(self.paths, names, _sizes(self.paths), strict=True):
            if width % 2 or (square and width != 2 * height):
                raise ValueError(
                    f"{path} is {width}x{height}, and a pair A|B is "
                    f"{'twice as wide as high' if square else 'of even width'}: remove "
                    "it, or put the domains into two folders A/ and B/"
                )
            self._headers.append((name, (height, width // 2)))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Record:
        image = read_image(self.paths[index], 3)
        return {**split_pair(image, self._channels), "name": self._headers[index][0]}

    def header(self, index: int) -> Header:
        """Name of a pair and (height, width) of each of its images."""
        return self._headers[index]


def split_pair(image: np.ndarray, channels: tuple[int, int]) -> Record:
    """The halves of uint8 [H, 2 * W, 3], as {"A", "B"}."""
    half = image.shape[1] // 2
    return {
        "A": _channels(image[:, :half], channels[0]),
        "B": _channels(image[:, half:], channels[1]),
    }


def _channels(image, channels):
    if channels == 3:
        return image
    return np.asarray(Image.fromarray(np.ascontiguousarray(image)).convert("L"))[..., None]


class TwoFolders:
    """Pairs in two folders, paired by file name (without its ending)."""

    def __init__(self, folder_a: Path, folder_b: Path, channels: tuple[int, int]):
        """Checks that every file has one partner, of its size."""
        self._channels = channels
        a, b = (_by_name(pathlib.Path(folder)) for folder in (folder_a, folder_b))
        if lonely := sorted(a.keys() ^ b.keys()):
            raise ValueError(
                f"{(a | b)[lonely[0]]} has no partner of that name in "
                f"{folder_b if lonely[0] in a else folder_a} ({len(lonely)} files are alone)"
            )
        names = sorted(a, key=natural)
        self.pairs = [(a[name], b[name]) for name in names]
        sizes = [_sizes(paths) for paths in zip(*self.pairs, strict=True)]
        self._headers = list(zip(names, sizes[0], strict=True))
        for (path_a, path_b), *pair in zip(self.pairs, *sizes, strict=True):
            if pair[0] != pair[1]:
                told = [f"{width}x{height}" for height, width in pair]
                raise ValueError(f"{path_a} is {told[0]}, but its partner {path_b} is {told[1]}")

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Record:
        paths = self.pairs[index]
        a, b = (read_image(p, c) for p, c in zip(paths, self._channels, strict=True))
        return {"A": a, "B": b, "name": self._headers[index][0]}

    def header(self, index: int) -> Header:
        """Name of a pair and (height, width) of each of its images."""
        return self._headers[index]


def _by_name(folder):
    found: dict[str, pathlib.Path] = {}
    for path in find_images(folder):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in found:
            raise ValueError(
                f"{found[name]} and {path} have one name, so their partner is unclear: remove one"
            )
        found[name] = path
    return found


def paired_folder(
    root: Path, split: str, channels: tuple[int, int] = (3, 3), square: bool = True
) -> Source:
    """The pairs of a split: root/split of A|B images, root/split/{A,B} or root/{A,B}/split.

    Raises:
        FileNotFoundError: no such folder, or an empty one.
        ValueError: files that cannot be pairs.
    """
    root = pathlib.Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"data.dir is {root}, and there is no such folder")
    for pair in (
        (root / split / "A", root / split / "B"),
        (root / "A" / split, root / "B" / split),
    ):
        if all(folder.is_dir() for folder in pair):
            return TwoFolders(*pair, channels)
    if not (root / split).is_dir():
        raise FileNotFoundError(
            f"there is no folder {root / split}{existing_folders(root / split)}. Name another with "
            "--config.data.train_split or --config.data.eval_split"
        )
    return SideBySide(root / split, channels, square)


def image_folder(
    root: Path, split: str, channels: int, splits: tuple[str, str]
) -> tuple[Source, str]:
    """The images of a split, root/split; of a folder without splits every 20th is for validation.

    Args:
        root: folder.
        split: wanted.
        channels: of the images.
        splits: names of the training split and of the validation split.

    Returns:
        a source, and the name that its records have the image under.

    Raises:
        FileNotFoundError: no such folder, or no images.
        ValueError: a damaged image, or too few for a validation.
    """
    root, domain = pathlib.Path(root), "image"
    if not root.is_dir():
        raise FileNotFoundError(f"data.dir is {root}, and there is no such folder")
    if any((root / name).is_dir() for name in (split, *splits)):
        return SingleFolder(root / split, channels, domain), domain
    source = SingleFolder(root, channels, domain)
    if len(source) < 2:
        raise ValueError(f"{root} has one image only: training and validation need more")
    held_out = range(0, len(source), HOLD_OUT)
    chosen = held_out if split != splits[0] else set(range(len(source))) - set(held_out)
    return Subset(source, sorted(chosen)), domain


class Subset:
    """Some records of a source, by number."""

    def __init__(self, source: Source, indices: Sequence[int]):
        self._source, self._indices = source, indices

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> Record:
        return self._source[self._indices[index]]

    def header(self, index: int) -> Header:
        """Name and (height, width) of a record."""
        return header_of(self._source, self._indices[index])
