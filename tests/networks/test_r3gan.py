"""R3GAN (Huang et al. 2024, arXiv:2501.05441): its networks and schedules."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers.paths import EXPERIMENTS

from gan_jax import config, game, latents, objectives
from gan_jax.build.experiment import build
from gan_jax.build.optimizers import annealed, make_annealed
from gan_jax.config import Anneal, Experiment, Gan, Player, R3gan
from gan_jax.errors import UserError
from gan_jax.game import Net
from gan_jax.games.gan import condition_on, gan
from gan_jax.networks import mlp, r3gan
from gan_jax.networks.r3gan import GAIN, Discriminator, Generator, downsample, upsample

KEY = jax.random.key(0)
RECIPES = EXPERIMENTS / "r3gan.py"
SMALL = {"resolution": 8, "width": 8, "cardinality": 2, "blocks": 1}
X = jax.random.normal(jax.random.key(1), (4, 8, 8, 3))
Z = jax.random.normal(jax.random.key(2), (4, 5))
LABEL = jnp.eye(3)[jnp.array([0, 1, 2, 0])]


def shapes(module, *sizes):
    inputs = [jax.ShapeDtypeStruct((1, *size), jnp.float32) for size in sizes]
    return jax.eval_shape(module.init, KEY, *inputs)["params"]


def count(module, *sizes):
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes(module, *sizes)))


def test_parameter_counts_are_the_papers():
    """Section 4, configuration E at 256 px: G 23.06 M, D 23.01 M."""
    assert round(count(Generator(256), (64,)) / 1e6, 2) == 23.06
    assert round(count(Discriminator(256), (256, 256, 3)) / 1e6, 2) == 23.01


def test_widths_and_groups_halve_beyond_the_widest_side():
    shape = r3gan.Shape(256)
    found = [shape.at(stage) for stage in range(7)]
    assert found == [(768, 96)] * 4 + [(384, 48), (192, 24), (96, 12)]
    assert r3gan.Shape(64, width=1536, widest=64).at(4) == (1536, 96)


def test_blocks_begin_as_the_identity_and_fixup_scales_their_other_layers():
    wide = Generator(resolution=8, width=128, cardinality=4, blocks=2)
    params = jax.jit(wide.init)(KEY, jnp.zeros((1, 64)))["params"]
    blocks = 4  # two stages of two
    gain = GAIN * blocks ** (-1 / 4)
    for name in ("block0_0", "block1_1"):
        assert not np.any(params[f"{name}_out"])
        assert not np.any(params[f"{name}_bias0"]) and not np.any(params[f"{name}_bias1"])
        assert np.std(params[f"{name}_in"]) == pytest.approx(gain / math.sqrt(128), rel=0.05)
        assert params[f"{name}_mid"].shape == (3, 3, 64, 256)
        assert np.std(params[f"{name}_mid"]) == pytest.approx(gain / math.sqrt(9 * 64), rel=0.05)
    assert np.std(params["basis"]) == pytest.approx(1.0, rel=0.05)
    assert np.std(params["to_rgb"]) == pytest.approx(1 / math.sqrt(128), rel=0.15)
    assert math.sqrt(2 / 1.04) == GAIN


def test_nothing_bounds_the_pictures():
    net = Generator(**SMALL)
    pictures = jax.jit(lambda k: net.apply(net.init(k, Z), 100.0 * Z))(KEY)
    assert pictures.shape == (4, 8, 8, 3) and np.abs(pictures).max() > 1.5


def test_resampling_is_bilinear_both_ways():
    """[1 2 1] * [1 1] = [1 3 3 1], zero outside."""
    taps = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 16
    point = jnp.zeros((1, 5, 5, 1)).at[0, 2, 2, 0].set(1.0)
    painted = np.asarray(upsample(point))[0, :, :, 0]
    np.testing.assert_allclose(painted[3:7, 3:7], taps, atol=1e-6)
    assert painted.sum() == pytest.approx(4.0)
    for row in range(8):
        pixel = jnp.zeros((1, 8, 8, 1)).at[0, row, 4, 0].set(1.0)
        seen = np.asarray(downsample(pixel))[0, :, 2, 0]
        weights = {2 * i + k - 1: w for k, w in enumerate((1, 3, 3, 1)) for i in [row // 2]}
        assert seen[row // 2] == pytest.approx(weights[row] * 3 / 64)


def test_a_condition_is_an_embedding_beside_z_and_an_inner_product_in_d():
    generator, judge = Generator(**SMALL), Discriminator(**SMALL, projection=True)
    made = shapes(generator, Z.shape[1:], LABEL.shape[1:])
    assert made["embed"].shape == (3, 5) and made["modulation"].shape == (10, 8)
    variables = jax.jit(judge.init)(KEY, X, LABEL)
    look = jax.jit(judge.apply)
    none = look(variables, X, jnp.zeros_like(LABEL))
    np.testing.assert_array_equal(none, np.zeros(4))
    doubled = look(variables, X, 2.0 * LABEL)
    np.testing.assert_allclose(doubled, 2.0 * look(variables, X, LABEL), rtol=1e-5)
    with pytest.raises(UserError, match="projection"):
        Discriminator(**SMALL).init(KEY, X, LABEL)


def test_bfloat16_computes_and_float32_remembers():
    net = Discriminator(**SMALL, dtype=jnp.bfloat16)
    variables = {"params": shapes(net, X.shape[1:])}
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    jaxpr = jax.make_jaxpr(net.apply)(variables, X)
    assert "bf16[4,8,8,16]" in str(jaxpr)
    assert [out.dtype for out in jaxpr.out_avals] == [jnp.float32]


def test_both_players_judge_pairs_under_one_condition():
    """The generator's loss reads real logits, and real and fake of a pair share the label."""
    seen = []

    class Spy(mlp.Discriminator):
        def __call__(self, x, condition, train=True):
            jax.debug.callback(lambda c: seen.append(np.asarray(c).tobytes()), condition)
            return super().__call__(jnp.concatenate([x, condition], axis=1), train=train)

    def floats(*shape):
        return jax.ShapeDtypeStruct((2, *shape), jnp.float32)

    sgd = optax.sgd(0.1)
    paired = gan(
        Net(mlp.Generator((2,), (4,)), (floats(3), floats(3))),
        Net(Spy((4,)), (floats(2), floats(3))),
        sgd,
        sgd,
        objective=objectives.relativistic(),
        prior=latents.normal(3),
        conditioning=condition_on("condition"),
    )
    state = game.init(paired, KEY)
    seen.clear()
    batch = {"real": X[:, 0, 0, :2], "condition": LABEL}
    jax.jit(lambda s: game.step(paired, s, batch, KEY))(state)
    jax.effects_barrier()
    assert len(seen) >= 4  # reals and fakes of D's move, and of G's
    assert set(seen) == {np.asarray(LABEL).tobytes()}


# Schedules


def experiment(**options):
    player = Player(R3gan(width=8, cardinality=2, blocks=1), lr=2e-4, betas=(0.0, 0.9))
    anneal = Anneal(kimg=0.8, lr=0.25, gamma=0.1, beta2=0.99)
    game = Gan("relativistic", z=4, r1=2.0, r2=2.0, ema_kimg=0.4, anneal=anneal)
    return Experiment("r3", player, player, dataclasses.replace(game, **options), batch_size=8)


def test_everything_follows_half_a_cosine_of_images_and_then_stays():
    one = experiment()
    value = annealed(one, one.game.anneal, 2.0, end=0.2)
    for round, wanted in ((0, 2.0), (50, 1.1), (25, 0.2 + 1.8 * (0.5 + math.sqrt(0.5) / 2))):
        assert float(value(round)) == pytest.approx(wanted, rel=1e-5)
    assert float(value(100)) == float(value(500)) == pytest.approx(0.2, rel=1e-5)
    assert annealed(one, Anneal(), 2.0, end=0.2) == 2.0


@pytest.mark.parametrize(("rounds", "lazy"), [(1, 1), (2, 1), (1, 4)])
def test_rate_and_beta2_are_counted_in_rounds(rounds, lazy):
    """Whoever moves rarely, or more than once a round, is as far on its way as the round is."""
    one = experiment()
    tx = make_annealed(one, "generator", one.game.anneal, rounds, lazy)
    moves = round(50 / rounds * (1 if lazy == 1 else (lazy + 1) / lazy))
    state = tx.init(jnp.zeros(()))
    counted = jax.tree.map(lambda count: jnp.full_like(count, moves), state.hyperparams_states)
    _, state = jax.jit(tx.update)(jnp.ones(()), state._replace(hyperparams_states=counted))
    ratio = 1.0 if lazy == 1 else lazy / (lazy + 1)
    found = state.hyperparams
    assert float(found["learning_rate"]) == pytest.approx(ratio * 1.25e-4, rel=0.02)
    middle = (0.9**ratio + 0.99**ratio) / 2
    assert float(found["b2"]) == pytest.approx(middle, rel=0.01)


def test_the_averaged_copy_follows_at_once_and_slows_down():
    decay = build(config.change(experiment(), {"data.resolution": 8})).game.ema["generator"]
    assert float(decay(jnp.asarray(0))) == 0.0
    half_life = 25.0  # rounds, halfway through
    assert float(decay(jnp.asarray(50))) == pytest.approx(0.5 ** (1 / half_life), rel=1e-5)
    assert float(decay(jnp.asarray(100))) == pytest.approx(0.5 ** (8 / 400), rel=1e-5)


PAPER = {  # images of the schedule, gamma, p, half-life, batch
    "cifar10": (2e7, 0.05, 0.55, 5e6, 512),
    "ffhq64": (2e7, 2.0, 0.3, 5e5, 256),
    "ffhq256": (2e7, 150.0, 0.3, 5e5, 256),
    "imagenet64": (2e8, 1.0, 0.4, 5e7, 4096),
}


@pytest.mark.parametrize("name", PAPER)
def test_the_recipes_have_the_papers_numbers(name):
    one = config.recipe(f"{RECIPES}:{name}")
    options = one.game
    found = (
        1000 * options.anneal.kimg,
        options.r1,
        options.augment_p,
        1000 * options.ema_kimg,
        one.batch_size,
    )
    assert found == PAPER[name] and options.r1 == options.r2
    assert options.anneal == Anneal(options.anneal.kimg, lr=0.25, gamma=0.1, beta2=0.99)
    assert one.generator.betas == (0.0, 0.9) and one.discriminator.lr == 2e-4
    assert options.z == 64 and options.penalty_every == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"generator.network.cardinality": 3}, "do not divide among 3 groups"),
        ({"data.resolution": 24}, "24 is not a power of two"),
        ({"discriminator.optimizer": "sgd"}, "discriminator.optimizer = 'sgd'"),
        ({"game.augment": "ada"}, "'non_saturating'"),
        ({"discriminator.network.blocks": 0}, "discriminator.network.blocks"),
    ],
)
def test_mistakes_are_named(changes, words):
    with pytest.raises(UserError, match=words):
        build(config.change(experiment(), {"data.resolution": 8, **changes}))
