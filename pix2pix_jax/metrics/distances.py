"""Fréchet and kernel distance between sets of features: FID and KID on Inception's. Float64."""

from typing import NamedTuple

import numpy as np

KID_SUBSETS = 100
KID_SUBSET_SIZE = 1000  # features of each set in a subset, where the sets have as many
KID_SEED = 2020  # of torch-fidelity


class Gaussian(NamedTuple):
    """Mean and covariance of features.

    The covariance is kept as a factor F with F^T F equal to it, of as few rows as there are
    features: with it the Fréchet distance takes no square root of a matrix, which is unstable
    for the singular covariances of small sets.
    """

    mean: np.ndarray  # [D]
    factor: np.ndarray  # [R, D]

    @classmethod
    def of(cls, features: np.ndarray) -> "Gaussian":
        """Of features [N, D]; the covariance has N - 1 in its denominator.

        Raises:
            ValueError: fewer than 2 features.
        """
        check_count(len(features))
        features = np.asarray(features, np.float64)
        mean = features.mean(0)
        factor = (features - mean) / np.sqrt(len(features) - 1)
        if len(factor) > factor.shape[1]:
            factor = np.linalg.qr(factor, mode="r")
        return cls(mean, factor)

    @classmethod
    def from_covariance(cls, mean: np.ndarray, covariance: np.ndarray) -> "Gaussian":
        """Of a mean [D] and a covariance [D, D]."""
        values, vectors = np.linalg.eigh(np.asarray(covariance, np.float64))
        positive = values > values[-1] * len(values) * np.finfo(np.float64).eps
        factor = np.sqrt(values[positive])[:, None] * vectors.T[positive]
        return cls(np.asarray(mean, np.float64), factor)

    @property
    def covariance(self) -> np.ndarray:
        """[D, D]."""
        return self.factor.T @ self.factor


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
    """|m_a - m_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2)) (Heusel et al. 2017, equation 6).

    The trace of the root is the sum of the singular values of F_a F_b^T.
    """
    root = np.linalg.svd(a.factor @ b.factor.T, compute_uv=False).sum()
    spread = np.square(a.factor).sum() + np.square(b.factor).sum() - 2 * root
    return float(np.square(a.mean - b.mean).sum() + spread)


def kernel_distance(
    real: np.ndarray,
    generated: np.ndarray,
    subsets: int = KID_SUBSETS,
    subset_size: int = KID_SUBSET_SIZE,
) -> tuple[float, float]:
    """Squared maximum mean discrepancy under (x y / D + 1)^3 (Binkowski et al. 2018, section 4).

    The unbiased estimate, its mean over random subsets: those that torch-fidelity draws, with
    subsets of the smaller set's size where it has fewer than `subset_size`. Where a subset is both
    whole sets, there is one.

    Args:
        real: features [N, D].
        generated: features [M, D].
        subsets: their number.
        subset_size: of each.

    Returns:
        mean and standard deviation over the subsets.

    Raises:
        ValueError: fewer than 2 features.
    """
    for features in (real, generated):
        check_count(len(features))
    size = min(len(real), len(generated), subset_size)
    if size == len(real) == len(generated):
        return _mmd(real, generated), 0.0
    random = np.random.RandomState(KID_SEED)
    found = []
    for _ in range(subsets):
        x, y = (f[random.choice(len(f), size, replace=False)] for f in (real, generated))
        found.append(_mmd(x, y))
    return float(np.mean(found)), float(np.std(found))


def _mmd(x, y):
    x, y = (np.asarray(features, np.float64) for features in (x, y))
    count, width = x.shape
    kernel = lambda a, b: (a @ b.T / width + 1) ** 3
    within = sum((k := kernel(f, f)).sum() - np.trace(k) for f in (x, y))
    return float(within / (count * (count - 1)) - 2 * kernel(x, y).mean())


def check_count(count: int) -> None:
    """Raises ValueError for a set of fewer than 2 images."""
    if count < 2:
        raise ValueError(
            f"a set has {count} image: FID and KID compare distributions, and take at "
            "least 2 images in each set (thousands, for figures that mean much)"
        )
