"""Twin of the contrastive game between pictures: CUT."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.twins import common
from benchmarks.twins.common import Losses, Twin, adam, pictures
from benchmarks.twins.translators import patch_gan, translator


class _Seen(NamedTuple):
    """Maps of a picture, and its translation if it was translated."""

    maps: list[Tensor]
    translation: Tensor | None = None

    def float(self) -> "_Seen":
        """The translation in float32: `opponents` asks for it where networks are in bfloat16."""
        return self if self.translation is None else _Seen(self.maps, self.translation.float())


class _Generator(nn.Sequential):
    """CycleGAN's generator, which also gives the maps that CUT compares.

    Of a picture that is translated the maps are constants; otherwise the last map ends the pass.
    """

    def __init__(self, width: int, blocks: int):
        super().__init__(*translator(width, blocks))
        self.mapped = (3, 6, 9, 9 + min(4, blocks - 1))  # both halvings, blocks 1 and 5 (or last)

    def forward(self, x: Tensor, translate: bool = True) -> _Seen:
        maps = [x]
        for number, layer in enumerate(self):
            x = layer(x)
            if number in self.mapped:
                maps.append(x.detach() if translate else x)
            if number == self.mapped[-1] and not translate:
                return _Seen(maps)
        return _Seen(maps, x)


class _Head(nn.Sequential):
    """A perceptron from the vectors of one map to unit vectors."""

    def __init__(self, channels: int, size: int = 256):
        super().__init__(nn.Linear(channels, size), nn.ReLU(True), nn.Linear(size, size))

    def forward(self, x: Tensor) -> Tensor:
        x = super().forward(x).float()
        return x / (x.norm(dim=-1, keepdim=True) + 1e-7)


def _vectors(maps: Tensor, positions: Tensor) -> Tensor:
    """Take the vectors [b n c] at each example's positions [b n]."""
    positions = positions[:, None].expand(-1, maps.shape[1], -1)
    return maps.flatten(2).gather(2, positions).transpose(1, 2)


def _contrast(head: nn.Module, queries: Tensor, keys: Tensor, patches: int) -> Tensor:
    """PatchNCE of a map: each query's key among those at the other positions of its image."""
    size = queries.shape[2] * queries.shape[3]
    positions = common.draw(len(queries), size).topk(min(patches, size), 1).indices
    query = head(_vectors(queries, positions))
    with torch.no_grad():
        key = head(_vectors(keys, positions))
    logits = query @ key.transpose(1, 2) / 0.07
    own = torch.arange(logits.shape[2], device=logits.device).repeat(len(logits))
    return cross_entropy(logits.flatten(0, 1), own)


def cut(
    batch_size: int, width: int = 64, blocks: int = 9, side: int = 256, patches: int = 256
) -> Twin:
    """One round of CUT: D, its loss halved, then G and the heads.

    x and y are translated as one batch, as in the authors' code.
    """
    torch.manual_seed(0)
    x2y, d_y = _Generator(width, blocks), patch_gan(width)
    channels = [3, 2 * width, 4 * width, *[4 * width] * min(blocks, 2)]
    heads = nn.ModuleList(_Head(c) for c in channels)
    g_opt = adam(nn.ModuleList([x2y, heads]), 2e-4, (0.5, 0.999))
    d_opt = adam(d_y, 2e-4, (0.5, 0.999))
    x = y = pictures(batch_size, 3, side)

    def play() -> Losses:
        keys, both = x2y(torch.cat([x, y]))
        fake = both[:batch_size]
        d_opt.zero_grad()
        d_loss = 0.5 * ((d_y(y) - 1).square().mean() + d_y(fake.detach()).square().mean())
        d_loss.backward()
        d_opt.step()
        d_y.requires_grad_(False)
        g_opt.zero_grad()
        queries = x2y(both, False).maps
        errors = [_contrast(*three, patches) for three in zip(heads, queries, keys, strict=True)]
        g_loss = (d_y(fake) - 1).square().mean() + torch.stack(errors).mean()
        g_loss.backward()
        g_opt.step()
        d_y.requires_grad_(True)
        return {"discriminator": d_loss.detach(), "generator": g_loss.detach()}

    return Twin(play, {"x2y": x2y, "heads": heads, "d_y": d_y})
