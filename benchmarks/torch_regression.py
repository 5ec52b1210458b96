"""PyTorch versions of the regression nets and of the inpainting U-Net, to compare with ours."""

import torch
from torch import nn
from torch.nn import functional as F


class ConvDeconv(nn.Module):
    """Four convolutions and four deconvolutions, batch norm after all but the last."""

    def __init__(self, input_nc=3, output_nc=3, ngf=8):
        super().__init__()
        widths = [input_nc, ngf, 2 * ngf, 4 * ngf, 8 * ngf]
        for k in range(1, 5):
            conv = nn.Conv2d(widths[k - 1], widths[k], 4, 2, 1)
            self.add_module(f"conv_{k}", conv)
            self.add_module(f"conv_norm_{k}", nn.BatchNorm2d(widths[k]))
        widths[0] = output_nc
        for k in range(1, 5):
            deconv = nn.ConvTranspose2d(widths[5 - k], widths[4 - k], 4, 2, 1)
            self.add_module(f"deconv_{k}", deconv)
            if k < 4:
                self.add_module(f"deconv_norm_{k}", nn.BatchNorm2d(widths[4 - k]))

    def forward(self, x):
        """An image of the input's size in [-1, 1]."""
        for name in ("conv", "deconv"):
            for k in range(1, 5):
                x = getattr(self, f"{name}_{k}")(x)
                if f"{name}_{k}" != "deconv_4":
                    x = torch.relu(getattr(self, f"{name}_norm_{k}")(x))
        return torch.tanh(x)


class FCN(nn.Module):
    """FCN-32s, 16s or 8s that regresses an image; without dropout."""

    def __init__(self, output_nc=3, stride=8, ngf=64, convs=(2, 2, 3, 3, 3), split=False):
        super().__init__()
        self.stride, self.convs = stride, convs
        inner = 3
        for stage, count in enumerate(convs, start=1):
            width = ngf * min(2 ** (stage - 1), 8)
            for i in range(1, count + 1):
                conv = nn.Conv2d(inner, width, 3, padding=1)
                self.add_module(f"conv_{stage}_{i}", conv)
                self.add_module(f"norm_{stage}_{i}", nn.BatchNorm2d(width))
                inner = width
        self.fc_6 = nn.Conv2d(inner, 64 * ngf, 1)
        self.fc_7 = nn.Conv2d(64 * ngf, 64 * ngf, 1)
        self.score_32 = nn.Conv2d(64 * ngf, output_nc, 1)
        up = lambda f: nn.ConvTranspose2d(output_nc, output_nc, 2 * f, f, f // 2, bias=False)
        for finer, width in ((16, 8 * ngf), (8, 4 * ngf)):
            if finer >= stride:
                self.add_module(f"upscore_{finer}", up(2))
                self.add_module(f"score_{finer}", nn.Conv2d(width, output_nc, 1))
        if split:
            self.last = [f"upscore_{i}" for i in range(1, stride.bit_length())]
        else:
            self.last = ["upscore"]
        for name in self.last:
            self.add_module(name, up(2 if split else stride))

    def forward(self, x):
        """An image of the input's size in [-1, 1]."""
        pools = {}
        for stage, count in enumerate(self.convs, start=1):
            for i in range(1, count + 1):
                x = getattr(self, f"conv_{stage}_{i}")(x)
                x = torch.relu(getattr(self, f"norm_{stage}_{i}")(x))
            x = pools[2**stage] = F.max_pool2d(x, 2)
        for layer in (self.fc_6, self.fc_7):
            x = torch.relu(layer(x))
        x = self.score_32(x)
        for finer in (16, 8):
            if finer >= self.stride:
                x = getattr(self, f"upscore_{finer}")(x)
                x = x + getattr(self, f"score_{finer}")(pools[finer])
        for name in self.last:
            x = getattr(self, name)(x)
        return torch.tanh(x)


class InpaintingUnet(nn.Module):
    """PEN-Net's encoder and decoder without attention, its layers named as there."""

    def __init__(self, ngf=32, channels=3):
        super().__init__()
        widths = [channels + 1] + [ngf * f for f in (1, 2, 4, 8, 16, 16)]
        for k in range(1, 7):
            activation = nn.ReLU() if k == 6 else nn.LeakyReLU(0.2)
            conv = nn.Conv2d(widths[k - 1], widths[k], 3, 2, 1)
            self.add_module(f"dw_conv0{k}", nn.Sequential(conv, activation))
        for k in range(1, 6):
            inner = widths[6] if k == 5 else 2 * widths[k + 1]
            conv = nn.Conv2d(inner, widths[k], 3, 1, 1)
            self.add_module(f"up_conv0{k}", nn.Sequential(conv, nn.ReLU()))
        self.decoder = nn.Sequential(
            nn.Conv2d(2 * ngf, ngf, 3, 1, 1),
            nn.ReLU(),
            nn.Conv2d(ngf, channels, 3, 1, 1),
            nn.Tanh(),
        )

    def forward(self, x):
        """Fills [masked image, hole]; in [-1, 1]."""
        skips = []
        for k in range(1, 7):
            x = getattr(self, f"dw_conv0{k}")(x)
            skips.append(x)
        up = lambda x: F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
        for k in range(5, 0, -1):
            x = torch.cat([getattr(self, f"up_conv0{k}")(up(x)), skips[k - 1]], 1)
        return self.decoder(up(x))
