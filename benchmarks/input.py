"""Measures how long training waits for data: pix2pix at 256x256, cached and streamed from JPEGs.

python -m benchmarks.input --folder=/tmp/jpegs --images=50000 --batch=1 --steps=40
python -m benchmarks.input --decode_only ...          images a second, nothing trained

The folder is filled with synthetic pairs, once. Streamed examples are read, decoded and resized
by data.num_threads threads while the device computes; cached ones (400 of them) are gathered
on the device. The wait is what the loop spends in getting the next batch, over the whole time.
"""

import argparse
import pathlib
import time

import jax
import numpy as np
from jax.sharding import Mesh
from PIL import Image

from configs import facades
from pix2pix_jax import dispatch
from pix2pix_jax.data import loading
from pix2pix_jax.data.prefetch import prefetched
from pix2pix_jax.data.synthetic import SyntheticFacades
from pix2pix_jax.methods.registry import fresh_state
from pix2pix_jax.run.reporter import CALLS_IN_FLIGHT

DESIGNS = 100  # facades that are drawn; every image is one of them, shifted and lit anew


def fill(folder: pathlib.Path, count: int) -> None:
    """Writes `count` pairs of 256x256 side by side as JPEGs into folder/train, where missing."""
    target = folder / "train"
    target.mkdir(parents=True, exist_ok=True)
    missing = [i for i in range(count) if not (target / f"{i}.jpg").exists()]
    if not missing:
        return
    designs = SyntheticFacades("input", DESIGNS, 256)
    pairs = [np.concatenate([record["A"], record["B"]], axis=1) for record in designs]
    for i in missing:
        generator = np.random.default_rng(i)
        image = np.roll(pairs[i % DESIGNS], int(generator.integers(256)), axis=0)
        image = np.clip(image * generator.uniform(0.7, 1.1), 0, 255).astype(np.uint8)
        Image.fromarray(image).save(target / f"{i}.jpg", quality=90)


def main() -> None:
    """Prints a Markdown row for each way."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--decode_only", action="store_true", help="train nothing")
    options = parser.parse_args()
    fill(options.folder, options.images)
    print("| way | examples | batch | images/s | wait, % |\n|---|---|---|---|---|")
    for way, images in (("streamed", options.images), ("cached", 400)):
        config = facades.get_config()
        config.data.name, config.data.dir = "folder", str(options.folder)
        config.data.eval_split = "train"  # nothing is held out
        config.data.max_items = images
        config.data.cache_mb = 0 if way == "streamed" else 4096
        config.train.batch_size = options.batch
        examples = loading.load_examples(config.data, config.seed, "train", train=True)
        seconds, waited = (_decode if options.decode_only else _train)(config, examples, options)
        rate = options.steps * options.batch / seconds
        share = "" if options.decode_only else f"{100 * waited / seconds:.2f}"
        print(f"| {way} | {images:,} | {options.batch} | {rate:.1f} | {share} |", flush=True)


def _chunks(config, examples, steps):
    return prefetched(examples, 0, steps, 1, config.train.batch_size, config.data.prefetch)


def _decode(config, examples, options):
    began = time.perf_counter()
    for _ in _chunks(config, examples, options.steps):
        pass
    return time.perf_counter() - began, 0.0


def _train(config, examples, options):
    """(seconds, seconds waited) of so many steps, after two that compile."""
    mesh = Mesh(np.array(jax.devices()[:1]), ("data",))
    run_steps = dispatch.make_run_steps(config, examples, mesh)
    whole, _ = dispatch.shardings(mesh)
    state = jax.device_put(fresh_state(config), whole)
    cache, waited, pending = jax.device_put(examples.cache, whole), 0.0, []
    chunks = _chunks(config, examples, options.steps + 2)
    for step in range(options.steps + 2):
        if step == 2:
            jax.block_until_ready(pending)
            began, waited = time.perf_counter(), 0.0
        asked = time.perf_counter()
        chunk = next(chunks)
        waited += time.perf_counter() - asked
        state, losses = run_steps(state, cache, chunk, None)
        pending.append(losses)
        if len(pending) > CALLS_IN_FLIGHT:
            jax.block_until_ready(pending.pop(0))
    jax.block_until_ready(state)
    return time.perf_counter() - began, waited


if __name__ == "__main__":
    main()
