"""The fused layers of a feature network: their values and derivatives are those of plain layers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.networks.cpu import onednn
from gan_jax.networks.efficientnet import Depthwise, Pointwise

pytestmark = pytest.mark.skipif(not onednn.is_available(), reason="this jaxlib has no oneDNN")
CPU_CONVOLUTIONS = True


def normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def compare(module, variables, *inputs):
    """Values, and gradients in all arrays, to 1e-5 of the largest; and that the library is used."""

    def value(variables, *inputs):
        y = module.apply(variables, *inputs)
        return jnp.sum(jnp.sin(y)), y

    derive = jax.value_and_grad(value, argnums=range(1 + len(inputs)), has_aux=True)
    plain = jax.jit(derive)(variables, *inputs)
    with onednn.enabled():
        program = jax.jit(derive).lower(variables, *inputs).compile()
    assert "__onednn$" in program.as_text()
    for a, b in zip(*map(jax.tree.leaves, (program(variables, *inputs), plain)), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * max(1.0, np.abs(b).max()))


@pytest.mark.parametrize("clips", [True, False])
@pytest.mark.parametrize("skips", [True, False])
def test_a_product_with_bias_skip_and_clip(clips, skips):
    variables = {"params": {"kernel": 3.0 * normal(1, 8, 12), "bias": normal(2, 12)}}
    inputs = (normal(3, 2, 5, 5, 8), *([normal(4, 2, 5, 5, 12)] if skips else []))
    compare(Pointwise(12, clips), variables, *inputs)


@pytest.mark.parametrize(
    ("kernel", "stride", "side"), [(3, 1, 7), (3, 2, 8), (3, 2, 7), (5, 1, 9), (5, 2, 8), (5, 2, 9)]
)
def test_a_filter_per_channel_of_any_stride(kernel, stride, side):
    params = {"kernel": 2.0 * normal(1, kernel, kernel, 16), "bias": normal(2, 16)}
    compare(Depthwise(kernel, stride), {"params": params}, normal(3, 2, side, side, 16))
