"""`sheet`: many images of a folder on one picture, with their names."""

import pathlib

import numpy as np
from PIL import Image, ImageDraw

from pix2pix_jax.dataset.parts import SIDE_BY_SIDE, find_parts
from pix2pix_jax.images.files import read_image, save_png
from pix2pix_jax.images.finding import Path
from pix2pix_jax.images.lettering import font

GAP = 6  # pixels between cells
TALLEST = 4  # times its width: higher images are made narrower


def sheet(
    root: Path, output: Path, count: int = 48, side: int = 128, form: str | None = None
) -> int:
    """Writes a contact sheet as PNG, with images from all over every split.

    Args:
        root: the folder.
        output: the PNG file.
        count: at most so many items of each split.
        side: width of an image, pixels; that of a pair is twice as much.
        form: of images in one folder, see `find_parts`.

    Returns:
        the number of items on it.

    Raises:
        FileNotFoundError: no such folder, or no images.
        ValueError: a damaged image, or an `output` that is no PNG file or one of the images.
    """
    if pathlib.Path(output).suffix != ".png" or pathlib.Path(output).is_dir():
        raise ValueError(f"the sheet is a PNG file, and {output} is no name of one: give FILE.png")
    cells = []
    for part in find_parts(root, form):
        chosen = np.unique(
            np.linspace(0, len(part.items) - 1, min(count, len(part.items))).astype(int)
        )
        for item in (part.items[i] for i in chosen):
            if pathlib.Path(output).resolve() in (path.resolve() for path in item.paths):
                raise ValueError(f"{output} is one of the images: give another file")
            images = [Image.fromarray(read_image(path, 3)) for path in item.paths]
            width = side * (2 if part.form == SIDE_BY_SIDE else 1)
            name = f"{part.name}/{item.name}" if part.name else item.name
            cells.append((name, [_scaled(image, width) for image in images]))
    pathlib.Path(output).parent.mkdir(parents=True, exist_ok=True)
    save_png(output, np.asarray(_page(cells, side)))
    return len(cells)


def _scaled(image, width):
    scale = min(width / image.width, TALLEST * width / image.height)
    width, height = (max(round(side * scale), 1) for side in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=3.0)


def _page(cells, side):
    """An image of as many columns as rows, about."""
    letters = font(max(9, side // 11))
    line = letters.size + 4
    width = max(sum(image.width for image in images) for _, images in cells)
    height = max(image.height for _, images in cells for image in images) + line
    columns = max(1, round((len(cells) * height / width) ** 0.5))
    rows = -(-len(cells) // columns)
    size = (columns * (width + GAP) + GAP, rows * (height + GAP) + GAP)
    page = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(page)
    for number, (name, images) in enumerate(cells):
        left, top = GAP + number % columns * (width + GAP), GAP + number // columns * (height + GAP)
        while len(name) > 1 and pen.textlength(name, letters) > width:
            name = f"…{name[2:]}"  # the end tells names apart
        pen.text((left, top), name, "black", letters)
        for image in images:
            page.paste(image, (left, top + line))
            left += image.width
    return page
