"""Rows of the benchmark without a PyTorch twin: input pipeline, loss landscape, large products.

`python -m benchmarks.rows` prints them as JSON.
"""

import contextlib
import json
import statistics
import time

import jax
import numpy as np

from benchmarks.cases import batch_of
from gan_jax import game
from gan_jax.build.data import to_real
from gan_jax.build.experiment import build
from gan_jax.config import Data, Dcgan, Experiment, Gan, Player
from gan_jax.data.pipeline import batches, open_source
from gan_jax.json_types import JsonObject
from gan_jax.landscape import slices
from gan_jax.networks import products
from gan_jax.networks.cpu import onednn


def pipeline(name: str, resolution: int, channels: int, flip: bool, batch_size: int) -> float:
    """Images per second of the pipeline of an embedded data set, after its first batches."""
    source = open_source(name, resolution=resolution, channels=channels)
    stream = batches(source, batch_size=batch_size, seed=0, flip=flip)
    with contextlib.closing(stream):
        for _ in range(20):
            next(stream)
        start, count = time.perf_counter(), 0
        while time.perf_counter() - start < 3.0:
            next(stream)
            count += 1
        return count * batch_size / (time.perf_counter() - start)


def landscape() -> float:
    """Points per second of a loss plane of the 28 px DCGAN (width 32, batch 64).

    Compilation is left out: planes of 3x3 and of 21x21 points compile once each, and their
    difference is 432 points.
    """
    player = Player(network=Dcgan(width=32))
    experiment = Experiment("benchmark", player, player, Gan(z=64), Data(), sync_batch_norm=False)
    built = build(experiment)
    state = jax.jit(lambda: game.init(built.game, built.key))()
    batch = to_real(batch_of(experiment, ("image",)))
    own = slices.player_params(built.game, state, "generator")
    along = tuple(slices.direction(own, jax.random.key(n)) for n in range(2))

    def seconds(side: int) -> float:
        at = np.linspace(-1.0, 1.0, side)
        before = time.perf_counter()
        pair = (along[0], along[1])
        slices.loss_plane(built.game, state, batch, built.key, "generator", pair, at, at)
        return time.perf_counter() - before

    return 432.0 / (seconds(21) - seconds(3))


def matrix_gflops(side: int = 2048) -> float:
    """GFLOP/s of products of square float32 matrices, as the project's layers compute them."""
    x = jax.random.normal(jax.random.key(0), (side, side))
    with onednn.enabled():
        multiply = jax.jit(products.product).lower(x, x).compile()
    seconds = []
    for _ in range(12):
        before = time.perf_counter()
        multiply(x, x).block_until_ready()
        seconds.append(time.perf_counter() - before)
    return 2e-9 * side**3 / statistics.median(seconds[2:])


PIPELINES = {
    "fashion_mnist_10k, 28 px": (("fashion_mnist_10k", 28, 1, False, 64), "gan_mlp"),
    "emoji_noto, 32 px, mirrored": (("emoji_noto", 32, 3, True, 64), "vae"),
    "avatars, 64 px, mirrored": (("avatars", 64, 3, True, 64), "dcgan"),
}
"""Arguments of `pipeline`, and the fastest case with images of that size."""


def measure() -> JsonObject:
    """Measure every row in this process."""
    streams = {
        label: {"images_per_second": pipeline(*arguments), "case": case}
        for label, (arguments, case) in PIPELINES.items()
    }
    return {
        "pipeline": streams,
        "landscape_points_per_second": landscape(),
        "matrix_gflops": matrix_gflops(),
    }


if __name__ == "__main__":
    print(json.dumps(measure()))
