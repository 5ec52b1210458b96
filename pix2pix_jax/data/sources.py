"""Folders of images as record sources: a length, and records by number.

A record is {"A": uint8 [H, W, C], "B": ..., "name": str}: the two published domains of a pair.
"""

import os
import pathlib
import re
from typing import Any, Protocol

import numpy as np
from PIL import Image, ImageOps

Path = str | os.PathLike[str]
Record = dict[str, Any]
EXTENSIONS = {".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".tif", ".tiff", ".webp"}


class Source(Protocol):
    """Random access to records; safe to read from several threads."""

    def __len__(self) -> int:
        """Number of records."""

    def __getitem__(self, index: int) -> Record:
        """The record at `index`."""


def find_images(path: Path) -> list[pathlib.Path]:
    """The image at `path`, or all images below it, sorted by name (2 before 10).

    Raises:
        FileNotFoundError: there is nothing, or no image.
    """
    path = pathlib.Path(path)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise FileNotFoundError(f"there is no file or folder {path}{_neighbours(path)}")
    found = [p for p in path.rglob("*") if p.suffix.lower() in EXTENSIONS and p.is_file()]
    if not found:
        kinds = " ".join(sorted(EXTENSIONS))
        raise FileNotFoundError(f"{path} holds no images ({kinds}): put some there")
    return sorted(found, key=lambda p: natural(p.relative_to(path).as_posix()))


def natural(name: str) -> list[tuple[bool, int | str]]:
    """Sorting key that puts 2.jpg before 10.jpg."""
    return [
        (not part.isdigit(), int(part) if part.isdigit() else part)
        for part in re.split(r"(\d+)", name)
        if part
    ]


def _neighbours(path):
    if not path.parent.is_dir():
        return ""
    names = sorted(p.name for p in path.parent.iterdir() if p.is_dir())
    return f"; {path.parent} has {', '.join(names) or 'no folders'}"


def open_image(file: Any, channels: int) -> np.ndarray:
    """Decodes an image to uint8 [H, W, channels]; 1 is luma, 3 RGB.

    Turned upright by its EXIF tag, transparency laid on white, 16 bits scaled to 8.
    """
    with Image.open(file) as image:
        image.load()
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I") or image.mode == "F":
            array = np.asarray(image, np.float64)
            image = Image.fromarray((array / (257 if array.max() > 255 else 1)).astype(np.uint8))
        if "A" in image.getbands() or "transparency" in image.info:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        array = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    return array.reshape(*array.shape[:2], channels)


def read_image(path: Path, channels: int) -> np.ndarray:
    """The image file at `path`, as `open_image` decodes it.

    Raises:
        ValueError: the file is damaged or no image.
    """
    try:
        return open_image(path, channels)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(
            f"{path} cannot be read as an image ({error}): mend or remove it"
        ) from error


def image_size(path: Path) -> tuple[int, int]:
    """(height, width) from the file's header alone. Raises ValueError as `read_image`."""
    try:
        with Image.open(path) as image:
            return image.size[::-1]
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(
            f"{path} cannot be read as an image ({error}): mend or remove it"
        ) from error


class SingleFolder:
    """Images of one domain, below a folder: {domain, "name"}."""

    def __init__(self, folder: Path, channels: int = 3, domain: str = "A"):
        """Checks every file's header."""
        self.paths = find_images(folder)
        for path in self.paths:
            image_size(path)
        self._channels, self._domain = channels, domain

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Record:
        path = self.paths[index]
        return {self._domain: read_image(path, self._channels), "name": path.stem}


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
        """
        self.paths = find_images(folder)
        self._channels = channels
        for path in self.paths:
            height, width = image_size(path)
            if width % 2 or (square and width != 2 * height):
                raise ValueError(
                    f"{path} is {width}x{height}, and a pair A|B is twice as wide as high: remove "
                    "it, or put the domains into two folders A/ and B/"
                )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Record:
        path = self.paths[index]
        return {**split_pair(read_image(path, 3), self._channels), "name": path.stem}


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
        """Checks that every file has a partner of its size."""
        self._channels = channels
        by_name = []
        for folder in (pathlib.Path(folder_a), pathlib.Path(folder_b)):
            paths = find_images(folder)
            by_name.append({p.relative_to(folder).with_suffix("").as_posix(): p for p in paths})
        a, b = by_name
        if lonely := sorted(a.keys() ^ b.keys()):
            raise ValueError(
                f"{(a | b)[lonely[0]]} has no partner of that name in "
                f"{folder_b if lonely[0] in a else folder_a} ({len(lonely)} files are alone)"
            )
        self.pairs = [(name, a[name], b[name]) for name in sorted(a, key=natural)]
        for _, path_a, path_b in self.pairs:
            if image_size(path_a) != image_size(path_b):
                sizes = ["x".join(map(str, image_size(p)[::-1])) for p in (path_a, path_b)]
                raise ValueError(f"{path_a} is {sizes[0]}, but its partner {path_b} is {sizes[1]}")

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Record:
        name, *paths = self.pairs[index]
        a, b = (read_image(p, c) for p, c in zip(paths, self._channels, strict=True))
        return {"A": a, "B": b, "name": name}


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
            f"there is no folder {root / split}{_neighbours(root / split)}. Name another with "
            "--config.data.train_split or --config.data.eval_split"
        )
    return SideBySide(root / split, channels, square)


class First:
    """The first `count` records of a source."""

    def __init__(self, source: Source, count: int):
        self._source, self._count = source, min(count, len(source))

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Record:
        if not 0 <= index < self._count:
            raise IndexError(index)
        return self._source[index]
