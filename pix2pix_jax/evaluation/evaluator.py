"""Translates a split in every direction and measures it: what validation and --mode=eval share."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from pix2pix_jax.images.levels import to_float
from pix2pix_jax.methods.contract import Direction
from pix2pix_jax.methods.registry import METHODS
from pix2pix_jax.metrics import lpips, per_image
from pix2pix_jax.metrics.batches import in_batches
from pix2pix_jax.metrics.registry import check_weights
from pix2pix_jax.runtime import few_shapes
from pix2pix_jax.runtime.counter import Counter
from pix2pix_jax.translation.translator import Translator

Columns = dict[str, list[np.ndarray]]  # by title: input, output, ..., each [h, w, C]


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
    """Every metric of images [N, H, W, C], uint8 or rasters, against their targets: {name: [N]}.

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
        self._lpips = _load_lpips(config.eval, examples)

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
            if self._lpips:
                score["lpips"] = self._in_chunks(self._lpips, output, target)
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
        return self._in_chunks(measure, *(column for column in images if column is not None))

    def _in_chunks(self, function, *images: list[np.ndarray]) -> Any:
        """Applies a function of batches [N, h, w, C]; one by one where sizes differ."""
        if self._examples.one_size:
            return in_batches(function, self._eval.batch_size, *map(np.stack, images))
        rows = zip(*images, strict=True)
        found = [in_batches(function, 1, *(image[None] for image in row)) for row in rows]
        return jax.tree.map(lambda *parts: np.concatenate(parts), *found)

    def rows(self, variables: dict[str, Any], title: str, lines: bool = True) -> Iterator[Row]:
        """Every image in every direction. Shows the progress, see `Counter`."""
        size = self._eval.batch_size
        total = sum(self._examples.count(d.source) for d in self.directions)
        progress = Counter(total, title, lines)
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
                progress.add(min(size, count - first))

    def samples(self, variables: dict[str, Any], count: int) -> Iterator[tuple[Direction, Columns]]:
        """`count` fixed images in every direction, spread over the split."""
        for direction in self.directions:
            total = self._examples.count(direction.source)
            # Spread, for neighbours are often alike.
            fixed = np.linspace(0, total - 1, min(count, total)).astype(int)
            yield direction, self.translate(variables, direction, fixed)[0]


def _load_lpips(evaluation, examples):
    """LPIPS if eval.set_metrics has it, else None."""
    if "lpips" not in evaluation.set_metrics:
        return None
    if not examples.paired:
        raise ValueError(
            "config.eval.set_metrics has lpips, which compares outputs with their true "
            "translations, and these images have none: use fid, kid or colors"
        )
    check_weights(evaluation)  # of all metrics, so that one message names what is missing
    return lpips.load(evaluation)
