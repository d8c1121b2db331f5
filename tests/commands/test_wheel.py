"""The package as a user installs it: a wheel in an environment of its own, without the checkout."""

import json
import zipfile

import pytest
from helpers.paths import EXPERIMENTS
from PIL import Image

import gan_jax


def test_the_wheel_has_the_recipes_and_the_tables_and_nothing_compiled(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for file in EXPERIMENTS.rglob("*"):
        if file.suffix in (".py", ".csv", ".md"):
            assert f"gan_jax/experiments/{file.relative_to(EXPERIMENTS)}" in names
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]


def test_an_installed_wheel_trains_the_quickstart_and_samples_it(installed, tmp_path):
    workdir, flags = tmp_path / "run", ["--tiny", "True", "--run.devices", "1"]
    assert installed("--version").stdout == f"gan-jax {gan_jax.__version__}\n"
    ended = installed("train", "dcgan:quickstart", *flags, "--workdir", workdir)
    assert ended.returncode == 0, ended.stderr
    about = json.loads((workdir / "config.json").read_text())
    assert about["recipe"] == "dcgan:quickstart" and about["own_files"] == []
    assert about["command"] == ["gan-jax", "train", "dcgan:quickstart", *flags]
    assert "gan-jax train dcgan:quickstart" in (workdir / "report.html").read_text()
    ended = installed("sample", workdir)
    assert ended.returncode == 0, ended.stderr
    with Image.open(workdir / "samples-seed0.png") as grid:
        assert grid.size[0] > 8 * 28


def test_an_installed_wheel_prints_the_committed_tables(installed):
    ended = installed("table", "alternation")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == (EXPERIMENTS / "ablations" / "alternation.md").read_text()
    assert "site-packages/gan_jax/experiments/ablations/alternation.csv" in ended.stderr


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["train", "dcgan:quickstrat"], "no recipe 'quickstrat' in dcgan; did you mean 'quick"),
        (["train", "experiments/dcgna.py:a"], "did you mean 'experiments/dcgan.py'?"),
    ],
)
def test_an_installed_wheel_says_what_is_wrong(installed, words, line):
    ended = installed(*words)
    assert ended.returncode == 2
    assert line in ended.stderr and ended.stderr.count("\n") == 1


def test_an_installed_wheel_names_the_command_that_a_table_lacks(installed, tmp_path):
    table = tmp_path / "own.py"
    table.write_text(
        "from gan_jax.config import ablation, recipe\n"
        'TABLE = ablation(recipe("dcgan:quickstart"), {"row": {}}, quantities=("fid",))\n'
    )
    ended = installed("table", table)
    assert ended.returncode == 2
    assert f"run `gan-jax ablate {table} run`" in ended.stderr and ended.stderr.count("\n") == 1
