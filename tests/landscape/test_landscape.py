"""The game as a vector field, against games whose field is known in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers.paths import EXPERIMENTS

from gan_jax import config, game, latents, objectives
from gan_jax.build.data import data_shape
from gan_jax.build.experiment import build
from gan_jax.errors import UserError
from gan_jax.game import Net
from gan_jax.games import toy_games
from gan_jax.games.gan import gan
from gan_jax.landscape import field, figures, slices, spectrum
from gan_jax.networks import dcgan, mlp
from gan_jax.penalties import Penalties

KEY = jax.random.key(0)
SGD = optax.sgd(0.1)
ONE = {"real": jnp.zeros((1, 1))}


def at(played, generator, discriminator):
    state = game.init(played, KEY)
    params = {"generator": {"w": generator}, "discriminator": {"w": discriminator}}
    params = jax.tree.map(lambda w: jnp.array([w]), params)
    return game.State(state.step, params, state.stats, state.opt, state.ema)


BILINEAR = toy_games.bilinear(SGD)


def smalls():
    z, x = jax.ShapeDtypeStruct((2, 2), jnp.float32), jax.ShapeDtypeStruct((2, 2), jnp.float32)
    options = {"objective": objectives.non_saturating(), "prior": latents.normal(2)}
    generator = Net(mlp.Generator((2,), (4,), activation=jnp.tanh, out=lambda x: x), (z,))
    critic = Net(mlp.Discriminator((4,), activation=jnp.tanh), (x,))
    return gan(generator, critic, SGD, SGD, penalties=Penalties(r1=1.0), **options)


SMALL = smalls()
SMALL_STATE = game.init(SMALL, KEY)
POINTS = {"real": jax.random.normal(KEY, (16, 2))}


def test_a_bilinear_game_only_rotates():
    """Berard et al. 2020, section 3.2: v = (b, -a), eigenvalues +-i."""
    values = spectrum.spectrum(BILINEAR, game.init(BILINEAR, KEY), ONE, KEY)
    np.testing.assert_allclose(np.sort_complex(values), [-1j, 1j], atol=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 4.0])
def test_the_dirac_gan_has_its_eigenvalues(gamma):
    """At equilibrium J = [[0, -1/2], [1/2, gamma]] (Mescheder et al. 2018, lemma 2.3, 4.1)."""
    played = toy_games.dirac(SGD, r1=gamma)
    values = spectrum.spectrum(played, at(played, 0.0, 0.0), ONE, KEY)
    expected = np.linalg.eigvals(np.array([[0.0, -0.5], [0.5, gamma]]))
    np.testing.assert_allclose(np.sort_complex(values), np.sort_complex(expected + 0j), atol=1e-5)


MINIMAX, NON_SATURATING = objectives.minimax(), objectives.non_saturating()
AT_ONCE = {"simultaneous": True}
OPTIMISTIC = optax.optimistic_gradient_descent(0.1)


def outwards(distance):
    return np.all(np.diff(distance) > 0.0) and distance[-1] > 1.25 * distance[0]


def round_(distance):
    return np.ptp(distance) < 0.12 and distance.min() > 1.3


def inwards(distance):
    return distance[-1] < 0.5 * distance[0] and distance[200:].max() < distance[:100].min()


DIRECTIONS = {  # notebook 01 shows them, or says so
    "minimax, simultaneous": (toy_games.dirac(SGD, objective=MINIMAX, **AT_ONCE), outwards),
    "minimax, alternating": (toy_games.dirac(SGD, objective=MINIMAX), round_),
    "minimax, alternating, R1": (toy_games.dirac(SGD, objective=MINIMAX, r1=1.0), inwards),
    "non-saturating, simultaneous": (
        toy_games.dirac(SGD, objective=NON_SATURATING, **AT_ONCE),
        inwards,
    ),
    "non-saturating, alternating": (toy_games.dirac(SGD, objective=NON_SATURATING), inwards),
    "bilinear, simultaneous": (toy_games.bilinear(SGD, **AT_ONCE), outwards),
    "bilinear, alternating": (BILINEAR, round_),
    "bilinear, optimistic": (toy_games.bilinear(OPTIMISTIC, **AT_ONCE), inwards),
}


def distances(played, rounds):
    """From the equilibrium, from (1, 1) on."""
    states = field.trajectory(played, at(played, 1.0, 1.0), ONE, KEY, rounds)
    places = [states.params[name]["w"] for name in ("generator", "discriminator")]
    return np.linalg.norm(np.concatenate(places, axis=1), axis=1)


@pytest.mark.parametrize("case", DIRECTIONS)
def test_players_spiral_where_the_notebook_says(case):
    """Mescheder et al. 2018, section 2; Daskalakis et al. 2018, section 2."""
    played, direction = DIRECTIONS[case]
    assert direction(distances(played, 300))


@pytest.mark.parametrize("objective", [MINIMAX, NON_SATURATING], ids=["minimax", "non_saturating"])
def test_only_the_non_saturating_field_pulls_to_the_equilibrium(objective):
    """With d = theta psi, the distance's square falls at the rate 2 d tanh(d / 2), or 0."""
    played = toy_games.dirac(SGD, objective=objective)
    found = field.arrows(played, game.init(played, KEY), ONE, KEY, np.linspace(-2.0, 2.0, 9))
    d = found.x * found.y
    pull = d * np.tanh(d / 2.0) if objective is NON_SATURATING else 0.0 * d
    np.testing.assert_allclose(-(found.x * found.dx + found.y * found.dy), pull, atol=1e-5)


def test_simultaneous_non_saturating_players_end_on_a_circle():
    """Of radius sqrt(2 rate): where a step along the tangent leaves as fast as the field pulls."""
    distance = distances(toy_games.dirac(SGD, objective=NON_SATURATING, simultaneous=True), 3000)
    np.testing.assert_allclose(distance[-200:].mean(), np.sqrt(0.2), rtol=0.02)


def test_the_matrix_free_spectrum_is_the_dense_one():
    dense = np.linalg.eigvals(spectrum.dense(SMALL, SMALL_STATE, POINTS, KEY))
    largest = dense[np.argsort(-np.abs(dense))][:5]
    found = spectrum.spectrum(SMALL, SMALL_STATE, POINTS, KEY, count=5, tolerance=1e-6)
    np.testing.assert_allclose(np.abs(found), np.abs(largest), rtol=1e-4)
    np.testing.assert_allclose(
        np.sort(found.real), np.sort(largest.real), rtol=1e-3, atol=1e-3 * np.abs(largest[0])
    )


@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_a_players_own_block_is_its_hessian(player):
    matrix = spectrum.dense(SMALL, SMALL_STATE, POINTS, KEY, player=player)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-5)
    exact = np.linalg.eigvalsh(matrix)
    exact = exact[np.argsort(-np.abs(exact))][:3]
    found = spectrum.spectrum(
        SMALL, SMALL_STATE, POINTS, KEY, count=3, player=player, tolerance=1e-6
    )
    np.testing.assert_allclose(found.real, exact, rtol=1e-3, atol=1e-5)


def test_products_are_those_of_the_transpose():
    transposed, size = spectrum.products(SMALL, SMALL_STATE, POINTS, KEY)
    u = np.random.default_rng(0).normal(size=size)
    dense = spectrum.dense(SMALL, SMALL_STATE, POINTS, KEY)
    np.testing.assert_allclose(transposed(u), dense.T @ u, rtol=1e-3, atol=1e-4)


def test_losses_are_those_whose_gradient_is_the_field():
    v = game.vector_field(SMALL, SMALL_STATE, POINTS, KEY)

    def loss(params, player):
        state = game.State(SMALL_STATE.step, params, SMALL_STATE.stats, SMALL_STATE.opt, {})
        return field.losses(SMALL, state, POINTS, KEY)[player]

    for player in SMALL.players:
        slope = jax.grad(loss)(SMALL_STATE.params, player)[player]
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
            slope,
            v[player][player],
        )


def test_a_potential_game_switches_sign_at_its_minimum():
    """Berard et al. 2020, figure 2: attraction."""
    played = toy_games.two_vectors(lambda a, b: jnp.sum(a**2), lambda a, b: jnp.sum(b**2), SGD)
    found = field.path(played, at(played, 1.0, 1.0), at(played, 0.0, 0.0), ONE, KEY)
    before, after = found.angle[found.alphas < 0.99], found.angle[found.alphas > 1.01]
    np.testing.assert_allclose(before, -1.0, atol=1e-5)
    np.testing.assert_allclose(after, 1.0, atol=1e-5)
    assert found.norm.argmin() == np.abs(found.alphas - 1.0).argmin()


def test_a_rotation_stands_at_right_angles_to_the_path():
    """Berard et al. 2020, figure 2: no attraction, the angle is 0 all along."""
    start, end = at(BILINEAR, 1.0, 0.5), at(BILINEAR, 0.0, 0.0)
    found = field.path(BILINEAR, start, end, ONE, KEY, np.linspace(-0.1, 0.9, 11))
    np.testing.assert_allclose(found.angle, 0.0, atol=1e-5)


def test_players_of_a_zero_sum_game_want_the_opposite():
    cosines = field.gradient_cosines(BILINEAR, game.init(BILINEAR, KEY), ONE, KEY)
    assert float(cosines["generator"]["discriminator"]) == pytest.approx(-1.0)
    assert float(cosines["discriminator"]["generator"]) == pytest.approx(-1.0)


def test_a_trajectory_begins_at_the_state_and_follows_the_moves():
    """Alternating descent with rate h: b += h a, then a -= h b."""
    states = field.trajectory(BILINEAR, at(BILINEAR, 1.0, 0.5), ONE, KEY, 3)
    a, b = (np.asarray(states.params[n]["w"])[:, 0] for n in ("generator", "discriminator"))
    np.testing.assert_allclose(b[1:], b[:-1] + 0.1 * a[:-1], rtol=1e-6)
    np.testing.assert_allclose(a[1:], a[:-1] - 0.1 * b[1:], rtol=1e-6)


def test_arrows_point_where_descent_goes():
    line = np.linspace(-1.0, 1.0, 5)
    found = field.arrows(BILINEAR, game.init(BILINEAR, KEY), ONE, KEY, line)
    np.testing.assert_allclose(found.dx, -found.y, atol=1e-6)
    np.testing.assert_allclose(found.dy, found.x, atol=1e-6)


def test_figures_have_named_axes_and_export_vectors(tmp_path):
    values = spectrum.spectrum(BILINEAR, game.init(BILINEAR, KEY), ONE, KEY)
    found = field.path(BILINEAR, at(BILINEAR, 1.0, 1.0), at(BILINEAR, 0.0, 0.0), ONE, KEY)
    grid = field.arrows(BILINEAR, game.init(BILINEAR, KEY), ONE, KEY, np.linspace(-1, 1, 5))
    surface = {"generator": np.outer(np.arange(3.0), np.arange(3.0))}
    for number, figure in enumerate(
        (
            figures.eigenvalues({"both": values}),
            figures.path(found),
            figures.phase_portrait({"bilinear": grid}, {}),
            figures.plane([0.0, 1.0, 2.0], [0.0, 1.0, 2.0], surface, moved="generator"),
            figures.mixtures(np.eye(2), {"0 kimg": np.eye(2)}),
            figures.curves(np.arange(2.0), {"a": np.arange(2.0)}, xlabel="x", ylabel="y"),
        )
    ):
        named = [axes for axes in figure.axes if axes.get_xlabel() or axes.get_ylabel()]
        assert len(named) == len(figure.axes)
        figure.savefig(tmp_path / f"{number}.pdf")


def pictures():
    z = jax.ShapeDtypeStruct((2, 3), jnp.float32)
    x = jax.ShapeDtypeStruct((2, 8, 8, 1), jnp.float32)
    return gan(
        Net(dcgan.Generator(8, 1, width=4), (z,)),
        Net(dcgan.Discriminator(8, width=4), (x,)),
        SGD,
        SGD,
        objective=objectives.non_saturating(),
        prior=latents.normal(3),
    )


PICTURES = pictures()
PICTURES_STATE = game.init(PICTURES, KEY)
IMAGES = {"real": jnp.tanh(jax.random.normal(KEY, (4, 8, 8, 1)))}


def test_filters_of_a_direction_are_as_large_as_the_networks():
    """Li et al. 2018, section 4; biases and norms' parameters stay where they are."""
    params = slices.player_params(PICTURES, PICTURES_STATE, "discriminator")
    along = slices.direction(params, KEY)

    def check(p, d):
        if p.ndim <= 1:
            assert not d.any()
            return
        axes = tuple(range(p.ndim - 1))
        norms = (np.linalg.norm(x.reshape(-1, x.shape[-1]), axis=0) for x in (p, d))
        np.testing.assert_allclose(*norms, rtol=1e-4)
        assert axes

    jax.tree.map(check, params, along)


def test_a_plane_through_a_dcgan_has_its_losses_at_the_origin():
    params = slices.player_params(PICTURES, PICTURES_STATE, "generator")
    along = slices.direction(params, KEY), slices.direction(params, jax.random.key(1))
    values = [-1.0, 0.0, 1.0]
    plane = slices.loss_plane(
        PICTURES, PICTURES_STATE, IMAGES, KEY, "generator", along, values, values
    )
    line = slices.loss_line(PICTURES, PICTURES_STATE, IMAGES, KEY, "generator", along[1], values)
    here = field.losses(PICTURES, PICTURES_STATE, IMAGES, KEY)
    for player, grid in plane.items():
        assert grid.shape == (3, 3)
        np.testing.assert_allclose(grid[1, 1], here[player], rtol=1e-4)
        np.testing.assert_allclose(grid[1], line[player], rtol=1e-4)
        assert np.ptp(grid) > 0


def test_interpolation_ends_at_both_states():
    step = PICTURES_STATE.step
    end, _ = game.step(PICTURES, PICTURES_STATE, IMAGES, KEY)
    found = slices.interpolate(PICTURES, PICTURES_STATE, end, IMAGES, KEY, [0.0, 1.0])
    for alpha, state in enumerate((PICTURES_STATE, end)):
        moved = game.State(step + 1, state.params, state.stats, state.opt, state.ema)
        here = field.losses(PICTURES, moved, IMAGES, KEY)
        for player, values in found.items():
            np.testing.assert_allclose(values[alpha], here[player], rtol=1e-4)


def test_a_player_that_does_not_play_is_named():
    with pytest.raises(UserError, match=r"'generater'.*'generator'"):
        slices.player_params(SMALL, SMALL_STATE, "generater")
    with pytest.raises(UserError, match=r"'discriminater'.*'discriminator'"):
        spectrum.spectrum(SMALL, SMALL_STATE, POINTS, KEY, player="discriminater")


def test_losses_of_a_game_with_memories_see_what_the_field_sees():
    """CycleGAN's discriminators judge pictures out of a pool."""
    recipe = EXPERIMENTS / "cyclegan.py"
    experiment = config.tiny(config.recipe(f"{recipe}:emoji"))
    built = build(config.change(experiment, {"run.devices": 1, "sync_batch_norm": False}))
    shape = (experiment.batch_size, *data_shape(experiment.data))
    batch = {name: jax.ShapeDtypeStruct(shape, jnp.float32) for name in ("x", "y")}

    def both(batch):
        state = game.init(built.game, built.key)
        found = field.losses(built.game, state, batch, built.key)
        return found, game.vector_field(built.game, state, batch, built.key)

    found, slopes = jax.eval_shape(both, batch)
    assert found.keys() == slopes.keys() == built.game.players.keys()
