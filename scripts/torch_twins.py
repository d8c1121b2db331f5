"""Plain PyTorch (CPU, channels_last) twins of the benchmark's rounds: the same arithmetic."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import nn
from torch.nn.functional import softplus


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


TWINS = {"dcgan": dcgan64}
