"""How a CPU computes the three maps of a convolution, and the one place that chooses.

Large layers go through `winograd`, which needs about half the multiplications. Shapes that XLA's
convolution serves badly (few pixels, or few channels) are computed as matrix products over image
patches. benchmarks/README.md has the measurements.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from pix2pix_jax.models.convolution import winograd
from pix2pix_jax.models.convolution.geometry import Geometry
from pix2pix_jax.models.convolution.patches import (
    fold_adjoint,
    patch_conv,
    patch_weight_gradient,
    tap_weight_gradient,
)
from pix2pix_jax.models.convolution.stock import stock, stock_adjoint, stock_weight_gradient

Form = Callable[[jax.Array, jax.Array, Geometry], jax.Array]


def choose_conv(x: jax.Array, w: jax.Array, geometry: Geometry) -> Form:
    """The fastest form of the convolution for x [N, H, W, I] and w [K, K, I, O]."""
    channels, features = w.shape[2:]
    if _prefer_winograd(x, geometry, channels, features):
        return winograd.conv
    if _prefer_patches(x.shape[0], geometry, channels, features):
        return patch_conv
    if geometry.padding == 0 and geometry.stride == 1 and geometry.kernel > 1:
        return padded_conv
    return stock


def choose_adjoint(y: jax.Array, w: jax.Array, geometry: Geometry) -> Form:
    """The fastest form of the adjoint for y [N, h, w, O] and w [K, K, I, O]."""
    if _prefer_winograd(y, geometry, *w.shape[2:]):
        return winograd.conv_adjoint
    doubles = geometry[:2] == (2 * geometry.out_height, 2 * geometry.out_width)
    if doubles and geometry[2:] == (4, 2, 1):
        return fold_adjoint
    return stock_adjoint


def choose_weight_gradient(x: jax.Array, y: jax.Array, geometry: Geometry) -> Form:
    """The fastest form of the weight gradient for x [N, H, W, I] and y [N, h, w, O]."""
    channels, features = x.shape[3], y.shape[3]
    if _prefer_winograd(x, geometry, channels, features):
        return winograd.weight_gradient
    if _prefer_patches(x.shape[0], geometry, channels, features):
        return patch_weight_gradient
    if channels <= 8 and geometry.stride > 1 and geometry.kernel <= 7:
        return tap_weight_gradient
    return stock_weight_gradient


def _prefer_winograd(images, geometry, channels, features):
    """Whether tiles enough pay for the kernel's transform, and channels enough for the images'."""
    if images.dtype != jnp.float32 or not winograd.serves(geometry):
        return False
    rows, columns = winograd.tiles(geometry)
    wide = geometry.stride**2 * channels >= 128 and features >= 64
    return wide and images.shape[0] * rows * columns >= 256


def _prefer_patches(batch, geometry, channels, features):
    """Whether the patch matrix is small beside the kernel: then one matrix product is fastest."""
    pixels = batch * geometry.out_height * geometry.out_width
    return pixels <= 256 and channels * features >= 64 * 64


def padded_conv(x: jax.Array, w: jax.Array, geometry: Geometry) -> jax.Array:
    """A convolution without padding, stride 1: pads, and cuts the border.

    XLA's CPU convolution is 3 to 20 times slower without padding.
    """
    return stock(x, w, geometry._replace(padding=1))[:, 1:-1, 1:-1]
