"""XLA's own convolution and the two maps that are linear transposes of it."""

import jax
from jax import lax

from pix2pix_jax.models.convolution.geometry import Geometry

DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def stock(x: jax.Array, w: jax.Array, geometry: Geometry) -> jax.Array:
    """From x [N, H, W, I] and w [K, K, I, O] to y [N, h, w, O]."""
    pads = ((geometry.padding, geometry.padding),) * 2
    strides = (geometry.stride, geometry.stride)
    return lax.conv_general_dilated(x, w, strides, pads, dimension_numbers=DIMENSIONS)


def stock_adjoint(y: jax.Array, w: jax.Array, geometry: Geometry) -> jax.Array:
    """From y [N, h, w, O] and w [K, K, I, O] to x [N, H, W, I]."""
    x = jax.ShapeDtypeStruct((y.shape[0], geometry.height, geometry.width, w.shape[2]), y.dtype)
    return jax.linear_transpose(lambda x: stock(x, w, geometry), x)(y)[0]


def stock_weight_gradient(x: jax.Array, y: jax.Array, geometry: Geometry) -> jax.Array:
    """From x [N, H, W, I] and y [N, h, w, O] to w [K, K, I, O]."""
    k = geometry.kernel
    w = jax.ShapeDtypeStruct((k, k, x.shape[3], y.shape[3]), x.dtype)
    return jax.linear_transpose(lambda w: stock(x, w, geometry), w)(y)[0]
