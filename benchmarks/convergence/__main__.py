"""Trains ours and PyTorch's from the same weights on the same batches, and compares their curves.

    python -m benchmarks.convergence --config=configs/quickstart.py --seeds=5
    python -m benchmarks.convergence --config=configs/quickstart_cyclegan.py --seeds=3
    python -m benchmarks.convergence --config=configs/facades.py --side=ours
    python -m benchmarks.convergence --config=configs/quickstart.py --seeds=5 --side=neither

Ours is `launch.py`, PyTorch's is benchmarks/torch_baseline.py. For each seed ours draws the initial
weights and makes the batches, and both sides take them: the same images, cropped and mirrored
alike, in the same order. Dropout and the draws of image pools are each side's own; what they change
is part of the spread over the seeds. Both are validated by the same function, ours, on the weights
of either side, with the same dropout noise.

Runs lie in WORKDIR/ours/seed_0, WORKDIR/pytorch/seed_0, ...; WORKDIR/convergence.png and
convergence.md show those that are there so far. Every other flag goes to both sides as it does to
launch.py. The same command continues what was stopped or killed, from the last save
(`--config.train.checkpoint_every`).
"""

import argparse
import pathlib
import subprocess
import sys

from benchmarks.convergence import picture, results, table
from pix2pix_jax.settings import flag_errors

MODULES = {"ours": ["launch.py"], "pytorch": ["-m", "benchmarks.convergence.pytorch"]}
ROOT = pathlib.Path(__file__).parents[2]


def main() -> None:
    """Trains what is asked for, then writes the picture and the table."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,  # other flags are launch.py's
    )
    add = parser.add_argument
    add("--workdir", type=pathlib.Path, help="default: runs/convergence/NAME_OF_THE_CONFIG")
    add("--seeds", type=int, default=1, help="how many: 0, 1, ...")
    add("--side", choices=("both", *MODULES, "neither"), default="both", help="what to train")
    options, flags = parser.parse_known_args()
    workdir = (options.workdir or _default_workdir(flags)).absolute()
    for seed in range(options.seeds):
        for side in MODULES:
            if options.side in ("both", side):
                print(f"{side}, seed {seed}", flush=True)
                _train(side, [*flags, f"--config.seed={seed}"], workdir / side / f"seed_{seed}")
    try:
        sides = results.read(workdir, options.seeds)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    picture.draw(workdir / "convergence.png", sides)
    text = table.markdown(sides)
    (workdir / "convergence.md").write_text(text + "\n")
    print(text)


def _train(side, flags, run):
    """Trains one side in a process of its own; ends the program when that fails or is stopped."""
    command = [sys.executable, *MODULES[side], *flags, f"--workdir={run}"]
    with subprocess.Popen(command, cwd=ROOT) as process:
        try:
            if process.wait():
                sys.exit(f"error: {side} stopped in {run}; what it said is above")
        except KeyboardInterrupt:
            process.wait()  # it was asked to stop, too, and saves
            sys.exit("stopped; run the same command to go on")


def _default_workdir(flags):
    """A folder by the name of the config's file."""
    value = flag_errors.flag_value(flags, "config")
    if not value:
        sys.exit("error: give an experiment, for example --config=configs/quickstart.py")
    path, _, variant = value.partition(":")
    return pathlib.Path("runs/convergence", f"{pathlib.Path(path).stem}_{variant}".rstrip("_"))


if __name__ == "__main__":
    main()
