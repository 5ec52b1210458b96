"""Colorization: pix2pix from lightness to colour, L to ab of CIELAB (the PyTorch code's model).

A batch is {"image": [N, H, W, 3]}, RGB photographs, float32 in [-1, 1]. Networks see L / 50 - 1
and ab / 110.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pix2pix_jax.images import colors
from pix2pix_jax.images.levels import to_float, to_uint8
from pix2pix_jax.methods import pix2pix
from pix2pix_jax.methods.contract import Direction, Distance, Generate, Layout, Step


def directions(config: Any) -> list[Direction]:
    """From a photograph, of which only the lightness is used, to a coloured one."""
    return [
        Direction("", "image", "image", "G", 3, 3, show_input=show_lightness, keep=keep_lightness)
    ]


def make_train_step(config: Any, num_examples: int, layout: Layout) -> Step:
    """The pure function that trains G and D on one batch: pix2pix's, on L and ab."""
    step = pix2pix.make_train_step(config, num_examples, layout)

    def train_step(state, batch):
        lightness, color = split(batch["image"])
        return step(state, {"input": lightness, "target": color})

    return train_step


def make_generate(config: Any, direction: Direction) -> Generate:
    """As pix2pix's, RGB to RGB; lightness stays, but for the gamut."""
    del direction  # the generator makes ab of L, whatever the images are
    colorize = pix2pix.generate_one_by_one(config, config.data.output_channels)

    def generate(variables, images, keys):
        lightness, _ = split(images)
        return join(lightness, colorize(variables, lightness, keys))

    return generate


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


def keep_lightness(image: np.ndarray, output: np.ndarray) -> np.ndarray:
    """The colours of `output` with the lightness of `image`, uint8 RGB [H, W, 3] each.

    Lightness is all that is sharp in an image that the network saw at another size.
    """
    (lightness, _), (_, color) = (split(to_float(jnp.asarray(x)[None])) for x in (image, output))
    return np.asarray(to_uint8(join(lightness, color)))[0]


def check(config: Any) -> None:
    """Raises ValueError unless the networks go from L to ab."""
    inputs, outputs = config.data.input_channels, config.data.output_channels
    if (inputs, outputs) != (1, 2):
        raise ValueError(
            f"colorization goes from L to ab: set config.data.input_channels={inputs} to 1 and "
            f"config.data.output_channels={outputs} to 2"
        )


METHOD = pix2pix.METHOD._replace(
    data="images",
    make_train_step=make_train_step,
    directions=directions,
    make_generate=make_generate,
    prepare=lambda config, images: split(images)[0],
    # Trained on ab, validated in RGB: no training loss is of the same kind.
    distance=lambda config: Distance("l1", {}),
    check=check,
)
