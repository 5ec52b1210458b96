"""The final values of both sides in one table."""

import numpy as np

from benchmarks.convergence.results import METRICS, Curve, Side, at_common_steps
from pix2pix_jax.runtime.counter import duration


def markdown(sides: dict[str, Side]) -> str:
    """A row for each validation metric, each training loss, and the time.

    Values are means over the seeds with their standard deviation: of metrics at the last validation
    that both sides have, of losses over the last tenth of the run. The difference is ours minus
    PyTorch's, seed by seed: its mean, with the standard error of that. It lies within the seeds'
    spread if it is not larger than the standard deviation over the seeds, pooled over both sides.
    """
    rows = [["", "step", *(side.title for side in sides.values())]]
    rows[0] += ["difference", "within the seeds' spread"] if len(sides) == 2 else []
    rows.append(["---"] * len(rows[0]))
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
    title = f"validation, {METRICS[short]}" if kind == "val" else f"training, {short}"
    count = 1 if kind == "val" else max(1, len(curves[0].steps) // 10)
    values = [curve.values[:, -count:].mean(1) for curve in curves]
    digits = 4 if abs(values[0].mean()) < 2 else 2
    row = [title, f"{curves[0].steps[-1]:,}"]
    row += [with_spread(v.mean(), spread(v), f".{digits}f") for v in values]
    if len(curves) < 2:
        return row
    mean, error, within = compare(*values)
    verdict = "one seed" if within is None else "yes" if within else "no"
    return [*row, with_spread(mean, error, f"+.{digits}f"), verdict]


def spread(values: np.ndarray) -> float:
    """Standard deviation over the seeds; NaN of a single one."""
    return values.std(ddof=1) if len(values) > 1 else np.nan


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
    error = spread(difference) / np.sqrt(len(difference))
    pooled = np.sqrt((ours.var(ddof=1) + theirs.var(ddof=1)) / 2)
    return float(difference.mean()), float(error), bool(abs(difference.mean()) <= pooled)


def with_spread(value: float, deviation: float, form: str) -> str:
    """Both as text; the value alone if there is no deviation (NaN)."""
    text = f"{value:{form}}"
    return text if np.isnan(deviation) else f"{text} ± {deviation:{form.lstrip('+')}}"
