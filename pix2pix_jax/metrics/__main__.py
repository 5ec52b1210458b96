"""Measures a set of images against another, from the command line.

python -m pix2pix_jax.metrics fid REAL FAKE --weights=FOLDER
python -m pix2pix_jax.metrics kid REAL FAKE --weights=FOLDER --mode=pytorch_fid
python -m pix2pix_jax.metrics fid REAL --weights=FOLDER --save-statistics=real.npz
python -m pix2pix_jax.metrics lpips REAL FAKE --weights=FOLDER --net=vgg
python -m pix2pix_jax.metrics segmentation LABELS FAKE --weights=FOLDER --labels=label_ids

A set is a folder, a pattern ("results/*_fake_B.png"), or for fid and kid an .npz of statistics.
See docs/metrics.md.
"""

import argparse
import pathlib
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np

from pix2pix_jax.images.palettes import CITYSCAPES
from pix2pix_jax.metrics import (
    drn,
    folders,
    inception_features,
    lpips,
    segmentation,
    statistics_files,
    weights_files,
)
from pix2pix_jax.metrics.distances import (
    KID_SUBSET_SIZE,
    KID_SUBSETS,
    frechet_distance,
    kernel_distance,
)
from pix2pix_jax.runtime import console
from pix2pix_jax.settings import subcommands

LOSSY = {".jpg", ".jpeg", ".webp"}
# How label maps are stored: channels of their files, and from pixels to classes.
LABELS: dict[str, tuple[int, Callable[[np.ndarray], np.ndarray]]] = {
    "colours": (3, lambda labels: segmentation.true_classes(labels, CITYSCAPES)),
    "label_ids": (1, lambda labels: segmentation.from_ids(labels[..., 0])),
    "train_ids": (1, lambda labels: labels[..., 0]),
}


def main(arguments: list[str] | None = None) -> None:
    """Prints the metric that the command line (or `arguments`) asks for."""
    with console.opened():
        subcommands.run(_parser(), arguments)


def _parser():
    parser = subcommands.parser("metrics", __doc__)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--weights", default="", help="the .pth, or the folder that has it")
    shared.add_argument(
        "--batch-size", type=subcommands.positive, default=32, help="images at once (32)"
    )
    of_sets = argparse.ArgumentParser(add_help=False)
    of_sets.add_argument("real", help="the true images, or an .npz of statistics")
    of_sets.add_argument("fake", nargs="?", help="the generated images, or an .npz")
    of_sets.add_argument(
        "--mode", choices=tuple(inception_features.MODES), default="clean",
        help="how images are resized (clean)",
    )  # fmt: skip
    of_sets.add_argument("--save-statistics", metavar="FILE.npz", help="keep those of REAL")

    commands = parser.add_subparsers(dest="metric", required=True)
    add = lambda name, run, text, *parents: _added(
        commands.add_parser(name, help=text, parents=[*parents, shared]), run
    )
    add("fid", _fid, "Fréchet distance of Inception features", of_sets)
    kid = add("kid", _kid, "kernel distance of Inception features", of_sets)
    kid.add_argument(
        "--subsets", type=subcommands.positive, default=KID_SUBSETS,
        help=f"random ones, whose mean it is ({KID_SUBSETS})",
    )  # fmt: skip
    kid.add_argument(
        "--subset-size", type=subcommands.at_least(2), default=KID_SUBSET_SIZE,
        help=f"images of each ({KID_SUBSET_SIZE})",
    )  # fmt: skip
    pairs = add("lpips", _lpips, "learned distance of images with the same names")
    pairs.add_argument("real", help="the true images")
    pairs.add_argument("fake", help="the generated images")
    pairs.add_argument("--net", choices=lpips.NETS, default="alex", help="its network (alex)")
    labelled = add("segmentation", _segmentation, "what a DRN recognises of Cityscapes' classes")
    labelled.add_argument("real", metavar="labels", help="the label maps")
    labelled.add_argument("fake", help="images with the same names")
    labelled.add_argument(
        "--labels", choices=tuple(LABELS), default="colours",
        help="how label maps are stored (colours)",
    )  # fmt: skip
    return parser


def _added(command, run):
    command.set_defaults(run=run)
    return command


def _fid(options):
    sets, about = _sets(options)
    if sets:
        print(f"FID {frechet_distance(*(s.gaussian for s in sets)):.4f} ({about})", flush=True)


def _kid(options):
    sets, about = _sets(options)
    if not sets:
        return
    if any(s.features is None for s in sets):
        raise ValueError(
            "KID takes the features of both sets, which statistics of other programs do not have: "
            "make them with --save-statistics"
        )
    features = (s.features for s in sets)
    mean, deviation = kernel_distance(*features, options.subsets, options.subset_size)
    print(f"KID {mean:.6f}, standard deviation over subsets {deviation:.6f} ({about})", flush=True)


def _sets(options):
    """Statistics of both sets, and a few words about them; no sets if one is only to be saved."""
    if not options.fake and not options.save_statistics:
        raise ValueError("give the generated images too, or --save-statistics=FILE.npz")
    if options.save_statistics and not _is_statistics(options.save_statistics):
        raise ValueError(
            f"--save-statistics={options.save_statistics} would not be known as a file of "
            "statistics: end its name in .npz"
        )
    evaluation = SimpleNamespace(
        weights_dir=options.weights, fid_mode=options.mode, batch_size=options.batch_size
    )
    given = [images for images in (options.real, options.fake) if images]
    files = {images: folders.find(images) for images in given if not _is_statistics(images)}
    sets, features = [], None
    for images in given:
        if _is_statistics(images):
            sets.append(statistics_files.load(images, options.mode))
        else:
            features = features or inception_features.load(evaluation)
            rows = folders.describe(files[images], features, options.batch_size, images)
            sets.append(statistics_files.of_features(rows))
    if options.save_statistics:
        statistics_files.save(options.save_statistics, sets[0], options.mode)
        print(f"wrote {options.save_statistics}", flush=True)
    if len(sets) == 1:
        return None, ""
    widths = [len(s.gaussian.mean) for s in sets]
    if widths[0] != widths[1]:
        raise ValueError(
            f"{options.real} has statistics of {widths[0]} features and {options.fake} of "
            f"{widths[1]}: they are of different networks"
        )
    counts = ["unknown" if s.features is None else len(s.features) for s in sets]
    if counts[0] != counts[1]:
        print("note: FID falls with the number of images: compare only sets of the same numbers")
    if any(path.suffix.lower() in LOSSY for path in files.get(options.fake, ())):
        print(
            f"note: {options.fake} has JPEG or WEBP, which changes FID and KID strongly: save PNG"
        )
    return sets, f"{options.mode}, {counts[0]} true and {counts[1]} generated images"


def _is_statistics(images):
    return pathlib.Path(images).suffix == ".npz"


def _lpips(options):
    evaluation = SimpleNamespace(
        weights_dir=options.weights, lpips_net=options.net, batch_size=options.batch_size
    )
    measure, files = lpips.load(evaluation), folders.pairs(options.real, options.fake)
    batches = folders.batches(files, (3, 3), options.batch_size, options.fake)
    found = np.concatenate([measure(x, y) for x, y in batches])
    print(f"LPIPS {found.mean():.6f} ({options.net}, {len(found)} pairs)")


def _segmentation(options):
    state = weights_files.read(options.weights, weights_files.DRN)
    segment = drn.segmenter(*drn.variables_of(state), options.batch_size)
    channels, classes_of = LABELS[options.labels]
    files = folders.pairs(options.real, options.fake)
    matrix = 0
    for labels, images in folders.batches(files, (channels, 3), options.batch_size, options.fake):
        truth = classes_of(labels)
        predicted = segment(images, truth.shape[1:])
        matrix = matrix + segmentation.confusion(truth, predicted, len(segmentation.CITYSCAPES_IDS))
    scores = segmentation.scores(matrix)
    line = ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in scores.items())
    print(f"{line} ({len(files)} images)")


if __name__ == "__main__":
    main()
