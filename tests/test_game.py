from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gan_jax
from gan_jax import Aux, Game, Memory, Move, Net, Player, Shared, averages, latents, objectives
from gan_jax.game import gradient
from gan_jax.games.gan import gan
from gan_jax.networks import mlp
from gan_jax.penalties import Penalties

KEY = jax.random.key(0)
REAL = jax.random.normal(jax.random.key(1), (8, 2))
Z = jax.random.normal(jax.random.key(2), (8, 3))


class Number(nn.Module):
    """Nothing in, one number out."""

    start: float = 1.0

    @nn.compact
    def __call__(self, train: bool = True):
        return self.param("number", nn.initializers.constant(self.start), ())


class Diary(nn.Module):
    """Logit w x; its statistic is halved before the mean of what it judges is added to it."""

    @nn.compact
    def __call__(self, x, train: bool = True):
        seen = self.variable("diary", "seen", jnp.zeros, ())
        if train and not self.is_initializing():
            seen.value = 0.5 * seen.value + jnp.mean(x)
        return self.param("w", nn.initializers.ones, ()) * jnp.sum(x, axis=1)


class Noisy(nn.Module):
    """A generator with batch norm and dropout."""

    @nn.compact
    def __call__(self, z, train: bool = True):
        z = nn.BatchNorm(use_running_average=not train)(nn.Dense(4)(z))
        return nn.Dense(2)(nn.Dropout(0.5, deterministic=not train)(z))


def floats(*shape):
    return (jax.ShapeDtypeStruct(shape, jnp.float32),)


def fixed(key, index):
    """A prior without chance, so that a hand-written round can use the same latents."""
    return Z[index]


def small(
    objective=None,
    discriminator=None,
    generator=None,
    prior=fixed,
    tx=None,
    **options,
):
    tx = optax.sgd(0.1) if tx is None else tx
    return gan(
        Net(mlp.Generator((2,), (5,)) if generator is None else generator, floats(1, 3)),
        Net(mlp.Discriminator((5,)) if discriminator is None else discriminator, floats(1, 2)),
        tx,
        tx,
        objective=objectives.non_saturating() if objective is None else objective,
        prior=prior,
        **options,
    )


def play(game, rounds, state=None, batch=None):
    """The state and the metrics after each round, from the opening state on."""
    batch = {"real": REAL} if batch is None else batch
    one = jax.jit(lambda state: gan_jax.step(game, state, batch, KEY))
    state = gan_jax.init(game, KEY) if state is None else state
    history = []
    for _ in range(rounds):
        state, metrics = one(state)
        history.append((state, metrics))
    return history


def close(a, b, rtol=1e-6, atol=1e-6):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol, atol), a, b)


def judged(game, params, x) -> Any:
    return game.nets["discriminator"].module.apply({"params": params}, x)


def fakes(game, params) -> Any:
    return game.nets["generator"].module.apply({"params": params}, Z)


def same(a, b):
    return all(jax.tree.leaves(jax.tree.map(lambda x, y: bool(jnp.array_equal(x, y)), a, b)))


def numbers(moves, **options):
    """A game of the numbers a and b, from (1, 1), each moved by SGD of rate 1/4."""
    return Game(
        nets={"a": Net(Number(), ()), "b": Net(Number(), ())},
        players={"A": Player(("a",), optax.sgd(0.25)), "B": Player(("b",), optax.sgd(0.25))},
        moves=moves,
        **options,
    )


def value(variables, name):
    return variables[name]["params"]["number"]


def product(variables, batch, key):
    return value(variables, "a") * value(variables, "b"), Aux()


def places(state):
    return tuple(float(state.params[name]["number"]) for name in ("a", "b"))


A_MOVES, B_MOVES = Move("A", product), Move("B", product)


# --- the order of moves ---------------------------------------------------------------------------


def test_alternation_is_the_tuple():
    """The second mover of a round sees where the first one went: 3/4, then 1 - 3/16."""
    first_a, _ = play(numbers((A_MOVES, B_MOVES)), 1)[0]
    first_b, _ = play(numbers((B_MOVES, A_MOVES)), 1)[0]
    assert places(first_a) == (0.75, 1.0 - 0.75 / 4)
    assert places(first_b) == (1.0 - 0.75 / 4, 0.75)


def test_a_simultaneous_round_takes_every_gradient_at_its_start():
    for moves in ((A_MOVES, B_MOVES), (B_MOVES, A_MOVES)):
        state, _ = play(numbers(moves, simultaneous=True), 1)[0]
        assert places(state) == (0.75, 0.75)


def test_a_player_without_a_move_stays():
    state, _ = play(numbers((A_MOVES,)), 3)[-1]
    assert places(state)[1] == 1.0


def test_a_player_may_move_twice_in_a_round():
    twice = (Move("A", product, name="first"), Move("A", product, name="second"))
    state, metrics = play(numbers(twice), 1)[0]
    assert places(state) == (0.5, 1.0)
    assert set(metrics) == {"A/first", "A/second"}


def test_rounds_are_counted():
    assert [int(state.step) for state, _ in play(numbers((A_MOVES,)), 3)] == [1, 2, 3]


def test_a_move_is_played_in_the_last_of_each_every_rounds():
    game = numbers((Move("A", product, every=3), Move("B", product, every=2)))
    assert [gan_jax.played(game, n) for n in range(6)] == [
        (),
        ("B",),
        ("A",),
        ("B",),
        (),
        ("A", "B"),
    ]
    before = gan_jax.init(game, KEY)
    for number, (state, _) in enumerate(play(game, 6)):
        moved = {p for p, n in (("A", "a"), ("B", "b")) if state.params[n] != before.params[n]}
        assert moved == set(gan_jax.played(game, number))
        before = state


def test_an_idle_move_reports_zeros_and_leaves_its_optimiser_alone():
    game = small(tx=optax.adam(1e-3), n_critic=3)
    (first, metrics), (_, _), (third, played) = play(game, 3)
    assert same(first.opt["generator"], gan_jax.init(game, KEY).opt["generator"])
    assert not any(jax.tree.leaves(metrics["generator"]))
    assert int(third.opt["generator"][0].count) == 1 and played["generator"]["loss"] != 0.0
    assert int(third.opt["discriminator"][0].count) == 3


def test_a_player_of_an_unknown_network_is_named():
    game = numbers((A_MOVES,))
    with pytest.raises(KeyError, match="critic"):
        gan_jax.init(game._replace(players={"A": Player(("critic",), optax.sgd(1.0))}), KEY)


# --- a round against one written by hand ----------------------------------------------------------


def by_hand(game, state, *, r1=0.0):
    """One alternating round of the non-saturating game in plain JAX, fakes made for each move."""
    g_params, d_params = state.params["generator"], state.params["discriminator"]

    def d_loss(d_params):
        real, fake = judged(game, d_params, REAL), judged(game, d_params, fakes(game, g_params))
        slopes = jax.grad(lambda x: jnp.sum(judged(game, d_params, x)))(REAL)
        loss = jax.nn.softplus(-real) + jax.nn.softplus(fake)
        return jnp.mean(loss) + 0.5 * r1 * jnp.mean(jnp.sum(slopes**2, axis=1))

    def g_loss(g_params, d_params):
        return jnp.mean(jax.nn.softplus(-judged(game, d_params, fakes(game, g_params))))

    d_value, d_grads = jax.value_and_grad(d_loss)(d_params)
    d_params = jax.tree.map(lambda p, g: p - 0.1 * g, d_params, d_grads)
    g_value, g_grads = jax.value_and_grad(g_loss)(g_params, d_params)
    g_params = jax.tree.map(lambda p, g: p - 0.1 * g, g_params, g_grads)
    return g_params, d_params, g_value, d_value


@pytest.mark.parametrize("r1", [0.0, 5.0])
def test_a_round_equals_one_written_by_hand(r1):
    """Both moves judge the fakes of one forward pass; making them anew changes no gradient."""
    game = small(penalties=Penalties(r1=r1))
    state, metrics = play(game, 1)[0]
    g_params, d_params, g_value, d_value = by_hand(game, gan_jax.init(game, KEY), r1=r1)
    close(state.params, {"generator": g_params, "discriminator": d_params})
    close(metrics["generator"]["loss"], g_value)
    close(metrics["discriminator"]["loss"], d_value)


def test_a_move_that_does_not_read_the_shared_pass_costs_no_way_back():
    """Its gradient lacks what would flow through the pass."""

    def forward(variables, batch, key):
        return {"double": 2.0 * value(variables, "a")}, {}

    def loss(variables, batch, key):
        return value(variables, "a") + batch["double"], Aux()

    moves = (Move("A", loss), Move("A", loss, name="blind", reads_shared=False), Move("B", loss))
    game = numbers(moves, shared=Shared("A", forward), simultaneous=True)
    _, metrics = play(game, 1)[0]
    assert [float(metrics[m.label]["grad_norm"]) for m in moves] == [3.0, 1.0, 0.0]


@pytest.mark.parametrize("label", [0, 1])
def test_a_move_has_gradients_in_its_players_own_parameters_only(label):
    game = small()
    variables = gan_jax.variables(game, gan_jax.init(game, KEY))
    move = game.moves[label]
    batch = {"real": REAL, "fake": REAL + 1.0, "index": jnp.arange(8), "round": 0}
    _, _, grads = gradient(game, move, variables, batch, KEY)
    assert set(grads) == {move.player}
    assert jax.tree.structure(grads[move.player]) == jax.tree.structure(
        variables[move.player]["params"]
    )


def test_a_move_leaves_the_other_players_parameters_bit_for_bit():
    game = small()
    for move, other in zip(game.moves, ("generator", "discriminator"), strict=True):
        before = gan_jax.init(game, KEY)
        after, _ = play(game._replace(moves=(move,)), 1, before)[0]
        assert same(before.params[other], after.params[other])
        assert not same(before.params[move.player], after.params[move.player])


# --- the vector field -----------------------------------------------------------------------------


def test_the_vector_field_is_what_a_simultaneous_round_descends():
    """With SGD of rate 1 the state moves by minus the field, the penalty included."""
    game = small(
        tx=optax.sgd(1.0), penalties=Penalties(r1=3.0), prior=latents.normal(3), simultaneous=True
    )
    state = gan_jax.init(game, KEY)
    field = gan_jax.vector_field(game, state, {"real": REAL}, KEY)
    after, _ = play(game, 1, state)[0]
    for name in ("generator", "discriminator"):
        moved = jax.tree.map(jnp.subtract, state.params[name], after.params[name])
        close(field[name][name], moved, atol=1e-5)


def test_the_vector_field_sums_a_players_losses():
    def double(variables, batch, key):
        return 2.0 * product(variables, batch, key)[0], Aux()

    game = numbers((A_MOVES, Move("A", double, name="more"), B_MOVES))
    field = gan_jax.vector_field(game, gan_jax.init(game, KEY), {}, KEY)
    assert float(field["A"]["a"]["number"]) == 3.0 and float(field["B"]["b"]["number"]) == 1.0


def test_lazy_regularisation_does_not_change_the_vector_field():
    """A penalty that is 16 times as strong in every 16th round is the same game."""
    eager, lazy = (small(penalties=Penalties(r1=3.0, every=every)) for every in (1, 16))
    state, batch = gan_jax.init(eager, KEY), {"real": REAL}
    fields = [gan_jax.vector_field(game, state, batch, KEY) for game in (eager, lazy)]
    close(fields[0], fields[1], rtol=1e-4)


def test_the_vector_field_moves_nothing():
    game = small(discriminator=Diary())
    state = gan_jax.init(game, KEY)
    before = jax.tree.map(jnp.copy, state)
    gan_jax.vector_field(game, state, {"real": REAL}, KEY)
    assert same(before, state)


def test_a_lazy_penalty_moves_the_discriminator_as_far_as_an_eager_one_over_its_interval():
    """With D's other loss absent, SGD's one step of 4 gamma is four steps' worth of gamma."""
    lazy = small(penalties=Penalties(r1=2.0, every=4))
    only = lazy._replace(moves=tuple(m for m in lazy.moves if m.name == "penalty"))
    start = gan_jax.init(only, KEY)
    after, _ = play(only, 4, start)[-1]

    def r1(params):
        slopes = jax.grad(lambda x: jnp.sum(judged(lazy, params, x)))(REAL)
        return jnp.mean(jnp.sum(slopes**2, axis=1))  # gamma/2 = 1

    grads = jax.grad(r1)(start.params["discriminator"])
    wanted = jax.tree.map(lambda p, g: p - 0.1 * 4 * g, start.params["discriminator"], grads)
    close(after.params["discriminator"], wanted)


# --- statistics, averages, memories ---------------------------------------------------------------


def diary(state):
    return float(state.stats["discriminator"]["diary"]["seen"])


@pytest.mark.parametrize(
    ("objective", "order"),
    [
        (objectives.non_saturating(), ("real", "fake", "fake")),  # D judges both, then G's move
        (objectives.relativistic(), ("real", "fake", "real", "fake")),
    ],
    ids=["unpaired", "paired"],
)
@pytest.mark.parametrize("r1", [0.0, 1.0])
def test_every_pass_of_the_discriminator_updates_its_statistics_in_order(objective, order, r1):
    game = small(objective, discriminator=Diary(), penalties=Penalties(r1=r1))
    start = gan_jax.init(game, KEY)
    fake = fakes(game, start.params["generator"])
    seen = 0.0
    for what in order:
        seen = 0.5 * seen + float(jnp.mean({"real": REAL, "fake": fake}[what]))
    state, _ = play(game, 1)[0]
    np.testing.assert_allclose(diary(state), seen, rtol=1e-5)


def test_a_simultaneous_round_loses_no_statistics():
    """While nobody moves (rate 0), taking gradients at the round's start changes nothing."""
    states = [
        play(small(discriminator=Diary(), tx=optax.sgd(0.0), simultaneous=how), 2)[-1][0]
        for how in (False, True)
    ]
    np.testing.assert_allclose(diary(states[0]), diary(states[1]), rtol=1e-6)


def test_the_shared_pass_updates_the_generators_statistics_once_a_round():
    game = small(generator=Noisy())
    start = gan_jax.init(game, KEY)
    hidden = Z @ start.params["generator"]["Dense_0"]["kernel"]
    state, _ = play(game, 1)[0]
    mean = state.stats["generator"]["batch_stats"]["BatchNorm_0"]["mean"]
    np.testing.assert_allclose(mean, 0.01 * hidden.mean(axis=0), rtol=1e-4, atol=1e-7)


def test_statistics_have_no_gradient_and_no_optimiser():
    game = small(generator=Noisy(), tx=optax.adam(1e-3))
    state = gan_jax.init(game, KEY)
    assert set(state.stats["generator"]) == {"batch_stats"}
    moments = state.opt["generator"][0].mu["generator"]
    assert jax.tree.structure(moments) == jax.tree.structure(state.params["generator"])


def jump(variables, batch, key):
    """Descended by SGD of rate 1/4, it takes a from anywhere to 0 in one move."""
    return 2.0 * value(variables, "a") ** 2, Aux()


def test_the_averaged_copy_forgets_half_in_its_half_life():
    game = numbers((Move("A", jump),), ema={"a": 0.5 ** (1 / 10)})
    state, _ = play(game, 10)[-1]
    assert state.params["a"]["number"] == 0.0
    np.testing.assert_allclose(state.ema["a"]["params"]["number"], 0.5, rtol=1e-5)


def test_the_average_is_taken_after_the_rounds_moves():
    game = numbers((Move("A", jump),), ema={"a": 0.75})
    state, _ = play(game, 1)[0]
    np.testing.assert_allclose(state.ema["a"]["params"]["number"], 0.75)


def test_a_decay_may_depend_on_the_round():
    """Here it warms up from 0: round n keeps n / (n + 1), so the copy is the mean of all rounds."""
    game = numbers((Move("A", product),), ema={"a": lambda step: step / (step + 1.0)})
    history = play(game, 4)
    mean = np.mean([places(state)[0] for state, _ in history])
    np.testing.assert_allclose(history[-1][0].ema["a"]["params"]["number"], mean, rtol=1e-6)


def test_a_network_may_have_averaged_copies_of_several_half_lives():
    ema = averages.copies(("a",), {5.0: 0.75, 50.0: 0.875})
    assert ema == {"a": 0.75, "a@50": 0.875}
    state, _ = play(numbers((Move("A", jump),), ema=ema), 2)[-1]
    alone, _ = play(numbers((Move("A", jump),), ema={"a": 0.75}), 2)[-1]
    assert same(state.ema["a"], alone.ema["a"]), "the first one is what it would be alone"
    np.testing.assert_allclose(state.ema["a@50"]["params"]["number"], 0.875**2)


def test_the_averaged_copy_takes_the_newest_statistics():
    game = small(generator=Noisy(), ema=0.999)
    start = gan_jax.init(game, KEY)
    state, _ = play(game, 3)[-1]
    assert same(start.ema["generator"]["params"], start.params["generator"])
    assert same(state.ema["generator"]["batch_stats"], state.stats["generator"]["batch_stats"])
    assert not same(state.ema["generator"]["params"], state.params["generator"])
    assert "discriminator" not in state.ema


def test_a_memory_comes_back_to_the_next_move_and_the_next_round():
    def push(variables, batch, key):
        pool = jnp.roll(variables["pool"], 1).at[0].set(value(variables, "a"))
        return value(variables, "a"), Aux({"pool": pool}, {"oldest": variables["pool"][-1]})

    moves = (Move("A", push, name="first"), Move("A", push, name="second"))
    game = numbers(moves)
    game = game._replace(nets={**game.nets, "pool": Memory(lambda: jnp.full(3, 7.0))})
    start = gan_jax.init(game, KEY)
    assert "pool" not in start.params and start.stats["pool"].tolist() == [7.0, 7.0, 7.0]
    (state, _), (again, metrics) = play(game, 2)
    assert state.stats["pool"].tolist() == [0.75, 1.0, 7.0]
    assert again.stats["pool"].tolist() == [0.25, 0.5, 0.75]
    assert metrics["A/first"]["oldest"] == 7.0 and metrics["A/second"]["oldest"] == 1.0


# --- keys -----------------------------------------------------------------------------------------


def drawn(game, rounds, key=KEY, state=None):
    state = gan_jax.init(game, KEY) if state is None else state
    one = jax.jit(lambda state: gan_jax.step(game, state, {"real": REAL}, key))
    seen = []
    for _ in range(rounds):
        state, metrics = one(state)
        seen.append(float(metrics["discriminator"]["fake_logit"]))
    return seen


def test_rounds_draw_different_latents_from_one_root_key():
    """Nobody moves (rate 0), so only z can change what D sees."""
    game = small(prior=latents.normal(3), tx=optax.sgd(0.0))
    assert len(set(drawn(game, 5))) == 5


def test_the_same_key_and_round_give_the_same_bits():
    game = small(prior=latents.normal(3), generator=Noisy())
    (_, _), (second, _), (third, _) = play(game, 3)
    resumed, _ = play(game, 1, state=second)[0]
    assert same(resumed, third)


def test_another_root_key_gives_another_game():
    game = small(prior=latents.normal(3), tx=optax.sgd(0.0))
    assert drawn(game, 2) != drawn(game, 2, key=jax.random.key(1))


def test_networks_start_from_keys_of_their_names():
    game = numbers((A_MOVES,))
    nets = {name: Net(mlp.Discriminator((4,)), floats(1, 2)) for name in ("a", "b")}
    state = gan_jax.init(game._replace(nets=nets), KEY)
    swapped = gan_jax.init(game._replace(nets=dict(reversed(nets.items()))), KEY)
    assert not same(state.params["a"], state.params["b"])
    assert same(state.params["a"], swapped.params["a"])


def test_folding_a_name_is_stable_and_tells_names_apart():
    keys = [gan_jax.fold(KEY, name) for name in ("z", "real", "fake", "mix", "shared")]
    data = {tuple(np.asarray(jax.random.key_data(key)).tolist()) for key in keys}
    assert len(data) == 5
    assert same(jax.random.key_data(gan_jax.fold(KEY, "z")), jax.random.key_data(keys[0]))


# --- networks as functions ------------------------------------------------------------------------


def test_a_net_stores_nothing_and_returns_its_statistics():
    net = Net(Noisy(), floats(1, 3))
    variables = net.init(KEY)
    before = jax.tree.map(jnp.copy, variables)
    _, stats = net(variables, Z, key=KEY)
    assert same(before, variables) and set(stats) == {"batch_stats"}
    assert not same(stats["batch_stats"], variables["batch_stats"])
    _, unmoved = net(variables, Z, train=False)
    assert same(unmoved["batch_stats"], variables["batch_stats"])


def test_a_nets_noise_comes_from_its_key():
    net = Net(Noisy(), floats(1, 3))
    variables = net.init(KEY)
    outs = [net(variables, Z, key=gan_jax.fold(KEY, name))[0] for name in ("a", "a", "b")]
    assert same(outs[0], outs[1]) and not same(outs[0], outs[2])


# --- the options of `games.gan` -------------------------------------------------------------------


def test_metrics_of_a_round():
    game = small(penalties=Penalties(r1=1.0, r2=1.0, gradient_penalty=1.0))
    _, metrics = play(game, 1)[0]
    accuracies = {"real_accuracy", "fake_accuracy"}
    logits = {"real_logit", "fake_logit"}
    penalties = {"r1", "r2", "gradient_penalty"}
    assert set(metrics["discriminator"]) == {"loss", "grad_norm"} | accuracies | logits | penalties
    assert set(metrics["generator"]) == {"loss", "grad_norm"}
    assert all(leaf.shape == () for leaf in jax.tree.leaves(metrics))


def test_a_critic_without_a_threshold_reports_no_accuracy():
    _, metrics = play(small(objectives.wasserstein()), 1)[0]
    assert not [name for name in metrics["discriminator"] if name.endswith("accuracy")]


def test_accuracies_count_the_rightly_judged():
    def loud(x):
        return x[:, 0]

    class FirstPixel(nn.Module):
        @nn.compact
        def __call__(self, x, train: bool = True):
            return loud(x) + 0.0 * self.param("bias", nn.initializers.zeros, ())

    game = small(discriminator=FirstPixel())
    fake = fakes(game, gan_jax.init(game, KEY).params["generator"])
    _, metrics = play(game, 1)[0]
    found = metrics["discriminator"]
    np.testing.assert_allclose(found["real_accuracy"], np.mean(loud(REAL) > 0))
    np.testing.assert_allclose(found["fake_accuracy"], np.mean(loud(fake) <= 0))


@pytest.mark.parametrize("n_critic", [1, 2])
@pytest.mark.parametrize("penalty_every", [1, 4])
def test_penalties_and_critic_steps_are_moves(penalty_every, n_critic):
    game = small(penalties=Penalties(r1=1.0, every=penalty_every), n_critic=n_critic)
    moves = {move.label: move.every for move in game.moves}
    lazy = {"discriminator/penalty": 4} if penalty_every == 4 else {}
    assert moves == {"discriminator": 1, **lazy, "generator": n_critic}
    assert [m.player for m in game.moves][-1] == "generator"


def test_no_penalty_no_move():
    assert len(small(penalties=Penalties(every=16)).moves) == 2
