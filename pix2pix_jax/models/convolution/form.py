"""Strided convolution, its adjoint (transposed convolution) and its weight gradient.

The three maps are the partial adjoints of one trilinear form <conv(x, w), y>, so each one's
derivative is made of the other two. Stating that rule here avoids the stock derivative of the
transposed convolution, which XLA's CPU backend runs some 50 times too slowly, and holds
for every order of derivative (the gradient penalty needs the second).

A program compiled for a CPU computes some shapes in the forms of `cpu`; GPUs and TPUs use XLA's own
convolution, but for one case (see `accelerator`). The choice is made by the platform that is
compiled for, not by the machine that compiles.

Arrays are NHWC, kernels HWIO, both spatial axes alike in stride and padding.
"""

import functools

import jax
import jax.export
from jax import lax

from pix2pix_jax.models.convolution import accelerator, cpu
from pix2pix_jax.models.convolution.geometry import Geometry
from pix2pix_jax.models.convolution.stock import stock, stock_adjoint, stock_weight_gradient


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
    choices = cpu.choose_conv, accelerator.choose_conv
    return _by_platform(*choices, stock, x, w, geometry)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _conv_adjoint(y, w, geometry):
    """From y [N, h, w, O] and w [K, K, I, O] to x [N, H, W, I]."""
    choices = cpu.choose_adjoint, accelerator.choose_adjoint
    return _by_platform(*choices, stock_adjoint, y, w, geometry)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _conv_weight_gradient(x, y, geometry):
    """From x [N, H, W, I] and y [N, h, w, O] to w [K, K, I, O]."""
    choices = cpu.choose_weight_gradient, accelerator.choose_weight_gradient
    return _by_platform(*choices, stock_weight_gradient, x, y, geometry)


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 5), inline=True)  # traced once for a shape
def _by_platform(choose_on_cpu, choose_elsewhere, plain, first, second, geometry):
    """The one form or the other, whichever belongs to the platform that is compiled for."""
    sizes = (*first.shape, *second.shape, *geometry)
    if any(map(jax.export.is_symbolic_dim, sizes)):  # of an export: no form suits every size
        return plain(first, second, geometry)
    elsewhere = choose_elsewhere(geometry)
    on_cpu = choose_on_cpu(first, second, geometry)
    if on_cpu is elsewhere:
        return elsewhere(first, second, geometry)
    forms = {"cpu": on_cpu, "default": elsewhere}
    forms = {name: functools.partial(form, geometry=geometry) for name, form in forms.items()}
    return lax.platform_dependent(first, second, **forms)


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
