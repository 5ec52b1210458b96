"""Loss and metric curves of a run."""

import os

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito


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
