"""Inpainting: a generator fills the holes of an image (losses of PEN-Net, Zeng et al. 2019).

A batch is {"image": [N, H, W, C]} and, with a folder of masks, {"mask": [N, H, W, 1]}, above 0 in
the hole; float32 in [-1, 1]. Without masks holes are drawn anew at every step.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pix2pix_jax.images import masks
from pix2pix_jax.methods import losses, pix2pix
from pix2pix_jax.methods.contract import Direction, Distance, Generate, Layout, Step
from pix2pix_jax.runtime import random_streams


def directions(config: Any) -> list[Direction]:
    """Filling; its source is the image with the hole as one more channel (255 in the hole)."""
    channels = config.data.output_channels
    return [Direction("", "masked", "image", "G", channels, channels, show_input=show_hole)]


def make_train_step(config: Any, num_examples: int, layout: Layout) -> Step:
    """The pure function that trains G, and D if it has weight, on one batch; as pix2pix's.

    Returns:
        (state, batch) -> (state, losses): g_hole and g_valid with their weights, and those of
        pix2pix. D judges the composited image.
    """
    loss, data = config.loss, config.data

    def objective(batch, output):
        hole, error = batch["hole"], jnp.abs(output - batch["target"])
        terms = {
            "g_hole": loss.lambda_hole * losses.masked_mean(error, hole),
            "g_valid": loss.lambda_valid * losses.masked_mean(error, 1 - hole),
        }
        return terms, composite(output, batch["target"], hole)

    fill_step = pix2pix.make_train_step(config, num_examples, layout, objective)

    def train_step(state, batch):
        image = batch["image"]
        if "mask" in batch:
            hole = (batch["mask"] > 0).astype(jnp.float32)
        else:
            key = random_streams.at_step(config.seed, random_streams.HOLES, state.step)
            keys = jax.random.split(key, len(image))
            hole = masks.draw(keys, *image.shape[1:3], data.mask_kind, tuple(data.mask_share))
        return fill_step(
            state, {"input": network_input(image, hole), "target": image, "hole": hole}
        )

    return train_step


def make_generate(config: Any, direction: Direction) -> Generate:
    """As pix2pix's, of images [N, H, W, C + 1]: the last channel is above 0 in the hole.

    With eval.composite the pixels outside the hole stay as they were.
    """
    fill = pix2pix.make_generate(config, direction)

    def generate(variables, images, keys):
        output = fill(variables, prepare(images), keys)
        return composite(output, *apart(images)) if config.eval.composite else output

    return generate


def apart(images: jax.Array) -> tuple[jax.Array, jax.Array]:
    """[N, H, W, C + 1] -> the image [N, H, W, C] and the hole [N, H, W, 1], 1 in it."""
    return images[..., :-1], (images[..., -1:] > 0).astype(jnp.float32)


def prepare(images: jax.Array) -> jax.Array:
    """What the generator takes of [N, H, W, C + 1], see `network_input`."""
    return network_input(*apart(images))


def network_input(image: jax.Array, hole: jax.Array) -> jax.Array:
    """[N, H, W, C] and hole [N, H, W, 1] (1 in it) -> [N, H, W, C + 1], the hole painted white."""
    return jnp.concatenate([image * (1 - hole) + hole, hole], axis=-1)


def composite(output: jax.Array, image: jax.Array, hole: jax.Array) -> jax.Array:
    """`output` in the hole, `image` elsewhere, to the bit."""
    return jnp.where(hole > 0, output, image)


def show_hole(images: np.ndarray) -> np.ndarray:
    """uint8 [N, H, W, C + 1] -> [N, H, W, C] with white holes, as the network sees them."""
    return np.maximum(images[..., :-1], np.where(images[..., -1:] > 127, 255, 0).astype(np.uint8))


def check(config: Any) -> None:
    """Raises ValueError for channels, holes or a way of evaluation that do not fit inpainting."""
    data = config.data
    if data.output_channels not in (1, 3):
        raise ValueError(
            f"config.data.output_channels is {data.output_channels}: images have 1 or 3 channels"
        )
    if data.input_channels != data.output_channels + 1:
        raise ValueError(
            f"config.data.input_channels is {data.input_channels}: inpainting takes the image's "
            f"{data.output_channels} channel(s) and the mask, {data.output_channels + 1}"
        )
    low, high = data.mask_share
    if not 0 < low <= high < 1:
        raise ValueError(
            f"config.data.mask_share is {tuple(data.mask_share)}: it takes the smallest and "
            "the largest share, between 0 and 1"
        )
    if config.eval.fit not in ("pad", "tile"):
        raise ValueError(
            f"config.eval.fit is {config.eval.fit!r}, which would change the pixels around "
            "the hole: inpainting takes pad or tile"
        )


METHOD = pix2pix.METHOD._replace(
    data="masked",
    loss_names=lambda config: (*pix2pix.adversarial_loss_names(config), "g_hole", "g_valid"),
    make_train_step=make_train_step,
    directions=directions,
    make_generate=make_generate,
    distance=lambda config: Distance("hole_l1", {"g_hole": config.loss.lambda_hole}),
    check=check,
    prepare=lambda config, images: prepare(images),
    has_holes=True,
)
