"""Finished runs side by side, as a Markdown table."""

from collections import Counter

import jax
import numpy as np

from pix2pix_jax.methods.registry import METHODS, abstract_state, generator_names
from pix2pix_jax.run import config_file
from pix2pix_jax.run.history import curves, read_rows
from pix2pix_jax.run.progress import read_seconds
from pix2pix_jax.run.run_folder import open_run
from pix2pix_jax.runtime.counter import duration
from pix2pix_jax.settings.defaults import get_config

COLUMNS = ("run", "steps", "loss", "training", "validation", "SSIM", "PSNR", "parameters", "time")


def table(workdirs: list[str]) -> str:
    """A row for each run, in Markdown; runs of one name are told apart by their workdirs.

    Training and validation loss are the same distance at the run's last validation, so that
    over-fitting is seen; parameters are those of the generators.

    Raises:
        FileNotFoundError: a folder is no run, or one without a validation so far.
    """
    runs = [_row(workdir) for workdir in workdirs]
    count = Counter(name for name, *_ in runs)
    for row, workdir in zip(runs, workdirs, strict=True):
        if count[row[0]] > 1:
            row[0] = workdir
    rows = [COLUMNS, ["---"] * len(COLUMNS), *runs]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(workdir):
    with open_run(workdir) as run:
        run.pull()
        points = curves(read_rows(run.folder / "metrics.jsonl"))
        seconds = read_seconds(run.folder / "seconds.txt")
        is_run = (run.folder / config_file.CONFIG_FILE).exists()
        if not is_run or not any(name.startswith("val/") for name in points):
            raise FileNotFoundError(
                f"{workdir} is no run with a validation: give the workdirs of trained runs"
            )
        config = config_file.run_config(run.folder, get_config)
    name, losses = METHODS[config.method].distance(config)
    last = lambda name: points[name][1][-1] if name in points else None
    steps = max(steps[-1] for steps, _ in points.values())
    trained = [
        points[f"train/{loss}"][1][-1] / weight
        for loss, weight in losses.items()
        if weight and f"train/{loss}" in points
    ]
    return [
        config.name,
        f"{steps:,}",
        name.upper(),
        _number(np.mean(trained) if trained else None, 4),
        _number(last(f"val/{name}"), 4),
        _number(last("val/ssim"), 3),
        _number(last("val/psnr"), 2),
        f"{_parameters(config):,}",
        duration(seconds),
    ]


def _number(value, digits):
    return "" if value is None else f"{value:.{digits}f}"


def _parameters(config):
    networks = abstract_state(config).networks
    return sum(
        leaf.size
        for name in generator_names(config)
        for leaf in jax.tree.leaves(networks[name].params)
    )
