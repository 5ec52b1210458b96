"""Loss and metric curves of a run."""

import math
import os
from typing import NamedTuple

import numpy as np

from pix2pix_jax.methods.contract import Distance

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito
DIRECTIONS = ("A2B_", "B2A_")  # before metrics of one direction


class Line(NamedTuple):
    """One curve of a panel."""

    label: str
    steps: np.ndarray
    values: np.ndarray


def loss_curves(
    path: str | os.PathLike[str],
    curves: dict[str, tuple[np.ndarray, np.ndarray]],
    title: str,
    distance: Distance,
) -> None:
    """Draws every curve {"train/g_l1": (steps, values)}, see `panels`, in rows of panels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # 0.3 s that a start can do without
    from matplotlib.figure import Figure

    found = panels(curves, distance)
    columns = _columns(len(found))
    rows = math.ceil(len(found) / columns)
    width, height = 4.4 * columns, 3.2 * rows + 0.3
    figure = Figure(figsize=(width, height), dpi=110)
    FigureCanvasAgg(figure)
    figure.suptitle(title, y=1 - 0.1 / height, va="top")
    # By hand, for a layout engine draws everything a second time.
    edges = {
        "left": 0.6 / width,
        "right": 1 - 0.15 / width,
        "bottom": 0.5 / height,
        "top": 1 - 0.65 / height,
        "wspace": 0.6 / (4.4 - 0.6),
        "hspace": 0.85 / (3.2 - 0.85),
    }
    cells = figure.subplots(rows, columns, squeeze=False, gridspec_kw=edges).ravel()
    for axes, (name, lines) in zip(cells, found.items(), strict=False):
        for color, (label, steps, values) in zip(COLORS * len(lines), lines, strict=False):
            marker = "o" if len(steps) < 20 else ""
            axes.plot(steps, values, color=color, alpha=0.25, linewidth=0.8)
            axes.plot(steps, smooth(values), color=color, label=label, marker=marker, markersize=3)
        axes.set(title=name, xlabel="step")
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize="small")
    for axes in cells[len(found) :]:
        axes.remove()
    figure.savefig(path)


def panels(
    curves: dict[str, tuple[np.ndarray, np.ndarray]], distance: Distance
) -> dict[str, list[Line]]:
    """The lines of every panel, by its title.

    Adversarial losses share a panel, and so do a metric's means over both directions and one. The
    training losses of the method's distance lie beside the validation's, without their weights.
    """
    found: dict[str, list[Line]] = {}
    for name, (steps, values) in curves.items():
        kind, _, short = name.partition("/")
        label = f"{'training' if kind == 'train' else 'validation'}, {short}"
        weight = distance.losses.get(short) if kind == "train" else None
        if weight and weight != 1:
            label, values = f"{label} / {weight:g}", values / weight
        found.setdefault(_panel(kind, short, distance), []).append(Line(label, steps, values))
    return found


def _columns(count):
    """Of two or three, or of three or four, the number that leaves fewer places empty."""
    if count <= 3:
        return count
    return min((3, 2) if count <= 6 else (4, 3), key=lambda columns: -count % columns)


def _panel(kind, name, distance):
    if kind == "train" and name in distance.losses:
        return distance.metric
    if kind == "train" and name.startswith(("d_", "g_gan", "g_a", "g_b")):
        return "adversarial"
    if kind == "train" and name.startswith("idt_"):
        return "identity"
    for prefix in DIRECTIONS:
        name = name.removeprefix(prefix)
    return name


def smooth(values: np.ndarray) -> np.ndarray:
    """Centred moving average over a fiftieth of the values, shorter towards the ends."""
    reach = len(values) // 100
    sums = np.concatenate([[0.0], np.cumsum(values)])
    i = np.arange(len(values))
    reach = np.minimum(reach, np.minimum(i, len(values) - 1 - i))
    return (sums[i + reach + 1] - sums[i - reach]) / (2 * reach + 1)
