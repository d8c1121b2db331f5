"""What every game promises, for every objective, penalty and schedule of moves."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax import game, latents, objectives, parallel
from gan_jax.augment import Adaptive, Augment
from gan_jax.build.common import OBJECTIVES
from gan_jax.game import Net
from gan_jax.games.cut import cut
from gan_jax.games.cyclegan import cyclegan
from gan_jax.games.frozen import FrozenFeatures, VisionAid
from gan_jax.games.gan import condition_on, gan
from gan_jax.games.pix2pix import pix2pix
from gan_jax.games.stylegan import stylegan
from gan_jax.games.text_to_image import text_to_image
from gan_jax.games.toy_games import bilinear, dirac
from gan_jax.games.vae import gaussian, vae
from gan_jax.networks import mlp
from gan_jax.networks.contrastive import PatchHeads
from gan_jax.networks.layers import Sliced
from gan_jax.networks.text import Augmenter
from gan_jax.penalties import MatchingAware, Penalties

G = Net(mlp.Generator((2,), (8,), out=lambda x: x), (jax.ShapeDtypeStruct((2, 3), jnp.float32),))
D = Net(mlp.Discriminator((8,)), (jax.ShapeDtypeStruct((2, 2), jnp.float32),))
RNG = np.random.default_rng(0)
BATCH = {
    "real": jnp.asarray(RNG.normal(size=(16, 2)), jnp.float32),
    "condition": jnp.asarray(np.eye(3)[RNG.integers(0, 3, 16)], jnp.float32),
    **{n: jnp.asarray(RNG.normal(size=(16, 2)), jnp.float32) for n in ("x", "y")},
    **{n: jnp.asarray(RNG.normal(size=(16, 5)), jnp.float32) for n in ("text", "wrong_text")},
}
KEY = jax.random.key(0)


def perceptrons(objective: objectives.Objective, **options):
    sgd = optax.sgd(0.05)
    return gan(G, D, sgd, sgd, objective=objective, prior=latents.normal(3), **options)


def floats(*shape):
    return jax.ShapeDtypeStruct((2, *shape), jnp.float32)


def net(size, *inputs):
    """A perceptron of any role, to vectors of `size`; its inputs' sizes are given."""
    return Net(mlp.Generator((size,), (8,), out=lambda x: x), tuple(map(floats, inputs)))


def judge(*inputs):
    return Net(mlp.Discriminator((8,)), tuple(map(floats, inputs)))


def shaken(key, x, p):
    """An augmentation of points."""
    return x + p * jax.random.normal(key, x.shape)


class Mixed(nn.Module):
    """A perceptron as a generator with styles: what it sees beside a latent is the other one."""

    @nn.compact
    def __call__(self, z, label=None, alpha=None, other=None, crossover=None, train=True):
        other = z if other is None else jnp.where(crossover < 2, other, z)
        both = jnp.concatenate([z, other], axis=1)
        return mlp.Generator((2,), (8,), out=lambda x: x)(both, train=train)


class Told(nn.Module):
    """A perceptron that is conditioned on labels or, with None, nothing."""

    @nn.compact
    def __call__(self, x, label=None, train=True):
        x = x if label is None else jnp.concatenate([x, label], axis=1)
        return mlp.Discriminator((8,))(x, train=train)


class Slicing(nn.Module):
    """A perceptron whose last layer is sliced."""

    @nn.compact
    def __call__(self, x, train=True):
        return Sliced()(nn.relu(nn.Dense(8)(x)))


class Levels(nn.Module):
    """Two levels of logits of two maps."""

    @nn.compact
    def __call__(self, first, second, train=True):
        return nn.Dense(3)(nn.relu(nn.Dense(8)(first))), nn.Dense(1)(second)


def aided(start=2, **options):
    """A game with a second discriminator on frozen features, which joins it in its third round."""
    features = FrozenFeatures(lambda kernel, x: (x @ kernel, x), lambda: jnp.eye(2)[::-1])
    judge = Net(Levels(), (floats(2), floats(2)))
    vision = VisionAid(judge, features, optax.adam(0.01), weight=0.5, start=start)
    return perceptrons(NON_SATURATING, vision=vision, **{"augment": Augment(shaken), **options})


class Reading(nn.Module):
    """A perceptron that also reads a caption off a point."""

    @nn.compact
    def __call__(self, x, text, train=True):
        return mlp.Discriminator((8,))(x, text, train=train), nn.Dense(5)(x)


class Encoding(nn.Module):
    """A perceptron as a generator with an encoder: its hidden layer is a map of 2x2 pixels."""

    @nn.compact
    def translate_and_encode(self, x, train=True):
        hidden = nn.relu(nn.Dense(12)(x))
        return nn.Dense(2)(hidden), (hidden.reshape(-1, 2, 2, 3),)

    def __call__(self, x, train=True):
        return self.translate_and_encode(x)[0]

    def encode(self, x, train=True):
        return self.translate_and_encode(x)[1]


SGD = optax.sgd(0.05)
NON_SATURATING = objectives.non_saturating()
OTHERS = {
    "dirac": dirac(SGD, r1=1.0),
    "bilinear": bilinear(SGD),
    "conditional": gan(
        net(2, 3, 3),
        judge(2, 3),
        SGD,
        SGD,
        objective=NON_SATURATING,
        prior=latents.normal(3),
        conditioning=condition_on("condition"),
    ),
    "pix2pix": pix2pix(net(2, 2), judge(2, 2), SGD, SGD, objective=NON_SATURATING, l1=1.0, ema=0.5),
    "pix2pix_relativistic": pix2pix(
        net(2, 2), judge(2), SGD, SGD, objective=objectives.relativistic(), conditional=False
    ),
    "cyclegan": cyclegan(
        net(2, 2),
        net(2, 2),
        judge(2),
        judge(2),
        SGD,
        SGD,
        objective=objectives.least_squares(),
        pool_size=20,  # filled within the four rounds, then exchanged with
        ema=0.5,
    ),
    "cyclegan_two_steps": cyclegan(
        net(2, 2),
        net(2, 2),
        judge(2),
        judge(2),
        SGD,
        SGD,
        objective=objectives.relativistic(),
        cycle=(10.0, 0.0),
        identity_until=2,
        pool_size=0,
        cycled_discriminators=(judge(2), judge(2)),
    ),
    "cut": cut(
        Net(Encoding(), (floats(2),)),
        Net(PatchHeads(4), (floats(3, 3),)),
        judge(2),
        optax.sgd(1e-3),  # the heads begin small
        SGD,
        objective=objectives.relativistic(),
        patches=3,
        ema=0.5,
    ),
    "text_to_image": text_to_image(
        net(2, 3, 4),
        Net(Augmenter(4), (floats(5),)),
        judge(2, 5),
        SGD,
        SGD,
        objective=NON_SATURATING,
        prior=latents.normal(3),
        condition_prior=latents.normal(4),
        ema=0.5,
    ),
    "matching": text_to_image(
        net(2, 3, 5),
        None,
        judge(2, 5),
        SGD,
        SGD,
        objective=objectives.hinge(),
        prior=latents.normal(3),
        hard=0.5,
        penalty=MatchingAware(0.1),
        text_scale=0.5,
        ema=0.5,
    ),
    "matching_differences": text_to_image(
        net(2, 3, 5),
        None,
        Net(Reading(), (floats(2), floats(5))),
        SGD,
        SGD,
        objective=objectives.relativistic(),
        prior=latents.normal(3),
        hard=0.5,
        penalty=MatchingAware(0.1, step=0.01),
        auxiliary=0.5,
    ),
    "stylegan": stylegan(
        Net(Mixed(), (floats(3),)),
        Net(Told(), (floats(2), floats(3))),
        SGD,
        SGD,
        objective=NON_SATURATING,
        prior=latents.normal(3),
        layers=4,
        style_mixing_prob=0.5,
        condition="condition",
        penalties=Penalties(r1=1.0, every=2),
        ema=0.5,
    ),
    "vae": vae(
        net(2, 3),
        net(6, 2),
        optax.sgd(1e-3),
        likelihood=gaussian(1.0),
        prior=latents.normal(3),
        ema=0.5,
    ),
}
GAMES = {name: perceptrons(make()) for name, make in OBJECTIVES.items()} | {
    "r1_r2": perceptrons(objectives.relativistic(), penalties=Penalties(1.0, 1.0), ema=0.5),
    "slicing": gan(
        G,
        Net(Slicing(), (floats(2),)),
        SGD,
        SGD,
        objective=NON_SATURATING,
        prior=latents.normal(3),
        slicing=True,
    ),
    "differences": perceptrons(NON_SATURATING, penalties=Penalties(1.0, 1.0, step=0.01)),
    "lazy": perceptrons(NON_SATURATING, penalties=Penalties(r1=1.0, every=2)),
    "critic": perceptrons(
        objectives.wasserstein(), penalties=Penalties(gradient_penalty=10.0), n_critic=2
    ),
    "scheduled": perceptrons(
        objectives.relativistic(),
        penalties=Penalties(r1=lambda round: 1.0 / (1.0 + round), r2=lambda round: 0.1 * round),
        ema=lambda round: 0.1 * round,
        augment=Augment(shaken, lambda round: 0.2 * round),
    ),
    "paired_augment": perceptrons(
        objectives.relativistic(), augment=Augment(shaken, paired=True), penalties=Penalties(1.0)
    ),
    "adaptive": perceptrons(
        NON_SATURATING,
        penalties=Penalties(r1=1.0, every=2),
        augment=Augment(shaken, Adaptive(0.2, 0.0, 1)),
    ),
    "simultaneous": perceptrons(objectives.hinge(), simultaneous=True),
    "features": perceptrons(
        objectives.hinge(),
        features=FrozenFeatures(lambda kernel, x: (x @ kernel,), lambda: jnp.eye(2)[::-1]),
        augment=Augment(shaken),
    ),
    "vision": aided(),
    "vision_fresh_fakes": aided(fresh_fakes=True),
    "vision_adaptive": aided(augment=Augment(shaken, Adaptive(0.2, 0.0, 1)), start=0),
    **OTHERS,
}


@functools.cache
def playing(name, devices, backend="shard_map"):
    """The state after four rounds, and each round's metrics."""
    played = GAMES[name]
    mesh = parallel.make_mesh(devices)
    state = parallel.place(game.init(played, KEY), mesh)
    play = parallel.data_parallel(
        lambda s, b, k: game.step(played, s, b, k, axis_name=parallel.AXIS), mesh, backend=backend
    )
    batch = parallel.shard(jax.device_get(BATCH), mesh)
    history = []
    for _ in range(4):
        state, metrics = play(state, batch, KEY)
        history.append(jax.device_get(metrics))
    return jax.device_get(state), history


@pytest.mark.parametrize("name", GAMES)
def test_eight_devices_play_as_one_and_all_stays_finite(name):
    """To 1e-5 of the largest number of an array, or of 1: rounds, memories and averages.

    Finite differences divide rounding by their small step.
    """
    near = 3e-5 if name == "matching_differences" else 1e-5
    one, eight = playing(name, 1), playing(name, 8)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(eight), strict=True):
        assert np.isfinite(a).all()
        np.testing.assert_allclose(a, b, rtol=0, atol=near * max(1.0, np.abs(a).max(initial=0)))


@pytest.mark.parametrize("name", GAMES)
def test_pmap_plays_as_shard_map_in_every_bit(name):
    both = playing(name, 8, "pmap"), playing(name, 8, "shard_map")
    jax.tree.map(np.testing.assert_array_equal, *both)


@pytest.mark.parametrize("name", GAMES)
def test_the_field_names_every_player_and_its_own_parameters(name):
    played = GAMES[name]
    state = game.init(played, KEY)
    field = jax.jit(lambda state: game.vector_field(played, state, BATCH, KEY))(state)
    assert field.keys() == played.players.keys()
    for player, grads in field.items():
        own = {net: state.params[net] for net in played.players[player].nets}
        assert jax.tree.structure(grads) == jax.tree.structure(own)


@pytest.mark.parametrize("name", GAMES)
def test_metrics_keep_their_names_from_round_to_round(name):
    played = GAMES[name]
    state = game.init(played, KEY)
    play = jax.jit(lambda state: game.step(played, state, BATCH, KEY))
    state, first = play(state)
    _, second = play(state)
    assert first.keys() == second.keys() == {move.label for move in played.moves}
    assert all({"loss", "grad_norm"} <= row.keys() for row in first.values())
