"""The PyTorch baseline that tests and timings compare with: networks and training steps.

Written from the specification of the public CycleGAN-and-pix2pix repository: the same layers,
state_dict keys, losses and order of updates. Images are NCHW in [-1, 1].
"""

import functools
import itertools
import random
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F


def norm_layer(norm: str) -> Callable[[int], nn.Module]:
    """batch, instance (no affine, no running statistics) or none."""
    if norm == "batch":
        return nn.BatchNorm2d
    if norm == "instance":
        return nn.InstanceNorm2d
    return lambda _: nn.Identity()


class UnetBlock(nn.Module):
    """One level of the U-Net around the next deeper one, `inner`; None for the innermost."""

    def __init__(self, outer, width, inner, norm, input_nc=None, outermost=False, dropout=False):
        super().__init__()
        self.outermost = outermost
        bias = norm == "instance"
        make_norm = norm_layer(norm)
        down = nn.Conv2d(outer if input_nc is None else input_nc, width, 4, 2, 1, bias=bias)
        up_in = width if inner is None else width * 2
        up = nn.ConvTranspose2d(up_in, outer, 4, 2, 1, bias=bias or outermost)
        if outermost:
            layers = [down, inner, nn.ReLU(True), up, nn.Tanh()]
        elif inner is None:
            layers = [nn.LeakyReLU(0.2, True), down, nn.ReLU(True), up, make_norm(outer)]
        else:
            layers = [nn.LeakyReLU(0.2, True), down, make_norm(width), inner]
            layers += [nn.ReLU(True), up, make_norm(outer)] + [nn.Dropout(0.5)] * dropout
        self.model = nn.Sequential(*layers)

    def forward(self, x):
        """Its output beside its input, but for the outermost level."""
        return self.model(x) if self.outermost else torch.cat([x, self.model(x)], 1)


class UnetGenerator(nn.Module):
    """unet_256 has num_downs 8, unet_128 has 7."""

    def __init__(self, input_nc=3, output_nc=3, num_downs=8, ngf=64, norm="batch", dropout=True):
        super().__init__()
        block = UnetBlock(ngf * 8, ngf * 8, None, norm)
        for _ in range(num_downs - 5):
            block = UnetBlock(ngf * 8, ngf * 8, block, norm, dropout=dropout)
        for outer, width in ((4, 8), (2, 4), (1, 2)):
            block = UnetBlock(ngf * outer, ngf * width, block, norm)
        self.model = UnetBlock(output_nc, ngf, block, norm, input_nc=input_nc, outermost=True)

    def forward(self, x):
        """Takes x [N, C, H, W] -> [N, output_nc, H, W]."""
        return self.model(x)


class ResnetBlock(nn.Module):
    """Two padded 3x3 convolutions beside the identity."""

    def __init__(self, width, norm, padding, dropout):
        super().__init__()
        bias = norm == "instance"
        pads = {"reflect": nn.ReflectionPad2d, "replicate": nn.ReplicationPad2d}

        def conv():
            pad = [pads[padding](1)] if padding in pads else []
            return [
                *pad,
                nn.Conv2d(width, width, 3, padding=int(padding == "zero"), bias=bias),
                norm_layer(norm)(width),
            ]

        middle = [nn.ReLU(True)] + [nn.Dropout(0.5)] * dropout
        self.conv_block = nn.Sequential(*conv(), *middle, *conv())

    def forward(self, x):
        """Takes x [N, C, H, W] -> the same shape."""
        return x + self.conv_block(x)


class ResnetGenerator(nn.Module):
    """resnet_9blocks and resnet_6blocks."""

    def __init__(
        self,
        input_nc=3,
        output_nc=3,
        ngf=64,
        norm="instance",
        dropout=False,
        num_blocks=9,
        padding="reflect",
    ):
        super().__init__()
        bias = norm == "instance"
        make_norm = norm_layer(norm)
        layers = [
            nn.ReflectionPad2d(3),
            nn.Conv2d(input_nc, ngf, 7, bias=bias),
            make_norm(ngf),
            nn.ReLU(True),
        ]
        for width in (ngf, 2 * ngf):
            layers += [
                nn.Conv2d(width, 2 * width, 3, 2, 1, bias=bias),
                make_norm(2 * width),
                nn.ReLU(True),
            ]
        layers += [ResnetBlock(4 * ngf, norm, padding, dropout) for _ in range(num_blocks)]
        for width in (4 * ngf, 2 * ngf):
            up = nn.ConvTranspose2d(width, width // 2, 3, 2, 1, output_padding=1, bias=bias)
            layers += [up, make_norm(width // 2), nn.ReLU(True)]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(ngf, output_nc, 7), nn.Tanh()]
        self.model = nn.Sequential(*layers)

    def forward(self, x):
        """Takes x [N, C, H, W] -> [N, output_nc, H, W]."""
        return self.model(x)


class NLayerDiscriminator(nn.Module):
    """PatchGAN; n_layers 3 is the 70x70 one."""

    def __init__(self, input_nc=6, ndf=64, n_layers=3, norm="batch"):
        super().__init__()
        layers = [nn.Conv2d(input_nc, ndf, 4, 2, 1), nn.LeakyReLU(0.2, True)]
        width = ndf
        for n in range(1, n_layers + 1):
            wider = ndf * min(2**n, 8)
            stride = 2 if n < n_layers else 1
            layers += [
                nn.Conv2d(width, wider, 4, stride, 1, bias=norm == "instance"),
                norm_layer(norm)(wider),
                nn.LeakyReLU(0.2, True),
            ]
            width = wider
        self.model = nn.Sequential(*layers, nn.Conv2d(width, 1, 4, 1, 1))

    def forward(self, x):
        """Takes x [N, C, H, W] -> logits [N, 1, h, w]."""
        return self.model(x)


class PixelDiscriminator(nn.Module):
    """1x1 receptive field."""

    def __init__(self, input_nc=6, ndf=64, norm="batch"):
        super().__init__()
        bias = norm == "instance"
        self.net = nn.Sequential(
            nn.Conv2d(input_nc, ndf, 1),
            nn.LeakyReLU(0.2, True),
            nn.Conv2d(ndf, 2 * ndf, 1, bias=bias),
            norm_layer(norm)(2 * ndf),
            nn.LeakyReLU(0.2, True),
            nn.Conv2d(2 * ndf, 1, 1, bias=bias),
        )

    def forward(self, x):
        """Takes x [N, C, H, W] -> logits [N, 1, H, W]."""
        return self.net(x)


NORMAL = functools.partial(nn.init.normal_, std=0.02)


def init_weights(net: nn.Module, seed: int, draw: Callable = NORMAL) -> nn.Module:
    """Kernels as `draw` fills them, N(0, 0.02); biases 0, batch-norm scales N(1, 0.02)."""
    torch.manual_seed(seed)
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            draw(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
            nn.init.zeros_(module.bias)
    return net


def gan_loss(logits: torch.Tensor, real: bool, mode: str) -> torch.Tensor:
    """vanilla, lsgan or wgangp."""
    if mode == "wgangp":
        return -logits.mean() if real else logits.mean()
    loss = {"vanilla": F.binary_cross_entropy_with_logits, "lsgan": F.mse_loss}[mode]
    return loss(logits, torch.full_like(logits, float(real)))


def gradient_penalty(critic, real, fake, weight):
    """The penalty at weight * real + (1 - weight) * fake; weight [N, 1, 1, 1]."""
    mixed = (weight * real + (1 - weight) * fake).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(critic(mixed).sum(), mixed, create_graph=True)
    norm = (gradient.flatten(1) + 1e-16).norm(2, dim=1)
    return ((norm - 1) ** 2).mean()


def adam(*nets, lr=2e-4):
    """One Adam over all parameters of `nets`."""
    parameters = itertools.chain(*(net.parameters() for net in nets))
    return torch.optim.Adam(parameters, lr=lr, betas=(0.5, 0.999))


def set_requires_grad(value, *nets):
    """Whether backward passes reach the parameters of `nets`."""
    for parameter in itertools.chain(*(net.parameters() for net in nets)):
        parameter.requires_grad = value


class Pix2Pix:
    """D on fake then real, then G against the updated D."""

    def __init__(
        self,
        generator,
        discriminator,
        lambda_l1=100.0,
        lambda_gan=1.0,
        conditional=True,
        gan_mode="vanilla",
    ):
        self.g, self.d = generator, discriminator
        self.lambda_l1, self.lambda_gan, self.conditional = lambda_l1, lambda_gan, conditional
        self.loss = functools.partial(gan_loss, mode=gan_mode)
        self.g_optim = adam(generator)
        self.d_optim = adam(discriminator) if lambda_gan else None

    def _judge(self, source, image):
        return self.d(torch.cat([source, image], 1) if self.conditional else image)

    def step(self, source, target):
        """One training step; returns the losses as 0-d tensors."""
        losses = {}
        fake = self.g(source)
        if self.lambda_gan:
            set_requires_grad(True, self.d)
            self.d_optim.zero_grad()
            losses["d_fake"] = self.loss(self._judge(source, fake.detach()), False)
            losses["d_real"] = self.loss(self._judge(source, target), True)
            ((losses["d_fake"] + losses["d_real"]) * 0.5).backward()
            self.d_optim.step()
            set_requires_grad(False, self.d)
        self.g_optim.zero_grad()
        losses["g_l1"] = F.l1_loss(fake, target) * self.lambda_l1
        total = losses["g_l1"]
        if self.lambda_gan:
            losses["g_gan"] = self.loss(self._judge(source, fake), True) * self.lambda_gan
            total = losses["g_gan"] + total
        total.backward()
        self.g_optim.step()
        return {name: value.detach() for name, value in losses.items()}


class ImagePool:
    """The last images shown to a discriminator, swapped at random (Shrivastava et al. 2017).

    `draw()` says whether to return a stored image, and which.
    """

    def __init__(self, size=50, draw=None):
        self.size, self.images = size, []
        self.draw = draw or (lambda: (random.random() > 0.5, random.randrange(size)))

    def query(self, images):
        """Images [N, C, H, W] -> images of the same shape, some of them older."""
        if self.size == 0:
            return images
        chosen = []
        for image in images.detach():
            if len(self.images) < self.size:
                self.images.append(image.clone())
                chosen.append(image)
                continue
            use_stored, index = self.draw()
            if use_stored:
                chosen.append(self.images[index])
                self.images[index] = image.clone()
            else:
                chosen.append(image)
        return torch.stack(chosen)


class CycleGAN:
    """Both generators in one update, then both discriminators."""

    def __init__(
        self,
        g_a,
        g_b,
        d_a,
        d_b,
        lambda_a=10.0,
        lambda_b=10.0,
        lambda_identity=0.5,
        gan_mode="lsgan",
        pool_a=None,
        pool_b=None,
    ):
        self.g_a, self.g_b, self.d_a, self.d_b = g_a, g_b, d_a, d_b
        self.lambda_a, self.lambda_b, self.identity = lambda_a, lambda_b, lambda_identity
        self.loss = functools.partial(gan_loss, mode=gan_mode)
        self.pool_a, self.pool_b = pool_a or ImagePool(), pool_b or ImagePool()
        self.g_optim, self.d_optim = adam(g_a, g_b), adam(d_a, d_b)

    def step(self, real_a, real_b):
        """One training step; returns the losses as 0-d tensors."""
        fake_b = self.g_a(real_a)
        rec_a = self.g_b(fake_b)
        fake_a = self.g_b(real_b)
        rec_b = self.g_a(fake_a)
        set_requires_grad(False, self.d_a, self.d_b)
        self.g_optim.zero_grad()
        losses = {}
        if self.identity:
            scale = self.identity
            losses["idt_a"] = F.l1_loss(self.g_a(real_b), real_b) * self.lambda_b * scale
            losses["idt_b"] = F.l1_loss(self.g_b(real_a), real_a) * self.lambda_a * scale
        losses["g_a"] = self.loss(self.d_a(fake_b), True)
        losses["g_b"] = self.loss(self.d_b(fake_a), True)
        losses["cycle_a"] = F.l1_loss(rec_a, real_a) * self.lambda_a
        losses["cycle_b"] = F.l1_loss(rec_b, real_b) * self.lambda_b
        sum(losses.values()).backward()
        self.g_optim.step()
        set_requires_grad(True, self.d_a, self.d_b)
        self.d_optim.zero_grad()
        losses["d_a"] = self._discriminate(self.d_a, real_b, self.pool_b.query(fake_b))
        losses["d_b"] = self._discriminate(self.d_b, real_a, self.pool_a.query(fake_a))
        self.d_optim.step()
        return {name: value.detach() for name, value in losses.items()}

    def _discriminate(self, net, real, fake):
        loss = (self.loss(net(real), True) + self.loss(net(fake.detach()), False)) * 0.5
        loss.backward()
        return loss
