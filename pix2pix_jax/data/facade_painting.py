"""Photographs of synthetic facades, painted from their layouts: by day and by night."""

import numpy as np
from PIL import Image, ImageDraw

from pix2pix_jax.data.facade_layout import PALETTE, Part, draw_labels

SCALE = 4  # the photograph is painted at this multiple of its size, then averaged
FRAME, SHADOW = (236, 232, 222), (20, 16, 30)


def paint(generator: np.random.Generator, parts: list[Part], size: int) -> np.ndarray:
    """The photograph, uint8 [size, size, 3]: sun from the upper left, soft noise.

    The parts decide the material of the wall: plaster goes with shutters, stone with pillars,
    ochre with a shop, and brick with none of them; only the tint is free.
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
        if part.label in PAINTERS:
            PAINTERS[part.label](_Brush(canvas, pen, part, size / 64))
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
    noise = generator.normal(0, grain, (height, width))
    wall = np.empty((height, width, 3), np.uint8)
    for channel, value in enumerate(np.array(color) + tint):  # faster than all in one
        wall[..., channel] = np.clip(value * joints + noise, 0, 255)
    return wall


class _Brush:
    """Paints rectangles of one part, in pixels of the enlarged photograph."""

    def __init__(self, canvas, pen, part, unit):
        self.left, self.top, self.right, self.bottom = (SCALE * v for v in part[1:])
        self.label, self.unit, self.line = part.label, unit, max(1, round(2 * unit))
        self._canvas, self._pen = canvas, pen

    def box(self, x0, y0, x1, y1, color):
        if x1 > x0 and y1 > y0:
            self._pen.rectangle((x0, y0, x1 - 1, y1 - 1), fill=color)

    def fill(self, color):
        self.box(self.left, self.top, self.right, self.bottom, color)

    def fade(self, x0, y0, x1, y1, first, last):
        """A rectangle whose rows go from the first color to the last."""
        if x1 > x0 and y1 > y0:
            t = np.arange(y1 - y0)[:, None] / (y1 - y0)
            rows = (np.array(first) + (np.array(last) - first) * t).round().astype(np.uint8)
            image = np.broadcast_to(rows[:, None], (y1 - y0, x1 - x0, 3))
            self._canvas.paste(Image.fromarray(np.ascontiguousarray(image)), (x0, y0))

    def shadow(self, length, strength=80):
        """The shadow that the part throws below itself."""
        length *= self.unit
        for i in range(round(length)):
            alpha = round(strength * (1 - i / max(1, length)))
            self.box(self.left, self.bottom + i, self.right, self.bottom + i + 1, (*SHADOW, alpha))


def _paint_window(b):
    b.fill(FRAME)
    x0, y0, x1, y1 = b.left + b.line, b.top + b.line, b.right - b.line, b.bottom - b.line
    b.fade(x0, y0, x1, y1, (120, 150, 176), (40, 58, 78))  # the glass mirrors the sky above
    b.box(x0, y0, x1, y0 + 2 * b.line, (16, 20, 30, 110))
    middle, upper = (b.left + b.right) // 2, b.top + (b.bottom - b.top) * 2 // 5
    b.box(middle - b.line // 2, b.top, middle + (b.line + 1) // 2, b.bottom, FRAME)
    b.box(b.left, upper, b.right, upper + b.line, FRAME)


def _paint_door(b):
    b.fill((70, 44, 30))
    x0, x1, y0 = b.left + 2 * b.line, b.right - 2 * b.line, b.top + 2 * b.line
    b.box(x0, y0, x1, b.bottom, (112, 68, 40))
    glass = y0 + (b.bottom - y0) // 4
    b.box(x0 + b.line, y0 + b.line, x1 - b.line, glass, (196, 202, 190))
    x, y = (b.left + b.right) // 2, (b.top + b.bottom * 2) // 3
    b.box(x, glass, x + b.line, b.bottom, (64, 38, 24))
    b.box(x + 2 * b.line, y, x + 3 * b.line, y + 2 * b.line, (226, 190, 90))


def _paint_shop(b):
    b.fill((46, 62, 58))
    awning = b.top + (b.bottom - b.top) // 3
    b.box(b.left, b.top, b.right, awning, (150, 36, 40))
    stripe = max(2, round(6 * b.unit))
    for x in range(b.left + stripe, b.right, 2 * stripe):
        b.box(x, b.top, min(x + stripe, b.right), awning, (238, 228, 214))
    x0, x1, y1 = b.left + b.line, b.right - b.line, b.bottom - 2 * b.line
    b.box(x0, awning, x1, y1, (74, 96, 100))
    b.box(x0, b.bottom - (b.bottom - b.top) // 4, x1, y1, (198, 166, 96))


def _paint_balcony(b):
    b.shadow(7, 110)
    b.box(b.left, b.bottom - 2 * b.line, b.right, b.bottom, (150, 146, 140))
    b.box(b.left, b.top, b.right, b.top + b.line, (34, 34, 38))
    for x in range(b.left, b.right, max(3, round(4 * b.unit))):
        b.box(x, b.top, x + b.line // 2 + 1, b.bottom - 2 * b.line, (34, 34, 38))


def _paint_shutter(b):
    b.fill((58, 98, 78))
    for y in range(b.top, b.bottom, 2 * b.line):
        b.box(b.left + 1, y, b.right - 1, y + b.line, (74, 120, 96))


def _paint_pillar(b):
    b.fill((206, 202, 192))
    b.box(b.left, b.top, b.left + b.line, b.bottom, (226, 222, 212))
    b.box(b.right - b.line, b.top, b.right, b.bottom, (150, 146, 140))


def _paint_ledge(b):
    b.shadow({"cornice": 9, "sill": 4, "molding": 6}[b.label])
    b.fill((216, 208, 192))
    b.box(b.left, b.top, b.right, b.top + b.line, (240, 234, 220))


PAINTERS = {
    "window": _paint_window,
    "door": _paint_door,
    "shop": _paint_shop,
    "balcony": _paint_balcony,
    "shutter": _paint_shutter,
    "pillar": _paint_pillar,
    "cornice": _paint_ledge,
    "sill": _paint_ledge,
    "molding": _paint_ledge,
}
