"""Layers that several networks share."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.networks import dcgan
from gan_jax.networks.layers import SPECTRAL, Sliced, SpectralConv, SpectralDense

KEY = jax.random.key(0)
LAYERS = {
    "dense": (SpectralDense(6, use_bias=False), (3, 5)),
    "conv": (SpectralConv(6, 3, use_bias=False), (2, 5, 5, 4)),
}


def opened(name):
    module, shape = LAYERS[name]
    x = jax.random.normal(KEY, shape)
    return module, x, module.init(jax.random.key(1), x)


def largest(variables):
    kernel = np.asarray(variables["params"]["kernel"])
    return np.linalg.svd(kernel.reshape(-1, kernel.shape[-1]), compute_uv=False)[0]


@pytest.mark.parametrize("name", LAYERS)
def test_sigma_becomes_the_largest_singular_value(name):
    """Miyato et al. 2018, algorithm 1."""
    module, x, variables = opened(name)
    passes = jax.jit(lambda v: {**v, **module.apply(v, x, mutable=[SPECTRAL])[1]})
    for _ in range(60):
        variables = passes(variables)
    plain = {"params": {"kernel": variables["params"]["kernel"] / largest(variables)}}
    unnormed = module.apply(plain | {SPECTRAL: variables[SPECTRAL]}, x)
    np.testing.assert_allclose(module.apply(variables, x), unnormed, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", LAYERS)
def test_u_moves_in_training_passes_only(name):
    module, x, variables = opened(name)
    moved = module.apply(variables, x, mutable=[SPECTRAL])[1][SPECTRAL]["u"]
    assert not np.allclose(moved, variables[SPECTRAL]["u"])
    once, again = module.apply(variables, x), module.apply(variables, x)
    np.testing.assert_array_equal(once, again)


def test_u_and_v_are_constants_to_the_derivative():
    """Equation 12: the derivative of W / (v W u) at fixed u and v, against finite differences."""
    module, x, variables = opened("dense")
    kernel = np.asarray(variables["params"]["kernel"], np.float64)
    u = np.asarray(variables[SPECTRAL]["u"], np.float64)
    v = kernel @ u / np.linalg.norm(kernel @ u)
    u = v @ kernel / np.linalg.norm(v @ kernel)
    step = np.random.default_rng(0).normal(size=kernel.shape)

    def value(kernel):
        return np.sum((np.asarray(x, np.float64) @ kernel / (v @ kernel @ u)) ** 2)

    def loss(params):
        return jnp.sum(module.apply({**variables, "params": params}, x) ** 2)

    slope = np.sum(np.asarray(jax.grad(loss)(variables["params"])["kernel"]) * step)
    numeric = (value(kernel + 1e-6 * step) - value(kernel - 1e-6 * step)) / 2e-6
    np.testing.assert_allclose(slope, numeric, rtol=1e-3)


def test_batch_norm_keeps_a_small_deviation_beside_a_large_mean():
    """Mean 100, deviation 0.1: E[x^2] - E[x]^2 in float32 is off by a tenth (torch by 0.001)."""
    x = 100.0 + 0.1 * np.random.default_rng(0).normal(size=(4096, 8)).astype(np.float32)
    norm = dcgan.batch_norm()(use_running_average=False, scale_init=jax.nn.initializers.ones)
    out, _ = norm.apply(norm.init(KEY, x), x, mutable=["batch_stats"])
    exact = x.astype(np.float64)
    expected = (exact - exact.mean(0)) / np.sqrt(exact.var(0) + norm.epsilon)
    np.testing.assert_allclose(out, expected, atol=1e-3)


# The last layer of a slicing adversarial network (Takida et al. 2024, arXiv:2301.12811)


def sliced():
    x = jax.random.normal(jax.random.key(0), (4, 8))
    return x, Sliced().init(jax.random.key(1), x)["params"]


def test_both_logits_are_the_scaled_product_with_a_unit_vector():
    x, params = sliced()
    params = {**params, "scale": jnp.array(3.0), "direction": 5.0 * params["direction"]}
    unit = params["direction"] / jnp.linalg.norm(params["direction"])
    for logits in Sliced().apply({"params": params}, x):
        np.testing.assert_allclose(logits, 3.0 * x @ unit, rtol=1e-5)


def test_the_objective_moves_all_but_the_direction_which_moves_alone():
    x, params = sliced()

    def total(which):
        def value(params, x):
            return jnp.sum(jnp.sin(Sliced().apply({"params": params}, x)[which]))

        return jax.grad(value, (0, 1))(params, x)

    moved = [
        {name: bool((g != 0).any()) for name, g in total(which)[0].items()} for which in (0, 1)
    ]
    assert moved[0] == {"bias": True, "scale": True, "direction": False}
    assert moved[1] == {"bias": False, "scale": False, "direction": True}
    assert (total(0)[1] != 0).all() and (total(1)[1] == 0).all(), "and the layers below"
