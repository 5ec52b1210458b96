"""Measures a folder of images against another.

python -m pix2pix_jax.metrics fid REAL FAKE --weights=FOLDER
python -m pix2pix_jax.metrics kid REAL FAKE --weights=FOLDER --mode=pytorch_fid
python -m pix2pix_jax.metrics fid REAL --weights=FOLDER --save-statistics=real.npz
python -m pix2pix_jax.metrics fid real.npz FAKE --weights=FOLDER

A set is a folder, a pattern ("results/*_fake_B.png"), or for fid and kid saved statistics (.npz).
See docs/metrics.md.
"""

import argparse
import pathlib
import sys
from types import SimpleNamespace

from pix2pix_jax.metrics import folders, inception_features, statistics_files
from pix2pix_jax.metrics.distances import (
    KID_SUBSET_SIZE,
    KID_SUBSETS,
    frechet_distance,
    kernel_distance,
)

LOSSY = {".jpg", ".jpeg", ".webp"}


def main(arguments: list[str] | None = None) -> None:
    """Prints the metric that the command line (or `arguments`) asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m pix2pix_jax.metrics",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="metric", required=True)
    for name, text in (("fid", "Fréchet distance of Inception features"),
                       ("kid", "kernel distance of Inception features")):  # fmt: skip
        command = commands.add_parser(name, help=text)
        command.add_argument("real", help="the true images, or an .npz of statistics")
        command.add_argument("fake", nargs="?", help="the generated images, or an .npz")
        command.add_argument("--mode", choices=tuple(inception_features.MODES), default="clean")
        command.add_argument("--save-statistics", metavar="FILE.npz", help="keeps those of REAL")
        command.set_defaults(run=_of_sets)
        _add_shared(command)
    kid = commands.choices["kid"]
    kid.add_argument("--subsets", type=int, default=KID_SUBSETS)
    kid.add_argument("--subset-size", type=int, default=KID_SUBSET_SIZE)
    options = parser.parse_args(arguments)
    try:
        options.run(options)
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")


def _add_shared(command):
    command.add_argument("--weights", default="", help="the .pth, or the folder that has it")
    command.add_argument("--batch-size", type=int, default=32, help="images at once (32)")


def _of_sets(options):
    """FID or KID."""
    if not options.fake and not options.save_statistics:
        raise ValueError("give the generated images too, or --save-statistics=FILE.npz")
    real, fake, paths = _statistics(options)
    if options.save_statistics:
        statistics_files.save(options.save_statistics, real, options.mode)
        print(f"wrote {options.save_statistics}", flush=True)
    if fake is None:
        return
    counts = [len(s.features) if s.features is not None else None for s in (real, fake)]
    sets = " and ".join(f"{count or 'unknown'}" for count in counts) + " images"
    if options.metric == "fid":
        print(f"FID {frechet_distance(real.gaussian, fake.gaussian):.4f} ({options.mode}, {sets})")
    else:
        if None in counts:
            raise ValueError(
                "KID takes the features of both sets, which statistics of other programs have "
                "not: make them with --save-statistics"
            )
        mean, deviation = kernel_distance(
            real.features, fake.features, options.subsets, options.subset_size
        )
        print(f"KID {mean:.6f}, standard deviation {deviation:.6f} ({options.mode}, {sets})")
    _print_pitfalls(counts, paths)


def _statistics(options):
    """Statistics of both sets (None for one that is not given), and the files of each."""
    evaluation = SimpleNamespace(
        weights_dir=options.weights, fid_mode=options.mode, batch_size=options.batch_size
    )
    found, paths, features = [], [], None
    for images in (options.real, options.fake):
        files = []
        if images is None:
            found.append(None)
        elif pathlib.Path(images).suffix == ".npz":
            found.append(statistics_files.load(images, options.mode))
        else:
            features = features or inception_features.load(evaluation)
            rows, files = folders.describe(images, features, options.batch_size)
            found.append(statistics_files.of_features(rows))
        paths.append(files)
    return *found, paths


def _print_pitfalls(counts, paths):
    """What makes a figure incomparable."""
    if None not in counts and counts[0] != counts[1]:
        print("note: FID falls with the number of images: compare only sets of these numbers")
    lossy = [any(path.suffix.lower() in LOSSY for path in files) for files in paths]
    if lossy[1]:
        print("note: generated images in JPEG or WEBP change FID and KID strongly: save PNG")


if __name__ == "__main__":
    main()
