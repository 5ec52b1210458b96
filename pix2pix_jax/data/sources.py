"""Images of folders as record sources: a length, and records by number.

A record is {"A": [H, W, C], "B": ..., "name": str}: the two published domains of a pair, uint8 or
rasters (see `images.pixel_format`). Which folders a split consists of, `folders` says.
"""

import concurrent.futures
import pathlib
import re
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from pix2pix_jax.images.finding import Path, find_images, is_image, natural, unique_names
from pix2pix_jax.images.pixel_format import PixelFormat

Record = dict[str, Any]
Header = tuple[str, tuple[int, int]]
Formats = tuple[PixelFormat, PixelFormat]  # of A and of B
PHOTOS: Formats = (PixelFormat(), PixelFormat())
HEADER_THREADS = 8  # reading headers waits for the disk, not for the processor


class Source(Protocol):
    """Random access to records; safe to read from several threads.

    A source that knows a record's name and (height, width) without decoding it also has a
    method `header(index)`; call `header_of`, which works for every source.
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


def sizes_of(paths: Sequence[pathlib.Path], pixel_format: PixelFormat) -> list[tuple[int, int]]:
    """(height, width) of every file, from the headers.

    Raises:
        ValueError: a file is damaged; the message names it.
    """
    with concurrent.futures.ThreadPoolExecutor(HEADER_THREADS) as pool:
        return list(pool.map(pixel_format.size, paths))


class SingleFolder:
    """Images of one domain, below a folder (or one file): {domain, "name"}."""

    def __init__(self, folder: Path, pixel_format: PixelFormat = PHOTOS[0], domain: str = "A"):
        """Checks every file's header."""
        self.paths = find_images(folder, pixel_format.wanted)
        names, sizes = unique_names(self.paths, folder), sizes_of(self.paths, pixel_format)
        self._headers = list(zip(names, sizes, strict=True))
        self._format, self._domain = pixel_format, domain

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Record:
        image = self._format.read(self.paths[index])
        return {self._domain: image, "name": self._headers[index][0]}

    def header(self, index: int) -> Header:
        """Name and (height, width) of an image."""
        return self._headers[index]

    def label(self, index: int) -> str:
        """What messages call an image."""
        return str(self.paths[index])


def same_names(a: Source, b: Source) -> bool:
    """Whether two folders have the same file names, apart from an ending _A or _B."""
    name = lambda source, i: common_name(pathlib.PurePath(header_of(source, i)[0]).name)
    names = [[name(source, i) for i in range(len(source))] for source in (a, b)]
    return names[0] == names[1]


def common_name(name: str) -> str:
    """A file's name without the ending _A or _B that tells the two domains apart."""
    return re.sub(r"_[AB]$", "", name)


class TwoFolders:
    """Pairs in two folders, paired by file name (without its ending)."""

    def __init__(self, folder_a: Path, folder_b: Path, formats: Formats = PHOTOS):
        """Checks every file's header.

        Raises:
            FileNotFoundError: no images.
            ValueError: a damaged file, or one without exactly one partner of its size.
        """
        self._formats = formats
        folders = zip((folder_a, folder_b), formats, strict=True)
        a, b = (by_name(pathlib.Path(folder), form.wanted) for folder, form in folders)
        if not a.keys() & b.keys():
            raise ValueError(
                f"{folder_a} and {folder_b} have no two files of one name, as the images of a pair "
                "have: rename them; where a suffix tells them apart, python -m pix2pix_jax.dataset "
                "pair makes pairs with --suffix_a and --suffix_b; or if these are unpaired images, "
                "train with --config=configs/own.py:unpaired"
            )
        if unmatched := sorted(a.keys() ^ b.keys()):
            raise ValueError(
                f"{(a | b)[unmatched[0]]} has no partner of that name in "
                f"{folder_b if unmatched[0] in a else folder_a} (one of {len(unmatched)} files "
                "without): add or remove files"
            )
        names = sorted(a, key=natural)
        self.pairs = [(a[name], b[name]) for name in names]
        columns = zip(zip(*self.pairs, strict=True), formats, strict=True)
        sizes = [sizes_of(paths, form) for paths, form in columns]
        self._headers = list(zip(names, sizes[0], strict=True))
        unlike = [i for i, pair in enumerate(zip(*sizes, strict=True)) if pair[0] != pair[1]]
        if unlike:
            (path_a, path_b), first = self.pairs[unlike[0]], [size[unlike[0]] for size in sizes]
            shown = [f"{width}x{height}" for height, width in first]
            mend = "python -m pix2pix_jax.dataset prepare FOLDER --size=256 --output=NEW"
            raise ValueError(
                f"{path_a} is {shown[0]}, but its partner {path_b} is {shown[1]} (one of "
                f"{len(unlike)} pairs that differ): "
                + ("resize them" if formats[0].value_range else f"{mend} makes all one size")
            )

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Record:
        a, b = (f.read(path) for f, path in zip(self._formats, self.pairs[index], strict=True))
        return {"A": a, "B": b, "name": self._headers[index][0]}

    def header(self, index: int) -> Header:
        """Name of a pair and (height, width) of each of its images."""
        return self._headers[index]


def by_name(
    folder: pathlib.Path, wanted: Callable[[pathlib.PurePath], bool] = is_image
) -> dict[str, pathlib.Path]:
    """The images below a folder by their paths in it without the endings, see `find_images`.

    Raises:
        FileNotFoundError: there are none.
        ValueError: two have the same name.
    """
    found: dict[str, pathlib.Path] = {}
    for path in find_images(folder, wanted):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in found:
            raise ValueError(
                f"{found[name]} and {path} have the same name but for the extension, so their "
                "partner is ambiguous: remove one"
            )
        found[name] = path
    return found


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
