"""Twin of Projected GAN: the light generator, and heads on the maps of a frozen network."""

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, relu, relu6
from torch.nn.utils.parametrizations import spectral_norm

from benchmarks.twins import common, features
from benchmarks.twins.common import Losses, Twin, adam, channels_last, pictures

Z = 256  # numbers in a latent
RESOLUTION = 128  # the side to which smaller pictures are enlarged before the frozen network
# By the side of a map of the generator, its channels in multiples of the width
CHANNELS = {4: 16, 8: 8, 16: 4, 32: 2, 64: 2, 128: 1, 256: 0.5, 512: 0.25, 1024: 0.125}
# By the side of the map that is scaled, that of the map that scales it
EXCITATION = {64: 4, 128: 8, 256: 16, 512: 32}
# EfficientNet-Lite0 up to each map that is judged
STAGES = (features.STAGES[:2], features.STAGES[2:3], features.STAGES[3:5], features.STAGES[5:])


def _conv(
    a: int, b: int, size: int, stride: int = 1, padding: int = 0, bias: bool = False
) -> nn.Module:
    return spectral_norm(nn.Conv2d(a, b, size, stride, padding, bias=bias))


class _Noise(nn.Module):
    """Adds N(0, 1), the same in all channels, times one learned factor."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.scale * common.draw(len(x), 1, *x.shape[2:])


class _Up(nn.Module):
    """Doubles the side by one or two gated convolutions; a smaller map may scale the channels."""

    def __init__(self, a: int, b: int, double: bool, low: int, low_side: int):
        super().__init__()
        layers: list[nn.Module] = [nn.Upsample(scale_factor=2)]
        for channels in (a, b) if double else (a,):
            layers += [_conv(channels, 2 * b, 3, 1, 1), *([_Noise()] if double else [])]
            layers += [nn.BatchNorm2d(2 * b), nn.GLU(1)]
        self.body, self.excitation = nn.Sequential(*layers), None
        if low:
            pool = [nn.AvgPool2d(low_side // 4)] if low_side > 4 else []
            scale = (_conv(low, b, 4), nn.SiLU(), _conv(b, b, 1), nn.Sigmoid())
            self.excitation = nn.Sequential(*pool, *scale)

    def forward(self, x: Tensor, low: Tensor | None) -> Tensor:
        x = self.body(x)
        return x if self.excitation is None else x * self.excitation(low)


class _Generator(nn.Module):
    """FastGAN's, where every other enlargement has a second convolution, and noise after both."""

    def __init__(self, width: int, side: int):
        super().__init__()
        widths = {n: max(1, round(width * times)) for n, times in CHANNELS.items() if n <= side}
        self.sides = list(widths)
        self.project = spectral_norm(nn.Linear(Z, 16 * 2 * widths[4], bias=False))
        self.first = nn.Sequential(nn.BatchNorm2d(2 * widths[4]), nn.GLU(1))
        self.ups = nn.ModuleList()
        for number, (before, now) in enumerate(pairwise(self.sides)):
            low = EXCITATION.get(now, 0)
            sizes = widths[before], widths[now], number % 2 == 0
            self.ups.append(_Up(*sizes, widths.get(low, 0), low))
        self.out = _conv(widths[side], 3, 3, 1, 1, bias=True)

    def forward(self, z: Tensor) -> Tensor:
        z = z * (z.square().mean(1, keepdim=True) + 1e-8).rsqrt()
        x = self.project(z).view(len(z), 4, 4, -1).permute(0, 3, 1, 2)
        x = self.first(x)
        maps = {4: x}
        for side, up in zip(self.sides[1:], self.ups, strict=True):
            x = maps[side] = up(x, maps.get(EXCITATION.get(side, 0)))
        return torch.tanh(self.out(x))


class _Maps(NamedTuple):
    """What the heads judge, by the side of a map as a part of the pictures' side."""

    half: Tensor
    fourth: Tensor
    eighth: Tensor
    sixteenth: Tensor

    def float(self) -> "_Maps":
        """The maps in float32: `opponents` asks for it where networks are in bfloat16."""
        return _Maps(*(x.float() for x in self))


class _Pyramid(nn.Module):
    """Pictures to four maps of EfficientNet-Lite0, mixed across channels and across scales."""

    def __init__(self, channels: int):
        super().__init__()
        self.stem, self.parts, a = nn.Conv2d(3, 32, 3, 2, 1), nn.ModuleList(), 32
        taps = []
        for stages in STAGES:
            blocks = []
            for repeats, kernel, stride, expansion, b in stages:
                for repeat in range(repeats):
                    blocks.append(features.Block(a, b, kernel, 1 if repeat else stride, expansion))
                    a = b
            self.parts.append(nn.Sequential(*blocks))
            taps.append(a)
        widths = [channels << level for level in range(len(taps))]
        self.channels = nn.ModuleList(
            nn.Conv2d(tap, b, 1) for tap, b in zip(taps, widths, strict=True)
        )
        self.scales = nn.ModuleList(
            nn.Conv2d(a, b, 1) for a, b in zip(widths, [channels, *widths[:-1]], strict=True)
        )

    def forward(self, x: Tensor) -> _Maps:
        if x.shape[-1] < RESOLUTION:
            x = interpolate(x, (RESOLUTION, RESOLUTION), mode="bilinear")
        x, maps = relu6(self.stem(x)), []
        for part, mix in zip(self.parts, self.channels, strict=True):
            x = part(x)
            maps.append(mix(x))
        below, mixed = None, []
        for x, mix in zip(reversed(maps), reversed(self.scales), strict=True):
            x = mix(x if below is None else x + below)
            below = interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
            mixed.append(below)
        return _Maps(*reversed(mixed))


def _head(a: int, width: int, blocks: int) -> nn.Module:
    """Halves the side of a map `blocks` times, and judges what is left."""
    layers: list[nn.Module] = []
    for block in range(blocks):
        b = width << (4 - blocks + block)
        layers += [_conv(a, b, 4, 2, 1), nn.BatchNorm2d(b), nn.LeakyReLU(0.2, True)]
        a = b
    return nn.Sequential(*layers, _conv(a, 1, 4))


class _Discriminator(nn.Module):
    """A head for each map, large to small, to all logits side by side."""

    def __init__(self, width: int):
        super().__init__()
        widths = (width, width, 2 * width, 4 * width)
        self.heads = nn.ModuleList(
            _head(a, width, blocks) for a, blocks in zip(widths, (4, 3, 2, 1), strict=True)
        )

    def forward(self, *maps: Tensor) -> Tensor:
        heads = zip(self.heads, maps, strict=True)
        return torch.cat([head(x).flatten(1) for head, x in heads], 1)


def projected(batch_size: int, width: int = 16, head: int = 32, side: int = 64) -> Twin:
    """One round of Projected GAN: D descends, then G against the new D; frozen weights are random.

    As a careful user writes it: G runs once a round, the fakes pass the frozen network once, with
    the graph that G's move needs, and D's kernels get no gradient in G's move.
    """
    torch.manual_seed(0)
    generator, judge = channels_last(_Generator(width, side)), channels_last(_Discriminator(head))
    pyramid = channels_last(_Pyramid(head)).eval().requires_grad_(False)
    g_opt, d_opt = (adam(net, 2e-4, (0.0, 0.99)) for net in (generator, judge))
    real = pictures(batch_size, 3, side)

    def play() -> Losses:
        maps = pyramid(generator(common.draw(batch_size, Z)))
        with torch.no_grad():
            real_maps = pyramid(real)
        d_opt.zero_grad()
        d_loss = relu(1 - judge(*real_maps)).mean()
        d_loss = d_loss + relu(1 + judge(*(x.detach() for x in maps))).mean()
        d_loss.backward()
        d_opt.step()
        judge.requires_grad_(False)
        g_opt.zero_grad()
        g_loss = -judge(*maps).mean()
        g_loss.backward()
        g_opt.step()
        judge.requires_grad_(True)
        return {"discriminator": d_loss.detach(), "generator": g_loss.detach()}

    return Twin(play, {"generator": generator, "discriminator": judge, "features": pyramid})
