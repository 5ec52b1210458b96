"""DiffAugment: what discriminators see is augmented, real and generated alike (Zhao et al. 2020).

Gradients flow through it, so that the generator makes images that look real once augmented, and
not augmented ones. Losses that compare images (L1, cycles, contrast) take them as they are. Images
are [N, H, W, C] in [-1, 1], and 0, a medium gray, is what shows where they were moved or cut.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from pix2pix_jax.runtime import random_streams

OPERATIONS = ("color", "translation", "cutout")  # in the order in which they are applied
MAX_SHIFT, CUT = 1 / 8, 1 / 2  # shares of height and width

# (batches of images, channels of a condition before each image's own) -> the batches augmented
Augment = Callable[[Sequence[jax.Array], int], Sequence[jax.Array]]


class Draws(NamedTuple):
    """What is drawn, one of each for each of N images."""

    brightness: jax.Array  # [N], added
    saturation: jax.Array  # [N], factor of the distance to the pixel's mean over channels
    contrast: jax.Array  # [N], factor of the distance to the image's mean
    shift: jax.Array  # int32 [N, 2], rows and columns of the image that leave it at the top left
    center: jax.Array  # int32 [N, 2], of the square that is cut out, row and column


def augmentation(config: Any, step: jax.Array, turn: str) -> Augment:
    """How a discriminator sees images in one turn of a training step.

    Args:
        config: the whole config; loss.diff_augment names the operations.
        step: of the training.
        turn: whose turn it is; each has draws of its own, and so has each batch and each image.
    """
    operations = config.loss.diff_augment
    if not operations:
        return lambda batches, condition: batches
    key = random_streams.at_step(config.seed, random_streams.AUGMENT, step)

    def augment_all(batches, condition):
        keys = jax.random.split(random_streams.named(key, turn), len(batches))
        draws = [draw(key, images.shape) for key, images in zip(keys, batches, strict=True)]
        return [
            augment(images, its_draws, operations, condition)
            for images, its_draws in zip(batches, draws, strict=True)
        ]

    return augment_all


def draw(key: jax.Array, shape: tuple[int, ...]) -> Draws:
    """Draws for images of `shape` [N, H, W, C], each uniform in the range of the authors' code."""
    uniform = jax.random.uniform(key, (shape[0], 7))  # one draw: a kernel instead of many
    most = jnp.array([_max_shift(size) for size in shape[1:3]])
    centers = jnp.array([size + 1 - _cut(size) % 2 for size in shape[1:3]])
    integers = lambda uniform, count: jnp.floor(uniform * count).astype(jnp.int32)
    return Draws(
        brightness=uniform[:, 0] - 0.5,
        saturation=uniform[:, 1] * 2,
        contrast=uniform[:, 2] + 0.5,
        shift=integers(uniform[:, 3:5], 2 * most + 1) - most,
        center=integers(uniform[:, 5:7], centers),
    )


def augment(
    images: jax.Array, draws: Draws, operations: Sequence[str], condition: int = 0
) -> jax.Array:
    """Images [N, H, W, C] after `operations`; values are not clipped.

    Args:
        images: the first `condition` channels are the condition that the image is judged beside.
            It is moved and cut like the image, but keeps its colours: those of a label map are
            classes.
        draws: see `draw`.
        operations: of `OPERATIONS`.
        condition: number of channels.
    """
    if "color" in operations:
        recolored = recolor(images[..., condition:], draws)
        images = jnp.concatenate([images[..., :condition], recolored], axis=-1)
    if "translation" in operations:
        images = translate(images, draws.shift)
    if "cutout" in operations:
        images = cut_out(images, draws.center)
    return images


def recolor(images: jax.Array, draws: Draws) -> jax.Array:
    """Brightness, then saturation, then contrast changed."""
    of_image = lambda values: values[:, None, None, None]
    images = images + of_image(draws.brightness)
    gray = images.mean(3, keepdims=True)
    images = gray + (images - gray) * of_image(draws.saturation)
    mean = images.mean((1, 2, 3), keepdims=True)
    return mean + (images - mean) * of_image(draws.contrast)


def translate(images: jax.Array, shift: jax.Array) -> jax.Array:
    """Pixel [i, j] becomes that at [i + shift[0], j + shift[1]], and 0 where there is none."""
    rows, columns = (_max_shift(size) for size in images.shape[1:3])

    def one(image, shift):
        padded = jnp.pad(image, ((rows, rows), (columns, columns), (0, 0)))
        start = (rows + shift[0], columns + shift[1], jnp.int32(0))
        return jax.lax.dynamic_slice(padded, start, image.shape)

    return jax.vmap(one)(images, shift)


def cut_out(images: jax.Array, center: jax.Array) -> jax.Array:
    """Images with 0 in a square around `center`, of which a part may lie outside of the image."""

    def outside(axis):
        size = images.shape[1 + axis]
        first = center[:, axis] - _cut(size) // 2
        place = jnp.arange(size) - first[:, None]
        return (place < 0) | (place >= _cut(size))

    keeps = outside(0)[:, :, None] | outside(1)[:, None, :]
    return jnp.where(keeps[..., None], images, 0)


def _max_shift(size):
    """Pixels of the largest shift along an axis of `size`."""
    return int(size * MAX_SHIFT + 0.5)


def _cut(size):
    """Pixels that are cut out along an axis of `size`."""
    return int(size * CUT + 0.5)
