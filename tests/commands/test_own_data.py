"""Runs on pictures and recordings of one's own, as a user starts them."""

import json

import numpy as np
import pytest
from helpers.command_line import run
from helpers.paths import ROOT
from PIL import Image

from gan_jax import config
from gan_jax.build.data import open_data, with_classes
from gan_jax.build.experiment import build
from gan_jax.commands import cli, sample, train
from gan_jax.data import available, pipeline, world
from gan_jax.errors import UserError
from gan_jax.evaluation.evaluate import require_metrics
from gan_jax.training import run_dir

CLASSES = f"{ROOT}/experiments/cgan.py:folder"
TINY = ["--tiny", "True", "--run.devices", "1"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path_factory.mktemp("cache")))


def by_class(folder, names, count=12):
    """Pictures of noise, each class in a sub-folder of its own."""
    draw = np.random.default_rng(0)
    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            pixels = draw.integers(0, 256, (10, 12, 3), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def test_the_classes_of_a_folder_need_not_be_counted(tmp_path, capsys):
    pictures, workdir = by_class(tmp_path / "set", ("cat", "cow", "dog")), tmp_path / "run"
    command = [CLASSES, "--data.path", pictures, *TINY, "--workdir", workdir]
    assert run(train, *command) == 0
    assert json.loads((workdir / "config.json").read_text())["experiment"]["game"]["classes"] == 3
    assert "stands in" not in capsys.readouterr().out
    assert run(train, *command) == 0, "the same command resumes"
    assert run(sample, workdir, "--labels", "dog", "cat", "--out", tmp_path / "a.png") == 0
    assert run(sample, workdir, "--labels", "dgo") == 2
    assert "no class 'dgo' of 3; did you mean 'dog'?" in capsys.readouterr().err


def test_another_class_is_another_experiment(tmp_path, capsys):
    pictures, workdir = by_class(tmp_path / "set", ("cat", "dog")), tmp_path / "run"
    command = [CLASSES, "--data.path", pictures, *TINY, "--workdir", workdir]
    assert run(train, *command) == 0
    by_class(pictures, ("cow",))
    assert run(train, *command) == 2
    assert "game.classes (2 -> 3)" in capsys.readouterr().err


@pytest.mark.parametrize("recipe", ["cgan.py:folder", "stylegan2.py:folder", "r3gan.py:cifar10"])
def test_a_wrong_number_of_classes_is_refused_with_the_right_one(tmp_path, recipe, capsys):
    pictures = by_class(tmp_path / "set", ("cat", "dog"))
    flags = ["--data.name", "folder", "--data.path", pictures, "--game.classes", 5, *TINY]
    command = [f"{ROOT}/experiments/{recipe}", *flags, "--workdir", tmp_path / "run"]
    assert run(train, *command) == 2
    assert "game.classes = 5: data set 'folder' has 2" in capsys.readouterr().err


def test_styles_take_the_classes_of_a_folder(tmp_path):
    pictures = by_class(tmp_path / "set", ("cat", "dog"))
    flags = ["--data.path", pictures, "--game.classes", 2, *TINY, "--workdir", tmp_path / "run"]
    small = ["--data.resolution", 8, "--game.path_length", 0, "--game.r1", 0, "--game.augment", ""]
    assert run(train, f"{ROOT}/experiments/stylegan2.py:folder", *flags, *small) == 0
    assert run(sample, tmp_path / "run", "--labels", "dog", "--out", tmp_path / "a.png") == 0


def test_a_folder_without_classes_is_refused_where_a_condition_needs_them(tmp_path, capsys):
    pictures = by_class(tmp_path / "set", ("cat", "dog"))
    (pictures / "cat" / "0.png").rename(pictures / "stray.png")
    flags = ["--data.path", pictures, *TINY, "--workdir", tmp_path / "run"]
    assert run(train, CLASSES, *flags) == 2
    *_, complaint = capsys.readouterr().err.splitlines()
    assert complaint.startswith("error: data set 'folder' has no classes")
    assert complaint.endswith("and 'stray.png' lies in none")


def test_only_training_counts_classes(tmp_path):
    with pytest.raises(UserError, match=r"game\.classes = 0: only training finds out"):
        build(config.change(config.recipe(CLASSES), {"run.devices": 1}))
    experiment = config.recipe(f"{ROOT}/experiments/dcgan.py:quickstart")
    assert with_classes(experiment) is experiment, "and opens no data where none is told"


def test_metrics_of_labels_have_held_out_pictures(tmp_path):
    path = str(by_class(tmp_path / "set", ("cat", "dog"), 40))
    changes = {"data.path": path, "data.resolution": 8}
    changes |= {"run.metrics": ("label_accuracy", "linear_probe"), "run.features": "fashion-cnn"}
    experiment = config.change(config.recipe(CLASSES), changes)
    require_metrics(experiment, open_data(experiment))
    few = config.change(experiment, {"data.path": str(by_class(tmp_path / "few", ("a", "b"), 5))})
    with pytest.raises(UserError, match="no split 'test': of fewer than 20") as caught:
        require_metrics(few, open_data(few))
    assert "\n" not in str(caught.value)


def hum(path, pitch, rate=8000, seconds=0.4):
    """A buzz of that pitch, which the vocoder takes for a vowel."""
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(int(seconds * rate)) / rate
    wave = sum(np.sin(2 * np.pi * n * pitch * time) / n for n in range(1, int(rate / 2 / pitch)))
    world.write_wave(path, (0.2 * wave).astype(np.float32), rate)


def test_voices_without_common_prompts_are_refused_before_the_first_round(tmp_path):
    for side, pitch in (("A", 120.0), ("B", 220.0)):
        hum(tmp_path / "set" / f"train{side}" / f"{side}1.wav", pitch)
        hum(tmp_path / "set" / f"train{side}" / f"{side}2.wav", 1.2 * pitch)
    recipe = f"{ROOT}/experiments/cyclegan_vc.py:own"
    experiment = config.change(config.recipe(recipe), {"data.path": str(tmp_path / "set")})
    source = open_data(experiment)
    with pytest.raises(UserError, match="no held-out prompt is said by both") as caught:
        require_metrics(experiment, source)
    assert "\n" not in str(caught.value)
    require_metrics(config.change(experiment, {"run.metrics": ()}), source)
    small = cli.tiny(experiment)
    assert small.data.name == "voices" and open_data(small).size == source.size


# --- the smallest relative ------------------------------------------------------------------------


def test_tiny_trains_on_ones_own_pictures(tmp_path, capsys):
    pictures = by_class(tmp_path / "set", ("",), 30)
    flags = ["--data.path", pictures, "--data.split", "train+test", *TINY]
    workdir = tmp_path / "run"
    assert run(train, f"{ROOT}/experiments/dcgan.py:folder", *flags, "--workdir", workdir) == 0
    data = run_dir.read_config(workdir)
    assert data["data"]["size"] == 30 and data["experiment"]["data"]["path"] == str(pictures)
    assert data["experiment"]["data"]["resolution"] == 32


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["--data.path", "nowhere"], "no folder or zip of images at nowhere"),
        (["--data.name", "cifra10"], "did you mean 'cifar10'?"),
        (["--data.name", "cifar10", "--data.path", "x"], "not by 'cifar10'"),
    ],
)
def test_tiny_refuses_what_it_cannot_read(tmp_path, flags, line, capsys):
    words = [f"{ROOT}/experiments/dcgan.py:folder", *flags, *TINY, "--workdir", tmp_path / "run"]
    assert run(train, *words) == 2
    complaint = capsys.readouterr().err
    assert line in complaint and complaint.count("\n") == 1


@pytest.mark.parametrize(
    ("recipe", "line"),
    [
        ("dcgan.py:cifar10", "'fashion_mnist_10k' stands in for 'cifar10': that is not prepared"),
        ("dcgan.py:folder", "'fashion_mnist_10k' stands in for 'folder': --data.path is not said"),
        ("dcgan.py:quickstart", ""),
    ],
)
def test_tiny_says_what_stands_in(recipe, line, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    cli.tiny(config.recipe(f"{ROOT}/experiments/{recipe}"))
    assert capsys.readouterr().out == (f"tiny: {line}\n" if line else "")


def test_a_set_is_at_hand_once_it_is_prepared(tmp_path):
    there = str(tmp_path)
    assert available.is_available("avatars") and available.is_available("toy/ring8")
    assert available.is_available("folder", path="x") and not available.is_available("folder")
    assert not available.is_available("fashion_mnist", data_dir=there)
    assert not available.is_available("voices_it_sample", data_dir=there)
    pipeline.open_source("voices_it_sample", data_dir=there, frames=16, cepstra=8)
    assert available.is_available("voices_it_sample", data_dir=there)
    assert not available.is_available("cifar10", data_dir=there)
    with pytest.raises(UserError, match="unknown data set 'cifra10'"):
        available.is_available("cifra10", data_dir=there)
