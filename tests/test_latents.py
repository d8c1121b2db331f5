import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import latents

KEY = jax.random.key(0)
PRIORS = {"normal": latents.normal, "uniform": latents.uniform}
each = pytest.mark.parametrize("prior", PRIORS.values(), ids=PRIORS.keys())


@each
def test_an_examples_latent_does_not_depend_on_how_the_batch_is_split(prior):
    whole = prior(5)(KEY, jnp.arange(8))
    for devices in (2, 4, 8):
        shares = jnp.arange(8).reshape(devices, -1)
        parts = jnp.concatenate([prior(5)(KEY, share) for share in shares])
        np.testing.assert_array_equal(parts, whole)
        mapped = jax.vmap(lambda share: prior(5)(KEY, share))(shares).reshape(8, 5)
        np.testing.assert_array_equal(mapped, whole)


@each
def test_examples_and_keys_differ(prior):
    z = prior(5)(KEY, jnp.arange(64))
    other = prior(5)(jax.random.key(1), jnp.arange(64))
    assert z.shape == (64, 5) and z.dtype == jnp.float32
    assert len(np.unique(np.concatenate([z, other]), axis=0)) == 128


def test_uniform_fills_the_cube_from_minus_one_to_one():
    z = latents.uniform(4)(KEY, jnp.arange(5000))
    assert -1.0 <= z.min() < -0.999 and 0.999 < z.max() <= 1.0
    np.testing.assert_allclose(z.mean(0), np.zeros(4), atol=0.03)
    np.testing.assert_allclose(z.var(0), np.full(4, 1.0 / 3.0), atol=0.02)


def test_normal_is_standard():
    z = latents.normal(4)(KEY, jnp.arange(5000))
    np.testing.assert_allclose(z.mean(0), np.zeros(4), atol=0.06)
    np.testing.assert_allclose(np.cov(z.T), np.eye(4), atol=0.08)


A, B = jax.random.normal(KEY, (2, 6, 16))
WALKS = {"lerp": latents.lerp, "slerp": latents.slerp}


@pytest.mark.parametrize("walk", WALKS.values(), ids=WALKS.keys())
def test_walks_start_and_end_at_their_ends(walk):
    np.testing.assert_allclose(walk(A, B, 0.0), A, atol=1e-6)
    np.testing.assert_allclose(walk(A, B, 1.0), B, atol=1e-5)


@pytest.mark.parametrize("walk", WALKS.values(), ids=WALKS.keys())
def test_walks_backwards_pass_the_same_points(walk):
    np.testing.assert_allclose(walk(A, B, 0.3), walk(B, A, 0.7), atol=1e-5)


@pytest.mark.parametrize("walk", WALKS.values(), ids=WALKS.keys())
def test_each_latent_may_have_its_own_time(walk):
    t = jnp.linspace(0.0, 1.0, 6)[:, None]
    rows = [walk(A[i], B[i], float(t[i, 0])) for i in range(6)]
    np.testing.assert_allclose(walk(A, B, t), jnp.stack(rows), atol=1e-6)


@pytest.mark.parametrize("walk", WALKS.values(), ids=WALKS.keys())
def test_frames_of_several_walks_share_their_times(walk):
    """[frames count z] with times [frames 1 1], as a film of many latents asks for."""
    t = jnp.linspace(0.0, 1.0, 3)[:, None, None]
    frames = walk(jnp.stack([A] * 3), jnp.stack([B] * 3), t)
    assert frames.shape == (3, 6, 16)
    np.testing.assert_allclose(frames[1], walk(A, B, 0.5), atol=1e-6)


def test_lerp_is_a_straight_line():
    np.testing.assert_allclose(latents.lerp(A, B, 0.25), 0.75 * A + 0.25 * B, atol=1e-6)


def unit(x):
    return x / jnp.linalg.norm(x, axis=-1, keepdims=True)


@pytest.mark.parametrize("t", [0.2, 0.5, 0.9])
def test_slerp_stays_on_the_sphere(t):
    found = jnp.linalg.norm(latents.slerp(unit(A), unit(B), t), axis=-1)
    np.testing.assert_allclose(found, np.ones(6), rtol=1e-5)


@pytest.mark.parametrize("t", [0.2, 0.5, 0.9])
def test_slerp_interpolates_lengths_in_a_line(t):
    found = jnp.linalg.norm(latents.slerp(A, B, t), axis=-1)
    lengths = jnp.linalg.norm(A, axis=-1), jnp.linalg.norm(B, axis=-1)
    np.testing.assert_allclose(found, (1 - t) * lengths[0] + t * lengths[1], rtol=1e-5)


@pytest.mark.parametrize("t", [0.25, 0.5, 0.75])
def test_slerp_follows_the_great_circle_at_constant_speed(t):
    middle = unit(latents.slerp(A, B, t))
    angle = jnp.arccos(jnp.sum(unit(A) * unit(B), axis=-1))
    from_a = jnp.arccos(jnp.sum(unit(A) * middle, axis=-1))
    to_b = jnp.arccos(jnp.sum(unit(B) * middle, axis=-1))
    np.testing.assert_allclose(from_a, t * angle, atol=1e-4)
    np.testing.assert_allclose(from_a + to_b, angle, atol=1e-4)  # in the plane of both


def test_slerp_of_a_quarter_circle():
    x, y = jnp.eye(2)
    np.testing.assert_allclose(latents.slerp(x, y, 0.5), jnp.full(2, jnp.sqrt(0.5)), rtol=1e-6)


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_slerp_between_parallel_latents_is_finite_and_straight(scale):
    np.testing.assert_allclose(
        latents.slerp(A, scale * A, 0.5), 0.5 * (1.0 + scale) * A, rtol=1e-3, atol=1e-5
    )
