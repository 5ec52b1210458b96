"""Steps a second and memory of whole recipes, as launch.py runs them, and how long they would take.

    python -m benchmarks.recipes --data=FOLDER facades cyclegan:facades cut:facades

FOLDER has facades in pairs, `train` and `test`; they stand in for other data sets, whose numbers of
images count all the same. Each recipe trains from scratch for some seconds after its first steps.
Memory is the process's peak, with compilation and without evaluation.
"""

import argparse
import importlib
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

from benchmarks import startup
from pix2pix_jax import training_plan
from pix2pix_jax.data.catalogue import PAIRED, UNPAIRED
from pix2pix_jax.methods.registry import METHODS
from pix2pix_jax.runtime.counter import duration

ROOT = pathlib.Path(__file__).parents[1]
RATE = re.compile(r"([\d.]+) images/s")
FIRST, LEAST = 2, 4  # steps that do not count, and how many there must be


def train(recipe: str, data: pathlib.Path, seconds: float) -> tuple[float, float]:
    """Images a second, a median over steps, and GiB."""
    name, colon, variant = recipe.partition(":")
    with tempfile.TemporaryDirectory() as scratch:
        config, workdir = f"configs/{name}.py{colon}{variant}", pathlib.Path(scratch) / "run"
        command = startup.command(config, str(data.absolute()), workdir)
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            rates, end = [], float("inf")
            for line in process.stdout:
                if found := RATE.search(line):
                    rates.append(float(found[1]))
                    end = min(end, time.perf_counter() + seconds)
                if time.perf_counter() > end and len(rates) > LEAST:
                    process.kill()
                    break
            used = os.wait4(process.pid, 0)[2]
    if len(rates) <= LEAST:
        sys.exit(f"{recipe} ended after {len(rates)} steps; its error is above")
    return statistics.median(rates[FIRST:]), used.ru_maxrss / 2**20


def steps(config: Any) -> int | None:
    """Of the whole recipe, if the catalogue has its data set."""
    sets = PAIRED if METHODS[config.method].data == "pairs" else UNPAIRED
    known = sets.get(config.data.name) or PAIRED.get(config.data.name)
    return training_plan.num_steps(config, max(known.train_images)) if known else None


def main() -> None:
    """Prints a Markdown row for each recipe."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipes", nargs="+", metavar="CONFIG[:VARIANT]")
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--seconds", type=float, default=20, help="after the first step")
    options = parser.parse_args()
    print("| config | size, batch | steps | steps/s | all of it | memory, GiB |")
    print("|---|---|---|---|---|---|")
    for recipe in options.recipes:
        name, _, variant = recipe.partition(":")
        get_config = importlib.import_module(f"configs.{name}").get_config
        config = get_config(variant) if variant else get_config()
        images, memory = train(recipe, options.data, options.seconds)
        rate, total = images / config.train.batch_size, steps(config)
        height, width = config.data.crop_size
        size = f"{height}" if height == width else f"{width}x{height}"
        cells = [f"`{recipe}`", f"{size}, {config.train.batch_size}"]
        cells += [f"{total:,}" if total else "", f"{rate:.2g}" if rate < 10 else f"{rate:.0f}"]
        cells += [duration(total / rate) if total else "", f"{memory:.1f}"]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
