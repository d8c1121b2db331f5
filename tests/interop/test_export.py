"""Exports: files that give the project's pictures in a process that cannot import the project."""

import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.paths import ROOT
from jax import export as jax_export

from gan_jax import config
from gan_jax.build.data import data_shape
from gan_jax.build.experiment import build
from gan_jax.commands import cli, export
from gan_jax.errors import UserError
from gan_jax.interop import portable, programs
from gan_jax.networks import conv, stylegan2
from gan_jax.training import run_dir

CPU_CONVOLUTIONS = True


# Loads as a stranger would: a finder refuses the project and its libraries.
STRANGER = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("gan_jax", "flax", "optax", "orbax", "safetensors"):
            raise ImportError("a stranger does not have " + name)
sys.meta_path.insert(0, Refuse())
sys.path.insert(0, sys.argv[1])
import numpy as np
import load
inputs = np.load(sys.argv[2])
names = [one["name"] for one in load.PROGRAMS[sys.argv[3]]["inputs"]]
program, held = load.load(sys.argv[3]), load.weights()
whole = program(held, *(inputs[name] for name in names))
one = program(held, *(inputs[name][:1] for name in names))
np.savez(sys.argv[4], whole=whole, one=one)
"""


def run(*words):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [export.__file__, *map(str, words)])
        try:
            cli.run(export.main)
        except SystemExit as end:
            return end.code
    return 0


def begin(path, recipe, changes=()):
    """A run of a recipe's smallest relative before its first round."""
    experiment = config.tiny(config.recipe(f"{ROOT}/experiments/{recipe}"))
    changes = {"run.devices": 1, "sync_batch_norm": False, **dict(changes)}
    built = build(config.change(experiment, changes))
    run_dir.begin_imported(path, built, {}, {}, recipe, {"networks": {}})
    (path / run_dir.IMPORTED).unlink()
    return run_dir.load(path)


def as_stranger(folder, name, inputs):
    np.savez(folder / "inputs.npz", **inputs)
    words = [folder, folder / "inputs.npz", name, folder / "made.npz"]
    (folder / "stranger.py").write_text(STRANGER)
    done = subprocess.run(
        [sys.executable, "-I", str(folder / "stranger.py"), *map(str, words)],
        capture_output=True,
        text=True,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    with np.load(folder / "made.npz") as made:
        return dict(made)


def test_a_labelled_dcgan_with_averages_is_the_same_to_a_stranger(tmp_path):
    built, _, state = begin(tmp_path / "run", "cgan.py:fashion_mnist")
    (tmp_path / "run/metrics.jsonl").write_text('{"step": 0, "kid32[a,b]": 12.5}\n')
    out = tmp_path / "out"
    assert run(tmp_path / "run", "--out", out) == 0
    random = np.random.default_rng(0)
    z = random.standard_normal((3, built.experiment.game.z)).astype(np.float32)
    inputs = {"z": z, "label": np.array([1, 4, 9], np.int32)}
    variables, (program,) = programs.make_programs(built, state)
    expected = np.asarray(jax.jit(program.run)(variables, *map(jnp.asarray, inputs.values())))
    made = as_stranger(out, "generate", inputs)
    np.testing.assert_allclose(made["whole"], expected, atol=1e-5)
    np.testing.assert_allclose(made["one"], expected[:1], atol=1e-5)
    card = (out / "README.md").read_text()
    for part in (
        "MIT, Copyright 2017 Zalando SE",
        "fashion_mnist_10k",
        "Classes: 0 ",
        "| kid32[a,b] | 12.5 |",
    ):
        assert part in card
    from safetensors import numpy, safe_open

    with safe_open(out / portable.WEIGHTS, "np") as file:
        assert json.loads(file.metadata()["run"])["name"] == built.experiment.name
    again = portable.unflatten(numpy.load_file(out / portable.WEIGHTS))
    jax.tree.map(np.testing.assert_array_equal, again, variables)


def test_translators_are_the_same_to_a_stranger_and_plain_on_accelerators(tmp_path):
    own = {"game.statistics": "picture", "generator.network.norm": "batch"}
    own |= {"data.resolution": 16, "discriminator.network.receptive_field": 16}
    built, _, state = begin(tmp_path / "run", "pix2pix.py:unet", own)
    out = tmp_path / "out"
    assert run(tmp_path / "run", "--out", out) == 0
    shape = data_shape(built.experiment.data)
    x = np.random.default_rng(0).uniform(-1, 1, (2, *shape)).astype(np.float32)
    variables, (program,) = programs.make_programs(built, state)
    made = as_stranger(out, "x2y", {"x": x})
    expected = jax.jit(program.run)(variables, jnp.asarray(x))
    np.testing.assert_allclose(made["whole"], expected, atol=1e-5)
    np.testing.assert_allclose(made["one"], made["whole"][:1], atol=1e-5)  # each by itself
    texts = {
        platform: jax_export.deserialize(
            (out / f"x2y.{platform}.stablehlo").read_bytes()
        ).mlir_module()
        for platform in portable.PLATFORMS
    }
    depth = len([name for name in variables["generator"]["params"] if name[:2] in ("up", "do")]) + 1
    for platform in ("cuda", "tpu"):
        assert texts[platform].count("stablehlo.convolution") == depth
        assert "stablehlo.dot_general" not in texts[platform]
    assert "stablehlo.convolution" not in texts["cpu"]


def test_a_translator_with_an_encoder_is_exported_one_way(tmp_path):
    """CUT's patch heads stay behind."""
    built, _, state = begin(tmp_path / "run", "cut.py:emoji", {"data.resolution": 16})
    out = tmp_path / "out"
    assert run(tmp_path / "run", "--out", out) == 0
    variables, (program,) = programs.make_programs(built, state)
    assert (program.name, set(variables)) == ("x2y", {"x2y"})
    x = np.random.default_rng(0).uniform(-1, 1, (2, 16, 16, 3)).astype(np.float32)
    made = as_stranger(out, "x2y", {"x": x})
    expected = jax.jit(program.run)(variables, jnp.asarray(x))
    np.testing.assert_allclose(made["whole"], expected, atol=1e-5)


def small_styles():
    module = stylegan2.Synthesis(8, maps=stylegan2.LARGE._replace(width=1 / 128))
    ws = jax.random.normal(jax.random.key(1), (2, 4, 8))
    variables = jax.jit(lambda: module.init(jax.random.key(0), ws, train=False))()
    return jax.jit(lambda ws: module.apply(variables, ws, train=False)), ws


def test_plain_operations_give_the_same_pictures():
    function, ws = small_styles()
    plain = portable.to_onnx_operations(function, ws)
    np.testing.assert_allclose(jax.jit(plain)(ws), function(ws), atol=1e-5)
    text = str(jax.make_jaxpr(plain)(ws))
    assert "platform_index" not in text and "custom_vjp" not in text
    assert "platform_index" in str(jax.make_jaxpr(function)(ws))
    assert " pad[" not in text


def test_zeros_are_put_between_as_lax_pads():
    x = jnp.arange(12.0).reshape(3, 4) + 1.0
    for padding in (((0, 1, 1), (2, 0, 0)), ((1, -1, 2), (0, 0, 1)), ((-1, 0, 0), (0, 3, 3))):
        expected = jax.lax.pad(x, jnp.zeros(()), padding)
        np.testing.assert_array_equal(portable._pad(x, jnp.zeros(()), padding), expected)


def test_a_kernel_of_the_other_layout_is_the_same_convolution():
    x = jax.random.normal(jax.random.key(0), (1, 4, 4, 3))
    kernel = jax.random.normal(jax.random.key(1), (3, 3, 3, 2))

    def function(x):
        return conv.conv_transpose(x, kernel, stride=2, padding=1, output_padding=1)

    plain = jax.jit(portable.to_onnx_operations(function, x))
    np.testing.assert_allclose(plain(x), jax.jit(function)(x), atol=1e-5)


def test_onnx_gives_the_same_pictures(tmp_path):
    pytest.importorskip("jax2onnx")
    runtime = pytest.importorskip("onnxruntime")
    function, ws = small_styles()
    portable.save_onnx(
        tmp_path,
        "styles",
        lambda variables, ws: function(ws),
        {},
        [("ws", ws.shape[1:], "float32")],
    )
    session = runtime.InferenceSession(tmp_path / "styles.onnx")
    for count in (1, 2):
        (made,) = session.run(None, {"ws": np.asarray(ws[:count])})
        np.testing.assert_allclose(made, function(ws)[:count], atol=1e-4)


def test_what_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jax2onnx", None)
    with pytest.raises(UserError, match=r"'gan_jax\[onnx\]' && pip install --no-deps jax2onnx"):
        portable.save_onnx(tmp_path, "a", lambda v, x: x, {}, [("x", (1,), "float32")])


def test_mistakes_are_one_line_and_exit_2(tmp_path, capsys):
    own = tmp_path / "project"
    own.mkdir()
    (own / "README.md").write_text("mine")
    (tmp_path / "config.json").write_text("{}")
    for words, part in (
        ([tmp_path / "nowhere"], "no run in"),
        ([tmp_path, "--format", "pickle"], "pickle"),
        ([tmp_path, "--format"], "at least one"),
        ([tmp_path, "--out", own], "holds a README.md that is no export's"),
    ):
        assert run(*words) == 2
        shown = capsys.readouterr().err
        assert part in shown and shown.count("\n") == 1
    assert (own / "README.md").read_text() == "mine"
