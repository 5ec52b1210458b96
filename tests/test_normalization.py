"""Normalisation with its own derivative, and several batches in one call, against PyTorch."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from configs.default import get_config
from pix2pix_jax.methods.packing import packing
from pix2pix_jax.methods.state import apply_together
from pix2pix_jax.models import build
from pix2pix_jax.models.layers import Conv
from pix2pix_jax.models.normalization import BatchNorm, InstanceNorm, moments, standardize
from tests import parity

SHAPE = (2, 5, 6, 4)
EPS = 1e-5


def double(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def ours(*tensors):
    return [jnp.asarray(tensor.detach().numpy(), jnp.float32) for tensor in tensors]


@pytest.mark.parametrize("axes", [(0, 1, 2), (1, 2)], ids=["batch", "instance"])
def test_first_and_second_derivatives(axes):
    """Those of a gradient penalty's kind: the gradient of the squares of a gradient."""
    x, scale, bias, weight = double(*SHAPE), double(4, seed=1), double(4, seed=2), double(*SHAPE)
    for tensor in (x, scale, bias):
        tensor.requires_grad_()

    def theirs(x, scale, bias):
        mean = x.mean(axes, keepdim=True)
        var = (x - mean).square().mean(axes, keepdim=True)
        return (torch.tanh((x - mean) / (var + EPS).sqrt() * scale + bias) * weight).sum()

    def mine(x, scale, bias):
        y, _ = standardize(x, scale, bias, axes, EPS)
        return (jnp.tanh(y) * ours(weight)[0]).sum()

    first = torch.autograd.grad(theirs(x, scale, bias), (x, scale, bias), create_graph=True)
    found = jax.jit(jax.grad(mine, (0, 1, 2)))(*ours(x, scale, bias))
    for a, b in zip(found, ours(*first), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)

    second = torch.autograd.grad(first[0].square().sum(), (x, scale, bias))
    penalty = lambda *args: jnp.square(jax.grad(mine)(*args)).sum()
    found = jax.jit(jax.grad(penalty, (0, 1, 2)))(*ours(x, scale, bias))
    for a, b in zip(found, ours(*second), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4 * float(jnp.abs(b).max()))


@pytest.mark.parametrize("norm", [InstanceNorm, BatchNorm])
def test_the_backward_pass_keeps_two_arrays_for_each_layer(norm):
    """What the convolution takes and what it gives; the rest is computed when it is needed."""
    layers, x = 10, jnp.ones((2, 64, 64, 64))

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            for _ in range(layers):
                x = nn.relu(norm()(Conv(x.shape[-1], kernel=3, stride=1)(x)))
            return x

    net = Net()
    variables = jax.eval_shape(net.init, jax.random.key(0), x)
    loss = lambda v, x: jnp.square(net.apply(v, x, mutable="batch_stats")[0]).sum()
    compiled = jax.jit(jax.grad(loss)).lower(variables, x).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 2.3 * layers * x.nbytes


def test_the_gradient_is_computed_once():
    """And not anew in each of the products that the convolution before it makes of it."""

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.relu(InstanceNorm()(Conv(64, kernel=3, stride=1)(x)))

    net, x = Net(), jnp.ones((1, 64, 64, 64))
    variables = jax.eval_shape(net.init, jax.random.key(0), x)
    loss = lambda v, x: jnp.square(net.apply(v, x)).sum()
    program = jax.jit(jax.grad(loss, (0, 1))).lower(variables, x).compile().as_text()
    of_norm = lambda line: "transpose(jvp(Net))/InstanceNorm" in line and " subtract(" in line
    holding = [part for part in program.split("\n\n") if any(map(of_norm, part.splitlines()))]
    assert len(holding) <= 3  # both sums and the gradient itself


@pytest.mark.parametrize("mean", [0, 1e3, -1e5])
def test_moments_far_from_zero(mean):
    """E[x^2] - E[x]^2 in float32 would be off by 0.1 at a mean of 1,000."""
    x = np.float32(mean + double(1, 64, 64, 3).numpy())
    found = moments(jnp.asarray(x), (1, 2))
    expected = x.mean((0, 1, 2), dtype=np.float64)
    np.testing.assert_allclose(found[0].ravel(), expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found[1].ravel(), x.var((0, 1, 2), dtype=np.float64), rtol=1e-4)


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_batches_together_are_batches_one_after_the_other(norm):
    """In PyTorch the second call meets the running statistics that the first has left."""
    config = get_config().model
    config.update({"norm": norm, "ndf": 4, "n_layers": 1})
    module = build.discriminator(config)
    batches = [parity.images(3, 16, 16, 3, seed=seed) * (1 + seed) for seed in range(2)]
    variables = jax.jit(module.init)(jax.random.key(0), batches[0])
    together = jax.jit(functools.partial(apply_together, module))
    found, stats = together(variables, batches)

    weights = jax.tree.map(lambda x: torch.from_numpy(np.array(x)), variables["params"])
    kernel = lambda name: weights[name]["kernel"].permute(3, 2, 0, 1)
    running = torch.zeros(8), torch.ones(8)
    for x, scales in zip(batches, found, strict=True):
        y = F.conv2d(parity.nchw(x), kernel("conv_0"), weights["conv_0"]["bias"], 2, 1)
        y = F.conv2d(F.leaky_relu(y, 0.2), kernel("conv_1"), None, 1, 1)
        if norm == "batch":
            scale, bias = weights["norm_1"]["scale"], weights["norm_1"]["bias"]
            y = F.batch_norm(y, *running, scale, bias, training=True)
        else:
            y = F.instance_norm(y)
        y = F.conv2d(F.leaky_relu(y, 0.2), kernel("conv_2"), weights["conv_2"]["bias"], 1, 1)
        np.testing.assert_allclose(scales[0].logits, parity.nhwc(y), atol=1e-5)
    if norm == "batch":
        np.testing.assert_allclose(stats["norm_1"]["mean"], running[0], atol=1e-6)
        np.testing.assert_allclose(stats["norm_1"]["var"], running[1], rtol=1e-5)


@pytest.mark.parametrize("generator", ["unet_32", "resnet_1blocks"])
def test_biases_before_a_norm_change_nothing_and_are_not_trained(generator):
    """Their gradient is zero in exact arithmetic.

    PyTorch's is rounding noise, which its Adam makes a random walk of: its biases drift, as ours
    do not, and its images stay the same.
    """
    config = get_config().model
    config.update({"generator": generator, "ngf": 2, "norm": "instance", "dropout": 0.0})
    module, x = build.generator(config, 3), parity.images(1, 32, 32, 3)
    params = jax.jit(module.init)(jax.random.key(0), x)["params"]
    named = jax.tree_util.tree_leaves_with_path(params)
    biases = [jax.tree_util.keystr(path) for path, _ in named if "bias" in str(path)]
    layers = ["conv_out"] if generator == "resnet_1blocks" else ["down_1", "down_5", "up_1"]
    free = {f"['{layer}']['bias']" for layer in layers}

    apply = jax.jit(lambda params: module.apply({"params": params}, x))
    change = lambda path, leaf: leaf + (jax.tree_util.keystr(path) in set(biases) - free)
    changed = jax.tree_util.tree_map_with_path(change, params)
    np.testing.assert_allclose(apply(changed), apply(params), atol=1e-4)

    gradient = jax.jit(jax.grad(lambda params: jnp.sin(9 * apply(params)).sum()))(params)
    leaves = jax.tree_util.tree_leaves_with_path(gradient)
    trained = {jax.tree_util.keystr(path) for path, leaf in leaves if np.any(leaf)}
    assert trained & set(biases) == free


def test_packing_keeps_every_value_in_its_place():
    tree = {
        "b": {"bias": jnp.arange(3.0), "kernel": jnp.ones((2, 2))},
        "a": [jnp.arange(5.0) + 10, {"count": jnp.int32(7), "scale": jnp.arange(2.0) - 4}],
    }
    pack, unpack = packing(tree)
    ((vector, others),) = pack(tree)
    np.testing.assert_array_equal(vector, [10, 11, 12, 13, 14, -4, -3, 0, 1, 2])
    assert len(others) == 2
    jax.tree.map(np.testing.assert_array_equal, unpack(pack(tree)), tree)
