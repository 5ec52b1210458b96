"""What the rows of an evaluation come to: means over the images, and metrics of the whole set."""

from typing import Any

import numpy as np

from pix2pix_jax.evaluation import segmenters
from pix2pix_jax.evaluation.evaluator import Evaluator, Row
from pix2pix_jax.metrics.distances import check_count
from pix2pix_jax.metrics.per_set import SET_METRICS, SetComparison, load_features
from pix2pix_jax.metrics.segmentation import Segmentation
from pix2pix_jax.runtime.counter import Counter


class Summary:
    """Means of the metrics over all rows, and metrics of the whole set."""

    def __init__(self, config: Any, evaluator: Evaluator, examples: Any):
        """Reads the weights that eval.set_metrics take. Raises ValueError, OSError for these."""
        self._values: dict[str, list[dict[str, float]]] = {}  # by direction
        self._segmenters: dict[str, segmenters.Segmenter] = {}
        self._segmentations: dict[str, Segmentation] = {}
        names, size = config.eval.set_metrics, config.eval.batch_size
        if "segmentation" in names:
            for direction in evaluator.directions:
                found = segmenters.for_direction(config, direction)
                self._segmenters[direction.name] = found
                self._segmentations[direction.name] = Segmentation(
                    found.segment, found.palette, size
                )
        names = [name for name in names if name in SET_METRICS]
        features = load_features(names, config.eval)
        self._sets = {
            direction.name: SetComparison(names, features, size)
            for direction in evaluator.directions
        }
        if not names:
            return
        for direction in evaluator.directions:
            if {"fid", "kid"} & set(names):  # rather than at the end of a long validation
                check_count(min(map(examples.count, (direction.source, direction.target))))
            indices = np.arange(examples.count(direction.target))
            progress = Counter(len(indices), "true images")
            for first in range(0, len(indices), size):
                real = examples.images(direction.target, indices[first : first + size])
                self._sets[direction.name].add("real", real)
                progress.add(len(real))

    def clear(self) -> None:
        """Forgets the rows, and keeps what the real images are described by."""
        self._values.clear()
        for comparison in self._sets.values():
            comparison.clear("generated")
        for segmentation in self._segmentations.values():
            segmentation.clear()

    def add(self, row: Row) -> None:
        """Takes the metrics of a row, and its first output for those of the set."""
        self._values.setdefault(row.direction, []).append(row.metrics)
        output = row.columns["output"]
        self._sets[row.direction].add("generated", [output])
        if segmentation := self._segmentations.get(row.direction):
            segmentation.add(output, row.columns[self._segmenters[row.direction].truth])

    def means(self) -> dict[str, float]:
        """Means over all images, and where there are two directions over those of each."""
        found = {name: self._sets[name].result() for name in self._values}
        for name in found.keys() & self._segmentations.keys():
            found[name] |= self._segmentations[name].result()
        for name, rows in self._values.items():
            found[name] |= {k: float(np.mean([row[k] for row in rows])) for k in rows[0]}
        everything = [row for rows in self._values.values() for row in rows]
        means = {k: float(np.mean([row[k] for row in everything])) for k in everything[0]}
        of_sets = next(iter(found.values())).keys() - means.keys()
        means |= {k: float(np.mean([f[k] for f in found.values()])) for k in sorted(of_sets)}
        if len(found) > 1:
            means |= {f"{name}_{k}": v for name in sorted(found) for k, v in found[name].items()}
        return means
