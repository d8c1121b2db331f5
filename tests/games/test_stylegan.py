"""StyleGAN's game: mixing, path length, growing; and the seven faults of a port, each a test."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers.paths import EXPERIMENTS

from gan_jax import config, game, latents, objectives, parallel
from gan_jax.build import schedule
from gan_jax.build.experiment import build, make_parts
from gan_jax.config import Data, Experiment, Grow, Player, Run, Style, Style2, Stylegan
from gan_jax.errors import UserError
from gan_jax.game import Net
from gan_jax.games.stylegan import PathLength, stylegan
from gan_jax.networks import mlp
from gan_jax.reporting import run_log
from gan_jax.training import loop, run_dir

KEY = jax.random.key(0)
SIZES = {"width": 1 / 128, "w": 4, "mapping": 1}


def second(**changes) -> Experiment:
    """StyleGAN2 of four pixels with both lazy moves."""
    player = Player(network=Style2(**SIZES), lr=1e-2, betas=(0.0, 0.99))
    played = Stylegan(z=4, r1=1.0, penalty_every=16, path_length=2.0, path_every=4, ema_kimg=0.1)
    data = Data(resolution=4)
    made = Experiment("second", player, player, played, data, batch_size=16)
    return config.change(made, {"run.devices": 1, **changes})


def growing(kimg: float, **changes) -> Experiment:
    """StyleGAN from 4 px to 8: two rounds, two that fade, then as many as there are."""
    player = Player(network=Style(**SIZES), lr=1e-2, betas=(0.0, 0.99))
    grow = Grow(4, stable_kimg=0.032, fade_kimg=0.016, batch_sizes=(16, 8), rates=(1.0, 2.0))
    played = Stylegan(z=4, r1=1.0, ema_kimg=0.1, grow=grow)
    run = Run(kimg=kimg, log_every=1, sample_kimg=0.0, checkpoint_kimg=0.008, devices=1, keep=9)
    run = dataclasses.replace(run, backend="shard_map")
    made = Experiment("growing", player, player, played, Data(resolution=8), batch_size=8, run=run)
    return config.change(made, changes)


class Linear(nn.Module):
    """Pictures of `side` px, each pixel the sum of all styles' first numbers, times a parameter."""

    side: int
    layers: int = 4

    def setup(self):
        self.scale = self.param("scale", nn.initializers.ones, ())

    def styles(self, z, label=None, other=None, crossover=None, train=True):
        ws = jnp.broadcast_to(z[:, None], (len(z), self.layers, z.shape[1]))
        if other is None:
            return ws
        layer = jnp.arange(self.layers)[None, :, None]
        return jnp.where(layer < crossover, ws, other[:, None])

    def synthesise(self, ws, alpha=None, train=True):
        x = self.scale * jnp.sum(ws, axis=1)[:, :1]
        return jnp.broadcast_to(x[:, None, None], (len(ws), self.side, self.side, 1))

    def __call__(self, z, label=None, alpha=None, other=None, crossover=None, train=True):
        return self.synthesise(self.styles(z, label, other, crossover))


class Judge(nn.Module):
    """A perceptron that looks at pictures."""

    @nn.compact
    def __call__(self, x, label=None, train=True):
        return mlp.Discriminator((4,))(x.reshape(len(x), -1), train=train)


def linear(side=4, *, prior=None, **options):
    """The game on generators that need no compiling."""
    g = Net(Linear(side), (jax.ShapeDtypeStruct((2, 3), jnp.float32),))
    d = Net(Judge(), (jax.ShapeDtypeStruct((2, side, side, 1), jnp.float32),))
    objective, sgd = objectives.non_saturating(), optax.sgd(0.0)
    prior = prior or latents.normal(3)
    return stylegan(g, d, sgd, sgd, objective=objective, prior=prior, layers=4, **options)


def real(count, side=4):
    return {"real": jnp.zeros((count, side, side, 1))}


# Seven faults of another port


def test_one_lazy_moves_share_adam_with_its_correction():
    """Moves every 4 and 16 rounds: c = 4/5 and 16/17; rates times c, betas to the power of c."""
    played = build(second(**{"generator.betas": (0.5, 0.99)})).game
    for name, ratio in (("generator", 4 / 5), ("discriminator", 16 / 17)):
        tx, params = played.players[name].tx, {"x": jnp.ones(())}
        updates, state = tx.update({"x": jnp.full((), 3.0)}, tx.init(params), params)
        assert float(updates["x"]) == pytest.approx(-1e-2 * ratio, rel=1e-4)
        adam = state[0]
        assert float(adam.nu["x"]) == pytest.approx(9.0 * (1.0 - 0.99**ratio), rel=1e-3)
        first = 0.5 if name == "generator" else 0.0
        assert float(adam.mu["x"]) == pytest.approx(3.0 * (1.0 - first**ratio), rel=1e-4)


@pytest.mark.parametrize(("side", "count"), [(4, 512), (8, 512), (4, 2048)])
def test_two_path_lengths_depend_on_no_size(side, count):
    """The slope of a constant picture along noise over sqrt(h w) is N(0, 1) in every layer."""
    played = linear(side, style_mixing_prob=0.0, path_length=PathLength(2.0, every=1))
    state = game.init(played, KEY)
    state, metrics = jax.jit(lambda s, b: game.step(played, s, b, KEY))(state, real(count, side))
    length = float(metrics["generator/path"]["path_length"])
    assert length == pytest.approx(np.sqrt(2.0 / np.pi), rel=0.15)
    assert float(state.stats["path_mean"]) == pytest.approx(0.01 * length, rel=1e-4)


def test_three_the_averaged_copy_counts_images_of_all_devices():
    """Half-life in images, by the global batch, in each stage by its own."""
    fixed = {"game.ema_rampup": 0.0}
    one, eight = (
        build(second(**{"run.devices": n}, **fixed)).game.ema["generator"] for n in (1, 8)
    )
    assert one == eight == pytest.approx(0.5 ** (16 / 100))
    stages = build(config.change(growing(0.1), fixed))
    first, last = (stages.at(step).game.ema["generator"] for step in (1, 5))
    assert (first, last) == pytest.approx((0.5 ** (16 / 100), 0.5 ** (8 / 100)))


def test_four_the_players_draw_latents_of_their_own():
    drawn = []

    def prior(key, index):
        drawn.append(np.asarray(latents.normal(3)(key, index)))
        return jnp.asarray(drawn[-1])

    played = linear(prior=prior, style_mixing_prob=0.9)
    game.step(played, game.init(played, KEY), real(8), KEY)
    assert len(drawn) == 4  # two latents for each player
    flat = np.stack(drawn).reshape(-1, 3)
    assert len(np.unique(flat, axis=0)) == len(flat)


def leaves(workdir, step=None):
    _, _, state = run_dir.load(workdir, step)
    return {jax.tree_util.keystr(p): np.asarray(x) for p, x in jax.tree.leaves_with_path(state)}


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """A run of six rounds that nothing interrupted, and the steps it played, one a stage."""
    workdir, played = tmp_path_factory.mktemp("grown"), []
    with pytest.MonkeyPatch.context() as patch:
        original = parallel.data_parallel

        def recorded(*args, **options):
            played.append(original(*args, **options))
            return played[-1]

        patch.setattr(parallel, "data_parallel", recorded)
        loop.train(growing(0.064), workdir)
    return workdir, played


def test_five_a_run_stopped_in_the_middle_of_a_fade_goes_on_bit_for_bit(grown, tmp_path):
    """And by its own experiment: what the checkpoint was written under does not replace it."""
    loop.train(growing(0.040), tmp_path)  # after the first of the two rounds that fade
    assert run_dir.load(tmp_path)[1] == 3
    loop.train(growing(0.064), tmp_path)
    whole, resumed = leaves(grown[0]), leaves(tmp_path)
    assert [name for name in whole if whole[name].tobytes() != resumed[name].tobytes()] == []
    written = run_dir.read_config(tmp_path)["experiment"]
    assert config.from_dict(written) == growing(0.064)


def test_six_running_means_are_those_of_all_devices_after_every_round():
    """w_avg and the mean path length: eight devices are one, to rounding.

    Nobody learns here: the noise, another one on each device, keeps its weight of 0.
    """
    still = {"generator.lr": 0.0, "discriminator.lr": 0.0}
    experiment = second(**{"game.path_every": 1, "game.r1": 0.0, **still})
    images = np.random.default_rng(0).integers(0, 256, (16, 4, 4, 1)).astype(np.uint8)
    states = []
    for devices in (1, 8):
        built = build(config.change(experiment, {"run.devices": devices}))
        state = parallel.initialise(lambda built=built: game.init(built.game, KEY), built.mesh)
        play = parallel.data_parallel(built.round, built.mesh, backend="shard_map")
        state, _ = play(state, parallel.shard({"image": images}, built.mesh), KEY)
        states.append(jax.device_get(state))
    one, eight = (state.stats for state in states)
    assert float(one["path_mean"]) > 0.0
    assert np.abs(jax.tree.leaves(one["generator"]["moving"])[0]).max() > 0.0
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(eight), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_seven_what_is_measured_has_random_noise_and_no_truncation():
    built = build(second())
    state = game.init(built.game, KEY)

    def loud(path, leaf):
        return jnp.ones_like(leaf) if "strength" in jax.tree_util.keystr(path) else leaf

    def drawn(state):
        space = built.sampler.styles(state)
        w = space.map(space.prior(KEY, jnp.arange(8)), None)
        ws = jnp.repeat(w[:, None], space.layers, axis=1)
        samples = built.sampler.draw(state, KEY, {"index": np.arange(8)})
        return samples, np.asarray(space.synthesise(ws, None))

    far = jax.tree.map(lambda leaf: leaf + 1.0, state.ema["generator"]["moving"])
    net = {**state.ema["generator"], "moving": far}
    quiet = dataclasses.replace(state, ema={"generator": net})
    np.testing.assert_allclose(*drawn(quiet), rtol=1e-5, atol=1e-6)
    net = {**net, "params": jax.tree_util.tree_map_with_path(loud, net["params"])}
    samples, constant = drawn(dataclasses.replace(state, ema={"generator": net}))
    assert np.abs(samples - constant).max() > 0.1


# Mixing


def test_a_minibatch_has_one_crossover_drawn_evenly_from_the_layers_in_use():
    """Probability 0.9, uniform from 1 to the last layer; the same on every device."""
    inputs = []

    class Spy(Linear):
        def __call__(self, z, label=None, alpha=None, other=None, crossover=None, train=True):
            inputs.append(crossover)
            return super().__call__(z, label, alpha, other, crossover, train)

    g = Net(Spy(4), (jax.ShapeDtypeStruct((2, 3), jnp.float32),))
    objective, sgd = objectives.non_saturating(), optax.sgd(0.0)
    d = Net(Judge(), (jax.ShapeDtypeStruct((2, 4, 4, 1), jnp.float32),))
    played = stylegan(g, d, sgd, sgd, objective=objective, prior=latents.normal(3), layers=4)
    state = game.init(played, KEY)
    seen = game.variables(played, state)
    loss = played.moves[-1].loss

    def crossover(key, first):
        inputs.clear()
        loss(seen, {**real(2), "index": first + jnp.arange(2)}, key)
        return inputs[0]

    keys = jax.random.split(KEY, 4000)
    draws = jax.jit(jax.vmap(crossover, (0, None)))
    here, there = np.asarray(draws(keys, 0)), np.asarray(draws(keys, 8))
    np.testing.assert_array_equal(here, there)
    share = np.bincount(here, minlength=5) / len(here)
    np.testing.assert_allclose(share, [0.0, 0.3, 0.3, 0.3, 0.1], atol=0.03)


# Growing


def test_every_stage_is_compiled_once(grown):
    _, played = grown
    assert len(played) == len(schedule.stages(growing(0.064))) == 2
    # the first stage in its first call, the second before it
    assert [one.mapped._cache_size() for one in played] == [1, 0]


def test_records_count_the_images_that_were_shown(grown):
    rows = [r for r in run_log.read_metrics(grown[0] / run_log.METRICS) if "event" not in r]
    shown = [row["kimg"] for row in rows if "generator/loss" in row]
    np.testing.assert_allclose(shown, [0.016, 0.032, 0.04, 0.048, 0.056, 0.064])


def test_adam_begins_anew_before_and_after_a_fade(grown):
    counts = [
        [int(x) for name, x in leaves(grown[0], step).items() if name.endswith("count")]
        for step in range(1, 7)
    ]
    assert [set(each) for each in counts] == [{1}, {2}, {1}, {2}, {1}, {2}]


def test_reals_and_fakes_fade_alike_from_the_stage_before():
    """The round after `first` has the first step of the fade, its last round all of the new."""
    built = build(growing(0.064))
    alphas = []
    for step in (2, 3, 4):
        parts = make_parts(built.experiment, (8, 8, 1), schedule.at(built.stages, step + 1))
        batch = parts.see({"real": jnp.zeros((2, 8, 8, 1))}, jnp.asarray(step))
        assert batch["real"].shape == (2, 8, 8, 1)
        alphas.append(float(batch["alpha"]))
    assert alphas == [0.5, 1.0, 1.0]


def test_the_papers_schedule_of_ffhq():
    """8 px for 600 kimg, then 600 of fade and 600 of rest a size; the last to 25,000."""
    path = EXPERIMENTS / "stylegan.py"
    stages = schedule.stages(config.recipe(f"{path}:ffhq1024"))
    assert [4 << stage.number for stage in stages] == [8, 16, 32, 64, 128, 256, 512, 1024]
    assert [stage.batch_size for stage in stages] == [256, 128, 64, 32, 32, 32, 32, 32]
    assert [stage.rate for stage in stages] == [1.0, 1.0, 1.0, 1.0, 1.5, 2.0, 3.0, 3.0]
    kimg = [stage.images / 1000.0 for stage in stages]
    np.testing.assert_allclose(kimg, [0, 600, 1800, 3000, 4200, 5400, 6600, 7800], atol=1.0)
    assert schedule.images(stages, stages[-1].last) == pytest.approx(25e6, abs=32)


def test_where_a_run_ends_does_not_move_its_fade():
    short, long = schedule.stages(growing(0.040)), schedule.stages(growing(0.2))
    assert [s._replace(last=0) for s in short] == [s._replace(last=0) for s in long]
    assert short[-1].last == 3


def test_growth_that_the_pictures_cannot_have_is_refused():
    for start in (3, 6, 16):
        with pytest.raises(UserError, match=rf"game\.grow\.start = {start}"):
            build(growing(0.064, **{"game.grow.start": start}))


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"game.mixing": 1.5}, r"game\.mixing = 1\.5"), ({"game.grow.start": 4}, "'Style'")],
)
def test_what_a_stylegan2_cannot_do_is_refused(changes, named):
    with pytest.raises(UserError, match=named):
        build(second(**changes))
