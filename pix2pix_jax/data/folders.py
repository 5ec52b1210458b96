"""Which images a split of the user's folder consists of.

A folder without the validation split, or without any, is no obstacle: about one in 20 of the
training images is held out then, see `held_out`. A folder without splits is called flat here.
In place of image files a split may have shards, see `shards`.
"""

import pathlib
from collections.abc import Callable

from pix2pix_jax.data.held_out import Splits, must_divide, share
from pix2pix_jax.data.shards import images_of
from pix2pix_jax.data.side_by_side import SideBySide, look_like_pairs
from pix2pix_jax.data.sources import (
    PHOTOS,
    Formats,
    Source,
    TwoFolders,
    same_names,
)
from pix2pix_jax.images.finding import Path, existing_folders, is_image, walk
from pix2pix_jax.images.pixel_format import PixelFormat


def paired_folder(
    root: Path,
    split: str,
    splits: Splits,
    formats: Formats = PHOTOS,
    size: tuple[int, int] | None = None,
    equal_halves: bool = False,
) -> Source:
    """The pairs of a split: root/split of A|B images, root/split/{A,B} or root/{A,B}/split.

    A flat `root` has A|B images, or the two folders A and B, itself.

    Args:
        root: folder.
        split: the wanted one of `splits`.
        splits: names of the training split and of the validation split.
        formats: of A and of B.
        size: (height, width) that images are resized to, if it is known; prints a line if A|B
            images have halves of an aspect ratio far from it.
        equal_halves: refuse A|B images of odd width, see `SideBySide`.

    Raises:
        FileNotFoundError: no such folder, or an empty one.
        ValueError: files that cannot be pairs.
    """
    root = _checked(root)
    flat = _is_flat(root, splits, formats[0])
    exists = lambda name: name == splits[0] if flat else _has_pairs(root, name)
    divide = must_divide(split, splits, exists)
    found = splits[0] if divide else split
    if not flat and not _has_pairs(root, found):
        _recognise_unpaired(root, splits)
    folder = "" if flat else found
    source = _all_pairs(root, folder, formats, equal_halves)
    seen_in_training = divide and split != splits[0]
    if isinstance(source, SideBySide) and not seen_in_training:
        source.check_aspect(size)
    return share({root / folder: source}, root, split, splits, flat)[0] if divide else source


def _checked(root):
    root = pathlib.Path(root)
    if root.is_file():
        raise NotADirectoryError(f"data.dir is {root}, a file: give the folder that it lies in")
    if not root.is_dir():
        raise FileNotFoundError(f"data.dir is {root}, and there is no such folder")
    return root


def _recognise_unpaired(root, splits):
    for split in splits:
        if all((root / f"{split}{domain}").is_dir() for domain in "AB"):
            raise FileNotFoundError(
                f"{root} has {split}A/ and {split}B/, which looks like CycleGAN data, two sets of "
                "unpaired images: train with --config=configs/own.py:unpaired "
                f"--config.data.dir={root}"
            )


def pair_folders(root: pathlib.Path, split: str) -> tuple[pathlib.Path, ...]:
    """The folders of A and of B that a split has, in one of the two forms; else the one of A|B.

    Neither need exist. The split "" is the whole of `root`.
    """
    forms = [
        (root / split / "A", root / split / "B"),
        (root / "A" / split, root / "B" / split),
    ]
    found = (form for form in forms if all(folder.is_dir() for folder in form))
    return next(found, (root / split,))


def misnamed(
    root: pathlib.Path, split: str = "", wanted: Callable[[pathlib.PurePath], bool] = is_image
) -> str:
    """What to do where the two folders of A and B are called otherwise; "" if that is not so.

    Args:
        root: a folder that exists.
        split: a folder in it, for two folders a and b in that; "" for any two in `root`, unless
            images lie beside them, or they have the names of splits or hold images A|B.
        wanted: whether a file has the name of an image.
    """
    folder = root / split
    if any(map(wanted, folder.iterdir())) or all((folder / domain).is_dir() for domain in "AB"):
        return ""  # the latter is also true of a and b where case makes no difference
    inside = [path for path in folder.iterdir() if path.is_dir() and path.name[0] != "."]
    if split and sorted(path.name.lower() for path in inside) != ["a", "b"]:
        return ""
    found = {path.name: images for path in inside if (images := list(filter(wanted, walk(path))))}
    names = sorted(found)
    of_splits = any(name.lower().startswith(("train", "val", "test", "eval")) for name in names)
    nested = any((folder / name / domain).is_dir() for name in names for domain in "AB")
    if len(names) != 2 or of_splits or nested or all(map(look_like_pairs, found.values())):
        return ""
    return (
        f"{folder} has two folders, {' and '.join(names)}: rename them A and B, or make pairs with "
        "python -m pix2pix_jax.dataset pair"
    )


def _has_pairs(root, split):
    return all(folder.is_dir() for folder in pair_folders(root, split))


def _reserved(splits):
    """Names of folders that are never part of a flat one."""
    return {*splits, "train", "val", "test"}


def _is_flat(root, splits, pixel_format):
    """Whether images lie in `root` itself, or in its folders A and B, and no split has a folder."""
    ends = ("", "A", "B")
    if any((root / f"{name}{end}").is_dir() for name in _reserved(splits) for end in ends):
        return False
    return _holds_images(root, pixel_format) or _has_flat_sets(root, splits, pixel_format)


def _has_flat_sets(root, splits, pixel_format):
    """Whether images lie in root/A and root/B, outside of folders for splits."""
    folders = root / "A", root / "B"
    if any((folder / name).is_dir() for folder in folders for name in _reserved(splits)):
        return False
    return all(_holds_images(folder, pixel_format) for folder in folders)


def _holds_images(folder, pixel_format):
    return folder.is_dir() and any(map(pixel_format.wanted, folder.iterdir()))


def _all_pairs(root, split, formats, equal_halves):
    folder, *other = pair_folders(root, split)
    if other:
        return TwoFolders(folder, *other, formats)
    if wrong := misnamed(root, split if folder.is_dir() else "", formats[0].wanted):
        raise FileNotFoundError(wrong)
    if not folder.is_dir():
        raise FileNotFoundError(
            f"there is no folder {folder}{existing_folders(folder)}. Name another with "
            "--config.data.train_split or --config.data.eval_split"
        )
    for here, there in ("AB", "BA"):
        if (folder / here).is_dir():
            raise FileNotFoundError(
                f"there is {folder / here} but no {folder / there} with the partners of its images"
            )
    return SideBySide(folder, formats, equal_halves)


def two_sets(
    root: Path, split: str, splits: Splits, formats: Formats = PHOTOS
) -> tuple[dict[str, Source], bool] | None:
    """The images of both domains of a split, root/{split}A and root/{split}B; flat root/A, root/B.

    Args:
        root: folder.
        split: the wanted one of `splits`.
        splits: names of the training split and of the validation split.
        formats: of A and of B.

    Returns:
        {"A": source, "B": source}, and whether they correspond one to one, by their names; None
        if these folders do not exist, but perhaps pairs do.

    Raises:
        FileNotFoundError: no folder `root`, or only one of the two.
        ValueError: a damaged image.
    """
    root = _checked(root)
    flat = _is_flat(root, splits, formats[0]) and _has_flat_sets(root, splits, formats[0])
    unpaired = lambda name: any((root / f"{name}{d}").is_dir() for d in "AB")
    exists = lambda name: unpaired(name) or _has_pairs(root, name)
    divide = must_divide(split, splits, (lambda name: name == splits[0]) if flat else exists)
    found = splits[0] if divide else split
    if not flat and not unpaired(found):
        return None
    where = {d: root / (d if flat else f"{found}{d}") for d in "AB"}
    a, b = (images_of(where[d], form, d) for d, form in zip("AB", formats, strict=True))
    correspond = same_names(a, b)
    if divide:
        a, b = share({where["A"]: a, where["B"]: b}, root, split, splits, flat)
    return {"A": a, "B": b}, correspond


def image_folder(root: Path, split: str, splits: Splits, channels: int) -> tuple[Source, str]:
    """The images of a split, root/split; or of a folder without splits, root.

    Args:
        root: folder.
        split: the wanted one of `splits`.
        splits: names of the training split and of the validation split.
        channels: of the images.

    Returns:
        a source, and the name that its records have the image under.

    Raises:
        FileNotFoundError: no such folder, or no images.
        ValueError: a damaged image, or too few to hold one out.
    """
    root, domain = _checked(root), "image"
    flat = not any((root / name).is_dir() for name in _reserved(splits))
    exists = lambda name: name == splits[0] if flat else (root / name).is_dir()
    divide = must_divide(split, splits, exists)
    folder = root if flat else root / (splits[0] if divide else split)
    source = images_of(folder, PixelFormat(channels), domain)
    if divide:
        (source,) = share({folder: source}, root, split, splits, flat)
    return source, domain
