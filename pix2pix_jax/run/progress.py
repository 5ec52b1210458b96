"""Progress of a training run, for lines and a bar: speed, time left and losses."""

import pathlib
import time

from pix2pix_jax.runtime import console
from pix2pix_jax.runtime.counter import duration
from pix2pix_jax.runtime.whole_file import whole_file


class Progress:
    """Measures steps and images a second between lines, and the time waited for data."""

    def __init__(
        self,
        total_steps: int,
        batch_size: int,
        num_examples: int,
        first_step: int,
        epochs_before: int = 0,
    ):
        """`epochs_before` are those of the schedule that this run leaves out."""
        self._epochs_before = epochs_before
        self._total = total_steps
        self._batch_size = batch_size
        self._num_examples = num_examples
        self._speed = 0.0  # steps a second before the last line
        self.begin(first_step)

    def begin(self, step: int) -> None:
        """Measures from here on, so that compiling, say, is no part of the speed."""
        self._step, self._time = step, time.perf_counter()
        self._paused = self._waited = 0.0

    def pause(self, seconds: float) -> None:
        """Leaves `seconds` (of validation, say) out of the speed."""
        self._paused += seconds

    def waited(self, seconds: float) -> None:
        """Counts `seconds` that the loop waited for data."""
        self._waited += seconds

    def rates(self, step: int) -> dict[str, float]:
        """Speed since the last call: steps_per_sec, images_per_sec, and data_wait in [0, 1].

        Empty if no step has been measured.
        """
        if step == self._step:
            self.begin(step)
            return {}
        seconds = self._seconds()
        self._speed = speed = (step - self._step) / seconds
        rates = {
            "steps_per_sec": speed,
            "images_per_sec": speed * self._batch_size,
            "data_wait": self._waited / seconds,
        }
        self.begin(step)
        return rates

    def _seconds(self):
        """Of training since `begin`."""
        return max(time.perf_counter() - self._time - self._paused, 1e-9)

    def show(self, step: int, losses: dict[str, float]) -> None:
        """Draws the bar of a terminal."""
        speed = self._speed or (step - self._step) / self._seconds()
        parts = [f"step {step}/{self._total}"]
        if speed:
            left = duration((self._total - step) / speed)
            parts += [f"{speed:.3g} steps/s", f"ETA {left}"]
        parts += [f"{name} {value:.3g}" for name, value in losses.items()]
        console.show_bar(step / self._total, *parts)

    def line(self, step: int, rates: dict[str, float], losses: dict[str, float]) -> str:
        """One line for people."""
        epoch, epochs = (
            self._epochs_before + n * self._batch_size / self._num_examples
            for n in (step, self._total)
        )
        parts = [f"step {step}/{self._total}"]
        parts.append(f"epoch {epoch:.1f}/{epochs:.{0 if epochs >= 10 else 1}f}")
        if rates:
            parts.append(f"{rates['steps_per_sec']:.2f} steps/s")
            parts.append(f"{rates['images_per_sec']:.2f} images/s")
            parts.append(f"ETA {duration((self._total - step) / rates['steps_per_sec'])}")
        return "  ".join(parts + [f"{name} {value:.4g}" for name, value in losses.items()])


class Stopwatch:
    """Seconds that a run has trained, those before it was stopped and resumed too."""

    def __init__(self, path: pathlib.Path, fresh: bool = False):
        """`path` keeps the seconds; with `fresh` those of an earlier run there do not count."""
        self._path, self._began = path, time.perf_counter()
        self._before = 0.0 if fresh else read_seconds(path)

    @property
    def seconds(self) -> float:
        """Since this process began to train."""
        return time.perf_counter() - self._began

    def write(self) -> None:
        """Brings the file up to date."""
        with whole_file(self._path) as temporary:
            temporary.write_text(f"{self._before + self.seconds:.1f}\n")


def read_seconds(path: pathlib.Path) -> float:
    """What a `Stopwatch` has written; 0 without its file.

    Raises:
        ValueError: the file is damaged.
    """
    try:
        return float(path.read_bytes()) if path.exists() else 0.0
    except ValueError as error:
        raise ValueError(f"{path} is damaged: remove it to count the time anew") from error
