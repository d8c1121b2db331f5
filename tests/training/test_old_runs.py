"""A run of an earlier revision opens, samples, is measured and goes on.

`helpers/run_of_0_1.zip` is `train.py experiments/gan.py:ring8 --tiny True --run.devices 1` of
version 0.1.0 before its packages were rearranged (58c95d9), with four samples that it drew itself.
"""

import json
import zipfile

import numpy as np
import pytest
from helpers.paths import EXPERIMENTS, ROOT

import gan_jax
from gan_jax import config
from gan_jax.training import checkpoint, run_dir
from gan_jax.training.loop import train


@pytest.fixture
def run(tmp_path):
    with zipfile.ZipFile(ROOT / "tests/helpers/run_of_0_1.zip") as stored:
        stored.extractall(tmp_path / "run")
    return tmp_path / "run"


def test_its_samples_are_those_it_drew_itself(run):
    trained = gan_jax.load(run)
    assert trained.step == 2
    np.testing.assert_allclose(trained.sample(4), np.load(run / "drawn.npy"), rtol=1e-5)


def test_it_is_measured(run):
    assert gan_jax.load(run).evaluate(["mode_coverage"]).keys() == {"modes", "high_quality"}


def test_its_experiment_and_fingerprint_are_read_unchanged(run):
    stored = json.loads((run / "config.json").read_text())
    experiment = run_dir.read_experiment(run)
    now, then = (
        config.flatten(tree) for tree in (config.to_dict(experiment), stored["experiment"])
    )
    assert {name: now[name] for name in then} == then, "fields added since have their defaults"
    assert config.fingerprint(experiment) == stored["fingerprint"]


def test_the_same_recipe_resumes_it(run):
    recipe = config.recipe(f"{EXPERIMENTS}/gan.py:ring8")
    changes = {"run.devices": 1, "run.kimg": 0.032}
    train(config.change(config.tiny(recipe), changes), run)
    assert max(checkpoint.steps(run)) == 4
