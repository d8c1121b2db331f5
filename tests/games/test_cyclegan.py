"""CycleGAN: what its paper and its authors' code say, as numbers; the pool of past fakes."""

from contextlib import closing

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers.paths import EXPERIMENTS

from gan_jax import config, game, objectives, parallel
from gan_jax.build.experiment import build
from gan_jax.build.optimizers import linear_decay
from gan_jax.config import Cyclegan, Data, Experiment, PatchGan, Player, Resnet, Run
from gan_jax.errors import UserError
from gan_jax.game import Net
from gan_jax.games.cyclegan import cyclegan, draw_swaps, empty_pool, query_pool
from gan_jax.training import checkpoint

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
INPUT = jax.ShapeDtypeStruct((2, 2), jnp.float32)
BATCH = {n: jnp.asarray(RNG.normal(size=(4, 2)), jnp.float32) for n in ("x", "y")}
X, Y = np.asarray(BATCH["x"]), np.asarray(BATCH["y"])


class Times(nn.Module):
    """A translator that multiplies by its parameter."""

    factor: float

    @nn.compact
    def __call__(self, x, train=True):
        return x * self.param("factor", lambda key: jnp.array(self.factor))


class Sum(nn.Module):
    """A discriminator whose logit is its parameter times the sum of what it sees."""

    scale: float = 1.0

    @nn.compact
    def __call__(self, x, train=True):
        return self.param("scale", lambda key: jnp.array(self.scale)) * x.sum(-1)


SCALES = {"d_x": 1.0, "d_y": 10.0, "d_x_cycled": 100.0, "d_y_cycled": 1000.0}


def made(g_tx=None, d_tx=None, two_step=False, **options):
    """x2y doubles, y2x triples; every discriminator has a scale of its own."""
    judges = {name: Net(Sum(scale), (INPUT,)) for name, scale in SCALES.items()}
    defaults = {"objective": objectives.least_squares(), "pool_size": 0}
    return cyclegan(
        Net(Times(2.0), (INPUT,)),
        Net(Times(3.0), (INPUT,)),
        judges["d_x"],
        judges["d_y"],
        g_tx or optax.sgd(0.0),
        d_tx or optax.sgd(0.0),
        cycled_discriminators=(judges["d_x_cycled"], judges["d_y_cycled"]) if two_step else None,
        **{**defaults, **options},
    )


def play(played, rounds=1, batch=BATCH):
    """States and metrics of each round, the opening state first."""
    state = game.init(played, KEY)
    step = jax.jit(lambda s: game.step(played, s, batch, KEY))
    states, metrics = [state], []
    for _ in range(rounds):
        state, row = step(state)
        states.append(state)
        metrics.append(jax.device_get(row))
    return states, metrics


def l1(a, b):
    return float(np.abs(a - b).mean())


def test_the_generators_terms_are_the_papers():
    """Equations 1 to 3 and section 5.2, each with its own weight; d_y judges domain Y."""
    _, (row,) = play(made(cycle=(7.0, 11.0), identity=3.0, adversarial=2.0))
    found = row["generator"]
    expected = {
        "adversarial_x2y": np.mean((10.0 * (2.0 * X).sum(-1) - 1.0) ** 2),
        "adversarial_y2x": np.mean(((3.0 * Y).sum(-1) - 1.0) ** 2),
        "cycle_x": l1(6.0 * X, X),
        "cycle_y": l1(6.0 * Y, Y),
        "identity_y": l1(2.0 * Y, Y),
        "identity_x": l1(3.0 * X, X),
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-5), name
    weights = {"adversarial": 2.0, "cycle_x": 7.0, "cycle_y": 11.0, "identity": 3.0}
    total = sum(
        next(w for n, w in weights.items() if name.startswith(n)) * value
        for name, value in expected.items()
    )
    assert found["loss"] == pytest.approx(total, rel=1e-5)


def test_the_defaults_are_the_authors():
    """Lambda 10 both ways; 0.5 of it for identity is 5; a pool of 50; least squares; batch 1."""
    options = Cyclegan()
    assert (options.cycle, options.identity, options.pool) == ((10.0, 10.0), 5.0, 50)
    assert options.objective == "least_squares"
    paper = config.recipe("experiments/cyclegan.py:horse2zebra")
    assert (paper.batch_size, paper.data.resolution, paper.data.jitter) == (1, 256, 30)
    assert paper.generator.network == Resnet(64, 9, "instance")
    assert paper.discriminator.network == PatchGan(64, 70, "instance")
    for player in (paper.generator, paper.discriminator):
        assert (player.lr, player.betas) == (2e-4, (0.5, 0.999))


def test_the_discriminators_loss_is_halved():
    """The authors' `backward_D_basic`: 0.5 (loss on reals + loss on fakes), for each of both."""
    _, (row,) = play(made())
    found, halves = row["discriminator"], {}
    for side, scale, real, fake in (("x", 1.0, X, 3.0 * Y), ("y", 10.0, Y, 2.0 * X)):
        a, b = scale * real.sum(-1), scale * fake.sum(-1)
        halves[side] = 0.5 * np.mean((a - 1.0) ** 2 + b**2)
        assert found[f"loss_{side}"] == pytest.approx(halves[side], rel=1e-5)
    assert found["loss"] == pytest.approx(sum(halves.values()), rel=1e-5)


def test_generators_move_first_and_are_judged_by_the_fakes_from_before():
    """One optimiser step for both generators, then one for both discriminators, on those fakes."""
    played = made(optax.sgd(1e-4), optax.sgd(1e-6))
    assert [move.label for move in played.moves] == ["generator", "discriminator"]
    (before, after), (row,) = play(played)
    for name in ("x2y", "y2x", "d_x", "d_y"):
        moved = jax.tree.map(lambda a, b: a != b, before.params[name], after.params[name])
        assert all(jax.tree.leaves(moved)), name
    still = play(made(d_tx=optax.sgd(1e-6)))[1][0]  # generators that do not move
    assert row["discriminator"]["loss"] == still["discriminator"]["loss"]


def test_gradients_of_both_ways_reach_both_generators():
    """d/da of |ab x - x| + |ba y - y| + ..., by hand; the shared pass carries it all."""
    played = made(adversarial=0.0, identity=0.0, cycle=(10.0, 10.0))
    state = game.init(played, KEY)
    field = game.vector_field(played, state, BATCH, KEY)["generator"]
    slope = 10.0 * (np.abs(X).mean() + np.abs(Y).mean())
    assert float(field["x2y"]["factor"]) == pytest.approx(3.0 * slope, rel=1e-5)
    assert float(field["y2x"]["factor"]) == pytest.approx(2.0 * slope, rel=1e-5)


def test_the_identity_term_ends():
    _, rows = play(made(identity_until=2), rounds=3)
    values = [row["generator"]["identity_x"] for row in rows]
    assert values[0] == values[1] == pytest.approx(l1(3.0 * X, X), rel=1e-5)
    assert values[2] == 0.0
    less = 5.0 * (l1(3.0 * X, X) + l1(2.0 * Y, Y))
    assert rows[2]["generator"]["loss"] == pytest.approx(rows[0]["generator"]["loss"] - less)


def test_two_more_discriminators_judge_what_went_round():
    """CycleGAN-VC2's two-step adversarial loss, each side by the discriminator of its own."""
    _, (row,) = play(made(two_step=True, cycle=(0.0, 0.0), identity=0.0))
    expected = {
        "adversarial_cycled_x": np.mean((100.0 * (6.0 * X).sum(-1) - 1.0) ** 2),
        "adversarial_cycled_y": np.mean((1000.0 * (6.0 * Y).sum(-1) - 1.0) ** 2),
    }
    for name, value in expected.items():
        assert row["generator"][name] == pytest.approx(value, rel=1e-5)
    real, again = 100.0 * X.sum(-1), 600.0 * X.sum(-1)
    half = 0.5 * np.mean((real - 1.0) ** 2 + again**2)
    assert row["discriminator"]["loss_x_cycled"] == pytest.approx(half, rel=1e-5)


# The pool


def by_hand(pool, fakes, swapped, places, size):
    """The authors' `ImagePool.query`, with its random numbers given."""
    shown = []
    for fake, swap, place in zip(fakes, swapped, places, strict=True):
        if len(pool) < size:
            pool.append(fake)
            shown.append(fake)
        elif swap:
            shown.append(pool[place])
            pool[place] = fake
        else:
            shown.append(fake)
    return shown


def test_the_pool_is_the_authors():
    """Filled first; then each fake is exchanged with a stored one with probability one half."""
    size, stored, pool = 5, [], empty_pool(5, (1,))
    swap = jax.jit(query_pool)
    for step in range(6):
        key, fakes = jax.random.fold_in(KEY, step), np.arange(4.0) + 4 * step
        wanted = by_hand(stored, list(fakes), *map(np.asarray, draw_swaps(key, 4, size)), size)
        shown, pool = swap(pool, jnp.asarray(fakes, jnp.float32)[:, None], key)
        np.testing.assert_array_equal(shown[:, 0], wanted)
        held = np.asarray(pool["examples"])[: len(stored), 0]
        np.testing.assert_array_equal(held, stored)
        assert int(pool["count"]) == len(stored)
    assert set(stored) != set(np.arange(5.0))


def test_one_half_is_exchanged_and_every_place_is_met():
    swapped, places = draw_swaps(KEY, 4000, 50)
    assert abs(float(swapped.mean()) - 0.5) < 0.03
    assert set(np.asarray(places)) == set(range(50))


def test_only_the_discriminators_see_the_pool():
    """With a pool that gives back old fakes, the generators' numbers stay as they are."""
    rows = {}
    for size in (0, 2):
        played = made(optax.sgd(1e-3), pool_size=size)
        rows[size] = play(played, rounds=4)[1]
    for without, pooled in zip(rows[0], rows[2], strict=True):
        assert without["generator"] == pooled["generator"]
    fakes = [[row["discriminator"]["fake_logit"] for row in rows[size]] for size in (0, 2)]
    assert fakes[0] != fakes[1]


def test_eight_devices_share_one_pool():
    """Bit for bit the pool of one device, whose fakes come in the order of the whole batch."""
    batch = {n: RNG.normal(size=(16, 2)).astype(np.float32) for n in ("x", "y")}
    played, pools = made(pool_size=20), []
    for devices in (1, 2, 8):
        rows = {name: x.reshape(devices, -1, 2) for name, x in batch.items()}

        def one(state, rows):
            return game.step(played, state, rows, KEY, axis_name=parallel.AXIS)[0]

        each = jax.jit(jax.vmap(one, in_axes=(None, 0), axis_name=parallel.AXIS))
        state = game.init(played, KEY)
        for _ in range(3):
            state = jax.tree.map(lambda leaf: leaf[-1], each(state, rows))
        pools.append(jax.device_get(state.stats["pool"]))
    for other in pools[1:]:
        jax.tree.map(np.testing.assert_array_equal, pools[0], other)
    assert int(pools[0]["x"]["count"]) == 20


def test_a_resumed_run_has_the_same_pool_and_all_else_bit_for_bit(tmp_path):
    """Saved while the pool fills, and before the identity ends."""
    played = made(optax.adam(1e-3), optax.adam(1e-3), pool_size=10, identity_until=3)
    (_, _, saved, *_, last), _ = play(played, 5)
    assert int(saved.stats["pool"]["x"]["count"]) == 8
    mesh = parallel.make_mesh(1)
    with closing(checkpoint.open_manager(tmp_path, keep=1)) as manager:
        checkpoint.save(manager, 2, parallel.place(saved, mesh), {})
        manager.wait_until_finished()
        _, state = checkpoint.restore(manager, jax.eval_shape(lambda: saved), mesh)
    step = jax.jit(lambda s: game.step(played, s, BATCH, KEY))
    for _ in range(3):
        state, _ = step(state)
    for a, b in zip(jax.tree.leaves(last), jax.tree.leaves(state), strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


# The learning rate


PLAYERS = (
    Player(network=Resnet(width=2, blocks=1)),
    Player(network=PatchGan(width=2, receptive_field=1, norm="instance")),
)
DOMAINS = Data("emoji_noto_twemoji", resolution=8, channels=3)
SMALL = Experiment("small", *PLAYERS, Cyclegan(), DOMAINS, run=Run(devices=1))


def test_the_rate_is_constant_then_falls_to_zero():
    """Appendix 7: 2e-4 for the first half, then linearly to 0."""
    fall = linear_decay(1.0, 2.0, 0.1)
    shares = [float(fall(count)) for count in (0, 10, 15, 20, 30)]
    assert shares == pytest.approx([1.0, 1.0, 0.5, 0.0, 0.0])


def test_the_fall_follows_the_images_whatever_the_player_moves():
    """A critic's generator moves every second round: its rate still ends at the same image."""
    player = Player(network=config.Mlp((4,)), decay=(0.0, 0.032), optimizer="sgd", lr=1.0)
    played = config.Gan("wasserstein", z=2, n_critic=2)
    made = Experiment("m", player, player, played, Data("toy/ring8"), batch_size=8)
    built = build(config.change(made, {"run.devices": 1}))
    batch = {"real": jnp.asarray(RNG.normal(size=(8, 2)), jnp.float32)}
    state = game.init(built.game, KEY)
    step = jax.jit(lambda s: game.step(built.game, s, batch, KEY))
    moved = []
    for _ in range(6):
        new, _ = step(state)
        pairs = zip(*(jax.tree.leaves(s.params["generator"]) for s in (state, new)), strict=True)
        moved.append(any(bool((a != b).any()) for a, b in pairs))
        state = new
    assert moved == [False, True, False, True, False, False]


def test_a_fall_that_ends_before_it_begins_is_refused():
    with pytest.raises(UserError, match=r"generator.decay = \(2, 1\)"):
        build(config.change(SMALL, {"generator.decay": (2.0, 1.0)}))


def test_a_fall_needs_a_run_that_does_not_grow():
    """Style-based generators that begin at their full size may have one."""
    path = EXPERIMENTS
    falls = {"generator.decay": (10.0, 150.0)}
    grown, plain = (
        config.tiny(config.recipe(f"{path}/{name}.py:avatars"))
        for name in ("stylegan", "stylegan2")
    )
    with pytest.raises(UserError, match=r"generator\.decay cannot be had with game.grow"):
        build(config.change(grown, falls))
    build(config.change(plain, falls))


def test_a_resolution_that_four_does_not_divide_is_refused():
    with pytest.raises(UserError, match=r"data.resolution: .*30 px.* nearest is 32"):
        build(config.change(SMALL, {"data.resolution": 30}))
