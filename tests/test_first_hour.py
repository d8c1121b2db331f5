"""What a person does in the first hour with the installed package, in order."""

import re
import shutil

import numpy as np
import pytest
from helpers.paths import ROOT
from PIL import Image

ONE_DEVICE = ("--run.devices", "1")


@pytest.fixture(scope="module")
def home(installed):
    return installed.home


def ran(installed, *words):
    """Runs `gan-jax WORDS`, which must end well; what it printed."""
    ended = installed(*words)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_a_trained_generator_is_sampled_before_anything_is_trained(installed, home):
    assert "zoo:garments" in ran(installed, "sample", "zoo:")
    ran(installed, "sample", "zoo:garments", "--labels", "coat", "bag", "--out", "coats.png")
    with Image.open(home / "coats.png") as grid:
        coats = np.asarray(grid, float)
    assert coats.std() > 40  # not a blank page
    program = "import gan_jax; print(gan_jax.load('zoo:garments').sample(4, labels=['bag']).shape)"
    assert installed.run("python", "-c", program).stdout == "(4, 28, 28, 1)\n"


def test_the_quickstart_trains_and_is_read_measured_and_exported(installed, home):
    words = ("train", "dcgan:quickstart", *ONE_DEVICE, "--run.metrics", "swd", "--workdir", "first")
    short = ("--run.kimg", "2", "--run.sample-kimg", "1", "--run.metric-samples", "64")
    ran(installed, *words, *short)
    page = (home / "first" / "report.html").read_text()
    assert "gan-jax train dcgan:quickstart" in page and "ankle boot" in page
    assert "SWD" in page
    ran(installed, "export", "first", "--format", "safetensors", "--out", "exported")
    assert (home / "exported" / "model.safetensors").stat().st_size > 100_000


def test_a_folder_of_ones_own_pictures_trains(installed, home):
    numbers = np.random.default_rng(0)
    for name in ("red", "green"):
        (home / "pictures" / name).mkdir(parents=True)
        for k in range(24):
            picture = numbers.integers(0, 256, (70, 80, 3), np.uint8)
            Image.fromarray(picture).save(home / "pictures" / name / f"{k}.png")
    words = ("--data.path", "pictures", "--tiny", "True", *ONE_DEVICE, "--workdir", "own")
    ran(installed, "train", "cgan:folder", *words)
    ran(installed, "sample", "own", "--labels", "red", "--out", "red.png")
    assert (home / "red.png").is_file()


def test_a_network_data_set_metric_and_game_of_ones_own_train(installed, home):
    shutil.copy(ROOT / "docs" / "template.py", home / "mine.py")
    short = ("--run.kimg", "0.256", *ONE_DEVICE, "--run.metric-samples", "64")
    ran(installed, "train", "mine.py:rings", *short, "--workdir", "mine")
    assert "ring_error" in ran(installed, "evaluate", "mine", "--metrics", "ring_error")


def test_two_runs_are_compared_on_one_page(installed, home):
    ran(installed, "report", "first", "own", "--out", "compared.html")
    page = (home / "compared.html").read_text()
    names = re.findall(r"</i>(.*?)</th>", page)
    assert names[:2] == ["dcgan:quickstart", "cgan:folder"]


def test_a_mistake_is_one_line_with_the_way_out(installed):
    ended = installed("train", "dcgan:quickstart", "--generator.learning-rate", "1e-3")
    assert (
        ended.returncode == 2 and ended.stderr.count("\n") == 1 and "--generator.lr" in ended.stderr
    )
