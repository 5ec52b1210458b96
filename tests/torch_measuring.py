"""The measuring networks in PyTorch, written from their published layers.

Names are those of the published state_dicts.
"""

import torch
import torch.nn.functional as F
from torch import nn


class BasicConv(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, inputs, outputs, kernel=1, stride=1, padding=0):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)))


def mean(x):
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


class Branches(nn.Module):
    """Branches from one input, concatenated; `sums` branches end in two parallel layers."""

    def __init__(self, inputs, branches, pool=None, pool_last=None):
        super().__init__()
        self.lines, self.pool, self.pool_last = [], pool, pool_last
        for prefix, layers in branches:
            line, width = [], inputs
            for suffix, outputs, *settings in layers:
                self.add_module(prefix + suffix, BasicConv(width, outputs, *settings))
                line.append(prefix + suffix)
                if not suffix.endswith("a"):  # the two of a fork take the same input
                    width = outputs
            self.lines.append(line)

    def forward(self, x):
        found = []
        for line in self.lines:
            y = self.pool(x) if line[0] == "branch_pool" else x
            for i, name in enumerate(line):
                if name.endswith("a"):
                    y = torch.cat([self.get_submodule(n)(y) for n in line[i:]], 1)
                    break
                y = self.get_submodule(name)(y)
            found.append(y)
        if self.pool_last:
            found.append(self.pool_last(x))
        return torch.cat(found, 1)


def block_a(inputs, width):
    return Branches(
        inputs,
        [
            ("branch1x1", [("", 64)]),
            ("branch5x5", [("_1", 48), ("_2", 64, 5, 1, 2)]),
            ("branch3x3dbl", [("_1", 64), ("_2", 96, 3, 1, 1), ("_3", 96, 3, 1, 1)]),
            ("branch_pool", [("", width)]),
        ],
        mean,
    )


def block_b(width):
    row, column = ((1, 7), 1, (0, 3)), ((7, 1), 1, (3, 0))
    c = width
    double = [("_1", c), ("_2", c, *column), ("_3", c, *row), ("_4", c, *column), ("_5", 192, *row)]
    return Branches(
        768,
        [
            ("branch1x1", [("", 192)]),
            ("branch7x7", [("_1", c), ("_2", c, *row), ("_3", 192, *column)]),
            ("branch7x7dbl", double),
            ("branch_pool", [("", 192)]),
        ],
        mean,
    )


def block_c(inputs, pool):
    row, column = ((1, 3), 1, (0, 1)), ((3, 1), 1, (1, 0))
    double = [("_1", 448), ("_2", 384, 3, 1, 1), ("_3a", 384, *row), ("_3b", 384, *column)]
    return Branches(
        inputs,
        [
            ("branch1x1", [("", 320)]),
            ("branch3x3", [("_1", 384), ("_2a", 384, *row), ("_2b", 384, *column)]),
            ("branch3x3dbl", double),
            ("branch_pool", [("", 192)]),
        ],
        pool,
    )


class Inception(nn.Module):
    """Images [N, 3, H, W] in [-1, 1] to features [N, 2048]; `fc` is only in the file."""

    def __init__(self):
        super().__init__()
        row, column = ((1, 7), 1, (0, 3)), ((7, 1), 1, (3, 0))
        shrink = lambda x: F.max_pool2d(x, 3, 2)
        self.Conv2d_1a_3x3 = BasicConv(3, 32, 3, 2)
        self.Conv2d_2a_3x3 = BasicConv(32, 32, 3)
        self.Conv2d_2b_3x3 = BasicConv(32, 64, 3, 1, 1)
        self.Conv2d_3b_1x1 = BasicConv(64, 80)
        self.Conv2d_4a_3x3 = BasicConv(80, 192, 3)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = (
            block_a(i, o) for i, o in ((192, 32), (256, 64), (288, 64))
        )
        double = [("_1", 64), ("_2", 96, 3, 1, 1), ("_3", 96, 3, 2)]
        reduction = [("branch3x3", [("", 384, 3, 2)]), ("branch3x3dbl", double)]
        self.Mixed_6a = Branches(288, reduction, pool_last=shrink)
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = (
            block_b(width) for width in (128, 160, 160, 192)
        )
        sevens = [("_1", 192), ("_2", 192, *row), ("_3", 192, *column), ("_4", 192, 3, 2)]
        reduction = [("branch3x3", [("_1", 192), ("_2", 320, 3, 2)]), ("branch7x7x3", sevens)]
        self.Mixed_7a = Branches(768, reduction, pool_last=shrink)
        self.Mixed_7b = block_c(1280, mean)
        self.Mixed_7c = block_c(2048, lambda x: F.max_pool2d(x, 3, 1, 1))
        self.fc = nn.Linear(2048, 1008)

    def forward(self, x):
        for name, module in self.named_children():
            if name == "fc":
                return x.mean((2, 3))
            x = module(x)
            if name in ("Conv2d_2b_3x3", "Conv2d_4a_3x3"):
                x = F.max_pool2d(x, 3, 2)
        return x


def randomize(net: nn.Module, x: torch.Tensor, seed: int = 0) -> nn.Module:
    """Random weights that keep a signal alive: batch norms take the statistics of `x`."""
    generator = torch.Generator().manual_seed(seed)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            deviation = (2 / module.weight[0].numel()) ** 0.5
            module.weight.data = torch.randn(module.weight.shape, generator=generator) * deviation
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the statistics of the only batch
            module.weight.data = 0.5 + torch.rand(module.weight.shape, generator=generator)
            module.bias.data = 0.3 * torch.randn(module.bias.shape, generator=generator)
    with torch.no_grad():
        net.train()(x)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):  # few pixels, and so some tiny variances
            module.running_var.clamp_(min=module.running_var.mean())
    return net.eval()


class Backbone(nn.Module):
    """torchvision's `features` of AlexNet or VGG-16; gives the maps after LPIPS's five ReLUs."""

    def __init__(self, net):
        super().__init__()
        if net == "alex":
            convs = ((3, 64, 11, 4, 2), (64, 192, 5, 1, 2), (192, 384, 3, 1, 1))
            convs += ((384, 256, 3, 1, 1), (256, 256, 3, 1, 1))
            layers = []
            for i, conv in enumerate(convs):
                layers += [nn.Conv2d(*conv), nn.ReLU()]
                layers += [nn.MaxPool2d(3, 2)] if i in (0, 1) else []
            self.taps = (1, 4, 7, 9, 11)
        else:
            layers, inputs = [], 3
            for width, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
                layers += [nn.MaxPool2d(2)] if inputs > 3 else []
                for _ in range(count):
                    layers += [nn.Conv2d(inputs, width, 3, 1, 1), nn.ReLU()]
                    inputs = width
            self.taps = (3, 8, 15, 22, 29)
        self.features = nn.Sequential(*layers)

    def forward(self, x):
        found = []
        for i, layer in enumerate(self.features):
            x = layer(x)
            if i in self.taps:
                found.append(x)
        return found


def lpips(net, heads, x, y):
    """LPIPS of images [N, 3, H, W] in [-1, 1], step by step."""
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    # The constants of its code are these of ImageNet, moved to [-1, 1] and rounded.
    shift, scale = ((2 * mean - 1).round(decimals=3), (2 * deviation).round(decimals=3))
    total = 0
    for a, b, head in zip(*(net((i - shift[:, None, None]) / scale[:, None, None]) for i in (x, y)),
                          heads, strict=True):  # fmt: skip
        unit = lambda f: f / (f.square().sum(1, keepdim=True).sqrt() + 1e-10)
        total = total + F.conv2d((unit(a) - unit(b)).square(), head).mean((2, 3))[:, 0]
    return total


class Block(nn.Module):
    """A residual block of a DRN, of two or three convolutions."""

    def __init__(self, inputs, width, stride, dilation, bottleneck):
        super().__init__()
        outputs = 4 * width if bottleneck else width
        three = {"padding": dilation, "dilation": dilation, "bias": False}
        if bottleneck:
            self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
            self.conv2 = nn.Conv2d(width, width, 3, stride, **three)
            self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
            self.bn1, self.bn2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
            self.bn3 = nn.BatchNorm2d(outputs)
        else:
            self.conv1 = nn.Conv2d(inputs, width, 3, stride, **three)
            self.conv2 = nn.Conv2d(width, width, 3, 1, **three)
            self.bn1, self.bn2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        self.downsample = None
        if stride > 1 or inputs != outputs:
            conv = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if hasattr(self, "conv3"):
            y = self.bn3(self.conv3(F.relu(y)))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class DRN(nn.Module):
    """DRN-D with the head that segments: [N, 3, H, W] to the logarithm of class probabilities."""

    def __init__(self, blocks, bottleneck, widths=(16, 32, 64, 128, 256, 512, 512, 512)):
        super().__init__()
        plain = lambda i, o, stride, dilation: nn.Sequential(
            nn.Conv2d(i, o, 3, stride, dilation, dilation, bias=False), nn.BatchNorm2d(o), nn.ReLU()
        )
        first = nn.Conv2d(3, widths[0], 7, padding=3, bias=False)
        levels = [nn.Sequential(first, nn.BatchNorm2d(widths[0]), nn.ReLU())]
        levels += [plain(widths[0], widths[0], 1, 1), plain(widths[0], widths[1], 2, 1)]
        inputs = widths[1]
        settings = zip(blocks, widths[2:6], (2, 2, 1, 1), (1, 1, 2, 4), strict=True)
        for count, width, stride, dilation in settings:
            level = []
            for i in range(count):
                level.append(Block(inputs, width, 1 if i else stride, dilation, bottleneck))
                inputs = 4 * width if bottleneck else width
            levels.append(nn.Sequential(*level))
        levels += [plain(inputs, widths[6], 1, 2), plain(widths[6], widths[7], 1, 1)]
        self.base = nn.Sequential(*levels)
        self.seg = nn.Conv2d(widths[7], 19, 1)
        self.up = nn.ConvTranspose2d(19, 19, 16, 8, 4, groups=19, bias=False)
        line = 1 - (torch.arange(16) / 8 - 15 / 16).abs()
        self.up.weight.data = (line[:, None] * line).expand(19, 1, 16, 16).clone()

    def forward(self, x):
        return F.log_softmax(self.up(self.seg(self.base(x))), 1)
