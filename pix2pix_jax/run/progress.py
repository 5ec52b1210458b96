"""Progress lines of a training run: speed, time left and losses."""

import pathlib
import time

from pix2pix_jax.runtime.whole_file import whole_file


class Progress:
    """Measures steps and images a second between lines, and the time waited for data."""

    def __init__(self, total_steps: int, batch_size: int, num_examples: int, first_step: int):
        self._total = total_steps
        self._batch_size = batch_size
        self._num_examples = num_examples
        self._step = first_step
        self._time = time.perf_counter()
        self._paused = 0.0
        self._waited = 0.0

    def pause(self, seconds: float) -> None:
        """Leaves `seconds` (of validation, say) out of the speed."""
        self._paused += seconds

    def waited(self, seconds: float) -> None:
        """Counts `seconds` that the loop waited for data."""
        self._waited += seconds

    def rates(self, step: int) -> dict[str, float]:
        """Speed since the last call: steps_per_sec, images_per_sec, and data_wait in [0, 1]."""
        now = time.perf_counter()
        seconds = max(now - self._time - self._paused, 1e-9)
        speed = (step - self._step) / seconds
        rates = {
            "steps_per_sec": speed,
            "images_per_sec": speed * self._batch_size,
            "data_wait": self._waited / seconds,
        }
        self._step, self._time, self._paused, self._waited = step, now, 0.0, 0.0
        return rates

    def line(self, step: int, rates: dict[str, float], losses: dict[str, float]) -> str:
        """One line for people."""
        epoch = step * self._batch_size / self._num_examples
        epochs = self._total * self._batch_size / self._num_examples
        left = (self._total - step) / rates["steps_per_sec"] if rates["steps_per_sec"] else 0
        return (
            f"step {step}/{self._total}  epoch {epoch:.1f}/{epochs:.0f}  "
            f"{rates['steps_per_sec']:.2f} steps/s  {rates['images_per_sec']:.2f} images/s  "
            f"ETA {duration(left)}  " + "  ".join(f"{k} {v:.4g}" for k, v in losses.items())
        )


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
    """What a `Stopwatch` has written; 0 without its file."""
    return float(path.read_text()) if path.exists() else 0.0


def duration(seconds: float) -> str:
    """90 -> 1m30s."""
    hours, rest = divmod(int(seconds), 3600)
    minutes, seconds = divmod(rest, 60)
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m{seconds:02}s" if minutes else f"{seconds}s"
