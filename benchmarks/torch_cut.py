"""CUT and FastCUT in PyTorch, to compare with ours: networks and training step.

Written from the specification of the public contrastive-unpaired-translation code: the same
layers, state_dict keys, losses and order of updates. Images are NCHW in [-1, 1].
"""

import functools
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks import torch_baseline as baseline
from benchmarks.torch_baseline import ResnetBlock, adam, gan_loss, norm_layer, set_requires_grad

NCE_LAYERS = (0, 4, 8, 12, 16)


class Down(nn.Module):
    """Blur by [1, 2, 1] in both directions with stride 2; borders are mirrored."""

    def __init__(self, channels):
        super().__init__()
        taps = torch.tensor([1.0, 2.0, 1.0]) / 4
        self.register_buffer("filt", torch.outer(taps, taps).repeat(channels, 1, 1, 1))

    def forward(self, x):
        """Takes x [N, C, H, W] to half the size, rounded up."""
        x = F.pad(x, (1, 1, 1, 1), mode="reflect")
        return F.conv2d(x, self.filt, stride=2, groups=x.shape[1])


class Up(nn.Module):
    """Zeros between the pixels and a blur by [1, 3, 3, 1] in both directions; borders repeated."""

    def __init__(self, channels):
        super().__init__()
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 4
        self.register_buffer("filt", torch.outer(taps, taps).repeat(channels, 1, 1, 1))

    def forward(self, x):
        """Takes x [N, C, H, W] to twice the size."""
        x = F.pad(x, (1, 1, 1, 1), mode="replicate")
        x = F.conv_transpose2d(x, self.filt, stride=2, padding=2, groups=x.shape[1])
        return x[:, :, 1:-1, 1:-1]


class ResnetGenerator(nn.Module):
    """CUT's generator; `antialias` and `antialias_up` choose the layers that change the size."""

    def __init__(
        self,
        input_nc=3,
        output_nc=3,
        ngf=64,
        norm="instance",
        num_blocks=9,
        antialias=True,
        antialias_up=True,
    ):
        super().__init__()
        bias = norm == "instance"

        def conv(inner, outer, size, stride, padding):
            return nn.Conv2d(inner, outer, size, stride, padding, bias=bias)

        def norm_relu(width):
            return [norm_layer(norm)(width), nn.ReLU(True)]

        layers = [nn.ReflectionPad2d(3), conv(input_nc, ngf, 7, 1, 0), *norm_relu(ngf)]
        for width in (ngf, 2 * ngf):
            layers += [conv(width, 2 * width, 3, 1 if antialias else 2, 1), *norm_relu(2 * width)]
            layers += [Down(2 * width)] * antialias
        layers += [ResnetBlock(4 * ngf, norm, "reflect", False) for _ in range(num_blocks)]
        for width in (4 * ngf, 2 * ngf):
            if antialias_up:
                layers += [Up(width), conv(width, width // 2, 3, 1, 1)]
            else:
                layers += [nn.ConvTranspose2d(width, width // 2, 3, 2, 1, 1, bias=bias)]
            layers += norm_relu(width // 2)
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(ngf, output_nc, 7), nn.Tanh()]
        self.model = nn.Sequential(*layers)

    def forward(self, x, layers=()):
        """Takes x [N, C, H, W] -> an image of its size; with `layers` only their outputs."""
        if not layers:
            return self.model(x)
        features = []
        for number, layer in enumerate(self.model[: max(layers) + 1]):
            x = layer(x)
            if number in layers:
                features.append(x)
        return features


class NLayerDiscriminator(nn.Module):
    """CUT's PatchGAN, antialiased."""

    def __init__(self, input_nc=3, ndf=64, n_layers=3, norm="instance"):
        super().__init__()
        layers = [nn.Conv2d(input_nc, ndf, 4, 1, 1), nn.LeakyReLU(0.2, True), Down(ndf)]
        width = ndf
        for n in range(1, n_layers + 1):
            wider = ndf * min(2**n, 8)
            layers += [
                nn.Conv2d(width, wider, 4, 1, 1, bias=norm == "instance"),
                norm_layer(norm)(wider),
                nn.LeakyReLU(0.2, True),
            ]
            layers += [Down(wider)] * (n < n_layers)
            width = wider
        self.model = nn.Sequential(*layers, nn.Conv2d(width, 1, 4, 1, 1))

    def forward(self, x):
        """Takes x [N, C, H, W] -> logits [N, 1, h, w]."""
        return self.model(x)


class PatchProjection(nn.Module):
    """CUT's F ("mlp_sample") for features of `channels`."""

    def __init__(self, channels=(3, 128, 256, 256, 256), width=256):
        super().__init__()
        for i, inner in enumerate(channels):
            mlp = nn.Sequential(nn.Linear(inner, width), nn.ReLU(), nn.Linear(width, width))
            self.add_module(f"mlp_{i}", mlp)

    def forward(self, features, positions):
        """Features [N, C, H, W] at positions [S] of the H * W, for each layer -> [N, S, width]."""
        projected = []
        for i, (x, chosen) in enumerate(zip(features, positions, strict=True)):
            # Transposed only then: at batch 1 torch 2.13's instance norm on CPU differentiates a
            # gradient that lies channels last wrongly.
            x = getattr(self, f"mlp_{i}")(x.flatten(2)[:, :, chosen].transpose(1, 2))
            projected.append(x / (x.pow(2).sum(2, keepdim=True).sqrt() + 1e-7))
        return projected


# xavier_normal with a gain of 0.02
init_weights = functools.partial(
    baseline.init_weights, draw=functools.partial(nn.init.xavier_normal_, gain=0.02)
)


def patch_nce(queries, keys, temperature=0.07):
    """Cross entropy of every patch: the key of its place against those of its image's others.

    queries and keys [N, S, C] -> [N * S].
    """
    positive = (queries * keys.detach()).sum(2, keepdim=True)
    negative = queries @ keys.detach().transpose(1, 2)
    same = torch.eye(queries.shape[1], dtype=torch.bool, device=queries.device)
    negative = negative.masked_fill(same, -10.0)
    logits = torch.cat([positive, negative], 2).flatten(0, 1) / temperature
    first = logits.new_zeros(len(logits), dtype=torch.long)
    return F.cross_entropy(logits, first, reduction="none")


def random_positions(name: str, layer: int, count: int) -> torch.Tensor:
    """256 of `count` positions, for the layer of this number in a list, in the loss `name`."""
    return torch.randperm(count)[:256]


class CUT:
    """D on fake then real, then G and F against the updated D; FastCUT without identity.

    `draw` chooses positions (see `random_positions`), `mirror()` whether a step is mirrored.
    """

    def __init__(
        self,
        generator,
        discriminator,
        projection,
        lambda_nce=1.0,
        identity=True,
        layers=NCE_LAYERS,
        gan_mode="lsgan",
        draw: Callable[[str, int, int], torch.Tensor] = random_positions,
        mirror: Callable[[], bool] = lambda: False,
    ):
        self.g, self.d, self.f = generator, discriminator, projection
        self.lambda_nce, self.identity, self.layers = lambda_nce, identity, layers
        self.gan_mode, self.draw, self.mirror = gan_mode, draw, mirror
        self.g_optim, self.d_optim, self.f_optim = map(adam, (self.g, self.d, self.f))

    def step(self, real_a, real_b):
        """One training step; returns the losses as 0-d tensors."""
        real = torch.cat([real_a, real_b]) if self.identity else real_a
        mirrored = self.mirror()
        images = self.g(real.flip(3) if mirrored else real)
        fake, identity = images[: len(real_a)], images[len(real_a) :]

        set_requires_grad(True, self.d)
        self.d_optim.zero_grad()
        losses = {
            "d_fake": gan_loss(self.d(fake.detach()), False, self.gan_mode),
            "d_real": gan_loss(self.d(real_b), True, self.gan_mode),
        }
        (0.5 * (losses["d_fake"] + losses["d_real"])).backward()
        self.d_optim.step()

        set_requires_grad(False, self.d)
        self.g_optim.zero_grad()
        self.f_optim.zero_grad()
        losses["g_gan"] = gan_loss(self.d(fake), True, self.gan_mode)
        total = losses["nce"] = self._nce("nce", real_a, fake, mirrored)
        if self.identity:
            losses["nce_y"] = self._nce("nce_y", real_b, identity, mirrored)
            total = 0.5 * (losses["nce"] + losses["nce_y"])
        (losses["g_gan"] + total).backward()
        self.g_optim.step()
        self.f_optim.step()
        return {name: value.detach() for name, value in losses.items()}

    def _nce(self, name, source, output, mirrored):
        queries, keys = self.g(output, self.layers), self.g(source, self.layers)
        if mirrored:
            queries = [features.flip(3) for features in queries]
        positions = [self.draw(name, i, k[0, 0].numel()) for i, k in enumerate(keys)]
        pairs = zip(self.f(queries, positions), self.f(keys, positions), strict=True)
        each = [self.lambda_nce * patch_nce(query, key).mean() for query, key in pairs]
        return sum(each) / len(each)
