"""What a command imports before it says that something is wrong: nothing that takes a second."""

import json
import os
import subprocess
import sys

import pytest
from helpers.paths import ROOT

from gan_jax.commands import VERBS

SLOW = {"jax", "flax", "optax", "orbax", "tensorflow_datasets", "grain", "matplotlib", "scipy"}
RUN = """
import json, sys
before = set(sys.modules)
sys.argv = ["gan-jax", *json.loads(sys.argv[1])]
from gan_jax.commands.main import main
code = 0
try:
    main()
except SystemExit as end:
    code = end.code
found = {name.partition(".")[0] for name in set(sys.modules) - before}
print(json.dumps([code, sorted(found)]))
"""


def start(words, tmp_path):
    """The exit code of `gan-jax WORDS` in a fresh process, its messages, what it imported."""
    folders = {"GAN_JAX_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}
    environment = {**os.environ, **folders, "TFDS_DATA_DIR": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(words)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.stdout, done.stderr
    code, found = json.loads(done.stdout.splitlines()[-1])
    return code or 0, done, set(found)


@pytest.mark.parametrize("words", [[], ["--help"], ["--version"], ["trian"]], ids=str)
def test_the_list_of_commands_needs_the_standard_library_alone(words, tmp_path):
    code, done, found = start(words, tmp_path)
    assert found <= {*sys.stdlib_module_names, "gan_jax"}
    assert code == (2 if words == ["trian"] else 0)
    if words == ["trian"]:
        assert done.stderr == "error: no command 'trian'; did you mean 'train'?\n"
    elif words == ["--version"]:
        assert done.stdout.startswith("gan-jax ")
    else:
        assert all(f"  {verb} " in done.stdout for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_help_imports_nothing_slow(verb, tmp_path):
    code, done, found = start([verb, "--help"], tmp_path)
    assert code == 0 and f"usage: gan-jax {verb}" in done.stdout
    assert not SLOW & found


def test_the_help_of_train_lists_recipes(tmp_path):
    shown = start(["train", "--help"], tmp_path)[1].stdout
    assert "\n  dcgan:quickstart  " in shown and "\n  stylegan2:ffhq1024  " in shown


MISTAKES = {
    "recipe": (["train", "dcgan:quickstrat"], "did you mean 'quickstart'?"),
    "recipe without its file": (["train", "quickstart"], "did you mean 'dcgan:quickstart'?"),
    "file of recipes": (["train", "dcgna:quickstart"], "did you mean 'dcgan'?"),
    "path of recipes": (["train", "experiments/dcgna.py:x"], "'experiments/dcgan.py'?"),
    "flag": (["train", "dcgan:quickstart", "--game.r2x", "1"], "--game.r2"),
    "value": (["train", "dcgan:quickstart", "--batch-size", "0"], "batch_size"),
    "data that is not prepared": (
        ["train", "dcgan:quickstart", "--data.name", "fashion_mnist"],
        "run `gan-jax prepare-data fashion_mnist`",
    ),
    "folder of pictures": (["train", "dcgan:folder", "--data.path", "nowhere"], "at nowhere"),
    "no folder of pictures": (["train", "cgan:folder"], "needs the path of a folder"),
    "folder of voices": (["train", "cyclegan_vc:own", "--data.path", "nowhere"], "'nowhere'"),
    "run to sample": (["sample", "nowhere"], "no run in 'nowhere'"),
    "run to measure": (["evaluate", "nowhere"], "no run in 'nowhere'"),
    "run to explore": (["explore", "nowhere"], "no run in 'nowhere'"),
    "run to export": (["export", "nowhere"], "no run in 'nowhere'"),
    "table": (["table", "objectvies"], "did you mean 'objectives'?"),
    "table to run": (["ablate", "ablations/objectvies"], "did you mean 'ablations/objectives'?"),
    "flag of data": (["prepare-data", "maps", "--form", "x"], "did you mean --from?"),
    "raw files": (["prepare-data", "maps", "--count", "5"], "goes with avatars only"),
    "recipe to plan": (["tpu-plan", "dcgan:quickstrat"], "did you mean 'quickstart'?"),
    "data of features": (["train-features"], "run `gan-jax prepare-data fashion_mnist`"),
    "file of weights": (
        ["import-weights", "a.pth", "--from", "dcgan", "--out", "b"],
        "no file 'a.pth'",
    ),
    "source of weights": (["import-weights", "a.pth", "--out", "b"], "say --from"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_imports_nothing_slow(mistake, tmp_path):
    words, line = MISTAKES[mistake]
    code, done, found = start(words, tmp_path)
    assert code == 2
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert line in done.stderr
    assert not SLOW & found


def test_configuration_is_of_the_standard_library(tmp_path):
    code = "import sys; a = set(sys.modules); import gan_jax.config; print(*set(sys.modules) - a)"
    command = [sys.executable, "-c", code]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    found = {name.partition(".")[0] for name in done.stdout.split()}
    assert found <= {*sys.stdlib_module_names, "gan_jax"}
