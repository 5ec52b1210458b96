"""Measures the input: pairs a second beside PyTorch's DataLoader, and how long training waits.

python -m benchmarks.input --folder=/tmp/jpegs --images=400 --batch=4
python -m benchmarks.input --folder=/tmp/jpegs --images=50000 --batch=1 --train --steps=40

The folder is filled with synthetic pairs (JPEG, 512x256), once, unless it has so many in train/.

The first command reads all pairs in turns with PyTorch: from the file to a batch of floats in
[-1, 1], resized to 286x286 (PIL's bicubic), cropped to 256x256 and mirrored at random. PyTorch has
as many processes for that as ours has threads. Ours leaves all but the decoding to the device; the
machine's own cores are the device where there is no other. "Up to the device" ends where the
decoded images lie there. Memory settings are those of launch.py.

The second one trains pix2pix, streamed and (400 pairs) cached on the device. The wait is what the
loop spends in getting the next batch, over the whole time.
"""

import argparse
import pathlib
import statistics
import time
from collections.abc import Callable

from pix2pix_jax.runtime import host_memory, xla_flags

if __name__ == "__main__":  # as launch.py, before JAX computes; not in PyTorch's workers
    host_memory.restart_with_settings()
    xla_flags.prepare()
    host_memory.prepare()
    host_memory.keep_freed()

import jax
import numpy as np
from jax.sharding import Mesh
from PIL import Image

from benchmarks import torch_input
from configs import facades
from pix2pix_jax import dispatch
from pix2pix_jax.data import loading
from pix2pix_jax.data.prefetch import prefetched
from pix2pix_jax.data.synthetic import SyntheticFacades
from pix2pix_jax.methods.registry import fresh_state
from pix2pix_jax.run.reporter import CALLS_IN_FLIGHT
from pix2pix_jax.runtime import random_streams

DESIGNS = 100  # facades that are drawn; every image is one of them, shifted and lit anew
FUSED = 20  # steps in a dispatch, as on accelerators


def fill(folder: pathlib.Path, count: int) -> None:
    """Writes `count` pairs of 256x256 side by side as JPEGs into folder/train, where missing."""
    target = folder / "train"
    target.mkdir(parents=True, exist_ok=True)
    missing = [i for i in range(count) if not (target / f"{i}.jpg").exists()]
    if len(list(target.glob("*.jpg"))) >= count:
        return
    designs = SyntheticFacades("input", DESIGNS, 256)
    pairs = [np.concatenate([record["A"], record["B"]], axis=1) for record in designs]
    for i in missing:
        generator = np.random.default_rng(i)
        image = np.roll(pairs[i % DESIGNS], int(generator.integers(256)), axis=0)
        image = np.clip(image * generator.uniform(0.7, 1.1), 0, 255).astype(np.uint8)
        Image.fromarray(image).save(target / f"{i}.jpg", quality=90)


def main() -> None:
    """Prints a Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument(
        "--workers", type=int, default=2, help="threads of ours, PyTorch's processes"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--train", action="store_true", help="measure how long training waits")
    parser.add_argument("--steps", type=int, default=40, help="of training")
    options = parser.parse_args()
    if not options.train and options.images % options.batch:
        parser.error("--images is no multiple of --batch: the two sides would read different pairs")
    fill(options.folder, options.images)
    (wait if options.train else compare)(options)


def compare(options: argparse.Namespace) -> None:
    """Pairs a second of ours and of PyTorch, medians over rounds in which each reads all pairs."""
    config, examples = _load(options, cache_mb=0)
    folder = options.folder / "train"
    theirs = torch_input.loader(folder, options.images, options.batch, options.workers)
    epochs = {
        "ours": _epoch(config, examples, finish=True),
        "up to the device": _epoch(config, examples, finish=False),
        "PyTorch": lambda: sum(1 for _ in theirs),
    }
    seconds = {name: [] for name in epochs}
    for i in range(1 + options.rounds):
        for name, epoch in epochs.items():
            began = time.perf_counter()
            epoch()
            if i:  # the first one starts processes and compiles
                seconds[name].append(time.perf_counter() - began)
    rates = {name: options.images / statistics.median(s) for name, s in seconds.items()}
    ratios = [rates[name] / rates["PyTorch"] for name in ("ours", "up to the device")]
    print(f"pairs/s, {jax.default_backend()}, {options.workers} workers; ratios to PyTorch's")
    print(f"| batch | {' | '.join(rates)} | ratio | up to the device |\n|{6 * '---|'}")
    cells = [
        f"{options.batch}",
        *(f"{r:.0f}" for r in rates.values()),
        *(f"{r:.2f}" for r in ratios),
    ]
    print(f"| {' | '.join(cells)} |")


def _load(options, cache_mb, count=0):
    """The config of facades, and examples from the folder."""
    config = facades.get_config()
    config.data.name, config.data.dir = "folder", str(options.folder)
    config.data.eval_split = "train"  # nothing is held out
    config.data.max_items = count or options.images
    config.data.cache_mb, config.data.num_threads = cache_mb, options.workers
    config.train.batch_size = options.batch
    return config, loading.load_examples(config.data, config.seed, "train", train=True)


def _chunks(config, examples, steps, fused):
    spans = [range(i, min(i + fused, steps)) for i in range(0, steps, fused)]
    sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return prefetched(examples, spans, config.train.batch_size, config.data.prefetch_mb, sharding)


def _epoch(config, examples, finish) -> Callable[[], None]:
    """A function that reads all pairs; `finish` makes batches of floats of what the device got."""

    @jax.jit
    def batch(step, chunk, i):
        key = random_streams.at_step(config.seed, random_streams.JITTER, step)
        return examples.batch(key, None, jax.tree.map(lambda x: x[i], chunk))

    def run():
        pending = []
        for steps, chunk in _chunks(
            config, examples, len(examples) // config.train.batch_size, FUSED
        ):
            made = [batch(step, chunk, i) for i, step in enumerate(steps)] if finish else chunk
            pending.append(made)
            if len(pending) > CALLS_IN_FLIGHT:
                jax.block_until_ready(pending.pop(0))
        jax.block_until_ready(pending)

    return run


def wait(options: argparse.Namespace) -> None:
    """Images a second and the share of the time that training waits, streamed and cached."""
    print("| way | examples | batch | images/s | wait, % |\n|---|---|---|---|---|")
    for way, cache_mb, count in (("streamed", 0, options.images), ("cached", 4096, 400)):
        seconds, waited = _train(*_load(options, cache_mb, count), options.steps)
        rate, share = options.steps * options.batch / seconds, 100 * waited / seconds
        print(f"| {way} | {count:,} | {options.batch} | {rate:.1f} | {share:.2f} |", flush=True)


def _train(config, examples, steps):
    """(seconds, seconds waited) of so many steps, after two that compile."""
    mesh = Mesh(np.array(jax.devices()[:1]), ("data",))
    run_steps = dispatch.make_run_steps(config, examples, mesh)
    whole, _ = dispatch.shardings(mesh)
    state = jax.device_put(fresh_state(config), whole)
    cache, waited, pending = jax.device_put(examples.cache, whole), 0.0, []
    chunks = _chunks(config, examples, steps + 2, fused=1)
    for step in range(steps + 2):
        if step == 2:
            jax.block_until_ready(pending)
            began, waited = time.perf_counter(), 0.0
        asked = time.perf_counter()
        _, chunk = next(chunks)
        waited += time.perf_counter() - asked
        state, losses = run_steps(state, cache, chunk, None)
        pending.append(losses)
        if len(pending) > CALLS_IN_FLIGHT:
            jax.block_until_ready(pending.pop(0))
    jax.block_until_ready(state)
    return time.perf_counter() - began, waited


if __name__ == "__main__":
    main()
