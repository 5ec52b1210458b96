"""Draws the table of benchmarks/README.md that compares us with PyTorch, as docs/benchmarks.png.

python -m benchmarks.plot
"""

import pathlib
import re

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pix2pix_jax.report.curves import COLORS

ROOT = pathlib.Path(__file__).parents[1]
# work, batch; ours, PyTorch, PyTorch channels_last in ms, ratio, floor in ms, memory of two in MiB
ROW = re.compile(r"^\| ([^|]+) \| (\d+)" + r" \| ([\d.,]+)" * 7 + r" \|$", re.MULTILINE)


def rows() -> list[tuple[str, list[float]]]:
    """(what, [ours, PyTorch, PyTorch channels_last] in milliseconds) of every row."""
    text = (ROOT / "benchmarks" / "README.md").read_text()
    return [
        (f"{work}, batch {batch}", [float(ms) for ms in times[:3]])
        for work, batch, *times in ROW.findall(text)
    ]


def main() -> None:
    """Writes the plot."""
    names, times = zip(*rows(), strict=True)
    relative = np.array([[ms / min(row[1:]) for ms in row] for row in times])
    figure = Figure(figsize=(7.2, 0.55 * len(names) + 1.1), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes, place = figure.subplots(), np.arange(len(names))
    for i, label in enumerate(("pix2pix_jax", "PyTorch", "PyTorch, channels_last")):
        axes.barh(place + 0.27 * (i - 1), relative[:, i], 0.25, label=label, color=COLORS[i])
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(place, names)
    axes.invert_yaxis()
    axes.set_xlabel("time over that of PyTorch's better memory layout (less is better)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize="small", ncols=3, loc="lower left", bbox_to_anchor=(0, 1))
    figure.savefig(ROOT / "docs" / "benchmarks.png")


if __name__ == "__main__":
    main()
