"""How a CPU computes the three maps of a convolution, and the one place that chooses.

Large layers go through `winograd`, which needs about half the multiplications. Shapes that XLA's
convolution serves badly (few pixels, or few channels) are computed as matrix products over image
patches. benchmarks/cpu.md has the measurements.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from pix2pix_jax.models.convolution import winograd
from pix2pix_jax.models.convolution.geometry import Geometry
from pix2pix_jax.models.convolution.patches import (
    flipped_weight_gradient,
    fold_adjoint,
    parity_adjoint,
    patch_conv,
    patch_weight_gradient,
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
    if doubles and geometry[2:] == (3, 2, 1):
        return parity_adjoint
    if geometry.stride == 1 and _margin(geometry) > geometry.kernel // 2:
        return padded_adjoint
    return stock_adjoint


def choose_weight_gradient(x: jax.Array, y: jax.Array, geometry: Geometry) -> Form:
    """The fastest form of the weight gradient for x [N, H, W, I] and y [N, h, w, O]."""
    channels, features = x.shape[3], y.shape[3]
    if _prefer_winograd(x, geometry, channels, features):
        return winograd.weight_gradient
    if _prefer_patches(x.shape[0], geometry, channels, features) or geometry.kernel == 1:
        return patch_weight_gradient
    if channels <= 8 and geometry.kernel <= 7:
        return patch_weight_gradient
    if features <= 8 and geometry.kernel <= 7 and geometry.stride == 1 and _margin(geometry) >= 0:
        return flipped_weight_gradient
    if _prefer_winograd_weight_gradient(x, geometry, channels, features):
        return winograd.weight_gradient if geometry.stride == 1 else winograd_weight_gradient_3x3
    return stock_weight_gradient


def _prefer_winograd(images, geometry, channels, features):
    """Whether tiles enough pay for the kernel's transform, and channels enough for the images'."""
    if images.dtype != jnp.float32 or not winograd.serves(geometry):
        return False
    rows, columns = winograd.tiles(geometry)
    wide = geometry.stride**2 * channels >= 128 and features >= 64
    return wide and images.shape[0] * rows * columns >= 256


def _prefer_winograd_weight_gradient(images, geometry, channels, features):
    """Whether XLA's weight gradient, slow beyond the caches, takes longer than Winograd's.

    That is so for narrower layers than in the other two maps, and for kernel 3 with stride 2.
    """
    if images.dtype != jnp.float32 or geometry.kernel != 3 or min(channels, features) < 32:
        return False
    even = geometry.height % 2 == 0 and geometry.width % 2 == 0 and geometry.padding == 1
    served = geometry.stride == 1 or (geometry.stride == 2 and even)
    rows, columns = winograd.tiles(geometry)
    return served and images.shape[0] * rows * columns >= 1024


def _prefer_patches(batch, geometry, channels, features):
    """Whether the patch matrix is small beside the kernel: then one matrix product is fastest."""
    pixels = batch * geometry.out_height * geometry.out_width
    return pixels <= 256 and channels * features >= 64 * 64


def padded_conv(x: jax.Array, w: jax.Array, geometry: Geometry) -> jax.Array:
    """A convolution without padding, stride 1: pads, and cuts the border.

    XLA's CPU convolution is 3 to 20 times slower without padding.
    """
    return stock(x, w, geometry._replace(padding=1))[:, 1:-1, 1:-1]


def padded_adjoint(y: jax.Array, w: jax.Array, geometry: Geometry) -> jax.Array:
    """The adjoint at stride 1 as a convolution of an image that is padded first.

    XLA's CPU convolution is 4 times slower where it pads by more than half the kernel; the barrier
    keeps the two from becoming one again.
    """
    own = geometry.kernel // 2
    rest = _margin(geometry) - own
    y = lax.optimization_barrier(jnp.pad(y, ((0, 0), (rest, rest), (rest, rest), (0, 0))))
    kernel = jnp.flip(w, (0, 1)).swapaxes(2, 3)
    return stock(y, kernel, Geometry(*y.shape[1:3], geometry.kernel, stride=1, padding=own))


def winograd_weight_gradient_3x3(x: jax.Array, y: jax.Array, geometry: Geometry) -> jax.Array:
    """The weight gradient of kernel 3, stride 2: all but the last row and column of kernel 4's."""
    return winograd.weight_gradient(x, y, geometry._replace(kernel=4))[:3, :3]


def _margin(geometry):
    """Zeros around y, at stride 1, for the adjoint to be a convolution of it."""
    return geometry.kernel - 1 - geometry.padding
