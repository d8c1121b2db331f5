"""Measures the project beside plain PyTorch (CPU) doing the same arithmetic, in one run.

python scripts/benchmark.py dcgan          # bash scripts/install.sh dev benchmark, first
python scripts/benchmark.py features       # of the network that compares pictures

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
from gan_jax.config import Data, Dcgan, Experiment, Gan, Player, UserError, nearest


@dataclasses.dataclass(frozen=True)
class Options:
    """How to measure."""

    rounds: int = 15
    """Timed rounds of each side, after two that are not."""
    batch_size: int = 64
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
    ours, facts = CASES[name](options.batch_size)
    theirs = torch_twins.TWINS[name](options.batch_size)
    seconds = alternate(ours, theirs, options.rounds)
    result = {
        "case": name,
        "batch_size": options.batch_size,
        "project_seconds": seconds[0],
        "torch_seconds": seconds[1],
        "speed_over_torch": seconds[1] / seconds[0],
        "project_images_per_second": options.batch_size / seconds[0],
        "torch_images_per_second": options.batch_size / seconds[1],
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


CASES: dict[str, Callable[[int], Case]] = {"dcgan": dcgan, "features": features}


def project(experiment: Experiment, flops: float) -> Case:
    """One round of an experiment, and what its compilation says; `flops` is the count by hand."""
    import jax
    import numpy as np

    from gan_jax import game, parallel
    from gan_jax.training.build import build

    built = build(experiment)
    state = parallel.initialise(lambda: game.init(built.game, built.key), built.mesh)
    data = experiment.data
    shape = (experiment.batch_size, data.resolution, data.resolution, data.channels)
    images = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    batch = parallel.shard({"image": images}, built.mesh)
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
