"""Times Poisson blending against OpenCV's seamlessClone and scipy's sparse solver, interleaved.

    python -m benchmarks.poisson

Smooth random images, a disk as the mask. The error is the mean distance inside the mask, in
levels, to the float64 solution of the masked system by scipy; the residual is relative to that of
the pasted foreground and includes the rounding to uint8. seamlessClone solves another system (on
the mask's bounding box), hence its error; "at its residual" is our solver with a tolerance that
just reaches the same residual.
"""

import argparse
import platform
import statistics
import time

import cv2
import jax
import numpy as np
import scipy.sparse
import scipy.sparse.linalg
from scipy import ndimage

from pix2pix_jax.blending import poisson


def picture(size: int, seed: int, smoothness: float) -> np.ndarray:
    """A smooth random image, uint8 [size, size, 3]."""
    noise = np.random.default_rng(seed).standard_normal((size, size, 3))
    smooth = ndimage.gaussian_filter(noise, (smoothness, smoothness, 0))
    return np.clip(smooth / smooth.std() * 40 + 128, 0, 255).astype(np.uint8)


def system(
    foreground: np.ndarray, background: np.ndarray, mask: np.ndarray
) -> tuple[scipy.sparse.csc_matrix, np.ndarray]:
    """Matrix and right side for a mask that touches no border of the image."""
    number = np.full(mask.shape, -1)
    number[mask] = np.arange(mask.sum())
    ys, xs = np.nonzero(mask)
    here = number[ys, xs]
    matrix = 4 * scipy.sparse.identity(len(here), format="csr")
    right = np.zeros((len(here), 3))
    for dy, dx in poisson.NEIGHBOURS:
        there = number[ys + dy, xs + dx]
        inner = there >= 0
        ones = np.ones(inner.sum())
        matrix -= scipy.sparse.csr_matrix((ones, (here[inner], there[inner])), matrix.shape)
        right += foreground[ys, xs].astype(float) - foreground[ys + dy, xs + dx]
        right += np.where(inner[:, None], 0.0, background[ys + dy, xs + dx])
    return matrix.tocsc(), right


def main() -> None:
    """Prints one Markdown row for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 256, 512, 1024])
    parser.add_argument("--rounds", type=int, default=11)
    options = parser.parse_args()
    print(f"{platform.machine()}, jax {jax.__version__}, OpenCV {cv2.__version__}")
    print(
        "| size | ours, ms | at its residual, ms | seamlessClone, ms | scipy, ms | ratio at its "
        "residual | error of ours | of seamlessClone | residual of ours | of seamlessClone |"
    )
    print("|" + "---|" * 10)
    for size in options.sizes:
        print(row(size, options.rounds), flush=True)


def row(size: int, rounds: int) -> str:
    """Measures one size."""
    foreground, background = picture(size, 1, size / 40), picture(size, 2, size / 12)
    y, x = np.mgrid[:size, :size]
    mask = (y - size / 2) ** 2 + (x - size / 2) ** 2 < (0.45 * size) ** 2
    ys, xs = np.nonzero(mask)
    center = tuple(int(v.min() + v.max() + 1) // 2 for v in (xs, ys))
    matrix, right = system(foreground, background, mask)
    first = np.linalg.norm(right - matrix @ foreground[mask].astype(float), axis=0)
    residual = lambda image: (
        np.linalg.norm(right - matrix @ image[mask].astype(float), axis=0) / first
    ).max()

    clone = lambda: cv2.seamlessClone(
        foreground, background, mask.astype(np.uint8) * 255, center, cv2.NORMAL_CLONE
    )
    blend = lambda tolerance: poisson.blend(foreground, background, mask, tolerance=tolerance).image
    theirs = residual(clone())
    tolerance = next(t for t in 2.0 ** -np.arange(20) if residual(blend(float(t))) <= theirs)
    runs = {
        "ours": lambda: blend(poisson.TOLERANCE),
        "loose": lambda: blend(float(tolerance)),
        "clone": clone,
    }
    seconds = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            began = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - began)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    began = time.perf_counter()
    exact = scipy.sparse.linalg.spsolve(matrix, right)
    exact_seconds = time.perf_counter() - began
    error = lambda image: np.abs(image[mask] - exact.clip(0, 255)).mean()
    cells = [f"{1000 * median[name]:.0f}" for name in runs] + [f"{1000 * exact_seconds:.0f}"]
    cells.append(f"{median['loose'] / median['clone']:.2f}")
    cells += [f"{error(image):.2f}" for image in (runs["ours"](), clone())]
    cells += [f"{residual(image):.2f}" for image in (runs["ours"](), clone())]
    return f"| {size} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
