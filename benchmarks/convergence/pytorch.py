"""PyTorch's side: trains on our batches from our initial weights, on the CPU; resumes by itself.

    python -m benchmarks.convergence.pytorch --config=configs/quickstart.py --workdir=FOLDER

Flags are those of launch.py. Saves the state as FOLDER/state.pt, with rows as ours in
FOLDER/metrics.jsonl.
"""

import pathlib
import random
import sys
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import torch
from absl import app

from benchmarks.convergence import networks
from benchmarks.torch_arrays import nchw
from pix2pix_jax import command
from pix2pix_jax.data import loading
from pix2pix_jax.evaluation.validator import Validator
from pix2pix_jax.methods.registry import METHODS
from pix2pix_jax.run import config_file
from pix2pix_jax.run.history import History
from pix2pix_jax.run.progress import Stopwatch
from pix2pix_jax.run.stopping import StopRequest
from pix2pix_jax.runtime import random_streams
from pix2pix_jax.runtime.whole_file import whole_file
from pix2pix_jax.settings import config_checks
from pix2pix_jax.training_plan import num_steps


class Training:
    """PyTorch's networks, optimizers, schedules and random numbers, which are saved as one."""

    def __init__(self, config: Any, examples: int):
        """`examples` is their number in an epoch, after which the learning rate changes."""
        self.networks, self._trainer = networks.create(config)
        optimizers = [self._trainer.g_optim, self._trainer.d_optim]
        optim = config.optim
        self._optimizers = [optimizer for optimizer in optimizers if optimizer]
        self._schedules = [
            torch.optim.lr_scheduler.LambdaLR(
                optimizer, lambda epoch: linear_decay(epoch, optim.epochs, optim.epochs_decay)
            )
            for optimizer in self._optimizers
        ]
        self._examples, self._batch_size = examples, config.train.batch_size
        self.step, self.sums = 0, {}
        torch.manual_seed(config.seed)  # of dropout
        random.seed(config.seed)  # of the pools

    def train(self, batch: dict[str, np.ndarray]) -> None:
        """One step on images float32 [N, H, W, C] in [-1, 1]; adds the losses to `sums`.

        Raises:
            FloatingPointError: a loss is not finite.
        """
        losses = self._trainer.step(*map(nchw, batch.values()))
        self.step += 1
        for name, value in losses.items():
            if not torch.isfinite(value):
                raise FloatingPointError(f"loss {name} is {value} at step {self.step}")
            total, count = self.sums.get(name, (0.0, 0))
            self.sums[name] = total + value.item(), count + 1
        seen = self.step * self._batch_size
        ended = seen // self._examples - (seen - self._batch_size) // self._examples
        for _ in range(ended):  # epochs, several of few examples
            for schedule in self._schedules:
                schedule.step()

    def means(self) -> dict[str, float]:
        """Means of the losses since the last call."""
        means = {name: total / count for name, (total, count) in self.sums.items()}
        self.sums = {}
        return means

    def save(self, path: pathlib.Path) -> None:
        """Writes everything."""
        parts = {name: [p.state_dict() for p in group] for name, group in self._parts().items()}
        generators = {"torch": torch.get_rng_state(), "python": random.getstate()}
        rest = {"step": self.step, "sums": self.sums, "pools": [p.images for p in self._pools()]}
        with whole_file(path) as temporary:
            torch.save(parts | generators | rest, temporary)

    def load(self, path: pathlib.Path) -> None:
        """The inverse of `save`."""
        state = torch.load(path)
        for name, group in self._parts().items():
            for part, its_state in zip(group, state[name], strict=True):
                part.load_state_dict(its_state)
        for pool, images in zip(self._pools(), state["pools"], strict=True):
            pool.images = images
        self.step, self.sums = state["step"], state["sums"]
        torch.set_rng_state(state["torch"])
        random.setstate(state["python"])

    def _parts(self):
        return {
            "networks": list(self.networks.values()),
            "optimizers": self._optimizers,
            "schedules": self._schedules,
        }

    def _pools(self):
        names = ("pool_a", "pool_b")
        return [getattr(self._trainer, name) for name in names if hasattr(self._trainer, name)]


def linear_decay(epoch: int, epochs: int, epochs_decay: int) -> float:
    """Factor of the learning rate in an epoch, counted from 0, as the PyTorch code has it."""
    return 1.0 - max(0, epoch + 1 - epochs) / float(epochs_decay + 1)


def batches(config: Any, examples: Any) -> Callable[[int], dict[str, np.ndarray]]:
    """(step) -> the batch that our training takes at that step, float32 [N, H, W, C]."""
    cache = jax.device_put(examples.cache)

    @jax.jit
    def make(step, item):
        key = random_streams.at_step(config.seed, random_streams.JITTER, step)
        return examples.batch(key, cache, item)

    def batch(step):
        chunk = examples.chunk(step, 1, config.train.batch_size)
        made = make(np.int32(step), jax.tree.map(lambda x: x[0], chunk))
        return {name: np.asarray(images) for name, images in made.items()}

    return batch


def train(config: Any, workdir: str) -> None:
    """Trains PyTorch's networks in `workdir`, from the last save if there is one.

    Raises:
        ValueError, OSError: a config that PyTorch's side does not know, another one than the run
            in `workdir` has, or bad data.
        FloatingPointError: a loss stopped being finite.
    """
    config_checks.check(config)
    networks.check(config)
    data, kind, folder = config.data, METHODS[config.method].data, pathlib.Path(workdir)
    examples = loading.load_examples(data, config.seed, data.train_split, True, kind)
    validation = loading.load_examples(data, config.seed, data.eval_split, False, kind)
    total, training = num_steps(config, len(examples)), Training(config, len(examples))
    folder.mkdir(parents=True, exist_ok=True)
    if (saved := folder / "state.pt").exists():
        config_file.check_same_network(folder, config, part="state")
        config_file.check_same_data(folder, config)
        training.load(saved)
    config_file.write_config(folder, config)
    batch, validator = batches(config, examples), Validator(config, validation, folder / "samples")
    stopwatch = Stopwatch(folder / "seconds.txt", fresh=training.step == 0)
    print(f"PyTorch: steps {training.step} to {total} in {folder}", flush=True)

    def due(interval):
        return training.step == total or (interval > 0 and training.step % interval == 0)

    with History(folder / "metrics.jsonl", training.step) as history, StopRequest() as stop:

        def report(kind, values):
            history.append(training.step, {f"{kind}/{name}": v for name, v in values.items()})
            line = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
            print(f"step {training.step}/{total}  {kind}  {line}", flush=True)

        while training.step < total and not stop.requested:
            training.train(batch(training.step))
            if due(config.train.log_every):
                report("train", training.means())
            if due(config.train.eval_every):
                state = networks.as_ours(config, training.networks, training.step)
                report("val", validator.metrics(state))
            if due(config.train.checkpoint_every) or stop.requested:
                training.save(saved)
                stopwatch.write()


def main(argv: list[str]) -> None:
    """Prints one line for an error that the user can fix."""
    if len(argv) > 1:
        sys.exit(f"error: unexpected argument {argv[1]!r}: flags are written --name=value")
    if not (command.CONFIG.value and command.WORKDIR.value):
        sys.exit("error: give --config=FILE and --workdir=FOLDER")
    try:
        train(command.CONFIG.value, command.WORKDIR.value)
    except (ValueError, OSError, FloatingPointError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    app.run(main, flags_parser=command.parse_flags)
