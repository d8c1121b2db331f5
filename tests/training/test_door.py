"""The door: a network, data, a metric and a game from one file outside the package."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import optax
import pytest
from flax import linen as nn
from helpers.paths import ROOT
from jax import ShapeDtypeStruct
from jax import numpy as jnp

import gan_jax
from gan_jax import config
from gan_jax.errors import UserError

TINY = ("--run.kimg", "0.256", "--run.devices", "1", "--run.metric-samples", "64")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder outside the repository with a copy of the template."""
    where = tmp_path_factory.mktemp("elsewhere")
    shutil.copy(ROOT / "docs" / "template.py", where / "mine.py")
    return where


def script(name, *words, cwd):
    command = [sys.executable, str(ROOT / "scripts" / f"{name}.py"), *map(str, words)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def run(place):
    """A run of the file's recipe, trained by a process of its own."""
    script("train", "mine.py:rings", *TINY, "--workdir", "run", cwd=place)
    return place / "run"


def test_a_recipe_from_outside_trains_and_keeps_its_metric(run):
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert 0.0 < rows[-1]["ring_error"] < 1.0
    assert (run / "report.html").is_file() and list((run / "samples").glob("0*.png"))
    assert json.loads((run / "config.json").read_text())["own_files"] == [
        str(run.parent / "mine.py")
    ]


def test_the_same_command_resumes_it_to_the_same_bits(run, place):
    half = ("--run.kimg", "0.128", *TINY[2:])
    script("train", "mine.py:rings", *half, "--workdir", "halves", cwd=place)
    script("train", "mine.py:rings", *TINY, "--workdir", "halves", cwd=place)
    whole, halves = gan_jax.load(run), gan_jax.load(place / "halves")
    assert whole.step == halves.step == 4
    np.testing.assert_array_equal(whole.sample(4), halves.sample(4))


def test_the_scripts_read_its_file_by_themselves(run, tmp_path):
    script("sample", run, "--out", tmp_path / "grid.png", "--count", 4, cwd=tmp_path)
    assert (tmp_path / "grid.png").is_file()
    assert "ring_error" in script("evaluate", run, "--metrics", "ring_error", cwd=tmp_path)


def test_its_table_lists_its_rows(place):
    shown = script("ablate", "mine.py:WEIGHTS", cwd=place)
    assert "game.fake_weight=0.5" in shown


def test_load_samples_evaluates_and_gives_the_generator(run):
    trained = gan_jax.load(run)
    samples = trained.sample(3, seed=1)
    assert samples.shape == (3, 16, 16, 1) and np.abs(samples).max() <= 1.0
    np.testing.assert_array_equal(samples, trained.sample(3, seed=1))
    assert np.any(samples != trained.sample(3, seed=2))
    assert trained.generator(np.zeros((2, 16), np.float32)).shape == (2, 16, 16, 1)
    assert trained.evaluate(["ring_error"]).keys() == {"ring_error"}
    with pytest.raises(UserError, match="'label_accuracy' needs"):
        trained.evaluate(["label_accuracy"])
    with pytest.raises(UserError, match="has no classes"):
        trained.sample(2, labels=[0])


def test_a_run_whose_recipe_file_is_gone_says_so(run, tmp_path):
    moved = shutil.copytree(run, tmp_path / "run")
    facts = json.loads((moved / "config.json").read_text())
    facts["own_files"] = [str(tmp_path / "gone.py")]
    (moved / "config.json").write_text(json.dumps(facts))
    with pytest.raises(UserError, match=r"gone\.py', which defines parts of it"):
        gan_jax.load(moved)


def test_the_names_of_the_package_are_taken():
    @dataclass(frozen=True)
    class Mlp:
        width: int = 4

    with pytest.raises(UserError, match="has a network named 'Mlp' already"):
        gan_jax.register_network(gan_jax.NetworkSpec(Mlp))
    with pytest.raises(UserError, match="has a metric 'fid' already"):
        gan_jax.register_metric(gan_jax.MetricSpec("fid", lambda context: {}, {"fid": "lower"}))


class Shift(nn.Module):
    """Latents [b d] moved by a learned vector."""

    @nn.compact
    def __call__(self, z, *, train=True):
        return z + self.param("shift", nn.initializers.zeros, (1, z.shape[-1]))


class Linear(nn.Module):
    """Points [b d] to logits [b]."""

    @nn.compact
    def __call__(self, x, *, train=True):
        return nn.Dense(1)(x)[:, 0]


def shift_game():
    """A Wasserstein game on the plane whose generator learns a mean."""
    two = (ShapeDtypeStruct((2, 2), jnp.float32),)
    g, d = gan_jax.Net(Shift(), two), gan_jax.Net(Linear(), two)

    def scores(nets, batch, key):
        z = jnp.ones_like(batch["real"])
        fake, _ = g(nets["generator"], z)
        return d(nets["discriminator"], batch["real"])[0], d(nets["discriminator"], fake)[0]

    def d_loss(nets, batch, key):
        real, fake = scores(nets, batch, key)
        return jnp.mean(fake) - jnp.mean(real), gan_jax.Aux()

    def g_loss(nets, batch, key):
        return -jnp.mean(scores(nets, batch, key)[1]), gan_jax.Aux()

    sgd = optax.sgd(0.1)
    return gan_jax.Game(
        {"generator": g, "discriminator": d},
        {n: gan_jax.Player((n,), sgd) for n in ("generator", "discriminator")},
        (gan_jax.Move("discriminator", d_loss), gan_jax.Move("generator", g_loss)),
    )


def test_train_takes_a_game_and_arrays(tmp_path):
    points = np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32)
    experiment = config.Experiment(
        "own", batch_size=16, run=config.Run(kimg=0.064, log_every=1, devices=1)
    )
    given = {"game": shift_game(), "data": {"x": points}}
    state = gan_jax.train(experiment, tmp_path / "run", **given)
    assert int(np.asarray(state.step).reshape(-1)[0]) == 4
    trained = gan_jax.load(tmp_path / "run", **given)
    assert trained.sample(5).shape == (5, 2)


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(UserError, match="columns of one length"):
        gan_jax.from_arrays("s", {"image": np.zeros((3, 4, 4, 1)), "label": np.zeros(2)})
