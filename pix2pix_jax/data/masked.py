"""Images with holes, for inpainting: masks of a folder, or drawn."""

import functools
from typing import Any

import jax
import numpy as np

from pix2pix_jax.data.examples import Examples
from pix2pix_jax.data.sources import SingleFolder
from pix2pix_jax.data.stream import WHOLE, Shard
from pix2pix_jax.data.unpaired import UnpairedExamples
from pix2pix_jax.images import masks, resizing
from pix2pix_jax.images.finding import is_image
from pix2pix_jax.images.pixel_format import PixelFormat
from pix2pix_jax.runtime.storage import local_copy


class MaskedExamples:
    """Photographs, and with data.mask_dir the masks that training cuts holes with at random.

    Without that folder training draws holes on the device. In evaluation every image always has
    the same hole: the mask of its number in the folder, or one drawn from the seed and the number.
    """

    paired = True  # every image with a hole has the whole one as its truth

    def __init__(self, images: Examples, data: Any, seed: int, train: bool) -> None:
        """`images` have the kind "image".

        Raises:
            FileNotFoundError: data.mask_dir has no images.
            ValueError: one of them is damaged.
        """
        self._images, self._data, self._seed, self._masks = images, data, seed, None
        self._training: Examples | UnpairedExamples = images
        self.one_size = images.one_size
        if data.mask_dir:
            masks_format = PixelFormat(1, background="black")  # as `files.read_mask`
            source = SingleFolder(local_copy(data.mask_dir, is_image), masks_format, "mask")
            self._masks = Examples(
                source, {"mask": "mask"}, data, seed, train, images.jittered_epochs
            )
            both = {"image": images, "mask": self._masks}
            self._training = UnpairedExamples(both, seed, paired=False, leader="image")

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

    def batch(self, key: jax.Array, cache: Any, item: Any) -> dict[str, jax.Array]:
        """`Examples.batch`: {"image"} and, where a folder has masks, {"mask"}."""
        return self._training.batch(key, cache, item)

    def count(self, kind: str) -> int:
        """Number of images, with or without a hole."""
        return len(self)

    def names(self, indices: np.ndarray, kind: str | None = None) -> list[str]:
        """Names of some images."""
        return self._images.names(indices)

    def images(self, kind: str, indices: np.ndarray) -> list[np.ndarray]:
        """Some images, uint8 [h, w, C]; "masked" ones have the hole as one more channel."""
        images = self._images.images("image", indices)
        if kind == "image":
            return images
        return [
            np.concatenate([image, self._hole(int(index), *image.shape[:2])], axis=-1)
            for image, index in zip(images, indices, strict=True)
        ]

    def _hole(self, index, height, width):
        """uint8 [height, width, 1]: 255 in the hole."""
        if self._masks is not None:
            number = np.array([index % len(self._masks)])
            (mask,) = self._masks.images("mask", number)
            mask = resizing.resize(mask, (height, width), self._data.resize_method)
            return np.where(mask > 127, np.uint8(255), np.uint8(0))
        data = self._data
        draw = _draw_function(height, width, data.mask_kind, tuple(data.mask_share))
        return np.asarray(draw(jax.random.key(self._seed), np.array([index])))[0] * np.uint8(255)


@functools.cache
def _draw_function(height, width, kind, share):
    @jax.jit
    def draw(key, indices):
        keys = jax.vmap(functools.partial(jax.random.fold_in, key))(indices)
        return masks.draw(keys, height, width, kind, share).astype(np.uint8)

    return draw
