"""Every recipe of the project builds, and its smallest relative trains."""

import re
from pathlib import Path

import numpy as np
import pytest
from helpers.paths import EXPERIMENTS

from gan_jax import config
from gan_jax.build.experiment import build
from gan_jax.evaluation import registry
from gan_jax.reporting import ablation_table, run_log
from gan_jax.training.loop import train

RECIPES = sorted(
    f"{file}:{name}" for file in EXPERIMENTS.glob("*.py") for name in config.recipes(file)
)
SHORT = [recipe.rpartition("/")[2] for recipe in RECIPES]


@pytest.mark.parametrize("recipe", RECIPES, ids=SHORT)
def test_the_recipe_builds_at_full_size(recipe):
    experiment = config.change(config.recipe(recipe), {"run.devices": 1})
    if config.counts_classes(experiment):
        experiment = config.change(experiment, {"game.classes": 10})
    built = build(experiment)
    assert set(built.game.players) == {move.player for move in built.game.moves}
    stem = recipe.rpartition("/")[2].partition(".")[0]
    assert experiment.name.startswith(stem.replace("_", "-"))


@pytest.mark.parametrize("recipe", RECIPES, ids=SHORT)
def test_the_recipe_says_what_it_is(recipe):
    path, _, name = recipe.rpartition(":")
    doc = config.recipes(path)[name].__doc__ or ""
    assert len(doc.split()) > 5
    assert re.search(r"Not measured|\d{4}-\d\d-\d\d", doc), "what was measured when, or not"


def relatives():
    """The smallest relatives of all recipes, each once: those of large data sets are the same."""
    found = {}
    for recipe, short in zip(RECIPES, SHORT, strict=True):
        experiment = config.tiny(config.recipe(recipe))
        changes = {"name": "tiny", "run.devices": 1}
        for role in ("generator", "discriminator"):
            if getattr(experiment, role).decay[1]:
                changes[f"{role}.decay"] = (experiment.run.kimg / 2, experiment.run.kimg)
        found.setdefault(config.change(experiment, changes), []).append(short)
    return {" ".join(names): experiment for experiment, names in found.items()}


RELATIVES = relatives()


@pytest.mark.parametrize("experiment", RELATIVES.values(), ids=RELATIVES)
def test_the_tiny_recipe_trains_two_rounds(experiment, tmp_path):
    state = train(experiment, tmp_path)
    assert int(state.step) == 2
    rows = run_log.read_metrics(tmp_path / run_log.METRICS)
    losses = {name: x for row in rows for name, x in row.items() if name.endswith("/loss")}
    moves = build(experiment).game.moves
    assert set(losses) == {f"{move.label}/loss" for move in moves}, "two rounds play every move"
    assert np.isfinite(list(losses.values())).all()


TABLES = sorted(
    f"{file}:{name}"
    for file in (EXPERIMENTS / "ablations").glob("*.py")
    for name in config.tables(file)
)


@pytest.mark.parametrize("where", TABLES, ids=[t.rpartition("/")[2] for t in TABLES])
def test_every_row_of_the_table_builds(where):
    made = config.table(where)
    for experiment in made.rows.values():
        build(config.change(experiment, {"run.devices": 1}))
    base = next(iter(made.rows.values()))
    assert len(made.seeds) == 3
    assert registry.expand(base.run.metrics)
    assert made.quantities


@pytest.mark.parametrize("where", TABLES, ids=[t.rpartition("/")[2] for t in TABLES])
def test_the_numbers_of_a_table_are_beside_it_or_it_says_that_there_are_none(where):
    """`gan-jax table` wrote them: no row without a number, no number by hand."""
    path, _, name = where.rpartition(":")
    alone = len(config.tables(path)) == 1
    file = Path(path).with_name(f"{Path(path).stem}{'' if alone else '-' + name.lower()}.csv")
    if not file.exists():
        assert "Not measured" in file.with_name(Path(path).name).read_text().split('"""')[1]
        return
    values = ablation_table.from_csv(file.read_text())
    rows = set(config.table(where).rows)
    shown = file.with_suffix(".md").read_text()
    for metric, found in values.items():
        assert metric in shown
        assert set(found) <= rows
    assert set.union(*(set(found) for found in values.values())) == rows
