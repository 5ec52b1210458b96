"""A part of one image in its place on another: scaled, moved, and shown there."""

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from pix2pix_jax.blending import polygons
from pix2pix_jax.demo.pictures import MAX_SIDE
from pix2pix_jax.images.resizing import resize

OUTLINE, CORNER = (230, 40, 40), (40, 90, 230)
MARGIN = 4  # pixels around the part: its gradients need one, bicubic resizing two

Points = list[tuple[float, float]]


class Part(NamedTuple):
    """A part cut out of the foreground."""

    image: np.ndarray  # uint8 [h, w, 3], with a margin
    points: Points  # corners (x, y) in this image
    offset: tuple[int, int]  # (x, y) in the background of its upper left pixel

    def mask(self) -> np.ndarray:
        """bool [h, w], see `polygons.polygon_mask`."""
        return polygons.polygon_mask(self.points, *self.image.shape[:2])


def cut_out(
    foreground: np.ndarray, points: Points, move: tuple[int, int], scale: float = 1
) -> Part:
    """Cuts out the part with these corners, and scales it about the middle of its box.

    Args:
        foreground: uint8 [H, W, 3].
        points: corners (x, y); at least 3, see `polygons.polygon_mask`.
        move: (x, y) from the middle in the foreground to that in the background.
        scale: 1 keeps the size. What would have a side longer than MAX_SIDE is scaled by less.

    Raises:
        ValueError: the corners are no polygon, or none of it is in the foreground.
    """
    inside = polygons.polygon_mask(points, *foreground.shape[:2])
    if not inside.any():
        raise ValueError("the part lies outside the foreground: move its corners")
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    top, left = max(0, rows[0] - MARGIN), max(0, columns[0] - MARGIN)
    cut = foreground[top : rows[-1] + 1 + MARGIN, left : columns[-1] + 1 + MARGIN]
    height, width = cut.shape[:2]
    scale = min(scale, max(1, MAX_SIDE / max(height, width)))
    size = tuple(max(1, round(side * scale)) for side in (height, width))
    ratios = size[1] / width, size[0] / height
    middle = (columns[0] + columns[-1]) / 2, (rows[0] + rows[-1]) / 2
    corner = (left, top)
    # Pixel centres lie half a pixel beyond their coordinates.
    put = lambda value, axis: (value - corner[axis] + 0.5) * ratios[axis] - 0.5
    return Part(
        resize(cut, size),
        [(put(x, 0), put(y, 1)) for x, y in points],
        tuple(round(middle[a] + move[a] - put(middle[a], a)) for a in (0, 1)),
    )


def pasted(part: Part, background: np.ndarray) -> np.ndarray:
    """The background with the part on it, not blended, and its outline; uint8 [H, W, 3]."""
    picture = Image.fromarray(background)
    picture.paste(Image.fromarray(part.image), part.offset, Image.fromarray(part.mask()))
    x, y = part.offset
    return outlined(np.asarray(picture), [(px + x, py + y) for px, py in part.points])


def outlined(image: np.ndarray, points: Points) -> np.ndarray:
    """An image uint8 [H, W, 3] with the outline of a polygon and its corners (x, y)."""
    picture = Image.fromarray(image)
    pen, width = ImageDraw.Draw(picture), max(1, max(image.shape) // 200)
    if len(points) > 1:
        pen.line([*points, points[0]], fill=OUTLINE, width=width)
    for x, y in points:
        pen.ellipse((x - width, y - width, x + width, y + width), fill=CORNER)
    return np.asarray(picture)
