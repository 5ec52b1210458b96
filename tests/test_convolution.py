"""Convolutions and all their derivatives against PyTorch, on every path of the CPU code."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from pix2pix_jax.models.convolution import accelerator, stock, winograd
from pix2pix_jax.models.convolution.form import convolve, convolve_transpose
from pix2pix_jax.models.convolution.geometry import Geometry

# (size, kernel, stride, padding, in, out): image-sized, few channels, few pixels, and large layers
SHAPES = [
    (32, 4, 2, 1, 8, 16),
    (32, 4, 2, 1, 3, 8),
    (4, 4, 2, 1, 64, 72),
    (2, 4, 2, 1, 64, 64),
    (9, 4, 1, 1, 16, 1),
    (9, 4, 2, 1, 8, 8),
    (5, 4, 2, 1, 64, 64),
    (12, 3, 1, 0, 8, 8),
    (12, 3, 2, 1, 8, 8),
    (14, 7, 1, 0, 3, 8),
    (6, 1, 1, 0, 4, 4),
    (64, 4, 2, 1, 32, 8),
    (47, 4, 2, 1, 32, 64),
    (26, 4, 1, 1, 128, 64),
    (27, 3, 1, 0, 128, 64),
    (46, 3, 1, 1, 32, 40),
    (92, 3, 2, 1, 32, 32),
    (14, 7, 1, 0, 8, 3),
    (9, 1, 2, 0, 16, 12),
    (5, 3, 1, 3, 16, 4),
]


def random(*shape, seed):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def agree(found, expected):
    np.testing.assert_allclose(found, expected, atol=2e-6 * max(1, np.abs(expected).max()) * 10)


@pytest.mark.parametrize("size, kernel, stride, padding, channels, features", SHAPES)
def test_convolution(size, kernel, stride, padding, channels, features):
    x = random(2, size, size + 2, channels, seed=0)
    w = random(kernel, kernel, channels, features, seed=1)
    x_t = torch.tensor(x.transpose(0, 3, 1, 2)).requires_grad_()
    w_t = torch.tensor(w.transpose(3, 2, 0, 1)).requires_grad_()
    y_t = F.conv2d(x_t, w_t, stride=stride, padding=padding)
    y, back = jax.vjp(lambda x, w: convolve(x, w, stride, padding), x, w)
    agree(y, y_t.detach().permute(0, 2, 3, 1).numpy())
    g = random(*y.shape, seed=2)
    y_t.backward(torch.tensor(g.transpose(0, 3, 1, 2)))
    dx, dw = back(g)
    agree(dx, x_t.grad.permute(0, 2, 3, 1).numpy())
    agree(dw, w_t.grad.permute(2, 3, 1, 0).numpy())


@pytest.mark.parametrize(
    "size, kernel, stride, padding, output_padding, channels, features",
    [
        (8, 4, 2, 1, 0, 8, 16),
        (1, 4, 2, 1, 0, 64, 64),
        (16, 4, 2, 1, 0, 8, 3),
        (8, 3, 2, 1, 1, 8, 4),
        (32, 4, 2, 1, 0, 8, 32),
        (24, 4, 2, 1, 0, 64, 32),
    ],
)
def test_transposed_convolution(size, kernel, stride, padding, output_padding, channels, features):
    x = random(2, size, size + 1, channels, seed=0)
    w = random(kernel, kernel, features, channels, seed=1)
    x_t = torch.tensor(x.transpose(0, 3, 1, 2)).requires_grad_()
    w_t = torch.tensor(w.transpose(3, 2, 0, 1)).requires_grad_()
    y_t = F.conv_transpose2d(
        x_t, w_t, stride=stride, padding=padding, output_padding=output_padding
    )
    function = lambda x, w: convolve_transpose(x, w, stride, padding, output_padding)
    y, back = jax.vjp(function, x, w)
    agree(y, y_t.detach().permute(0, 2, 3, 1).numpy())
    g = random(*y.shape, seed=2)
    y_t.backward(torch.tensor(g.transpose(0, 3, 1, 2)))
    dx, dw = back(g)
    agree(dx, x_t.grad.permute(0, 2, 3, 1).numpy())
    agree(dw, w_t.grad.permute(2, 3, 1, 0).numpy())


@pytest.mark.parametrize("taps", winograd.ALGORITHMS)
def test_winograd_matrices(taps):
    """Two outputs of numpy's correlation, to the last digits of float64."""
    generator = np.random.default_rng(0)
    inputs, kernel = generator.standard_normal(taps + 1), generator.standard_normal(taps)
    b, g, a = winograd.ALGORITHMS[taps]
    expected = np.correlate(inputs, kernel, mode="valid")
    np.testing.assert_allclose(a @ ((g @ kernel) * (b @ inputs)), expected, rtol=1e-10)


@pytest.mark.parametrize("kernel, stride", [(4, 2), (3, 1), (4, 1)])
def test_error_of_large_layers(kernel, stride):
    """In float32 it is like PyTorch's own, both taken from PyTorch's result in float64."""
    x, w = random(1, 34, 34, 256, seed=0), random(kernel, kernel, 256, 16, seed=1)
    tensors = [torch.tensor(a) for a in (x.transpose(0, 3, 1, 2), w.transpose(3, 2, 0, 1))]
    theirs, exact = (
        F.conv2d(*pair, stride=stride, padding=1).permute(0, 2, 3, 1).numpy()
        for pair in (tensors, [t.double() for t in tensors])
    )
    ours = np.asarray(winograd.conv(x, w, Geometry(34, 34, kernel, stride, 1)))
    error, their_error = (np.sqrt(np.square(y - exact).mean()) for y in (ours, theirs))
    assert error < 1e-6 * exact.std()
    assert error < 2 * their_error


@pytest.mark.parametrize(
    ("kernel", "stride", "channels", "products", "each"),
    [(4, 2, 64, 9, "256"), (3, 1, 128, 4, "4x1024"), (4, 1, 128, 5, "5x1024")],
)
def test_large_layers_take_fewer_multiplications(kernel, stride, channels, products, each):
    """On CPU, for each tile of 2x2 outputs: 9 for 16 taps with stride 2, 16 for 9, 25 for 16."""
    x, w = random(1, 64, 64, channels, seed=0), random(kernel, kernel, channels, 128, seed=1)
    text = jax.jit(lambda x, w: convolve(x, w, stride, 1)).lower(x, w).as_text()
    found = re.findall(r"stablehlo\.dot_general .*-> tensor<(.*)x128xf32>", text)
    assert found == [each] * products and "stablehlo.convolution" not in text


def test_large_layers_over_several_devices():
    """Images over four devices give PyTorch's gradients of the whole batch."""
    x, w = random(4, 34, 34, 32, seed=0), random(4, 4, 32, 64, seed=1)
    tensors = [torch.tensor(a) for a in (x.transpose(0, 3, 1, 2), w.transpose(3, 2, 0, 1))]
    x_t, w_t = (t.requires_grad_() for t in tensors)
    F.conv2d(x_t, w_t, stride=2, padding=1).square().sum().backward()
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:4]), ("data",))
    rows, whole = (
        jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*axes))
        for axes in (["data"], [])
    )
    loss = lambda x, w: jnp.square(convolve(x, w, 2, 1)).sum()
    gradient = jax.jit(jax.grad(loss, argnums=(0, 1)), in_shardings=(rows, whole))
    dx, dw = gradient(x, w)
    assert dx.sharding.is_equivalent_to(rows, 4)
    agree(dx, x_t.grad.permute(0, 2, 3, 1).numpy())
    agree(dw, w_t.grad.permute(2, 3, 1, 0).numpy())


@pytest.mark.parametrize("size, channels, features", [(8, 3, 5), (66, 32, 64)])
def test_second_derivative(size, channels, features):
    """Through convolution and transposed convolution, as the gradient penalty takes it."""
    x = random(1, size, size, channels, seed=0)
    w, v = (random(4, 4, channels, features, seed=i) * 0.8 / features**0.5 for i in (1, 2))

    def penalty(w, v):
        forward = lambda x: jnp.sin(
            convolve_transpose(jnp.tanh(convolve(x, w, 2, 1)), v, 2, 1)
        ).sum()
        return jnp.square(jax.grad(forward)(x)).sum()

    found = jax.grad(penalty, argnums=(0, 1))(w, v)
    x_t = torch.tensor(x.transpose(0, 3, 1, 2)).requires_grad_()
    weights = [torch.tensor(a.transpose(3, 2, 0, 1)).requires_grad_() for a in (w, v)]
    hidden = torch.tanh(F.conv2d(x_t, weights[0], stride=2, padding=1))
    output = torch.sin(F.conv_transpose2d(hidden, weights[1], stride=2, padding=1)).sum()
    (gradient,) = torch.autograd.grad(output, x_t, create_graph=True)
    gradient.square().sum().backward()
    for ours, theirs in zip(found, weights, strict=True):
        agree(ours, theirs.grad.permute(2, 3, 1, 0).numpy())


@pytest.mark.parametrize("shape", [(1, 64, 64, 64), (2, 16, 16, 64), (1, 16, 16, 3)])
def test_the_platform_that_is_compiled_for_chooses_the_form(shape):
    """On this CPU, for CUDA and TPU: XLA's convolution in all three maps, and no matrix product."""
    x, w = random(*shape, seed=0), random(4, 4, shape[-1], 64, seed=1)
    step = jax.jit(lambda x, w: jax.vjp(lambda x, w: convolve(x, w, 2, 1), x, w)[1](1 + 0 * y))
    y = convolve(x, w, 2, 1)
    programs = {
        platform: jax.export.export(step, platforms=[platform])(x, w).mlir_module()
        for platform in ("cpu", "cuda", "tpu")
    }
    for platform in ("cuda", "tpu"):
        assert programs[platform].count("stablehlo.convolution") == 2
        assert "dot_general" not in programs[platform]
    assert "dot_general" in programs["cpu"]


@pytest.mark.parametrize("size", [2, 8])
def test_on_accelerators_tiny_images_are_matrix_products_of_the_same_values(size):
    x, w = random(1, size, size, 8, seed=0), random(4, 4, 8, 16, seed=1)
    geometry = Geometry(size, size, kernel=4, stride=2, padding=1)
    y = stock.stock(x, w, geometry)
    agree(accelerator.choose_conv(geometry)(x, w, geometry), y)
    ours = accelerator.choose_adjoint(geometry)(y, w, geometry)
    agree(ours / 64, stock.stock_adjoint(y, w, geometry) / 64)
    ours = accelerator.choose_weight_gradient(geometry)(x, y, geometry)
    agree(ours / 64, stock.stock_weight_gradient(x, y, geometry) / 64)

    step = jax.jit(lambda x, w: jax.vjp(lambda x, w: convolve(x, w, 2, 1), x, w)[1](y))
    program = jax.export.export(step, platforms=["cuda"])(x, w).mlir_module()
    assert "stablehlo.convolution" not in program


@pytest.mark.parametrize("shape", [(2, 4, 4, 64), (1, 16, 16, 3)])
def test_the_forms_of_the_cpu_equal_those_of_other_platforms(shape):
    x, w = random(*shape, seed=0), random(4, 4, shape[-1], 64, seed=1)
    geometry = Geometry(*shape[1:3], kernel=4, stride=2, padding=1)
    y, back = jax.vjp(lambda x, w: convolve(x, w, 2, 1), x, w)
    agree(y, stock.stock(x, w, geometry))
    for ours, theirs in zip(
        back(y),
        (stock.stock_adjoint(y, w, geometry), stock.stock_weight_gradient(x, y, geometry)),
        strict=True,
    ):
        agree(ours / 64, theirs / 64)
