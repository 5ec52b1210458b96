"""Trains variants of pix2pix with equal steps from equal seeds, and puts them side by side.

    python -m benchmarks.ablations --data=FOLDER --steps=40000 --seeds=3
    python -m benchmarks.ablations --data=FOLDER --arms l1_cgan l1 cgan --segmenter=runs/segmenter
    python -m benchmarks.ablations --data=FOLDER --pairs=50 --seeds=3 --workdir=runs/little_data
    python -m benchmarks.ablations --data=FOLDER --seeds=3 --only_report

FOLDER has facades in pairs, `train` and `test`. All train `configs/facades.py` at 128x128 with half
the filters, `--steps` steps of which the second half lowers the learning rate, and are evaluated on
the test images after the last one. Runs lie in WORKDIR/ARM/seed_0, seed_1, ..., every arm's first
seed before any second one; the same command goes on with what was stopped or killed. Two commands
with different arms may share a WORKDIR at one time. WORKDIR/ablations.md and ablations.jpg show the
runs that are finished.
"""

import argparse
import json
import pathlib
import subprocess
import sys

import numpy as np
from PIL import Image

from benchmarks.convergence.table import spread, with_spread
from pix2pix_jax.images.files import read_image
from pix2pix_jax.report.grids import grid
from pix2pix_jax.run.progress import read_seconds
from pix2pix_jax.run.saved_steps import newest_step
from pix2pix_jax.runtime.counter import duration

ROOT = pathlib.Path(__file__).parents[1]
ARMS = {  # name: variant of configs/facades.py, fields beside it
    "l1_cgan": ("l1_cgan", {}),
    # The paper's (table 1, and what reproductions report)
    "l1": ("l1", {}),
    "cgan": ("cgan", {}),
    "lambda10": ("lambda10", {}),
    "lambda125": ("lambda125", {}),
    "no_jitter": ("no_jitter", {"data.load_size": (128, 128)}),
    # Sharper without another network
    "feature_matching": ("l1_cgan", {"model.num_d": 2, "loss.lambda_feat": 10.0}),
    # For little data
    "diff_augment": ("l1_cgan", {"loss.diff_augment": ("color", "translation", "cutout")}),
    "spectral_norm": ("l1_cgan", {"model.spectral_norm": True, "model.norm_d": "none"}),
    "r1": ("l1_cgan", {"loss.lambda_r1": 10.0}),
    "two_time_scales": ("l1_cgan", {"optim.learning_rate_d": 8e-4}),
    "ema": ("l1_cgan", {"optim.ema_images": 1000}),
}
PAIRS = 400  # that the facades have to train on
METRICS = {  # of evaluation: title, digits
    "l1": ("L1", 4),
    "ssim": ("SSIM", 4),
    "psnr": ("PSNR, dB", 2),
    "pixel_accuracy": ("pixel accuracy", 3),
    "class_iou": ("class IoU", 3),
}
EXAMPLES = 4  # rows of the picture
EVALUATED, IMAGES = "eval/metrics.json", "eval/images"  # in a run


def flags(arm: str, options: argparse.Namespace) -> list[str]:
    """What launch.py is called with for an arm, but for the seed and the workdir."""
    variant, fields = ARMS[arm]
    epochs = options.steps / (options.pairs or PAIRS)
    fields = {
        "data.dir": options.data.absolute(),
        "data.eval_split": "test",
        "data.max_items": options.pairs,
        "data.load_size": 143,
        "data.crop_size": 128,
        "model.generator": "unet_128",
        "model.ngf": 32,
        "model.ndf": 32,
        "optim.epochs": int(epochs / 2),
        "optim.epochs_decay": int(np.ceil(epochs)) - int(epochs / 2),
        "train.num_steps": options.steps,
        "train.eval_every": max(1, options.steps // 4),
        "train.checkpoint_every": max(1, options.steps // 4),
        "eval.checkpoint": "latest",
    } | fields
    if options.segmenter:
        fields["eval.set_metrics"] = ("segmentation",)
        fields["eval.segmenter"] = options.segmenter.absolute()
    text = [f"--config.{name}={value}" for name, value in fields.items()]
    return [f"--config={ROOT / 'configs' / 'facades.py'}:{variant}", *text]


def run(arm: str, seed: int, options: argparse.Namespace) -> None:
    """Trains and evaluates one run, each in a process of its own, unless that is done."""
    workdir = folder(options, arm, seed)
    if (workdir / EVALUATED).exists():
        if (step := newest_step(workdir)) != options.steps:
            sys.exit(
                f"error: {workdir} has been trained for {step} steps, and not {options.steps}: "
                "give another --workdir"
            )
        return
    print(f"{arm}, seed {seed}", flush=True)
    command = [sys.executable, str(ROOT / "launch.py"), *flags(arm, options)]
    command += [f"--config.seed={seed}", f"--workdir={workdir}"]
    for mode in ("train", "eval"):
        if launch([*command, f"--mode={mode}"]):
            sys.exit(f"error: {arm} stopped in {workdir}; what it said is above")
        if newest_step(workdir) != options.steps:
            sys.exit(f"{arm} was stopped before its last step; the same command goes on")


def launch(command: list[str]) -> int:
    """Runs a command to its end and returns its exit status; Ctrl-C ends the program after it."""
    with subprocess.Popen(command, cwd=ROOT) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.wait()  # it was asked to stop, too, and saves
            sys.exit("stopped; the same command goes on")


def folder(options: argparse.Namespace, arm: str, seed: int) -> pathlib.Path:
    """Where a run lies."""
    return options.workdir.absolute() / arm / f"seed_{seed}"


def finished(options: argparse.Namespace) -> dict[str, list[pathlib.Path]]:
    """{arm: folders of its evaluated runs}, arms without any left out."""
    found = {}
    for arm in options.arms:
        runs = [folder(options, arm, seed) for seed in range(options.seeds)]
        if runs := [run for run in runs if (run / EVALUATED).exists()]:
            found[arm] = runs
    return found


def table(runs: dict[str, list[pathlib.Path]]) -> str:
    """A row for each arm in Markdown: means over the seeds, their standard deviation, the time."""
    measured = {
        arm: [json.loads((run / EVALUATED).read_text())["mean"] for run in folders]
        for arm, folders in runs.items()
    }
    each = [values for runs_of_arm in measured.values() for values in runs_of_arm]
    names = [name for name in METRICS if all(name in values for values in each)]
    rows = [["arm", "seeds", *(METRICS[name][0] for name in names), "time of a run"]]
    rows.append(["---"] * len(rows[0]))
    for arm, values in measured.items():
        cells = []
        for name in names:
            column = np.array([value[name] for value in values])
            cells.append(with_spread(column.mean(), spread(column), f".{METRICS[name][1]}f"))
        seconds = np.mean([read_seconds(run / "seconds.txt") for run in runs[arm]])
        rows.append([f"`{arm}`", str(len(values)), *cells, duration(seconds)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def picture(runs: dict[str, list[pathlib.Path]]) -> np.ndarray:
    """Test images in rows: the input, every arm's output of its first seed, the target."""
    first = next(iter(runs.values()))[0] / IMAGES
    names = sorted(path.name.removesuffix("_input.png") for path in first.glob("*_input.png"))
    names = names[:: max(1, len(names) // EXAMPLES)][:EXAMPLES]
    read = lambda folder, kind: [read_image(folder / f"{name}_{kind}.png", 3) for name in names]
    columns = [("input", read(first, "input"))]
    columns += [(arm, read(folders[0] / IMAGES, "output")) for arm, folders in runs.items()]
    return grid([*columns, ("target", read(first, "target"))])


def main() -> None:
    """Trains what is missing, then writes the table and the picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=pathlib.Path, required=True, help="folder with train and test")
    add("--workdir", type=pathlib.Path, default=pathlib.Path("runs/ablations"))
    add("--arms", nargs="+", choices=ARMS, default=list(ARMS), help="default: all")
    add("--steps", type=int, default=40_000, help="of every run")
    add("--pairs", type=int, default=0, help="only so many to train on and to test with; 0: all")
    add("--seeds", type=int, default=1, help="how many: 0, 1, ...")
    add("--segmenter", type=pathlib.Path, help="run of configs/segmenter.py, for its scores")
    add("--only_report", action="store_true", help="train nothing")
    options = parser.parse_args()
    if not options.only_report:
        for seed in range(options.seeds):
            for arm in options.arms:
                run(arm, seed, options)
    if not (runs := finished(options)):
        sys.exit(f"error: {options.workdir} has no evaluated run so far")
    options.workdir.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(runs)).save(options.workdir / "ablations.jpg", quality=90)
    text = table(runs)
    (options.workdir / "ablations.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
