"""Validates a state in training: metrics of the whole split, and grids of fixed images."""

import pathlib
from typing import Any

import numpy as np

from pix2pix_jax.evaluation.evaluator import Evaluator
from pix2pix_jax.evaluation.summary import Summary
from pix2pix_jax.images.files import save_png
from pix2pix_jax.images.levels import to_picture
from pix2pix_jax.methods import average
from pix2pix_jax.report import grids
from pix2pix_jax.runtime import processes


class Validator:
    """Validates a state in training: metrics of the whole split, and grids of fixed images."""

    def __init__(self, config: Any, examples: Any, folder: pathlib.Path):
        self._num_samples, self._folder = config.train.num_samples, folder
        self._average, self._shown = config.eval.average, config.data.shown_channels
        self._evaluator = Evaluator(config, examples)
        self._summary = Summary(config, self._evaluator, examples)

    def metrics(self, state: Any) -> dict[str, float]:
        """Mean metrics over the split."""
        self._summary.clear()
        for row in self._evaluator.rows(self._variables(state), "validation", lines=False):
            self._summary.add(row)
        return self._summary.means()

    def samples(self, state: Any, step: int) -> dict[str, np.ndarray]:
        """Writes samples/step_<step>.png, or one for each direction, and returns them by name."""
        found = {}
        self._folder.mkdir(exist_ok=True)
        samples = self._evaluator.samples(self._variables(state), self._num_samples)
        for direction, columns in samples:
            suffix = f"_{direction.name}" if direction.name else ""
            pictures = [
                (title, [to_picture(image, self._shown) for image in images])
                for title, images in columns.items()
            ]
            grid = found[f"samples{suffix}"] = grids.grid(pictures)
            save_png(self._folder / f"step_{step:07}{suffix}.png", grid)
        return found

    def _variables(self, state):
        return processes.local(average.evaluated(state, self._average))
