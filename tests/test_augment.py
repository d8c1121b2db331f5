"""DiffAugment, ADA's transforms and its control; what a game does with them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax import augment, config, game, latents, objectives, parallel
from gan_jax.augment import Adaptive, Augment
from gan_jax.build.common import make_augment
from gan_jax.build.experiment import build
from gan_jax.config import Data, Dcgan, Experiment, Gan, Mlp, Player, Run
from gan_jax.errors import UserError
from gan_jax.game import Net
from gan_jax.games.gan import gan
from gan_jax.networks import mlp
from gan_jax.penalties import Penalties
from gan_jax.training import run_dir
from gan_jax.training.loop import train

KEY = jax.random.key(0)
INDEX = jnp.arange(16)
RNG = np.random.default_rng(0)
COLOURED = jnp.asarray(RNG.uniform(-1, 1, (16, 8, 8, 3)), jnp.float32)
GREY = COLOURED[..., :1]
TRANSFORMS = {"diffaugment": augment.diffaugment, "bgc": augment.bgc, "r3gan": augment.bgc_cutout}
COMPILED = {name: jax.jit(Augment(transform)) for name, transform in TRANSFORMS.items()}
ROWS = np.arange(64).reshape(8, 8, 1).astype(np.float32)


def drawn(a, b=0.0):
    return jnp.array([a, b], jnp.float32)


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("x", [COLOURED, GREY], ids=["coloured", "grey"])
def test_at_p_0_nothing_changes_and_at_p_1_every_picture_does(name, x):
    none, all_ = (COMPILED[name](x, KEY, INDEX, p) for p in (0.0, 1.0))
    np.testing.assert_array_equal(none, x)
    assert all_.shape == x.shape and np.isfinite(all_).all()
    assert (np.abs(all_ - x).max(axis=(1, 2, 3)) > 0).all()


@pytest.mark.parametrize("name", TRANSFORMS)
def test_an_example_is_drawn_by_its_global_number(name):
    whole = COMPILED[name](COLOURED, KEY, INDEX, 1.0)
    halves = [COMPILED[name](COLOURED[r], KEY, INDEX[r], 1.0) for r in (slice(8), slice(8, 16))]
    np.testing.assert_allclose(whole, np.concatenate(halves), atol=1e-5)
    same = COMPILED[name](jnp.repeat(COLOURED[:1], 16, axis=0), KEY, INDEX, 1.0)
    assert len({row.tobytes() for row in np.asarray(same)}) == 16


@pytest.mark.parametrize("p", [0.2, 0.7])
def test_every_operation_happens_with_probability_p_of_its_own(p):
    """Each operation adds a power of two, so that the sum says which of them happened."""
    mark = tuple(lambda u, x, n=n: x + 2.0**n for n in range(3))
    zeros = jnp.zeros((4000, 1, 1, 1))
    sums = Augment(augment.policy(*mark))(zeros, KEY, jnp.arange(4000), p).astype(int)
    happened = [((np.asarray(sums) >> n) & 1).ravel() for n in range(3)]
    for one in happened:
        assert one.mean() == pytest.approx(p, abs=0.03)
    assert (happened[0] & happened[1]).mean() == pytest.approx(p * p, abs=0.03)


# DiffAugment


def test_diffaugment_colours_have_the_papers_ranges():
    x = COLOURED[0]
    low, high = (augment.shift_brightness(drawn(u), x) - x for u in (0.0, 1.0))
    np.testing.assert_allclose(low, -0.5, atol=1e-6)
    np.testing.assert_allclose(high, 0.5, atol=1e-6)
    grey = x.mean(-1, keepdims=True)
    np.testing.assert_allclose(
        augment.scale_saturation(drawn(0.0), x), jnp.broadcast_to(grey, x.shape), atol=1e-6
    )
    double = augment.scale_saturation(drawn(1.0), x)
    np.testing.assert_allclose(double, grey + 2 * (x - grey), atol=1e-6)
    for u, factor in ((0.0, 0.5), (1.0, 1.5)):
        wanted = x.mean() + factor * (x - x.mean())
        np.testing.assert_allclose(augment.scale_contrast(drawn(u), x), wanted, atol=1e-6)
    np.testing.assert_array_equal(augment.scale_saturation(drawn(0.9), GREY[0]), GREY[0])


@pytest.mark.parametrize("u", [0.0, 0.4, 0.5, 0.999])
def test_translation_goes_up_to_an_eighth_and_brings_zeros_in(u):
    x = np.ones((16, 8, 1), np.float32) + np.arange(16, dtype=np.float32)[:, None, None]
    moved = np.asarray(augment.translate(drawn(u, 0.5), jnp.asarray(x)))
    start = int(u * 5)  # of -2 ... 2 pixels, as the padded picture is cut
    padded = np.pad(x, ((2, 2), (0, 0), (0, 0)))
    np.testing.assert_array_equal(moved, padded[start : start + 16])


@pytest.mark.parametrize("side", [6, 8])
def test_cutout_takes_half_of_either_side_and_treats_both_ends_alike(side):
    """The authors' code draws side + 1 places of an even window, and side of an odd one."""
    x, size, taken = jnp.ones((side, side, 1)), side // 2, np.zeros(side)
    places = side + 1 - size % 2
    for place in range(places):
        u = (place + 0.5) / places
        cut = np.asarray(augment.cut_out(drawn(u, 0.5), x))[..., 0] == 0
        rows = np.flatnonzero(cut.any(axis=1))
        first = place - size // 2
        assert rows.tolist() == [r for r in range(first, first + size) if 0 <= r < side]
        assert cut.any(axis=0).sum() == size
        taken[rows] += 1
    np.testing.assert_array_equal(taken, taken[::-1])


def test_the_cutout_of_projected_gan_takes_a_fifth_of_either_side():
    cut = np.asarray(augment.cut_out(jnp.array([0.5, 0.5]), jnp.ones((20, 20, 1)), share=0.2)) == 0
    assert cut.sum() == 4 * 4


def test_translation_and_cutout_leave_colours_alone():
    """Every pixel of the result is one of the image, or zero."""
    x = jax.random.uniform(jax.random.key(0), (16, 16, 3), minval=0.1)
    colours = {tuple(pixel) for pixel in np.asarray(x).reshape(-1, 3)} | {(0.0, 0.0, 0.0)}
    still, zeros = [], []
    for seed in range(4):
        moved = np.asarray(augment.translation_cutout(jax.random.key(seed), x, 1.0))
        assert {tuple(pixel) for pixel in moved.reshape(-1, 3)} <= colours
        still.append((moved == x).all(axis=-1).mean())
        zeros.append((moved == 0.0).all(axis=-1).sum())
    assert min(still) < 0.1 and max(zeros) >= 9, "translated, and cut out"


def test_adas_cutout_is_half_of_either_side_around_a_point_anywhere():
    x = jnp.ones((8, 8, 1))
    for u, rows in ((0.0, [0, 1]), (0.49, [2, 3, 4, 5]), (0.51, [2, 3, 4, 5]), (0.99, [6, 7])):
        cut = np.asarray(augment.cut_around(drawn(u, 0.3), x))[..., 0] == 0
        assert np.flatnonzero(cut.any(axis=1)).tolist() == rows
        assert np.flatnonzero(cut.any(axis=0)).tolist() == [0, 1, 2, 3]


# ADA


def geometric(*matrices):
    """ROWS warped by the product of matrices."""
    inverse = jnp.eye(3)
    for matrix in matrices:
        inverse = inverse @ matrix
    return np.asarray(augment.warp(jnp.asarray(ROWS), inverse))


def test_flips_and_quarter_turns_are_numpys_to_the_bit():
    size = (8, 8)
    np.testing.assert_array_equal(geometric(augment.x_flip(drawn(0.2), size)), ROWS)
    np.testing.assert_array_equal(geometric(augment.x_flip(drawn(0.7), size)), ROWS[:, ::-1])
    for turns in range(4):
        turned = geometric(augment.quarter_rotation(drawn(turns / 4), size))
        np.testing.assert_array_equal(turned, np.rot90(ROWS, turns))


@pytest.mark.parametrize("u", [0.0, 0.5, 0.999])
def test_whole_translations_mirror_what_comes_in_and_are_exact(u):
    moved = geometric(augment.integer_translation(drawn(u, 0.5), (8, 8)))
    shift = round((2 * u - 1) / 8 * 8)
    reflected = np.pad(ROWS, ((0, 0), (1, 1), (0, 0)), mode="reflect")
    np.testing.assert_array_equal(moved, reflected[:, 1 + shift : 9 + shift])


def test_a_scaling_reads_nearer_the_centre_bilinearly():
    half = augment.warp(jnp.asarray(ROWS), jnp.diag(jnp.array([0.5, 0.5, 1.0])))
    middle, step = ROWS.mean(), np.arange(8) - 3.5
    wanted = middle + 0.5 * (8 * step[:, None] + step[None])  # ROWS is linear: 8 row + column
    np.testing.assert_allclose(half[..., 0], wanted, atol=1e-5)


def test_the_strengths_are_the_papers():
    u = jax.random.uniform(KEY, (20000, 2))

    def logs(draw, *where):
        return np.log(np.asarray(jax.vmap(lambda one: draw(one, *where))(u))[:, 0, 0])

    assert logs(augment.isotropic_scaling, (8, 8)).std() == pytest.approx(0.2 * np.log(2), rel=0.03)
    anisotropic = np.asarray(jax.vmap(lambda one: augment.anisotropic_scaling(one, (8, 8)))(u))
    np.testing.assert_allclose(anisotropic[:, 0, 0] * anisotropic[:, 1, 1], 1.0, rtol=1e-5)
    assert logs(augment.contrast, 3).std() == pytest.approx(0.5 * np.log(2), rel=0.03)
    shifts = np.asarray(jax.vmap(lambda one: augment.brightness(one, 3))(u))[:, 0, 3]
    assert shifts.std() == pytest.approx(0.2, rel=0.03)
    moves = np.asarray(jax.vmap(lambda one: augment.fractional_translation(one, (4, 8)))(u))[..., 2]
    np.testing.assert_allclose(moves.std(axis=0), (1.0, 0.5, 0.0), rtol=0.03, atol=1e-6)
    saturations = np.asarray(jax.vmap(lambda one: augment.saturation(one, 3))(u))
    scales = np.log(saturations[:, 0, 0] - saturations[:, 0, 1])  # off the grey axis
    assert scales.std() == pytest.approx(np.log(2), rel=0.03)
    assert np.isfinite(augment.brightness(drawn(0.0), 1)).all()


def test_two_rotations_share_the_probability_of_one():
    either = augment.GEOMETRY[1][1]
    assert [entry[0] for entry in augment.GEOMETRY].count(augment.rotation) == 2
    for p in (0.0, 0.36, 1.0, 1.2):
        assert 1 - (1 - float(either(jnp.asarray(p)))) ** 2 == pytest.approx(min(p, 1.0), abs=1e-6)


def test_colours_turn_about_the_grey_axis():
    grey, pixel = jnp.full((1, 1, 3), 0.4), jnp.array([[[0.9, -0.1, 0.3]]])
    for draw in (augment.hue, augment.saturation):
        matrix = draw(drawn(0.3), 3)
        np.testing.assert_allclose(augment.recolour(grey, matrix), grey, atol=1e-6)
        mixed = augment.recolour(pixel, matrix)
        assert mixed.mean() == pytest.approx(float(pixel.mean()), abs=1e-6)
    turned = augment.recolour(pixel, augment.hue(drawn(0.3), 3)) - pixel.mean()
    assert jnp.linalg.norm(turned) == pytest.approx(float(jnp.linalg.norm(pixel - pixel.mean())))
    third = augment.recolour(pixel, augment.hue(drawn(0.5 + 1 / 3), 3))  # red to green to blue
    np.testing.assert_allclose(third, jnp.roll(pixel, 1, axis=-1), atol=1e-6)
    flipped = augment.recolour(pixel, augment.luma_flip(drawn(0.7), 3))
    np.testing.assert_allclose(flipped, pixel - 2 * pixel.mean(), atol=1e-6)


def test_a_grey_pictures_luma_flip_is_its_negative_and_it_has_no_chroma():
    np.testing.assert_allclose(augment.luma_flip(drawn(0.7), 1), np.diag([-1.0, 1.0]))
    draws = {"u": 0}

    def refuse(u, channels):
        draws["u"] += 1
        return jnp.eye(channels + 1)

    transform = augment.pipeline(geometry=(), light=(), chroma=(refuse,))
    transform(KEY, GREY[0], 1.0)
    assert draws["u"] == 0
    transform(KEY, COLOURED[0], 1.0)
    assert draws["u"] == 1


def test_r3gans_colours_are_half_as_likely():
    def negative(u, channels):
        return augment._affine(-jnp.eye(channels))

    transform = augment.pipeline(geometry=(), light=(negative,), colour_multiplier=0.5)
    ones = Augment(transform)(jnp.ones((4000, 1, 1, 1)), KEY, jnp.arange(4000), 0.6)
    assert (np.asarray(ones) < 0).mean() == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_gradients_reach_the_pictures(name):
    slope = jax.grad(lambda x: jnp.sum(COMPILED[name](x, KEY, INDEX, 0.8) ** 2))(COLOURED)
    assert np.isfinite(slope).all()
    assert (np.abs(slope).max(axis=(1, 2, 3)) > 0).all()


# The control of p


def test_p_moves_by_the_sign_every_fourth_round_and_not_below_0():
    control = Adaptive(speed=0.01)
    memory = control.init()
    sure, unsure = jnp.array([1.0, 2.0]), jnp.array([1.0, -1.0])
    seen = []
    for number in range(13):
        memory = control.update(memory)
        seen.append(round(float(memory["p"]), 6))
        memory = control.observe(memory, sure if number < 8 else unsure, 0.0)
    assert seen == [0.0] * 4 + [0.04] * 4 + [0.08] * 4 + [0.04]
    for _ in range(8):
        memory = control.observe(control.update(memory), unsure, 0.0)
    assert float(control.update(memory)["p"]) == 0.0


def test_the_sign_is_that_of_the_logit_above_the_threshold():
    logits = jnp.array([0.4, 0.6, 0.7, 0.9])  # least squares calls 1 real, 0 fake
    control = Adaptive(speed=0.01)
    assert float(control.observe(control.init(), logits, 0.5)["signs"]) == 0.5
    assert float(control.observe(control.init(), logits, 0.0)["signs"]) == 1.0


# In a game

SGD = optax.sgd(0.05)
G = Net(mlp.Generator((4, 4, 1), (8,)), (jax.ShapeDtypeStruct((2, 3), jnp.float32),))
D = Net(mlp.Discriminator((8,)), (jax.ShapeDtypeStruct((2, 4, 4, 1), jnp.float32),))
BATCH = {"real": GREY[:, :4, :4]}


def played(transform=augment.diffaugment, p=1.0, **options):
    options = {"objective": objectives.non_saturating(), **options}
    return gan(G, D, SGD, SGD, prior=latents.normal(3), augment=Augment(transform, p), **options)


def test_slopes_are_those_of_the_pictures_before_the_transform():
    """Scaled by 3 inside, D's squared slope is what its gradient through the factor says."""
    scaled = played(lambda key, x, p: 3.0 * x, penalties=Penalties(r1=1.0))
    state = game.init(scaled, KEY)
    found = jax.jit(lambda s: game.step(scaled, s, BATCH, KEY)[1])(state)["discriminator"]

    @jax.jit
    def squared(scale):
        def logits(x):
            return D({"params": state.params["discriminator"]}, scale * x)[0].sum()

        return jnp.mean(jnp.sum(jax.grad(logits)(BATCH["real"]) ** 2, axis=(1, 2, 3)))

    assert float(found["r1"]) == pytest.approx(float(squared(3.0)), rel=1e-5)
    assert float(found["r1"]) != pytest.approx(float(squared(1.0)), rel=0.1)


def test_reals_and_fakes_of_both_moves_are_judged_with_the_same_p():
    """P grows from the first round: whoever used an old p would change the numbers."""
    seen = []

    def note(key, x, p):
        jax.debug.callback(lambda value: seen.append(float(value)), p, ordered=False)
        return x

    one = played(note, Adaptive(speed=0.1, target=-2.0, every=1))
    state, play = game.init(one, KEY), jax.jit(lambda s: game.step(one, s, BATCH, KEY))
    for number in range(3):
        seen.clear()
        state, metrics = play(state)
        jax.effects_barrier()
        assert len(seen) >= 3  # D's reals and fakes, G's fakes
        assert set(seen) == {float(metrics["discriminator"]["p"])}
        assert seen[0] == pytest.approx(0.1 * number)


def test_a_scheduled_p_and_gamma_read_the_round():
    """In round 3 they are what a game with those numbers has."""
    moving = played(p=lambda round: 0.1 * round, penalties=Penalties(r1=lambda round: 2.0 * round))
    fixed = played(p=0.3, penalties=Penalties(r1=6.0))
    state = dataclasses.replace(game.init(fixed, KEY), step=jnp.asarray(3))
    both = jax.jit(lambda s: [game.step(g, s, BATCH, KEY)[1] for g in (moving, fixed)])(state)
    for a, b in zip(*map(jax.tree.leaves, both), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
    assert float(both[0]["discriminator"]["p"]) == pytest.approx(0.3)


def test_devices_share_the_sign_statistic():
    """Eight devices with two reals each: their mean signs differ, the memory is that of one."""
    one = played(p=Adaptive(speed=0.1, every=2))

    def run(devices):
        mesh = parallel.make_mesh(devices)
        state = parallel.place(game.init(one, KEY), mesh)
        play = parallel.data_parallel(
            lambda s, b, k: game.step(one, s, b, k, axis_name=parallel.AXIS), mesh
        )
        batch = parallel.shard(jax.device_get(BATCH), mesh)
        for _ in range(5):
            state, _ = play(state, batch, KEY)
        return jax.device_get(state.stats["augment"]), jax.device_get(state.params)

    for a, b in zip(*map(jax.tree.leaves, (run(1), run(8))), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_an_adaptive_p_needs_a_threshold():
    with pytest.raises(ValueError, match="threshold"):
        played(p=Adaptive(0.1), objective=objectives.relativistic())


# In a run


def recipe(rounds=6, **changes):
    player = Player(network=Dcgan(width=2))
    experiment = Experiment(
        "ada",
        player,
        player,
        Gan(z=4, augment="ada", ada_kimg=0.1, ada_target=0.0),
        Data(resolution=8),
        batch_size=8,
        run=Run(kimg=rounds * 0.008, log_every=1, sample_kimg=0, checkpoint_kimg=0.008, devices=1),
    )
    return config.change(experiment, {"discriminator.lr": 0.02, **changes})  # soon sure of reals


def test_a_resumed_run_goes_on_with_its_p(tmp_path):
    """Stopped in the middle of ADA's four rounds, after p has left 0: every bit as if unstopped."""
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    straight = train(recipe(15), whole)
    middle = jax.device_get(train(recipe(10), halves).stats["augment"])
    assert int(middle["rounds"]) == 2 and float(middle["p"]) > 0
    resumed = train(recipe(15), halves)
    for a, b in zip(*map(jax.tree.leaves, (straight, resumed)), strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()
    _, step, loaded = run_dir.load(halves)
    assert step == 15 and float(loaded.stats["augment"]["p"]) != float(middle["p"])


def test_the_speed_is_of_real_images_not_rounds():
    """From 0 to 1 in 500,000 images, whatever the batch (section 3)."""
    for batch_size in (8, 64):
        one = config.change(recipe(), {"game.ada_kimg": 500.0})
        made = make_augment(one, one.game, (8, 8, 1), batch_size)
        assert isinstance(made.p, Adaptive)
        assert made.p.speed * 500_000 / batch_size == pytest.approx(1.0)
        assert Gan().ada_target == Adaptive(1.0).target == 0.6 and made.p.every == 4


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"game.objective": "wasserstein"}, "'ada' needs an objective"),
        ({"game.ada_target": 1.5}, "game.ada_target = 1.5"),
        ({"game.augment_p": 2.0}, "game.augment_p = 2.0"),
        ({"game.ada_kimg": 0.0}, "game.ada_kimg"),
        ({"game.augment": "difaugment"}, "'diffaugment'"),
        (
            {
                "data.name": "toy/ring8",
                "generator.network": Mlp((4,)),
                "discriminator.network": Mlp((4,)),
            },
            "needs pictures",
        ),
    ],
)
def test_mistakes_are_named(changes, words):
    with pytest.raises(UserError, match=words):
        build(recipe(**changes))
