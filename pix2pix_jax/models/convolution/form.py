"""Strided convolution, its adjoint (transposed convolution) and its weight gradient.

The three maps are the partial adjoints of one trilinear form <conv(x, w), y>, so each one's
derivative is made of the other two. Stating that rule here keeps the stock derivative of the
transposed convolution away, which XLA's CPU backend runs some 50 times too slowly, and holds
for every order of derivative (the gradient penalty needs the second).

On CPU, large layers go through `winograd`, which needs about half the multiplications, and shapes
that XLA's convolution serves badly (few pixels, or few channels) are computed as matrix products
over image patches; benchmarks/README.md has the measurements. Other backends always use their own
convolution.

Arrays are NHWC, kernels HWIO, both spatial axes alike in stride and padding.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from pix2pix_jax.models.convolution import winograd
from pix2pix_jax.models.convolution.geometry import Geometry

DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def convolve(x: jax.Array, w: jax.Array, stride: int, padding: int) -> jax.Array:
    """Convolution of x [N, H, W, I] with w [K, K, I, O], zero padding on every side."""
    return _conv(x, w, Geometry(x.shape[1], x.shape[2], w.shape[0], stride, padding))


def convolve_transpose(
    y: jax.Array, w: jax.Array, stride: int, padding: int, output_padding: int = 0
) -> jax.Array:
    """Adjoint of `convolve` in x, as torch.nn.ConvTranspose2d.

    Args:
        y: [N, h, w, I].
        w: [K, K, O, I], the kernel of the convolution that this is the adjoint of.
        stride: upsampling factor.
        padding: rows and columns cut from every side of the result.
        output_padding: rows and columns added at the bottom and right.

    Returns:
        [N, H, W, O] with H = (h - 1) * stride - 2 * padding + K + output_padding.
    """
    k = w.shape[0]
    height, width = (
        (n - 1) * stride - 2 * padding + k + output_padding for n in (y.shape[1], y.shape[2])
    )
    return _conv_adjoint(y, w, Geometry(height, width, k, stride, padding))


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _conv(x, w, geometry):
    """From x [N, H, W, I] and w [K, K, I, O] to y [N, h, w, O]."""
    if _prefer_winograd(x, geometry, *w.shape[2:]):
        return winograd.conv(x, w, geometry)
    if _prefer_matmul(x.shape[0], geometry, *w.shape[2:]):
        return lax.dot_general(_patches(x, geometry), _matrix(w), (((3,), (0,)), ((), ())))
    if _on_cpu() and geometry.padding == 0 and geometry.stride == 1 and geometry.kernel > 1:
        # XLA's CPU convolution is 3 to 20 times slower without padding: pad, and cut the border.
        return _stock(x, w, geometry._replace(padding=1))[:, 1:-1, 1:-1]
    return _stock(x, w, geometry)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _conv_adjoint(y, w, geometry):
    """From y [N, h, w, O] and w [K, K, I, O] to x [N, H, W, I]."""
    if _prefer_winograd(y, geometry, *w.shape[2:]):
        return winograd.conv_adjoint(y, w, geometry)
    doubles = geometry[:2] == (2 * geometry.out_height, 2 * geometry.out_width)
    if _on_cpu() and doubles and geometry[2:] == (4, 2, 1):
        columns = lax.dot_general(y, _matrix(w), (((3,), (1,)), ((), ())))
        return _fold(columns, geometry, w.shape[2])
    x = jax.ShapeDtypeStruct((y.shape[0], geometry.height, geometry.width, w.shape[2]), y.dtype)
    return jax.linear_transpose(lambda x: _stock(x, w, geometry), x)(y)[0]


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _conv_weight_gradient(x, y, geometry):
    """From x [N, H, W, I] and y [N, h, w, O] to w [K, K, I, O]."""
    k, channels, features = geometry.kernel, x.shape[3], y.shape[3]
    pixels = (((0, 1, 2), (0, 1, 2)), ((), ()))
    if _prefer_winograd(x, geometry, channels, features):
        return winograd.weight_gradient(x, y, geometry)
    if _prefer_matmul(x.shape[0], geometry, channels, features):
        return lax.dot_general(_patches(x, geometry), y, pixels).reshape(k, k, channels, features)
    if _on_cpu() and channels <= 8 and geometry.stride > 1 and k <= 7:  # one product for each tap
        taps = [lax.dot_general(tap, y, pixels) for tap in _taps(x, geometry)]
        return jnp.stack(taps).reshape(k, k, channels, features)
    w = jax.ShapeDtypeStruct((k, k, channels, features), x.dtype)
    return jax.linear_transpose(lambda w: _stock(x, w, geometry), w)(y)[0]


def _save(function, first, second, geometry):
    return function(first, second, geometry), (first, second)


def _conv_backward(geometry, saved, y):
    x, w = saved
    return _conv_adjoint(y, w, geometry), _conv_weight_gradient(x, y, geometry)


def _conv_adjoint_backward(geometry, saved, x):
    y, w = saved
    return _conv(x, w, geometry), _conv_weight_gradient(x, y, geometry)


def _conv_weight_gradient_backward(geometry, saved, w):
    x, y = saved
    return _conv_adjoint(y, w, geometry), _conv(x, w, geometry)


_conv.defvjp(functools.partial(_save, _conv), _conv_backward)
_conv_adjoint.defvjp(functools.partial(_save, _conv_adjoint), _conv_adjoint_backward)
_conv_weight_gradient.defvjp(
    functools.partial(_save, _conv_weight_gradient), _conv_weight_gradient_backward
)


def _stock(x, w, geometry):
    pads = ((geometry.padding, geometry.padding),) * 2
    strides = (geometry.stride, geometry.stride)
    return lax.conv_general_dilated(x, w, strides, pads, dimension_numbers=DIMENSIONS)


def _on_cpu() -> bool:
    return jax.default_backend() == "cpu"


def _prefer_winograd(images: jax.Array, geometry: Geometry, channels: int, features: int) -> bool:
    """Whether tiles enough pay for the kernel's transform, and channels enough for the images'."""
    if not (_on_cpu() and images.dtype == jnp.float32 and winograd.serves(geometry)):
        return False
    rows, columns = winograd.tiles(geometry)
    wide = geometry.stride**2 * channels >= 128 and features >= 64
    return wide and images.shape[0] * rows * columns >= 256


def _prefer_matmul(batch: int, geometry: Geometry, channels: int, features: int) -> bool:
    """Whether the patch matrix is cheap beside the kernel: then one matrix product is fastest."""
    pixels = batch * geometry.out_height * geometry.out_width
    return _on_cpu() and pixels <= 256 and channels * features >= 64 * 64


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
