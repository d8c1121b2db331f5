"""Every game with the forms of its layers that this machine's processor gets, beside XLA's own.

The games of the golden numbers, wide enough for minimal filtering and for oneDNN, by plain gradient
descent: Adam would blow up a rounding error in a gradient of zero to a whole step.
"""

import dataclasses

import jax
import numpy as np
import pytest
from benchmarks.games import GAMES as GOLDEN
from helpers.paths import EXPERIMENTS

from gan_jax import config, game, parallel
from gan_jax.build.experiment import build
from gan_jax.config import (
    Cyclegan,
    Dcgan,
    Dfgan,
    Fastgan,
    Gan,
    Mlp,
    PatchGan,
    Projected,
    R3gan,
    Resnet,
    Style,
    Style2,
    Unet,
    Voice2,
)
from gan_jax.networks import conv
from gan_jax.networks.cpu import dispatch, matmul, onednn
from gan_jax.planning.lowering import batch_shapes

CPU_CONVOLUTIONS = True

BATCH = 16
VOICES = config.recipe(f"{EXPERIMENTS}/cyclegan_vc.py:vc2")
GAMES = GOLDEN | {
    "voices": config.change(config.tiny(VOICES), {"game.two_step": False})  # half to compile
}
WIDE = {
    Mlp: {"widths": (32, 32)},
    Dcgan: {"width": 16},
    R3gan: {"width": 32},
    Dfgan: {"width": 8},
    Fastgan: {"width": 8},
    Projected: {"width": 8},
    Unet: {"width": 8},
    PatchGan: {"width": 16},
    Resnet: {"width": 16},
    Style: {"width": 1 / 32},
    Style2: {"width": 1 / 32},
    Voice2: {"width": 8},
}


def wide(experiment):
    """The game at a size at which the forms differ."""
    changes = {"run.devices": 1, "batch_size": BATCH}
    if isinstance(experiment.game, Gan):
        changes["game.anneal.kimg"] = 0.0  # which moves Adam
    rate = 1e-4 if isinstance(experiment.game, Cyclegan) else 0.01  # its gradients are long
    for role in ("generator", "discriminator"):
        network = getattr(experiment, role).network
        changes[f"{role}.network"] = dataclasses.replace(network, **WIDE[type(network)])
        changes |= {f"{role}.optimizer": "sgd", f"{role}.lr": rate}
    return config.change(experiment, changes)


def convolves(experiment):
    return not isinstance(experiment.generator.network, Mlp)


def batch_of(experiment):
    """Noise in the shapes of the game's data."""
    rng = np.random.default_rng(0)
    draw = {
        "uint8": lambda size: rng.integers(0, 256, size, np.uint8),
        "int32": lambda size: np.arange(*size, dtype=np.int32) % 3,
        "float32": lambda size: rng.normal(size=size).astype(np.float32),
    }
    shapes = batch_shapes(experiment, BATCH)
    return {name: draw[str(x.dtype)](x.shape) for name, x in shapes.items()}


def played(experiment):
    """The parameters before and after a round, and what the round measured."""
    built = build(experiment)
    play = onednn.enabled()(parallel.data_parallel(built.round, built.mesh))
    state = parallel.initialise(lambda: game.init(built.game, built.key), built.mesh)
    start = jax.device_get(state.params)
    batch = parallel.shard(batch_of(experiment), built.mesh)
    state, metrics = play(state, batch, built.key)
    return start, jax.device_get(state.params), jax.device_get(metrics)


# "vision_aided" is "stylegan2" beside the frozen network of "projected".
@pytest.mark.parametrize("name", [name for name in GAMES if name != "vision_aided"])
def test_the_game_is_played_as_with_plain_convolutions(name, monkeypatch):
    """Parameters to a hundredth of their step (ReLU and L1 have kinks), metrics to two thousandths.

    After one round: in a second one errors of 1e-6 grow to a tenth of the voices' step.
    """
    experiment, calls, call = wide(GAMES[name]), set(), onednn._call
    has_library = onednn.is_available()
    with monkeypatch.context() as patch:
        patch.setattr(conv, "_by_platform", lambda fast, plain, *given: plain(*given))
        patch.setattr(onednn, "is_available", lambda: False)
        start, plain, measured = played(experiment)
    monkeypatch.setattr(dispatch, "FEW_OUTPUTS", 0)  # as of large batches
    monkeypatch.setattr(matmul, "FEWEST_BATCHED", 1000)
    monkeypatch.setattr(matmul, "FEWEST_SINGLE", 1000)
    monkeypatch.setattr(onednn, "_call", lambda *given: calls.add(given[0]) or call(*given))
    _, own, found = played(experiment)
    for before, a, b in zip(*map(jax.tree.leaves, (start, own, plain)), strict=True):
        step = np.linalg.norm(b - before)
        assert np.linalg.norm(a - b) <= 1e-2 * step + 2e-6 * np.sqrt(b.size)
    for a, b in zip(*map(jax.tree.leaves, (found, measured)), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=1e-5)
    takes = {"__onednn$matmul"} | ({"__onednn$convolution"} if convolves(experiment) else set())
    assert calls == (takes if has_library else set())
