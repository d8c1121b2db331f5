"""The numbers of each game after a few rounds, to notice what moves them.

When a change is meant to move them, run this file, paste what it prints, and say so in the commit.
"""

import jax
import numpy as np
import pytest

from gan_jax import config, game, parallel
from gan_jax.config import Data, Dcgan, Experiment, Gan, Mlp, Player
from gan_jax.training.build import build

MLP, DCGAN = Player(network=Mlp((8,))), Player(network=Dcgan(width=4))
GAMES = {
    "gan": Experiment("gan", MLP, MLP, Gan(z=4), Data("toy/ring8"), batch_size=8),
    "wgan_gp": Experiment(
        "wgan_gp",
        MLP,
        MLP,
        Gan("wasserstein", z=4, gradient_penalty=10.0, n_critic=2),
        Data("toy/ring8"),
        batch_size=8,
    ),
    "dcgan": Experiment(
        "dcgan", DCGAN, DCGAN, Gan(prior="uniform", z=4), Data(resolution=8), batch_size=8
    ),
    "dcgan_r1_lazy": Experiment(
        "dcgan_r1_lazy",
        DCGAN,
        DCGAN,
        Gan("hinge", z=4, r1=1.0, penalty_every=2, ema_kimg=0.1),
        Data(resolution=8),
        batch_size=8,
    ),
}
GOLDEN = {
    "gan": {
        "discriminator/fake_accuracy": 0.625,
        "discriminator/fake_logit": 0.107567,
        "discriminator/grad_norm": 0.483213,
        "discriminator/loss": 1.38507,
        "discriminator/real_accuracy": 0.75,
        "discriminator/real_logit": 0.137831,
        "generator/grad_norm": 0.238338,
        "generator/loss": 0.644306,
    },
    "wgan_gp": {
        "discriminator/fake_logit": 0.107938,
        "discriminator/grad_norm": 17.484,
        "discriminator/gradient_penalty": 0.456419,
        "discriminator/loss": 4.53475,
        "discriminator/real_logit": 0.137382,
        "generator/grad_norm": 0.552044,
        "generator/loss": -0.108031,
    },
    "dcgan": {
        "discriminator/fake_accuracy": 0.625,
        "discriminator/fake_logit": -8.24823e-05,
        "discriminator/grad_norm": 0.0823905,
        "discriminator/loss": 1.38618,
        "discriminator/real_accuracy": 0.375,
        "discriminator/real_logit": 0.000156222,
        "generator/grad_norm": 0.00822598,
        "generator/loss": 0.693178,
    },
    "dcgan_r1_lazy": {
        "discriminator/fake_accuracy": 0.625,
        "discriminator/fake_logit": -8.18472e-05,
        "discriminator/grad_norm": 0.165354,
        "discriminator/loss": 1.99998,
        "discriminator/real_accuracy": 0.375,
        "discriminator/real_logit": -6.557e-05,
        "discriminator/penalty/grad_norm": 0.00224275,
        "discriminator/penalty/loss": 0.000105539,
        "discriminator/penalty/r1": 0.000105539,
        "generator/grad_norm": 0.0173045,
        "generator/loss": 6.19197e-05,
    },
}


def scalars(experiment: Experiment) -> dict[str, float]:
    """The metrics of the fourth round on random data."""
    built = build(config.change(experiment, {"run.devices": 1}))
    rng = np.random.default_rng(0)
    points = experiment.data.name.startswith("toy/")
    batch = (
        {"x": rng.normal(size=(8, 2)).astype(np.float32)}
        if points
        else {"image": rng.integers(0, 256, (8, 8, 8, 1)).astype(np.uint8)}
    )
    state = parallel.initialise(lambda: game.init(built.game, built.key), built.mesh)
    play = jax.jit(parallel.alone(built.round))
    for _ in range(4):
        state, metrics = play(state, batch, built.key)
    return {f"{m}/{n}": float(x) for m, row in metrics.items() for n, x in row.items()}


@pytest.mark.parametrize("name", GAMES)
def test_the_numbers_have_not_moved(name):
    found = scalars(GAMES[name])
    print({name: {quantity: float(f"{value:.6g}") for quantity, value in found.items()}})
    assert found == pytest.approx(GOLDEN[name], rel=1e-3, abs=1e-5)
