"""Pictures of everything: grids, loss curves. Images are uint8 [H, W, C], C 1 or 3."""

import os
import pathlib
from collections.abc import Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

GUTTER = 4  # pixels between images
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito


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
    font = ImageFont.load_default(size=max(10, min(24, width // 8)))
    header = font.size + 2 * GUTTER
    rows = len(columns[0][1])
    size = (len(columns) * (width + GUTTER) + GUTTER, header + rows * (height + GUTTER))
    page = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(page)
    for column, (title, images) in enumerate(columns):
        left = GUTTER + column * (width + GUTTER)
        pen.text((left + width / 2, header / 2), title, fill="black", font=font, anchor="mm")
        for row, image in enumerate(images):
            page.paste(Image.fromarray(image), (left, header + row * (height + GUTTER)))
    return np.asarray(page)


def to_rgb(image: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 1 or 3] -> [H, W, 3]."""
    return np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else np.ascontiguousarray(image)


def save_png(path: str | os.PathLike[str], image: np.ndarray) -> None:
    """Writes uint8 [H, W, C]; the file appears under its name only when it is whole."""
    path = pathlib.Path(path)
    temporary = path.with_name(path.name + ".tmp")
    squeezed = image[..., 0] if image.shape[-1] == 1 else image
    Image.fromarray(squeezed).save(temporary, "PNG")
    temporary.replace(path)


def read_image(path: str | os.PathLike[str]) -> np.ndarray:
    """A picture written by `save_png`, as uint8 [H, W, 3]."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def loss_curves(
    path: str | os.PathLike[str],
    curves: dict[str, tuple[np.ndarray, np.ndarray]],
    title: str,
) -> None:
    """Draws every curve {"train/g_l1": (steps, values)}: a panel for each of its kinds.

    Adversarial losses share a panel; so do a name's training and validation curves.
    """
    panels: dict[str, list[str]] = {}
    for name in curves:
        short = name.partition("/")[2]
        kind = "adversarial" if short.startswith(("d_", "g_gan", "g_a", "g_b")) else short
        panels.setdefault(kind, []).append(name)
    figure = Figure(figsize=(4.2 * len(panels), 3.4), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    for axes, (kind, names) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
    ):
        for color, name in zip(COLORS * len(names), names, strict=False):
            steps, values = curves[name]
            marker = "o" if len(steps) < 20 else ""
            axes.plot(steps, values, color=color, alpha=0.25, linewidth=0.8)
            axes.plot(steps, smooth(values), color=color, label=name, marker=marker, markersize=3)
        axes.set(title=kind, xlabel="step")
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize="small")
    figure.savefig(path)


def smooth(values: np.ndarray) -> np.ndarray:
    """Centred moving average over a fiftieth of the values, shorter towards the ends."""
    reach = len(values) // 100
    sums = np.concatenate([[0.0], np.cumsum(values)])
    i = np.arange(len(values))
    reach = np.minimum(reach, np.minimum(i, len(values) - 1 - i))
    return (sums[i + reach + 1] - sums[i - reach]) / (2 * reach + 1)
