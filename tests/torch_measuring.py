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
    return net.eval()
