"""Exported runs give the project's pictures in a process that knows jax alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file

from gan_jax import config
from gan_jax.training import runs
from gan_jax.training.loop import train
from gan_jax.training.programs import make_programs

ROOT = Path(__file__).parents[1]


def call(*words: object) -> subprocess.CompletedProcess[str]:
    environment = {name: x for name, x in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, *map(str, words)],
        env=environment | {"JAX_NUM_CPU_DEVICES": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    run, out = tmp_path_factory.mktemp("run"), tmp_path_factory.mktemp("out")
    recipe = config.tiny(config.recipe(str(ROOT / "experiments/dcgan.py:quickstart")))
    train(config.change(recipe, {"run.devices": 1}), run)
    done = call(ROOT / "scripts/export.py", run, "--out", out)
    assert done.returncode == 0, done.stderr
    return run, out


def test_a_fresh_process_without_the_project_draws_the_same_pictures(exported):
    run, out = exported
    blocked = "import sys; sys.modules['gan_jax'] = None; import runpy; runpy.run_path({!r}, {})"
    done = call("-c", blocked.format(str(out / "load.py"), "run_name='__main__'"))
    assert done.returncode == 0, done.stderr
    built, _, state = runs.load(run)
    variables, (program,) = make_programs(built, state)
    z = jax.random.normal(jax.random.key(0), (4, *program.inputs[0].shape))
    np.testing.assert_allclose(
        np.load(out / "generate.npy"), program.run(variables, z), rtol=0, atol=1e-5
    )


def test_accelerators_get_plain_convolutions(exported):
    """The CPU's own forms of a convolution are many matrix products."""
    text = {}
    for platform in ("cpu", "tpu", "cuda"):
        program = jax.export.deserialize(
            (exported[1] / f"generate.{platform}.stablehlo").read_bytes()
        )
        assert program.platforms == (platform,)
        text[platform] = program.mlir_module()
    for platform in ("tpu", "cuda"):
        assert text[platform].count("stablehlo.convolution") >= 2
        assert text[platform].count("dot_general") < text["cpu"].count("dot_general")


def test_the_weights_are_named_and_the_card_says_where_they_are_from(exported):
    weights = load_file(exported[1] / "model.safetensors")
    assert all(name.startswith("generator.") for name in weights)
    card = (exported[1] / "README.md").read_text()
    assert "fashion_mnist_10k" in card and "MIT, Copyright 2017 Zalando SE" in card
    assert json.loads((exported[1] / "programs.json").read_text()).keys() == {"generate"}


def test_no_run_is_one_line(tmp_path):
    done = call(ROOT / "scripts/export.py", tmp_path, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
