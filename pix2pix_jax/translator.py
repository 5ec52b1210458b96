"""Trained generators applied to images: what evaluation, translation and the demo share."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from pix2pix_jax.images.levels import like, to_float
from pix2pix_jax.images.resizing import resize
from pix2pix_jax.methods.contract import Direction
from pix2pix_jax.methods.registry import make_generate
from pix2pix_jax.models import build
from pix2pix_jax.runtime import few_shapes, random_streams
from pix2pix_jax.runtime.batches import in_batches


def make_translate(config: Any, direction: Direction) -> Callable[..., jax.Array]:
    """The pure function (variables, [N, H, W, C], indices [N], sample) -> [N, H, W, O].

    Images are uint8, or rasters in [-1, 1]; the translations are of the same kind.
    """
    generate = make_generate(config, direction)

    def translate(variables, images, indices, sample):
        of_index = lambda index: random_streams.of_sample(config.seed, sample, index)
        keys = jax.vmap(of_index)(indices)
        return like(generate(variables, to_float(images), keys), images)

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
            images: uint8, or rasters in [-1, 1], [N, H, W, C].
            indices: int [N], one for each image.
            sample: which of several outputs to draw.

        Returns:
            [N, H, W, O] of the same kind.
        """
        run = lambda images, indices: self._run(variables, images, indices, sample)
        size = min(self._batch_size, len(images))
        return in_batches(run, size, images, np.asarray(indices))

    def padded(
        self, variables: Any, images: list[np.ndarray], indices: np.ndarray, sample: int = 0
    ) -> list[np.ndarray]:
        """Translates images [h, w, C] of several sizes, each at its own resolution."""
        outputs = []
        for image, index in zip(images, indices, strict=True):
            fitted, restore = pad_to_multiple(image, self._divisor)
            (output,) = self.batch(variables, fitted[None], np.array([index]), sample)
            outputs.append(restore(output))
        return outputs

    def image(
        self, variables: Any, image: np.ndarray, index: int = 0, sample: int = 0
    ) -> np.ndarray:
        """Translates one image of any size, as eval.fit says.

        "resize" brings every image to data.crop_size, which the network was trained on, and
        resizes the result back (bicubic). "pad" keeps the resolution.

        Args:
            variables: of the direction's generator.
            image: uint8, or a raster, [H, W, C]; for inpainting with the hole, see `with_hole`.
            index: chooses the noise, with the seed and `sample`.
            sample: which of several outputs to draw.

        Returns:
            [H, W, O] of the same kind.
        """
        if self._fit == "pad":
            return self.padded(variables, [image], np.array([index]), sample)[0]
        fitted = resize(image, self._crop_size)
        (output,) = self.batch(variables, fitted[None], np.array([index]), sample)
        return resize(output, image.shape[:2])


def pad_to_multiple(
    image: np.ndarray, divisor: int
) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """Mirrors the right and lower border of [H, W, C] up to the next multiples of `divisor`.

    Returns:
        the larger image, and the function that cuts a result of its size to [H, W, ...].
    """
    height, width = image.shape[:2]
    pads = [(0, -height % divisor), (0, -width % divisor), (0, 0)]
    return np.pad(image, pads, mode="symmetric"), lambda result: result[:height, :width]


def with_hole(image: np.ndarray, mask: np.ndarray, name: Any = "the mask") -> np.ndarray:
    """Image uint8 [H, W, C] and mask [H, W, 1] -> [H, W, C + 1], 255 where the mask is over 127.

    Raises:
        ValueError: their sizes differ; the message calls the mask `name`.
    """
    if image.shape[:2] != mask.shape[:2]:
        sizes = [f"{width}x{height}" for height, width in (mask.shape[:2], image.shape[:2])]
        raise ValueError(f"{name} is {sizes[0]}, but the image is {sizes[1]}: they must agree")
    return np.concatenate([image, np.where(mask > 127, 255, 0).astype(np.uint8)], axis=-1)
