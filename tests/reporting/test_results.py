"""Result files, and the descriptions that name them."""

import json
import re
import time
from pathlib import Path

import pytest
from helpers.paths import EXPERIMENTS

from gan_jax import config
from gan_jax.errors import UserError
from gan_jax.reporting import results, run_log

FID, RECALL = "fid5k-train[net,antialias]", "recall5k-train[net,antialias]"
FILES = sorted((EXPERIMENTS / "results").glob("*.json"))


def run(workdir, number, fid, **changes):
    facts = {
        "recipe": "/home/me/experiments/dcgan.py:quickstart",
        "command": [
            "scripts/train.py",
            "/home/me/experiments/dcgan.py:quickstart",
            "--data.path",
            "/home/me/pictures.zip",
            "--workdir=/home/me/runs/",
        ],
        "fingerprint": "abc",
        "revision": "123",
        "dirty": False,
        "seed": number,
        "data": {"name": "toys", "size": 9, "fingerprint": "f", "description": "Toys."},
        "device": "cpu x 1",
        "versions": {},
    }
    workdir.mkdir()
    (workdir / "config.json").write_text(json.dumps(facts | changes))
    with run_log.open_metrics(workdir / "metrics.jsonl") as file:
        for step in (0, 10, 20):
            row = {"step": step, "kimg": step / 10, "time": 1.7e9 + 6.0 * step}
            run_log.write_row(file, row)
        run_log.write_row(file, {"step": 20, "time": 1.7e9 + 200, FID: fid, RECALL: 0.5})
        run_log.write_row(file, {"step": 20, "time": 1.7e9 + 300, FID: 99.0})  # measured again
    return workdir


def test_a_result_holds_what_repeats_it_and_the_values_of_each_seed(tmp_path):
    result = results.collect([run(tmp_path / "a", 0, 8.0), run(tmp_path / "b", 1, 9.0)])
    results.write(result, tmp_path / "r.json")
    assert results.read(tmp_path / "r.json") == result
    assert result["recipe"] == "experiments/dcgan.py:quickstart"
    assert result["command"] == (
        "python scripts/train.py experiments/dcgan.py:quickstart --data.path pictures.zip"
        " --workdir=runs/"
    )
    assert (result["seeds"], result["kimg"], result["minutes"]) == ([0, 1], 2.0, [2.0, 2.0])
    assert result["metrics"] == {FID: [8.0, 9.0], RECALL: [0.5, 0.5]}
    assert result["date"] == "2023-11-14"
    found = results.summarise(result)[FID]
    assert (found.mean, found.seeds) == (8.5, 2) and found.deviation == pytest.approx(0.5**0.5)


def test_a_result_has_the_date_of_an_evaluation_after_the_training(tmp_path):
    workdir = run(tmp_path / "a", 0, 8.0)
    run_log.append_scores(
        workdir, {"step": 20, "kimg": 2.0}, {"kid2k-train[net,antialias]": 0.1}, 0
    )
    today = time.strftime("%Y-%m-%d", time.gmtime())
    assert results.collect([workdir])["date"] == today


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({"fingerprint": "other"}, "differs from .* in fingerprint"),
        ({"seed": 0}, "the same seed: 0, 0"),
        ({"dirty": True}, "without a clean git revision"),
    ],
)
def test_runs_that_do_not_belong_together_are_refused(tmp_path, changes, expected):
    with pytest.raises(UserError, match=expected):
        results.collect([run(tmp_path / "a", 0, 8.0), run(tmp_path / "b", 1, 9.0, **changes)])


def test_runs_of_other_lengths_do_not_belong_together(tmp_path):
    longer = run(tmp_path / "b", 1, 9.0)
    with run_log.open_metrics(longer / "metrics.jsonl", step=20) as file:
        run_log.write_row(file, {"step": 40, "kimg": 4.0, "time": 1.8e9, FID: 7.0})
    with pytest.raises(UserError, match=r"differs from .* in kimg"):
        results.collect([run(tmp_path / "a", 0, 8.0), longer])


def test_a_round_evaluated_before_the_last_has_its_own_kimg_and_minutes(tmp_path):
    workdir = run(tmp_path / "a", 0, 8.0)
    with run_log.open_metrics(workdir / "metrics.jsonl", step=20) as file:
        run_log.write_row(file, {"step": 40, "kimg": 4.0, "time": 1.7e9 + 240})
    result = results.collect([workdir])
    assert (result["kimg"], result["minutes"]) == (2.0, [2.0])


def test_a_run_without_metrics_is_refused(tmp_path):
    workdir = run(tmp_path / "a", 0, 8.0)
    (workdir / "metrics.jsonl").write_text('{"step": 1}\n')
    with pytest.raises(UserError, match="evaluate the run first"):
        results.collect([workdir])


def test_numbers_that_no_run_gave_are_found(tmp_path):
    result = results.collect([run(tmp_path / "a", 0, 8.04), run(tmp_path / "b", 1, 9.04)])
    text = "FID 8.5 +- 0.7 (8.04 and 9.04), recall 0.50; 50.0 %; 2.0 minutes; arXiv:1511.06434"
    assert results.unsupported(text, result) == []
    assert results.unsupported("FID 8.6, recall 0.51", result) == ["8.6", "0.51"]


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_a_recipe_says_what_its_result_file_says(path):
    result = results.read(path)
    file, _, name = result["recipe"].partition(":")
    recipe = config.recipes(EXPERIMENTS / f"{Path(file).stem}.py")[name]  # or a short name
    assert result["fingerprint"] == config.fingerprint(recipe()), "the recipe has changed since"
    description = recipe.__doc__ or ""
    told = [p for p in description.split("\n\n") if f"results/{path.name}" in p]
    assert told, f"{result['recipe']} does not name its result file"
    text = re.sub(r"\s+", " ", " ".join(told))
    assert results.unsupported(text, result) == []
