"""Looks through, pairs and prepares a folder of images.

python -m pix2pix_jax.dataset check FOLDER
python -m pix2pix_jax.dataset pair FOLDER_A FOLDER_B --output=PAIRS
python -m pix2pix_jax.dataset pair FOLDER --suffix_a=_sketch --suffix_b=_photo --output=PAIRS
python -m pix2pix_jax.dataset pair FOLDER --rule=edges --output=PAIRS
python -m pix2pix_jax.dataset prepare FOLDER --size=256 --val=0.1 --test=0.1 --output=DATA
python -m pix2pix_jax.dataset sheet FOLDER --output=sheet.png
python -m pix2pix_jax.dataset labels CLASSES INSTANCES PHOTOS --output=FOLDER/train/A

FOLDER has images, or splits (train, val, ...) of images. Pairs are A and B side by side in one
file, or files of one name in two folders A and B.
"""

import argparse
import contextlib
import sys

from pix2pix_jax.dataset import check, labels, pair, prepare, sheet
from pix2pix_jax.dataset.parts import SIDE_BY_SIDE, SINGLE
from pix2pix_jax.dataset.writing import WRITERS
from pix2pix_jax.images.resizing import METHODS
from pix2pix_jax.settings import subcommands

FORMS = {"pairs": SIDE_BY_SIDE, "single": SINGLE, None: None}
SHOWN = 10  # files that `check` names of each kind, without --all


def main(arguments: list[str] | None = None) -> None:
    """Runs the verb that the command line (or `arguments`) gives."""
    subcommands.run(_parser(), arguments)


def _parser():
    parser = subcommands.parser("dataset", __doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    form = argparse.ArgumentParser(add_help=False)
    form.add_argument(
        "--form", choices=("pairs", "single"),
        help="of images that lie in one folder: side by side, or not; judged by width if not given",
    )  # fmt: skip

    resize = argparse.ArgumentParser(add_help=False)
    resize.add_argument(
        "--size", type=_size, metavar="N or HEIGHT,WIDTH", help="of each image; as it is if missing"
    )
    resize.add_argument(
        "--fit", choices=prepare.FITS, default="crop", help="to another aspect ratio"
    )
    resize.add_argument(
        "--method", choices=tuple(METHODS), default="bicubic",
        help="of the resize; nearest keeps the colours of label maps",
    )  # fmt: skip

    verb = verbs.add_parser("check", parents=[form], help="a table of what is there and wrong")
    verb.set_defaults(run=_check)
    verb.add_argument("folder")
    verb.add_argument("--all", action="store_true", help="name all files, not the first ten")

    verb = verbs.add_parser("pair", parents=[resize], help="writes pairs side by side")
    verb.set_defaults(run=_pair)
    verb.add_argument("folder", help="of A; or of B, where a rule makes A")
    verb.add_argument("folder_b", nargs="?", help="of B, with files of the same names")
    verb.add_argument("--suffix_a", default="", help="what names of A end in, as _sketch")
    verb.add_argument("--suffix_b", default="", help="what names of B end in, as _photo")
    verb.add_argument("--rule", choices=tuple(pair.RULES), help="what makes A of B")
    verb.add_argument("--output", type=subcommands.path, required=True, help="new folder")

    verb = verbs.add_parser(
        "prepare", parents=[form, resize], help="resizes, and splits off val and test"
    )
    verb.set_defaults(run=_prepare)
    verb.add_argument("folder")
    verb.add_argument("--output", type=subcommands.path, required=True, help="new folder")
    verb.add_argument("--val", type=_share, default=0.0, help="share of the training images")
    verb.add_argument("--test", type=_share, default=0.0, help="share of the training images")
    verb.add_argument("--seed", type=int, default=0, help="of the draw")
    verb.add_argument(
        "--format", choices=tuple(WRITERS), default="png",
        help="array_record: a few large files in place of many small ones",
    )  # fmt: skip

    verb = verbs.add_parser("sheet", parents=[form], help="writes a contact sheet")
    verb.set_defaults(run=_sheet)
    verb.add_argument("folder")
    verb.add_argument("--output", type=subcommands.path, required=True, metavar="FILE.png")
    verb.add_argument(
        "--count", type=subcommands.positive, default=48, help="images of each split (48)"
    )
    verb.add_argument(
        "--side", type=subcommands.positive, default=128, help="width of one, pixels (128)"
    )

    verb = verbs.add_parser("labels", help="writes maps of classes and instances as one, by order")
    verb.set_defaults(run=_labels)
    verb.add_argument("classes", help="folder of maps of class ids")
    verb.add_argument("instances", help="folder of maps of instance ids")
    verb.add_argument(
        "photos", help="folder of their photographs, which the results are named like"
    )
    verb.add_argument("--output", type=subcommands.path, required=True, help="new folder")
    return parser


def _size(text):
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 2) or min(numbers) < 1:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no size: give pixels, as 256 for 256x256, or HEIGHT,WIDTH as 256,512"
        )
    return (*numbers, *numbers)[:2]


def _share(text):
    with contextlib.suppress(ValueError):
        if 0 <= (share := float(text)) < 1:
            return share
    raise argparse.ArgumentTypeError(f"{text!r} is no share from 0 to below 1, as 0.1")


def _check(options):
    report = check.check(options.folder, FORMS[options.form])
    table = [list(check.COLUMNS), *report.rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )
    for column, lines in report.findings.items():
        shown = lines if options.all else lines[:SHOWN]
        print("".join(f"\n{column}: {line}" for line in shown), end="")
        if len(shown) < len(lines):
            print(f"\n{column}: and {len(lines) - len(shown)} more (--all names them)", end="")
    print(flush=True)
    if report.misnamed:
        sys.exit(f"error: {report.misnamed}; or if these are single images, give --form=single")
    if report.refused:
        which = "training" if report.findings["damaged"] else "training on pairs"
        mend = f"python -m pix2pix_jax.dataset prepare {options.folder} --size=256 --output=NEW"
        sizes = f" ({mend} makes all one size)" if report.findings["other size"] else ""
        sys.exit(
            f"error: {which} refuses this folder until the files above are removed or mended{sizes}"
        )


def _pair(options):
    suffixes = options.suffix_a, options.suffix_b
    resize = options.size, options.fit, options.method
    if bool(options.folder_b or any(suffixes)) == bool(options.rule):
        raise ValueError(
            "give a second folder, or --suffix_a and --suffix_b that tell A from B in one, or a "
            "--rule that makes A of the images of one"
        )
    if options.rule:
        count = pair.pair_by_rule(options.folder, options.rule, options.output, *resize)
    else:
        folder_b = options.folder_b or options.folder
        count = pair.pair_folders(options.folder, folder_b, options.output, *suffixes, *resize)
    print(f"{count} pairs in {options.output}")


def _prepare(options):
    shares = {name: getattr(options, name) for name in ("val", "test") if getattr(options, name)}
    written = prepare.prepare(
        options.folder, options.output, options.size, options.fit, options.method, shares,
        options.seed, FORMS[options.form], options.format,
    )  # fmt: skip
    numbers = ", ".join(f"{count} in {split}" for split, count in written.items())
    print(f"{options.output}: {numbers}")


def _sheet(options):
    count = sheet.sheet(
        options.folder, options.output, options.count, options.side, FORMS[options.form]
    )
    print(f"{options.output}: {count} of the images")


def _labels(options):
    count = labels.label_maps(options.classes, options.instances, options.photos, options.output)
    print(f"{count} label maps in {options.output}")


if __name__ == "__main__":
    main()
