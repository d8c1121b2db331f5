"""Ablation tables: what the runs on disk say, and nothing else."""

import csv
import dataclasses
import io
import json
import math

import pytest
from helpers.paths import EXPERIMENTS
from PIL import Image

from gan_jax import config
from gan_jax.build import schedule
from gan_jax.commands import ablate
from gan_jax.config import Experiment
from gan_jax.errors import UserError
from gan_jax.reporting import ablation_table, run_log, table_formats

BASE = config.change(Experiment("base"), {"run.kimg": 0.64})
FID, OTHER = "fid1k-train[net,antialias]", "fid2k-train[net,antialias]"


def ablation(**options):
    rows = {"plain": {}, "+ R1 & co": {"game.r1": 1.0}}
    return config.ablation(BASE, rows, quantities=("fid", "precision"), **options)


def write(root, row, seed, value, *, name=FID, done=True, samples=False):
    """A run's directory as training leaves it."""
    experiment = config.change(ablation().rows[row], {"seed": seed})
    where = ablation_table.workdir(root, "t", row, experiment)
    where.mkdir(parents=True)
    scores = {} if value is None else {name: value, "precision1k-train[net,antialias,k=3]": 0.5}
    rows = [{"step": 1, name: 99.0}, {"step": 10, "generator/loss": 1.0, **scores}]
    (where / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if done:
        total = schedule.total(experiment)
        (where / "checkpoints" / str(total)).mkdir(parents=True)
    if samples:
        (where / "samples").mkdir()
        Image.new("L", (4, 4)).save(where / "samples" / "00000010.png")
        Image.new("L", (4, 4)).save(where / "walks.png")
    return experiment, where


def test_a_cell_is_mean_and_sample_deviation_over_the_seeds_that_finished(tmp_path):
    for seed, value in enumerate((10.0, 12.0, 14.0)):
        write(tmp_path, "plain", seed, value)
    made = ablation_table.make_table(ablation(), "t", tmp_path)
    assert made.lines[0].cells[FID].values == (10.0, 12.0, 14.0)
    assert made.lines[0].cells[FID].text == "12.0 ± 2.00 (3)"


def test_a_later_evaluation_adds_what_the_training_did_not_measure(tmp_path):
    """And of another round, or of a quantity that the training measured, it changes nothing."""
    _, where = write(tmp_path, "plain", 0, 10.0)
    for step, scores in ((10, {"psnr5-test[pixels]": 20.0, FID: 1.0}), (5, {"ssim5[pixels]": 0.5})):
        run_log.append_scores(where, {"step": step, "kimg": 0.1}, scores, seed=0)
    expected = {FID: 10.0, "precision1k-train[net,antialias,k=3]": 0.5, "psnr5-test[pixels]": 20.0}
    assert ablation_table.final_scores(where) == expected


def test_what_has_not_run_is_a_dash(tmp_path):
    write(tmp_path, "plain", 0, 10.0)
    write(tmp_path, "+ R1 & co", 0, 8.0, done=False)
    text = table_formats.to_markdown(ablation_table.make_table(ablation(), "t", tmp_path))
    assert "| + R1 & co | — | — |" in text
    assert "10.0 (1)" in text


def test_numbers_under_two_names_never_share_a_column(tmp_path):
    write(tmp_path, "plain", 0, 10.0)
    write(tmp_path, "+ R1 & co", 0, 8.0, name=OTHER)
    made = ablation_table.make_table(ablation(), "t", tmp_path)
    assert set(made.columns) == {FID, OTHER, "precision1k-train[net,antialias,k=3]"}
    assert OTHER not in made.lines[0].cells
    assert made.lines[1].cells[OTHER].values == (8.0,)


def test_the_papers_figure_has_a_column_of_its_own(tmp_path):
    write(tmp_path, "plain", 0, 10.0)
    made = ablation_table.make_table(
        ablation(paper={"plain": "4.40"}, source="A. Uthor 2020"), "t", tmp_path
    )
    head, body = (
        table_formats.to_markdown(made).splitlines()[0],
        table_formats.to_markdown(made).splitlines()[2],
    )
    assert head.split("|")[-2].strip() == "paper"
    assert body.split("|")[-2].strip() == "4.40"
    assert "A. Uthor 2020" in table_formats.to_markdown(made)


def bold_rows(root):
    lines = table_formats.to_markdown(ablation_table.make_table(ablation(), "t", root)).splitlines()
    return [line.split("|")[1].strip() for line in lines if "**" in line]


def write_seeds(root, row, values, **options):
    for seed, value in enumerate(values):
        write(root, row, seed, value, **options)


@pytest.mark.parametrize(
    ("quantity", "ahead"), [(FID, "+ R1 & co"), ("precision1k-train[a,b]", "plain")]
)
def test_bold_is_ahead_in_the_metrics_own_direction(tmp_path, quantity, ahead):
    write_seeds(tmp_path, "plain", (0.8, 0.9), name=quantity)
    write_seeds(tmp_path, "+ R1 & co", (0.4, 0.5), name=quantity)
    assert bold_rows(tmp_path) == [ahead]


@pytest.mark.parametrize(
    "values", [((9.0,), (1.0,)), ((9.0, 9.0), (9.0, 9.0)), ((6.0, 10.0), (8.0, 14.0))]
)
def test_nothing_is_bold_that_is_not_ahead_by_more_than_the_spread(tmp_path, values):
    """One seed has no spread; the last rows' means differ by 3 and the second deviates by 4.2."""
    write_seeds(tmp_path, "plain", values[0])
    write_seeds(tmp_path, "+ R1 & co", values[1])
    assert not bold_rows(tmp_path)


def test_what_has_no_better_way_has_no_arrow_and_no_bold(tmp_path):
    name = "copy_x2y_f0_mean24-test[hz]"
    write_seeds(tmp_path, "plain", (1.0, 1.1), name=name)
    write_seeds(tmp_path, "+ R1 & co", (5.0, 5.1), name=name)
    asked = dataclasses.replace(ablation(), quantities=("copy_x2y_f0_mean",))
    text = table_formats.to_markdown(ablation_table.make_table(asked, "t", tmp_path))
    assert name in text and "**" not in text and "↑" not in text and "↓" not in text


def test_a_run_whose_numbers_are_not_finite_is_counted_as_stopped(tmp_path):
    experiment, where = write(tmp_path, "plain", 0, None, done=False)
    with open(where / "metrics.jsonl", "a") as file:
        file.write(json.dumps({"step": 11, "generator/loss": "NaN"}) + "\n")
        for metric in ("fid", "kid", "swd"):  # measured of an earlier round since
            file.write(json.dumps({"step": 1, "evaluated": 0, metric: 1.0}) + "\n")
    assert ablation_table.state(experiment, where) == "stopped"
    assert "plain (1 stopped)" in table_formats.to_markdown(
        ablation_table.make_table(ablation(), "t", tmp_path)
    )


@pytest.mark.parametrize("done", [True, False])
def test_a_runs_state_is_read_from_its_checkpoints(tmp_path, done):
    experiment, where = write(tmp_path, "plain", 0, 1.0, done=done)
    assert ablation_table.state(experiment, where) == ("done" if done else "begun")
    assert ablation_table.state(experiment, tmp_path / "nowhere") == "to do"


def test_latex_escapes_what_it_must(tmp_path):
    write(tmp_path, "plain", 0, 10.0)
    text = table_formats.to_latex(ablation_table.make_table(ablation(), "t", tmp_path))
    assert r"+ R1 \& co" in text
    assert text.count(r"\begin{") == text.count(r"\end{") == 2
    assert "—" not in text


def test_csv_holds_every_seeds_value_in_full(tmp_path):
    write(tmp_path, "plain", 0, 1 / 3)
    rows = list(
        csv.reader(
            io.StringIO(ablation_table.to_csv(ablation_table.make_table(ablation(), "t", tmp_path)))
        )
    )
    assert rows[1][:2] == ["plain", FID]
    assert math.isclose(float(rows[1][3]), 1 / 3, rel_tol=0.0)


def test_csv_is_read_back(tmp_path):
    for seed, value in enumerate((1 / 3, 2 / 3)):
        write(tmp_path, "plain", seed, value)
    text = ablation_table.to_csv(ablation_table.make_table(ablation(), "t", tmp_path))
    assert ablation_table.from_csv(text)[FID] == {"plain": [1 / 3, 2 / 3]}


def test_an_earlier_table_fills_in_the_seeds_that_have_no_run(tmp_path):
    for seed, value in enumerate((1.0, 2.0)):
        write(tmp_path / "here", "plain", seed, value)
    earlier = ablation_table.to_csv(ablation_table.make_table(ablation(), "t", tmp_path / "here"))
    write(tmp_path / "there", "plain", 1, 5.0)
    write(tmp_path / "there", "plain", 2, 7.0)
    scores = ablation_table.scores_of_csv(earlier)
    cell = (
        ablation_table.make_table(ablation(), "t", tmp_path / "there", scores).lines[0].cells[FID]
    )
    assert cell == ablation_table.Cell((1.0, 5.0, 7.0), (0, 1, 2))
    with pytest.raises(ValueError, match="columns a, b instead of row"):
        ablation_table.scores_of_csv("a,b\n1,2\n")
    with pytest.raises(ValueError, match="line of row 'plain' is too short"):
        ablation_table.scores_of_csv("row,metric,seed,value\nplain,fid,0\n")


def committed():
    """Where the tables are whose numbers are kept, and the files without endings."""
    for file in sorted((EXPERIMENTS / "ablations").glob("*.py")):
        names = config.tables(file)
        for where in [f"{file}:{name}" for name in names] if len(names) > 1 else [str(file)]:
            kept = file.parent / ablate.name(where)
            if kept.with_suffix(".csv").exists():
                yield pytest.param(where, kept, id=kept.name)


@pytest.mark.parametrize(("where", "kept"), list(committed()))
def test_a_committed_table_is_what_its_numbers_give(where, kept, tmp_path):
    scores = ablation_table.scores_of_csv(kept.with_suffix(".csv").read_text())
    made = ablation_table.make_table(config.table(where), "t", tmp_path, scores)
    assert table_formats.to_markdown(made) == kept.with_suffix(".md").read_text()


def test_the_page_stands_alone_with_the_grids(tmp_path):
    write(tmp_path, "plain", 0, 10.0, samples=True)
    page = table_formats.to_html(ablation_table.make_table(ablation(), "t", tmp_path))
    assert page.count("data:image/png;base64,") == 2
    assert "plain: interpolations between two latents" in page
    assert 'src="http' not in page
    assert "+ R1 &amp; co" in page


def test_rows_that_share_a_change_live_in_directories_of_their_own():
    places = [where for _, _, where in ablation_table.runs(ablation(), "t", "runs")]
    assert len(set(places)) == len(places) == 6


def test_rows_may_pile_up():
    rows = {"a": {}, "b": {"game.r1": 1.0}, "c": {"game.r2": 1.0}}
    piled = config.ablation(BASE, rows, quantities=("fid",), cumulative=True)
    alone = config.ablation(BASE, rows, quantities=("fid",))
    assert (piled.rows["c"].game.r1, alone.rows["c"].game.r1) == (1.0, 0.0)


def test_a_table_with_a_mistake_is_refused():
    with pytest.raises(UserError, match=r"game\.r3.*'r1'|game\.r3.*'r2'"):
        config.ablation(BASE, {"a": {"game.r3": 1.0}}, quantities=())
    with pytest.raises(UserError, match="'a' and 'b' are the same"):
        config.ablation(BASE, {"a": {}, "b": {}}, quantities=())
    with pytest.raises(UserError, match=r"no row 'A'.*'a'"):
        config.ablation(BASE, {"a": {}}, quantities=(), paper={"A": "1"})


def test_rows_are_compared_by_seeds_and_standard_error():
    """Welch: sqrt(s1^2/n1 + s2^2/n2); of a FID less is better."""
    text = ablation_table.compare_rows(FID, "a", [1.0, 3.0], "b", [4.0, 6.0])
    assert text == "a - b: -3 ± 1.4, better in 4 of 4 pairs"
    assert "better in 0 of 4" in ablation_table.compare_rows(
        "precision1k[n]", "a", [1.0, 3.0], "b", [4.0, 6.0]
    )
    assert "no error known" in ablation_table.compare_rows(FID, "a", [1.0], "b", [4.0])
