"""Layers as PyTorch defines them: convolutions, batch and instance normalisation. NHWC."""

import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from pix2pix_jax.models.convolution.form import convolve, convolve_transpose

Initializer = Callable[..., jax.Array]


def kernel_init(kind: str = "normal", gain: float = 0.02) -> Initializer:
    """Initialiser of convolution kernels: the baseline's `init_type` and `init_gain`.

    PyTorch's fans come out for both kinds of kernel: [K, K, I, O] of a convolution, and
    [K, K, O, I] of a transposed one, whose fan-in torch counts as O * K * K.
    """
    if kind == "orthogonal":
        return nn.initializers.orthogonal(gain)
    deviations = {
        "normal": lambda fan_in, fan_out: gain,
        "xavier": lambda fan_in, fan_out: gain * math.sqrt(2 / (fan_in + fan_out)),
        "kaiming": lambda fan_in, fan_out: math.sqrt(2 / fan_in),
    }
    if kind not in deviations:
        names = ", ".join([*deviations, "orthogonal"])
        raise ValueError(f"model.init_type is {kind!r}; choose one of {names}")

    def init(key, shape, dtype=jnp.float32):
        taps = math.prod(shape[:-2])
        deviation = deviations[kind](taps * shape[-2], taps * shape[-1])
        # A vector's draws are those of any shape, and XLA compiles them five times faster.
        return deviation * jax.random.normal(key, (math.prod(shape),), dtype).reshape(shape)

    return init


def scale_init(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
    """N(1, 0.02): the scale of a normalisation."""
    return 1.0 + 0.02 * jax.random.normal(key, shape, dtype)


class Conv(nn.Module):
    """Convolution with torch's symmetric zero padding."""

    features: int
    kernel: int = 4
    stride: int = 2
    padding: int = 1
    use_bias: bool = False
    dtype: Any = jnp.float32  # of the computation; parameters are float32
    init: Initializer = kernel_init()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Takes x [N, H, W, I] -> [N, h, w, features]."""
        shape = (self.kernel, self.kernel, x.shape[-1], self.features)
        w = self.param("kernel", self.init, shape)
        y = convolve(x.astype(self.dtype), w.astype(self.dtype), self.stride, self.padding)
        return _add_bias(self, y)


class ConvTranspose(nn.Module):
    """Transposed convolution (torch.nn.ConvTranspose2d). Its kernel is [K, K, features, I]."""

    features: int
    kernel: int = 4
    stride: int = 2
    padding: int = 1
    output_padding: int = 0
    use_bias: bool = False
    dtype: Any = jnp.float32
    init: Initializer = kernel_init()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Takes x [N, h, w, I] -> [N, H, W, features]."""
        shape = (self.kernel, self.kernel, self.features, x.shape[-1])
        w = self.param("kernel", self.init, shape).astype(self.dtype)
        x = x.astype(self.dtype)
        y = convolve_transpose(x, w, self.stride, self.padding, self.output_padding)
        return _add_bias(self, y)


def _add_bias(module: Conv | ConvTranspose, y: jax.Array) -> jax.Array:
    if not module.use_bias:
        return y
    bias = module.param("bias", nn.initializers.zeros, (module.features,))
    return y + bias.astype(module.dtype)


class BatchNorm(nn.Module):
    """Batch normalisation over groups of images (torch.nn.BatchNorm2d).

    `groups` splits the batch into equal runs of images that are normalised apart, as each
    device does in data-parallel training, whatever devices hold them. The running variance
    takes the unbiased batch variance, as torch does and Flax's own module does not.
    """

    eps: float = 1e-5
    momentum: float = 0.1  # weight of the new batch
    groups: int = 1
    dtype: Any = jnp.float32

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
        n, height, width, _ = x.shape
        grouped = x.astype(jnp.float32).reshape(self.groups, n // self.groups, height, width, -1)
        batch_mean, batch_var = moments(grouped, (1, 2, 3))
        count = grouped[0, ..., 0].size
        if not self.is_initializing():
            unbiased = batch_var.mean((0, 1, 2, 3)) * (count / max(count - 1, 1))
            keep = 1.0 - self.momentum
            mean.value = keep * mean.value + self.momentum * batch_mean.mean((0, 1, 2, 3))
            var.value = keep * var.value + self.momentum * unbiased
        factor = scale * jax.lax.rsqrt(batch_var + self.eps)
        y = (grouped - batch_mean) * factor + bias
        return y.reshape(x.shape).astype(self.dtype)


class InstanceNorm(nn.Module):
    """Instance normalisation (torch.nn.InstanceNorm2d); `affine` adds a scale N(1, 0.02)."""

    eps: float = 1e-5
    affine: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, running: bool = False) -> jax.Array:
        """Takes x [N, H, W, C]; has no running statistics, so `running` changes nothing."""
        x = x.astype(jnp.float32)
        mean, var = moments(x, (1, 2))
        x = (x - mean) * jax.lax.rsqrt(var + self.eps)
        if self.affine:
            scale = self.param("scale", scale_init, x.shape[-1:])
            x = x * scale + self.param("bias", nn.initializers.zeros, x.shape[-1:])
        return x.astype(self.dtype)


class Identity(nn.Module):
    """No normalisation (torch.nn.Identity)."""

    def __call__(self, x: jax.Array, running: bool = False) -> jax.Array:
        """Returns x."""
        return x


def upsample_bilinear(x: jax.Array, align_corners: bool = True) -> jax.Array:
    """Doubles x [N, H, W, C] as torch's bilinear interpolation.

    Output pixel 2k lies k / (2n - 1) before pixel k of the n, 2k + 1 lies (n - 1 - k) / (2n - 1)
    after it; without `align_corners` both are 1/4 of a pixel away. Shifts and weights, for gathers
    have slow gradients.
    """
    for axis in (1, 2):
        n = x.shape[axis]
        shape = [n if i == axis else 1 for i in range(x.ndim)]
        back = jnp.arange(n) / (2 * n - 1) if align_corners else jnp.full(n, 0.25)
        back = back.astype(x.dtype).reshape(shape)
        ahead = jnp.flip(back, axis)
        first, last = (jax.lax.slice_in_dim(x, i, i + 1, axis=axis) for i in (0, n - 1))
        before = jnp.concatenate([first, jax.lax.slice_in_dim(x, 0, n - 1, axis=axis)], axis)
        after = jnp.concatenate([jax.lax.slice_in_dim(x, 1, n, axis=axis), last], axis)
        even, odd = x + back * (before - x), x + ahead * (after - x)
        x = jnp.stack([even, odd], axis + 1).reshape(
            [2 * size if i == axis else size for i, size in enumerate(x.shape)]
        )
    return x


def with_features(
    output: jax.Array, layers: dict[str, jax.Array], names: tuple[str, ...]
) -> jax.Array | tuple[jax.Array, dict[str, jax.Array]]:
    """A network's output and, if any are asked for, the outputs of some of its layers by name.

    Raises:
        ValueError: there is no layer of such a name.
    """
    if not names:
        return output
    if unknown := [name for name in names if name not in layers]:
        raise ValueError(f"there is no layer {unknown[0]!r}; choose of {', '.join(layers)}")
    return output, {name: layers[name] for name in names}


def check_multiple(x: jax.Array, divisor: int, network: str) -> None:
    """Raises ValueError unless height and width of x [N, H, W, C] are multiples of `divisor`."""
    height, width = x.shape[1:3]
    if height % divisor or width % divisor:
        raise ValueError(
            f"{network} takes heights and widths that are multiples of {divisor}, not "
            f"{height}x{width}: change data.crop_size or model.generator"
        )


def moments(x: jax.Array, axes: tuple[int, ...]) -> tuple[jax.Array, jax.Array]:
    """Mean and biased variance over `axes`, kept as axes of length 1; two passes, no cancelling."""
    mean = x.mean(axes, keepdims=True)
    return mean, jnp.square(x - mean).mean(axes, keepdims=True)
