"""What the user of an exported model must know of it."""

import re
from typing import Any

from pix2pix_jax.data import catalogue
from pix2pix_jax.images import palettes
from pix2pix_jax.images.pixel_format import formats_from
from pix2pix_jax.methods.contract import Direction
from pix2pix_jax.methods.registry import METHODS
from pix2pix_jax.models import build


def file_stem(config: Any, direction: Direction) -> str:
    """The name of its file, without ending; no path, whatever the run is called."""
    name = re.sub(r"[\\/]+", "_", config.name)
    return f"{name}_{direction.name}" if direction.name else name


def is_random(config: Any) -> bool:
    """Whether its translations depend on a random key, by dropout."""
    generator = build.generator(config.model, config.data.output_channels)
    return bool(config.eval.dropout and getattr(generator, "dropout", 0.0))


def least_multiple(config: Any, direction: Direction, side: int) -> int:
    """How many times its divisor a height or width is at least, to be `side` pixels or more."""
    generator = build.generator(config.model, direction.out_channels)
    return max(-(-side // generator.divisor), getattr(generator, "least", 1))


def describe(config: Any, direction: Direction) -> dict[str, Any]:
    """Facts about one direction of a trained run, of types that JSON knows."""
    palette = catalogue.palette_name(config.data, direction.source)
    facts = {
        "name": file_stem(config, direction),
        "method": config.method,
        "direction": direction.name or config.data.direction,
        "range": [-1, 1],  # of the values of both images
        "in_channels": direction.in_channels + METHODS[config.method].has_holes,
        "out_channels": direction.out_channels,
        "has_hole": METHODS[config.method].has_holes,  # last channel: above 0 in the hole
        # Heights and widths are multiples of it.
        "divisor": build.generator(config.model, direction.out_channels).divisor,
        "trained_at": list(config.data.crop_size),  # height and width
        "palette": palettes.PALETTES.get(palette, {}),  # of a label map: {class: colour}
    }
    if config.data.value_range:  # what -1 and 1 stand for, in the input and in the output
        both = formats_from(config.data, direction.source)
        facts["value_ranges"] = [list(image.value_range) for image in both]
    return facts
