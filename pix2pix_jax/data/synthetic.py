"""Synthetic facades: procedural label maps and the photographs that go with them.

The offline data set of the quick start. Domain A is the photograph, domain B the label map, in the
colours of the published facades set. A facade is a pure function of (seed, split, number).
"""

import zlib
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from pix2pix_jax.data.palettes import FACADES
from pix2pix_jax.data.sources import Record

PALETTE = {"sky": FACADES["background"], **FACADES}
SCALE = 4  # the photograph is painted at this multiple of its size, then averaged


class Part(NamedTuple):
    """A labelled rectangle, in pixels of the label map; right and bottom are exclusive."""

    label: str
    left: int
    top: int
    right: int
    bottom: int


class SyntheticFacades:
    """Pairs {"A": photograph, "B": label map, "name"}, uint8 [size, size, 3]."""

    def __init__(self, split: str, count: int, size: int, seed: int = 0, kind: str = "labels"):
        """A split of `count` facades, drawn independently of the other splits.

        Layouts are whole pixels: at size 32 a label map may turn up twice, at 64 hardly ever.

        Args:
            split: any name.
            count: number of facades.
            size: height and width of the images.
            seed: of all of them.
            kind: domain B: "labels", or "night", the photograph after dark.

        Raises:
            ValueError: `size` is too small for a facade.
        """
        if size < 32:
            raise ValueError(f"data.synthetic_size is {size}: a facade takes at least 32 pixels")
        self._split, self._count, self._size, self._seed = split, count, size, seed
        self._kind = kind

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Record:
        if not 0 <= index < self._count:
            raise IndexError(index)
        # The split's name enters by its checksum: hash() changes from process to process.
        key = [self._seed % 2**64, zlib.crc32(self._split.encode()), index]
        generator = np.random.default_rng(key)
        parts = design(generator, self._size)
        photo = paint(generator, parts, self._size)
        night = self._kind == "night"
        return {
            "A": photo,
            "B": darken(photo, parts) if night else draw_labels(parts, self._size),
            "name": f"{self._split}_{index:05}",
        }


def design(generator: np.random.Generator, size: int) -> list[Part]:
    """The parts of a random facade, those in front last."""
    chance = generator.random
    integer = lambda low, high: int(generator.integers(low, high + 1))
    unit = size / 64  # a pixel of the smallest usual size
    px = lambda length: max(1, round(length * unit))

    top, left, right = px(integer(3, 9)), px(integer(0, 4)), size - px(integer(0, 4))
    parts = [Part("sky", 0, 0, size, size), Part("wall", left, top, right, size)]
    parts.append(Part("cornice", left, top, right, top + px(3)))
    floors, bays = integer(2, 4), integer(2, 5)
    ground = size - px(integer(14, 19))
    has_shop, has_shutters, has_pillars = chance() < 0.4, chance() < 0.35, chance() < 0.3
    has_balconies = chance() < 0.45
    floor_height = (ground - top - px(4)) / floors
    bay_width = (right - left) / bays
    window_height = floor_height * generator.uniform(0.5, 0.66)
    window_width = bay_width * generator.uniform(0.36, 0.5)

    if has_pillars:
        for bay in range(bays + 1):
            x = round(min(max(left + bay * bay_width - px(1), left), right - px(2)))
            parts.append(Part("pillar", x, top + px(3), x + px(2), ground))
    for floor in range(floors):
        middle = top + px(4) + (floor + 0.47) * floor_height
        y0, y1 = round(middle - window_height / 2), round(middle + window_height / 2)
        balcony = has_balconies and floor == floors - 2
        for bay in range(bays):
            centre = left + (bay + 0.5) * bay_width
            x0, x1 = round(centre - window_width / 2), round(centre + window_width / 2)
            if has_shutters:
                side = max(1, round(window_width * 0.3))
                parts.append(Part("shutter", x0 - side, y0, x0, y1))
                parts.append(Part("shutter", x1, y0, x1 + side, y1))
            parts.append(Part("window", x0, y0, x1, y1))
            if balcony:
                parts.append(Part("balcony", x0 - px(2), y1 - px(4), x1 + px(2), y1 + px(1)))
            else:
                parts.append(Part("sill", x0 - px(1), y1, x1 + px(1), y1 + px(1)))
    parts.append(Part("molding", left, ground, right, ground + px(2)))
    door = integer(0, bays - 1)
    for bay in range(bays):
        x0, x1 = round(left + bay * bay_width), round(left + (bay + 1) * bay_width)
        inset = max(1, round(bay_width * 0.16))
        y0 = ground + px(4)
        if bay == door:
            parts.append(Part("door", x0 + inset, y0, x1 - inset, size))
        elif has_shop:
            parts.append(Part("shop", x0 + px(1), y0, x1 - px(1), size - px(2)))
        else:
            parts.append(Part("window", x0 + inset, y0, x1 - inset, size - px(4)))
    return parts


def draw_labels(parts: list[Part], size: int) -> np.ndarray:
    """The label map, uint8 [size, size, 3], every pixel a colour of `PALETTE`."""
    image = np.zeros((size, size, 3), np.uint8)
    for label, left, top, right, bottom in parts:
        image[max(top, 0) : bottom, max(left, 0) : right] = PALETTE[label]
    return image


def paint(generator: np.random.Generator, parts: list[Part], size: int) -> np.ndarray:
    """The photograph, uint8 [size, size, 3]: sun from the upper left, soft noise.

    Which material the wall has can be told from the parts: shutters go with plaster, pillars
    with stone, a shop with ochre, and brick is the rest; only the tint is free.
    """
    big = size * SCALE
    labels = {part.label for part in parts}
    canvas = Image.new("RGB", (big, big))
    canvas.paste(Image.fromarray(_sky(big)))
    wall = next(part for part in parts if part.label == "wall")
    box = tuple(SCALE * v for v in wall[1:])
    material = _wall(generator, labels, box[3] - box[1], box[2] - box[0], size / 64)
    canvas.paste(Image.fromarray(material), box[:2])
    pen = ImageDraw.Draw(canvas, "RGBA")
    for part in parts:
        if part.label not in ("sky", "wall"):
            _paint_part(pen, part, size / 64)
    image = np.asarray(canvas.reduce(SCALE), np.float32)
    light = np.linspace(1.06, 0.9, size, dtype=np.float32)[None, :, None]
    light = light * np.linspace(1.03, 0.95, size, dtype=np.float32)[:, None, None]
    noise = generator.standard_normal((size, size, 1), np.float32) * 2.5
    return np.clip(image * light + noise, 0, 255).round().astype(np.uint8)


def darken(photo: np.ndarray, parts: list[Part]) -> np.ndarray:
    """The photograph by night: blue and dark, with light in the windows and shops."""
    y = np.linspace(0, 1, photo.shape[0], dtype=np.float32)[:, None, None]
    night = photo * np.float32([0.24, 0.27, 0.42]) * (0.75 + 0.35 * y)
    labels = draw_labels(parts, photo.shape[0])
    lit = (labels == PALETTE["window"]).all(-1) | (labels == PALETTE["shop"]).all(-1)
    lamp = photo.astype(np.float32) * np.float32([0.5, 0.42, 0.2]) + np.float32([128, 92, 24])
    night = np.where(lit[..., None], lamp, night)
    return np.clip(night, 0, 255).round().astype(np.uint8)


def _sky(big):
    fade = np.linspace(0, 1, big)[:, None, None]
    row = np.array([118, 170, 224]) * (1 - fade) + np.array([206, 226, 242]) * fade
    return np.broadcast_to(row, (big, big, 3)).astype(np.uint8)


def _wall(generator, labels, height, width, unit):
    """A wall of brick, plaster, stone or ochre: uint8 [height, width, 3]."""
    y, x = np.arange(height)[:, None], np.arange(width)[None, :]
    tint = generator.normal(0, 5, 3)
    if "shutter" in labels:
        color, grain = (232, 220, 196), 3
    elif "pillar" in labels:
        color, grain = (176, 174, 168), 4
    elif "shop" in labels:
        color, grain = (214, 168, 98), 3
    else:
        color, grain = (158, 84, 66), 6
    joints = np.ones((height, width))
    if color == (158, 84, 66):
        course, brick = max(4, round(6 * unit)), max(8, round(14 * unit))
        row = y // course
        shifted = (x + (row % 2) * (brick // 2)) % brick
        joints = np.where((y % course == 0) | (shifted == 0), 1.22, 1.0)
        shades = generator.normal(1, 0.06, (height // course + 1, width // brick + 2))
        joints = joints * shades[row, (x + (row % 2) * (brick // 2)) // brick]
    elif color == (176, 174, 168):
        block = max(12, round(24 * unit))
        joints = np.where(
            (y % block < 2) | ((x + (y // block % 2) * block) % (2 * block) < 2), 0.8, 1
        )
    wall = (np.array(color) + tint) * joints[..., None]
    wall = wall + generator.normal(0, grain, (height, width, 1))
    return np.clip(wall, 0, 255).astype(np.uint8)


def _paint_part(pen, part, unit):
    """Paints one part, with the shadow it throws below itself."""
    left, top, right, bottom = (SCALE * v for v in part[1:])
    line = max(1, round(2 * unit))

    def box(x0, y0, x1, y1, color):
        if x1 > x0 and y1 > y0:
            pen.rectangle((x0, y0, x1 - 1, y1 - 1), fill=color)

    def shadow(length, strength=80):
        for i in range(round(length * unit)):
            alpha = round(strength * (1 - i / max(1, length * unit)))
            box(left, bottom + i, right, bottom + i + 1, (20, 16, 30, alpha))

    if part.label == "window":
        box(left, top, right, bottom, (236, 232, 222))
        x0, y0, x1, y1 = left + line, top + line, right - line, bottom - line
        for y in range(y0, y1):  # the glass mirrors the sky above
            t = (y - y0) / max(1, y1 - y0)
            box(x0, y, x1, y + 1, (round(120 - 80 * t), round(150 - 92 * t), round(176 - 98 * t)))
        box(x0, y0, x1, y0 + 2 * line, (16, 20, 30, 110))
        middle, upper = (left + right) // 2, top + (bottom - top) * 2 // 5
        box(middle - line // 2, top, middle + (line + 1) // 2, bottom, (236, 232, 222))
        box(left, upper, right, upper + line, (236, 232, 222))
    elif part.label == "door":
        box(left, top, right, bottom, (70, 44, 30))
        x0, x1, y0 = left + 2 * line, right - 2 * line, top + 2 * line
        box(x0, y0, x1, bottom, (112, 68, 40))
        box(x0 + line, y0 + line, x1 - line, y0 + (bottom - y0) // 4, (196, 202, 190))
        middle = (left + right) // 2
        box(middle, y0 + (bottom - y0) // 4, middle + line, bottom, (64, 38, 24))
        box(
            middle + 2 * line,
            (top + bottom * 2) // 3,
            middle + 3 * line,
            (top + bottom * 2) // 3 + 2 * line,
            (226, 190, 90),
        )
    elif part.label == "shop":
        box(left, top, right, bottom, (46, 62, 58))
        box(left, top, right, top + (bottom - top) // 3, (150, 36, 40))
        stripe = max(2, round(6 * unit))
        for i, x in enumerate(range(left, right, stripe)):
            if i % 2:
                box(x, top, min(x + stripe, right), top + (bottom - top) // 3, (238, 228, 214))
        box(left + line, top + (bottom - top) // 3, right - line, bottom - 2 * line, (74, 96, 100))
        box(
            left + line,
            bottom - (bottom - top) // 4,
            right - line,
            bottom - 2 * line,
            (198, 166, 96),
        )
    elif part.label == "balcony":
        shadow(7, 110)
        box(left, bottom - 2 * line, right, bottom, (150, 146, 140))
        box(left, top, right, top + line, (34, 34, 38))
        for x in range(left, right, max(3, round(4 * unit))):
            box(x, top, x + line // 2 + 1, bottom - 2 * line, (34, 34, 38))
    elif part.label == "shutter":
        box(left, top, right, bottom, (58, 98, 78))
        for y in range(top, bottom, 2 * line):
            box(left + 1, y, right - 1, y + line, (74, 120, 96))
    elif part.label == "pillar":
        box(left, top, right, bottom, (206, 202, 192))
        box(left, top, left + line, bottom, (226, 222, 212))
        box(right - line, top, right, bottom, (150, 146, 140))
    elif part.label in ("cornice", "sill", "molding"):
        shadow({"cornice": 9, "sill": 4, "molding": 6}[part.label])
        box(left, top, right, bottom, (216, 208, 192))
        box(left, top, right, top + line, (240, 234, 220))
