"""Inpainting: a generator fills the holes of an image (losses of PEN-Net, Zeng et al. 2019).

A batch is {"image": [N, H, W, C]} and, with a folder of masks, {"mask": [N, H, W, 1]}, above 0 in
the hole; float32 in [-1, 1]. Without it holes are drawn anew at every step.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pix2pix_jax.images import masks
from pix2pix_jax.methods import contract, losses, pix2pix
from pix2pix_jax.methods.pix2pix import create_state

DATA = "masked"
UPDATE_ORDERS = pix2pix.UPDATE_ORDERS
HOLE = 3  # number of the holes' key among the keys of a step


def translations(config: Any) -> list[contract.Translation]:
    """Filling; its source is the image with the hole as one more channel (255 in the hole)."""
    channels = config.data.output_channels
    return [contract.Translation("", "masked", "image", "G", channels, channels, None, show_hole)]


def make_train_step(config: Any, num_examples: int, groups: int = 1) -> pix2pix.Step:
    """The pure function that trains G, and D if it has weight, on one batch; as pix2pix's.

    Returns:
        (state, batch) -> (state, losses): g_hole and g_valid with their weights, and those of
        pix2pix. D judges the composited image.
    """
    loss, data = config.loss, config.data
    seed = jax.random.key(config.seed)

    def objective(batch, output):
        hole, error = batch["hole"], jnp.abs(output - batch["target"])
        terms = {
            "g_hole": loss.lambda_hole * losses.masked_mean(error, hole),
            "g_valid": loss.lambda_valid * losses.masked_mean(error, 1 - hole),
        }
        return terms, composite(output, batch["target"], hole)

    fill_step = pix2pix.make_train_step(config, num_examples, groups, objective)

    def train_step(state, batch):
        image = batch["image"]
        if "mask" in batch:
            hole = (batch["mask"] > 0).astype(jnp.float32)
        else:
            key = jax.random.fold_in(jax.random.fold_in(seed, state.step), HOLE)
            keys = jax.random.split(key, len(image))
            hole = masks.draw(keys, *image.shape[1:3], data.mask_kind, tuple(data.mask_share))
        return fill_step(
            state, {"input": network_input(image, hole), "target": image, "hole": hole}
        )

    return train_step


def make_translate(config: Any, out_channels: int) -> Callable[[Any, jax.Array, jax.Array], Any]:
    """As `contract.make_translate`, of images [N, H, W, C + 1]: the last channel is the hole.

    With eval.composite the pixels outside the hole come back as they were.
    """
    fill = contract.make_translate(config, out_channels)

    def translate(variables, images, keys):
        image, hole = images[..., :-1], (images[..., -1:] > 0).astype(jnp.float32)
        output = fill(variables, network_input(image, hole), keys)
        return composite(output, image, hole) if config.eval.composite else output

    return translate


def network_input(image: jax.Array, hole: jax.Array) -> jax.Array:
    """[N, H, W, C] and hole [N, H, W, 1] (1 in it) -> [N, H, W, C + 1], the hole painted white."""
    return jnp.concatenate([image * (1 - hole) + hole, hole], axis=-1)


def composite(output: jax.Array, image: jax.Array, hole: jax.Array) -> jax.Array:
    """`output` in the hole, `image` elsewhere, to the bit."""
    return jnp.where(hole > 0, output, image)


def show_hole(images: np.ndarray) -> np.ndarray:
    """uint8 [N, H, W, C + 1] -> [N, H, W, C] with white holes, as the network sees them."""
    return np.maximum(images[..., :-1], np.where(images[..., -1:] > 127, 255, 0).astype(np.uint8))


__all__ = [
    "DATA",
    "UPDATE_ORDERS",
    "create_state",
    "make_train_step",
    "make_translate",
    "translations",
]
