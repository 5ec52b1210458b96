"""Distances between output and target images: float NHWC in [-1, 1], one value an image.

All are pure and can be jitted. For figures of the images as saved, round the outputs to uint8
levels first: `to_float(to_uint8(output))`. The metrics then equal those of the PNG files.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

PSNR_CAP = 100.0  # dB of identical images, so that means over a data set stay finite
SSIM_WINDOW = 11  # pixels
SSIM_SIGMA = 1.5  # pixels
SSIM_K = (0.01, 0.03)


def l1(output: jax.Array, target: jax.Array) -> jax.Array:
    """Mean absolute difference of images [B, H, W, C] -> [B], in 0 (identical) to 2."""
    output, target = _checked(output, target)
    return jnp.mean(jnp.abs(output - target), axis=(1, 2, 3))


def l2(output: jax.Array, target: jax.Array) -> jax.Array:
    """Mean squared difference of images [B, H, W, C] -> [B], in 0 (identical) to 4."""
    output, target = _checked(output, target)
    return jnp.mean(jnp.square(output - target), axis=(1, 2, 3))


def psnr(output: jax.Array, target: jax.Array) -> jax.Array:
    """Peak signal-to-noise ratio of images [B, H, W, C] -> [B], in dB, at most `PSNR_CAP`.

    The peak is the whole range (2 in [-1, 1], 255 in uint8), the mean is over pixels and
    channels: 10 log10(peak^2 / mean squared difference).
    """
    output, target = _checked(output, target)
    error = jnp.mean(jnp.square((output - target) / 2), axis=(1, 2, 3))
    return -10 * jnp.log10(jnp.maximum(error, 10 ** (-PSNR_CAP / 10)))


def ssim(output: jax.Array, target: jax.Array) -> jax.Array:
    """Structural similarity of images [B, H, W, C] -> [B], at most 1 (identical).

    Wang et al. 2004, section III.B: Gaussian windows of 11x11 pixels (sigma 1.5) that lie
    inside the image, K = (0.01, 0.03), intensities in [0, 1], the mean over channels. Equal to
    scikit-image's with gaussian_weights=True, sigma=1.5 and use_sample_covariance=False.

    Raises:
      ValueError: images are smaller than the window.
    """
    return jnp.mean(ssim_map(output, target), axis=(1, 2, 3))


def ssim_map(output: jax.Array, target: jax.Array) -> jax.Array:
    """`ssim` of every window, [B, H - 10, W - 10, C]. Raises as that does."""
    output, target = _checked(output, target)
    height, width = output.shape[1:3]
    if min(height, width) < SSIM_WINDOW:
        raise ValueError(
            f"SSIM needs images of at least {SSIM_WINDOW}x{SSIM_WINDOW} pixels, not "
            f"{height}x{width}; choose a larger data.crop_size"
        )
    x, y = (output + 1) / 2, (target + 1) / 2
    # Covariances do not change when a constant is subtracted, float32's errors get smaller.
    x_shift, y_shift = (jnp.mean(image, axis=(1, 2), keepdims=True) for image in (x, y))
    x, y = x - x_shift, y - y_shift
    x_mean, y_mean = _window_mean(x), _window_mean(y)
    x_var = _window_mean(x * x) - x_mean * x_mean
    y_var = _window_mean(y * y) - y_mean * y_mean
    covariance = _window_mean(x * y) - x_mean * y_mean
    x_mean, y_mean = x_mean + x_shift, y_mean + y_shift
    c1, c2 = (k**2 for k in SSIM_K)
    luminance = (2 * x_mean * y_mean + c1) / (x_mean**2 + y_mean**2 + c1)
    structure = (2 * covariance + c2) / (x_var + y_var + c2)
    return luminance * structure


def in_hole(output: jax.Array, target: jax.Array, hole: jax.Array) -> dict[str, jax.Array]:
    """L1, PSNR and SSIM of images [B, H, W, C] inside hole [B, H, W, 1] (1 there): {name: [B]}.

    hole_ssim is the mean over all windows, weighted with the share of the window (by its Gaussian)
    that is hole. Without a hole they are 0, `PSNR_CAP` and 1.
    """
    output, target = _checked(output, target)

    def mean(x, weight):
        total = weight.sum((1, 2, 3)) * x.shape[-1]
        return jnp.where(total > 0, (x * weight).sum((1, 2, 3)) / jnp.maximum(total, 1e-6), 0)

    error = output - target
    squares = mean(jnp.square(error / 2), hole)
    unlike = mean(1 - ssim_map(output, target), _window_mean(hole))
    return {
        "hole_l1": mean(jnp.abs(error), hole),
        "hole_psnr": -10 * jnp.log10(jnp.maximum(squares, 10 ** (-PSNR_CAP / 10))),
        "hole_ssim": 1 - unlike,
    }


# name: (function of (output, target), whether higher is better)
METRICS: dict[str, tuple[Callable[[jax.Array, jax.Array], jax.Array], bool]] = {
    "l1": (l1, False),
    "l2": (l2, False),
    "psnr": (psnr, True),
    "ssim": (ssim, True),
}


def all_metrics(output: jax.Array, target: jax.Array) -> dict[str, jax.Array]:
    """All metrics of images [B, H, W, C] in [-1, 1]: {name: [B]}."""
    return {name: function(output, target) for name, (function, _) in METRICS.items()}


def _checked(output: jax.Array, target: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Both images in float32, after a check that they can be compared."""
    output, target = jnp.asarray(output), jnp.asarray(target)
    if output.ndim != 4 or output.shape != target.shape:
        raise ValueError(
            "metrics compare two batches of one shape [B, H, W, C], not "
            f"{output.shape} with {target.shape}"
        )
    if not (
        jnp.issubdtype(output.dtype, jnp.floating) and jnp.issubdtype(target.dtype, jnp.floating)
    ):
        raise ValueError(f"metrics take float images in [-1, 1], not {output.dtype}")
    return output.astype(jnp.float32), target.astype(jnp.float32)


def _window_mean(x: jax.Array) -> jax.Array:
    """Gaussian-weighted means of all whole windows, [B, H, W, C] -> [B, H - 10, W - 10, C].

    Sums of shifted images rather than a convolution: exact float32 on every device.
    """
    offsets = np.arange(SSIM_WINDOW) - SSIM_WINDOW // 2
    weights = np.exp(-0.5 * (offsets / SSIM_SIGMA) ** 2)
    weights = (weights / weights.sum()).astype(np.float32)
    for axis in (1, 2):
        length = x.shape[axis] - SSIM_WINDOW + 1
        x = sum(
            weight * jax.lax.slice_in_dim(x, i, i + length, axis=axis)
            for i, weight in enumerate(weights)
        )
    return x
