"""Inpainting U-Net: PEN-Net's encoder and decoder without attention (Zeng et al. 2019)."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from pix2pix_jax.models.layers import Conv, check_multiple, upsample_bilinear, with_features


class InpaintingUNet(nn.Module):
    """Fills the holes of an image: [masked image, mask] to the whole image.

    9,441,731 parameters at 32 filters. No normalisation, so images do not depend on their batch.
    """

    out_channels: int = 3
    ngf: int = 32  # filters of the first layer, doubled up to 16 * ngf
    bias: bool = True
    leaky_slope: float = 0.2
    conv: Callable[..., nn.Module] = Conv

    divisor = 64  # heights and widths are multiples of this

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        *,
        running: bool = False,
        dropout: bool = False,
        features: tuple[str, ...] = (),
    ) -> Any:
        """Fills x [N, H, W, C + 1] (the last channel is 1 in the hole) as [N, H, W, out_channels].

        The result is in [-1, 1]. There are neither statistics nor dropout. With `features`, names
        of layers (down_1, ..., up_5, ..., out_1, out_2), returns (images, {name: what the layer
        gives, before its activation}).
        """
        check_multiple(x, self.divisor, "the inpainting U-Net")
        widths = [self.ngf * factor for factor in (1, 2, 4, 8, 16, 16)]
        skips, layers = [], {}
        for k, width in enumerate(widths, start=1):
            conv = self.conv(width, kernel=3, use_bias=self.bias, name=f"down_{k}")
            x = layers[f"down_{k}"] = conv(x)
            x = nn.relu(x) if k == 6 else nn.leaky_relu(x, self.leaky_slope)
            skips.append(x)
        for k in range(5, 0, -1):
            x = layers[f"up_{k}"] = self._conv(widths[k - 1], f"up_{k}", x)
            x = jnp.concatenate([nn.relu(x), skips[k - 1]], axis=-1)
        x = layers["out_1"] = self._conv(self.ngf, "out_1", x)
        conv = self.conv(self.out_channels, 3, 1, 1, use_bias=self.bias, name="out_2")
        x = layers["out_2"] = conv(nn.relu(x))
        return with_features(jnp.tanh(x.astype(jnp.float32)), layers, features)

    def _conv(self, features, name, x):
        """Doubles the image, then a 3x3 convolution."""
        return self.conv(features, 3, 1, 1, use_bias=self.bias, name=name)(upsample_bilinear(x))
