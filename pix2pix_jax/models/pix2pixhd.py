"""Networks of pix2pixHD (Wang et al. 2018, section 3.1): coarse to fine, at several scales.

Its global generator is `resnet.ResNet` with four downsamplings.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from pix2pix_jax.models.layers import Conv, ConvTranspose, check_multiple, mean_pool
from pix2pix_jax.models.normalization import Identity, cancels_bias
from pix2pix_jax.models.patchgan import PatchGAN, Scale
from pix2pix_jax.models.resnet import ResNet, ResNetBlock, pad

GLOBAL = "global"  # name of the global generator among the parts of a `LocalEnhancer`


class LocalEnhancer(nn.Module):
    """A global generator on smaller images, and enhancers that each double their size.

    Images in [-1, 1] to images in [-1, 1].
    """

    out_channels: int = 3
    num_blocks: int = 9  # of the global generator
    ngf: int = 32  # filters at full size; the global generator has ngf * 2**enhancers at its own
    num_downs: int = 4  # of the global generator
    enhancers: int = 1
    local_blocks: int = 3  # of an enhancer
    norm: Callable[..., nn.Module] = Identity  # normalisation, with its settings bound
    bias: bool = True  # of the convolutions before a norm
    last_bias: bool = True
    padding: str = "reflect"  # of the blocks: reflect, replicate or zero
    remat: bool = False  # compute blocks and enhancers again in the backward pass, to save memory
    conv: Callable[..., nn.Module] = Conv  # convolutions, with initialiser and dtype bound
    conv_transpose: Callable[..., nn.Module] = ConvTranspose

    dropout = 0.0
    least = ResNet.least

    @property
    def divisor(self) -> int:
        """Heights and widths are multiples of this."""
        return 2 ** (self.num_downs + self.enhancers)

    @nn.compact
    def __call__(self, x: jax.Array, *, running: bool = False, dropout: bool = True) -> jax.Array:
        """Translates x [N, H, W, C] to [N, H, W, out_channels]; there is no dropout to keep on."""
        check_multiple(x, self.divisor, "the local enhancer")
        pyramid = [x]
        for _ in range(self.enhancers):
            pyramid.insert(0, mean_pool(pyramid[0]))
        shared = {"norm": self.norm, "bias": self.bias, "padding": self.padding}
        shared |= {"conv": self.conv, "conv_transpose": self.conv_transpose}
        coarse = ResNet(
            num_blocks=self.num_blocks,
            ngf=self.ngf * 2**self.enhancers,
            num_downs=self.num_downs,
            remat=self.remat,
            name=GLOBAL,
            **shared,
        )
        last = f"up_norm_{self.num_downs}"  # all but the layer that makes an image
        _, found = coarse(pyramid[0], running=running, features=(last,), encode=True)
        y = found[last]
        for k, images in enumerate(pyramid[1:], start=1):
            enhancer = nn.remat(Enhancer, static_argnums=(3,)) if self.remat else Enhancer
            width, name = self.ngf * 2 ** (self.enhancers - k), f"local_{k}"
            y = enhancer(width, self.local_blocks, name=name, **shared)(images, y, running)
        out = self.conv(self.out_channels, 7, 1, 0, use_bias=self.last_bias, name="conv_out")(
            pad(y, 3, "reflect")
        )
        return jnp.tanh(out.astype(jnp.float32))


class Enhancer(nn.Module):
    """Features of images, and those of the same images at half the size, to finer ones."""

    width: int
    num_blocks: int
    norm: Callable[..., nn.Module]
    bias: bool
    padding: str
    conv: Callable[..., nn.Module]
    conv_transpose: Callable[..., nn.Module]

    @nn.compact
    def __call__(self, x: jax.Array, coarse: jax.Array, running: bool = False) -> jax.Array:
        """Takes x [N, H, W, C], coarse [N, H/2, W/2, 2 * width] -> [N, H, W, width]."""
        bias = {"use_bias": self.bias, "train_bias": not cancels_bias(self.norm)}

        def norm_relu(x, name):
            return nn.relu(self.norm(name=name)(x, running))

        y = self.conv(self.width, 7, 1, 0, name="conv_in", **bias)(pad(x, 3, "reflect"))
        y = norm_relu(y, "norm_in")
        y = self.conv(2 * self.width, 3, name="down", **bias)(y)
        y = norm_relu(y, "down_norm") + coarse
        for i in range(1, self.num_blocks + 1):
            block = ResNetBlock(
                self.norm, self.bias, 0.0, self.padding, self.conv, name=f"block_{i}"
            )
            y = block(y, running)
        y = self.conv_transpose(self.width, 3, output_padding=1, name="up", **bias)(y)
        return norm_relu(y, "up_norm")


class MultiScale(nn.Module):
    """Discriminators of one form that judge images at full size, half of it, and so on.

    scale_0 judges the smallest images, so that one for larger ones can be added.
    """

    num_d: int = 2
    norm: Callable[..., nn.Module] = Identity  # of all of them
    judge: Callable[..., PatchGAN] = PatchGAN  # with its other settings bound

    @nn.compact
    def __call__(self, x: jax.Array, *, running: bool = False) -> list[Scale]:
        """Takes x [N, H, W, C] in [-1, 1] -> the scales, that of full size first."""
        found = []
        for i in reversed(range(self.num_d)):
            found += self.judge(norm=self.norm, name=f"scale_{i}")(x, running=running)
            x = mean_pool(x) if i else x
        return found
