"""Data: from folders, TFDS or a procedural renderer to float32 batches in [-1, 1]."""

import functools
import math
from typing import Any

from pix2pix_jax.data import catalogue, folders, sources
from pix2pix_jax.data.examples import Examples
from pix2pix_jax.data.masked import MaskedExamples
from pix2pix_jax.data.shards import is_shard
from pix2pix_jax.data.unpaired import UnpairedExamples
from pix2pix_jax.images import pixel_format
from pix2pix_jax.images.finding import is_image
from pix2pix_jax.images.pixel_format import PixelFormat
from pix2pix_jax.images.rasters import is_raster
from pix2pix_jax.runtime.storage import local_copy


def load_examples(
    data: Any,
    seed: int,
    split: str,
    train: bool,
    kind: str = "pairs",
    jittered_epochs: float = math.inf,
) -> Examples | UnpairedExamples | MaskedExamples:
    """The examples of a split: of data.dir, else of the data set that data.name names.

    Args:
        data: the `data` section of a config.
        seed: of the order, and of the synthetic data set.
        split: data.train_split or data.eval_split. Where data.dir has no folder for the latter, a
            share of the former is held out, see `folders`.
        train: whether images are for a random crop, or for evaluation.
        kind: what the method takes. "pairs" {"input", "target"}; "sets": images of two domains
            {"A", "B"} drawn apart, which a data set of pairs has too; "images" {"image"}, which
            are the target's side of pairs; "masked": the same with holes to fill.
        jittered_epochs: epochs after which images are resized to the crop.

    Raises:
        FileNotFoundError: no such folder or data set.
        ValueError: images that do not fit the config; the message names one.
    """
    if data.value_range and not data.dir:
        raise ValueError(
            "config.data.value_range is about the files of config.data.dir, which is empty: give "
            "the folder, or leave the range empty for photographs"
        )
    if data.name == "folder" and not data.dir:
        raise FileNotFoundError("no images are named: give --config.data.dir=FOLDER")
    domains = ("A", "B") if data.direction == "AtoB" else ("B", "A")
    formats = _formats(data)

    def examples(source, kinds):
        source = _limited(source, data.max_items)
        return Examples(source, kinds, data, seed, train, jittered_epochs)

    if kind in ("images", "masked"):
        source, domain = _images(data, seed, split, train, domains[1])
        images = examples(source, {"image": domain})
        return MaskedExamples(images, data, seed, train) if kind == "masked" else images
    if kind == "pairs":
        source = _pairs(data, seed, split, train, formats)
        return examples(source, dict(zip(("input", "target"), domains, strict=True)))
    by_domain, correspond = _two_sets(data, seed, split, train, formats)
    a, b = (examples(by_domain[d], {name: d}) for name, d in zip("AB", domains, strict=True))
    return UnpairedExamples({"A": a, "B": b}, seed, correspond)


def training_sizes(data: Any, seed: int, kind: str) -> list[tuple[int, int]]:
    """(height, width) of the training images in data.dir before any resize; of pairs once each.

    Args:
        data: the `data` section of a config; its sizes may be 0 still.
        seed: as for `load_examples`.
        kind: what the method takes, see there.

    Raises:
        FileNotFoundError, ValueError: as `load_examples`, for folders and headers.
    """
    split, formats = data.train_split, _formats(data)
    if kind == "pairs":
        found = [_pairs(data, seed, split, False, formats)]
    elif kind == "sets":
        by_domain, _ = _two_sets(data, seed, split, False, formats)
        found = list(by_domain.values())
    else:
        found = [_images(data, seed, split, False, "B")[0]]
    return [sources.header_of(source, i)[1] for source in found for i in range(len(source))]


def _limited(source, count):
    return sources.Subset(source, range(min(count, len(source)))) if count else source


def _formats(data):
    """How A and B are stored."""
    first, second = pixel_format.formats(data)
    return (first, second) if data.direction == "AtoB" else (second, first)


@functools.cache
def _local(folder, rasters=False):
    """data.dir on this machine; once a process, for even a list of what a store has takes time."""
    return local_copy(folder, is_raster if rasters else lambda p: is_image(p) or is_shard(p))


def _splits(data):
    return data.train_split, data.eval_split


def _pairs(data, seed, split, train, formats) -> sources.Source:
    if data.dir:
        resized = data.preprocess == "resize_and_crop"
        size = tuple(data.load_size if resized else data.crop_size)
        return folders.paired_folder(
            _local(data.dir, bool(data.value_range)),
            split,
            _splits(data),
            formats,
            size=size if all(size) else None,
            equal_halves=not resized,
        )
    if data.name == "synthetic":
        from pix2pix_jax.data.synthetic import SyntheticFacades

        count = data.synthetic_train if train else data.synthetic_eval
        return SyntheticFacades(
            split, count, data.synthetic_size, seed, data.synthetic_kind, _channels(formats)
        )
    from pix2pix_jax.data.tfds_sources import TfdsPairs

    return TfdsPairs(data.name, split, data.tfds_dir, _channels(formats))


def _channels(formats):
    return formats[0].channels, formats[1].channels


def _two_sets(data, seed, split, train, formats) -> tuple[dict[str, sources.Source], bool]:
    """The sources of both domains, and whether their images correspond one to one."""
    if data.dir:
        local = _local(data.dir, bool(data.value_range))
        found = folders.two_sets(local, split, _splits(data), formats)
        if train and found is None:
            _say_that_these_are_pairs(data)
        if found:
            if not train and found[1]:
                print(
                    f"the two sets of {data.dir} have files of the same names, which are compared "
                    "with each other: rename them if they are no pairs",
                    flush=True,
                )
            return found
    elif data.name != "synthetic":
        from pix2pix_jax.data.tfds_sources import TfdsImages

        sets = {
            d: TfdsImages(data.name, f"{split}{d}", data.tfds_dir, form.channels)
            for d, form in zip("AB", formats, strict=True)
        }
        return sets, catalogue.UNPAIRED[data.name].aligned_test and split == "test"
    elif train:  # two streets that share no house
        streets = {d: _pairs(data, seed, f"{split}{d}", train, formats) for d in "AB"}
        return streets, False
    pairs = _pairs(data, seed, split, train, formats)
    return {"A": pairs, "B": pairs}, True


def _say_that_these_are_pairs(data):
    print(
        f"{data.dir} has pairs, and this method draws their two sides apart. To learn from the "
        f"pairs, train with --config=configs/own.py:paired --config.data.dir={data.dir}",
        flush=True,
    )


def _images(data, seed, split, train, domain) -> tuple[sources.Source, str]:
    """The source of single images, and under which name its records have them."""
    channels = 1 if data.output_channels == 1 else 3
    if data.name == "synthetic" and not data.dir:
        return _pairs(data, seed, split, train, (PixelFormat(channels),) * 2), domain
    if data.name in catalogue.PAIRED:  # a local copy holds pairs, too
        try:
            return _pairs(data, seed, split, train, (PixelFormat(channels),) * 2), domain
        except ValueError as error:
            raise ValueError(
                f"{error}. A folder of single images goes with --config.data.name=folder"
            ) from error
    if not data.dir:
        raise FileNotFoundError(
            f"the images of {data.name!r} cannot be downloaded here: fetch them by hand, and give "
            "their folder as --config.data.dir=FOLDER"
        )
    return folders.image_folder(_local(data.dir), split, _splits(data), channels)
