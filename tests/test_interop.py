"""Official weights: the same pictures as PyTorch's modules, bit-equal both ways, nothing skipped."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.config import Experiment, Player
from gan_jax.interop import dcgan, translators
from gan_jax.interop.names import from_torch, to_torch
from gan_jax.training import build

PAIRED = {"patches_paired": True}


@functools.cache
def models():
    pytest.importorskip("torch")
    import torch_models

    return torch_models


def module_of(portrait, side):
    channels = portrait.facts["data.channels"]
    experiment = Experiment("x", **{portrait.role: Player(network=portrait.network)})
    return build.make_network(experiment, portrait.role, (side, side, channels))


def look(name, state):
    if name.startswith("dcgan"):
        return dcgan.portrait(state, "a.pth")
    return translators.portrait(state, "a.pth", paired=PAIRED.get(name, False))


def ours(name, state, x):
    """The portrait, our variables and our output for PyTorch's input."""
    portrait = look(name, state)
    pictures = x[:, :, 0, 0] if name == "dcgan_g" else x.transpose(0, 2, 3, 1)
    given = (jnp.asarray(pictures),)
    if PAIRED.get(name):
        before, after = jnp.split(jnp.asarray(pictures), 2, axis=-1)
        given = (after, before)
    module = module_of(
        portrait, x.shape[2] if x.shape[2] > 1 else portrait.facts["data.resolution"]
    )
    like = jax.eval_shape(lambda: module.init(jax.random.key(0), *given, train=False))
    variables = from_torch(portrait.table, state, like, "a.pth")
    assert jax.tree.structure(variables) == jax.tree.structure(dict(like))
    out = jax.jit(lambda v: module.apply(v, *given, train=False))(variables)
    return portrait, variables, np.asarray(out)


@pytest.mark.parametrize(
    "name",
    [
        *["resnet", "resnet_batch", "unet", "unet_instance", "patches"],
        "patches_paired",
        "dcgan_g",
        "dcgan_d",
    ],
)
def test_pictures_are_those_of_torch(name):
    torch, m = pytest.importorskip("torch"), models()
    module = m.numbers(m.CASES[name]())
    x = m.inputs(name)
    with torch.no_grad():
        expected = module(torch.tensor(x)).numpy()
    state = {key: value.numpy() for key, value in module.state_dict().items()}
    portrait, variables, out = ours(name, state, x)
    expected = expected.transpose(0, 2, 3, 1) if out.ndim == 4 else expected.reshape(out.shape)
    assert expected.std() > 0.05
    np.testing.assert_allclose(out, expected, atol=1e-4)
    again = to_torch(portrait.table, variables)
    assert {key for key in state if not key.endswith("num_batches_tracked")} == again.keys()
    for key, value in again.items():
        np.testing.assert_array_equal(value, state[key])
