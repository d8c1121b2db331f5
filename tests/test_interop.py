"""Official weights: PyTorch's pictures, the same bits back, nothing skipped and nothing run."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch_numbers
from torch_numbers import PAIRED, inputs

from gan_jax.config import Experiment, Player, UserError
from gan_jax.interop import dcgan, stylegan2, translators
from gan_jax.interop.names import from_torch, to_torch
from gan_jax.training import build

with np.load(torch_numbers.RECORDED) as recorded:
    RECORDED = dict(recorded)
SHAPES = json.loads(RECORDED.pop("shapes").tobytes())
each = pytest.mark.parametrize("name", list(RECORDED))


def look(name, state):
    """The portrait that the right source takes of a state dict."""
    if name.startswith("style"):
        return stylegan2.portrait(state, "a.pth")
    if name.startswith("dcgan"):
        return dcgan.portrait(state, "a.pth")
    return translators.portrait(state, "a.pth", paired=name in PAIRED)


def given(name):
    """The inputs of a case as our networks take them."""
    first, *rest = map(jnp.asarray, inputs(name))
    if first.ndim == 2:
        return (first, *rest)
    if first.shape[2] == 1:
        return (first[:, :, 0, 0],)
    pictures = first.transpose(0, 2, 3, 1)
    return tuple(jnp.split(pictures, 2, axis=-1))[::-1] if name in PAIRED else (pictures,)


def imported(name, state):
    """The portrait, the module that its network is built to, and our variables."""
    portrait, x = look(name, state), given(name)
    side = x[0].shape[1] if x[0].ndim == 4 else portrait.facts["data.resolution"]
    shape = (side, side, portrait.facts["data.channels"])
    players = {portrait.role: Player(network=portrait.network)}
    experiment = Experiment("x", **players, sync_batch_norm=False)
    module = build.make_network(experiment, portrait.role, shape)
    like = jax.eval_shape(lambda: module.init(jax.random.key(0), *x, train=False))
    variables = from_torch(portrait.table, state, like, "a.pth")
    assert jax.tree.structure(variables) == jax.tree.structure(dict(like))
    return portrait, module, variables


def check(name, state, expected):
    portrait, module, variables = imported(name, state)
    x = given(name)
    out = np.asarray(jax.jit(lambda v: module.apply(v, *x, train=False))(variables))
    expected = expected.transpose(0, 2, 3, 1)[..., 0] if out.ndim == 3 else expected
    expected = expected.transpose(0, 2, 3, 1) if out.ndim == 4 else expected
    expected = expected.reshape(out.shape) if out.ndim == 1 else expected
    assert expected.std() > 0.05
    np.testing.assert_allclose(out[: len(expected)], expected, atol=1e-4)
    return to_torch(portrait.table, variables)


@each
def test_pictures_are_those_recorded_of_torch(name):
    state = torch_numbers.weights(SHAPES[name])
    again = check(name, state, RECORDED[name])
    for key, value in state.items():
        np.testing.assert_array_equal(again.pop(key), value, strict=True)
    assert all(key.endswith("resample_filter") for key in again)


@each
def test_live_torch_gives_what_is_recorded_and_loads_what_we_write(name):
    torch = pytest.importorskip("torch")
    import torch_models

    module = torch_models.numbers(torch_models.CASES[name]())
    fresh, recorded = torch_models.run(module, name), RECORDED[name]
    np.testing.assert_allclose(fresh[: len(recorded)], recorded, atol=1e-4)
    state = {key: value.numpy() for key, value in module.state_dict().items()}
    portrait, _, variables = imported(name, state)
    other = torch_models.CASES[name]().eval()
    ours = to_torch(portrait.table, variables)
    missing, unexpected = other.load_state_dict(
        {key: torch.tensor(value) for key, value in ours.items()}, strict=False
    )
    assert not unexpected and all(key.endswith("num_batches_tracked") for key in missing)
    np.testing.assert_array_equal(torch_models.run(other, name), torch_models.run(module, name))


@functools.cache
def state_of(name):
    return torch_numbers.weights(SHAPES[name])


def test_every_fault_of_a_file_is_listed():
    state = dict(state_of("resnet"))
    del state["model.4.weight"], state["model.10.conv_block.1.bias"]
    state["model.1.weight"] = np.zeros((4, 3, 5, 5), np.float32)
    state["model.99.weight"] = state["model.98.weight"] = np.zeros(1, np.float32)
    with pytest.raises(UserError) as caught:
        imported("resnet", state)
    text = str(caught.value)
    assert "missing model.4.weight, model.10.conv_block.1.bias" in text
    assert "unknown model.99.weight, model.98.weight" in text
    assert "model.1.weight of shape (4, 3, 5, 5) instead of (4, 3, 7, 7)" in text


def test_statistics_that_old_files_have_of_instance_norm_are_known():
    state = dict(state_of("resnet"))
    for kind in ("running_mean", "running_var", "num_batches_tracked"):
        state[f"model.2.{kind}"] = np.zeros(4, np.float32)
    imported("resnet", state)
    state["model.2.weight"] = np.ones(4, np.float32)  # a gain is read, and not by instance norm
    with pytest.raises(UserError, match=r"missing model\.2\.bias"):
        imported("resnet", state)


def test_another_filter_is_another_network():
    state = dict(state_of("style_g"))
    key = "synthesis.b8.conv0.resample_filter"
    imported("style_g", {**state, key: stylegan2.FILTER})
    with pytest.raises(UserError, match=f"{key} of other numbers"):
        imported("style_g", {**state, key: np.full((4, 4), 1 / 16)})


def test_a_file_of_something_else_says_what_it_has():
    for name in ("resnet", "dcgan_g", "style_g"):
        with pytest.raises(UserError, match=r"a\.pth has no .*; it has features\.0\.weight"):
            look(name, {"features.0.weight": np.zeros((1, 1, 1, 1), np.float32)})
