from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax import penalties

KEY = jax.random.key(0)
X = jax.random.normal(KEY, (4, 3, 2, 2))  # [b h w c]
W = jax.random.normal(jax.random.key(1), (3, 2, 2))


def quadratic(x):
    """D(x) = 1/2 |x|^2, whose slope is x."""
    return 0.5 * jnp.sum(jnp.square(x), axis=(1, 2, 3)), None


def linear(x):
    return jnp.einsum("bhwc,hwc->b", x, W), None


def test_the_squared_slope_is_summed_over_pixels_for_each_sample():
    logits, squares, _ = penalties.squared_gradient_norm(quadratic, X)
    np.testing.assert_allclose(squares, np.sum(np.square(X), axis=(1, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(logits, quadratic(X)[0], rtol=1e-6)


def test_the_squared_slope_grows_with_the_number_of_pixels():
    def total(x):
        return jnp.sum(x, axis=(1, 2, 3)), None

    for side in (4, 8):  # a mean over pixels would give 1 at every size
        _, squares, _ = penalties.squared_gradient_norm(total, jnp.ones((2, side, side, 3)))
        np.testing.assert_allclose(squares, 3.0 * side**2)


def test_the_squared_slope_takes_vectors_and_hands_on_what_the_discriminator_returns():
    def judge(x):
        return jnp.sin(x[:, 0]) * x[:, 1], {"seen": jnp.mean(x)}

    x = X[:, :, 0, 0]
    logits, squares, aux = penalties.squared_gradient_norm(judge, x)
    wanted = (jnp.cos(x[:, 0]) * x[:, 1]) ** 2 + jnp.sin(x[:, 0]) ** 2
    assert logits.shape == squares.shape == (4,)
    np.testing.assert_allclose(squares, wanted, rtol=1e-5)
    np.testing.assert_allclose(aux["seen"], x.mean())


def test_a_patch_discriminators_slope_is_that_of_the_sum_of_its_logits():
    def patches(x):
        return jnp.stack([x[..., 0], 2.0 * x[..., 0]], axis=-1).sum(axis=-1), None  # [b h w]

    logits, squares, _ = penalties.squared_gradient_norm(patches, X)
    assert logits.shape == (4, 3, 2)
    np.testing.assert_allclose(squares, 9.0 * 3 * 2)


def test_r1s_gradient_in_the_parameters_is_second_order():
    """Of R1 = gamma/2 mean |psi x|^2 for D = psi/2 |x|^2 it is gamma psi mean |x|^2."""
    gamma, psi = 10.0, 0.7

    def r1(psi):
        _, squares, _ = penalties.squared_gradient_norm(lambda x: (psi * quadratic(x)[0], None), X)
        return 0.5 * gamma * jnp.mean(squares)

    wanted = gamma * psi * np.mean(np.sum(np.square(X), axis=(1, 2, 3)))
    np.testing.assert_allclose(jax.grad(r1)(psi), wanted, rtol=1e-5)


def test_differences_are_the_squared_slope_along_the_noise():
    """Of a quadratic D up to the step times half the noise's square length."""
    noise, step = jax.random.normal(jax.random.key(2), X.shape), 1e-3
    logits, squares, _ = penalties.squared_difference(quadratic, X, noise, step)
    along = np.sum(X * noise, axis=(1, 2, 3)) + 0.5 * step * np.sum(noise**2, axis=(1, 2, 3))
    np.testing.assert_allclose(squares, along**2, rtol=2e-2, atol=1e-3)
    np.testing.assert_allclose(logits, quadratic(X)[0], rtol=1e-6)


def test_differences_are_the_exact_penalty_in_the_mean():
    noise = jax.random.normal(jax.random.key(3), (20_000, 3, 2, 2))
    x = jnp.broadcast_to(X[:1], noise.shape)
    _, squares, _ = penalties.squared_difference(linear, x, noise, 0.1)
    np.testing.assert_allclose(squares.mean(), jnp.sum(W**2), rtol=0.03)


def test_differences_of_patches_are_those_of_the_sum_of_their_logits():
    def patches(x):
        return x[..., 0] + x[..., 1], None  # [b h w]

    noise = jax.random.normal(jax.random.key(2), X.shape)
    _, squares, _ = penalties.squared_difference(patches, X, noise, 0.5)
    np.testing.assert_allclose(squares, noise.sum(axis=(1, 2, 3)) ** 2, rtol=1e-4)


@pytest.mark.parametrize("mix", [0.0, 0.3, 1.0])
def test_the_gradient_penalty_of_a_linear_critic_is_the_same_everywhere(mix):
    values = penalties.gradient_penalty(linear, X, X[::-1], jnp.full(4, mix))
    norm = np.sqrt(np.sum(np.square(W)))
    np.testing.assert_allclose(values, np.full(4, (norm - 1.0) ** 2), rtol=1e-5)


def test_the_gradient_penalty_is_zero_for_a_slope_of_one():
    unit = W / jnp.linalg.norm(W)
    values = penalties.gradient_penalty(
        lambda x: (jnp.einsum("bhwc,hwc->b", x, unit), None), X, -X, jnp.full(4, 0.5)
    )
    np.testing.assert_allclose(values, 0.0, atol=1e-10)


def test_each_sample_has_its_own_point_between_real_and_fake():
    """The slope of 1/2 |x|^2 is x, so the penalty tells where it was taken."""
    mix = jnp.array([0.0, 0.25, 0.5, 1.0])
    real, fake = X, X[::-1] + 1.0
    between = (1 - mix).reshape(4, 1, 1, 1) * real + mix.reshape(4, 1, 1, 1) * fake
    wanted = (np.sqrt(np.sum(np.square(between), axis=(1, 2, 3))) - 1.0) ** 2
    values = penalties.gradient_penalty(quadratic, real, fake, mix)
    np.testing.assert_allclose(values, wanted, rtol=1e-5)


def test_the_gradient_penalty_of_a_flat_critic_has_a_finite_gradient():
    def penalty(psi):
        flat = lambda x: (psi * jnp.sum(x, axis=1), None)  # noqa: E731
        return jnp.mean(penalties.gradient_penalty(flat, jnp.ones((2, 3)), -jnp.ones((2, 3)), MIX))

    np.testing.assert_allclose(penalty(0.0), 1.0, rtol=1e-5)
    assert np.isfinite(jax.grad(penalty)(0.0))


MIX = jnp.array([0.1, 0.9])


def clipped(tx, params, grads) -> Any:
    updates, _ = tx.update(grads, tx.init(params), params)
    return optax.apply_updates(params, updates)


def test_clipping_puts_every_parameter_into_the_box():
    params = {"a": jnp.array([-0.5, 0.0, 0.5]), "b": {"c": jnp.array([[0.009, 0.011]])}}
    grads = jax.tree.map(lambda p: jnp.full_like(p, 0.001), params)
    new = clipped(optax.chain(optax.sgd(1.0), penalties.clip_weights(0.01)), params, grads)
    np.testing.assert_allclose(new["a"], [-0.01, -0.001, 0.01], atol=1e-7)
    np.testing.assert_allclose(new["b"]["c"], [[0.008, 0.01]], atol=1e-7)


def test_clipping_leaves_a_step_inside_the_box_alone():
    params, grads = jnp.array([0.1, -0.2]), jnp.array([1.0, -3.0])
    tx = optax.adam(1e-2)
    box = optax.chain(tx, penalties.clip_weights(1.0))
    np.testing.assert_allclose(clipped(box, params, grads), clipped(tx, params, grads), rtol=1e-6)


def test_clipping_without_the_parameters_says_what_is_missing():
    tx = penalties.clip_weights(0.01)
    with pytest.raises(ValueError, match="params"):
        tx.update(jnp.ones(2), tx.init(jnp.ones(2)))
