"""The font of what is written on pictures: names of files, titles of columns."""

import pathlib

from PIL import ImageFont


def font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans of `size` pixels, which comes with matplotlib; Pillow's own has no ä, ü or ß."""
    import matplotlib  # 0.1 s that a start can do without

    path = pathlib.Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    return ImageFont.truetype(str(path), size)
