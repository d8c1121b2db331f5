"""The benchmark's twins do the project's arithmetic; its counts and its table say what they say."""

import dataclasses
import functools
import re
import types

import benchmark
import jax
import numpy as np
import pytest
from benchmarks import cases, hlo, measure, table
from flax.traverse_util import flatten_dict

from gan_jax import game, latents
from gan_jax.build.data import to_real
from gan_jax.build.experiment import build
from gan_jax.errors import UserError
from gan_jax.networks import products
from gan_jax.networks.conv import conv
from gan_jax.networks.cpu import onednn

CPU_CONVOLUTIONS = True


def built_of(name, size, **sizes):
    played = cases.GAMES[name]
    experiment = played.experiment(size, **sizes)
    experiment = dataclasses.replace(experiment, sync_batch_norm=False)
    run = dataclasses.replace(experiment.run, devices=1)
    experiment = dataclasses.replace(experiment, run=run)
    return build(experiment), cases.batch_of(experiment, played.columns)


def in_order(net):
    """The paths of a network's parameters as its layers make them, which jit would sort."""
    found = []

    def note(key):
        variables = net.module.init(
            {name: key for name in ("params", "dropout", "noise")},
            *(jax.numpy.zeros(x.shape) for x in net.inputs),
        )
        found.extend(flatten_dict(variables["params"]))

    jax.eval_shape(note, jax.random.key(0))
    return found


@pytest.mark.parametrize("name", cases.GAMES)
def test_twins_have_as_many_parameters(name):
    pytest.importorskip("torch")
    from benchmarks.twins import TWINS

    size = 4
    built, _ = built_of(name, size)
    state = jax.eval_shape(lambda: game.init(built.game, built.key))
    for net, module in TWINS[name](size).networks.items():
        params = state.params[net] if net in state.params else state.stats[net]["params"]  # frozen
        ours = sum(leaf.size for leaf in jax.tree.leaves(params))
        assert ours == sum(p.numel() for p in module.parameters()), net


def fixed(*shape):
    """The same numbers for project and twin."""
    return np.random.default_rng(shape[0]).normal(size=shape).astype(np.float32)


def same_draws(monkeypatch):
    """Lets project and twin draw `fixed` latents and noise of penalties."""
    import torch
    from benchmarks.twins import common

    def normal(size):
        return lambda key, index: jax.numpy.asarray(fixed(len(index), size))

    def drawn(draw):
        return lambda key, index: jax.numpy.asarray(
            fixed(len(index), *jax.eval_shape(draw, key).shape)
        )

    monkeypatch.setattr(latents, "normal", normal)
    for module in ("gan", "text_to_image"):
        monkeypatch.setattr(f"gan_jax.build.{module}.PRIORS", {"normal": normal})
    monkeypatch.setattr("gan_jax.games.gan.per_example", drawn)
    monkeypatch.setattr(common, "draw", lambda *shape: torch.from_numpy(fixed(*shape)))


def as_torch(leaf, owner, shape):
    """A parameter of the project in the layout of the twin's."""
    import torch

    leaf = np.asarray(leaf)
    if leaf.ndim == 4:
        leaf = leaf.transpose(3, 2, 0, 1)
    elif leaf.ndim == 2 and len(shape) == 4 and "Transpose" in type(owner).__name__:
        leaf = leaf.reshape(len(leaf), *shape[2:], shape[1]).transpose(0, 3, 1, 2)
    elif leaf.ndim == 2 and len(shape) == 4:
        leaf = leaf.reshape(*shape[2:], shape[1], shape[0]).transpose(3, 2, 0, 1)
    elif leaf.ndim == 2:
        leaf = leaf.T
    return torch.from_numpy(np.array(leaf)).reshape(shape)


def copy(net, params, module):
    """Gives a twin the project's parameters, layer by layer in the order of making."""
    import torch

    flat = flatten_dict(params)
    theirs = [
        (owner, name, p)
        for owner in module.modules()
        for name, p in owner.named_parameters(recurse=False)
    ]
    ours = in_order(net)
    kinds = {"kernel": "weight", "scale": "weight", "bias": "bias", "gamma": "gamma"}
    taken = set()
    for owner, name, parameter in theirs:
        path = next(p for p in ours if p not in taken and kinds[p[-1]] == name)
        taken.add(path)
        with torch.no_grad():
            parameter.copy_(as_torch(flat[path], owner, tuple(parameter.shape)))
    assert len(taken) == len(ours)


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


def test_perceptrons_need_the_products_counted_by_hand():
    case = cases.CASES["gan_mlp"]
    timed = case.make(64)
    assert timed.flops / case.count(64) == pytest.approx(1.0, abs=0.005)
    timed.play()


def test_products_in_a_loop_count_as_often_as_it_runs():
    def turns(x, y):
        return jax.lax.fori_loop(0, 7, lambda _, x: jax.numpy.tanh(x @ y), x) @ y.T

    x, y = jax.numpy.ones((3, 4)), jax.numpy.ones((4, 4))
    text = jax.jit(turns).lower(x, y).compile().as_text()
    assert hlo.matrix_products(text) == 8 * 2 * 3 * 4 * 4


@pytest.mark.skipif(not onednn.is_available(), reason="this jaxlib has no oneDNN")
def test_products_of_the_library_count():
    def turned(x, y):
        return products.product(x, y, transpose_a=True)

    x, y = jax.numpy.ones((2, 300, 400)), jax.numpy.ones((2, 300, 200))
    with onednn.enabled():
        text = jax.jit(turned).lower(x, y).compile().as_text()
    assert " dot(" not in text
    assert hlo.matrix_products(text) == 2 * 2 * 400 * 300 * 200


@pytest.mark.skipif(not onednn.is_available(), reason="this jaxlib has no oneDNN")
def test_convolutions_of_the_library_count():
    x, kernel = jax.numpy.ones((4, 33, 33, 8)), jax.numpy.ones((3, 3, 8, 16))
    with onednn.enabled():
        text = jax.jit(lambda x, k: conv(x, k, stride=2)).lower(x, kernel).compile().as_text()
    assert " dot(" not in text
    assert hlo.matrix_products(text) == 2 * 4 * 17 * 17 * 9 * 8 * 16


def test_sides_take_turns_and_the_first_two_are_not_timed(monkeypatch):
    monkeypatch.setattr(measure, "TURN", 0.0)
    order = []
    sides = ("project", "eager", "compiled")
    plays = {side: functools.partial(order.append, side) for side in sides}
    wall, cpu = measure.alternate(plays, rounds=3, limit=60.0)
    assert order == [*sides] * 5
    assert [len(took) for took in (*wall.values(), *cpu.values())] == [3] * 6
    wall, _ = measure.alternate(dict.fromkeys(sides, lambda: None), rounds=9, limit=0.0)
    assert [len(took) for took in wall.values()] == [3] * 3


def test_short_rounds_fill_a_turn_that_opens_with_one_not_timed(monkeypatch):
    """By a clock that only plays move."""
    monkeypatch.setattr(measure, "TURN", 0.1)
    order, now = [], [0.0]
    clock = types.SimpleNamespace(perf_counter=lambda: now[0], process_time=lambda: now[0])
    monkeypatch.setattr(measure, "time", clock)

    def play(side, seconds):
        order.append(side)
        now[0] += seconds

    plays = {"project": lambda: play("short", 0.02), "eager": lambda: play("long", 0.2)}
    wall, _ = measure.alternate(plays, rounds=3, limit=60.0)
    timed = "".join(side[0] for side in order).split("l")[2:-1]
    assert len(timed) == 3 and all(len(turn) == 6 for turn in timed), order
    assert order.count("long") == 5 and wall["project"] == pytest.approx([0.02] * 3)


def test_a_case_is_measured_by_its_sides():
    facts = measure.together("gan_mlp", 8, ("project", "remat"), 3, 0.0)
    assert facts["seconds"]["remat"] == np.median(facts["turns"]["remat"])
    assert facts["images_per_second"] == pytest.approx(8 / facts["seconds"]["project"])
    assert facts["flops_over_hand_count"] == pytest.approx(1.0, abs=0.005)
    with pytest.raises(UserError, match="'features' does not train"):
        measure.make("features", 1, "remat")


def test_the_page_says_what_was_measured():
    sides = ("project", "eager", "compiled")
    case = {
        "batch_size": 64,
        "images_per_second": 128.0,
        "seconds": dict(zip(sides, (0.5, 0.75, 0.6), strict=True)),
        "turns": {"project": [0.4, 0.5, 0.6], "eager": [0.75] * 3, "compiled": [0.6] * 3},
        "first_seconds": {
            **dict(zip(sides, (9.0, 1.0, 30.0), strict=True)),
            "project with its cache": 2.0,
        },
        "memory_mib": dict(zip(sides, (700.0, 500.0, 400.0), strict=True)),
        "flops": 1e10,
        "flops_over_hand_count": 0.59,
    }
    bare = {**case, "flops": None, "flops_over_hand_count": None}
    found = {
        "machine": table.machine(),
        "cases": {"dcgan": case, "other": bare},
        "remat": {
            "dcgan": {"memory_mib": {"project": 700.0, "remat": 500.0}, "times_as_long": 1.25}
        },
        "pipeline": {"avatars": {"images_per_second": 1280.0, "case": "dcgan"}},
        "landscape_points_per_second": 20.0,
        "matrix_gflops": 100.0,
    }
    page = table.markdown(found)
    speed = "| 64 | 2 | 1.33 | 1.67 | 1.20 | 1.00 to 1.50 |"
    assert f"| dcgan {speed} 20 | 0.59 |" in page
    assert f"| other {speed} — | — |" in page
    assert "| dcgan | 9.0 | 2.0 | 1.0 | 30.0 |" in page
    assert "| dcgan | 700 | 500 | 400 |" in page
    assert "| dcgan | 700 | 500 | 1.25 |" in page
    assert "one large product (100 GFLOP/s here)" in page
    assert "| input pipeline, avatars: images | 1280 | 10.0 (dcgan) |" in page
    assert found["machine"]["processor"] in page and found["machine"]["date"] in page


def test_an_unknown_case_is_answered_with_the_nearest(monkeypatch):
    monkeypatch.setattr("sys.argv", ["benchmark.py", "dcgn"])
    with pytest.raises(UserError, match=r"'dcgn'; did you mean 'c?dcgan'"):
        benchmark.main()
