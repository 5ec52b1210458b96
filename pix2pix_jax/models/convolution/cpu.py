"""How a CPU computes the three maps of a convolution, and the one place that chooses.

Large layers go through `winograd`, which needs about half the multiplications. Shapes that XLA's
convolution serves badly (few pixels, or few channels) are computed as matrix products over image
patches. benchmarks/README.md has the measurements.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from pix2pix_jax.models.convolution import winograd
from pix2pix_jax.models.convolution.geometry import Geometry
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


def patch_conv(x: jax.Array, w: jax.Array, geometry: Geometry) -> jax.Array:
    """The convolution as one matrix product over image patches."""
    return lax.dot_general(_patches(x, geometry), _matrix(w), (((3,), (0,)), ((), ())))


def fold_adjoint(y: jax.Array, w: jax.Array, geometry: Geometry) -> jax.Array:
    """The adjoint for kernel 4, stride 2, padding 1: a matrix product, then sums of patches."""
    columns = lax.dot_general(y, _matrix(w), (((3,), (1,)), ((), ())))
    return _fold(columns, geometry, w.shape[2])


def patch_weight_gradient(x: jax.Array, y: jax.Array, geometry: Geometry) -> jax.Array:
    """The weight gradient as one matrix product over image patches."""
    return _over_pixels(_patches(x, geometry), y).reshape(
        geometry.kernel, geometry.kernel, x.shape[3], y.shape[3]
    )


def tap_weight_gradient(x: jax.Array, y: jax.Array, geometry: Geometry) -> jax.Array:
    """The weight gradient as one matrix product for each tap of the kernel."""
    taps = jnp.stack([_over_pixels(tap, y) for tap in _taps(x, geometry)])
    return taps.reshape(geometry.kernel, geometry.kernel, x.shape[3], y.shape[3])


def _over_pixels(x, y):
    """[N, h, w, I] and [N, h, w, O] -> [I, O]."""
    return lax.dot_general(x, y, (((0, 1, 2), (0, 1, 2)), ((), ())))


def _matrix(w):
    return w.reshape(-1, w.shape[-1])


def _taps(x, geometry):
    """The K * K shifted, strided views of x [N, H, W, I], each [N, h, w, I]."""
    n, _, _, channels = x.shape
    p, k, s = geometry.padding, geometry.kernel, geometry.stride
    x = jnp.pad(x, ((0, 0), (p, p), (p, p), (0, 0)))
    rows, columns = s * (geometry.out_height - 1) + 1, s * (geometry.out_width - 1) + 1
    return [
        lax.slice(x, (0, i, j, 0), (n, i + rows, j + columns, channels), (1, s, s, 1))
        for i in range(k)
        for j in range(k)
    ]


def _patches(x, geometry):
    """[N, H, W, I] -> [N, h, w, K * K * I]."""
    return jnp.concatenate(_taps(x, geometry), axis=-1)


def _fold(columns, geometry, channels):
    """Adjoint of `_patches` for kernel 4, stride 2, padding 1: every pixel sums 2 x 2 patches."""
    n, h, w, _ = columns.shape
    columns = columns.reshape(n, h, w, 4, 4, channels)
    rows = _fold_axis(columns, axis=1, tap_axis=3).reshape(n, 2 * h, w, 4, channels)
    return _fold_axis(rows, axis=2, tap_axis=3).reshape(
        n, geometry.height, geometry.width, channels
    )


def _fold_axis(columns, axis, tap_axis):
    """Sums taps 1 and 3 onto the even rows, 2 and 0 onto the odd ones; stacks them after `axis`."""
    taps = [lax.index_in_dim(columns, i, tap_axis, keepdims=False) for i in range(4)]

    def shift(tap, by):
        pads = [(0, 0, 0)] * tap.ndim
        pads[axis] = (by, -by, 0)
        return lax.pad(tap, jnp.zeros((), tap.dtype), pads)

    return jnp.stack([taps[1] + shift(taps[3], 1), taps[2] + shift(taps[0], -1)], axis + 1)
