"""Metrics of a whole set of images against another: distributions rather than single images.

Each describes single images by features, and compares the features of two sets. The sets need be
neither paired nor of equal size. To add one: write its two functions and a row of `SET_METRICS`.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from pix2pix_jax.images import colors
from pix2pix_jax.metrics import inception_features
from pix2pix_jax.metrics.distances import Gaussian, frechet_distance, kernel_distance

Features = Callable[[np.ndarray], np.ndarray]  # uint8 [N, H, W, C] -> [N, ...], by image
Load = Callable[[Any], Features]  # from the `eval` section of a config; reads weights
LAB_BINS = {"color_l": (0, 100), "color_a": (-110, 110), "color_b": (-110, 110)}
BIN_WIDTH = 10  # of L, a and b


class SetMetric(NamedTuple):
    """A metric of sets."""

    load: Load  # of the function that describes images; metrics with the same one share it
    # (features of the real set, of the generated set) -> values by name
    compare: Callable[[np.ndarray, np.ndarray], dict[str, float]]
    higher_is_better: dict[str, bool]  # by the names of its values


def lab_histograms(images: np.ndarray) -> np.ndarray:
    """Shares of an image's pixels by L, a and b: uint8 [N, H, W, C] -> float32 [N, 3, bins].

    Bins are 10 wide; L takes the first 10 of the 22 that a and b have.
    """
    return np.asarray(_lab_histograms(np.broadcast_to(images, (*images.shape[:3], 3))))


@jax.jit
def _lab_histograms(images):
    lab = colors.rgb_to_lab(images.astype(jnp.float32) / 255)
    low = jnp.array([bounds[0] for bounds in LAB_BINS.values()], jnp.float32)
    count = max(high - start for start, high in LAB_BINS.values()) // BIN_WIDTH
    bins = jnp.clip((lab - low) // BIN_WIDTH, 0, count - 1).at[..., 0].min(100 // BIN_WIDTH - 1)
    chosen = bins[..., None] == jnp.arange(count)
    return chosen.mean((1, 2), dtype=jnp.float32)


def histogram_intersection(real: np.ndarray, generated: np.ndarray) -> dict[str, float]:
    """Overlap of the sets' marginal colour distributions in Lab, in 0 (none) to 1 (equal).

    Isola et al. 2017, section 4.2 and figure 7 (d): the sum over bins of the smaller share.
    """
    shares = np.minimum(real.mean(0), generated.mean(0)).sum(-1)
    return dict(zip(LAB_BINS, shares.tolist(), strict=True))


def fid(real: np.ndarray, generated: np.ndarray) -> dict[str, float]:
    """Fréchet distance of Inception features (Heusel et al. 2017)."""
    return {"fid": frechet_distance(Gaussian.of(real), Gaussian.of(generated))}


def kid(real: np.ndarray, generated: np.ndarray) -> dict[str, float]:
    """Kernel distance of Inception features (Binkowski et al. 2018)."""
    return {"kid": kernel_distance(real, generated)[0]}


SET_METRICS = {
    "colors": SetMetric(
        load=lambda evaluation: lab_histograms,
        compare=histogram_intersection,
        higher_is_better=dict.fromkeys(LAB_BINS, True),
    ),
    "fid": SetMetric(inception_features.load, fid, {"fid": False}),
    "kid": SetMetric(inception_features.load, kid, {"kid": False}),
}


def load_features(names: Iterable[str], evaluation: Any) -> dict[Load, Features]:
    """The functions that describe images for some metrics, by what loaded them.

    Args:
        names: of `SET_METRICS`.
        evaluation: the `eval` section of a config.

    Raises:
        OSError, ValueError: weights are missing or damaged.
    """
    loads = {SET_METRICS[name].load for name in names}
    return {load: load(evaluation) for load in loads}


class SetComparison:
    """Gathers the features of real and generated images for some metrics."""

    def __init__(self, names: Iterable[str], features: dict[Load, Features], batch_size: int):
        """Takes names of `SET_METRICS`, what `load_features` made of them, and images at a time."""
        self._metrics = {name: SET_METRICS[name] for name in names}
        self._features, self._batch_size = features, batch_size
        self._waiting: dict[str, list[np.ndarray]] = {}
        self._gathered: dict[tuple[Load, str], list[np.ndarray]] = {}

    def add(self, kind: str, images: list[np.ndarray]) -> None:
        """Adds images, uint8 [h, w, C], to the set `kind`: "real" or "generated"."""
        if not self._metrics:
            return
        waiting = self._waiting.setdefault(kind, [])
        waiting.extend(images)
        if len(waiting) >= self._batch_size:
            self._describe(kind)

    def clear(self, kind: str) -> None:
        """Forgets the images of the set `kind`."""
        self._waiting.pop(kind, None)
        self._gathered = {key: rows for key, rows in self._gathered.items() if key[1] != kind}

    def result(self) -> dict[str, float]:
        """The metrics of all images so far."""
        found: dict[str, float] = {}
        for kind in list(self._waiting):
            self._describe(kind)
        for metric in self._metrics.values():
            sets = [
                np.concatenate(self._gathered[metric.load, kind]) for kind in ("real", "generated")
            ]
            found |= metric.compare(*sets)
        return found

    def _describe(self, kind):
        """Turns the images that wait into features."""
        by_shape: dict[tuple[int, ...], list[np.ndarray]] = {}
        for image in self._waiting.pop(kind):
            by_shape.setdefault(image.shape, []).append(image)
        for load, features in self._features.items():
            rows = [features(np.stack(alike)) for alike in by_shape.values()]
            self._gathered.setdefault((load, kind), []).extend(rows)
