"""Image files: which there are below a folder, in a fixed order, and what they are called."""

import difflib
import functools
import os
import pathlib
import re
from collections import Counter
from collections.abc import Callable, Container, Iterator
from typing import Any

Path = str | os.PathLike[str]
MOST_NAMES = 10  # of folders in an error
EXTENSIONS = {".jpg", ".jpeg", ".jfif", ".png", ".ppm", ".bmp", ".tif", ".tiff", ".webp"}
# Endings of other images, of which a line says that they are left out.
UNREAD = {".heic", ".heif", ".avif", ".gif", ".jp2", ".jxl", ".psd", ".svg", ".tga"}
UNREAD |= {".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf"}
VIDEOS = {".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg"}
LEFT_OUT = {  # endings of files that no folder of images gives, and why
    "which cannot be read: convert them to PNG or JPEG": UNREAD,
    "which are videos: --mode=translate takes one at a time": VIDEOS,
}


def is_image(path: pathlib.PurePath, endings: Container[str] = EXTENSIONS) -> bool:
    """Whether a file has the name of an image; hidden files (macOS's ._1.jpg) are left out."""
    return path.suffix.lower() in endings and not path.name.startswith(".")


def find_images(
    path: Path, wanted: Callable[[pathlib.PurePath], bool] = is_image
) -> list[pathlib.Path]:
    """The image at `path`, or all images below it, sorted by name (2 before 10).

    Args:
        path: of a file or folder.
        wanted: whether a file has the name of an image.

    Raises:
        FileNotFoundError: there is no such file or folder, or no image in it.
    """
    path = pathlib.Path(path)
    if path.is_file():
        return [path]
    if not path.is_dir():
        pattern = "; patterns are not expanded here, give a folder" if "*" in path.name else ""
        beside = pattern or existing_folders(path)
        raise FileNotFoundError(f"there is no file or folder {path}{beside}")
    files = list(walk(path))
    found = [p for p in files if wanted(p)]
    for why, endings in LEFT_OUT.items():
        if unread := Counter(p.suffix.lower() for p in files if is_image(p, endings)):
            numbers = ", ".join(f"{count} {ending}" for ending, count in sorted(unread.items()))
            say_once(f"{path}: {numbers} left out, {why}")
    if not found:
        kinds = " ".join(sorted(EXTENSIONS))
        arrays = any(p.suffix == ".npy" for p in files)
        hint = "; .npy files take config.data.value_range" if arrays else ""
        raise FileNotFoundError(f"{path} holds no images ({kinds}{hint}): put some there")
    return sorted(found, key=lambda p: natural(p.relative_to(path).as_posix()))


@functools.cache
def say_once(line: str) -> None:
    """Prints a line, if this program has not printed it before."""
    print(line, flush=True)


def walk(folder: Path) -> Iterator[pathlib.Path]:
    """All files below a folder, in no order; those that links lead to are among them.

    Left out are hidden folders (.ipynb_checkpoints has copies of images), and links to folders
    that they lie in. A link to nothing counts as a file, so that reading it says so.

    Raises:
        OSError: a folder cannot be read.
    """
    for here, names, files in os.walk(folder, onerror=_refuse, followlinks=True):
        inside = os.path.realpath(here) + os.sep
        names[:] = [
            name
            for name in names
            if not name.startswith(".")
            and not inside.startswith(os.path.realpath(os.path.join(here, name)) + os.sep)
        ]
        for path in (pathlib.Path(here, name) for name in files):
            if path.is_file() or not path.exists():
                yield path


def _refuse(error):
    raise OSError(f"{error.filename} cannot be read: {error.strerror}") from error


def unique_names(paths: list[pathlib.Path], root: Path) -> list[str]:
    """Paths relative to `root`; the extension is dropped unless two names would then be equal."""
    root = pathlib.Path(root)
    root = root if root.is_dir() else root.parent
    names = [path.relative_to(root) for path in paths]
    count = Counter(name.with_suffix("") for name in names)
    whole = {name for name in names if count[name.with_suffix("")] > 1}
    # a.jpg and a.png keep their endings, and so does a.png.jpg then, for a.png is taken.
    while more := {name for name in names if name.with_suffix("") in whole} - whole:
        whole |= more
    return [(name if name in whole else name.with_suffix("")).as_posix() for name in names]


def natural(name: str) -> tuple[list[tuple[bool, int | str]], str]:
    """Sorting key that puts 2.jpg before 10.jpg; no two names have the same."""
    parts = [
        (not part.isdecimal(), int(part) if part.isdecimal() else part)
        for part in re.split(r"(\d+)", name)
        if part
    ]
    return parts, name


def told_of(path: Path, error: Any) -> str:
    """What is wrong with a file or folder, after its path, which errors may begin with."""
    return f"{error}" if f"{error}".startswith(f"{path}") else f"{path}: {error}"


def folder_at(path: Path) -> pathlib.Path:
    """`path`, which has to be a folder.

    Raises:
        FileNotFoundError: there is none.
        NotADirectoryError: it is a file.
    """
    path = pathlib.Path(path)
    if path.is_file():
        raise NotADirectoryError(f"{path} is a file: give the folder that it lies in")
    if not path.is_dir():
        raise FileNotFoundError(f"there is no folder {path}{existing_folders(path)}")
    return path


def existing_folders(path: pathlib.Path) -> str:
    """Which folders (a few of many) there are beside the missing `path`, to end a sentence."""
    if not path.parent.is_dir():
        return ""
    folders = (p.name for p in path.parent.iterdir() if p.is_dir())
    names = sorted(name for name in folders if not name.startswith("."))
    if len(names) > MOST_NAMES:
        close = difflib.get_close_matches(path.name, names, MOST_NAMES) or names[:MOST_NAMES]
        names = [*close, "and others"]
    return f"; {path.parent} has {', '.join(names) or 'no folders'}"
