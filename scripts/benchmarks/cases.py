"""The benchmark's cases: experiments whose rounds are timed, and their products counted by hand.

Counts are multiplications and additions of convolutions and dense layers in the direct form, two
for each product. On the CPU the project needs fewer: minimal filtering (`networks/conv.py`).
"""

import dataclasses
import functools
import math
import re
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from gan_jax import config
from gan_jax.config import (
    Cyclegan,
    Data,
    Dcgan,
    Experiment,
    Gan,
    Mlp,
    PatchGan,
    Pix2Pix,
    Player,
    Resnet,
    Style,
    Style2,
    Stylegan,
    Unet,
    Vae,
)


class Timed(NamedTuple):
    """What is timed, played once already, and what its compilation says."""

    play: Callable[..., Any]
    flops: float | None = None
    compile_seconds: float | None = None


class Case(NamedTuple):
    """`make(batch_size)` is to be timed; `count(batch_size)` are its products by hand."""

    make: Callable[[int], Timed]
    batch_size: int
    count: Callable[[int], float] | None = None
    rounds: int = 1  # of the game, in one play


class Played(NamedTuple):
    """Rounds of a game: what makes a case of an experiment."""

    experiment: Callable[..., Experiment]  # of the batch size, and sizes that tests shrink
    batch_size: int
    columns: tuple[str, ...] = ("image",)
    count: Callable[[int], float] | None = None
    rounds: int = 1


# Hand counts


def _shared(generator: Sequence[float], discriminator: Sequence[float]) -> float:
    """Of a round whose two moves judge the same fakes.

    In G one forward pass and both gradients, but no input gradient of the first layer; in D the
    reals, the fakes, and the fakes again after D moved, forward; kernel gradients of the first two;
    input gradients of the first two but for the first layer, and of the third.
    """
    g, d = sum(generator), sum(discriminator)
    first, look = generator[0], discriminator[0]
    return 2.0 * ((g + 3 * d) + (g + 2 * d) + (g - first + 2 * (d - look) + d))


def _convs(layers: Sequence[tuple[int, int, int, int]]) -> list[float]:
    """Products of layers (side of the smaller map, kernel, channels, features)."""
    return [float(side**2 * kernel**2 * a * b) for side, kernel, a, b in layers]


def _dense(*sizes: int) -> list[float]:
    return [float(a * b) for a, b in pairwise(sizes)]


def _dcgan(side: int, base: int, width: int, z: int, seen: int, made: int) -> tuple[Any, Any]:
    """Layers of both networks: `z` numbers to `made` channels, `seen` channels to a logit."""
    maps, size = [], side // 2
    while size >= base:
        maps.append((size, width * (side // 2 // size)))
        size //= 2
    last = maps[-1][1]
    ups = zip(maps, [made, *(b for _, b in maps[:-1])], strict=True)
    downs = zip(maps, [seen, *(b for _, b in maps[:-1])], strict=True)
    g = [float(z * base**2 * last), *reversed(_convs([(s, 4, a, b) for (s, a), b in ups]))]
    d = [*_convs([(s, 4, a, b) for (s, b), a in downs]), float(base**2 * last)]
    return g, d


# Perceptrons, DCGAN, labels, VAE


def _gan_mlp(batch_size: int) -> Experiment:
    """The textbook's perceptrons on 28 grey px: `experiments/gan.py:fashion_mnist`."""
    return Experiment(
        "benchmark",
        Player(network=Mlp((256, 512))),
        Player(network=Mlp((512, 256))),
        Gan(z=64),
        Data(resolution=28),
        batch_size=batch_size,
    )


def _dcgan64(batch_size: int, width: int = 64, side: int = 64) -> Experiment:
    """The DCGAN of 64 px that PyTorch's own example trains: widths 64 to 512, z normal."""
    player = Player(network=Dcgan(width=width))
    data = Data(resolution=side, channels=3)
    return Experiment("benchmark", player, player, Gan(z=100), data, batch_size=batch_size)


def _cgan(batch_size: int, width: int = 64) -> Experiment:
    """DCGAN on 28 grey px, ten labels beside latent and picture."""
    player = Player(network=Dcgan(width=width))
    game = Gan(z=64, condition="concat", classes=10)
    return Experiment("benchmark", player, player, game, Data(), batch_size=batch_size)


def _vae(batch_size: int, width: int = 64) -> Experiment:
    """DCGAN's networks as encoder and decoder of 32 px, Gaussian likelihood."""
    player = Player(network=Dcgan(width=width), lr=1e-3, betas=(0.9, 0.999))
    data = Data(resolution=32, channels=3)
    return Experiment("benchmark", player, player, Vae(z=64), data, batch_size=batch_size)


def _vae_count(batch_size: int) -> float:
    """Both networks forward and both gradients, but the input gradient of the encoder's first."""
    g, d = _dcgan(32, 4, 64, 64, 3, 3)
    e = [*d[:-1], 128 * d[-1]]
    return 2.0 * batch_size * (3 * (sum(g) + sum(e)) - e[0])


# Pictures to pictures


def _pix2pix(
    batch_size: int, width: int = 64, side: int = 256, dropout: float = 0.5, field: Any = 70
) -> Experiment:
    """The paper's pix2pix: U-Net to one pixel and patches of 70 px at 256 px."""
    return Experiment(
        "benchmark",
        Player(network=Unet(width=width, dropout=dropout)),
        Player(network=PatchGan(width=width, receptive_field=field)),
        Pix2Pix(),
        Data("pairs", resolution=side, channels=3),
        batch_size=batch_size,
    )


def _pix2pix_count(batch_size: int) -> float:
    widths = [64, 128, 256, *[512] * 5]
    sides = [128 >> level for level in range(8)]
    down = [(s, 4, a, b) for s, (a, b) in zip(sides, pairwise([3, *widths]), strict=True)]
    up = [
        (sides[n], 4, widths[n] * (1 if n == 7 else 2), [3, *widths][n]) for n in range(7, -1, -1)
    ]
    return batch_size * _shared(_convs(down + up), _convs([(128, 4, 6, 64), *_PATCHES[1:]]))


def _cyclegan256(batch_size: int) -> Experiment:
    """The paper's CycleGAN: 256 px, 9 blocks, patches of 70 px, identity term and pool."""
    return Experiment(
        "benchmark",
        Player(network=Resnet()),
        Player(network=PatchGan(norm="instance")),
        Cyclegan(),
        Data("unpaired", resolution=256, channels=3),
        batch_size=batch_size,
    )


_RESNET = [
    *[(256, 7, 3, 64), (128, 3, 64, 128), (64, 3, 128, 256)],
    *[(64, 3, 256, 256)] * 18,
    *[(64, 3, 256, 128), (128, 3, 128, 64), (256, 7, 64, 3)],
]
_PATCHES = [
    *[(128, 4, 3, 64), (64, 4, 64, 128), (32, 4, 128, 256)],
    *[(31, 4, 256, 512), (30, 4, 512, 1)],
]


def _cyclegan_count(batch_size: int) -> float:
    """What a round must multiply and add.

    Each generator makes a fake, closes a cycle and copies its target domain: three passes forward
    and both gradients, but the input gradient of the first layer in the cycle alone. Each
    discriminator passes fakes for the generators, forward and input gradients; then reals and pool,
    forward, kernel gradients and input gradients but for the first layer.
    """
    g, d = _convs(_RESNET), _convs(_PATCHES)
    generator = 3 * sum(g) + 3 * sum(g) + 3 * sum(g[1:]) + g[0]
    discriminator = 2 * sum(d) + 2 * (2 * sum(d) + sum(d[1:]))
    return 4.0 * batch_size * (generator + discriminator)


def _translate(batch_size: int) -> Timed:
    """A batch of 256 px through one generator."""
    import jax
    import numpy as np

    from gan_jax.game import Net
    from gan_jax.networks.resnet_translator import ResnetTranslator

    shape = jax.ShapeDtypeStruct((batch_size, 256, 256, 3), jax.numpy.float32)
    net = Net(ResnetTranslator(), (shape,))
    variables = jax.jit(net.init)(jax.random.key(0))
    pictures = np.random.default_rng(0).uniform(-1, 1, shape.shape)
    pictures = jax.numpy.asarray(pictures, jax.numpy.float32)
    translate = jax.jit(lambda v, x: net(v, x, train=False)[0])
    compiled = _compiled(translate.lower(variables, pictures))
    play = compiled.play
    return compiled._replace(play=lambda: jax.block_until_ready(play(variables, pictures)))


# Styles


def _stylegan64(batch_size: int, width: float = 0.125, w: int = 128, side: int = 64) -> Experiment:
    """StyleGAN in its last stage: 64 maps (32 at 64 px), w of 128 numbers, mixing, R1."""
    player = Player(network=Style(width=width, w=w), lr=1e-3, betas=(0.0, 0.99))
    game = Stylegan(z=w, mixing=1.0, r1=10.0, ema_kimg=0.0)
    data = Data(resolution=side, channels=3)
    return Experiment("benchmark", player, player, game, data, batch_size=batch_size)


def _stylegan_count(batch_size: int, w: int = 128) -> float:
    """What a round must multiply and add; doubling and halving fused with a kernel of 4x4.

    The generator draws for the discriminator, forward, and for itself, forward and both gradients.
    The discriminator sees fakes as StyleGAN2's; reals forward, the slope, its forward derivative,
    both kernel gradients and an input gradient; then the fakes of the generator's move, forward and
    input gradients. Two latents pass the mapping.
    """
    maps = [64, 64, 64, 64, 32]
    g = sum(_dense(*[w] * 9)) * 2 + 10 * 2 * w * 64 - 2 * 2 * w * 32 + 9 * 64 * 64 * 16
    d = sum(_convs([(4, 3, 65, 64)])) + 16 * 64 * 64 + 64
    for stage in range(1, 5):
        a, b, side = maps[stage - 1], maps[stage], 4 << stage
        g += sum(_convs([(side // 2, 4, a, b), (side, 3, b, b)]))
        d += sum(_convs([(side // 2, 4, a, b), (side, 3, b, b)]))
    g, look = g + 3 * 32 * 64**2, 3 * 32 * 64**2
    d += look
    return 2.0 * batch_size * (4 * g + 6 * d - look + 3 * d - look + 2 * d)


def _stylegan2_64(
    batch_size: int, width: float = 0.125, w: int = 128, side: int = 64, lazy: bool = False
) -> Experiment:
    """StyleGAN2 at 64 px with 64 maps everywhere and w of 128 numbers, mixing every minibatch."""
    player = Player(network=Style2(width=width, w=w), lr=2e-3, betas=(0.0, 0.99))
    game = Stylegan(
        z=w,
        mixing=1.0,
        r1=10.0 * lazy,
        penalty_every=16,
        path_length=2.0 * lazy,
        ema_kimg=0.0,
    )
    data = Data(resolution=side, channels=3)
    return Experiment("benchmark", player, player, game, data, batch_size=batch_size)


def _stylegan2_lazy(batch_size: int) -> Experiment:
    return _stylegan2_64(batch_size, lazy=True)


def _stylegan2_count(batch_size: int, maps: int = 64, w: int = 128) -> float:
    """What a round without lazy moves must multiply and add.

    The generator draws for the discriminator, forward, and for itself, forward and both gradients.
    The discriminator sees reals and fakes, forward, kernel gradients, and input gradients but for
    its first layer; then the fakes of the generator's move, forward and input gradients. Two
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


# Beside the games


def _features(batch_size: int) -> Timed:
    """Pictures of 224 px to 1,280 numbers each, random weights, as the metrics take them."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from gan_jax.metrics.features import extract, network_features
    from gan_jax.networks import efficientnet

    module = efficientnet.EfficientNetLite0()
    side = efficientnet.RESOLUTION
    shape = (batch_size, side, side, 3)
    images = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    variables = jax.jit(module.init)(jax.random.key(0), jnp.zeros((1, *shape[1:])))
    made = {"resolution": side, "resizer": "antialias", "rows": efficientnet.ROWS}
    network = network_features("random", module, variables, **made)
    return Timed(lambda: extract(network, images))


GAMES = {
    "gan_mlp": Played(
        _gan_mlp,
        64,
        count=lambda b: b * _shared(_dense(64, 256, 512, 784), _dense(784, 512, 256, 1)),
    ),
    "cgan": Played(
        _cgan,
        64,
        ("image", "label"),
        lambda b: b * _shared(*_dcgan(28, 7, 64, 74, 11, 1)),
    ),
    "vae": Played(_vae, 64, count=_vae_count),
    "dcgan": Played(_dcgan64, 64, count=lambda b: b * _shared(*_dcgan(64, 4, 64, 100, 3, 3))),
    "pix2pix": Played(_pix2pix, 1, ("x", "y"), _pix2pix_count),
    "stylegan": Played(_stylegan64, 16, count=_stylegan_count),
    "stylegan2": Played(_stylegan2_64, 16, count=_stylegan2_count),
    "stylegan2_lazy": Played(_stylegan2_lazy, 16, rounds=16),
    "cyclegan": Played(_cyclegan256, 1, ("x", "y"), _cyclegan_count),
}


def _case(played: Played) -> Case:
    def make(batch_size: int) -> Timed:
        return project(played, batch_size)

    return Case(make, played.batch_size, played.count, played.rounds)


CASES: dict[str, Case] = {
    **{name: _case(played) for name, played in GAMES.items()},
    "cyclegan_translate": Case(_translate, 1, lambda b: 2.0 * b * sum(_convs(_RESNET))),
    "features": Case(_features, 64),
}


def batch_of(experiment: Experiment, columns: tuple[str, ...]) -> dict[str, Any]:
    """A host batch for an experiment: the same random pictures in every column, labels in turn."""
    import numpy as np

    data, size = experiment.data, experiment.batch_size
    shape = (size, data.resolution, data.resolution, data.channels)
    images = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    labels = (np.arange(size) % 10).astype(np.int32)
    return {name: labels if name == "label" else images for name in columns}


def project(played: Played, batch_size: int) -> Timed:
    """Rounds of a game, ready to be timed."""
    import jax

    from gan_jax import game, parallel
    from gan_jax.build.experiment import build
    from gan_jax.networks import onednn

    experiment = config.check(played.experiment(batch_size))
    one = dataclasses.replace(experiment.run, devices=1)
    built = build(dataclasses.replace(experiment, run=one))
    state = parallel.initialise(lambda: game.init(built.game, built.key), built.mesh)
    batch = parallel.shard(batch_of(experiment, played.columns), built.mesh)
    with onednn.by_library():
        shapes, platform = (state, batch, built.key), jax.default_backend()
        compiled = _compiled(parallel.lower(built.round, built.mesh, *shapes, platform=platform))
    carried: list[Any] = [state]

    def rounds() -> Any:
        for _ in range(played.rounds):
            carried[0], metrics = compiled.play(carried[0], batch, built.key)
            jax.block_until_ready((carried[0], metrics))
        return metrics  # pyright: ignore[reportPossiblyUnboundVariable]

    return compiled._replace(play=rounds)


def _compiled(lowered: Any) -> Timed:
    """A program compiled, to be played with its arguments."""
    before = time.perf_counter()
    compiled = lowered.compile()
    seconds = time.perf_counter() - before
    return Timed(compiled, matrix_products(compiled.as_text()) or None, seconds)


_SHAPE = r"\w+\[([\d,]*)\]\S*"
_OPERATION = re.compile(rf"\s+(?:ROOT )?(%\S+) = (?:{_SHAPE}|\(.*?\)) ([\w-]+)\((.*)")
_CALLED = re.compile(r"(?:calls|to_apply|body|branch_computations)=\{?(%[\w.\-]+(?:, %[\w.\-]+)*)")


def matrix_products(text: str) -> float:
    """FLOPs of the matrix products in a program's HLO, and of oneDNN's convolutions.

    A loop's count as often as it runs. XLA's own cost analysis counts a loop once, and the sums
    around the products.
    """
    own: dict[str, float] = {}
    calls: dict[str, list[tuple[str, int]]] = {}
    name, entry, shapes = "", "", {}
    for line in text.splitlines():
        if line.endswith("{") and not line.startswith(" "):
            name = line.removeprefix("ENTRY ").split(" ")[0]
            entry = name if line.startswith("ENTRY") else entry
            own[name], calls[name], shapes = 0.0, [], {}
            continue
        found = _OPERATION.match(line)
        if found is None:
            continue
        result, size, kind, rest = found.groups()
        shapes[result] = [int(n) for n in (size or "").split(",") if n]
        given = [one.split(" ")[-1].rstrip(")") for one in rest.split(",")[:2]]
        if kind == "dot":
            left = shapes[given[0]]
            axes = re.search(r"lhs_contracting_dims=\{([\d,]*)\}", rest)
            summed = [left[int(n)] for n in axes[1].split(",") if n] if axes else []
            own[name] += 2.0 * math.prod(shapes[result]) * math.prod(summed)
        if "onednn_matmul_config" in rest:
            own[name] += 2.0 * math.prod(shapes[given[0]]) * shapes[result][-1]
        if "onednn_conv_config" in rest:
            own[name] += 2.0 * math.prod(shapes[result]) * math.prod(shapes[given[1]][:3])
        times = re.search(r'known_trip_count":\{"n":"(\d+)"', rest) if kind == "while" else None
        for group in _CALLED.findall(rest):
            calls[name] += [(one, int(times[1]) if times else 1) for one in group.split(", ")]

    @functools.cache
    def total(name: str) -> float:
        return own[name] + sum(times * total(one) for one, times in calls[name])

    return total(entry)
