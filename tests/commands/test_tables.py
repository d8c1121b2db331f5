"""Ablation tables from the command line."""

from helpers.command_line import run
from helpers.paths import ROOT

from gan_jax.commands import ablate, table

TABLE = """
from gan_jax.config import Mlp, Player, ablation, change, recipe, tiny
BASE = change(tiny(recipe("{ring}")), {{"run.metrics": ("mode_coverage",), "run.devices": 1}})
ROWS = {{"plain": {{}}, "R1": {{"game.r1": 1.0}}}}
TABLE = ablation(BASE, ROWS, quantities=("modes",), seeds=(0, 1))
"""


def test_a_table_without_runs_shows_the_numbers_that_come_with_it_and_says_so(tmp_path, capsys):
    file, root = ROOT / "experiments/ablations/alternation.py", ["--root", tmp_path / "runs"]
    assert run(table, file, *root) == 0
    shown = capsys.readouterr()
    assert shown.out == file.with_suffix(".md").read_text()
    assert f"these are the numbers of {file.with_suffix('.csv')}" in shown.err


def test_a_table_without_runs_or_numbers_is_refused_with_the_command(tmp_path, capsys):
    file = tmp_path / "small.py"
    file.write_text(TABLE.format(ring=f"{ROOT}/experiments/gan.py:ring8_collapse"))
    assert run(table, file, "--root", tmp_path / "runs", "--out", tmp_path / "t.md") == 2
    assert f"run `python scripts/ablate.py {file} run`" in capsys.readouterr().err
    assert not (tmp_path / "t.md").exists()


def test_a_table_runs_what_is_not_done_and_prints_what_is(tmp_path, capsys):
    file, root = tmp_path / "small.py", ["--root", tmp_path / "runs"]
    file.write_text(TABLE.format(ring=f"{ROOT}/experiments/gan.py:ring8_collapse"))
    assert run(ablate, file, "run", "--rows", "R1", *root) == 0
    assert run(ablate, file, "commands", "--machines", 2, *root) == 0
    assert capsys.readouterr().out.count("run --rows plain --seeds") == 2
    assert run(ablate, file, *root) == 0
    assert "seed0 done, seed1 done" in capsys.readouterr().out
    assert run(table, file, *root) == 0
    shown = capsys.readouterr().out
    assert "| plain | — |" in shown
    assert "| R1 | " in shown and "(2)" in shown
    page = tmp_path / "small.html"
    assert run(table, file, *root, "--out", page) == 0
    assert page.read_text().startswith("<!doctype html>")
