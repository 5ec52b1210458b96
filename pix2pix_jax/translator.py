"""Trained generators applied to uint8 images: what evaluation, translation and the demo share."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from pix2pix_jax.images.fitting import fit
from pix2pix_jax.images.levels import to_float, to_uint8
from pix2pix_jax.methods.contract import Direction
from pix2pix_jax.methods.registry import make_generate
from pix2pix_jax.models import build
from pix2pix_jax.runtime import few_shapes, random_streams
from pix2pix_jax.runtime.batches import in_batches


def make_translate(config: Any, direction: Direction) -> Callable[..., jax.Array]:
    """The pure function (variables, uint8 [N, H, W, C], indices [N], sample) -> [N, H, W, O]."""
    generate = make_generate(config, direction)

    def translate(variables, images, indices, sample):
        of_index = lambda index: random_streams.of_sample(config.seed, sample, index)
        return to_uint8(generate(variables, to_float(images), jax.vmap(of_index)(indices)))

    return translate


class Translator:
    """One direction of a method, jitted once for each size of images."""

    def __init__(self, config: Any, direction: Direction):
        self.direction = direction
        self._batch_size, self._fit = config.eval.batch_size, config.eval.fit
        self._crop_size = tuple(config.data.crop_size)
        self._divisor = build.generator(config.model, direction.out_channels).divisor
        self._run = few_shapes.jit(make_translate(config, direction))

    def batch(
        self, variables: Any, images: np.ndarray, indices: np.ndarray, sample: int = 0
    ) -> np.ndarray:
        """Translates images of a size that the network takes, in batches of one shape.

        The noise of an image depends on the seed, its index and the sample's number alone, so a
        batch of any size gives the same images as one at a time.

        Args:
            variables: of the direction's generator.
            images: uint8 [N, H, W, C].
            indices: int [N], one for each image.
            sample: which of several outputs to draw.

        Returns:
            uint8 [N, H, W, O].
        """
        run = lambda images, indices: self._run(variables, images, indices, sample)
        size = min(self._batch_size, len(images))
        return in_batches(run, size, images, np.asarray(indices))

    def padded(
        self, variables: Any, images: list[np.ndarray], indices: np.ndarray, sample: int = 0
    ) -> list[np.ndarray]:
        """Translates images uint8 [h, w, C] of several sizes, each at its own resolution.

        One by one, so that no shape is compiled for several numbers of images.
        """
        rows = zip(images, indices, strict=True)
        return [self._fitted(variables, [x], [index], sample, "pad")[0] for x, index in rows]

    def images(
        self, variables: Any, images: Sequence[np.ndarray], indices: np.ndarray, sample: int = 0
    ) -> list[np.ndarray]:
        """Translates images of any sizes, each as eval.fit says; those of one shape together.

        "resize" brings every image to data.crop_size, which the network was trained on, and
        resizes the result back (bicubic); "scale" does so in the image's own proportions. "pad"
        keeps the resolution.

        Args:
            variables: of the direction's generator.
            images: uint8 [h, w, C]; for inpainting with the hole, see `with_hole`.
            indices: choose each image's noise, with the seed and `sample`.
            sample: which of several outputs to draw.

        Returns:
            uint8 [h, w, O] of each.
        """
        return self._fitted(variables, images, indices, sample, self._fit)

    def _fitted(self, variables, images, indices, sample, how):
        fitted, restore = zip(
            *(fit(image, how, self._crop_size, self._divisor) for image in images), strict=True
        )
        outputs = [None] * len(fitted)
        for shape in dict.fromkeys(image.shape for image in fitted):
            rows = [i for i, image in enumerate(fitted) if image.shape == shape]
            stack = np.stack([fitted[i] for i in rows])
            found = self.batch(variables, stack, np.asarray(indices)[rows], sample)
            for i, output in zip(rows, found, strict=True):
                outputs[i] = restore[i](output)
        return outputs


def with_hole(image: np.ndarray, mask: np.ndarray, name: Any = "the mask") -> np.ndarray:
    """Image uint8 [H, W, C] and mask [H, W, 1] -> [H, W, C + 1], 255 where the mask is over 127.

    Raises:
        ValueError: their sizes differ; the message calls the mask `name`.
    """
    if image.shape[:2] != mask.shape[:2]:
        sizes = [f"{width}x{height}" for height, width in (mask.shape[:2], image.shape[:2])]
        raise ValueError(f"{name} is {sizes[0]}, but the image is {sizes[1]}: they must agree")
    return np.concatenate([image, np.where(mask > 127, 255, 0).astype(np.uint8)], axis=-1)
