"""Plain PyTorch (CPU, channels_last) twins of the benchmark's cases: the same arithmetic."""

import random
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import nn
from torch.nn.functional import l1_loss, relu6, softplus

from gan_jax.networks import efficientnet


def dcgan64(batch_size: int, z: int = 100, width: int = 64) -> Callable[[], None]:
    """One round of a DCGAN at 64 px: D descends on reals and fakes, then G against the new D.

    As a careful user writes it: G runs once a round, and D's kernels get no gradient in G's move.
    """
    torch.manual_seed(0)
    ups = [z, 8 * width, 4 * width, 2 * width, width, 3]
    layers: list[nn.Module] = []
    for number, (a, b) in enumerate(pairwise(ups)):
        stride, padding = (1, 0) if number == 0 else (2, 1)
        layers.append(nn.ConvTranspose2d(a, b, 4, stride, padding, bias=False))
        layers += [nn.BatchNorm2d(b), nn.ReLU(True)] if b != 3 else [nn.Tanh()]
    generator = nn.Sequential(*layers).to(memory_format=torch.channels_last)  # pyright: ignore
    downs = [3, width, 2 * width, 4 * width, 8 * width]
    layers = []
    for number, (a, b) in enumerate(pairwise(downs)):
        layers.append(nn.Conv2d(a, b, 4, 2, 1, bias=False))
        layers += [nn.BatchNorm2d(b)] if number else []
        layers.append(nn.LeakyReLU(0.2, True))
    layers.append(nn.Conv2d(8 * width, 1, 4, 1, 0, bias=False))
    discriminator = nn.Sequential(*layers).to(memory_format=torch.channels_last)  # pyright: ignore
    g_opt = torch.optim.Adam(generator.parameters(), 2e-4, (0.5, 0.999))
    d_opt = torch.optim.Adam(discriminator.parameters(), 2e-4, (0.5, 0.999))
    real = torch.rand(batch_size, 3, 64, 64) * 2 - 1
    real = real.to(memory_format=torch.channels_last)

    def play() -> None:
        fake = generator(torch.randn(batch_size, z, 1, 1))
        d_opt.zero_grad()
        loss = softplus(-discriminator(real)).mean() + softplus(discriminator(fake.detach())).mean()
        loss.backward()
        d_opt.step()
        discriminator.requires_grad_(False)
        g_opt.zero_grad()
        softplus(-discriminator(fake)).mean().backward()
        g_opt.step()
        discriminator.requires_grad_(True)

    return play


class _Block(nn.Module):
    """EfficientNet-Lite0's inverted residual, its batch norms folded into the convolutions."""

    def __init__(self, a: int, b: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        wide, self.residual = expansion * a, stride == 1 and a == b
        self.expand = nn.Conv2d(a, wide, 1) if expansion != 1 else None
        self.depthwise = nn.Conv2d(wide, wide, kernel, stride, kernel // 2, groups=wide)
        self.project = nn.Conv2d(wide, b, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x if self.expand is None else relu6(self.expand(x))
        y = self.project(relu6(self.depthwise(y)))
        return x + y if self.residual else y


def features(batch_size: int) -> Callable[[], None]:
    """A batch through EfficientNet-Lite0 at 224 px, to pooled features and logits."""
    torch.manual_seed(0)
    stages = efficientnet.STAGES
    blocks, before = [], 32
    for repeats, kernel, stride, expansion, width in stages:
        for repeat in range(repeats):
            blocks.append(_Block(before, width, kernel, 1 if repeat else stride, expansion))
            before = width
    stem, head = nn.Conv2d(3, 32, 3, 2, 1), nn.Conv2d(before, 1280, 1)
    logits = nn.Linear(1280, 1000)
    body = nn.Sequential(stem, nn.ReLU6(), *blocks, head, nn.ReLU6())
    body = body.to(memory_format=torch.channels_last).eval()  # pyright: ignore
    images = torch.randint(0, 256, (batch_size, 3, 224, 224), dtype=torch.uint8)
    images = images.to(memory_format=torch.channels_last)

    def play() -> None:
        with torch.inference_mode():
            x = body((images.float() - 127.0) / 128.0).mean((2, 3))
            logits(x)

    return play


def _normed(layer: nn.Module, features: int) -> list[nn.Module]:
    return [layer, nn.InstanceNorm2d(features), nn.ReLU(True)]


class _Residual(nn.Module):
    """Two 3x3 convolutions with reflected borders and instance norm, added to their input."""

    def __init__(self, width: int):
        super().__init__()
        conv = [nn.Conv2d(width, width, 3, 1, 1, padding_mode="reflect", bias=False) for _ in "ab"]
        second = [conv[1], nn.InstanceNorm2d(width)]
        self.body = nn.Sequential(*_normed(conv[0], width), *second)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x)


def _translator(width: int = 64, blocks: int = 9) -> nn.Module:
    wide = {"padding": 3, "padding_mode": "reflect"}
    layers = _normed(nn.Conv2d(3, width, 7, bias=False, **wide), width)  # pyright: ignore
    for a, b in ((width, 2 * width), (2 * width, 4 * width)):
        layers += _normed(nn.Conv2d(a, b, 3, 2, 1, bias=False), b)
    layers += [_Residual(4 * width) for _ in range(blocks)]
    for a, b in ((4 * width, 2 * width), (2 * width, width)):
        layers += _normed(nn.ConvTranspose2d(a, b, 3, 2, 1, 1, bias=False), b)
    layers += [nn.Conv2d(width, 3, 7, **wide), nn.Tanh()]  # pyright: ignore
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)  # pyright: ignore


def _patches(width: int = 64) -> nn.Module:
    layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2, True)]
    for level, stride in ((1, 2), (2, 2), (3, 1)):
        a, b = width * 2 ** (level - 1), width * 2**level
        layers += [nn.Conv2d(a, b, 4, stride, 1, bias=False), nn.InstanceNorm2d(b)]
        layers.append(nn.LeakyReLU(0.2, True))
    layers.append(nn.Conv2d(8 * width, 1, 4, 1, 1))
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)  # pyright: ignore


class _Pool:
    """Past fakes: one half of the time a stored one is shown, and the new one stored for it."""

    def __init__(self, size: int):
        self.size, self.stored = size, []

    def __call__(self, fakes: torch.Tensor) -> torch.Tensor:
        shown = []
        for fake in fakes.detach():
            if len(self.stored) < self.size:
                self.stored.append(fake)
            elif random.random() < 0.5:
                place = random.randrange(self.size)
                fake, self.stored[place] = self.stored[place], fake
            shown.append(fake)
        return torch.stack(shown)


def cyclegan256(batch_size: int) -> Callable[[], None]:
    """One round of CycleGAN at 256 px: both generators, then both discriminators on the pool."""
    torch.manual_seed(0)
    x2y, y2x, d_x, d_y = _translator(), _translator(), _patches(), _patches()
    judges = [*d_x.parameters(), *d_y.parameters()]
    g_opt = torch.optim.Adam([*x2y.parameters(), *y2x.parameters()], 2e-4, (0.5, 0.999))
    d_opt = torch.optim.Adam(judges, 2e-4, (0.5, 0.999))
    x, y = (
        (torch.rand(batch_size, 3, 256, 256) * 2 - 1).to(memory_format=torch.channels_last)
        for _ in "xy"
    )
    pools = _Pool(50), _Pool(50)

    def play() -> None:
        for parameter in judges:
            parameter.requires_grad_(False)
        g_opt.zero_grad()
        fake_y, fake_x = x2y(x), y2x(y)
        loss = (d_y(fake_y) - 1).square().mean() + (d_x(fake_x) - 1).square().mean()
        loss = loss + 10 * (l1_loss(y2x(fake_y), x) + l1_loss(x2y(fake_x), y))
        loss = loss + 5 * (l1_loss(x2y(y), y) + l1_loss(y2x(x), x))
        loss.backward()
        g_opt.step()
        for parameter in judges:
            parameter.requires_grad_(True)
        d_opt.zero_grad()
        for judge, real, fake, pool in ((d_x, x, fake_x, pools[0]), (d_y, y, fake_y, pools[1])):
            shown = pool(fake).to(memory_format=torch.channels_last)
            right = (judge(real) - 1).square().mean() + judge(shown).square().mean()
            (0.5 * right).backward()
        d_opt.step()

    return play


def cyclegan_translate(batch_size: int) -> Callable[[], None]:
    """A batch of 256 px through one generator."""
    torch.manual_seed(0)
    net = _translator().eval()
    x = (torch.rand(batch_size, 3, 256, 256) * 2 - 1).to(memory_format=torch.channels_last)

    def play() -> None:
        with torch.inference_mode():
            net(x)

    return play


TWINS = {
    "dcgan": dcgan64,
    "features": features,
    "cyclegan": cyclegan256,
    "cyclegan_translate": cyclegan_translate,
}
