"""Layouts of synthetic facades: random label maps made of rectangles."""

from typing import NamedTuple

import numpy as np

from pix2pix_jax.images.palettes import FACADES

PALETTE = {"sky": FACADES["background"], **FACADES}


class Part(NamedTuple):
    """A labelled rectangle, in pixels of the label map; right and bottom are exclusive."""

    label: str
    left: int
    top: int
    right: int
    bottom: int


def design(generator: np.random.Generator, size: int) -> list[Part]:
    """The parts of a random facade, those in front last."""
    chance = generator.random
    integer = lambda low, high: int(generator.integers(low, high + 1))
    px = lambda length: max(1, round(length * size / 64))  # 64 is the smallest usual size

    top, left, right = px(integer(3, 9)), px(integer(0, 4)), size - px(integer(0, 4))
    parts = [Part("sky", 0, 0, size, size), Part("wall", left, top, right, size)]
    parts.append(Part("cornice", left, top, right, top + px(3)))
    floors, bays = integer(2, 4), integer(2, 5)
    ground = size - px(integer(14, 19))
    has_shop, has_shutters, has_pillars = chance() < 0.4, chance() < 0.35, chance() < 0.3
    has_balconies = chance() < 0.45
    floor_height = (ground - top - px(4)) / floors
    bay_width = (right - left) / bays
    window = (
        floor_height * generator.uniform(0.5, 0.66),
        bay_width * generator.uniform(0.36, 0.5),
    )

    if has_pillars:
        for bay in range(bays + 1):
            x = round(min(max(left + bay * bay_width - px(1), left), right - px(2)))
            parts.append(Part("pillar", x, top + px(3), x + px(2), ground))
    for floor in range(floors):
        y = top + px(4) + (floor + 0.47) * floor_height
        has_balcony = has_balconies and floor == floors - 2
        for bay in range(bays):
            x = left + (bay + 0.5) * bay_width
            parts += _window(x, y, window, px, has_shutters, has_balcony)
    parts.append(Part("molding", left, ground, right, ground + px(2)))
    door = integer(0, bays - 1)
    for bay in range(bays):
        x0, x1 = round(left + bay * bay_width), round(left + (bay + 1) * bay_width)
        kind = "door" if bay == door else "shop" if has_shop else "window"
        inset = max(1, round(bay_width * 0.16))
        parts.append(_entrance(kind, x0, ground + px(4), x1, size, inset, px))
    return parts


def _window(x, y, window, px, has_shutters, has_balcony):
    """The parts of a window (height, width) with its centre at (x, y)."""
    height, width = window
    x0, x1 = round(x - width / 2), round(x + width / 2)
    y0, y1 = round(y - height / 2), round(y + height / 2)
    parts = []
    if has_shutters:
        side = max(1, round(width * 0.3))
        parts.append(Part("shutter", x0 - side, y0, x0, y1))
        parts.append(Part("shutter", x1, y0, x1 + side, y1))
    parts.append(Part("window", x0, y0, x1, y1))
    if has_balcony:
        parts.append(Part("balcony", x0 - px(2), y1 - px(4), x1 + px(2), y1 + px(1)))
    else:
        parts.append(Part("sill", x0 - px(1), y1, x1 + px(1), y1 + px(1)))
    return parts


def _entrance(kind, x0, y0, x1, size, inset, px):
    """The door, shop or window on the ground floor of a bay from x0 to x1."""
    if kind == "shop":
        return Part("shop", x0 + px(1), y0, x1 - px(1), size - px(2))
    return Part(kind, x0 + inset, y0, x1 - inset, size if kind == "door" else size - px(4))


def draw_labels(parts: list[Part], size: int) -> np.ndarray:
    """The label map, uint8 [size, size, 3], every pixel a colour of `PALETTE`."""
    image = np.zeros((size, size, 3), np.uint8)
    for label, left, top, right, bottom in parts:
        image[max(top, 0) : bottom, max(left, 0) : right] = PALETTE[label]
    return image
