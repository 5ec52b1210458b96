"""Times checkpoints: how long training waits for one, when it is on disk, and reading it back.

python -m benchmarks.saving --folder=FOLDER

The folder says which disk. The state is fresh and lies on the device; reading includes comparing
every file with its digest, and mostly comes from the page cache, for the files have just been
written.
"""

import argparse
import pathlib
import statistics
import tempfile
import time

import jax
import numpy as np

from configs import cyclegan, facades
from pix2pix_jax.methods.registry import abstract_state, fresh_state
from pix2pix_jax.methods.state import TrainState
from pix2pix_jax.run.checkpoints import Checkpoints

CONFIGS = {"pix2pix": facades.get_config, "cyclegan": cyclegan.base}
ROUNDS = 4  # the first one makes orbax's threads and folders, and does not count


def main() -> None:
    """Prints a Markdown row for each config."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path(tempfile.gettempdir()))
    options = parser.parse_args()
    print("| config | state, MB | training waits, s | on disk after, s | MB/s | read, s |")
    print("|---|---|---|---|---|---|")
    for name, make in CONFIGS.items():
        config = make()
        abstract, state = abstract_state(config), fresh_state(config)
        with tempfile.TemporaryDirectory(dir=options.folder) as workdir:
            states = [state.replace(step=np.int32(step)) for step in range(1, 1 + ROUNDS)]
            seconds = [times(state, abstract, workdir) for state in states]
        waited, written, read = map(statistics.median, zip(*seconds[1:], strict=True))
        size = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(abstract)) / 1e6
        cells = [f"{size:,.0f}", f"{waited:.2f}", f"{written:.2f}", f"{size / written:,.0f}"]
        print(f"| {name} | {' | '.join(cells)} | {read:.2f} |", flush=True)


def times(state: TrainState, abstract: TrainState, workdir: str) -> tuple[float, float, float]:
    """Seconds until `save` returns, until the files are written, and that reading takes."""
    step = int(state.step)
    state = jax.block_until_ready(jax.device_put(state))
    with Checkpoints(workdir) as saver:
        began = time.perf_counter()
        saver.save(state)
        waited = time.perf_counter() - began
        saver.wait()
        written = time.perf_counter() - began
        began = time.perf_counter()
        saver.restore(abstract, step)
        return waited, written, time.perf_counter() - began


if __name__ == "__main__":
    main()
