"""The curves of both sides in one picture: training losses above, validation below."""

import pathlib
import re

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.convergence.results import METRICS, Curve, Side
from pix2pix_jax.report.curves import COLORS, smooth

VALIDATION = ("l1", "ssim", "cycle_l1", "class_iou")


def draw(path: pathlib.Path, sides: dict[str, Side]) -> None:
    """Writes the picture: means over the seeds as lines, from smallest to largest as bands."""
    rows = [training_panels(sides), validation_panels(sides)]
    columns, colors = max(map(len, rows)), dict(zip(sides, COLORS, strict=False))
    figure = Figure(figsize=(3.1 * columns, 2.7 * len(rows)), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for axes_of_row, panels in zip(grid, rows, strict=True):
        for axes in axes_of_row[len(panels) :]:
            axes.set_visible(False)
        for axes, (title, curves) in zip(axes_of_row, panels.items(), strict=False):
            for side, curve in curves.items():
                _plot(axes, curve, colors[side], sides[side].title)
            axes.set_title(title, fontsize="medium")
            axes.set_xlabel("step")
            axes.grid(alpha=0.25)
            axes.spines[["top", "right"]].set_visible(False)
    grid[0][0].legend(frameon=False, fontsize="small")
    figure.savefig(path)


def _plot(axes, curve, color, label):
    values = np.stack([smooth(row) for row in curve.values])
    marker = "o" if len(curve.steps) < 20 else ""
    axes.plot(curve.steps, values.mean(0), color=color, label=label, marker=marker, markersize=3)
    if len(values) > 1:
        axes.fill_between(curve.steps, values.min(0), values.max(0), color=color, alpha=0.2, lw=0)


def training_panels(sides: dict[str, Side]) -> dict[str, dict[str, Curve]]:
    """{title: {side: curve}} of those that have one; of CycleGAN's losses the means over both."""
    names = [name for name in _names(sides) if name.startswith("train/")]
    kinds = {}
    for name in names:
        kinds.setdefault(re.sub(r"^train/|_[ab]$", "", name), []).append(name)
    return {
        f"training, {kind}": {
            side: _mean(runs.curves, its)
            for side, runs in sides.items()
            if runs.curves.keys() >= set(its)
        }
        for kind, its in kinds.items()
    }


def _names(sides):
    """Names of all curves, in the order of the first side that has them."""
    return dict.fromkeys(name for runs in sides.values() for name in runs.curves)


def _mean(curves, names):
    return Curve(curves[names[0]].steps, np.mean([curves[name].values for name in names], axis=0))


def validation_panels(sides: dict[str, Side]) -> dict[str, dict[str, Curve]]:
    """{title: {side: curve}} of the metrics that were measured, of the sides that have."""
    names = _names(sides)
    return {
        f"validation, {METRICS[name]}": {
            side: runs.curves[f"val/{name}"]
            for side, runs in sides.items()
            if f"val/{name}" in runs.curves
        }
        for name in VALIDATION
        if f"val/{name}" in names
    }
