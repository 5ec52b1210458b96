"""What a run reports while it trains: losses, progress lines, TensorBoard, history."""

import time
from collections.abc import Callable

import jax
import numpy as np

from pix2pix_jax.run.progress import Progress
from pix2pix_jax.runtime import console

CALLS_IN_FLIGHT = 2  # dispatches queued on the device: enough to keep it busy, few to stop soon


class Reporter:
    """Gathers losses as they come off the device; writes lines, TensorBoard and history."""

    def __init__(self, config, events, history, total_steps, num_examples, start, sums=None):
        """`sums` are those of the run that is resumed."""
        self._events, self._history = events, history
        batch_size, before = config.train.batch_size, config.optim.epoch_count - 1
        self._progress = Progress(total_steps, batch_size, num_examples, start, before)
        self._pending: list[tuple[int, dict[str, jax.Array]]] = []
        # {name: [sum, count]} since the last line. In Python's floats and one by one, so that
        # neither stopping nor the number of steps in a dispatch changes a bit.
        self.sums: dict[str, list[float]] = dict(sums or {})
        self._losses: dict[str, float] = {}  # of the last line
        self._compiled: set[int] = set()  # lengths of dispatches
        self.stop_agreed = False  # a process was asked to stop, and all know it

    def waiting(self):
        """Context in which the loop waits for data."""
        return _Timed(self._progress.waited)

    def pausing(self):
        """Context that does not count as training."""
        return _Timed(self._progress.pause)

    def add(self, first_step: int, losses: dict[str, jax.Array]) -> None:
        """Takes the losses of one dispatch and waits for those `CALLS_IN_FLIGHT` before."""
        self._pending.append((first_step, losses))
        steps = len(next(iter(losses.values())))
        if steps not in self._compiled:  # it just was
            self.check_finite()
            self._progress.begin(first_step + steps)
            self._compiled.add(steps)
        while len(self._pending) > CALLS_IN_FLIGHT:
            self._check(*self._pending.pop(0))
        self._progress.show(first_step + steps, self._losses or self._means())

    def check_finite(self) -> None:
        """Waits for all losses; raises FloatingPointError naming the first step that failed."""
        while self._pending:
            self._check(*self._pending.pop(0))

    def _check(self, first_step, losses):
        losses = jax.device_get(losses)
        self.stop_agreed |= bool(np.any(losses.pop("stop", 0)))
        for name, values in losses.items():
            bad = np.flatnonzero(~np.isfinite(values))
            if bad.size:
                raise FloatingPointError(
                    f"loss {name} is {values[bad[0]]} at step {first_step + bad[0] + 1}. The "
                    "checkpoints before it are whole; lower config.optim.learning_rate, or check "
                    "the images, and run again"
                )
            total = self.sums.setdefault(name, [0.0, 0])
            for value in values.tolist():
                total[0] += value
                total[1] += 1

    def _means(self):
        return {name: total / count for name, (total, count) in self.sums.items()}

    def write(self, step: int, learning_rate: float) -> None:
        """Means of the losses since the last line, and the speed; TensorBoard gets the rate too."""
        self.check_finite()
        losses, self.sums = self._means(), {}
        self._losses = losses
        rates = self._progress.rates(step)
        console.progress(self._progress.line(step, rates, losses))
        rows = {f"train/{name}": value for name, value in losses.items()}
        speed = {f"speed/{name}": value for name, value in rates.items()}
        self._events.scalars(step, rows | speed | {"optim/learning_rate": learning_rate})
        self._history.append(step, rows)

    def validation(self, step: int, metrics: dict[str, float]) -> None:
        """The metrics of one validation."""
        line = "  ".join(f"{name} {value:.4f}" for name, value in metrics.items())
        print(f"step {step}  validation  {line}", flush=True)
        rows = {f"val/{name}": value for name, value in metrics.items()}
        self._events.scalars(step, rows)
        self._history.append(step, rows)


class _Timed:
    """Context that gives its duration in seconds to a function."""

    def __init__(self, receive: Callable[[float], None]):
        self._receive = receive

    def __enter__(self):
        self._began = time.perf_counter()

    def __exit__(self, *_):
        self._receive(time.perf_counter() - self._began)
