"""FLOPs of a round of each case, counted by hand.

Counted are the convolutions and dense layers in the direct form, two FLOPs (a multiplication and an
addition) for each product. On the CPU the project needs fewer, because of minimal filtering
(`networks/conv.py`).
"""

from collections.abc import Sequence
from itertools import pairwise

# Layers of CycleGAN's networks: side of the smaller map, kernel, channels, features.
RESNET = [
    *[(256, 7, 3, 64), (128, 3, 64, 128), (64, 3, 128, 256)],
    *[(64, 3, 256, 256)] * 18,
    *[(64, 3, 256, 128), (128, 3, 128, 64), (256, 7, 64, 3)],
]
PATCHES = [
    *[(128, 4, 3, 64), (64, 4, 64, 128), (32, 4, 128, 256)],
    *[(31, 4, 256, 512), (30, 4, 512, 1)],
]


def shared(generator: Sequence[float], discriminator: Sequence[float]) -> float:
    """FLOPs of a round in which both players judge the same fakes, for a batch of 1.

    The arguments are the products of each layer.

    G: one forward pass and both gradients, but no input gradient of the first layer. D: forward
    passes of the reals, of the fakes, and of the fakes again after D's update; kernel gradients of
    the first two; input gradients of the first two without the first layer, and of the third.
    """
    g, d = sum(generator), sum(discriminator)
    first, look = generator[0], discriminator[0]
    return 2.0 * ((g + 3 * d) + (g + 2 * d) + (g - first + 2 * (d - look) + d))


def convs(layers: Sequence[tuple[int, int, int, int]]) -> list[float]:
    """Products of layers (side of the smaller map, kernel, channels, features)."""
    return [float(side**2 * kernel**2 * a * b) for side, kernel, a, b in layers]


def dense(*sizes: int) -> list[float]:
    """Products of dense layers between the given sizes."""
    return [float(a * b) for a, b in pairwise(sizes)]


def dcgan_layers(
    side: int, base: int, width: int, z: int, seen: int, made: int
) -> tuple[list[float], list[float]]:
    """Products of the layers of DCGAN's generator and discriminator.

    Args:
        side: px of an image.
        base: px of the smallest map.
        width: channels of the largest map.
        z: numbers of a latent.
        seen: channels that the discriminator sees.
        made: channels that the generator makes.
    """
    maps, size = [], side // 2
    while size >= base:
        maps.append((size, width * (side // 2 // size)))
        size //= 2
    last = maps[-1][1]
    ups = zip(maps, [made, *(b for _, b in maps[:-1])], strict=True)
    downs = zip(maps, [seen, *(b for _, b in maps[:-1])], strict=True)
    g = [float(z * base**2 * last), *reversed(convs([(s, 4, a, b) for (s, a), b in ups]))]
    d = [*convs([(s, 4, a, b) for (s, b), a in downs]), float(base**2 * last)]
    return g, d


def mlp(batch_size: int) -> float:
    """FLOPs of the GAN of perceptrons at 28 px."""
    return batch_size * shared(dense(64, 256, 512, 784), dense(784, 512, 256, 1))


def cgan(batch_size: int) -> float:
    """FLOPs of the conditional DCGAN at 28 px with ten labels."""
    return batch_size * shared(*dcgan_layers(28, 7, 64, 74, 11, 1))


def dcgan(batch_size: int) -> float:
    """FLOPs of the DCGAN at 64 px."""
    return batch_size * shared(*dcgan_layers(64, 4, 64, 100, 3, 3))


def vae(batch_size: int) -> float:
    """FLOPs of the VAE at 32 px.

    Forward passes and both gradients, without the input gradient of the encoder's first layer.
    """
    g, d = dcgan_layers(32, 4, 64, 64, 3, 3)
    e = [*d[:-1], 128 * d[-1]]
    return 2.0 * batch_size * (3 * (sum(g) + sum(e)) - e[0])


def pix2pix(batch_size: int) -> float:
    """FLOPs of pix2pix at 256 px."""
    widths = [64, 128, 256, *[512] * 5]
    sides = [128 >> level for level in range(8)]
    down = [(s, 4, a, b) for s, (a, b) in zip(sides, pairwise([3, *widths]), strict=True)]
    up = [
        (sides[n], 4, widths[n] * (1 if n == 7 else 2), [3, *widths][n]) for n in range(7, -1, -1)
    ]
    return batch_size * shared(convs(down + up), convs([(128, 4, 6, 64), *PATCHES[1:]]))


def translation(batch_size: int) -> float:
    """FLOPs of one pass through CycleGAN's generator at 256 px."""
    return 2.0 * batch_size * sum(convs(RESNET))


def cyclegan(batch_size: int) -> float:
    """FLOPs of CycleGAN at 256 px.

    Each generator makes a fake, closes a cycle and maps its target domain to itself: three forward
    passes with both gradients; the first layer has an input gradient in the cycle alone. Each
    discriminator judges fakes for the generators (forward, input gradients), then reals and the
    pool (forward, kernel gradients, input gradients without the first layer).
    """
    g, d = convs(RESNET), convs(PATCHES)
    generator = 3 * sum(g) + 3 * sum(g) + 3 * sum(g[1:]) + g[0]
    discriminator = 2 * sum(d) + 2 * (2 * sum(d) + sum(d[1:]))
    return 4.0 * batch_size * (generator + discriminator)


def stylegan(batch_size: int, w: int = 128) -> float:
    """FLOPs of StyleGAN at 64 px; up- and downsampling are fused with kernels of 4x4.

    The generator draws samples for the discriminator (forward) and for itself (forward and both
    gradients). The discriminator judges fakes as StyleGAN2's does; reals forward, with the gradient
    of R1, its forward derivative, both kernel gradients and an input gradient; then the fakes of
    the generator's move (forward, input gradients). Two latents pass the mapping.
    """
    maps = [64, 64, 64, 64, 32]
    g = sum(dense(*[w] * 9)) * 2 + 10 * 2 * w * 64 - 2 * 2 * w * 32 + 9 * 64 * 64 * 16
    d = sum(convs([(4, 3, 65, 64)])) + 16 * 64 * 64 + 64
    for stage in range(1, 5):
        a, b, side = maps[stage - 1], maps[stage], 4 << stage
        g += sum(convs([(side // 2, 4, a, b), (side, 3, b, b)]))
        d += sum(convs([(side // 2, 4, a, b), (side, 3, b, b)]))
    g, look = g + 3 * 32 * 64**2, 3 * 32 * 64**2
    d += look
    return 2.0 * batch_size * (4 * g + 6 * d - look + 3 * d - look + 2 * d)


def stylegan2(batch_size: int, maps: int = 64, w: int = 128) -> float:
    """FLOPs of StyleGAN2 at 64 px in a round without lazy regularisation.

    The generator draws samples for the discriminator (forward) and for itself (forward and both
    gradients). The discriminator judges reals and fakes (forward, kernel gradients, input gradients
    without the first layer), then the fakes of the generator's move (forward, input gradients). Two
    latents pass the mapping.
    """
    styles = 2 * 8 * w * w
    g = 9 * maps * maps * 16 + styles + 10 * w * maps
    d = 9 * (maps + 1) * maps * 16 + 16 * maps * maps
    for side in (8, 16, 32, 64):
        conv, small = 9 * maps * maps * side**2, maps * maps * side**2 // 4
        g += conv + 9 * small
        d += conv + 9 * small + small
    g += sum(3 * maps * side**2 for side in (4, 8, 16, 32, 64))
    look = 3 * maps * 64**2
    return 2.0 * batch_size * (4 * g + 8 * d + 6 * look)
