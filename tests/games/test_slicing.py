"""Slicing adversarial networks: direction and length of D's last layer are trained apart."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax import config, game, latents, objectives
from gan_jax.build.experiment import build
from gan_jax.config import Data, Dcgan, Experiment, Gan, Player
from gan_jax.errors import UserError
from gan_jax.game import Net
from gan_jax.games.gan import gan
from gan_jax.networks import mlp
from gan_jax.networks.layers import Sliced

KEY = jax.random.key(0)
SGD = optax.sgd(0.1)


def floats(*shape):
    return jax.ShapeDtypeStruct((2, *shape), jnp.float32)


def test_the_direction_loss_is_large_logits_for_reals_and_small_ones_for_fakes():
    """Takida et al. 2024 (arXiv:2301.12811), equation 9: of weight 1, in D's move alone."""

    class Discriminator(Sliced):
        """The last layer itself, which a game calls with `train`."""

        def __call__(self, x, train=True):
            return super().__call__(x)

    made = gan(
        Net(mlp.Generator((2,), (8,), out=lambda x: x), (floats(3),)),
        Net(Discriminator(), (floats(2),)),
        SGD,
        SGD,
        objective=objectives.hinge(),
        prior=latents.normal(3),
        slicing=True,
    )
    batch = {"real": jax.random.normal(KEY, (8, 2)) + 1.0}
    state = game.init(made, KEY)
    _, metrics = game.step(made, state, batch, KEY)
    shared, _ = game._run_shared(  # the same fakes
        made, game.variables(made, state), game.with_index(batch, 0), jax.random.fold_in(KEY, 0)
    )
    unit = state.params["discriminator"]["direction"]
    unit = unit / jnp.linalg.norm(unit)
    real, fake = batch["real"] @ unit, shared.values["fake"] @ unit
    assert metrics["discriminator"]["direction"] == pytest.approx(float(fake.mean() - real.mean()))
    hinge = jax.nn.relu(1.0 - real).mean() + jax.nn.relu(1.0 + fake).mean()
    assert metrics["discriminator"]["loss"] == pytest.approx(
        float(hinge + fake.mean() - real.mean()), rel=1e-5
    )
    assert "direction" not in metrics["generator"]


EXPERIMENT = Experiment(
    "san",
    *(Player(Dcgan(width=2)),) * 2,
    Gan(z=4, slicing=True),
    Data(resolution=8),
    batch_size=4,
    run=config.Run(devices=1),
)


def test_dcgans_discriminator_can_be_sliced():
    params = jax.eval_shape(lambda: game.init(build(EXPERIMENT).game, KEY)).params
    assert params["discriminator"]["out"].keys() == {"bias", "direction", "scale"}
    out = params["discriminator"]["out"]["direction"].shape
    assert np.prod(out) == 4 * 4 * 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"game.condition": "projection", "game.classes": 3}, "game.slicing cannot be used with"),
        ({"discriminator.network": config.R3gan(width=8, cardinality=2)}, "cannot do sliced"),
    ],
)
def test_what_cannot_be_sliced_is_refused_by_name(changes, message):
    with pytest.raises(UserError, match=message):
        build(config.change(EXPERIMENT, changes))
