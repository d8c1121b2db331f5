"""The same augmentation for the real and the fake of a relativistic pair."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax import augment, config, game, latents, objectives
from gan_jax.augment import Augment
from gan_jax.build.experiment import build
from gan_jax.config import Data, Experiment, Gan
from gan_jax.errors import UserError
from gan_jax.game import Net
from gan_jax.games.gan import gan
from gan_jax.penalties import Penalties

KEY = jax.random.key(0)
REAL = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (8, 4, 4, 1)), jnp.float32)


class Copying(nn.Module):
    """A generator of the batch's reals: what then differs in a pair is the augmentation."""

    @nn.compact
    def __call__(self, z, train=True):
        return self.param("one", nn.initializers.ones, ()) * REAL


class Linear(nn.Module):
    """A discriminator that tells every change of a picture."""

    @nn.compact
    def __call__(self, x, train=True):
        return nn.Dense(1)(x.reshape(len(x), -1))[:, 0]


def metrics(paired, **options):
    """The metrics of the first round, by move; nothing is learned in it."""
    shapes = [jax.ShapeDtypeStruct((8, *shape), jnp.float32) for shape in ((3,), (4, 4, 1))]
    made = gan(
        Net(Copying(), shapes[:1]),
        Net(Linear(), shapes[1:]),
        optax.sgd(0.0),
        optax.sgd(0.0),
        objective=objectives.relativistic(),
        prior=latents.normal(3),
        augment=Augment(augment.diffaugment, paired=paired),
        **options,
    )
    state = game.init(made, KEY)
    return jax.jit(lambda s: game.step(made, s, {"real": REAL}, KEY)[1])(state)


def test_a_pair_sees_the_same_transform_in_both_moves():
    """Equal pictures then have equal logits, and softplus(0) = log 2 is the loss of every pair."""
    for row in metrics(paired=True).values():
        assert float(row["loss"]) == pytest.approx(math.log(2.0), abs=1e-6)


def test_without_pairing_each_sees_its_own():
    for row in metrics(paired=False).values():
        assert abs(float(row["loss"]) - math.log(2.0)) > 1e-3


def test_slopes_are_those_at_the_same_transform_for_both():
    """R1 of a real and R2 of its equal fake are then the same number."""
    row = metrics(paired=True, penalties=Penalties(r1=1.0, r2=1.0))
    r1, r2 = (float(row["discriminator"][name]) for name in ("r1", "r2"))
    assert r1 == pytest.approx(r2, rel=1e-5)


def test_a_paired_augmentation_needs_a_paired_objective():
    with pytest.raises(ValueError, match="paired objective"):
        gan(
            *(Net(Copying(), ()), Net(Linear(), ()), optax.sgd(0.0), optax.sgd(0.0)),
            objective=objectives.hinge(),
            prior=latents.normal(3),
            augment=Augment(augment.diffaugment, paired=True),
        )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"game.augment": ""}, r"augment_paired needs game\.augment"),
        ({"game.objective": "hinge"}, "pairs, not 'hinge'; did you mean 'relativistic'"),
    ],
)
def test_an_experiment_without_pairs_cannot_augment_them(changes, message):
    chosen = {"objective": "relativistic", "augment": "diffaugment", "augment_paired": True}
    experiment = Experiment("pairs", game=Gan(**chosen), data=Data(resolution=8))
    with pytest.raises(UserError, match=message):
        build(config.change(experiment, changes))
