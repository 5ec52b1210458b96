"""U-Net generator of pix2pix (Isola et al. 2017, section 3.2.1 and appendix 6.1)."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from pix2pix_jax.models.layers import Conv, ConvTranspose, check_multiple, with_features
from pix2pix_jax.models.normalization import Identity, cancels_bias


class UNet(nn.Module):
    """Encoder-decoder with skips: images in [-1, 1] to images in [-1, 1].

    Level 1 is the outermost, level `num_downs` the innermost: `down_k` halves the image,
    `up_k` doubles it again, and both live on the images of that level's size.
    """

    out_channels: int = 3
    num_downs: int = 8  # unet_256 has 8, unet_128 has 7
    ngf: int = 64  # filters of level 1; doubled at each level up to 8 * ngf
    norm: Callable[..., nn.Module] = Identity  # normalisation, with its settings bound
    norm_innermost: bool = False  # TF tutorial; torch leaves it out (1x1 has no variance)
    bias: bool = False  # of the convolutions before a norm; torch: with instance norm
    last_bias: bool = True  # of the last layer
    dropout: float = 0.5
    dropout_blocks: tuple[int, ...] = (2, 3, 4)  # 1 = innermost; those 8 * ngf wide count
    leaky_slope: float = 0.2
    skip_first: bool = True  # [skip, up], else [up, skip]
    skip_leaks: bool = False  # skips pass LeakyReLU (TF tutorial) rather than ReLU (torch, paper)
    upsample: str = "transposed"  # or resize
    conv: Callable[..., nn.Module] = Conv  # convolutions, with initialiser and dtype bound
    conv_transpose: Callable[..., nn.Module] = ConvTranspose

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
    ) -> Any:
        """Translates x [N, H, W, C] to [N, H, W, out_channels].

        `running` normalises with the running statistics, `dropout` keeps dropout on (it needs
        the "dropout" rng). With `features`, names of layers (down_1, ..., up_1), returns
        (images, {name: what the layer gives, before norm and activation}).
        """
        n = self.num_downs
        check_multiple(x, self.divisor, f"the U-Net with {n} downsamplings")
        width = [self.ngf * min(2 ** (k - 1), 8) for k in range(1, n + 1)]

        def bias(name, normalised=True):
            # Features are from before the norm: who asks for them sees the bias.
            trained = name in features or not (normalised and cancels_bias(self.norm))
            return {"use_bias": self.bias, "train_bias": trained}

        skips, layers = [], {}
        for k in range(1, n + 1):
            if k > 1:
                x = nn.leaky_relu(x, self.leaky_slope)
            normalised = 1 < k < n or (k == n and self.norm_innermost)
            name = f"down_{k}"
            x = layers[name] = self.conv(width[k - 1], name=name, **bias(name, normalised))(x)
            if normalised:
                x = self.norm(name=f"down_norm_{k}")(x, running)
            skips.append(x)

        for k in range(n, 0, -1):
            skip = skips[k - 1]
            skip = nn.leaky_relu(skip, self.leaky_slope) if self.skip_leaks else nn.relu(skip)
            if k == n:
                x = skip
            else:
                x = nn.relu(x)
                x = jnp.concatenate((skip, x) if self.skip_first else (x, skip), axis=-1)
            if k == 1:
                x = self._up(x, self.out_channels, "up_1", use_bias=self.last_bias)
                layers["up_1"] = x
                break
            x = layers[f"up_{k}"] = self._up(x, width[k - 2], f"up_{k}", **bias(f"up_{k}"))
            x = self.norm(name=f"up_norm_{k}")(x, running)
            block = n - k + 1
            if block in self.dropout_blocks and block <= n - 4 and self.dropout > 0:
                x = nn.Dropout(self.dropout, deterministic=not dropout)(x)
        return with_features(jnp.tanh(x.astype(jnp.float32)), layers, features)

    def _up(self, x, features, name, **bias):
        """Doubles the image: a transposed convolution, or x2 nearest, reflect pad 1, conv 3x3."""
        if self.upsample == "transposed":
            return self.conv_transpose(features, name=name, **bias)(x)
        x = jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)
        x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
        return self.conv(features, kernel=3, stride=1, padding=0, name=name, **bias)(x)
