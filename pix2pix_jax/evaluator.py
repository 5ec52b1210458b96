"""Translates a split in every direction and measures it: what validation and --mode=eval share."""

import pathlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from pix2pix_jax.images.files import save_png
from pix2pix_jax.images.levels import to_float
from pix2pix_jax.methods.contract import Direction
from pix2pix_jax.methods.registry import METHODS
from pix2pix_jax.metrics import per_image
from pix2pix_jax.metrics.per_set import SetComparison
from pix2pix_jax.pytorch.pth_file import read_pth
from pix2pix_jax.report import grids
from pix2pix_jax.runtime import few_shapes, processes
from pix2pix_jax.runtime.storage import local_copy
from pix2pix_jax.translator import Translator

Columns = dict[str, list[np.ndarray]]  # by title: input, output, ..., each uint8 [h, w, C]


class Row(NamedTuple):
    """One image, translated in one direction."""

    name: str
    direction: str  # "" where there is only one
    columns: dict[str, np.ndarray]  # by title
    metrics: dict[str, float]


@few_shapes.jit
def measure(
    output: jax.Array, target: jax.Array, hole: jax.Array | None = None
) -> dict[str, jax.Array]:
    """Every metric of uint8 images [N, H, W, C] against their targets: {name: [N]}.

    With `hole`, [N, H, W, 1] and 255 in the hole, also those of the hole.
    """
    output, target = to_float(output), to_float(target)
    found = per_image.all_metrics(output, target)
    if hole is not None:
        found |= per_image.in_hole(output, target, (hole > 127).astype(output.dtype))
    return found


class Evaluator:
    """Translates examples in every direction of a method, and measures the results."""

    def __init__(self, config: Any, examples: Any):
        self._examples, self._eval = examples, config.eval
        method = METHODS[config.method]
        self._has_holes = method.has_holes
        self.directions: list[Direction] = method.directions(config)
        used = {d.generator: d for one in self.directions for d in (one, one.inverse) if d}
        self._translators = {name: Translator(config, d) for name, d in used.items()}

    def translate(
        self, variables: dict[str, Any], direction: Direction, indices: np.ndarray
    ) -> tuple[Columns, dict[str, np.ndarray]]:
        """Translates some examples, eval.noise_samples times.

        Args:
            variables: of the networks, by name; without those of the inverse direction there are
                no reconstructions.
            direction: one of `directions`.
            indices: int [N].

        Returns:
            columns: input, output, output_2, ..., reconstructed where the method has an inverse,
            target where there is one; and the metrics {name: [N]}, means over the samples.
        """
        source = self._examples.images(direction.source, indices)
        columns = {"input": [direction.show_input(image[None])[0] for image in source]}
        target = None
        if self._examples.paired:
            target = self._examples.images(direction.target, indices)
        holes = [image[..., -1:] for image in source] if self._has_holes else None
        inverse, scores = direction.inverse, []
        if inverse and inverse.generator not in variables:
            inverse = None
        for sample in range(self._eval.noise_samples):
            output = self._run(variables, direction, source, indices, sample)
            columns[f"output_{sample + 1}" if sample else "output"] = output
            score = {} if target is None else self._measure(output, target, holes)
            if inverse:
                back = self._run(variables, inverse, output, indices, sample)
                score["cycle_l1"] = self._measure(back, source)["l1"]
                columns.setdefault("reconstructed", back)
            scores.append(score)
        if target is not None:
            columns["target"] = target
        means = {name: np.mean([score[name] for score in scores], axis=0) for name in scores[0]}
        return columns, means

    def _run(self, variables, direction, images, indices, sample) -> list[np.ndarray]:
        translator, its_variables = (x[direction.generator] for x in (self._translators, variables))
        if self._examples.one_size:
            return list(translator.batch(its_variables, np.stack(images), indices, sample))
        return translator.padded(its_variables, images, indices, sample)

    def _measure(self, *images: list[np.ndarray] | None) -> dict[str, np.ndarray]:
        """`measure` of lists of images; one by one where their sizes differ."""
        given = [column for column in images if column is not None]
        size = self._eval.batch_size if self._examples.one_size else 1
        found, count = [], len(given[0])
        for first in range(0, count, size):
            # Filled up with repeats at the end: one shape, one compilation.
            rows = np.minimum(np.arange(first, first + size), count - 1)
            found.append(jax.device_get(measure(*(np.stack([c[i] for i in rows]) for c in given))))
        return {name: np.concatenate([f[name] for f in found])[:count] for name in found[0]}

    def rows(self, variables: dict[str, Any]) -> Iterator[Row]:
        """Every image in every direction."""
        size = self._eval.batch_size
        for direction in self.directions:
            prefix = f"{direction.name}_" if direction.name else ""
            count = self._examples.count(direction.source)
            for first in range(0, count, size):
                # Filled up with repeats at the end: the shapes stay the same.
                indices = np.minimum(np.arange(first, first + size), count - 1)
                names = self._examples.names(indices, direction.source)
                columns, scores = self.translate(variables, direction, indices)
                for i in range(min(size, count - first)):
                    yield Row(
                        prefix + names[i],
                        direction.name,
                        {title: images[i] for title, images in columns.items()},
                        {name: float(values[i]) for name, values in scores.items()},
                    )

    def samples(self, variables: dict[str, Any], count: int) -> Iterator[tuple[Direction, Columns]]:
        """`count` fixed images in every direction, spread over the split."""
        for direction in self.directions:
            total = self._examples.count(direction.source)
            # Spread, for neighbours are often alike.
            fixed = np.linspace(0, total - 1, min(count, total)).astype(int)
            yield direction, self.translate(variables, direction, fixed)[0]


class Summary:
    """Means of the metrics over all rows, and metrics of the whole set."""

    def __init__(self, config: Any, evaluator: Evaluator, examples: Any):
        """Reads the weights that eval.set_metrics take. Raises ValueError, OSError for these."""
        self._values: dict[str, list[dict[str, float]]] = {}  # by direction
        self._sets = {
            direction.name: SetComparison(
                config.eval.set_metrics, lambda name: _metric_weights(config.eval, name)
            )
            for direction in evaluator.directions
        }
        if not config.eval.set_metrics:
            return
        size = config.eval.batch_size
        for direction in evaluator.directions:
            indices = np.arange(examples.count(direction.target))
            for first in range(0, len(indices), size):
                real = examples.images(direction.target, indices[first : first + size])
                self._sets[direction.name].add("real", real)

    def clear(self) -> None:
        """Forgets the rows, and keeps what the real images are described by."""
        self._values.clear()
        for comparison in self._sets.values():
            comparison.clear("generated")

    def add(self, row: Row) -> None:
        """Takes the metrics of a row, and its first output for those of the set."""
        self._values.setdefault(row.direction, []).append(row.metrics)
        self._sets[row.direction].add("generated", [row.columns["output"]])

    def means(self) -> dict[str, float]:
        """Means over all images, and where there are two directions over those of each."""
        found = {name: self._sets[name].result() for name in self._values}
        for name, rows in self._values.items():
            found[name] |= {k: float(np.mean([row[k] for row in rows])) for k in rows[0]}
        everything = [row for rows in self._values.values() for row in rows]
        means = {k: float(np.mean([row[k] for row in everything])) for k in everything[0]}
        of_sets = next(iter(found.values())).keys() - means.keys()
        means |= {k: float(np.mean([f[k] for f in found.values()])) for k in sorted(of_sets)}
        if len(found) > 1:
            means |= {f"{name}_{k}": v for name in sorted(found) for k, v in found[name].items()}
        return means


def _metric_weights(evaluation, name):
    """The arrays of a weights file in eval.weights_dir."""
    if not evaluation.weights_dir:
        raise ValueError(
            f"a metric of config.eval.set_metrics takes the weights {name}: give the folder that "
            "has them as --config.eval.weights_dir=FOLDER"
        )
    folder = local_copy(evaluation.weights_dir, lambda path: path.name == name)
    return read_pth(pathlib.Path(folder) / name)


class Validator:
    """Validates a state in training: metrics of the whole split, and grids of fixed images."""

    def __init__(self, config: Any, examples: Any, folder: pathlib.Path):
        self._num_samples, self._folder = config.train.num_samples, folder
        self._evaluator = Evaluator(config, examples)
        self._summary = Summary(config, self._evaluator, examples)

    def metrics(self, state: Any) -> dict[str, float]:
        """Mean metrics over the split."""
        self._summary.clear()
        for row in self._evaluator.rows(self._variables(state)):
            self._summary.add(row)
        return self._summary.means()

    def samples(self, state: Any, step: int) -> dict[str, np.ndarray]:
        """Writes samples/step_<step>.png, or one for each direction, and returns them by name."""
        found = {}
        self._folder.mkdir(exist_ok=True)
        samples = self._evaluator.samples(self._variables(state), self._num_samples)
        for direction, columns in samples:
            suffix = f"_{direction.name}" if direction.name else ""
            grid = found[f"samples{suffix}"] = grids.grid(list(columns.items()))
            save_png(self._folder / f"step_{step:07}{suffix}.png", grid)
        return found

    def _variables(self, state):
        networks = state.networks.items()
        return processes.local({name: network.variables for name, network in networks})
