"""What the runs of both sides have logged, brought to common steps."""

import pathlib
from typing import NamedTuple

import numpy as np
from flax import traverse_util

from pix2pix_jax.run import config_file
from pix2pix_jax.run.history import curves, read_rows
from pix2pix_jax.run.progress import read_seconds

SIDES = {"ours": "pix2pix_jax", "pytorch": "PyTorch"}  # folder: title
METRICS = {  # of validation: title
    "l1": "L1",
    "ssim": "SSIM",
    "psnr": "PSNR, dB",
    "cycle_l1": "cycle L1",
    "pixel_accuracy": "pixel accuracy",
    "class_iou": "class IoU",
}


class Curve(NamedTuple):
    """One scalar of all runs of a side."""

    steps: np.ndarray  # [steps], those that every run has reached
    values: np.ndarray  # [seeds, steps]


class Side(NamedTuple):
    """The runs of one side."""

    title: str
    seeds: list[int]
    curves: dict[str, Curve]  # by name, train/g_l1 or val/l1
    seconds: list[float]  # of each run, until its last save


def read(workdir: pathlib.Path, seeds: int) -> dict[str, Side]:
    """The runs of each side that has some, of those of the seeds 0, 1, ... that such sides have.

    Raises:
        FileNotFoundError: there are none.
        ValueError: runs differ in more than the seed, or a file is damaged.
    """
    folders = {side: _runs(workdir / side, seeds) for side in SIDES}
    folders = {side: runs for side, runs in folders.items() if runs}
    if not folders:
        raise FileNotFoundError(f"{workdir} has no runs of either side so far")
    shared = sorted(set.intersection(*map(set, folders.values())))
    if not shared:
        raise FileNotFoundError(f"in {workdir} the two sides have no seed in common so far")
    _check_same([folders[side][seed] for side in folders for seed in shared])
    return {
        side: _side(SIDES[side], {seed: runs[seed] for seed in shared})
        for side, runs in folders.items()
    }


def _runs(folder, seeds):
    """{seed: folder} of the runs that have logged something."""
    folders = {seed: folder / f"seed_{seed}" for seed in range(seeds)}
    return {seed: path for seed, path in folders.items() if read_rows(path / "metrics.jsonl")}


def _check_same(folders):
    configs = []
    for folder in folders:
        config = traverse_util.flatten_dict(config_file.read_config(folder) or {}, sep=".")
        configs.append({name: value for name, value in config.items() if name != "seed"})
    for folder, config in zip(folders, configs, strict=True):
        names = sorted(config.keys() | configs[0].keys())
        if changed := [n for n in names if config.get(n) != configs[0].get(n)]:
            here, there = (c.get(changed[0]) for c in (config, configs[0]))
            raise ValueError(
                f"{folder} was trained with config.{changed[0]}={here}, and {folders[0]} with "
                f"{there}: train both alike, in another workdir"
            )


def _side(title, runs):
    found = [curves(read_rows(folder / "metrics.jsonl")) for folder in runs.values()]
    names = [name for name in found[0] if all(name in curve for curve in found)]
    seconds = [read_seconds(folder / "seconds.txt") for folder in runs.values()]
    return Side(title, list(runs), {n: _joined([c[n] for c in found]) for n in names}, seconds)


def _joined(curves_of_a_name):
    length = min(len(steps) for steps, _ in curves_of_a_name)
    values = np.stack([values[:length] for _, values in curves_of_a_name])
    return Curve(curves_of_a_name[0][0][:length], values)


def at_common_steps(sides: dict[str, Side], name: str) -> dict[str, Curve]:
    """A curve of every side that has it, up to the last step that all of them have reached."""
    found = {side: runs.curves[name] for side, runs in sides.items() if name in runs.curves}
    length = min(len(curve.steps) for curve in found.values())
    return {s: Curve(c.steps[:length], c.values[:, :length]) for s, c in found.items()}
