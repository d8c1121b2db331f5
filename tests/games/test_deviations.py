"""The sizes that docs/deviations.md gives, measured: where a number moves, both change."""

import re
from pathlib import Path
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.ndimage
import scipy.stats
from helpers.paths import ROOT

from gan_jax import augment, config, game, latents, objectives
from gan_jax.build.experiment import build
from gan_jax.build.optimizers import linear_decay
from gan_jax.config import Data, Experiment, Player, Style2, Stylegan
from gan_jax.data.pipeline import open_source
from gan_jax.metrics.sharpness import sharpness
from gan_jax.networks import dcgan, r3gan
from gan_jax.networks.stylegan_mapping import Mapping

KEY = jax.random.key(0)
PAGE = (ROOT / "docs" / "deviations.md").read_text()


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


def distance(a, b):
    """How far tree `a` is from tree `b`, as a share of `b`."""
    return float(optax.tree.norm(optax.tree.sub(a, b)) / optax.tree.norm(b))


def test_every_test_that_the_page_names_is_there_and_it_names_all_of_these():
    named = re.findall(r"(tests/[\w/]+\.py)::(test_\w+)", PAGE)
    assert len(named) > 15
    for file, test in named:
        assert f"def {test}(" in (ROOT / file).read_text(), (file, test)
    files = re.findall(r"`((?:gan_jax|experiments)/[\w/]+\.py)`", PAGE)
    assert len(files) > 20 and all((ROOT / file).is_file() for file in files)
    here = re.findall(r"^def (test_\w+)\(", Path(__file__).read_text(), re.MULTILINE)
    assert set(here[1:]) <= {test for file, test in named if "test_deviations" in file}


# StyleGAN and StyleGAN2


def style2():
    """StyleGAN2 of four pixels with both lazy moves, its opening state, a batch."""
    player = Player(Style2(width=1 / 64, w=8, mapping=1), betas=(0.0, 0.99))
    options = Stylegan(z=8, r1=1.0, penalty_every=16, path_length=2.0, path_every=4)
    made = Experiment("second", player, player, options, Data(resolution=4), batch_size=16)
    changes = {"run.devices": 1, "sync_batch_norm": False}
    played = build(config.change(made, changes)).game
    return played, game.init(played, KEY), game.with_index({"real": normal(1, 16, 4, 4, 1)}, 0)


STYLE2, STYLE2_STATE, STYLE2_BATCH = style2()
SEEN = game.variables(STYLE2, STYLE2_STATE)
AUTHORS = ("generator", "generator/path", "discriminator", "discriminator/penalty")


def test_the_mean_path_length_is_a_constant_to_the_gradient():
    """At most 1 % of the gradient while the mean rises, 0 where it has arrived."""

    def gradient(mean, stop):
        with mock.patch.object(jax.lax, "stop_gradient", stop):
            seen = {**SEEN, "path_mean": mean}
            _, aux, grads = game.gradient(STYLE2, STYLE2.moves[-1], seen, STYLE2_BATCH, KEY)
        return aux.metrics["path_length"], grads

    stop = jax.lax.stop_gradient
    ours, theirs = (jax.jit(lambda m, f=f: gradient(m, f)) for f in (stop, lambda x: x))
    length, _ = ours(jnp.zeros(()))
    gaps = [distance(ours(mean)[1], theirs(mean)[1]) for mean in (0.0 * length, length)]
    assert 0.003 < gaps[0] < 0.0102 and gaps[1] < 1e-4


def test_the_order_of_moves_is_the_authors_from_the_second_half_of_a_round_on():
    labels = tuple(move.label for move in STYLE2.moves)
    assert labels[2:] + labels[:2] == AUTHORS
    lazy = {label: [] for label in labels if "/" in label}
    for step in range(32):
        for label in lazy:
            if label in game.played(STYLE2, step):
                lazy[label].append(step)
    assert lazy["generator/path"] == list(range(3, 32, 4))  # theirs from round 0 on
    assert lazy["discriminator/penalty"] == [15, 31]


def test_w_avg_moves_eight_times_in_four_rounds():
    """The authors' ninth is the path length move's: a half-life of 61 rounds instead of 69."""
    moved = {}
    for move in STYLE2.moves:
        stats = jax.eval_shape(move.loss, SEEN, STYLE2_BATCH, KEY)[1].stats
        moved[move.label] = "moving" in stats.get("generator", {})
    moves = sum(sum(moved[label] for label in game.played(STYLE2, step)) for step in range(4))
    assert moves == 8 and not moved["generator/path"]
    half_life = np.log(0.5) / np.log(0.995) / 2.0
    assert round(half_life) == 69 and round(half_life * 8 / 9) == 61


def test_the_mapping_network_differs_from_stylegan2s_code_in_the_gain_of_biases():
    """The same function at first, when biases are 0; then root 2 on every bias."""
    ours, theirs = (Mapping(8, 2, revised=revised) for revised in (False, True))
    variables, z = ours.init(KEY, normal(1, 4, 8)), normal(1, 4, 8)
    np.testing.assert_allclose(ours.apply(variables, z), theirs.apply(variables, z), atol=1e-6)

    def biased(by):
        def shift(path, leaf):
            return leaf + by if path[-1].key == "bias" else leaf

        params = jax.tree_util.tree_map_with_path(shift, variables["params"])
        return {**variables, "params": params}

    np.testing.assert_allclose(
        ours.apply(biased(np.sqrt(2.0)), z), theirs.apply(biased(1.0), z), atol=1e-5
    )


# Rounds


def test_a_generator_is_judged_by_fakes_that_the_discriminator_has_just_learned():
    """Its loss on them is some 1 % above that on fresh fakes: on the ring, after 300 rounds."""
    recipe = config.recipe(f"{ROOT}/experiments/gan.py:ring8")
    changes = {"run.devices": 1, "game.ema_kimg": 0.0, "sync_batch_norm": False}
    played = build(config.change(recipe, changes)).game
    source = open_source("toy/ring8", split="train", seed=0)
    real = np.asarray(source.records.take(np.arange(600 * 256))["x"]).reshape(600, 256, 2)

    @jax.jit
    def train(state, real):
        step = lambda state, x: (game.step(played, state, {"real": x}, KEY)[0], None)  # noqa: E731
        return jax.lax.scan(step, state, real)[0]

    state = train(game.init(played, KEY), real[:300])

    def losses(given):
        """The generator's, on the fakes of the discriminator's move and on others."""
        key, x = given
        batch = game.with_index({"real": x}, state.step)
        seen = game.variables(played, state)
        shared, _ = played.shared.forward(seen, batch, key)
        fresh, _ = played.shared.forward(seen, batch, jax.random.fold_in(key, 1))
        first, second = played.moves
        _, _, grads = game.gradient(played, first, seen, {**batch, **shared}, key)
        tx, own = (
            played.players["discriminator"].tx,
            {"discriminator": state.params["discriminator"]},
        )
        updates, _ = tx.update(grads, state.opt["discriminator"], own)
        params = optax.apply_updates(own, updates)["discriminator"]
        moved = {**seen, "discriminator": {**seen["discriminator"], "params": params}}
        return tuple(second.loss(moved, {**batch, **f}, key)[0] for f in (shared, fresh))

    keys = jax.random.split(jax.random.key(1), 300)
    shared, fresh = map(np.asarray, jax.jit(lambda g: jax.lax.map(losses, g))((keys, real[300:])))
    more, error = (shared - fresh).mean(), (shared - fresh).std() / np.sqrt(300)
    assert more > 4.0 * error
    assert 0.003 < more / fresh.mean() < 0.02


def test_cyclegans_rate_falls_every_round_and_not_every_epoch():
    """Never more than 1 % of the rate from the authors' steps of 1/101 an epoch."""
    epochs, images = 100, 1334
    fall = linear_decay(epochs * images / 1000, 2 * epochs * images / 1000, 1 / 1000)
    rounds = np.arange(2 * epochs * images)
    epoch = rounds // images + 1
    theirs = 1.0 - np.maximum(0, epoch - epochs) / (epochs + 1)
    gap = np.abs(np.asarray(fall(rounds)) - theirs).max()
    assert 0.0098 < gap < 0.01


# Networks and losses


def test_the_running_variance_is_biased():
    """Over n values it is 1 - 1/n of PyTorch's: 3e-4 in the quickstart, 6 % in pix2pix:unet."""
    module = dcgan.batch_norm()(use_running_average=False)
    for shape in ((64, 7, 7, 2), (4, 2, 2, 2)):
        x = normal(2, *shape)
        start = module.init(KEY, x)
        _, after = module.apply(start, x, mutable=["batch_stats"])
        found = (np.asarray(after["batch_stats"]["var"]) - dcgan.DECAY) / (1.0 - dcgan.DECAY)
        n = np.prod(shape[:3])
        unbiased = np.var(np.asarray(x), axis=(0, 1, 2), ddof=1)
        np.testing.assert_allclose(1.0 - found / unbiased, 1.0 / n, atol=2e-5)


def test_a_caption_enters_the_logit_linearly():
    """The authors' head is not: a leaky ReLU, a 1x1 convolution, a norm and another ReLU."""
    module = dcgan.Discriminator(8, 2, norm=None, projection=True)
    x, text = normal(1, 3, 8, 8, 1), normal(2, 3, 5)
    variables = module.init(KEY, x, text)
    none, once, twice = (module.apply(variables, x, t * text) for t in (0.0, 1.0, 2.0))
    np.testing.assert_allclose(twice - once, once - none, rtol=1e-3, atol=1e-6)
    recipe = dcgan.Discriminator(64, 64, projection=True)
    shapes = jax.eval_shape(recipe.init, KEY, jnp.zeros((1, 64, 64, 3)), jnp.zeros((1, 384)))
    assert shapes["params"]["embed"]["kernel"].shape == (384, 4 * 4 * 512)


def test_a_class_is_projected_on_every_place_of_the_last_map():
    """Not on their sum: 49 times as many numbers a class at 28 px, 16 at 32 and 64 px."""
    for side, places in ((28, 49), (32, 16), (64, 16)):
        module = dcgan.Discriminator(side, 4, projection=True)
        shapes = jax.eval_shape(module.init, KEY, jnp.zeros((1, side, side, 1)), jnp.zeros((1, 10)))
        widest = 4 * 2 ** (dcgan.stages(side) - 1)
        assert shapes["params"]["embed"]["kernel"].shape == (10, places * widest)


def test_the_captions_noise_is_not_truncated():
    """Zhang et al.'s code draws within two deviations, where the deviation is 0.88."""
    z = latents.normal(64)(KEY, jnp.arange(2000))
    assert float(z.std()) == pytest.approx(1.0, abs=0.01)
    assert scipy.stats.truncnorm(-2, 2).std() == pytest.approx(0.88, abs=0.001)
    assert float(jnp.mean(jnp.abs(z) > 2.0)) == pytest.approx(0.0455, abs=0.005)


def test_least_squares_are_twice_the_papers_and_adam_does_not_see_it():
    ours = jax.grad(lambda d: objectives.least_squares().generator(d, d).sum())(normal(1, 8))
    papers = normal(1, 8) - 1.0  # of (d - 1)^2 / 2
    np.testing.assert_allclose(ours, 2.0 * papers, rtol=1e-5)
    tx = optax.adam(1e-3, 0.5)
    steps = [tx.update(g, tx.init(g))[0] for g in (ours, papers)]
    np.testing.assert_allclose(*steps, rtol=1e-5)


def test_a_voice_is_judged_by_logits_whose_slope_is_eight_times_a_sigmoids():
    loss = lambda d: objectives.least_squares().generator(d, d)  # noqa: E731
    logit = jax.grad(loss)(0.0)
    sigmoid = jax.grad(lambda d: loss(jax.nn.sigmoid(d)))(0.0)
    assert float(logit / sigmoid) == pytest.approx(8.0)


def test_bfloat16_begins_at_8_px_in_r3gan():
    """The authors' ffhq256 begins at 32 px; all of it in bfloat16 moves pictures by 0.5 to 2 %."""
    make = {"resolution": 16, "width": 32, "cardinality": 4, "blocks": 1}
    whole, half = (r3gan.Generator(**make, dtype=d) for d in (jnp.float32, jnp.bfloat16))
    z, draw = normal(1, 4, 16), np.random.default_rng(0)
    shapes = jax.eval_shape(whole.init, KEY, z)
    variables = jax.tree.map(
        lambda s: jnp.asarray(
            draw.normal(size=s.shape) / np.sqrt(s.shape[-2] if len(s.shape) > 1 else 4), s.dtype
        ),
        shapes,
    )
    text = str(jax.make_jaxpr(half.apply)(variables, z))
    assert "bf16[4,8,8,32]" in text and "bf16[4,4,4,64]" not in text
    exact, rounded = jax.jit(whole.apply)(variables, z), jax.jit(half.apply)(variables, z)
    assert 0.002 < distance(rounded, exact) < 0.02


# Augmentation


def test_adas_warp_keeps_less_fine_detail_than_a_spline():
    """Rotated by random angles, drawn faces keep 45 % of their sharpness; by a spline 77 %."""
    source = open_source("avatars", split="train", resolution=64, channels=3)
    real = source.records.take(np.arange(64))["image"].astype(np.float32) / 127.5 - 1.0
    angles = np.random.default_rng(0).uniform(-np.pi, np.pi, 64)
    turns = np.zeros((64, 3, 3), np.float32)
    turns[:, 0, 0] = turns[:, 1, 1] = np.cos(angles)
    turns[:, 0, 1], turns[:, 1, 0], turns[:, 2, 2] = -np.sin(angles), np.sin(angles), 1.0
    ours = np.asarray(jax.jit(jax.vmap(augment.warp))(real, turns))

    def spline(x, turn):
        row, column = np.meshgrid(*[np.arange(64) - 31.5] * 2, indexing="ij")
        places = np.stack([column, row, np.ones_like(row)]).reshape(3, -1)
        columns, rows = (turn @ places)[:2] + 31.5
        planes = [
            scipy.ndimage.map_coordinates(plane, [rows, columns], order=5, mode="mirror")
            for plane in np.moveaxis(x, -1, 0)
        ]
        return np.stack(planes, axis=-1).reshape(x.shape)

    better = np.stack([spline(*pair) for pair in zip(real, turns, strict=True)])
    share = [sharpness(np.clip(x, -1.0, 1.0)) / sharpness(real) for x in (ours, better)]
    np.testing.assert_allclose(share, [0.45, 0.77], atol=0.03)
    gap = np.sqrt(np.mean((ours - better) ** 2)) / real.std()
    assert gap == pytest.approx(0.08, abs=0.02)
