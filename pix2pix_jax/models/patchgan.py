"""Discriminators that judge patches (Isola et al. 2017, section 3.2.2 and appendix 6.1.2)."""

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax

from pix2pix_jax.models.blur import blur_down
from pix2pix_jax.models.layers import Conv
from pix2pix_jax.models.normalization import Identity, cancels_bias


class Scale(NamedTuple):
    """What a discriminator says of images at one scale; a discriminator returns a list of them."""

    logits: jax.Array  # float32 [N, h, w, 1]
    features: list[jax.Array]  # [N, h, w, C], the output of each layer but the last, in order


class PatchGAN(nn.Module):
    """Logits, one a patch; `n_layers` 1..6 see patches of 16, 34, 70, 142, 286 and 574 pixels."""

    n_layers: int = 3
    ndf: int = 64  # filters of the first layer; doubled at each layer up to 8 * ndf
    norm: Callable[..., nn.Module] = Identity  # normalisation, with its settings bound
    bias: bool = False  # of the convolutions before a norm; torch: with instance norm
    first_bias: bool = True
    last_bias: bool = True
    leaky_slope: float = 0.2
    padding: int = 1
    widest: int | None = None  # filters at most, in place of 8 * ndf
    antialias: bool = False  # a convolution with stride 1, then a blur with stride 2 (CUT)
    conv: Callable[..., nn.Module] = Conv  # convolutions, with initialiser and dtype bound

    @nn.compact
    def __call__(self, x: jax.Array, *, running: bool = False) -> list[Scale]:
        """Takes x [N, H, W, C] in [-1, 1] -> one scale; 256x256 pixels give 30x30 logits."""
        smallest = 4 * 2**self.n_layers
        if min(x.shape[1:3]) < smallest:
            raise ValueError(
                f"a PatchGAN with model.n_layers={self.n_layers} takes images of at least "
                f"{smallest}x{smallest}, not {x.shape[1]}x{x.shape[2]}"
            )
        features = []
        for i in range(self.n_layers + 1):
            halves = i < self.n_layers
            width = min(self.ndf * 2**i, self.widest or 8 * self.ndf)
            settings = {"stride": 2 if halves and not self.antialias else 1, "name": f"conv_{i}"}
            settings["padding"] = self.padding
            if i == 0:
                x = self.conv(width, use_bias=self.first_bias, **settings)(x)
            else:
                settings |= {"use_bias": self.bias, "train_bias": not cancels_bias(self.norm)}
                x = self.norm(name=f"norm_{i}")(self.conv(width, **settings)(x), running)
            x = nn.leaky_relu(x, self.leaky_slope)
            if halves and self.antialias:
                x = blur_down(x)
            features.append(x)
        name, settings = f"conv_{self.n_layers + 1}", {"stride": 1, "padding": self.padding}
        last = self.conv(1, use_bias=self.last_bias, name=name, **settings)
        return [Scale(last(x).astype("float32"), features)]


class PixelDiscriminator(nn.Module):
    """The 1x1 "PixelGAN": judges every pixel alone."""

    ndf: int = 64
    norm: Callable[..., nn.Module] = Identity
    bias: bool = False  # of the convolutions after the first; torch: with instance norm
    first_bias: bool = True
    leaky_slope: float = 0.2
    conv: Callable[..., nn.Module] = Conv

    @nn.compact
    def __call__(self, x: jax.Array, *, running: bool = False) -> list[Scale]:
        """Takes x [N, H, W, C] in [-1, 1] -> one scale, with a logit for each pixel."""

        def conv(x, features, use_bias, name, **settings):
            small = {"kernel": 1, "stride": 1, "padding": 0, **settings}
            return self.conv(features, use_bias=use_bias, name=name, **small)(x)

        first = nn.leaky_relu(conv(x, self.ndf, self.first_bias, "conv_0"), self.leaky_slope)
        trained = not cancels_bias(self.norm)
        second = conv(first, 2 * self.ndf, self.bias, "conv_1", train_bias=trained)
        second = self.norm(name="norm_1")(second, running)
        second = nn.leaky_relu(second, self.leaky_slope)
        logits = conv(second, 1, self.bias, "conv_2").astype("float32")
        return [Scale(logits, [first, second])]
