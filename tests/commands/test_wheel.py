"""The package as a user installs it: a wheel in an environment of its own, without the checkout."""

import json
import os
import subprocess
import sys
import sysconfig
import zipfile

import pytest
from helpers.paths import EXPERIMENTS, ROOT
from PIL import Image

import gan_jax

pytest.importorskip("hatchling", reason="builds the wheel: bash scripts/install.sh dev")


def done(command, **options):
    """Runs a command that must end well; what it printed."""
    ended = subprocess.run(command, capture_output=True, text=True, **options)
    assert ended.returncode == 0, ended.stderr
    return ended


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    done([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], cwd=ROOT)
    (file,) = folder.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Runs `gan-jax WORDS` of the installed wheel in an empty folder.

    Only its dependencies are those of this environment.
    """
    folder = tmp_path_factory.mktemp("installed")
    done([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")])
    python = folder / "venv" / "bin" / "python"
    paths = done([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"])
    site = paths.stdout.strip()
    # Folders named by a .pth are searched, but their own .pth, as of an editable install, unread.
    others = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    with open(f"{site}/dependencies.pth", "w") as file:
        file.write("\n".join(sorted(others)))
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    done([*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)])
    empty = folder / "empty"
    empty.mkdir()
    scrubbed = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*words):
        command = [str(folder / "venv" / "bin" / "gan-jax"), *map(str, words)]
        return subprocess.run(command, cwd=empty, env=scrubbed, capture_output=True, text=True)

    where = done([python, "-c", "import gan_jax; print(gan_jax.__file__)"], cwd=empty, env=scrubbed)
    assert where.stdout.startswith(site)
    return run


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
        (
            ["table", "experiments/ablations/slicing.py"],
            "run `gan-jax ablate experiments/ablations/slicing.py run`",
        ),
    ],
)
def test_an_installed_wheel_says_what_is_wrong(installed, words, line):
    ended = installed(*words)
    assert ended.returncode == 2
    assert line in ended.stderr and ended.stderr.count("\n") == 1
