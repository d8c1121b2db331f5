"""Twins of the games between pictures: pix2pix and CycleGAN."""

import random
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss, leaky_relu, relu, softplus

from benchmarks.twins.common import Losses, Twin, adam, channels_last, pictures


class _Unet(nn.Module):
    """The U-Net of pix2pix, its layers in the project's order of making."""

    def __init__(self, width: int, depth: int, dropout: float):
        super().__init__()
        sizes = [width * min(2**level, 8) for level in range(depth)]
        geometry, self.depth, self.dropout = (4, 2, 1), depth, dropout
        normed = [0 < level < depth - 1 for level in range(depth)]
        self.down = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(([3, *sizes])[n], b, *geometry, bias=not normed[n]),
                nn.BatchNorm2d(b) if normed[n] else nn.Identity(),
            )
            for n, b in enumerate(sizes)
        )
        layers = []
        for level in range(depth - 1, 0, -1):
            a = sizes[level] * (1 if level == depth - 1 else 2)
            up = nn.ConvTranspose2d(a, sizes[level - 1], *geometry, bias=False)
            layers.append(nn.Sequential(up, nn.BatchNorm2d(sizes[level - 1])))
        self.up = nn.ModuleList(layers)
        self.out = nn.ConvTranspose2d(2 * width, 3, *geometry)

    def forward(self, x: Tensor) -> Tensor:
        maps = []
        for level, layer in enumerate(self.down):
            x = layer(leaky_relu(x, 0.2) if level else x)
            maps.append(x)
        maps.pop()
        for number, layer in enumerate(self.up):
            x = layer(relu(x))
            x = nn.functional.dropout(x, self.dropout) if number < 3 else x
            x = torch.cat([x, maps.pop()], 1)
        return torch.tanh(self.out(relu(x)))


def pix2pix(
    batch_size: int, width: int = 64, side: int = 256, dropout: float = 0.5, field: int = 70
) -> Twin:
    """One round of pix2pix: D on pairs, its loss halved, then G with 100 times the L1 error."""
    torch.manual_seed(0)
    generator = channels_last(_Unet(width, side.bit_length() - 1, dropout))
    discriminator = patch_gan(width, 6, nn.BatchNorm2d, {70: 3, 16: 1}[field])
    g_opt, d_opt = (adam(net, 2e-4, (0.5, 0.999)) for net in (generator, discriminator))
    x = y = pictures(batch_size, 3, side)

    def judge(y: Tensor) -> Tensor:
        return discriminator(torch.cat([y, x], 1))

    def play() -> Losses:
        fake = generator(x)
        d_opt.zero_grad()
        d_loss = 0.5 * (softplus(-judge(y)).mean() + softplus(judge(fake.detach())).mean())
        d_loss.backward()
        d_opt.step()
        discriminator.requires_grad_(False)
        g_opt.zero_grad()
        g_loss = softplus(-judge(fake)).mean() + 100 * l1_loss(fake, y)
        g_loss.backward()
        g_opt.step()
        discriminator.requires_grad_(True)
        return {"discriminator": d_loss.detach(), "generator": g_loss.detach()}

    return Twin(play, {"generator": generator, "discriminator": discriminator})


def _normed(layer: nn.Module, features: int) -> list[nn.Module]:
    return [layer, nn.InstanceNorm2d(features), nn.ReLU(True)]


class _Residual(nn.Module):
    """Two 3x3 convolutions with reflected borders and instance norm, added to their input."""

    def __init__(self, width: int):
        super().__init__()
        conv = [nn.Conv2d(width, width, 3, 1, 1, padding_mode="reflect", bias=False) for _ in "ab"]
        second = [conv[1], nn.InstanceNorm2d(width)]
        self.body = nn.Sequential(*_normed(conv[0], width), *second)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def translator(width: int = 64, blocks: int = 9) -> nn.Module:
    """CycleGAN's generator."""
    wide = {"padding": 3, "padding_mode": "reflect"}
    layers = _normed(nn.Conv2d(3, width, 7, bias=False, **wide), width)  # pyright: ignore
    for a, b in ((width, 2 * width), (2 * width, 4 * width)):
        layers += _normed(nn.Conv2d(a, b, 3, 2, 1, bias=False), b)
    layers += [_Residual(4 * width) for _ in range(blocks)]
    for a, b in ((4 * width, 2 * width), (2 * width, width)):
        layers += _normed(nn.ConvTranspose2d(a, b, 3, 2, 1, 1, bias=False), b)
    layers += [nn.Conv2d(width, 3, 7, **wide), nn.Tanh()]  # pyright: ignore
    return channels_last(nn.Sequential(*layers))


def patch_gan(
    width: int = 64,
    channels: int = 3,
    norm: Callable[[int], nn.Module] = nn.InstanceNorm2d,
    halvings: int = 3,
) -> nn.Module:
    """The discriminator of patches: the first layer, then `halvings` and the last one."""
    layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2, True)]
    for level in range(1, halvings + 1):
        a, b = width * 2 ** (level - 1), width * 2**level
        stride = 2 if level < halvings else 1
        layers += [nn.Conv2d(a, b, 4, stride, 1, bias=False), norm(b)]
        layers.append(nn.LeakyReLU(0.2, True))
    layers.append(nn.Conv2d(width * 2**halvings, 1, 4, 1, 1))
    return channels_last(nn.Sequential(*layers))


class _Pool:
    """Past fakes: one half of the time a stored one is shown, and the new one stored for it."""

    def __init__(self, size: int):
        self.size, self.stored = size, []

    def __call__(self, fakes: Tensor) -> Tensor:
        shown = []
        for fake in fakes.detach().clone():  # a CUDA graph writes over its outputs
            if len(self.stored) < self.size:
                self.stored.append(fake)
            elif random.random() < 0.5:
                place = random.randrange(self.size)
                fake, self.stored[place] = self.stored[place], fake
            shown.append(fake)
        return torch.stack(shown)


def cyclegan256(batch_size: int) -> Twin:
    """One round of CycleGAN at 256 px: both generators, then both discriminators on the pool."""
    torch.manual_seed(0)
    networks = {"x2y": translator(), "y2x": translator(), "d_x": patch_gan(), "d_y": patch_gan()}
    x2y, y2x, d_x, d_y = networks.values()
    judges = nn.ModuleList([d_x, d_y])
    g_opt = adam(nn.ModuleList([x2y, y2x]), 2e-4, (0.5, 0.999))
    d_opt = adam(judges, 2e-4, (0.5, 0.999))
    x = y = pictures(batch_size, 3, 256)
    pools = _Pool(50), _Pool(50)

    def play() -> Losses:
        judges.requires_grad_(False)
        g_opt.zero_grad()
        fake_y, fake_x = x2y(x), y2x(y)
        loss = (d_y(fake_y) - 1).square().mean() + (d_x(fake_x) - 1).square().mean()
        loss = loss + 10 * (l1_loss(y2x(fake_y), x) + l1_loss(x2y(fake_x), y))
        loss = loss + 5 * (l1_loss(x2y(y), y) + l1_loss(y2x(x), x))
        loss.backward()
        g_opt.step()
        judges.requires_grad_(True)
        d_opt.zero_grad()
        total = []
        for judge, real, fake, pool in ((d_x, x, fake_x, pools[0]), (d_y, y, fake_y, pools[1])):
            shown = pool(fake).to(memory_format=torch.channels_last)
            right = (judge(real) - 1).square().mean() + judge(shown).square().mean()
            (0.5 * right).backward()
            total.append(0.5 * right.detach())
        d_opt.step()
        return {"generator": loss.detach(), "discriminator": torch.stack(total).sum()}

    return Twin(play, networks)


def cyclegan_translate(batch_size: int) -> Twin:
    """A batch of 256 px through one generator."""
    torch.manual_seed(0)
    net = translator().eval()
    x = pictures(batch_size, 3, 256)

    def play() -> Losses:
        with torch.inference_mode():
            net(x)
        return {}

    return Twin(play, {"x2y": net})
