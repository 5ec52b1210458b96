"""The three maps of a convolution as matrix products over image patches."""

import jax
import jax.numpy as jnp
from jax import lax

from pix2pix_jax.models.convolution.geometry import Geometry


def patch_conv(x: jax.Array, w: jax.Array, geometry: Geometry) -> jax.Array:
    """The convolution as one matrix product over image patches."""
    return lax.dot_general(_patches(x, geometry), _matrix(w), (((3,), (0,)), ((), ())))


def fold_adjoint(y: jax.Array, w: jax.Array, geometry: Geometry) -> jax.Array:
    """The adjoint for kernel 4, stride 2, padding 1: a matrix product, then sums of patches."""
    columns = lax.dot_general(y, _matrix(w), (((3,), (1,)), ((), ())))
    return _fold(columns, geometry, w.shape[2])


def parity_adjoint(y: jax.Array, w: jax.Array, geometry: Geometry) -> jax.Array:
    """The adjoint for kernel 3, stride 2, padding 1 and even sizes: four images, interleaved.

    Even rows come from the kernel's middle row, odd ones from the other two; so do columns.
    """

    def seen(y, axis):  # by even rows (or columns), and by odd ones: [(tap, image)]
        pads = [(0, 0, 0)] * y.ndim
        pads[axis] = (-1, 1, 0)
        return [(1, y)], [(2, y), (0, lax.pad(y, jnp.zeros((), y.dtype), pads))]

    def products(rows, column_parity):
        return [
            lax.dot_general(image, w[i, j], (((3,), (1,)), ((), ())))
            for i, row in rows
            for j, image in seen(row, 2)[column_parity]
        ]

    images = [[sum(products(rows, parity)) for parity in (0, 1)] for rows in seen(y, 1)]
    x = jnp.stack([jnp.stack(row, axis=3) for row in images], axis=2)
    return x.reshape(y.shape[0], geometry.height, geometry.width, -1)


def patch_weight_gradient(x: jax.Array, y: jax.Array, geometry: Geometry) -> jax.Array:
    """The weight gradient as one matrix product over image patches."""
    return _over_pixels(_patches(x, geometry), y).reshape(
        geometry.kernel, geometry.kernel, x.shape[3], y.shape[3]
    )


def flipped_weight_gradient(x: jax.Array, y: jax.Array, geometry: Geometry) -> jax.Array:
    """The weight gradient at stride 1 over patches of y, which has fewer channels than x.

    Where x and y change places, taps come in reverse order.
    """
    margin = geometry.kernel - 1 - geometry.padding
    swapped = Geometry(*y.shape[1:3], geometry.kernel, stride=1, padding=margin)
    return jnp.flip(patch_weight_gradient(y, x, swapped), (0, 1)).swapaxes(2, 3)


def _over_pixels(x, y):
    """[N, h, w, I] and [N, h, w, O] -> [I, O]."""
    return lax.dot_general(x, y, (((0, 1, 2), (0, 1, 2)), ((), ())))


def _matrix(w):
    return w.reshape(-1, w.shape[-1])


def _patches(x, geometry):
    """[N, H, W, I] -> [N, h, w, K * K * I].

    Rows first, then columns: of K * K slices in one go, XLA makes as many kernels, each of which
    computes again what x is made of, and most of the time to compile goes into them.
    """
    n, _, _, channels = x.shape
    p, k = geometry.padding, geometry.kernel
    x = jnp.pad(x, ((0, 0), (p, p), (p, p), (0, 0)))
    x = _windows(x, geometry, 1, geometry.out_height)
    x = _windows(x, geometry, 3, geometry.out_width).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(n, geometry.out_height, geometry.out_width, k * k * channels)


def _windows(x, geometry, axis, count):
    """The rows (or columns) that each output sees: `axis` becomes two, [count, K]."""
    last = geometry.stride * (count - 1) + 1
    taps = [lax.slice_in_dim(x, i, i + last, geometry.stride, axis) for i in range(geometry.kernel)]
    return jnp.stack(taps, axis + 1)


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
