import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import objectives

ALL = {
    "minimax": objectives.minimax(),
    "non_saturating": objectives.non_saturating(),
    "least_squares": objectives.least_squares(),
    "hinge": objectives.hinge(),
    "wasserstein": objectives.wasserstein(),
    "relativistic": objectives.relativistic(),
}
REAL = jnp.array([-30.0, -1.0, 0.0, 0.3, 2.0, 30.0])
FAKE = jnp.array([30.0, 0.5, 0.0, -0.7, -2.0, -30.0])

each = pytest.mark.parametrize("objective", ALL.values(), ids=ALL.keys())


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-np.asarray(x, np.float64)))


def log_sigmoid(x):
    return -np.logaddexp(0.0, -np.asarray(x, np.float64))


def generator_slope(objective, fake, real=0.0):
    return jax.grad(objective.generator, argnums=1)(jnp.float32(real), jnp.float32(fake))


def close(found, wanted):
    np.testing.assert_allclose(found, np.asarray(wanted), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["minimax", "non_saturating"])
def test_the_log_discriminator_maximises_log_d_real_plus_log_one_minus_d_fake(name):
    close(ALL[name].discriminator(REAL, FAKE), -(log_sigmoid(REAL) + log_sigmoid(-FAKE)))


def test_the_minimax_generator_descends_log_one_minus_d():
    close(ALL["minimax"].generator(REAL, FAKE), log_sigmoid(-FAKE))


def test_minimax_is_zero_sum_in_the_fakes():
    total = ALL["minimax"].generator(REAL, FAKE) + ALL["minimax"].discriminator(REAL, FAKE)
    close(total, -log_sigmoid(REAL))


def test_the_non_saturating_generator_ascends_log_d():
    close(ALL["non_saturating"].generator(REAL, FAKE), -log_sigmoid(FAKE))


def test_least_squares_has_targets_one_and_zero_and_no_half():
    close(ALL["least_squares"].discriminator(REAL, FAKE), (REAL - 1.0) ** 2 + FAKE**2)
    close(ALL["least_squares"].generator(REAL, FAKE), (FAKE - 1.0) ** 2)


def test_hinge_stops_at_the_margin_and_its_generator_does_not():
    wanted = np.maximum(0.0, 1.0 - REAL) + np.maximum(0.0, 1.0 + FAKE)
    close(ALL["hinge"].discriminator(REAL, FAKE), wanted)
    close(ALL["hinge"].generator(REAL, FAKE), -FAKE)


def test_wasserstein_is_the_difference_of_the_critics_values():
    close(ALL["wasserstein"].discriminator(REAL, FAKE), FAKE - REAL)
    close(ALL["wasserstein"].generator(REAL, FAKE), -FAKE)


def test_relativistic_players_judge_pairs():
    close(ALL["relativistic"].discriminator(REAL, FAKE), -log_sigmoid(REAL - FAKE))
    close(ALL["relativistic"].generator(REAL, FAKE), -log_sigmoid(FAKE - REAL))


@pytest.mark.parametrize("side", ["generator", "discriminator"])
def test_relativistic_losses_do_not_see_a_constant_added_to_all_logits(side):
    payoff = getattr(ALL["relativistic"], side)
    real, fake = jnp.array([0.5, -1.0]), jnp.array([2.0, 0.25])
    close(payoff(real + 3.0, fake + 3.0), payoff(real, fake))


def test_an_objective_blind_to_a_constant_has_no_threshold():
    """Where the losses leave the logits' zero undetermined, no logit divides real from fake."""
    for name in ("wasserstein", "relativistic"):
        assert ALL[name].threshold is None, name


@pytest.mark.parametrize("name", ["minimax", "non_saturating", "least_squares", "hinge"])
def test_the_threshold_is_the_logit_that_costs_a_discriminator_the_same_either_way(name):
    objective, zero = ALL[name], jnp.zeros(())
    at = jnp.float32(objective.threshold)

    def slope(argument):
        return jax.grad(lambda d: objective.discriminator(*((d, zero)[::argument])))(at)

    close(slope(1), -slope(-1))


@pytest.mark.parametrize(
    ("name", "slope"),
    [
        ("minimax", lambda d: -sigmoid(d)),
        ("non_saturating", lambda d: -(1.0 - sigmoid(d))),
        ("least_squares", lambda d: 2.0 * (d - 1.0)),
        ("hinge", lambda d: -1.0),
        ("wasserstein", lambda d: -1.0),
        ("relativistic", lambda d: -(1.0 - sigmoid(d))),  # against a real logit of 0
    ],
)
@pytest.mark.parametrize("logit", [-10.0, 0.0, 0.5, 10.0])
def test_the_generators_slope_in_the_fake_logit(name, slope, logit):
    close(generator_slope(ALL[name], logit), slope(logit))


@each
def test_a_generator_wants_rejected_fakes_judged_higher(objective):
    assert generator_slope(objective, -1.0) < 0.0


@each
def test_a_discriminator_wants_reals_higher_and_fakes_lower(objective):
    real, fake = jax.grad(objective.discriminator, (0, 1))(jnp.zeros(()), jnp.zeros(()))
    assert real < 0.0 <= fake
    assert objective.discriminator(jnp.ones(()), -jnp.ones(())) < objective.discriminator(
        -jnp.ones(()), jnp.ones(())
    )


@each
@pytest.mark.parametrize("shape", [(5,), (5, 3, 2)], ids=["logits", "patches"])
@pytest.mark.parametrize("side", ["generator", "discriminator"])
def test_payoffs_are_one_value_for_each_logit(objective, shape, side):
    keys = jax.random.split(jax.random.key(0))
    real, fake = (jax.random.normal(key, shape) for key in keys)
    payoff = getattr(objective, side)
    assert payoff(real, fake).shape == shape
    close(payoff(real, fake)[1], payoff(real[1], fake[1]))  # a sample's value is its own


@each
@pytest.mark.parametrize("side", ["generator", "discriminator"])
def test_payoffs_and_their_slopes_are_finite_at_extreme_logits(objective, side):
    payoff = getattr(objective, side)
    for real, fake in ((1e4, -1e4), (-1e4, 1e4)):
        value, slopes = jax.value_and_grad(payoff, (0, 1))(jnp.float32(real), jnp.float32(fake))
        assert np.isfinite([value, *slopes]).all()


@each
def test_only_paired_generators_read_the_real_logits(objective):
    slope = jax.grad(objective.generator)(jnp.float32(0.3), jnp.float32(-0.2))
    assert (slope != 0.0) == objective.paired
