"""Official weights: PyTorch's pictures, the same bits back, nothing skipped and nothing run."""

import functools
import hashlib
import json
import pickle
import sys
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import torch_numbers
from helpers.paths import ROOT
from helpers.torch_numbers import PAIRED, inputs
from helpers.torch_writer import (
    Call,
    Storage,
    Tensor,
    legacy_file,
    nested,
    persistent,
    plain_file,
    zip_file,
)

from gan_jax.build.networks import make_network
from gan_jax.commands import cli, import_weights, sample
from gan_jax.config import Experiment, Player
from gan_jax.errors import UserError
from gan_jax.interop import dcgan, stylegan2, translators
from gan_jax.interop.names import from_torch, to_torch
from gan_jax.torch_file import read_torch
from gan_jax.training import run_dir

with np.load(torch_numbers.RECORDED) as recorded:
    RECORDED = dict(recorded)
SHAPES = json.loads(RECORDED.pop("shapes").tobytes())
each = pytest.mark.parametrize("name", list(RECORDED))


def look(name, state):
    """The architecture that the right source takes of a state dict."""
    if name.startswith("style"):
        return stylegan2.identify(state, "a.pth")
    if name.startswith("dcgan"):
        return dcgan.identify(state, "a.pth")
    return translators.identify(state, "a.pth", paired=name in PAIRED)


def given(name):
    """The inputs of a case as our networks take them."""
    first, *rest = map(jnp.asarray, inputs(name))
    if first.ndim == 2:
        return (first, *rest)
    if first.shape[2] == 1:
        return (first[:, :, 0, 0],)
    pictures = first.transpose(0, 2, 3, 1)
    return tuple(jnp.split(pictures, 2, axis=-1))[::-1] if name in PAIRED else (pictures, *rest)


def imported(name, state):
    """The architecture, the module that its network is built to, and our variables."""
    architecture, x = look(name, state), given(name)
    side = x[0].shape[1] if x[0].ndim == 4 else architecture.overrides["data.resolution"]
    shape = (side, side, architecture.overrides["data.channels"])
    players = {architecture.role: Player(network=architecture.network)}
    experiment = Experiment("x", **players, sync_batch_norm=False)
    module = make_network(experiment, architecture.role, shape)
    like = jax.eval_shape(lambda: module.init(jax.random.key(0), *x, train=False))
    variables = from_torch(architecture.table, state, like, "a.pth")
    assert jax.tree.structure(variables) == jax.tree.structure(dict(like))
    return architecture, module, variables


def check(name, state, expected):
    architecture, module, variables = imported(name, state)
    x = given(name)
    out = np.asarray(jax.jit(lambda v: module.apply(v, *x, train=False))(variables))
    expected = expected.transpose(0, 2, 3, 1)[..., 0] if out.ndim == 3 else expected
    expected = expected.transpose(0, 2, 3, 1) if out.ndim == 4 else expected
    expected = expected.reshape(out.shape) if out.ndim == 1 else expected
    assert expected.std() > 0.05
    np.testing.assert_allclose(out[: len(expected)], expected, atol=1e-4)
    return to_torch(architecture.table, variables)


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
    from helpers import torch_models

    module = torch_models.numbers(torch_models.CASES[name]())
    fresh, recorded = torch_models.run(module, name), RECORDED[name]
    np.testing.assert_allclose(fresh[: len(recorded)], recorded, atol=1e-4)
    state = {key: value.numpy() for key, value in module.state_dict().items()}
    architecture, _, variables = imported(name, state)
    other = torch_models.CASES[name]().eval()
    ours = to_torch(architecture.table, variables)
    missing, unexpected = other.load_state_dict(
        {key: torch.tensor(value) for key, value in ours.items()}, strict=False
    )
    assert not unexpected and all(key.endswith("num_batches_tracked") for key in missing)
    np.testing.assert_array_equal(torch_models.run(other, name), torch_models.run(module, name))


def test_dropout_is_where_the_later_code_has_it():
    """From level 4 to that before the bottleneck: none of 5 levels, one of 6."""
    for name, noisy in (("unet_instance", False), ("unet", True)):
        _, module, variables = imported(name, state_of(name))
        x = given(name)

        @jax.jit
        def draw(seed, variables, module=module, x=x):
            streams = {"dropout": jax.random.key(seed)}
            return module.apply(variables, *x, train=False, rngs=streams)

        different = draw(0, variables) != draw(1, variables)
        assert bool(jnp.any(different)) == noisy


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
    with pytest.raises(UserError, match=f"{key} of other values"):
        imported("style_g", {**state, key: np.full((4, 4), 1 / 16)})


def test_a_file_of_something_else_says_what_it_has():
    for name in ("resnet", "dcgan_g", "style_g"):
        with pytest.raises(UserError, match=r"a\.pth has n.*; it has features\.0\.weight"):
            look(name, {"features.0.weight": np.zeros((1, 1, 1, 1), np.float32)})


# Files: what is read of them, and that nothing in them runs.


def style_file(path, scratch):
    nets = {"G_ema": "style_g", "G": "style_g", "D": "style_d"}
    tree = {name: nested(state_of(case), scratch) for name, case in nets.items()}
    easy = Call("dnnlib.util", "EasyDict")
    plain_file(path, {**tree, "training_set_kwargs": easy, "augment_pipe": None})


def test_a_pickle_of_modules_gives_their_state_dicts(tmp_path):
    style_file(tmp_path / "net.pkl", tmp_path / "scratch")
    found = stylegan2.read(tmp_path / "net.pkl")
    assert set(found) == {"G_ema", "G", "D"}
    for name, case in (("G_ema", "style_g"), ("D", "style_d")):
        assert found[name].keys() == state_of(case).keys()
        for key, value in state_of(case).items():
            np.testing.assert_array_equal(found[name][key], value)


def test_a_pickle_by_live_torch_is_read(tmp_path, monkeypatch):
    """With torch's own way of pickling tensors, and classes that pickle as the release's do."""
    torch = pytest.importorskip("torch")

    def _reconstruct_persistent_obj(meta):
        raise AssertionError("the reader called it")

    class EasyDict(dict):
        pass

    places = {"torch_utils.persistence": _reconstruct_persistent_obj, "dnnlib.util": EasyDict}
    for name in ("torch_utils", "dnnlib"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    for name, value in places.items():
        value.__module__, value.__qualname__ = name, value.__name__
        module = types.ModuleType(name)
        setattr(module, value.__name__, value)
        monkeypatch.setitem(sys.modules, name, module)

    class Linear(torch.nn.Linear):
        def __reduce__(self):
            meta = {"type": "class", "class_name": "Linear", "module_src": "boom("}
            return _reconstruct_persistent_obj, (EasyDict(meta, state=self.__dict__),)

    layer = Linear(3, 2)
    for protocol in (2, 4):
        content = pickle.dumps({"G": layer, "kwargs": EasyDict(a=1)}, protocol)
        (tmp_path / "net.pkl").write_bytes(content)
        found = stylegan2.read(tmp_path / "net.pkl")["G"]
        np.testing.assert_array_equal(found["weight"], layer.weight.detach().numpy())
        np.testing.assert_array_equal(found["bias"], layer.bias.detach().numpy())


ATTACKS = {
    "os.system": lambda mark: Call("os", "system", f"touch {mark}"),
    "posix.system": lambda mark: Call("posix", "system", f"touch {mark}"),
    "builtins.eval": lambda mark: Call("builtins", "eval", f"open({str(mark)!r}, 'w')"),
    "builtins.open": lambda mark: Call("builtins", "open", str(mark), "w"),
    "builtins.getattr": lambda mark: Call("builtins", "getattr", {}, "keys"),
    "numpy.load": lambda mark: Call("numpy", "load", str(mark)),
    "torch.load": lambda mark: Call("torch", "load", str(mark)),
    "pathlib.Path.touch": lambda mark: Call("pathlib", "Path.touch", str(mark)),
}


@pytest.mark.parametrize("write", ["legacy", "zip", "plain", "inside", "carried"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_a_hostile_pickle_runs_nothing_and_is_named(tmp_path, write, attack):
    mark, path = tmp_path / "touched", tmp_path / "a.pth"
    tree = {"G": ATTACKS[attack](mark)}
    reads = stylegan2.read if write in ("plain", "inside", "carried") else read_torch
    if write == "legacy":
        legacy_file(path, tree, [])
    elif write == "zip":
        zip_file(path, tree, [])
    else:
        path = tmp_path / "a.pkl"
        if write == "inside":  # a module's record
            tree = {"G": persistent("Net", {"weight": ATTACKS[attack](mark)})}
        if write == "carried":  # what a tensor brings along
            legacy_file(path, ATTACKS[attack](mark), [])
            tree = {"G": Call("torch.storage", "_load_from_bytes", path.read_bytes())}
        plain_file(path, tree)
    with pytest.raises(UserError, match=f"refers to {attack}, which is not a tensor"):
        reads(path)
    assert not mark.exists()


def test_a_real_reduce_runs_nothing(tmp_path):
    """Pickled by Python itself, in its newest protocol and through a class of one's own."""
    mark = tmp_path / "touched"

    class Touch:
        def __reduce__(self):
            return Path.touch, (mark,)

    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        (tmp_path / "a.pkl").write_bytes(pickle.dumps({"G": Touch()}, protocol))
        with pytest.raises(UserError, match="which is not a tensor"):
            stylegan2.read(tmp_path / "a.pkl")
    assert not mark.exists()


def test_what_cannot_be_a_tree_of_tensors_ends_in_one_line(tmp_path):
    loop = []
    loop.append(loop)
    deep = []
    for _ in range(60):  # 2^60 leaves, were each reference followed
        deep = [deep, deep]
    storage = Storage("0", np.zeros(1, np.float32))
    legacy_file(tmp_path / "a.pth", {"x": loop}, [])
    with pytest.raises(UserError, match="contains itself"):
        read_torch(tmp_path / "a.pth")
    legacy_file(tmp_path / "a.pth", {"x": deep}, [])
    assert len(read_torch(tmp_path / "a.pth")["x"]) == 2
    vast = Tensor(storage, 0, (10**6, 10**6), (0, 0))
    legacy_file(tmp_path / "a.pth", {"x": vast}, [storage])
    with pytest.raises(UserError, match="outside its storage"):
        read_torch(tmp_path / "a.pth")


# The script.


def run(*words):
    try:
        cli_run(import_weights, *words)
    except SystemExit as end:
        return end.code
    return 0


def cli_run(script, *words):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [script.__file__, *map(str, words)])
        cli.run(script.main)


def torch_zip(path, state):
    storages = [Storage(str(n), value.ravel()) for n, value in enumerate(state.values())]
    tree = {
        key: Tensor(s, 0, v.shape, tuple(step // 4 for step in v.strides))
        for (key, v), s in zip(state.items(), storages, strict=True)
    }
    zip_file(path, tree, storages)


def test_a_folder_of_cyclegan_becomes_a_run_that_translates_as_torch(tmp_path, capsys):
    folder, out = tmp_path / "maps", tmp_path / "run"
    folder.mkdir()
    for net, case in (("G_A", "resnet"), ("D_A", "patches")):
        torch_zip(folder / f"latest_net_{net}.pth", state_of(case))
        torch_zip(folder / f"7_net_{net}.pth", state_of(case))
    words = ("--from", "cyclegan", "--out", out, "--resolution", 32)
    assert run(folder, *words) == 0
    shown = capsys.readouterr().out
    assert "d_y: " in shown and "not imported, as at the start: d_x, y2x" in shown
    manifest = json.loads((out / "imported.json").read_text())
    digest = hashlib.sha256((folder / "latest_net_G_A.pth").read_bytes()).hexdigest()
    assert manifest["networks"]["x2y"]["sha256"] == digest
    built, step, state = run_dir.load(out)
    pictures = np.asarray(given("resnet")[0][:1])
    found = built.sampler.translate(state, jax.random.key(0), "x2y", pictures)
    np.testing.assert_allclose(found, RECORDED["resnet"].transpose(0, 2, 3, 1), atol=1e-4)
    assert step == 0
    assert run(folder, *words) == 2
    assert "holds a run already" in capsys.readouterr().err


def test_a_dcgan_becomes_a_run_that_samples_without_data(tmp_path, capsys):
    torch_zip(tmp_path / "netG_epoch_3.pth", state_of("dcgan_g"))
    out = tmp_path / "run"
    assert run(tmp_path / "netG_epoch_3.pth", "--from", "dcgan", "--out", out) == 0
    built, _, state = run_dir.load(out)
    variables = {"params": state.params["generator"], **state.stats["generator"]}
    found, _ = built.game.nets["generator"](variables, given("dcgan_g")[0], train=False)
    np.testing.assert_allclose(found[:1], RECORDED["dcgan_g"].transpose(0, 2, 3, 1), atol=1e-4)
    cli_run(sample, out, "--count", 2)
    assert (out / "samples-seed0.png").exists()


def test_a_pickle_of_styles_gives_trained_and_averaged_networks(tmp_path):
    style_file(tmp_path / "net.pkl", tmp_path / "scratch")
    out = tmp_path / "run"
    assert run(tmp_path / "net.pkl", "--from", "stylegan2", "--out", out) == 0
    _, _, state = run_dir.load(out)
    w_avg = state_of("style_g")["mapping.w_avg"]
    np.testing.assert_array_equal(state.ema["generator"]["moving"]["mapping"]["w_avg"], w_avg)
    np.testing.assert_array_equal(state.stats["generator"]["moving"]["mapping"]["w_avg"], w_avg)


def test_mistakes_are_one_line_and_exit_2(tmp_path, capsys):
    torch_zip(tmp_path / "latest_net_D.pth", state_of("patches"))
    torch_zip(tmp_path / "G.pth", state_of("resnet"))
    broken = dict(state_of("resnet"))
    broken["extra"] = broken.pop("model.4.bias")
    torch_zip(tmp_path / "broken.pth", broken)
    out = ("--out", tmp_path / "run")
    for words, part in (
        (["nowhere.pth", "--from", "dcgan"], "no file"),
        (["G.pth"], "say --from"),
        (["G.pth", "--from", "cyclegan", "--net", "x3y"], "did you mean 'x2y'"),
        (["latest_net_D.pth", "--from", "cyclegan"], "is a discriminator, but which"),
        (["broken.pth", "--from", "cyclegan"], "missing model.4.bias; unknown extra"),
        (
            ["G.pth", "--from", "cyclegan", "--recipe", f"{ROOT}/experiments/gan.py:ring8"],
            "did you mean",
        ),
    ):
        assert run(tmp_path / words[0], *words[1:], *out) == 2
        shown = capsys.readouterr().err
        assert part in shown and shown.count("\n") == 1
    assert not (tmp_path / "run").exists()
