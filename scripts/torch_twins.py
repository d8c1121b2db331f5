"""Plain PyTorch (CPU, channels_last) twins of the benchmark's cases: the same arithmetic."""

import random
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import nn
from torch.nn.functional import (
    conv2d,
    conv_transpose2d,
    l1_loss,
    leaky_relu,
    linear,
    relu6,
    softplus,
)

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


def _fir(x: torch.Tensor, pad: tuple[int, int], gain: float = 1.0) -> torch.Tensor:
    """The filter [1 3 3 1] / 8 along both sides, a depthwise convolution."""
    one = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8.0
    kernel = (gain * torch.outer(one, one)).expand(x.shape[1], 1, 4, 4)
    return conv2d(nn.functional.pad(x, (*pad, *pad)), kernel, groups=x.shape[1])


def _act(x: torch.Tensor) -> torch.Tensor:
    return 2.0**0.5 * leaky_relu(x, 0.2)


class _Equal(nn.Module):
    """N(0, 1) weights, scaled when they are used, and a bias."""

    def __init__(self, *shape: int, rate: float = 1.0, bias: float | None = 0.0):
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(shape) / rate)
        self.scale, self.rate = rate / self.kernel[0].numel() ** 0.5, rate
        self.bias = None if bias is None else nn.Parameter(torch.full(shape[:1], bias))

    def weight(self) -> torch.Tensor:
        return self.scale * self.kernel

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        bias = None if self.bias is None else self.rate * self.bias
        if self.kernel.ndim == 2:
            return linear(x, self.weight(), bias)
        return conv2d(x, self.weight(), bias, padding=self.kernel.shape[-1] // 2)


class _Modulated(nn.Module):
    """A modulated convolution with activations scaled before and after, as the project has it."""

    def __init__(self, w: int, a: int, b: int, size: int, up: bool, demodulate: bool):
        super().__init__()
        self.style, self.conv = _Equal(a, w, bias=1.0), _Equal(b, a, size, size, bias=None)
        self.up, self.demodulate = up, demodulate

    def forward(self, x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        style, kernel = self.style(w), self.conv.weight()
        x = x * style[:, :, None, None]
        if self.up:
            x = _fir(conv_transpose2d(x, kernel.transpose(0, 1), stride=2), (1, 1), 4.0)
        else:
            x = conv2d(x, kernel, padding=kernel.shape[-1] // 2)
        if self.demodulate:
            squares = linear(style.square(), kernel.square().sum((2, 3)))
            x = x * (squares + 1e-8).rsqrt()[:, :, None, None]
        return x


class _Synthesis(nn.Module):
    def __init__(self, w: int, maps: int, last: int):
        super().__init__()
        self.const, self.last = nn.Parameter(torch.randn(1, maps, 4, 4)), last
        count = 2 * last + 1
        self.convs = nn.ModuleList(
            _Modulated(w, maps, maps, 3, n % 2 == 1, True) for n in range(count)
        )
        self.biases = nn.Parameter(torch.zeros(count, maps, 1, 1))
        self.noise = nn.Parameter(torch.zeros(count))
        self.pictures = nn.ModuleList(
            _Modulated(w, maps, 3, 1, False, False) for _ in range(last + 1)
        )
        self.shifts = nn.Parameter(torch.zeros(last + 1, 3, 1, 1))

    def forward(self, ws: torch.Tensor) -> torch.Tensor:
        x = self.const.expand(len(ws), -1, -1, -1).contiguous(memory_format=torch.channels_last)
        picture = torch.zeros(())
        for stage in range(self.last + 1):
            for n in range(max(0, 2 * stage - 1), 2 * stage + 1):
                x = self.convs[n](x, ws[:, n])
                x = x + self.noise[n] * torch.randn(len(x), 1, *x.shape[2:]) + self.biases[n]
                x = _act(x)
            new = self.pictures[stage](x, ws[:, 2 * stage + 1]) + self.shifts[stage]
            if stage:
                spread = torch.zeros(len(x), 3, *x.shape[2:])
                spread[:, :, ::2, ::2] = picture
                new = new + _fir(spread, (2, 1), 4.0)
            picture = new
        return picture


class _Residual(nn.Module):
    def __init__(self, maps: int):
        super().__init__()
        self.conv, self.down = _Equal(maps, maps, 3, 3), _Equal(maps, maps, 3, 3)
        self.skip = _Equal(maps, maps, 1, 1, bias=None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = conv2d(_fir(_act(self.conv(x)), (2, 2)), self.down.weight(), self.down.bias, stride=2)
        return 0.5**0.5 * (_act(y) + conv2d(_fir(x, (1, 1)), self.skip.weight(), stride=2))


class _Judge(nn.Module):
    def __init__(self, maps: int, last: int):
        super().__init__()
        self.look, self.conv = _Equal(maps, 3, 1, 1), _Equal(maps, maps + 1, 3, 3)
        self.blocks = nn.Sequential(*(_Residual(maps) for _ in range(last)))
        self.dense, self.out = _Equal(maps, 16 * maps), _Equal(1, maps)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.blocks(_act(self.look(x)))
        deviation = (x.reshape(4, -1, *x.shape[1:]).var(0, unbiased=False) + 1e-8).sqrt()
        deviation = deviation.mean((1, 2, 3)).repeat(4)[:, None, None, None]
        x = _act(self.conv(torch.cat([x, deviation.expand(-1, -1, 4, 4)], 1)))
        return self.out(_act(self.dense(x.flatten(1))))


def stylegan2(
    batch_size: int, w: int = 128, maps: int = 64, lazy: bool = False
) -> Callable[[], None]:
    """A round of StyleGAN2 at 64 px; with `lazy` sixteen, with R1 once and path length four times.

    As a careful user writes it: no gradient reaches the network that does not move.
    """
    torch.manual_seed(0)
    last, layers = 4, 10
    mapping = nn.ModuleList(_Equal(w, w, rate=0.01) for _ in range(8))
    synthesis, judge = _Synthesis(w, maps, last), _Judge(maps, last)
    synthesis = synthesis.to(memory_format=torch.channels_last)  # pyright: ignore
    judge = judge.to(memory_format=torch.channels_last)  # pyright: ignore
    g_opt = torch.optim.Adam([*mapping.parameters(), *synthesis.parameters()], 2e-3, (0.0, 0.99))
    d_opt = torch.optim.Adam(judge.parameters(), 2e-3, (0.0, 0.99))
    real = torch.rand(batch_size, 3, 64, 64) * 2 - 1
    real = real.to(memory_format=torch.channels_last)
    mean = torch.zeros(())

    def styles(count: int) -> torch.Tensor:
        both = []
        for _ in range(2):
            x = torch.randn(count, w)
            x = x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()
            for layer in mapping:
                x = _act(layer(x))
            both.append(x)
        cut = int(torch.randint(1, layers, ()))
        return torch.stack([both[0]] * cut + [both[1]] * (layers - cut), 1)

    def one(number: int) -> None:
        nonlocal mean
        judge.requires_grad_(True)
        with torch.no_grad():
            fake = synthesis(styles(batch_size))
        d_opt.zero_grad()
        (softplus(-judge(real)).mean() + softplus(judge(fake)).mean()).backward()
        d_opt.step()
        if lazy and number % 16 == 15:
            x = real.detach().requires_grad_(True)
            (slope,) = torch.autograd.grad(judge(x).sum(), x, create_graph=True)
            d_opt.zero_grad()
            (16 * 5.0 * slope.square().sum((1, 2, 3)).mean()).backward()
            d_opt.step()
        judge.requires_grad_(False)
        g_opt.zero_grad()
        softplus(-judge(synthesis(styles(batch_size)))).mean().backward()
        g_opt.step()
        if lazy and number % 4 == 3:
            ws = styles(batch_size // 2)
            x = synthesis(ws)
            (slope,) = torch.autograd.grad(
                (x * torch.randn_like(x)).sum() / 64, ws, create_graph=True
            )
            length = slope.square().sum(2).mean(1).sqrt()
            mean = (mean + 0.01 * (length.mean() - mean)).detach()
            g_opt.zero_grad()
            (8.0 * (length - mean).square().mean()).backward()
            g_opt.step()

    def play() -> None:
        for number in range(16 if lazy else 1):
            one(number)

    return play


def stylegan2_lazy(batch_size: int) -> Callable[[], None]:
    """Sixteen rounds of StyleGAN2 with its lazy moves."""
    return stylegan2(batch_size, lazy=True)


TWINS = {
    "stylegan2": stylegan2,
    "stylegan2_lazy": stylegan2_lazy,
    "dcgan": dcgan64,
    "features": features,
    "cyclegan": cyclegan256,
    "cyclegan_translate": cyclegan_translate,
}
