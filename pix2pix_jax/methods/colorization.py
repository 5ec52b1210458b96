"""Colorization: pix2pix from lightness to colour, L to ab of CIELAB (the baseline's model).

A batch is {"image": [N, H, W, 3]}, RGB photographs, float32 in [-1, 1]. Networks see L / 50 - 1
and ab / 110.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pix2pix_jax.images import colors
from pix2pix_jax.methods import contract, pix2pix
from pix2pix_jax.methods.pix2pix import create_state

DATA = "images"
UPDATE_ORDERS = pix2pix.UPDATE_ORDERS


def translations(config: Any) -> list[contract.Translation]:
    """From a photograph, of which only the lightness is used, to a coloured one."""
    return [contract.Translation("", "image", "image", "G", 3, 3, show_input=show_lightness)]


def make_train_step(config: Any, num_examples: int, groups: int = 1) -> pix2pix.Step:
    """The pure function that trains G and D on one batch: pix2pix's, on L and ab."""
    step = pix2pix.make_train_step(config, num_examples, groups)

    def train_step(state, batch):
        lightness, color = split(batch["image"])
        return step(state, {"input": lightness, "target": color})

    return train_step


def make_translate(config: Any, out_channels: int) -> Callable[[Any, jax.Array, jax.Array], Any]:
    """As `contract.make_translate`, RGB to RGB; lightness stays, but for the gamut."""
    colorize = contract.make_translate(config, config.data.output_channels)

    def translate(variables, images, keys):
        lightness, _ = split(images)
        return join(lightness, colorize(variables, lightness, keys))

    return translate


def split(images: jax.Array) -> tuple[jax.Array, jax.Array]:
    """RGB [N, H, W, 3] in [-1, 1] -> L / 50 - 1 [N, H, W, 1] and ab / 110 [N, H, W, 2]."""
    lab = colors.rgb_to_lab((images + 1) / 2)
    return lab[..., :1] / 50 - 1, lab[..., 1:] / 110


def join(lightness: jax.Array, color: jax.Array) -> jax.Array:
    """The inverse of `split`; colours that RGB does not have are clipped."""
    lab = jnp.concatenate([(lightness + 1) * 50, color * 110], axis=-1)
    return colors.lab_to_rgb(lab) * 2 - 1


def show_lightness(images: np.ndarray) -> np.ndarray:
    """uint8 RGB [N, H, W, 3] -> the gray images that the network sees, [N, H, W, 1]."""
    lightness = colors.rgb_to_lab(images / np.float32(255))[..., :1]
    return np.asarray(jnp.round(lightness * 2.55)).astype(np.uint8)


__all__ = [
    "DATA",
    "UPDATE_ORDERS",
    "create_state",
    "make_train_step",
    "make_translate",
    "translations",
]
