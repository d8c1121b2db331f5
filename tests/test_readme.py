"""What the README says is so: its example runs, its files and recipes exist."""

import re

import pytest
from helpers.paths import ROOT

from gan_jax import config

TEXT = (ROOT / "README.md").read_text()


def test_the_example_game_plays_a_round():
    code = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)[0]
    names: dict = {}
    exec(code, names)
    assert int(names["state"].step) == 1
    assert set(names["metrics"]) == {"discriminator", "generator"}


@pytest.mark.parametrize("where", sorted(set(re.findall(r"experiments/\w+\.py:\w+", TEXT))))
def test_every_recipe_named_exists(where):
    path, _, name = where.partition(":")
    assert name in config.recipes(ROOT / path)


@pytest.mark.parametrize(
    "path",
    sorted(
        set(
            re.findall(
                r"(?<!\w)(?:scripts|tests|gan_jax|notebooks|\.github|experiments)/[\w./-]*\w\.\w+",
                TEXT,
            )
        )
    ),
)
def test_every_file_named_exists(path):
    assert (ROOT / path).is_file()


def test_the_plans_table_is_that_of_the_script():
    written = (ROOT / "experiments" / "tpu_plan.md").read_text().splitlines()
    lines = re.search(r"^\| recipe \| px \|.*?(?=\n\n)", TEXT, flags=re.DOTALL | re.MULTILINE)
    assert lines
    assert set(lines[0].splitlines()) <= set(written)
    planned = {line.split(" | ")[0].removeprefix("| ") for line in lines[0].splitlines()[2:]}
    files = (ROOT / "experiments").glob("*.py")
    assert planned <= {f"{path.stem}:{name}" for path in files for name in config.recipes(path)}


def test_the_speeds_are_those_of_the_benchmark():
    """Batch, both sides' rounds a second, their ratio and the products, case by case."""
    table = re.search(r"^\| a round is .*?(?=\n\n)", TEXT, flags=re.DOTALL | re.MULTILINE)
    assert table
    told = [line.strip("| ").split(" | ")[1:] for line in table[0].splitlines()[2:]]
    page = (ROOT / "experiments" / "benchmark.md").read_text()
    rows = [line.strip("| ").split(" | ") for line in page.splitlines()]
    assert told == [[*row[1:5], row[-1]] for row in rows if len(row) == 11 and row[1].isdigit()]
