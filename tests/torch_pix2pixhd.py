"""pix2pixHD in PyTorch, to compare with ours: networks, input channels and training step.

Written from the specification of the public pix2pixHD code: the same layers, state_dict keys,
losses and order of updates. Images are NCHW in [-1, 1], label maps NHWC uint8.
"""

import functools

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.torch_baseline import ImagePool, ResnetBlock, gan_loss

half = nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False)


def norm_relu(width):
    return [nn.InstanceNorm2d(width), nn.ReLU(True)]


def down(inner, outer):
    return [nn.Conv2d(inner, outer, 3, 2, 1), *norm_relu(outer)]


def up(inner, outer):
    return [nn.ConvTranspose2d(inner, outer, 3, 2, 1, 1), *norm_relu(outer)]


def first(inner, outer):
    return [nn.ReflectionPad2d(3), nn.Conv2d(inner, outer, 7), *norm_relu(outer)]


def last(inner, outer):
    return [nn.ReflectionPad2d(3), nn.Conv2d(inner, outer, 7), nn.Tanh()]


def blocks(width, count):
    return [ResnetBlock(width, "instance", "reflect", False) for _ in range(count)]


def global_layers(input_nc, output_nc, ngf, downs, num_blocks):
    widths = [ngf * 2**i for i in range(downs + 1)]
    layers = first(input_nc, ngf)
    for i in range(downs):
        layers += down(widths[i], widths[i + 1])
    layers += blocks(widths[-1], num_blocks)
    for i in reversed(range(downs)):
        layers += up(widths[i + 1], widths[i])
    return layers + last(ngf, output_nc)


class GlobalGenerator(nn.Module):
    """The generator at half the size."""

    def __init__(self, input_nc, output_nc=3, ngf=64, downs=4, num_blocks=9):
        super().__init__()
        self.model = nn.Sequential(*global_layers(input_nc, output_nc, ngf, downs, num_blocks))

    def forward(self, x):
        """Takes x [N, C, H, W] -> an image of its size."""
        return self.model(x)


class LocalEnhancer(nn.Module):
    """The global generator without its last three layers, and enhancers around it."""

    def __init__(
        self, input_nc, output_nc=3, ngf=32, downs=4, num_blocks=9, enhancers=1, local_blocks=3
    ):
        super().__init__()
        self.enhancers = enhancers
        wide = ngf * 2**enhancers
        self.model = nn.Sequential(
            *global_layers(input_nc, output_nc, wide, downs, num_blocks)[:-3]
        )
        for k in range(1, enhancers + 1):
            width = ngf * 2 ** (enhancers - k)
            before = first(input_nc, width) + down(width, 2 * width)
            after = blocks(2 * width, local_blocks) + up(2 * width, width)
            after += last(ngf, output_nc) if k == enhancers else []
            setattr(self, f"model{k}_1", nn.Sequential(*before))
            setattr(self, f"model{k}_2", nn.Sequential(*after))

    def forward(self, x):
        """Takes x [N, C, H, W] -> an image of its size."""
        sizes = [x]
        for _ in range(self.enhancers):
            sizes.append(half(sizes[-1]))
        y = self.model(sizes[-1])
        for k in range(1, self.enhancers + 1):
            part = getattr(self, f"model{k}_1")(sizes[self.enhancers - k])
            y = getattr(self, f"model{k}_2")(part + y)
        return y


class MultiscaleDiscriminator(nn.Module):
    """PatchGANs on the image and its halves; with features, or logits alone."""

    def __init__(self, input_nc, ndf=64, n_layers=3, num_d=2, features=True, padding=2):
        super().__init__()
        self.num_d, self.features, self.n_layers = num_d, features, n_layers
        conv = lambda i, o, stride: nn.Conv2d(i, o, 4, stride, padding)
        for s in range(num_d):
            groups, width = [[conv(input_nc, ndf, 2), nn.LeakyReLU(0.2, True)]], ndf
            for n in range(1, n_layers + 1):
                wider = min(2 * width, 512)
                layers = [conv(width, wider, 2 if n < n_layers else 1), nn.InstanceNorm2d(wider)]
                groups.append([*layers, nn.LeakyReLU(0.2, True)])
                width = wider
            groups.append([conv(width, 1, 1)])
            if features:
                for j, layers in enumerate(groups):
                    setattr(self, f"scale{s}_layer{j}", nn.Sequential(*layers))
            else:
                setattr(self, f"layer{s}", nn.Sequential(*(x for layers in groups for x in layers)))

    def forward(self, x):
        """Takes x [N, C, H, W] -> for each size, the full one first, outputs of all layers."""
        found = []
        for s in reversed(range(self.num_d)):
            if self.features:
                outputs = [x]
                for j in range(self.n_layers + 2):
                    outputs.append(getattr(self, f"scale{s}_layer{j}")(outputs[-1]))
                found.append(outputs[1:])
            else:
                found.append([getattr(self, f"layer{s}")(x)])
            x = half(x)
        return found


class VGG19(nn.Module):
    """torchvision's convolutions, of the given widths, and the features that are compared."""

    def __init__(self, stages):
        super().__init__()
        self.features, self.wanted, inner = nn.Sequential(), [], 3
        for numbers, width in stages:
            if self.wanted:
                self.features.append(nn.MaxPool2d(2, 2))
            self.wanted.append(numbers[0] + 1)
            for _ in numbers:
                self.features.extend([nn.Conv2d(inner, width, 3, 1, 1), nn.ReLU()])
                inner = width

    def forward(self, x):
        """Takes x [N, 3, H, W] -> the five maps."""
        found = []
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in self.wanted:
                found.append(x)
        return found


def encode(labels, num_classes):
    """Class and instance uint8 [N, H, W, 3] -> classes and edges [N, num_classes + 1, H, W]."""
    labels = torch.from_numpy(labels).long()
    one_hot = torch.zeros(*labels.shape[:3], num_classes).scatter_(3, labels[..., :1], 1.0)
    instance = labels[..., 1] * 256 + labels[..., 2]
    edge = torch.zeros(instance.shape, dtype=torch.bool)
    edge[:, :, 1:] |= instance[:, :, 1:] != instance[:, :, :-1]
    edge[:, :, :-1] |= instance[:, :, 1:] != instance[:, :, :-1]
    edge[:, 1:] |= instance[:, 1:] != instance[:, :-1]
    edge[:, :-1] |= instance[:, 1:] != instance[:, :-1]
    return torch.cat([one_hot, edge[..., None].float()], 3).permute(0, 3, 1, 2).contiguous()


class Pix2PixHD:
    """One forward pass gives all losses; then G is updated, then D."""

    def __init__(self, g, d, lambda_feat=10.0, vgg=None, pool=None, lr=2e-4):
        self.g, self.d, self.lambda_feat, self.vgg, self.lr = g, d, lambda_feat, vgg, lr
        self.pool = pool or ImagePool(0)
        self.train(g.parameters())
        self.d_optim = self._adam(d.parameters())

    def _adam(self, parameters):
        return torch.optim.Adam(list(parameters), lr=self.lr, betas=(0.5, 0.999))

    def train(self, parameters):
        """A fresh Adam for these parameters of G."""
        self.g_optim = self._adam(parameters)

    def train_enhancer(self):
        """A fresh Adam for the last enhancer alone."""
        prefix = f"model{self.g.enhancers}"
        self.train(p for name, p in self.g.named_parameters() if name.startswith(prefix))

    def step(self, source, target):
        """One training step; returns the losses as 0-d tensors."""
        loss = functools.partial(gan_loss, mode="lsgan")
        fake = self.g(source)
        of_pool = self.d(self.pool.query(torch.cat([source, fake.detach()], 1)))
        of_real = self.d(torch.cat([source, target], 1))
        of_fake = self.d(torch.cat([source, fake], 1))
        losses = {
            "d_fake": sum(loss(scale[-1], False) for scale in of_pool),
            "d_real": sum(loss(scale[-1], True) for scale in of_real),
            "g_gan": sum(loss(scale[-1], True) for scale in of_fake),
        }
        if self.lambda_feat:
            weight = 4 / (self.d.n_layers + 1) / self.d.num_d * self.lambda_feat
            losses["g_feat"] = weight * sum(
                F.l1_loss(a, b.detach())
                for ours, theirs in zip(of_fake, of_real, strict=True)
                for a, b in zip(ours[:-1], theirs[:-1], strict=True)
            )
        if self.vgg:
            maps = zip(
                (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1), self.vgg(fake), self.vgg(target), strict=True
            )
            losses["g_vgg"] = self.lambda_feat * sum(
                w * F.l1_loss(a, b.detach()) for w, a, b in maps
            )
        g_loss = sum(value for name, value in losses.items() if name.startswith("g_"))
        d_loss = 0.5 * (losses["d_fake"] + losses["d_real"])
        # Both gradients before either update; G's part in D's is forgotten.
        self.g_optim.zero_grad()
        g_loss.backward()
        self.d_optim.zero_grad()
        d_loss.backward()
        self.g_optim.step()
        self.d_optim.step()
        return {name: value.detach() for name, value in losses.items()}
