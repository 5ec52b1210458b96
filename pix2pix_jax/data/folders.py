"""Which images a split of the user's folder consists of, and the share held out for validation.

A folder without the validation split is no obstacle: about one in 20 of the training images is
held out then. Training (data.train_split) has the rest, and evaluation (data.eval_split) exactly
the images that were held out.
"""

import hashlib
import os
import pathlib
from collections.abc import Callable

from pix2pix_jax.data.sources import (
    SideBySide,
    SingleFolder,
    Source,
    Subset,
    TwoFolders,
    common_name,
    header_of,
    same_names,
)
from pix2pix_jax.images.files import EXTENSIONS, Path, existing_folders
from pix2pix_jax.runtime.storage import shown

HELD_OUT = 20  # one in so many
Splits = tuple[str, str]  # names of the training and of the validation split


def hold_out(source: Source, where: Path) -> tuple[Subset, Subset]:
    """Divides a source into (training, validation), about 19 to 1, and at least 1 to 1.

    A checksum of its name decides on each record alone, so that it stays where it is when others
    are added or removed. Partners that differ in an ending _A or _B, or in the extension, go
    together.

    Raises:
        ValueError: `source`, read from `where`, has one record only.
    """
    count = len(source)
    if count < 2:
        raise ValueError(f"{where} has one image only: training and validation need more")
    sums = [_checksum(header_of(source, i)[0]) for i in range(count)]
    held = {i for i, checksum in enumerate(sums) if checksum % HELD_OUT == 0}
    if not 0 < len(held) < count:
        held = {min(range(count), key=lambda i: (sums[i] % HELD_OUT, sums[i]))}
    rest = [i for i in range(count) if i not in held]
    return Subset(source, rest), Subset(source, sorted(held))


def _checksum(name):
    path = pathlib.PurePosixPath(name)
    stem = path.with_suffix("") if path.suffix.lower() in EXTENSIONS else path
    # hash() would change from process to process.
    return int.from_bytes(hashlib.sha256(os.fsencode(common_name(stem.as_posix()))).digest()[:8])


def _must_divide(split: str, splits: Splits, exists: Callable[[str], bool]) -> bool:
    """Whether the validation split is missing and has to come out of the training split."""
    training, validation = splits
    return (
        split in splits and training != validation and exists(training) and not exists(validation)
    )


def _share(sources: dict[Path, Source], root: Path, split: str, splits: Splits) -> list[Source]:
    """The wanted share of training images, given as {where they are: source}.

    Prints one line when they are wanted for validation.
    """
    divided = [hold_out(source, where) for where, source in sources.items()]
    if split == splits[0]:
        return [training for training, _ in divided]
    numbers = [
        f"{len(held)} of {len(sources[where])} images of {where}"
        for where, (_, held) in zip(sources, divided, strict=True)
    ]
    missing = pathlib.Path(root, splits[1])
    message = (
        f"there is no folder {missing}{existing_folders(missing)}: {' and '.join(numbers)}, chosen "
        "by name, are held out for validation (a run trained with another data.eval_split has seen "
        "them). For other images set --config.data.eval_split"
    )
    print(shown(message), flush=True)
    return [held for _, held in divided]


def paired_folder(
    root: Path,
    split: str,
    splits: Splits,
    channels: tuple[int, int] = (3, 3),
    size: tuple[int, int] | None = None,
    equal_halves: bool = False,
) -> Source:
    """The pairs of a split: root/split of A|B images, root/split/{A,B} or root/{A,B}/split.

    Args:
        root: folder.
        split: the wanted one of `splits`.
        splits: names of the training split and of the validation split.
        channels: of A and of B.
        size: (height, width) that images are resized to; prints a line if A|B images have halves
            of an aspect ratio far from it.
        equal_halves: refuse A|B images of odd width, see `SideBySide`.

    Raises:
        FileNotFoundError: no such folder, or an empty one.
        ValueError: files that cannot be pairs.
    """
    root = _checked(root)
    divide = _must_divide(split, splits, lambda name: _has_pairs(root, name))
    found = splits[0] if divide else split
    if not _has_pairs(root, found):
        _recognise_unpaired(root, splits)
    source = _all_pairs(root, found, channels, equal_halves)
    seen_in_training = divide and split != splits[0]
    if size and isinstance(source, SideBySide) and not seen_in_training:
        source.check_aspect(size)
    return _share({root / found: source}, root, split, splits)[0] if divide else source


def _checked(root):
    root = pathlib.Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"data.dir is {root}, and there is no such folder")
    return root


def _recognise_unpaired(root, splits):
    for split in splits:
        if all((root / f"{split}{domain}").is_dir() for domain in "AB"):
            raise FileNotFoundError(
                f"{root} has {split}A/ and {split}B/, which looks like CycleGAN data, two sets of "
                "unpaired images: train with --config=configs/cyclegan.py "
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


def _has_pairs(root, split):
    return all(folder.is_dir() for folder in pair_folders(root, split))


def _all_pairs(root, split, channels, equal_halves):
    folder, *other = pair_folders(root, split)
    if other:
        return TwoFolders(folder, *other, channels)
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
    return SideBySide(folder, channels, equal_halves)


def two_sets(
    root: Path, split: str, splits: Splits, channels: dict[str, int]
) -> tuple[dict[str, Source], bool] | None:
    """The images of both domains of a split, root/{split}A and root/{split}B.

    Args:
        root: folder.
        split: the wanted one of `splits`.
        splits: names of the training split and of the validation split.
        channels: of "A" and of "B".

    Returns:
        {"A": source, "B": source}, and whether they correspond one to one, by their names; None
        if these folders do not exist, but perhaps pairs do.

    Raises:
        FileNotFoundError: no folder `root`, or only one of the two.
        ValueError: a damaged image.
    """
    root = _checked(root)
    unpaired = lambda name: any((root / f"{name}{d}").is_dir() for d in "AB")
    divide = _must_divide(split, splits, lambda name: unpaired(name) or _has_pairs(root, name))
    found = splits[0] if divide else split
    if not unpaired(found):
        return None
    a, b = (SingleFolder(root / f"{found}{d}", channels[d], d) for d in "AB")
    correspond = same_names(a, b)
    if divide:
        a, b = _share({root / f"{found}A": a, root / f"{found}B": b}, root, split, splits)
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
    flat = not any((root / name).is_dir() for name in splits)
    exists = lambda name: name == splits[0] if flat else (root / name).is_dir()
    divide = _must_divide(split, splits, exists)
    folder = root if flat else root / (splits[0] if divide else split)
    source = SingleFolder(folder, channels, domain)
    return _share({folder: source}, root, split, splits)[0] if divide else source, domain
