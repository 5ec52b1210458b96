"""What a trained generator does: one direction of translation, and the function for it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from pix2pix_jax.methods.state import apply
from pix2pix_jax.models import build


class Translation(NamedTuple):
    """A direction in which a method translates."""

    name: str  # "" where there is only one
    source: str  # images of a batch that it takes
    target: str  # images of a batch that it imitates
    generator: str  # network that does it
    in_channels: int  # of the image files that it takes
    out_channels: int
    inverse: "Translation | None" = None  # translation back, for reconstructions
    show_input: Callable[[np.ndarray], np.ndarray] = lambda images: images  # uint8 -> a picture


def make_translate(config: Any, out_channels: int) -> Callable[[Any, jax.Array, jax.Array], Any]:
    """The pure function that translates images one by one, however many it is given.

    Returns:
        (variables of the generator, images [N, H, W, I], keys [N]) -> [N, H, W, O], all in
        [-1, 1]. Every image has its own dropout key and, with eval.norm_mode "batch", its own
        statistics.
    """
    generator = build.generator(config.model, out_channels)
    settings = {"running": config.eval.norm_mode == "running", "dropout": config.eval.dropout}

    def translate_one(variables, image, key):
        return apply(generator, variables, image[None], rngs={"dropout": key}, **settings)[0][0]

    return jax.vmap(translate_one, in_axes=(None, 0, 0))
