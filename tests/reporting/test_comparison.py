import json
import re

import numpy as np
import pytest

from gan_jax import grids
from gan_jax.errors import UserError
from gan_jax.reporting import comparison, run_log

FID = "fid1k-train[net,antialias]"


def run(workdir, *, r1, fid=None, seed=0, recipe="experiments/dcgan.py:plain", count=3):
    experiment = {"name": "x", "seed": seed, "game": {"r1": r1, "z": 64}}
    config = {"recipe": recipe, "seed": seed, "experiment": experiment}
    workdir.mkdir(parents=True)
    (workdir / "config.json").write_text(json.dumps(config))
    with run_log.open_metrics(workdir / "metrics.jsonl") as file:
        for k in range(1, count + 1):
            row = {"step": k, "kimg": k / 10, "time": 60.0 * k, "generator/loss": 1.0 / k}
            run_log.write_row(file, row)
        if fid is not None:
            run_log.write_row(file, {"step": count, "kimg": count / 10, FID: fid})
    grids.save_png(workdir / "samples" / "00000003.png", np.zeros((8, 8, 1), np.uint8))
    return workdir


def page(tmp_path, *runs):
    return comparison.write_comparison(runs, tmp_path / "page.html").read_text()


def data(text):
    found = re.search(r'id="data">(.*?)</script>', text, re.S)
    assert found
    return json.loads(found[1])


def test_runs_have_a_curve_each_and_are_named_by_what_differs(tmp_path):
    runs = run(tmp_path / "a", r1=0.0, fid=9.0), run(tmp_path / "b", r1=0.5, fid=7.0)
    text = page(tmp_path, *runs)
    (losses,) = data(text)["charts"]
    assert losses["title"] == "generator: loss"
    assert [series["name"] for series in losses["series"]] == ["r1 0.0", "r1 0.5"]
    assert len({series["color"] for series in losses["series"]}) == 2
    assert '<th scope="row">game.r1</th><td class="n">0.0</td><td class="n">0.5</td>' in text
    assert "game.z" not in text and text.count("<img") == 2


def test_the_best_run_of_a_metric_is_marked_and_a_missing_value_is_empty(tmp_path):
    runs = [
        run(tmp_path / n, r1=r, fid=f) for n, r, f in (("a", 0, 9.0), ("b", 1, 7.0), ("c", 2, None))
    ]
    cells = (
        f'title="{FID}">FID ↓</th><td class="n">9</td><td class="n best">7</td><td class="n"></td>'
    )
    assert cells in page(tmp_path, *runs)


def test_runs_of_other_recipes_and_seeds_are_named_by_them(tmp_path):
    runs = (
        run(tmp_path / "a", r1=0.0),
        run(tmp_path / "b", r1=0.0, recipe="experiments/gan.py:grid"),
    )
    assert "</i>dcgan.py:plain</th>" in page(tmp_path, *runs)
    runs = run(tmp_path / "c", r1=0.0), run(tmp_path / "d", r1=0.0, seed=1)
    assert "</i>seed 1</th>" in page(tmp_path, *runs)


def test_equal_runs_are_named_by_their_directories(tmp_path):
    runs = run(tmp_path / "a", r1=0.0), run(tmp_path / "b", r1=0.0)
    assert f"{tmp_path}/b" in page(tmp_path, *runs)


def test_times_of_runs_of_different_length_share_a_unit(tmp_path):
    runs = run(tmp_path / "a", r1=0.0, count=2), run(tmp_path / "b", r1=1.0, count=9)
    (losses,) = data(page(tmp_path, *runs))["charts"]
    assert [series["x"]["time"][-1] for series in losses["series"]] == [1.0, 8.0]  # minutes


def test_a_directory_without_a_run_is_named(tmp_path):
    with pytest.raises(UserError, match="no run in"):
        page(tmp_path, run(tmp_path / "a", r1=0.0), tmp_path)


def test_text_from_runs_is_escaped(tmp_path):
    hostile = "experiments/x.py:<script>"
    text = page(tmp_path, run(tmp_path / "a", r1=0.0), run(tmp_path / "b", r1=0.0, recipe=hostile))
    assert ":&lt;script&gt;" in text and ":<script>" not in text
