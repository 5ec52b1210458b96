"""Data: from folders, TFDS or a procedural renderer to float32 batches in [-1, 1]."""

from typing import Any

import jax

from pix2pix_jax.data import augment, preprocess, sources
from pix2pix_jax.data.batches import Examples

JITTER = 2  # number of the jitter's key among the keys of a step


def load(config: Any, split: str, train: bool) -> Examples:
    """The examples of a split: of data.dir, else of the data set that data.name names.

    Raises:
        FileNotFoundError: no such folder or data set.
        ValueError: images that do not fit the config; the message names one.
    """
    data = config.data
    source = _source(config, split, train)
    if data.max_items:
        source = sources.First(source, data.max_items)
    a_to_b = data.direction == "AtoB"
    domains = {"input": "A" if a_to_b else "B", "target": "B" if a_to_b else "A"}
    return Examples(source, domains, data, config.seed, train)


def _source(config, split, train) -> sources.Source:
    data = config.data
    channels = (data.input_channels, data.output_channels)
    if data.direction == "BtoA":
        channels = channels[::-1]
    if data.dir:
        square = _square(data.load_size) and _square(data.crop_size)
        return sources.paired_folder(data.dir, split, channels, square)
    if data.name == "synthetic":
        from pix2pix_jax.data.synthetic import SyntheticFacades

        count = data.synthetic_train if train else data.synthetic_eval
        return SyntheticFacades(split, count, data.synthetic_size, config.seed)
    from pix2pix_jax.data.tfds_builders import TfdsPairs

    return TfdsPairs(data.name, split, data.tfds_dir, channels)


def _square(size):
    return size[0] == size[1]


def make_batch(config: Any, step: jax.Array, cache: Any, item: Any) -> dict[str, jax.Array]:
    """The training batch at `step`: gathered, cropped and mirrored, float32 in [-1, 1].

    Both images of a pair get the same crop and mirroring. Can be jitted.

    Args:
        config: the whole config.
        step: int32, which the random draws depend on.
        cache: `Examples.cache`.
        item: one step's part of `Examples.chunk`.
    """
    data = config.data
    if cache is not None:
        item = jax.tree.map(lambda images: images[item], cache)
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(config.seed), step), JITTER)
    corners, mirrored = augment.draw(key, item["input_size"], data.crop_size, data.flip)
    return {
        name: augment.to_float(
            augment.crop_and_flip(item[name], corners, mirrored, tuple(data.crop_size))
        )
        for name in ("input", "target")
    }


__all__ = ["Examples", "load", "make_batch", "preprocess"]
