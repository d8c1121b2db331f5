"""Twins of the games from noise without styles: perceptrons, DCGAN, with labels, and the VAE."""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from benchmarks.twins import common
from benchmarks.twins.common import Losses, Twin, adam, channels_last, duel, pictures


def mlp(
    batch_size: int,
    z: int = 64,
    up: tuple[int, ...] = (256, 512),
    down: tuple[int, ...] = (512, 256),
    side: int = 28,
) -> Twin:
    """One round of the textbook's perceptrons on grey pictures."""
    torch.manual_seed(0)
    size = side * side
    generator = _perceptron((z, *up, size), nn.ReLU(True), nn.Tanh())
    discriminator = _perceptron((size, *down, 1), nn.LeakyReLU(0.2, True), nn.Identity())
    real = pictures(batch_size, 1, side).reshape(batch_size, size)
    return duel(
        generator,
        discriminator,
        lambda: generator(common.draw(batch_size, z)),
        lambda x: discriminator(x)[:, 0],
        real,
    )


def _perceptron(sizes: tuple[int, ...], hidden: nn.Module, out: nn.Module) -> nn.Module:
    layers: list[nn.Module] = []
    for a, b in pairwise(sizes):
        layers += [nn.Linear(a, b), hidden]
    return nn.Sequential(*layers[:-1], out)


def _generator(z: int, base: int, widths: list[int]) -> nn.Module:
    """DCGAN's, from z to a map of base x base; `widths` end with the picture's channels."""
    layers: list[nn.Module] = []
    for number, (a, b) in enumerate(pairwise([z, *widths])):
        size, stride, padding = (4, 2, 1) if number else (base, 1, 0)
        layers.append(nn.ConvTranspose2d(a, b, size, stride, padding, bias=False))
        layers += [nn.BatchNorm2d(b), nn.ReLU(True)]
    return channels_last(nn.Sequential(*layers[:-2], nn.Tanh()))


def _discriminator(base: int, widths: list[int], outputs: int = 1) -> nn.Module:
    """DCGAN's, or an encoder of `outputs` numbers; `widths` begin with the picture's channels."""
    layers: list[nn.Module] = []
    for number, (a, b) in enumerate(pairwise(widths)):
        layers.append(nn.Conv2d(a, b, 4, 2, 1, bias=False))
        layers += [nn.BatchNorm2d(b)] if number else []
        layers.append(nn.LeakyReLU(0.2, True))
    layers.append(nn.Conv2d(widths[-1], outputs, base, 1, 0, bias=False))
    return channels_last(nn.Sequential(*layers))


def dcgan(
    batch_size: int,
    z: int = 100,
    width: int = 64,
    side: int = 64,
    channels: int = 3,
    r1: float = 0.0,
) -> Twin:
    """One round of a DCGAN: D descends on reals and fakes, then G against the new D.

    With `r1` D's loss has R1 on the reals, by the finite difference along noise of step 0.01.
    """
    torch.manual_seed(0)
    widths = _widths(side, width)
    generator = _generator(z, 4, [*reversed(widths), channels])
    discriminator = _discriminator(4, [channels, *widths])
    real = pictures(batch_size, channels, side)

    def judge(x: Tensor) -> Tensor:
        return discriminator(x).flatten()

    def penalty(logits: Tensor) -> Tensor:
        noise = common.channels_last_tensor(common.draw(batch_size, side, side, channels))
        slope = (judge(real + 0.01 * noise) - logits) / 0.01
        return 0.5 * r1 * slope.square().mean()

    return duel(
        generator,
        discriminator,
        lambda: generator(common.draw(batch_size, z)[:, :, None, None]),
        judge,
        real,
        penalty if r1 else None,
    )


def dcgan_r1(batch_size: int, width: int = 64, side: int = 64) -> Twin:
    """The same with R1 in every round."""
    return dcgan(batch_size, width=width, side=side, r1=10.0)


def _widths(side: int, width: int, base: int = 4) -> list[int]:
    return [width << stage for stage in range(int(math.log2(side // base)))]


def cgan(batch_size: int, z: int = 64, width: int = 64, classes: int = 10) -> Twin:
    """One round of a DCGAN on 28 grey px that sees the label beside latent and picture."""
    torch.manual_seed(0)
    widths = _widths(28, width, 7)
    generator = _generator(z + classes, 7, [*reversed(widths), 1])
    discriminator = _discriminator(7, [1 + classes, *widths])
    label = torch.eye(classes)[torch.arange(batch_size) % classes]
    maps = label[:, :, None, None].expand(-1, -1, 28, 28)

    def fakes() -> Tensor:
        x = torch.cat([common.draw(batch_size, z), label], 1)
        return generator(x[:, :, None, None])

    return duel(
        generator,
        discriminator,
        fakes,
        lambda x: discriminator(torch.cat([x, maps], 1)).flatten(),
        pictures(batch_size, 1, 28),
    )


def vae(
    batch_size: int,
    z: int = 64,
    width: int = 64,
    side: int = 32,
    channels: int = 3,
    scale: float = 0.2,
) -> Twin:
    """One round of a VAE of DCGAN's networks with a Gaussian likelihood."""
    torch.manual_seed(0)
    widths = _widths(side, width)
    decoder = _generator(z, 4, [*reversed(widths), channels])
    encoder = _discriminator(4, [channels, *widths], 2 * z)
    opt = adam(nn.ModuleList([decoder, encoder]), 1e-3, (0.9, 0.999))
    x = pictures(batch_size, channels, side)

    def play() -> Losses:
        opt.zero_grad()
        mean, log_variance = encoder(x).flatten(1).chunk(2, 1)
        latent = mean + (0.5 * log_variance).exp() * common.draw(batch_size, z)
        decoded = decoder(latent[:, :, None, None])
        terms = ((x - decoded) / scale).square() + math.log(2 * math.pi * scale**2)
        kl = mean.square() + log_variance.exp() - 1 - log_variance
        loss = 0.5 * (terms.sum((1, 2, 3)).mean() + kl.sum(1).mean())
        loss.backward()
        opt.step()
        return {"vae": loss.detach()}

    return Twin(play, {"generator": decoder, "encoder": encoder})
