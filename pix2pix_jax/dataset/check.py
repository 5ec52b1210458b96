"""`check`: what is in a folder, and what training would stumble over or learn wrongly."""

import concurrent.futures
import hashlib
import pathlib
from collections import Counter
from typing import NamedTuple

import numpy as np
from PIL import Image

from pix2pix_jax.data.folders import misnamed
from pix2pix_jax.data.side_by_side import check_width, split_pair
from pix2pix_jax.dataset import alignment
from pix2pix_jax.dataset.parts import SIDE_BY_SIDE, SINGLE, TWO_FILES, Item, Part, find_parts
from pix2pix_jax.images.files import FORMATS, read_image
from pix2pix_jax.images.finding import Path

THREADS = 4
ALIKE = 2.0  # levels of 255: a smaller mean distance between A and B, and they are the same
KINDS = {"L": "gray", "P": "palette", "1": "black and white", "F": "gray float", "I": "gray 32 bit"}
REFUSED = ("damaged", "no partner", "other size")  # training stops at these, two of them of pairs
FINDINGS = (*REFUSED, "duplicates", "alike", "shifted")
COLUMNS = ("part", "form", "images", "sizes", "channels", *FINDINGS)


class Facts(NamedTuple):
    """What one item was found to be."""

    sizes: tuple[tuple[int, int], ...] = ()  # (height, width) of each file
    kind: str = ""  # channels and bits of the files
    digest: bytes = b""  # of the decoded pixels
    alike: bool = False  # A and B show the same
    shift: tuple[int, int] | None = None  # of B against A, (y, x) pixels
    surface: np.ndarray | None = None  # where that was found, see `alignment`
    damage: str = ""


class Report(NamedTuple):
    """What a folder was found to be."""

    rows: list[list[str]]  # of the table, one a part, under COLUMNS
    findings: dict[str, list[str]]  # lines that name files, by column
    refused: bool  # whether training would refuse the folder, for the findings
    misnamed: str  # what to do where the folders of A and B are called otherwise, or ""


def check(root: Path, form: str | None = None) -> Report:
    """Decodes every image of a folder and compares them.

    Duplicates have the same pixels, whatever their files are called and in whatever split; pairs
    are alike if A and B are, and shifted if their edges agree clearly better elsewhere. Many
    pairs that are shifted alike are recognised together where each alone would be in doubt.

    Args:
        root: the folder.
        form: of images in one folder, see `find_parts`.

    Raises:
        FileNotFoundError, ValueError: as `find_parts`.
    """
    rows, findings, first, wrong = [], {column: [] for column in FINDINGS}, {}, ""
    root = pathlib.Path(root)
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        for part in find_parts(root, form):
            facts, surfaces, together = [], 0, None
            for fact in pool.map(lambda item, form=part.form: _look(item, form), part.items):
                if fact.surface is not None:
                    surfaces = surfaces + fact.surface  # kept as a sum, for there may be many
                    together = alignment.shift_of(surfaces, *_size_of_one(part, fact))
                facts.append(fact._replace(surface=None))
            found = _problems(part, facts, first)
            if together and len(facts) > 1:
                where = f"all of {part.name or 'the folder'} together"
                found["shifted"].insert(0, f"{where}: {_shift(together)}")
            for column, lines in found.items():
                findings[column] += lines
            rows.append(_row(part, facts, found))
            if not form and part.form != TWO_FILES and (root / part.name).is_dir():
                wrong = wrong or misnamed(root) or misnamed(root, part.name)
    return Report(rows, findings, any(findings[column] for column in REFUSED), wrong)


def _look(item: Item, form: str) -> Facts:
    """Reads an item, whatever is wrong with it."""
    try:
        images = [read_image(path, 3) for path in item.paths]
        if form == SIDE_BY_SIDE:
            check_width(images[0].shape[1], item.paths[0])
        kind = " and ".join(dict.fromkeys(_kind(path) for path in item.paths))
    except ValueError as error:
        return Facts(damage=str(error))
    sizes = tuple(image.shape[:2] for image in images)
    digest = hashlib.sha256(repr(sizes).encode())
    for image in images:
        digest.update(image.tobytes())
    facts = Facts(sizes, kind, digest.digest())
    if form == SIDE_BY_SIDE:
        halves = split_pair(images[0], (3, 3))
        images = [halves["A"], halves["B"][:, : halves["A"].shape[1]]]
    if len(images) < 2 or images[0].shape != images[1].shape:
        return facts
    a, b = images
    if np.abs(a.astype(np.int16) - b).mean() < ALIKE:
        return facts._replace(alike=True)
    surface = alignment.surface(a, b)
    return facts._replace(surface=surface, shift=alignment.shift_of(surface, *a.shape[:2]))


def _kind(path):
    """Channels and bits of a file, in words."""
    with Image.open(path, formats=FORMATS) as image:
        mode = image.mode
    return "gray 16 bit" if mode.startswith("I;16") else KINDS.get(mode, mode)


def _problems(part: Part, facts: list[Facts], first: dict[bytes, str]) -> dict[str, list[str]]:
    """What is wrong with a part: lines that name files, by column.

    Args:
        part: of the folder.
        facts: of its items.
        first: names of the first items with some pixels, of this part and others; is added to.
    """
    found = {column: [] for column in FINDINGS}
    found["no partner"] = [str(path) for path in part.alone]
    for item, fact in zip(part.items, facts, strict=True):
        path = " and ".join(map(str, item.paths))
        if fact.damage:
            found["damaged"].append(fact.damage)
            continue
        if len(set(fact.sizes)) > 1:
            found["other size"].append(f"{path}: {' and '.join(map(_size, fact.sizes))}")
        before = first.setdefault(fact.digest, path)
        if before != path:
            found["duplicates"].append(f"{path} has the pixels of {before}")
        if fact.alike:
            found["alike"].append(f"{path}: A and B are the same image")
        if fact.shift:
            found["shifted"].append(f"{path}: {_shift(fact.shift)}")
    return found


def _size_of_one(part, fact):
    """(height, width) of one image of a pair."""
    height, width = fact.sizes[0]
    return height, width // 2 if part.form == SIDE_BY_SIDE else width


def _shift(shift):
    y, x = shift
    across, down = "further right" if x > 0 else "further left", "lower" if y > 0 else "higher"
    by = [f"{abs(n)} pixels {where}" for n, where in ((y, down), (x, across)) if n]
    return f"B lies {' and '.join(by)} than A"


def _size(size):
    return f"{size[1]}x{size[0]}"


def _row(part, facts, found):
    whole = [fact for fact in facts if not fact.damage]
    sizes = sorted({size for fact in whole for size in fact.sizes}, key=lambda s: (s[0] * s[1], s))
    kinds = Counter(fact.kind for fact in whole)
    counts = {column: str(len(lines)) for column, lines in found.items()}
    if part.form == SINGLE:
        counts |= dict.fromkeys(("no partner", "other size", "alike", "shifted"), "")
    return [
        part.name or "(all)",
        part.form,
        f"{len(part.items):,}",
        " to ".join(dict.fromkeys(_size(s) for s in (sizes[:1] + sizes[-1:]))),
        ", ".join(kind for kind, _ in kinds.most_common()),
        *counts.values(),
    ]
