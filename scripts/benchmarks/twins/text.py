"""Twin of the game from captions to pictures: DF-GAN."""

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, leaky_relu, relu

from benchmarks.twins import common
from benchmarks.twins.common import Losses, Twin, adam, channels_last, pictures

LATENT, SENTENCE = 100, 384  # numbers of z and of a caption's embedding


def _act(x: Tensor) -> Tensor:
    """Leaky ReLU over its input, which must be new: a convolution's output, a product, a sum."""
    return leaky_relu(x, 0.2, inplace=True)


class _Affine(nn.Module):
    """Scale and shift maps by functions of the condition, initially the identity."""

    def __init__(self, condition: int, maps: int):
        super().__init__()
        self.gamma, self.beta = _function(condition, maps, 1.0), _function(condition, maps, 0.0)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        gamma, beta = (part(condition)[:, :, None, None] for part in (self.gamma, self.beta))
        return torch.addcmul(beta, gamma, x)


def _function(condition: int, maps: int, initial: float) -> nn.Module:
    """A perceptron that gives `initial` until it learns."""
    last = nn.Linear(maps, maps)
    nn.init.zeros_(last.weight)
    nn.init.constant_(last.bias, initial)
    return nn.Sequential(nn.Linear(condition, maps), nn.ReLU(True), last)


class _Fusion(nn.Module):
    """Affine, leaky ReLU, affine, leaky ReLU."""

    def __init__(self, condition: int, maps: int):
        super().__init__()
        self.affines = nn.ModuleList(_Affine(condition, maps) for _ in range(2))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        for affine in self.affines:
            x = _act(affine(x, condition))
        return x


class _Up(nn.Module):
    """Double the side; the first fusion and the shortcut's 1x1 come before that, as they can."""

    def __init__(self, condition: int, a: int, b: int):
        super().__init__()
        self.fusion0, self.conv0 = _Fusion(condition, a), nn.Conv2d(a, b, 3, 1, 1)
        self.fusion1, self.conv1 = _Fusion(condition, b), nn.Conv2d(b, b, 3, 1, 1)
        self.shortcut = nn.Identity() if a == b else nn.Conv2d(a, b, 1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        y = self.conv0(interpolate(self.fusion0(x, condition), scale_factor=2))
        y = self.conv1(self.fusion1(y, condition))
        return interpolate(self.shortcut(x), scale_factor=2) + y


class _Generator(nn.Module):
    """Latent and sentence to pictures; `widths` are those of the maps, from 4 px on."""

    def __init__(self, widths: list[int]):
        super().__init__()
        self.project = nn.Linear(LATENT, 16 * widths[0])
        blocks = (_Up(LATENT + SENTENCE, a, b) for a, b in pairwise(widths))
        self.blocks = nn.ModuleList(blocks)
        self.out = nn.Conv2d(widths[-1], 3, 3, 1, 1)

    def forward(self, z: Tensor, sentence: Tensor) -> Tensor:
        condition = torch.cat([z, sentence], 1)
        x = self.project(z).reshape(len(z), 4, 4, -1).permute(0, 3, 1, 2)  # channels last
        for block in self.blocks:
            x = block(x, condition)
        return torch.tanh(self.out(_act(x)))


class _Down(nn.Module):
    """Halve the side; a branch times gamma, initially 0, is added to a shortcut."""

    def __init__(self, a: int, b: int):
        super().__init__()
        self.conv0 = nn.Conv2d(a, b, 4, 2, 1, bias=False)
        self.conv1 = nn.Conv2d(b, b, 3, 1, 1, bias=False)
        self.shortcut = nn.Identity() if a == b else nn.Conv2d(a, b, 1)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        y = _act(self.conv1(_act(self.conv0(x))))
        return torch.addcmul(self.shortcut(avg_pool2d(x, 2)), self.gamma, y)


def _encoder(widths: list[int]) -> nn.Module:
    """Pictures to the maps of 4x4 that are judged; `widths` are the maps', from 4 px on."""
    sizes = widths[::-1]
    blocks = (_Down(a, b) for a, b in pairwise(sizes))
    return nn.Sequential(nn.Conv2d(3, sizes[0], 3, 1, 1), *blocks)


class _Head(nn.Module):
    """Maps of 4x4 and a sentence, repeated at each pixel, to a logit."""

    def __init__(self, maps: int, width: int):
        super().__init__()
        self.joint = nn.Conv2d(maps + SENTENCE, 2 * width, 3, 1, 1, bias=False)
        self.out = nn.Conv2d(2 * width, 1, 4, bias=False)

    def forward(self, x: Tensor, sentence: Tensor) -> Tensor:
        sentence = sentence[:, :, None, None].expand(-1, -1, 4, 4)
        return self.out(_act(self.joint(torch.cat([x, sentence], 1)))).flatten()


def _sentences(count: int, side: int) -> Tensor:
    """The captions' embeddings [count SENTENCE] of the project's batch, drawn after its images."""
    random = np.random.default_rng(0)
    random.integers(0, 256, (count, side, side, 3))
    texts = random.normal(size=(count, SENTENCE)).astype(np.float32)
    return torch.from_numpy(texts).to(common.DEVICE)


def _others(count: int) -> Tensor:
    """Another example for each, as the project takes its caption for the wrong one: pairs swap."""
    rows = torch.arange(count, device=common.DEVICE)
    return rows ^ 1 if count % 2 == 0 else rows.roll(1)


def text_to_image(batch_size: int, width: int = 32, side: int = 64) -> Twin:
    """One round of DF-GAN, of at least two examples: hinge, and the penalty on matching pairs.

    As a careful user writes it: G runs once a round, the reals' maps are judged with the right
    caption, whose slope is penalised, and with a wrong one, and D's kernels get no gradient in G's
    move.
    """
    torch.manual_seed(0)
    widths = [width * min(2**level, 8) for level in range(side.bit_length() - 2)][::-1]
    generator = channels_last(_Generator(widths))
    encode, judge = _encoder(widths), _Head(widths[0], width)
    discriminator = channels_last(nn.ModuleList([encode, judge]))
    g_opt, d_opt = (adam(net, 1e-4, (0.0, 0.9)) for net in (generator, discriminator))
    real, text = pictures(batch_size, 3, side), _sentences(batch_size, side)
    wrong_text = text[_others(batch_size)]

    def d_loss_of(fake: Tensor) -> Tensor:
        x, s = (part.detach().requires_grad_(True) for part in (real, text))
        maps = encode.forward(x)
        right = judge.forward(maps, s)
        slopes = torch.autograd.grad(right.sum(), (x, s), create_graph=True)
        squares = sum(slope.square().flatten(1).sum(1) for slope in slopes)
        rejected = relu(1 + judge(encode(fake), text)) + relu(1 + judge(maps, wrong_text))
        return (relu(1 - right) + 0.5 * rejected + 2 * squares**3).mean()

    def play() -> Losses:
        fake = generator(common.draw(batch_size, LATENT), text)
        d_opt.zero_grad()
        d_loss = d_loss_of(fake.detach())
        d_loss.backward()
        d_opt.step()
        discriminator.requires_grad_(False)
        g_opt.zero_grad()
        g_loss = -judge(encode(fake), text).mean()
        g_loss.backward()
        g_opt.step()
        discriminator.requires_grad_(True)
        return {"discriminator": d_loss.detach(), "generator": g_loss.detach()}

    return Twin(play, {"generator": generator, "discriminator": discriminator})
