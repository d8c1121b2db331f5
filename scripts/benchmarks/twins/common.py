"""What the twins share: pictures, draws, and the round of two players on the same fakes."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

Losses = dict[str, Tensor]
DEVICE = torch.device("cpu")  # of what a round draws; `opponents` sets it


class Twin(NamedTuple):
    """`play` plays a round and returns each player's loss; `networks` are named as the game's.

    A round calls a network that is differentiated twice by its `forward`, which torch.compile, that
    cannot do so, leaves as it is.
    """

    play: Callable[[], Losses]
    networks: Mapping[str, nn.Module]


def draw(*shape: int) -> Tensor:
    """N(0, 1): every twin's latents and noise."""
    return torch.randn(shape, device=DEVICE)


def pictures(count: int, channels: int, side: int) -> Tensor:
    """The benchmark's pictures [count channels side side] in [-1, 1], the project's own."""
    levels = np.random.default_rng(0).integers(0, 256, (count, side, side, channels))
    x = torch.from_numpy(levels.astype(np.float32)).to(DEVICE)
    return channels_last_tensor(x / 127.5 - 1.0)


def channels_last_tensor(x: Tensor) -> Tensor:
    """[b h w c] as PyTorch's [b c h w], not moved in memory."""
    return x.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def channels_last(network: nn.Module) -> nn.Module:
    """The network with its kernels in the layout that is fastest on CPUs and tensor cores."""
    return network.to(memory_format=torch.channels_last)  # pyright: ignore


def adam(network: nn.Module, lr: float, betas: tuple[float, float]) -> torch.optim.Adam:
    """PyTorch's Adam; on a GPU in one kernel."""
    fused = True if DEVICE.type == "cuda" else None
    return torch.optim.Adam(network.parameters(), lr, betas, fused=fused)


def duel(
    generator: nn.Module,
    discriminator: nn.Module,
    fakes: Callable[[], Tensor],
    judge: Callable[[Tensor], Tensor],
    real: Tensor,
    penalty: Callable[[Tensor], Tensor] | None = None,
) -> Twin:
    """The non-saturating game whose two moves judge the same fakes.

    As a careful user writes it: G runs once a round, and D's kernels get no gradient in G's move.
    `penalty` is a further term of D's loss, a function of the reals' logits.
    """
    g_opt, d_opt = (adam(net, 2e-4, (0.5, 0.999)) for net in (generator, discriminator))

    def play() -> Losses:
        fake = fakes()
        d_opt.zero_grad()
        logits = judge(real)
        d_loss = softplus(-logits).mean() + softplus(judge(fake.detach())).mean()
        if penalty is not None:
            d_loss = d_loss + penalty(logits)
        d_loss.backward()
        d_opt.step()
        discriminator.requires_grad_(False)
        g_opt.zero_grad()
        g_loss = softplus(-judge(fake)).mean()
        g_loss.backward()
        g_opt.step()
        discriminator.requires_grad_(True)
        return {"discriminator": d_loss.detach(), "generator": g_loss.detach()}

    return Twin(play, {"generator": generator, "discriminator": discriminator})
