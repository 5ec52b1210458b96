"""Grids of images, one row an example. Images are uint8 [H, W, C], C 1 or 3."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from pix2pix_jax.images.lettering import font

GUTTER = 4  # pixels between images


def grid(columns: Sequence[tuple[str, Sequence[np.ndarray]]]) -> np.ndarray:
    """One row an example, one titled column a kind of image.

    Args:
        columns: (title, images) of each column; as many images in each. Images of several sizes
            are put at the top left of cells of the largest size.

    Returns:
        uint8 [H, W, 3].
    """
    columns = [(title, [to_rgb(image) for image in images]) for title, images in columns]
    height, width = np.max([i.shape[:2] for _, images in columns for i in images], axis=0)
    letters = font(max(10, min(24, width // 8)))
    header = letters.size + 2 * GUTTER
    rows = len(columns[0][1])
    size = (len(columns) * (width + GUTTER) + GUTTER, header + rows * (height + GUTTER))
    page = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(page)
    for column, (title, images) in enumerate(columns):
        left = GUTTER + column * (width + GUTTER)
        pen.text((left + width / 2, header / 2), title, fill="black", font=letters, anchor="mm")
        for row, image in enumerate(images):
            page.paste(Image.fromarray(image), (left, header + row * (height + GUTTER)))
    return np.asarray(page)


def to_rgb(image: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 1 or 3] -> [H, W, 3]."""
    return np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else np.ascontiguousarray(image)
