"""The share of training images that is held out for validation, where a folder has none for it.

Training (data.train_split) has the rest, and evaluation (data.eval_split) exactly the images that
were held out.
"""

import hashlib
import os
import pathlib
from collections.abc import Callable

from pix2pix_jax.data.sources import Source, Subset, common_name, header_of
from pix2pix_jax.images.finding import EXTENSIONS, Path, existing_folders
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


def must_divide(split: str, splits: Splits, exists: Callable[[str], bool]) -> bool:
    """Whether the validation split is missing and has to come out of the training split."""
    training, validation = splits
    return (
        split in splits and training != validation and exists(training) and not exists(validation)
    )


def share(
    sources: dict[Path, Source], root: Path, split: str, splits: Splits, flat: bool = False
) -> list[Source]:
    """The wanted share of training images; prints one line when they are wanted for validation.

    Args:
        sources: {where they are: source}.
        root: folder of all splits.
        split: the wanted one of `splits`.
        splits: names of the training split and of the validation split.
        flat: `root` has no folders for splits at all.
    """
    divided = [hold_out(source, where) for where, source in sources.items()]
    if split == splits[0]:
        return [training for training, _ in divided]
    numbers = [
        f"{len(held)} of {len(sources[where])} images of {where}"
        for where, (_, held) in zip(sources, divided, strict=True)
    ]
    missing = pathlib.Path(root, splits[1])
    why = f"{root} has no folders {splits[0]} and {splits[1]}"
    if not flat:
        why = f"there is no folder {missing}{existing_folders(missing)}"
    other = " (a run trained with another data.eval_split has seen them)"
    message = (
        f"{why}: {' and '.join(numbers)}, chosen by name, held out for validation"
        f"{'' if flat else other}. For other images set --config.data.eval_split"
    )
    print(shown(message), flush=True)
    return [held for _, held in divided]
