"""Twins of the style-based games: StyleGAN in its last stage and StyleGAN2."""

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, leaky_relu, linear, softplus

from benchmarks.twins import common
from benchmarks.twins.common import Losses, Twin, channels_last, pictures


class _Fir(nn.Module):
    """A filter along both sides, a depthwise convolution: [1 3 3 1] / 8 unless told otherwise."""

    kernel: Tensor

    def __init__(
        self,
        before: int,
        after: int,
        gain: float = 1.0,
        taps: tuple[float, ...] = (0.125, 0.375, 0.375, 0.125),
    ):
        super().__init__()
        one = torch.tensor(taps)
        self.register_buffer("kernel", gain * torch.outer(one, one)[None, None])
        self.pad = (before, after, before, after)

    def forward(self, x: Tensor) -> Tensor:
        kernel = self.kernel.expand(x.shape[1], -1, -1, -1)
        return conv2d(nn.functional.pad(x, self.pad), kernel, groups=x.shape[1])


def _act(x: Tensor) -> Tensor:
    return 2.0**0.5 * leaky_relu(x, 0.2)


class _Equal(nn.Module):
    """N(0, 1) weights, scaled when they are used, and a bias."""

    def __init__(self, *shape: int, rate: float = 1.0, bias: float | None = 0.0, gain: float = 1.0):
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(shape) / rate)
        self.scale, self.rate = gain * rate / self.kernel[0].numel() ** 0.5, rate
        self.bias = None if bias is None else nn.Parameter(torch.full(shape[:1], bias))

    def weight(self) -> Tensor:
        return self.scale * self.kernel

    def shift(self) -> Tensor | None:
        return None if self.bias is None else self.rate * self.bias

    def forward(self, x: Tensor) -> Tensor:
        if self.kernel.ndim == 2:
            return linear(x, self.weight(), self.shift())
        return conv2d(x, self.weight(), self.shift(), padding=self.kernel.shape[-1] // 2)


class _Modulated(nn.Module):
    """A modulated convolution with activations scaled before and after, as the project has it."""

    def __init__(self, w: int, a: int, b: int, size: int, up: bool, demodulate: bool):
        super().__init__()
        self.style, self.conv = _Equal(a, w, bias=1.0), _Equal(b, a, size, size, bias=None)
        self.demodulate, self.up = demodulate, _Fir(1, 1, 4.0) if up else None

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        style, kernel = self.style(w), self.conv.weight()
        x = x * style[:, :, None, None]
        if self.up is not None:
            x = self.up(conv_transpose2d(x, kernel.transpose(0, 1), stride=2))
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
        self.spread = _Fir(2, 1, 4.0)

    def forward(self, ws: Tensor) -> Tensor:
        x = self.const.expand(len(ws), -1, -1, -1).contiguous(memory_format=torch.channels_last)
        picture = x  # until the first stage has one
        for stage in range(self.last + 1):
            for n in range(max(0, 2 * stage - 1), 2 * stage + 1):
                x = self.convs[n](x, ws[:, n])
                x = x + self.noise[n] * common.draw(len(x), 1, *x.shape[2:]) + self.biases[n]
                x = _act(x)
            new = self.pictures[stage](x, ws[:, 2 * stage + 1]) + self.shifts[stage]
            if stage:
                spread = new.new_zeros(len(x), 3, *x.shape[2:])
                spread[:, :, ::2, ::2] = picture
                new = new + self.spread(spread)
            picture = new
        return picture


class _Residual(nn.Module):
    def __init__(self, maps: int):
        super().__init__()
        self.conv, self.down = _Equal(maps, maps, 3, 3), _Equal(maps, maps, 3, 3)
        self.skip = _Equal(maps, maps, 1, 1, bias=None)
        self.wide, self.narrow = _Fir(2, 2), _Fir(1, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = conv2d(self.wide(_act(self.conv(x))), self.down.weight(), self.down.bias, stride=2)
        return 0.5**0.5 * (_act(y) + conv2d(self.narrow(x), self.skip.weight(), stride=2))


class _Judge(nn.Module):
    def __init__(self, maps: int, last: int):
        super().__init__()
        self.look, self.conv = _Equal(maps, 3, 1, 1), _Equal(maps, maps + 1, 3, 3)
        self.blocks = nn.Sequential(*(_Residual(maps) for _ in range(last)))
        self.dense, self.out = _Equal(maps, 16 * maps), _Equal(1, maps)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(_act(self.look(x)))
        x = _act(self.conv(_with_deviation(x)))
        return self.out(_act(self.dense(x.flatten(1))))


class _Mapping(nn.Module):
    """The mapping network, and the styles of two latents mixed at a random layer."""

    def __init__(self, w: int, layers: int, gain: float):
        super().__init__()
        self.dense = nn.ModuleList(_Equal(w, w, rate=0.01, gain=gain) for _ in range(8))
        self.w, self.layers, self.after = w, layers, 2.0**0.5 / gain

    def forward(self, count: int) -> Tensor:
        both = []
        for _ in range(2):
            x = common.draw(count, self.w)
            x = x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()
            for layer in self.dense:
                x = self.after * leaky_relu(layer(x), 0.2)
            both.append(x)
        cut = torch.randint(1, self.layers, (), device=x.device)  # not an int: no wait for the GPU
        first = (torch.arange(self.layers, device=x.device) < cut)[:, None]
        return torch.where(first, both[0][:, None], both[1][:, None])


def stylegan2(
    batch_size: int,
    w: int = 128,
    maps: int = 64,
    lazy: bool = False,
    side: int = 64,
) -> Twin:
    """A round of StyleGAN2; with `lazy` sixteen, with R1 once and path length four times.

    As a careful user writes it: no gradient reaches the network that does not move.
    """
    torch.manual_seed(0)
    last = side.bit_length() - 3
    mapping, synthesis = _Mapping(w, 2 * last + 2, 1.0), _Synthesis(w, maps, last)
    generator, judge = channels_last(nn.ModuleList([mapping, synthesis])), _Judge(maps, last)
    judge = channels_last(judge)
    g_opt = common.adam(generator, 2e-3, (0.0, 0.99))
    d_opt = common.adam(judge, 2e-3, (0.0, 0.99))
    real = pictures(batch_size, 3, side)
    mean = torch.zeros(())

    def one(number: int) -> Losses:
        nonlocal mean
        judge.requires_grad_(True)
        with torch.no_grad():
            fake = synthesis(mapping(batch_size))
        d_opt.zero_grad()
        d_loss = softplus(-judge(real)).mean() + softplus(judge(fake)).mean()
        d_loss.backward()
        d_opt.step()
        if lazy and number % 16 == 15:
            x = real.detach().requires_grad_(True)
            (slope,) = torch.autograd.grad(judge.forward(x).sum(), x, create_graph=True)
            d_opt.zero_grad()
            (16 * 5.0 * slope.square().sum((1, 2, 3)).mean()).backward()
            d_opt.step()
        judge.requires_grad_(False)
        g_opt.zero_grad()
        g_loss = softplus(-judge(synthesis(mapping(batch_size)))).mean()
        g_loss.backward()
        g_opt.step()
        if lazy and number % 4 == 3:
            ws = mapping(batch_size // 2)
            x = synthesis.forward(ws)
            pull = (x * common.draw(*x.shape)).sum() / side
            (slope,) = torch.autograd.grad(pull, ws, create_graph=True)
            length = slope.square().sum(2).mean(1).sqrt()
            mean = (mean + 0.01 * (length.mean() - mean)).detach()
            g_opt.zero_grad()
            (8.0 * (length - mean).square().mean()).backward()
            g_opt.step()
        return {"discriminator": d_loss.detach(), "generator": g_loss.detach()}

    def play() -> Losses:
        losses: Losses = {}
        for number in range(16 if lazy else 1):
            losses = one(number)
        return losses

    return Twin(play, {"generator": generator, "discriminator": judge})


def stylegan2_lazy(batch_size: int) -> Twin:
    """Sixteen rounds of StyleGAN2 with its lazy moves."""
    return stylegan2(batch_size, lazy=True)


ROOT_2 = 2.0**0.5


def _blur() -> _Fir:
    """The binomial filter [1 2 1] / 4."""
    return _Fir(1, 1, taps=(0.25, 0.5, 0.25))


def _spread(kernel: Tensor) -> Tensor:
    """A 3x3 kernel convolved with 2x2 ones: 4x4."""
    kernel = nn.functional.pad(kernel, (1, 1, 1, 1))
    kernel = kernel[:, :, 1:] + kernel[:, :, :-1]
    return kernel[:, :, :, 1:] + kernel[:, :, :, :-1]


class _Finish(nn.Module):
    """What follows a convolution of StyleGAN: noise, bias, leaky ReLU, norm and style."""

    def __init__(self, w: int, maps: int):
        super().__init__()
        self.noise = nn.Parameter(torch.zeros(maps))
        self.bias = nn.Parameter(torch.zeros(maps))
        self.style = _Equal(2 * maps, w)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        noise = self.noise[:, None, None] * common.draw(len(x), 1, *x.shape[2:])
        x = leaky_relu(x + noise + self.bias[:, None, None], 0.2)
        x = x - x.mean((2, 3), keepdim=True)
        x = x * (x.square().mean((2, 3), keepdim=True) + 1e-8).rsqrt()
        scale, shift = self.style(w)[:, :, None, None].chunk(2, 1)
        return x * (scale + 1.0) + shift


class _Styled(nn.Module):
    """StyleGAN's synthesis at its last resolution; smaller pictures' layers rest."""

    def __init__(self, w: int, maps: list[int]):
        super().__init__()
        self.const = nn.Parameter(torch.ones(1, maps[0], 4, 4))
        self.maps = maps
        self.convs, self.finishes = nn.ModuleList(), nn.ModuleList()
        for stage, b in enumerate(maps):
            for layer in (2 * stage, 2 * stage + 1):
                a = maps[stage - 1] if stage and layer == 2 * stage else b
                kernel = _Equal(b, a, 3, 3, bias=None, gain=ROOT_2)
                self.convs.append(kernel if layer else nn.Identity())
                self.finishes.append(_Finish(w, b))
        self.pictures = nn.ModuleList(_Equal(3, b, 1, 1) for b in maps)
        self.blur = _blur()

    def forward(self, ws: Tensor) -> Tensor:
        x = self.const.expand(len(ws), -1, -1, -1).contiguous(memory_format=torch.channels_last)
        for n, (conv, finish) in enumerate(zip(self.convs, self.finishes, strict=True)):
            if n and n % 2 == 0:
                spread = _spread(conv.weight().flip(2, 3)).transpose(0, 1)
                x = self.blur(conv_transpose2d(x, spread, stride=2, padding=1))
            elif n:
                x = conv(x)
            x = finish(x, ws[:, n])
        return self.pictures[-1](x)


class _Critic(nn.Module):
    """StyleGAN's discriminator at its last resolution."""

    def __init__(self, maps: list[int]):
        super().__init__()
        self.looks = nn.ModuleList(_Equal(b, 3, 1, 1, gain=ROOT_2) for b in maps)
        self.convs = nn.ModuleList(_Equal(b, b, 3, 3, gain=ROOT_2) for b in maps[:0:-1])
        self.downs = nn.ModuleList(
            _Equal(maps[n - 1], maps[n], 3, 3, gain=ROOT_2) for n in range(len(maps) - 1, 0, -1)
        )
        self.conv = _Equal(maps[0], maps[0] + 1, 3, 3, gain=ROOT_2)
        self.dense = _Equal(maps[0], 16 * maps[0], gain=ROOT_2)
        self.out, self.blur = _Equal(1, maps[0]), _blur()

    def forward(self, x: Tensor) -> Tensor:
        x = leaky_relu(self.looks[-1](x), 0.2)
        for conv, down in zip(self.convs, self.downs, strict=True):
            x = self.blur(leaky_relu(conv(x), 0.2))
            x = conv2d(x, 0.25 * _spread(down.weight()), down.bias, stride=2, padding=1)
            x = leaky_relu(x, 0.2)
        x = leaky_relu(self.conv(_with_deviation(x)), 0.2)
        return self.out(leaky_relu(self.dense(x.flatten(1)), 0.2))


def _with_deviation(x: Tensor) -> Tensor:
    """One map more: the standard deviation over groups of four pictures, averaged."""
    deviation = (x.reshape(4, -1, *x.shape[1:]).var(0, unbiased=False) + 1e-8).sqrt()
    deviation = deviation.mean((1, 2, 3)).repeat(4)[:, None, None, None]
    return torch.cat([x, deviation.expand(-1, -1, *x.shape[2:])], 1)


def stylegan(
    batch_size: int, w: int = 128, maps: tuple[int, ...] = (64, 64, 64, 64, 32), r1: float = 10.0
) -> Twin:
    """A round of StyleGAN at the resolution of its last `maps`, with R1."""
    torch.manual_seed(0)
    side = 4 << (len(maps) - 1)
    mapping, synthesis = _Mapping(w, 2 * len(maps), ROOT_2), _Styled(w, list(maps))
    generator = channels_last(nn.ModuleList([mapping, synthesis]))
    critic = channels_last(_Critic(list(maps)))
    g_opt = common.adam(generator, 1e-3, (0.0, 0.99))
    d_opt = common.adam(critic, 1e-3, (0.0, 0.99))
    real = pictures(batch_size, 3, side)

    def play() -> Losses:
        critic.requires_grad_(True)
        with torch.no_grad():
            fake = synthesis(mapping(batch_size))
        d_opt.zero_grad()
        x = real.detach().requires_grad_(True)
        logits = critic.forward(x)
        (slope,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
        d_loss = softplus(-logits).mean() + softplus(critic(fake)).mean()
        d_loss = d_loss + 0.5 * r1 * slope.square().sum((1, 2, 3)).mean()
        d_loss.backward()
        d_opt.step()
        critic.requires_grad_(False)
        g_opt.zero_grad()
        g_loss = softplus(-critic(synthesis(mapping(batch_size)))).mean()
        g_loss.backward()
        g_opt.step()
        return {"discriminator": d_loss.detach(), "generator": g_loss.detach()}

    return Twin(play, {"generator": generator, "discriminator": critic})
