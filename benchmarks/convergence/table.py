"""The final values of both sides in one table."""

import numpy as np

from benchmarks.convergence.results import Curve, Side, at_common_steps
from pix2pix_jax.run.progress import duration

METRICS = ("l1", "ssim", "psnr", "cycle_l1", "pixel_accuracy", "class_iou")  # of validation
TITLES = {"l1": "L1", "ssim": "SSIM", "psnr": "PSNR", "cycle_l1": "cycle L1"}


def markdown(sides: dict[str, Side]) -> str:
    """A row for each validation metric and training loss.

    Values are means over the seeds with their standard deviation, at the last step that both sides
    have. The difference is ours minus PyTorch's, seed by seed: its mean, with the standard error of
    that. It lies within the seeds' spread if it is smaller than the standard deviation over the
    seeds, pooled over both sides.
    """
    rows = [["", "step", *(side.title for side in sides.values())], None]
    rows[0] += ["difference", "within the seeds' spread"] if len(sides) == 2 else []
    rows[1] = ["---"] * len(rows[0])
    first = next(iter(sides.values()))
    names = [f"val/{n}" for n in METRICS if f"val/{n}" in first.curves]
    names += [n for n in first.curves if n.startswith("train/")]
    for name in names:
        curves = at_common_steps(sides, name)
        if len(curves) == len(sides):
            rows.append(_row(name, list(curves.values())))
    times = [duration(np.mean(side.seconds)) for side in sides.values()]
    rows.append(["time of a run", "", *times] + [""] * (len(rows[0]) - len(times) - 2))
    seeds = ", ".join(map(str, first.seeds))
    return "\n".join([f"Seeds {seeds}.", "", *(f"| {' | '.join(row)} |" for row in rows)])


def _row(name, curves: list[Curve]):
    kind, _, short = name.partition("/")
    title = f"validation {TITLES.get(short, short.replace('_', ' '))}"
    row = [title if kind == "val" else f"training {short}", f"{curves[0].steps[-1]:,}"]
    row += [_with_spread(curve.mean[-1], curve.spread[-1]) for curve in curves]
    if len(curves) < 2:
        return row
    mean, error, within = compare(*(curve.values[:, -1] for curve in curves))
    verdict = "one seed" if within is None else "yes" if within else "no"
    return [*row, _with_spread(mean, error, "+"), verdict]


def compare(ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float, bool | None]:
    """Mean difference of the same seeds' values, its standard error, and whether it is within.

    Args:
        ours, theirs: [seeds].

    Returns:
        of a single seed, NaN and None for the last two.
    """
    difference = ours - theirs
    if len(difference) < 2:
        return float(difference.mean()), float("nan"), None
    error = difference.std(ddof=1) / np.sqrt(len(difference))
    pooled = np.sqrt((ours.var(ddof=1) + theirs.var(ddof=1)) / 2)
    return float(difference.mean()), float(error), bool(abs(difference.mean()) <= pooled)


def _with_spread(value, spread, sign=""):
    digits = max(0, 3 - int(np.floor(np.log10(max(abs(value), 1e-9)))) - 1)
    digits = min(max(digits, 2), 4)
    text = f"{value:{sign}.{digits}f}"
    return text if np.isnan(spread) else f"{text} ± {spread:.{digits}f}"
