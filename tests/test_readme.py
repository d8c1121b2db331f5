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


ROWS = [line.strip("| ").split(" | ") for line in TEXT.splitlines()]
RESULTS = [cells for cells in ROWS if len(cells) > 2 and cells[1].startswith("`experiments/")]


@pytest.mark.parametrize("cells", RESULTS, ids=[cells[1].strip("`") for cells in RESULTS])
def test_every_number_of_a_result_is_in_the_recipes_docstring(cells):
    _, recipe, *told = cells
    path, _, name = recipe.strip("`").partition(":")
    source = " ".join((config.recipes(ROOT / path)[name].__doc__ or "").split())
    for number in re.findall(r"(?<![\w-])\d[\d.,]*\d|(?<![\w-])\d", " ".join(told)):
        assert re.search(rf"(?<![\d.]){re.escape(number)}(?![\d]|\.\d)", source), number
