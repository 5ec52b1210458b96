"""ResNet generator of CycleGAN (Johnson et al. 2016; Zhu et al. 2017, appendix 7.2)."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from pix2pix_jax.models.layers import Conv, ConvTranspose, check_multiple, with_features
from pix2pix_jax.models.normalization import Identity, cancels_bias

PAD_MODES = {"reflect": "reflect", "replicate": "edge", "zero": "constant"}


class ResNet(nn.Module):
    """Two downsamplings, residual blocks at a quarter of the size, two upsamplings.

    Images in [-1, 1] to images in [-1, 1].
    """

    out_channels: int = 3
    num_blocks: int = 9
    ngf: int = 64  # filters at full size; 4 * ngf in the blocks
    norm: Callable[..., nn.Module] = Identity  # normalisation, with its settings bound
    bias: bool = True  # of the convolutions before a norm; torch: with instance norm
    last_bias: bool = True
    dropout: float = 0.0  # inside the blocks
    padding: str = "reflect"  # or replicate, zero
    remat: bool = False  # compute the blocks again in the backward pass, to save memory
    conv: Callable[..., nn.Module] = Conv  # convolutions, with initialiser and dtype bound
    conv_transpose: Callable[..., nn.Module] = ConvTranspose

    divisor = 4  # heights and widths are multiples of this

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        *,
        running: bool = False,
        dropout: bool = True,
        features: tuple[str, ...] = (),
    ) -> Any:
        """Translates x [N, H, W, C] to [N, H, W, out_channels].

        `running` normalises with the running statistics, `dropout` keeps dropout on (it needs
        the "dropout" rng). With `features`, names of layers (padded, conv_in, down_1, ...,
        block_1, ..., up_1, ..., conv_out), returns (images, {name: what the layer gives, before
        norm and activation}); "padded" is the image with its reflected border.
        """
        check_multiple(x, self.divisor, "the ResNet generator")

        def norm_relu(x, name):
            return nn.relu(self.norm(name=name)(x, running))

        # The features below are from before the norm: who asks for them sees the bias.
        bias = {"use_bias": self.bias, "train_bias": bool(features) or not cancels_bias(self.norm)}
        wide = {"kernel": 7, "stride": 1, "padding": 0}
        layers = {"padded": pad(x, 3, "reflect")}
        conv = self.conv(self.ngf, name="conv_in", **wide, **bias)
        x = layers["conv_in"] = conv(layers["padded"])
        x = norm_relu(x, "norm_in")
        for i in (1, 2):
            down = self.conv(self.ngf * 2**i, kernel=3, name=f"down_{i}", **bias)
            x = layers[f"down_{i}"] = down(x)
            x = norm_relu(x, f"down_norm_{i}")
        make_block = nn.remat(ResNetBlock, static_argnums=(2, 3)) if self.remat else ResNetBlock
        for i in range(1, self.num_blocks + 1):
            block = make_block(
                self.norm, self.bias, self.dropout, self.padding, self.conv, name=f"block_{i}"
            )
            x = layers[f"block_{i}"] = block(x, running, dropout)
        for i in (1, 2):
            width = self.ngf * 2 ** (2 - i)
            up = self.conv_transpose(width, kernel=3, output_padding=1, name=f"up_{i}", **bias)
            x = layers[f"up_{i}"] = up(x)
            x = norm_relu(x, f"up_norm_{i}")
        last = self.conv(self.out_channels, use_bias=self.last_bias, name="conv_out", **wide)
        x = layers["conv_out"] = last(pad(x, 3, "reflect"))
        return with_features(jnp.tanh(x.astype(jnp.float32)), layers, features)


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
