"""Batch and instance normalisation as PyTorch defines them, with their derivative. NHWC.

`standardize` is both; stating its derivative halves the passes over the images that the stock one
takes, and on an accelerator the kernels.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from pix2pix_jax.models.computed_once import computed_once

Axes = tuple[int, ...]


def scale_init(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
    """N(1, 0.02): the scale of a normalisation."""
    return 1.0 + 0.02 * jax.random.normal(key, shape, dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def standardize(
    x: jax.Array, scale: jax.Array, bias: jax.Array, axes: Axes, eps: float
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    """(x - mean) / sqrt(variance + eps) * scale + bias, with moments over `axes`.

    Args:
        x: [..., C], of any float type; the computation is in float32.
        scale: [C], or a number if there is nothing to learn.
        bias: as scale.
        axes: positive, without the last one.
        eps: added to the biased variance.

    Returns:
        float32 [..., C], and the mean and the biased variance, with `axes` of length 1. No
        gradient flows through these two.
    """
    return _standardize(x, scale, bias, axes, eps)[0]


@functools.partial(jax.jit, static_argnums=(3, 4), inline=True)  # traced once for a shape
def _standardize(x, scale, bias, axes, eps):
    mean, variance = moments(x.astype(jnp.float32), axes)
    inverse = jax.lax.rsqrt(variance + eps)
    y = (x.astype(jnp.float32) - mean) * (inverse * scale) + bias
    return (y, (mean, variance)), (x, scale, bias, mean, inverse)


@functools.partial(jax.jit, static_argnums=(0, 1), inline=True)
def _standardize_backward(axes, eps, saved, gradients):
    x, scale, bias, mean, inverse = saved
    g = gradients[0]
    mean, inverse = _wait_for(g, axes, mean, inverse)
    normal = (x.astype(jnp.float32) - mean) * inverse
    count = _count(x, axes)
    bias_part, scale_part = _sums(g, g * normal, axes)
    # Else it is computed anew for each of a Winograd layer's products.
    dx = computed_once((inverse * scale) * (g - (bias_part + normal * scale_part) / count))
    # What broadcast in the forward pass is summed here.
    d_scale, d_bias = (
        part.sum(range(part.ndim - 1)) if jnp.ndim(parameter) else part.sum()
        for part, parameter in ((scale_part, scale), (bias_part, bias))
    )
    return dx.astype(x.dtype), d_scale, d_bias


standardize.defvjp(_standardize, _standardize_backward)


def _wait_for(g, axes, mean, inverse):
    """The statistics; on a CPU they depend on g, so that nothing is made of them before.

    XLA would compute the normalized x, and what else has its size, in the forward pass, and keep it
    (1.4 of CycleGAN's 3.5 GiB).
    """

    def dependent(g, mean, inverse):
        stop = [1 if axis in axes else size for axis, size in enumerate(g.shape)]
        zero = 0 * jax.lax.slice(g, [0] * g.ndim, stop)
        return mean + zero, inverse + zero

    independent = lambda g, mean, inverse: (mean, inverse)
    return jax.lax.platform_dependent(g, mean, inverse, cpu=dependent, default=independent)


def moments(x: jax.Array, axes: Axes) -> tuple[jax.Array, jax.Array]:
    """Mean and biased variance of x over `axes`, kept as axes of length 1.

    Both in one pass, of the distances to one of the values: as these are about as large as the
    deviation, nothing cancels that matters, however far the mean is from zero.
    """
    start = [size // 2 if axis in axes else 0 for axis, size in enumerate(x.shape)]
    stop = [i + 1 if axis in axes else x.shape[axis] for axis, i in enumerate(start)]
    shift = jax.lax.slice(x, start, stop)
    shifted, count = x - shift, _count(x, axes)
    mean, square = (total / count for total in _sums(shifted, jnp.square(shifted), axes))
    return shift + mean, jnp.maximum(square - jnp.square(mean), 0)


def _sums(x, y, axes):
    """Sums of two arrays alike in shape over `axes`, which stay as axes of length 1."""

    def apart(x, y):
        # Clamped, for what XLA cannot hand over to YNNPACK: it would hand over all that the sums
        # are for as well, which is slower there and has the statistics spread to the size of x.
        return tuple(jax.lax.clamp(-jnp.inf, x.sum(axes), jnp.inf) for x in (x, y))

    def together(x, y):  # one kernel; on a CPU it is slower, and adds up in a less exact order
        add = lambda one, other: (one[0] + other[0], one[1] + other[1])
        zero = jnp.zeros((), x.dtype)
        return jax.lax.reduce((x, y), (zero, zero), add, axes)

    sums = jax.lax.platform_dependent(x, y, cpu=apart, default=together)
    return [jnp.expand_dims(total, axes) for total in sums]


def _count(x, axes):
    return functools.reduce(lambda count, axis: count * x.shape[axis], axes, 1)


class BatchNorm(nn.Module):
    """Batch normalisation over groups of images (torch.nn.BatchNorm2d).

    `groups` splits the batch into equal runs of images that are normalised apart, as each
    device does in data-parallel training, whatever devices hold them. With `passes` images of
    as many batches alternate, each normalised by itself, as if they came one after the other.
    The running variance takes the unbiased batch variance, as torch does and Flax's own module
    does not.
    """

    eps: float = 1e-5
    momentum: float = 0.1  # weight of the new batch
    groups: int = 1
    dtype: Any = jnp.float32
    passes: int = 1

    @nn.compact
    def __call__(self, x: jax.Array, running: bool = False) -> jax.Array:
        """Takes x [N, H, W, C]; `running` applies the stored statistics and keeps them."""
        channels = x.shape[-1]
        scale = self.param("scale", scale_init, (channels,))
        bias = self.param("bias", nn.initializers.zeros, (channels,))
        mean = self.variable("batch_stats", "mean", jnp.zeros, (channels,))
        var = self.variable("batch_stats", "var", jnp.ones, (channels,))
        if running:
            factor = scale * jax.lax.rsqrt(var.value + self.eps)
            return (x * factor + (bias - mean.value * factor)).astype(self.dtype)
        grouped = x.reshape(self.groups, -1, self.passes, *x.shape[1:])
        y, (means, variances) = standardize(grouped, scale, bias, (1, 3, 4), self.eps)
        if not self.is_initializing():
            count = grouped[0, :, 0, ..., 0].size
            unbiased = variances * (count / max(count - 1, 1))
            keep = 1.0 - self.momentum
            for i in range(self.passes):
                of_pass = lambda x, i=i: x[:, :, i].mean((0, 1, 2, 3))
                mean.value = keep * mean.value + self.momentum * of_pass(means)
                var.value = keep * var.value + self.momentum * of_pass(unbiased)
        return y.reshape(x.shape).astype(self.dtype)


class InstanceNorm(nn.Module):
    """Instance normalisation (torch.nn.InstanceNorm2d); `affine` adds a scale N(1, 0.02)."""

    eps: float = 1e-5
    affine: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, running: bool = False) -> jax.Array:
        """Takes x [N, H, W, C]; has no running statistics, so `running` changes nothing."""
        scale, bias = 1.0, 0.0
        if self.affine:
            scale = self.param("scale", scale_init, x.shape[-1:])
            bias = self.param("bias", nn.initializers.zeros, x.shape[-1:])
        return standardize(x, scale, bias, (1, 2), self.eps)[0].astype(self.dtype)


class SharedNorm(nn.Module):
    """Batch or instance normalisation of the parts of one image, by statistics that they share.

    It has the parameters of the norm whose place it takes, see `sharing`.
    """

    eps: float = 1e-5
    affine: bool = True
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, running: bool = False) -> jax.Array:
        """Takes x [N, H, W, C]: its own statistics are kept; `running` applies those kept."""
        channels = x.shape[-1:]
        scale, bias = 1.0, 0.0
        if self.affine:
            scale = self.param("scale", scale_init, channels)
            bias = self.param("bias", nn.initializers.zeros, channels)
        mean = self.variable("batch_stats", "mean", jnp.zeros, channels)
        var = self.variable("batch_stats", "var", jnp.ones, channels)
        if not running:
            both = moments(x.astype(jnp.float32), (0, 1, 2))
            mean.value, var.value = (moment.reshape(channels) for moment in both)
        factor = scale * jax.lax.rsqrt(var.value + self.eps)
        return (x * factor + (bias - mean.value * factor)).astype(self.dtype)


class Identity(nn.Module):
    """No normalisation (torch.nn.Identity)."""

    def __call__(self, x: jax.Array, running: bool = False) -> jax.Array:
        """Returns x."""
        return x


def cancels_bias(norm: Any) -> bool:
    """Whether what is added to each channel before `norm`, a network's field, changes nothing."""
    return norm is not Identity


def for_passes(module: nn.Module, passes: int) -> nn.Module:
    """A network for images of several batches that alternate, each with statistics of its own."""
    norm = getattr(module, "norm", None)
    if getattr(norm, "func", None) is not BatchNorm:  # the others look at single images
        return module
    return module.clone(norm=functools.partial(norm, passes=passes))


def sharing(module: nn.Module) -> nn.Module:
    """The network with `SharedNorm`, which takes the same parameters; itself without norms."""
    norm = getattr(module, "norm", Identity)
    if norm is Identity:
        return module
    affine = norm.func is BatchNorm or norm.keywords["affine"]
    eps, dtype = norm.keywords["eps"], norm.keywords["dtype"]
    return module.clone(norm=functools.partial(SharedNorm, eps=eps, affine=affine, dtype=dtype))
