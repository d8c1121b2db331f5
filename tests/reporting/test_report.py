import html.parser
import json
import math
import re

import jinja2
import numpy as np
import pytest

from gan_jax import grids
from gan_jax.errors import UserError
from gan_jax.metrics.names import short_names
from gan_jax.reporting import charts, frames, metric_table, run_log, template
from gan_jax.reporting import page as report_page

HOSTILE = '</script><script>alert("x")</script>&@@data@@'


def run(tmp_path, rows=(), config=None, samples=()):
    if config is not None:
        (tmp_path / "config.json").write_text(json.dumps(config))
    with run_log.open_metrics(tmp_path / "metrics.jsonl") as file:
        for row in rows:
            run_log.write_row(file, row)
    for step in samples:
        grids.save_png(tmp_path / "samples" / f"{step:08d}.png", np.zeros((8, 8, 1), np.uint8))
    return tmp_path


def page(workdir, panels=()):
    path = report_page.write_report(workdir, panels)
    assert path == workdir / "report.html"
    return path.read_text(encoding="utf-8")


def data(text):
    found = re.search(r'id="data">(.*?)</script>', text, re.S)
    assert found
    return json.loads(found[1])


def rows(count, **more):
    return [
        {
            "step": k,
            "kimg": k * 0.064,
            "time": 1e9 + k,
            "discriminator/loss": 1 / k,
            "generator/loss": 2.0 + k % 3,
            "discriminator/real_accuracy": 0.9,
            "discriminator/fake_accuracy": 0.8,
            "images_per_second": 640.0,
            **more,
        }
        for k in range(1, count + 1)
    ]


class Elements(html.parser.HTMLParser):
    """The elements of a page in order, and those that were left open."""

    def __init__(self, text):
        super().__init__()
        self.found, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in ("meta", "input", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("count", [0, 1, 2, 50])
@pytest.mark.parametrize("samples", [(), (10,), (10, 20)])
def test_runs_of_any_length_have_a_page_of_closed_elements(tmp_path, count, samples):
    text = page(run(tmp_path, rows(count), {"recipe": "a.py:b"}, samples))
    elements = Elements(text)
    assert not elements.open
    assert len([1 for tag, _ in elements.found if tag == "img"]) == len(samples)
    assert len(data(text)["frames"]) == len(samples)
    assert len(data(text)["charts"]) == (3 if count else 0)


def test_an_empty_directory_has_a_page(tmp_path):
    assert "No metrics have been written yet" in page(tmp_path)


def test_a_missing_directory_is_named(tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        report_page.write_report(tmp_path / "nowhere")


def test_a_spoilt_config_is_named(tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config\.json"):
        report_page.write_report(tmp_path)


def test_the_page_needs_nothing_from_outside(tmp_path):
    text = page(run(tmp_path, rows(5), {"recipe": "a.py:b"}, (1, 2)))
    for _, attributes in Elements(text).found:
        for name in ("src", "href", "data", "action"):
            assert attributes.get(name, "data:").startswith("data:")
    assert "url(#" in text and not re.search(r"url\((?!#)|@import", text)


def test_everything_from_files_is_escaped(tmp_path):
    config = {
        "recipe": HOSTILE,
        "fingerprint": HOSTILE,
        "revision": HOSTILE,
        "device": HOSTILE,
        "command": [HOSTILE],
        "experiment": {HOSTILE: {HOSTILE: [HOSTILE]}, "plain": HOSTILE},
        "data": {"name": HOSTILE},
        "versions": {HOSTILE: HOSTILE},
        "seed": HOSTILE,
    }
    said = [*rows(3), {"step": 3, "event": HOSTILE, HOSTILE: 1.0, f"generator/{HOSTILE}": 2.0}]
    text = page(run(tmp_path, said, config), [report_page.Panel(HOSTILE, "<p>taken as it is</p>")])
    assert '<script>alert("' not in text and "<p>taken as it is</p>" in text
    assert len([1 for tag, _ in Elements(text).found if tag == "script"]) == 2
    assert data(text)["events"][0]["text"] == HOSTILE


def test_what_is_not_finite_is_drawn_as_a_gap_with_a_warning(tmp_path):
    said = rows(6)
    said[3]["generator/loss"] = math.nan
    said[4]["generator/loss"] = math.inf
    text = page(run(tmp_path, said))
    (generator, _) = data(text)["charts"][0]["series"]
    assert generator["name"] == "generator"
    assert [y is None for y in generator["y"]] == [False, False, False, True, True, False]
    assert generator["bad"] == [3, 4]
    assert "round 4: generator/loss is not finite from here on (2 of 6 values)" in text


def test_a_curve_of_nothing_finite_is_survived(tmp_path):
    assert "nan" in page(run(tmp_path, [{"step": 1, "fid": math.nan, "generator/loss": math.inf}]))


def test_at_most_sixty_frames_are_shown_evenly(tmp_path):
    shown = data(page(run(tmp_path, rows(3), samples=range(0, 1000, 5))))["frames"]
    steps = [frame["step"] for frame in shown]
    assert len(steps) == 60 and steps[0] == 0 and steps[-1] == 995
    assert set(np.diff(steps)) <= {15, 20}


def test_many_large_grids_still_make_a_page_that_can_be_mailed(tmp_path, monkeypatch):
    monkeypatch.setattr(frames, "IMAGE_BYTES", 100_000)
    noise = np.random.default_rng(0).integers(0, 256, (100, 150, 3), np.uint8)
    for step in range(8):
        grids.save_png(tmp_path / "samples" / f"{step:08d}.png", noise)
    grids.save_png(tmp_path / "samples" / "reals.png", noise)
    text = page(tmp_path)
    assert len(text) < 180_000 and "Re-encoded with loss" in text
    steps = [frame["step"] for frame in data(text)["frames"]]
    assert 1 < len(steps) < 8 and steps[0] == 0 and steps[-1] == 7


def test_long_curves_are_reduced_to_their_range(tmp_path):
    values = np.random.default_rng(0).normal(size=4000)
    said = [{"step": k, "kimg": k, "generator/loss": x} for k, x in enumerate(values.tolist(), 1)]
    (curve,) = data(page(run(tmp_path, said)))["charts"][0]["series"]
    assert curve["thinned"] and len(curve["y"]) == len(curve["x"]["kimg"]) == 500
    pieces = values.reshape(500, 8)
    np.testing.assert_allclose(curve["y"], pieces.mean(1), rtol=1e-5)
    np.testing.assert_allclose(curve["lo"], pieces.min(1), rtol=1e-5)
    np.testing.assert_allclose(curve["hi"], pieces.max(1), rtol=1e-5)


def test_curves_of_one_chart_differ_in_colour(tmp_path):
    names = ("generator/loss", "discriminator/loss", "discriminator/r1/loss")
    (chart,) = data(page(run(tmp_path, [dict.fromkeys(names, 1.0) | {"step": 1}])))["charts"]
    assert [curve["name"] for curve in chart["series"]] == [n.removesuffix("/loss") for n in names]
    assert len({curve["color"] for curve in chart["series"]}) == 3


def test_real_and_fake_share_a_chart(tmp_path):
    row = {
        f"discriminator/{side}_{x}": 0.5 for side in ("fake", "real") for x in ("logit", "accuracy")
    }
    accuracy, logit = data(page(run(tmp_path, [row | {"step": 1}])))["charts"]
    assert accuracy["percent"] and "percent" not in logit
    for chart in (accuracy, logit):
        names = [curve["name"] for curve in chart["series"]]
        assert names == ["discriminator on real", "discriminator on fake"]


def test_a_grid_that_was_drawn_again_is_encoded_again(tmp_path, monkeypatch):
    monkeypatch.setattr(frames, "IMAGE_BYTES", 1)
    sources = set()
    for level in (0, 200):
        grid = np.full((8, 8, 1), level, np.uint8)
        grids.save_png(tmp_path / "samples" / "00000001.png", grid)
        sources |= {a["src"] for tag, a in Elements(page(tmp_path)).found if tag == "img"}
    assert len(sources) == 2


def test_a_pause_before_resuming_is_not_counted(tmp_path):
    said = [
        {"step": 1, "time": 100.0, "generator/loss": 1.0},
        {"step": 2, "time": 120.0, "generator/loss": 1.0},
        {"step": 2, "time": 9000.0, "event": run_log.RESUMED},
        {"step": 3, "time": 9030.0, "generator/loss": 1.0},
    ]
    text = page(run(tmp_path, said))
    assert data(text)["charts"][0]["series"][0]["x"]["time"] == [0, 20, 50]
    assert "<dd>50 s" in text and "Warnings" not in text and "round 2: resumed" in text


def test_rows_without_kimg_are_placed_between_their_neighbours(tmp_path):
    said = [{"step": 10, "kimg": 1.0}, {"step": 15, "fid": 3.0}, {"step": 20, "kimg": 2.0}]
    said.append({"step": 20, "fid": 2.0})
    (fid,) = data(page(run(tmp_path, said, samples=(5,))))["charts"]
    assert fid["series"][0]["x"]["kimg"] == [1.5, 2.0]
    assert data(page(tmp_path))["frames"][0]["kimg"] == 0.5


@pytest.mark.parametrize(
    "name, best",
    [
        ("kid1k-test[efficientnet-lite0,antialias]", 1),
        ("fid50k-train[efficientnet-lite0,antialias]", 1),
        ("precision1k-train[efficientnet-lite0,antialias]", 2),
        ("modes", 2),
        ("discriminator", None),
        ("unheard_of", None),
    ],
)
def test_the_best_evaluation_is_marked_where_its_direction_is_known(tmp_path, name, best):
    said = [{"step": k, name: value} for k, value in enumerate((0.5, 0.1, 0.9, math.nan))]
    (chart,) = data(page(run(tmp_path, said)))["charts"]
    assert chart["full"] == name and chart["series"][0].get("best") == best


def test_an_evaluation_of_one_value_has_a_row_and_no_chart(tmp_path):
    name = "fid1k-train[net,antialias]"
    text = page(run(tmp_path, [{"step": 9, "kimg": 1.0, name: 12.5}]))
    assert data(text)["charts"] == []
    assert f'<th scope="row" title="{name}">FID ↓</th><td class="n">12.5</td>' in text
    assert f'<dt title="{name}">FID ↓</dt><dd>12.5' in text


def test_baselines_stand_beside_their_metric(tmp_path):
    scores = {
        "label_accuracy5k[net]": 0.9,
        "real_label_accuracy1k-test[net]": 0.92,
        "x2y_kid9-test[net]": 0.3,
        "copy_x2y_kid9-test[net]": 0.5,
        "chance_unheard": 0.1,
    }
    curves = charts.read_curves([{"step": 1, **scores}])
    table = metric_table.metric_table(curves, charts.read_axes([{"step": 1}]))
    assert table
    assert table["columns"] == ["real data", "input copied"] and not table["repeated"]
    shown = {row["name"]: (row["last"], row["others"]) for row in table["rows"]}
    assert shown == {
        "label accuracy": ("0.9", ["0.92", ""]),
        "x2y KID": ("0.3", ["", "0.5"]),
    }


def test_short_names_keep_what_tells_names_apart():
    names = (
        "fid5k-train[net,seen]",
        "fid5k-train[net,unseen]",
        "kid1k-test[a,b]",
        "kid2k-test[a,b]",
    )
    assert list(short_names(names).values()) == [
        "FID, seen",
        "FID, unseen",
        "KID, 1k, test",
        "KID, 2k, test",
    ]


def test_rows_columns_and_captions_of_grids_have_titles(tmp_path):
    workdir = run(tmp_path, rows(1), samples=(0,))
    layout = {"rows": ["shirt", "<shoe>"], "columns": ["input", "output"], "captions": ["a hat"]}
    (workdir / "samples" / "layout.json").write_text(json.dumps(layout))
    text = page(workdir)
    assert "<span>shirt</span><span>&lt;shoe&gt;</span>" in text
    assert "<span>input</span><span>output</span>" in text and "<li>a hat</li>" in text


def test_a_spoilt_layout_is_named(tmp_path):
    workdir = run(tmp_path, rows(1), samples=(0,))
    (workdir / "samples" / "layout.json").write_text("[1]")
    with pytest.raises(UserError, match=r"layout\.json"):
        page(workdir)


def test_networks_and_data_are_described(tmp_path):
    config = {
        "parameters": {"generator": 1_500_000, "discriminator": 2_500},
        "data": {"name": "toys", "size": 1234, "shape": "8 x 8 x 1", "description": "Drawn."},
    }
    text = page(run(tmp_path, rows(1), config))
    assert "generator 1.5 M, discriminator 2.5 k" in text
    assert "data toys: 1,234 of 8 x 8 x 1, Drawn." in text


def test_the_page_says_how_to_repeat_and_to_resume(tmp_path):
    config = {"recipe": "experiments/dcgan.py:quickstart", "revision": "abc123", "dirty": True}
    text = page(run(tmp_path, config=config))
    assert "git checkout abc123\npython scripts/train.py experiments/dcgan.py:quickstart<" in text
    assert f"dcgan.py:quickstart --workdir {tmp_path}<" in text
    assert "not committed" in text


def test_the_page_repeats_a_run_of_the_command(tmp_path):
    command = ["gan-jax", "train", "dcgan:quickstart", "--seed", "1"]
    text = page(run(tmp_path, config={"recipe": "dcgan:quickstart", "command": command}))
    assert ">gan-jax train dcgan:quickstart --seed 1<" in text
    assert f">gan-jax train dcgan:quickstart --seed 1 --workdir {tmp_path}<" in text


def test_every_image_and_control_has_a_name(tmp_path):
    workdir = run(tmp_path, rows(3), samples=(1, 2))
    grids.save_png(workdir / "samples" / "reals.png", np.zeros((8, 8, 3), np.uint8))
    found = Elements(page(workdir)).found
    labelled = {a["for"] for tag, a in found if tag == "label" and "for" in a}
    assert all(a.get("alt") for tag, a in found if tag == "img")
    for tag, attributes in found:
        if tag == "input":
            assert "aria-label" in attributes or attributes["id"] in labelled
    assert all(chart["label"] for chart in data(page(workdir))["charts"])


def test_thinned_keeps_both_ends():
    assert frames.thinned([1, 2, 3], 5) == [1, 2, 3]
    assert frames.thinned(range(100), 2) == [0, 99]
    assert frames.thinned(range(100), 1) == [99]


def test_a_value_that_a_template_lacks_is_named():
    with pytest.raises(jinja2.UndefinedError, match="title"):
        template.render("ablation_table.html", head=[])
