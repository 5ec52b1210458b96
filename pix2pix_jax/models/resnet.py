"""ResNet generator of CycleGAN (Johnson et al. 2016; Zhu et al. 2017, appendix 7.2)."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from pix2pix_jax.models.blur import blur_down, blur_up
from pix2pix_jax.models.layers import Conv, ConvTranspose, check_multiple, with_features
from pix2pix_jax.models.normalization import Identity, cancels_bias

PAD_MODES = {"reflect": "reflect", "replicate": "edge", "zero": "constant"}


class ResNet(nn.Module):
    """Two downsamplings, residual blocks at a quarter of the size, two upsamplings.

    Images in [-1, 1] to images in [-1, 1]. Four of each are pix2pixHD's global generator.
    """

    out_channels: int = 3
    num_blocks: int = 9
    ngf: int = 64  # filters at full size, doubled by each downsampling
    num_downs: int = 2
    norm: Callable[..., nn.Module] = Identity  # normalisation, with its settings bound
    bias: bool = True  # of the convolutions before a norm; torch: with instance norm
    last_bias: bool = True
    dropout: float = 0.0  # inside the blocks
    padding: str = "reflect"  # or replicate, zero
    antialias: bool = False  # down: a convolution at full size, then a blur with stride 2 (CUT)
    antialias_up: bool = False  # up: a blur that doubles, then a convolution (CUT)
    remat: bool = False  # compute the blocks again in the backward pass, to save memory
    conv: Callable[..., nn.Module] = Conv  # convolutions, with initialiser and dtype bound
    conv_transpose: Callable[..., nn.Module] = ConvTranspose

    least = 2  # times the divisor: its blocks mirror the border, and a pixel has none

    @property
    def divisor(self) -> int:
        """Heights and widths are multiples of this."""
        return 2**self.num_downs

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        *,
        running: bool = False,
        dropout: bool = True,
        features: tuple[str, ...] = (),
        encode: bool = False,
    ) -> Any:
        """Translates x [N, H, W, C] to [N, H, W, out_channels].

        `running` normalises with the running statistics, `dropout` keeps dropout on (it needs
        the "dropout" rng). With `features`, names of layers (padded, conv_in, norm_in, down_1,
        down_norm_1, ..., block_1, ..., up_1, up_norm_1, ..., conv_out), returns (images, {name:
        what the layer gives}): a convolution's before the norm, a norm's after its ReLU; "padded"
        is the image with its reflected border. `encode` returns (None, the features), and runs no
        layer after the last of them.
        """
        check_multiple(x, self.divisor, "the ResNet generator")
        layers = {}
        for name, layer in self._layers(running, dropout, features):
            x = layers[name] = layer(x)
            if encode and layers.keys() >= set(features):
                return with_features(None, layers, features)
        return with_features(jnp.tanh(x.astype(jnp.float32)), layers, features)

    def _layers(self, running, dropout, features):
        """Names and functions of the layers, in order."""
        wide = {"kernel": 7, "stride": 1, "padding": 0}
        stride = 1 if self.antialias else 2

        def conv(make, width, name, **settings):
            # Features are from before the norm: who asks for them sees the bias.
            trained = name in features or not cancels_bias(self.norm)
            bias = {"use_bias": self.bias, "train_bias": trained}
            return name, make(width, name=name, **bias, **settings)

        def norm_relu(name):
            norm = self.norm(name=name)
            return name, lambda x: nn.relu(norm(x, running))

        mirror = lambda x: pad(x, 3, "reflect")
        yield "padded", mirror
        yield conv(self.conv, self.ngf, "conv_in", **wide)
        yield norm_relu("norm_in")
        for i in range(1, self.num_downs + 1):
            yield conv(self.conv, self.ngf * 2**i, f"down_{i}", kernel=3, stride=stride)
            yield norm_relu(f"down_norm_{i}")
            if self.antialias:
                yield f"down_blur_{i}", blur_down
        make_block = nn.remat(ResNetBlock, static_argnums=(2, 3)) if self.remat else ResNetBlock
        for i in range(1, self.num_blocks + 1):
            block = make_block(
                self.norm, self.bias, self.dropout, self.padding, self.conv, name=f"block_{i}"
            )
            yield f"block_{i}", lambda x, block=block: block(x, running, dropout)
        for i in range(1, self.num_downs + 1):
            width = self.ngf * 2 ** (self.num_downs - i)
            if self.antialias_up:
                yield f"up_blur_{i}", blur_up
                yield conv(self.conv, width, f"up_{i}", kernel=3, stride=1)
            else:
                yield conv(self.conv_transpose, width, f"up_{i}", kernel=3, output_padding=1)
            yield norm_relu(f"up_norm_{i}")
        last = self.conv(self.out_channels, use_bias=self.last_bias, name="conv_out", **wide)
        yield "conv_out", lambda x: last(mirror(x))


class ResNetBlock(nn.Module):
    """x + norm(conv(relu(norm(conv(x))))), with 3x3 convolutions that keep size and width."""

    norm: Callable[..., nn.Module]
    bias: bool
    dropout: float
    padding: str
    conv: Callable[..., nn.Module]

    @nn.compact
    def __call__(self, x: jax.Array, running: bool = False, dropout: bool = True) -> jax.Array:
        """Takes x [N, H, W, C] -> [N, H, W, C]."""

        def conv(x, name):
            settings = {"kernel": 3, "stride": 1, "padding": 0, "use_bias": self.bias}
            settings["train_bias"] = not cancels_bias(self.norm)
            return self.conv(x.shape[-1], name=name, **settings)(pad(x, 1, self.padding))

        y = nn.relu(self.norm(name="norm_1")(conv(x, "conv_1"), running))
        if self.dropout > 0:
            y = nn.Dropout(self.dropout, deterministic=not dropout)(y)
        return x + self.norm(name="norm_2")(conv(y, "conv_2"), running)


def pad(x: jax.Array, width: int, kind: str) -> jax.Array:
    """Pads rows and columns of x [N, H, W, C] by `width`: reflect, replicate or zero."""
    if kind not in PAD_MODES:
        raise ValueError(f"model.padding is {kind!r}; choose one of {', '.join(PAD_MODES)}")
    return jnp.pad(x, ((0, 0), (width, width), (width, width), (0, 0)), mode=PAD_MODES[kind])
