"""Layers as PyTorch defines them, and what networks share. NHWC."""

import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from pix2pix_jax.models import spectral_norm
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


def bias_init(kind: str = "zeros") -> Callable[[int], Initializer]:
    """From a layer's fan-in to the initialiser of its bias.

    "zeros", or "torch": U(-1/sqrt(fan_in), 1/sqrt(fan_in)) with the fan-in of `kernel_init`.
    """
    if kind == "zeros":
        return lambda fan_in: nn.initializers.zeros
    if kind != "torch":
        raise ValueError(f"model.init_bias is {kind!r}; choose zeros or torch")

    def uniform(fan_in):
        bound = fan_in**-0.5
        return lambda key, shape: jax.random.uniform(key, shape, minval=-bound, maxval=bound)

    return uniform


class Conv(nn.Module):
    """Convolution with torch's symmetric zero padding."""

    features: int
    kernel: int = 4
    stride: int = 2
    padding: int = 1
    use_bias: bool = False
    train_bias: bool = True  # False: before a norm, which cancels the bias; its gradient is zero
    dtype: Any = jnp.float32  # of the computation; parameters are float32
    init: Initializer = kernel_init()
    spectral_norm: bool = False  # divide the kernel by its largest singular value
    init_bias: Callable[[int], Initializer] = bias_init()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Takes x [N, H, W, I] -> [N, h, w, features]."""
        shape = (self.kernel, self.kernel, x.shape[-1], self.features)
        w = self.param("kernel", self.init, shape)
        if self.spectral_norm:
            w = spectral_norm.normalize(self, w)
        y = convolve(x.astype(self.dtype), w.astype(self.dtype), self.stride, self.padding)
        return _add_bias(self, y, w.shape)


class ConvTranspose(nn.Module):
    """Transposed convolution (torch.nn.ConvTranspose2d). Its kernel is [K, K, features, I]."""

    features: int
    kernel: int = 4
    stride: int = 2
    padding: int = 1
    output_padding: int = 0
    use_bias: bool = False
    train_bias: bool = True
    dtype: Any = jnp.float32
    init: Initializer = kernel_init()
    init_bias: Callable[[int], Initializer] = bias_init()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Takes x [N, h, w, I] -> [N, H, W, features]."""
        shape = (self.kernel, self.kernel, self.features, x.shape[-1])
        w = self.param("kernel", self.init, shape).astype(self.dtype)
        x = x.astype(self.dtype)
        y = convolve_transpose(x, w, self.stride, self.padding, self.output_padding)
        return _add_bias(self, y, w.shape)


def _add_bias(module: Conv | ConvTranspose, y: jax.Array, kernel: tuple[int, ...]) -> jax.Array:
    if not module.use_bias:
        return y
    init = module.init_bias(math.prod(kernel[:-1]))
    bias = module.param("bias", init, (module.features,))
    if not module.train_bias:  # else rounding would be summed up, and Adam would follow it
        bias = jax.lax.stop_gradient(bias)
    return (y + bias).astype(module.dtype)


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


def mean_pool(x: jax.Array) -> jax.Array:
    """Halves x [N, H, W, C], rounding up: means of 3x3 pixels, as far as they lie in the image.

    torch.nn.AvgPool2d(3, 2, 1, count_include_pad=False). Sums of slices, for windows are slow.
    """
    for axis in (1, 2):
        n = x.shape[axis]
        half = (n + 1) // 2
        padded = jnp.pad(x, [(1, 1) if i == axis else (0, 0) for i in range(x.ndim)])
        parts = [jax.lax.slice_in_dim(padded, i, i + 2 * half - 1, 2, axis) for i in range(3)]
        position = jnp.arange(half)
        count = 3 - (position == 0) - (2 * position + 1 >= n).astype(x.dtype)
        shape = [half if i == axis else 1 for i in range(x.ndim)]
        x = sum(parts) * (1 / count).reshape(shape).astype(x.dtype)
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
        raise ValueError(
            f"there is no layer {unknown[0]!r} for config.loss.nce_layers: choose from "
            f"{', '.join(layers)}"
        )
    return output, {name: layers[name] for name in names}


def check_multiple(x: jax.Array, divisor: int, network: str) -> None:
    """Raises ValueError unless height and width of x [N, H, W, C] are multiples of `divisor`."""
    height, width = x.shape[1:3]
    if height % divisor or width % divisor:
        raise ValueError(
            f"{network} takes heights and widths that are multiples of {divisor}, not "
            f"{height}x{width}: change data.crop_size or model.generator"
        )
