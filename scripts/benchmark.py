"""Measures the project beside plain PyTorch (CPU) doing the same arithmetic, in one run.

python scripts/benchmark.py dcgan          # bash scripts/install.sh dev benchmark, first
python scripts/benchmark.py features       # of the network that compares pictures
python scripts/benchmark.py cyclegan --rounds 5       # 256 px, 9 blocks, one picture of each domain
python scripts/benchmark.py cyclegan_translate        # its translation alone

Rounds of the two sides alternate, so a busy machine slows both; the ratio is that of the medians.
The twin of each case is in `torch_twins.py`.
"""

import dataclasses
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import cli

from gan_jax import config
from gan_jax.config import (
    Cyclegan,
    Data,
    Dcgan,
    Experiment,
    Gan,
    PatchGan,
    Player,
    Resnet,
    Style2,
    Stylegan,
    UserError,
    nearest,
)


@dataclasses.dataclass(frozen=True)
class Options:
    """How to measure."""

    rounds: int = 15
    """Timed rounds of each side, after two that are not."""
    batch_size: int = 0
    """By default the case's own: 64, or 1 of CycleGAN."""
    json: bool = False
    """Print one JSON object instead of lines."""


def dcgan64(batch_size: int) -> Experiment:
    """The DCGAN of 64 px that PyTorch's own example trains: widths 64 to 512, z normal."""
    player = Player(network=Dcgan(width=64))
    data = Data(resolution=64, channels=3)
    game = Gan(prior="normal", z=100)
    return Experiment("benchmark", player, player, game, data, batch_size=batch_size)


def dcgan64_flops(batch_size: int) -> float:
    """What a round must multiply and add, counted by hand, two for each product.

    Of each convolution a round needs: in G one forward pass and both gradients; in D the reals, the
    fakes, and the fakes again after D moved, forward; kernel gradients of the first two; input
    gradients of the first two but for the first layer, and of the third. The latent's gradient is
    not needed either.
    """
    g = [2 * 100 * 4 * 4 * 512]
    g += [2 * 16 * side * side * a * b for side, a, b in _STAGES]
    d = [2 * 16 * side * side * a * b for side, b, a in reversed(_STAGES)]
    d += [2 * 4 * 4 * 512]
    forward = sum(g) + 3 * sum(d)
    kernels = sum(g) + 2 * sum(d)
    inputs = sum(g[1:]) + 2 * sum(d[1:]) + sum(d)
    return float(batch_size * (forward + kernels + inputs))


_STAGES = [(4, 512, 256), (8, 256, 128), (16, 128, 64), (32, 64, 3)]  # side and widths going up


def main() -> None:
    """Measures a case and prints what it finds."""
    name, *flags = sys.argv[1:] or ["--help"]
    if name.startswith("-"):
        print(f"{__doc__}\nCases: {', '.join(CASES)}")
        name, flags = "dcgan", ["--help"]
    options = cli.parse(Options, Options(), flags, f"benchmark.py {name}")
    cli.keep_memory()
    if name not in CASES:
        raise UserError(f"no case {name!r}; did you mean {nearest(name, CASES)}?")
    try:
        import torch_twins
    except ImportError as error:
        raise UserError(
            f"{error.name} is missing: bash scripts/install.sh dev benchmark"
        ) from error
    small = {"cyclegan": 1, "cyclegan_translate": 1, "stylegan2": 16, "stylegan2_lazy": 16}
    size = options.batch_size or small.get(name, 64)
    ours, facts = CASES[name](size)
    theirs = torch_twins.TWINS[name](size)
    seconds = alternate(ours, theirs, options.rounds)
    result = {
        "case": name,
        "batch_size": size,
        "project_seconds": seconds[0],
        "torch_seconds": seconds[1],
        "speed_over_torch": seconds[1] / seconds[0],
        "project_images_per_second": size / seconds[0],
        "torch_images_per_second": size / seconds[1],
        **facts,
    }
    if options.json:
        print(json.dumps(result))
        return
    for quantity, value in result.items():
        print(
            f"{quantity:28} {value:.4g}" if isinstance(value, float) else f"{quantity:28} {value}"
        )


Case = tuple[Callable[[], None], dict[str, float]]


def dcgan(batch_size: int) -> Case:
    """A round of DCGAN, and what its compilation says."""
    return project(config.check(dcgan64(batch_size)), dcgan64_flops(batch_size))


def features(batch_size: int) -> Case:
    """A batch through the feature network, random weights: pictures of 224 px to 1,280 numbers."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from gan_jax.metrics.features import network_features
    from gan_jax.networks import efficientnet

    module = efficientnet.EfficientNetLite0()
    side = efficientnet.RESOLUTION
    shape = (batch_size, side, side, 3)
    images = jnp.asarray(np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8))
    variables = module.init(jax.random.key(0), jnp.zeros((1, *shape[1:])))
    network = network_features(
        "random", module, variables, resolution=side, resizer="antialias", batch=batch_size
    )
    return lambda: jax.block_until_ready(network.run(images)), {}


def cyclegan256(batch_size: int) -> Experiment:
    """The paper's CycleGAN: 256 px, 9 blocks, patches of 70 px, identity term and pool."""
    return Experiment(
        "benchmark",
        Player(network=Resnet()),
        Player(network=PatchGan(norm="instance")),
        Cyclegan(),
        Data("unpaired", resolution=256, channels=3),
        batch_size=batch_size,
    )


_RESNET = [  # side of the smaller map, kernel, channels, features
    *[(256, 7, 3, 64), (128, 3, 64, 128), (64, 3, 128, 256)],
    *[(64, 3, 256, 256)] * 18,
    *[(64, 3, 256, 128), (128, 3, 128, 64), (256, 7, 64, 3)],
]
_PATCHES = [
    *[(128, 4, 3, 64), (64, 4, 64, 128), (32, 4, 128, 256)],
    *[(31, 4, 256, 512), (30, 4, 512, 1)],
]


def _forward(layers: list[tuple[int, int, int, int]]) -> list[int]:
    return [2 * side**2 * kernel**2 * a * b for side, kernel, a, b in layers]


def cyclegan256_flops(batch_size: int) -> float:
    """What a round must multiply and add, counted by hand, two for each product.

    Each generator makes a fake, closes a cycle and copies its target domain: three passes forward
    and both gradients, but the input gradient of the first layer in the cycle alone. Each
    discriminator passes fakes for the generators, forward and input gradients; then reals and pool,
    forward, kernel gradients and input gradients but for the first layer.
    """
    g, d = _forward(_RESNET), _forward(_PATCHES)
    generator = 3 * sum(g) + 3 * sum(g) + 3 * sum(g[1:]) + g[0]
    discriminator = 2 * sum(d) + 2 * (2 * sum(d) + sum(d[1:]))
    return 2.0 * batch_size * (generator + discriminator)


def cyclegan(batch_size: int) -> Case:
    """A round of CycleGAN, and what its compilation says."""
    experiment = config.check(cyclegan256(batch_size))
    return project(experiment, cyclegan256_flops(batch_size), columns=("x", "y"))


def cyclegan_translate(batch_size: int) -> Case:
    """A batch of pictures through one generator."""
    import jax
    import numpy as np

    from gan_jax.game import Net
    from gan_jax.networks.resnet_translator import ResnetTranslator

    shape = jax.ShapeDtypeStruct((batch_size, 256, 256, 3), jax.numpy.float32)
    net = Net(ResnetTranslator(), (shape,))
    variables = jax.jit(net.init)(jax.random.key(0))
    pictures = np.random.default_rng(0).uniform(-1, 1, shape.shape)
    pictures = jax.numpy.asarray(pictures, jax.numpy.float32)
    compiled = jax.jit(lambda v, x: net(v, x, train=False)[0]).lower(variables, pictures).compile()
    flops = batch_size * sum(_forward(_RESNET))
    cost = compiled.cost_analysis() or {}
    facts = {"flops_over_hand_count": float(cost["flops"]) / flops}
    return lambda: jax.block_until_ready(compiled(variables, pictures)), facts


def stylegan2_64(batch_size: int, lazy: bool) -> Experiment:
    """StyleGAN2 at 64 px with 64 maps everywhere and w of 128 numbers, mixing every minibatch."""
    player = Player(network=Style2(width=0.125, w=128), lr=2e-3, betas=(0.0, 0.99))
    game = Stylegan(z=128, mixing=1.0, r1=10.0 * lazy, penalty_every=16, path_length=2.0 * lazy)
    data = Data(resolution=64, channels=3)
    return Experiment("benchmark", player, player, game, data, batch_size=batch_size)


def stylegan2_64_flops(batch_size: int, maps: int = 64, w: int = 128) -> float:
    """What a round without lazy moves must multiply and add, counted by hand, two for each product.

    Of convolutions and dense layers. The generator draws for the discriminator, forward, and for
    itself, forward and both gradients. The discriminator sees reals and fakes, forward, kernel
    gradients, and input gradients but for its first layer; then the fakes of the generator's move,
    forward and input gradients. Two latents pass the mapping. On the CPU the project needs fewer
    products: minimal filtering saves 5/9 of a 3x3 convolution's (`networks/conv.py`).
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


def stylegan2(batch_size: int) -> Case:
    """A round of StyleGAN2 without lazy moves, and what its compilation says."""
    experiment = config.check(stylegan2_64(batch_size, lazy=False))
    return project(experiment, stylegan2_64_flops(batch_size))


def stylegan2_lazy(batch_size: int) -> Case:
    """Sixteen rounds of StyleGAN2: R1 is played once, path length four times."""
    play, facts = project(config.check(stylegan2_64(batch_size, lazy=True)), 1.0)
    del facts["flops_over_hand_count"]  # of one round, whatever it plays

    def rounds() -> None:
        for _ in range(16):
            play()

    return rounds, facts


CASES: dict[str, Callable[[int], Case]] = {
    "stylegan2": stylegan2,
    "stylegan2_lazy": stylegan2_lazy,
    "dcgan": dcgan,
    "features": features,
    "cyclegan": cyclegan,
    "cyclegan_translate": cyclegan_translate,
}


def project(experiment: Experiment, flops: float, columns: tuple[str, ...] = ("image",)) -> Case:
    """One round of an experiment on pictures called `columns`, and what its compilation says.

    `flops` is the count by hand.
    """
    import jax
    import numpy as np

    from gan_jax import game, parallel
    from gan_jax.training.build import build

    built = build(experiment)
    state = parallel.initialise(lambda: game.init(built.game, built.key), built.mesh)
    data = experiment.data
    shape = (experiment.batch_size, data.resolution, data.resolution, data.channels)
    images = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    batch = parallel.shard(dict.fromkeys(columns, images), built.mesh)
    play = parallel.data_parallel(built.round, built.mesh, backend="shard_map")
    before = time.perf_counter()
    compiled = play.lower(state, batch, built.key).compile()  # pyright: ignore
    compile_seconds = time.perf_counter() - before
    carried: list[Any] = [state]

    def round_() -> None:
        carried[0], metrics = compiled(carried[0], batch, built.key)
        jax.block_until_ready((carried[0], metrics))

    memory = compiled.memory_analysis()
    return round_, {
        "flops_over_hand_count": float(compiled.cost_analysis()["flops"]) / flops,
        "compile_seconds": compile_seconds,
        "project_memory_mib": (memory.argument_size_in_bytes + memory.temp_size_in_bytes) / 2**20,
        "process_peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10,
    }


def alternate(
    ours: Callable[[], None], theirs: Callable[[], None], rounds: int
) -> tuple[float, float]:
    """Median seconds of both sides, whose rounds take turns."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + 2):
        for side, play in enumerate((ours, theirs)):
            before = time.perf_counter()
            play()
            if number >= 2:
                seconds[side].append(time.perf_counter() - before)
    return statistics.median(seconds[0]), statistics.median(seconds[1])


if __name__ == "__main__":
    cli.run(main)
