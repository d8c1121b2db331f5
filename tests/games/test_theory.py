"""The theory of the minimax game, each statement with its equation, on games solved by hand.

Everything here is a `Game` built of the package's public parts and played by its one `step`: no
test has an update rule of its own.
"""

import dataclasses
from statistics import NormalDist

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

import gan_jax
from gan_jax import Aux, Game, Move, Net, Player, latents, objectives, penalties
from gan_jax.data.pipeline import open_source
from gan_jax.data.toy import modes
from gan_jax.games.gan import gan
from gan_jax.metrics.mode_coverage import mode_coverage
from gan_jax.networks import mlp
from gan_jax.penalties import Penalties

KEY = jax.random.key(0)


class Number(nn.Module):
    """Nothing in, one number (or a vector of them) out: the smallest network there is."""

    start: float = 0.0
    shape: tuple[int, ...] = ()

    @nn.compact
    def __call__(self, train: bool = True):
        return self.param("number", nn.initializers.constant(self.start), self.shape)


class Point(nn.Module):
    """G(z) = theta whatever z is: a generator that is a Dirac measure."""

    @nn.compact
    def __call__(self, z, train: bool = True):
        theta = self.param("theta", nn.initializers.ones, (1, 1))
        return jnp.broadcast_to(theta, (z.shape[0], 1))


class Slope(nn.Module):
    """D(x) = psi * x."""

    @nn.compact
    def __call__(self, x, train: bool = True):
        return (self.param("psi", nn.initializers.ones, (1, 1)) * x)[:, 0]


def number(start=0.0, shape=()):
    return Net(Number(start, shape), ())


def floats(*shape):
    return (jax.ShapeDtypeStruct(shape, jnp.float32),)


def play(game, batch, rounds, state=None):
    """The states after each of `rounds` rounds, stacked, and the metrics of those rounds."""
    start = gan_jax.init(game, KEY) if state is None else state

    def one(state, _):
        state, metrics = gan_jax.step(game, state, batch, KEY)
        return state, (state, metrics)

    return jax.jit(lambda start: jax.lax.scan(one, start, length=rounds)[1])(start)


def last(tree):
    return jax.tree.map(lambda leaf: leaf[-1], tree)


def sgd(rate):
    return optax.sgd(rate)


# --- the optimal discriminator (Goodfellow et al. 2014, section 4) --------------------------------

P = jnp.array([0.4, 0.3, 0.2, 0.1])  # the data's distribution on four points
Q = jnp.array([0.1, 0.2, 0.3, 0.4])  # another one


def expected(payoff, p, q, logits):
    """E over x ~ p, y ~ q of payoff(D(x), D(y)), exactly: all pairs of points, weighted."""
    pairs = payoff(logits[:, None] + jnp.zeros((4, 4)), logits[None, :] + jnp.zeros((4, 4)))
    return p @ pairs @ q


def jensen_shannon(p, q):
    m = 0.5 * (p + q)
    return 0.5 * jnp.sum(p * jnp.log(p / m)) + 0.5 * jnp.sum(q * jnp.log(q / m))


def best_response(objective, tx, rounds):
    """The logits of a discriminator, one for each point, that plays alone against a fixed Q."""

    def loss(variables, batch, key):
        logits, _ = table(variables["discriminator"])
        return expected(objective.discriminator, P, Q, logits), Aux()

    table = number(shape=(4,))
    game = Game(
        nets={"discriminator": table},
        players={"discriminator": Player(("discriminator",), tx)},
        moves=(Move("discriminator", loss),),
    )
    states, metrics = play(game, {}, rounds)
    return last(states).params["discriminator"]["number"], metrics["discriminator"]["loss"][-1]


def test_the_optimal_discriminator_is_p_over_p_plus_q():
    """Proposition 1: D*(x) = p(x) / (p(x) + q(x)), where D = sigmoid(logit)."""
    logits, _ = best_response(objectives.minimax(), sgd(2.0), 2000)
    np.testing.assert_allclose(jax.nn.sigmoid(logits), P / (P + Q), atol=1e-4)


def test_the_value_at_the_optimal_discriminator_is_the_jensen_shannon_divergence():
    """Theorem 1: V(G, D*) = -log 4 + 2 JSD(p || q), and the discriminator's loss is -V."""
    _, loss = best_response(objectives.minimax(), sgd(2.0), 2000)
    np.testing.assert_allclose(-loss, -jnp.log(4.0) + 2.0 * jensen_shannon(P, Q), atol=1e-5)


def test_the_optimal_least_squares_discriminator():
    """With real 1 and fake 0, D* = p / (p + q), at the loss sum p q / (p + q).

    (Mao et al. 2017, arXiv:1611.04076, section 3.)
    """
    logits, loss = best_response(objectives.least_squares(), sgd(0.5), 2000)
    np.testing.assert_allclose(logits, P / (P + Q), atol=1e-4)
    np.testing.assert_allclose(loss, jnp.sum(P * Q / (P + Q)), atol=1e-5)


def test_the_optimal_hinge_discriminator():
    """D* = sign(p - q) in [-1, 1]; its loss 2 sum min(p, q) measures the total variation.

    (Lim & Ye 2017, arXiv:1705.02894.)
    """
    logits, loss = best_response(objectives.hinge(), sgd(0.01), 4000)
    np.testing.assert_allclose(logits, jnp.sign(P - Q), atol=0.01)
    np.testing.assert_allclose(loss, 2.0 * jnp.sum(jnp.minimum(P, Q)), atol=0.01)


def test_the_optimal_relativistic_discriminator_is_the_log_ratio_up_to_a_constant():
    """Pairs are told apart best by D*(x) - D*(y) = log p(x)/q(x) - log p(y)/q(y)."""
    logits, _ = best_response(objectives.relativistic(), sgd(2.0), 4000)
    ratio = jnp.log(P / Q)
    np.testing.assert_allclose(logits - logits.mean(), ratio - ratio.mean(), atol=1e-3)


def test_a_perceptron_learns_the_optimal_discriminator_of_two_gaussians():
    """D*(x) = p(x) / (p(x) + q(x)) between N(0, 1) and N(1.5, 0.7^2), where there is data."""
    quantiles = np.array([[NormalDist().inv_cdf((i + 0.5) / 256)] for i in range(256)], np.float32)
    batch = {"real": jnp.asarray(quantiles), "fake": 1.5 + 0.7 * jnp.asarray(quantiles)}
    net = Net(mlp.Discriminator((32,)), floats(1, 1))
    payoff = objectives.minimax().discriminator

    def loss(variables, batch, key):
        real, _ = net(variables["discriminator"], batch["real"])
        fake, _ = net(variables["discriminator"], batch["fake"])
        return jnp.mean(payoff(real, fake)), Aux()

    game = Game(
        nets={"discriminator": net},
        players={"discriminator": Player(("discriminator",), optax.adam(1e-2))},
        moves=(Move("discriminator", loss),),
    )
    state = last(play(game, batch, 1000)[0])
    x = np.linspace(-1.5, 2.5, 41, dtype=np.float32)
    p, q = (np.vectorize(NormalDist(*normal).pdf)(x) for normal in ((0.0, 1.0), (1.5, 0.7)))
    logits, _ = net(gan_jax.variables(game, state)["discriminator"], jnp.asarray(x)[:, None])
    np.testing.assert_allclose(jax.nn.sigmoid(logits), p / (p + q), atol=0.04)


# --- the equilibrium ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("objective", "loss_at_equilibrium"),
    [
        (objectives.minimax(), 2.0 * np.log(2.0)),  # V = -log 4
        (objectives.non_saturating(), 2.0 * np.log(2.0)),  # the same game for D
        (objectives.least_squares(), 0.5),  # D = 1/2 on both
        (objectives.relativistic(), np.log(2.0)),  # no pair can be told apart
    ],
    ids=["minimax", "non_saturating", "least_squares", "relativistic"],
)
def test_at_equilibrium_the_generator_has_the_datas_distribution(objective, loss_at_equilibrium):
    """Theorem 1: the game ends at q = p, where D knows nothing: V = -log 4 (minimax).

    Both players are tables, so the generator can be every distribution q = softmax(table).
    """
    generator, discriminator = number(shape=(4,)), number(shape=(4,))

    def payoffs(payoff, variables):
        q = jax.nn.softmax(generator(variables["generator"])[0])
        return expected(payoff, P, q, discriminator(variables["discriminator"])[0]), Aux()

    game = Game(
        nets={"generator": generator, "discriminator": discriminator},
        players={
            "generator": Player(("generator",), sgd(0.5)),
            "discriminator": Player(("discriminator",), sgd(0.5)),
        },
        moves=(
            Move("discriminator", lambda v, batch, key: payoffs(objective.discriminator, v)),
            Move("generator", lambda v, batch, key: payoffs(objective.generator, v)),
        ),
    )
    states, metrics = play(game, {}, 4000)
    q = jax.nn.softmax(last(states).params["generator"]["number"])
    np.testing.assert_allclose(q, P, atol=2e-3)
    np.testing.assert_allclose(metrics["discriminator"]["loss"][-1], loss_at_equilibrium, atol=1e-4)


# --- saturation (Goodfellow et al. 2014, section 3) -----------------------------------------------


@pytest.mark.parametrize(
    ("objective", "slope"),
    [
        (objectives.minimax(), -1.0 / (1.0 + np.exp(10.0))),  # -sigmoid(-10): about -4.5e-5
        (objectives.non_saturating(), -1.0 / (1.0 + np.exp(-10.0))),  # -(1 - sigmoid(-10)): -1
    ],
    ids=["minimax", "non_saturating"],
)
def test_only_the_minimax_generator_stalls_when_its_samples_are_rejected(objective, slope):
    """At a logit of -10, d/dd log(1 - sigmoid(d)) vanishes and d/dd -log sigmoid(d) does not.

    Here G(z) = theta = -1 and D(x) = 10 x, so theta's gradient is 10 times the payoff's.
    """
    game = dirac(objective)
    field = gan_jax.vector_field(game, at(game, theta=-1.0, psi=10.0), ZEROS, KEY)
    np.testing.assert_allclose(field["generator"]["generator"]["theta"], 10.0 * slope, rtol=1e-3)


# --- the Dirac-GAN (Mescheder et al. 2018, arXiv:1801.04406) --------------------------------------

ZEROS = {"real": jnp.zeros((1, 1))}  # the data is a Dirac measure at 0


def dirac(objective, rate=0.1, **options):
    """The data sits at 0, the generator at theta, and D(x) = psi x."""
    return gan(
        Net(Point(), floats(1, 1)),
        Net(Slope(), floats(1, 1)),
        sgd(rate),
        sgd(rate),
        objective=objective,
        prior=latents.normal(1),
        **options,
    )


def at(game, theta, psi):
    """The opening state with both players put in their places."""
    state = gan_jax.init(game, KEY)
    places = {"generator": {"theta": theta}, "discriminator": {"psi": psi}}
    params = jax.tree.map(lambda x: jnp.full((1, 1), x), places)
    return dataclasses.replace(state, params=params)


def trajectory(game, rounds, batch=ZEROS):
    """[rounds + 1, 2]: (theta, psi) from (1, 1) on."""
    states, _ = play(game, batch, rounds)
    places = states.params["generator"]["theta"], states.params["discriminator"]["psi"]
    return np.concatenate([np.ones((1, 2)), np.concatenate(places, axis=2)[:, 0]])


@pytest.mark.parametrize("objective", [objectives.minimax(), objectives.non_saturating()])
@pytest.mark.parametrize("r1", [0.0, 0.3, 2.0])
def test_eigenvalues_of_the_dirac_gan(objective, r1):
    """The Jacobian of the dynamics -v at (0, 0): -gamma/2 +- sqrt(gamma^2/4 - f'(0)^2).

    Without R1 that is +-f'(0) i, a rotation without attraction. Here f(t) = -log(1 + exp(-t)), so
    f'(0) = 1/2.
    """
    game = dirac(objective, penalties=Penalties(r1=r1))
    state = at(game, 0.0, 0.0)
    start, unravel = ravel_pytree(state.params)

    def dynamics(params):
        there = dataclasses.replace(state, params=unravel(params))
        return -ravel_pytree(gan_jax.vector_field(game, there, ZEROS, KEY))[0]

    found = np.linalg.eigvals(jax.jacobian(dynamics)(start))
    root = np.sqrt(complex(r1**2 / 4.0 - 0.25))
    paper = [-r1 / 2.0 - root, -r1 / 2.0 + root]
    np.testing.assert_allclose(np.sort_complex(found), np.sort_complex(paper), atol=1e-6)


def test_simultaneous_descent_leaves_the_dirac_gans_equilibrium():
    """The distance grows in every round, by sqrt(1 + (rate f'(theta psi))^2) exactly."""
    path = trajectory(dirac(objectives.minimax(), simultaneous=True), 500)
    squares = np.sum(path**2, axis=1)
    slope = 1.0 / (1.0 + np.exp(-path[:-1, 0] * path[:-1, 1]))
    np.testing.assert_allclose(squares[1:], squares[:-1] * (1 + (0.1 * slope) ** 2), rtol=1e-5)


def test_alternating_descent_circles_the_dirac_gans_equilibrium():
    """It stays on a bounded orbit and comes no closer."""
    path = trajectory(dirac(objectives.minimax()), 5000)
    distance = np.linalg.norm(path, axis=1)
    assert distance.max() < 1.6 and distance[-500:].min() > 1.3
    assert path[-500:].min() < -1.0 and path[-500:].max() > 1.0  # still going round


@pytest.mark.parametrize("simultaneous", [False, True])
@pytest.mark.parametrize("penalty", ["r1", "r2"])
@pytest.mark.parametrize("objective", [objectives.minimax(), objectives.non_saturating()])
def test_with_a_zero_centred_penalty_the_dirac_gan_converges(objective, penalty, simultaneous):
    """With gamma > 0 both eigenvalues have negative real parts, on reals (R1) or fakes (R2)."""
    game = dirac(objective, simultaneous=simultaneous, penalties=Penalties(**{penalty: 1.0}))
    path = trajectory(game, 1000)
    assert np.linalg.norm(path[-1]) < 1e-4


def test_the_wgan_gp_penalty_does_not_make_the_dirac_gan_converge():
    """It asks for slope 1, the equilibrium has slope 0: the players never rest."""
    game = dirac(objectives.wasserstein(), penalties=Penalties(gradient_penalty=1.0))
    path = trajectory(game, 2000)
    assert np.linalg.norm(path[-500:], axis=1).max() > 0.1


# --- the bilinear game min_x max_y x y ------------------------------------------------------------


def bilinear(tx, **options):
    """Each player owns one number; x descends x y, y descends -x y."""
    x, y = number(1.0), number(1.0)

    def product(variables):
        return x(variables["x"])[0] * y(variables["y"])[0]

    return Game(
        nets={"x": x, "y": y},
        players={"min": Player(("x",), tx), "max": Player(("y",), tx)},
        moves=(
            Move("min", lambda variables, batch, key: (product(variables), Aux())),
            Move("max", lambda variables, batch, key: (-product(variables), Aux())),
        ),
        **options,
    )


def orbit(game, rounds):
    states, _ = play(game, {}, rounds)
    return np.array(states.params["x"]["number"]), np.array(states.params["y"]["number"])


def test_the_bilinear_games_vector_field_is_a_rotation():
    """The field v = (y, -x) circles (0, 0): its Jacobian has the eigenvalues +-i."""
    game = bilinear(sgd(0.1))
    field = gan_jax.vector_field(game, gan_jax.init(game, KEY), {}, KEY)
    assert (field["min"]["x"]["number"], field["max"]["y"]["number"]) == (1.0, -1.0)


def test_simultaneous_descent_diverges_at_the_exact_rate():
    """I + rate * rotation stretches by sqrt(1 + rate^2) in every round."""
    x, y = orbit(bilinear(sgd(0.1), simultaneous=True), 200)
    grown = np.sqrt(2.0) * np.sqrt(1.0 + 0.1**2) ** np.arange(1, 201)
    np.testing.assert_allclose(np.hypot(x, y), grown, rtol=1e-4)


def test_alternating_descent_stays_on_an_ellipse():
    """Each round x' = x - rate y, y' = y + rate x' keeps x^2 + y^2 - rate x y."""
    x, y = orbit(bilinear(sgd(0.1)), 2000)
    np.testing.assert_allclose(x**2 + y**2 - 0.1 * x * y, 1.9, rtol=1e-3)


def test_optimistic_descent_converges():
    """Extrapolating the last gradient damps the circle (Daskalakis et al. 2018, 1711.00141)."""
    tx = optax.optimistic_gradient_descent(0.1)
    x, y = orbit(bilinear(tx, simultaneous=True), 3000)
    assert np.hypot(x, y)[-1] < 1e-3


# --- critics --------------------------------------------------------------------------------------


def test_a_clipped_critic_stays_in_its_box():
    """Arjovsky et al. 2017, algorithm 1: w <- clip(w, -0.01, 0.01) after every critic step.

    Most weights end at the box's walls, as Gulrajani et al. 2017 found (arXiv:1704.00028).
    """
    clipped = optax.chain(optax.rmsprop(5e-4), penalties.clip_weights(0.01))
    game = gan(
        Net(mlp.Generator((2,), (8,)), floats(1, 4)),
        Net(mlp.Discriminator((8, 8)), floats(1, 2)),
        optax.rmsprop(5e-5),
        clipped,
        objective=objectives.wasserstein(),
        prior=latents.normal(4),
        n_critic=5,
    )
    states, _ = play(game, {"real": 3.0 + jax.random.normal(KEY, (64, 2))}, 200)
    leaves = jax.tree.leaves(states.params["discriminator"])
    weights = np.concatenate([np.abs(leaf).reshape(200, -1) for leaf in leaves], axis=1)
    assert weights.max() <= 0.01 + 1e-7
    assert np.mean(weights[-1] > 0.0099) > 0.5


def alone(game):
    """The same game in which the generator never moves."""
    return game._replace(moves=tuple(m for m in game.moves if m.player == "discriminator"))


TWOS = {"real": jnp.full((1, 1), 2.0)}  # the data is a Dirac measure at 2, the generator's at 1


def test_a_clipped_linear_critics_loss_is_the_wasserstein_distance():
    """W1 is the supremum over 1-Lipschitz D of E D(x) - E D(y), here |2 - 1|."""
    critic = optax.chain(sgd(0.1), penalties.clip_weights(1.0))
    game = dirac(objectives.wasserstein())
    game = game._replace(
        players={**game.players, "discriminator": Player(("discriminator",), critic)}
    )
    _, metrics = play(alone(game), TWOS, 100)
    np.testing.assert_allclose(metrics["discriminator"]["loss"][-1], -1.0, rtol=1e-6)


@pytest.mark.parametrize("weight", [1.0, 10.0])
def test_the_gradient_penalty_lets_a_critics_slope_exceed_one(weight):
    """The maximum of psi W - lambda (|psi| - 1)^2 is at psi = 1 + W / (2 lambda), with W = 1."""
    penalty = Penalties(gradient_penalty=weight)
    game = alone(dirac(objectives.wasserstein(), 0.02, penalties=penalty))
    psi = last(play(game, TWOS, 1000)[0]).params["discriminator"]["psi"]
    np.testing.assert_allclose(psi, 1.0 + 1.0 / (2.0 * weight), rtol=1e-5)


@pytest.mark.parametrize("penalty", ["r1", "r2"])
def test_a_zero_centred_penalty_bounds_the_critics_slope(penalty):
    """The maximum of psi W - gamma/2 psi^2 is at psi = W / gamma, with W = 1."""
    game = alone(dirac(objectives.wasserstein(), penalties=Penalties(**{penalty: 4.0})))
    psi = last(play(game, TWOS, 200)[0]).params["discriminator"]["psi"]
    np.testing.assert_allclose(psi, 0.25, rtol=1e-5)


# --- eight Gaussians on a ring (Metz et al. 2017, arXiv:1611.02163) -------------------------------


def ring8(objective, r1=0.0):
    """Two small perceptrons on the ring; Adam 2e-3 (0.5, 0.999), averaged generator (0.99)."""
    return gan(
        Net(mlp.Generator((2,), (64, 64), out=lambda x: x), floats(1, 8)),
        Net(mlp.Discriminator((64, 64)), floats(1, 2)),
        optax.adam(2e-3, 0.5, 0.999),
        optax.adam(2e-3, 0.5, 0.999),
        objective=objective,
        prior=latents.normal(8),
        ema=0.99,
        penalties=Penalties(r1=r1),
    )


def covered(game, seed, rounds=1500, batch_size=256):
    """How many of the eight modes 2500 samples of the averaged generator reach."""
    source, key = open_source("toy/ring8", seed=seed), jax.random.key(seed)
    real = source.records.take(np.arange(rounds * batch_size))["x"]

    def one(state, x):
        return gan_jax.step(game, state, {"real": x}, key)[0], None

    train = jax.jit(lambda state, real: jax.lax.scan(one, state, real)[0])
    state = train(gan_jax.init(game, key), real.reshape(rounds, batch_size, 2))
    z = latents.normal(8)(gan_jax.fold(key, "samples"), jnp.arange(2500))
    points, _ = game.nets["generator"](state.ema["generator"], z, train=False)
    return mode_coverage(np.asarray(points), *modes("toy/ring8"))["modes"]


@pytest.mark.parametrize(
    "objective",
    [
        objectives.minimax(),
        objectives.non_saturating(),
        objectives.least_squares(),
        objectives.hinge(),
        objectives.relativistic(),
    ],
    ids=["minimax", "non_saturating", "least_squares", "hinge", "relativistic"],
)
def test_with_r1_every_objective_covers_the_ring(objective):
    """All 8 modes after 1500 rounds. Measured 2026-11-23: with each of the seeds 0, 1, 2, 3."""
    assert covered(ring8(objective, r1=1.0), seed=0) == 8.0


def test_without_r1_least_squares_misses_modes():
    """Measured 2026-11-23, modes covered after 1500 rounds with the seeds 0, 1, 2, 3.

    Least squares 5, 6, 5, 6; the others reach all 8 with some seeds: minimax 8, 8, 8, 7,
    non-saturating 6, 6, 6, 8, hinge 6, 8, 8, 6, relativistic 6, 5, 8, 6.
    """
    assert covered(ring8(objectives.least_squares()), seed=0) < 8.0
