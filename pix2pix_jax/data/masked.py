"""Images with holes, for inpainting: masks of a folder, or drawn."""

import functools
from typing import Any

import jax
import numpy as np

from pix2pix_jax.data.examples import Batch, Examples, UnpairedExamples
from pix2pix_jax.data.sources import SingleFolder
from pix2pix_jax.data.stream import WHOLE, Shard
from pix2pix_jax.images import masks


class MaskedExamples:
    """Photographs, and with data.mask_dir the masks that training cuts holes with at random.

    Without that folder training draws holes on the device. In evaluation every image has one hole
    for ever: the mask of its number in the folder, or one drawn from the seed and the number.
    """

    paired = True  # every image with a hole has the whole one as its truth

    def __init__(self, images: Examples, config: Any, train: bool) -> None:
        """`images` have the domain "image".

        Raises:
            FileNotFoundError: data.mask_dir has no images.
            ValueError: one of them is damaged.
        """
        self._images, self._config, self._masks = images, config, None
        self._training: Examples | UnpairedExamples = images
        data = config.data
        if data.mask_dir:
            source = SingleFolder(data.mask_dir, 1, "mask")
            self._masks = Examples(source, {"mask": "mask"}, data, config.seed, train)
            both = {"image": images, "mask": self._masks}
            self._training = UnpairedExamples(both, config.seed, paired=False, leader="image")

    def __len__(self) -> int:
        """Examples in an epoch."""
        return len(self._images)

    @property
    def cache(self) -> Any:
        """What lives on the device; None when images stream."""
        return self._training.cache

    def chunk(self, step: int, steps: int, batch_size: int, shard: Shard = WHOLE) -> Any:
        """`Examples.chunk` of the images, and of the masks where a folder has them."""
        return self._training.chunk(step, steps, batch_size, shard)

    def domain(self, name: str) -> "MaskedExamples":
        """The examples that have the images called `name`: all."""
        return self

    def eval_batch(self, indices: np.ndarray) -> tuple[Batch, list[str]]:
        """{"image": uint8 [n, h, w, C], "masked": with the hole as one more channel}, and names."""
        batch, names = self._images.eval_batch(indices)
        images = batch["image"]
        holes = self._holes(np.asarray(indices), *images.shape[1:3])
        return {"image": images, "masked": np.concatenate([images, holes], axis=-1)}, names

    def _holes(self, indices, height, width):
        """uint8 [n, height, width, 1]: 255 in the hole."""
        if self._masks is not None:
            found, _ = self._masks.eval_batch(indices % len(self._masks))
            return np.where(found["mask"] > 127, np.uint8(255), np.uint8(0))
        data = self._config.data
        draw = _draw_function(height, width, data.mask_kind, tuple(data.mask_share))
        return np.asarray(draw(self._config.seed, indices)) * np.uint8(255)


@functools.cache
def _draw_function(height, width, kind, share):
    @jax.jit
    def draw(seed, indices):
        key = jax.random.key(seed)
        keys = jax.vmap(functools.partial(jax.random.fold_in, key))(indices)
        return masks.draw(keys, height, width, kind, share).astype(np.uint8)

    return draw
