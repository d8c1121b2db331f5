"""How a recipe and a table are named: by a path, or by a name of the package."""

import pytest
from helpers.paths import EXPERIMENTS

from gan_jax import config
from gan_jax.errors import UserError

MINE = """
from gan_jax.config import Experiment, ablation

def quickstart() -> Experiment:
    return Experiment(name="mine")

ROWS = {"a": {}, "b": {"batch_size": 32}}
TABLE = ablation(Experiment(name="mine"), ROWS, quantities=("fid",))
"""


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """The working directory is an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["dcgan:quickstart", "experiments/dcgan.py:quickstart"])
def test_a_recipe_of_the_package_is_found_from_anywhere(elsewhere, name):
    assert config.recipe(name) == config.recipe(f"{EXPERIMENTS}/dcgan.py:quickstart")


@pytest.mark.parametrize(
    "name", ["slicing", "ablations/slicing", "experiments/ablations/slicing.py", "slicing:TABLE"]
)
def test_a_table_of_the_package_is_found_from_anywhere(elsewhere, name):
    assert config.table(name) == config.table(f"{EXPERIMENTS}/ablations/slicing.py")


def test_a_table_comes_before_the_recipes_of_the_same_name(elsewhere):
    assert config.find_table("stylegan") == EXPERIMENTS / "ablations" / "stylegan.py"
    assert "avatars" in config.recipes("stylegan")


@pytest.mark.parametrize("folder", ["", "experiments"])
def test_a_file_below_the_working_directory_comes_first(elsewhere, folder):
    path = elsewhere / folder / "dcgan.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(MINE)
    where = path.relative_to(elsewhere).as_posix()
    assert config.recipe(f"{where}:quickstart").name == "mine"
    assert list(config.table(where).rows) == ["a", "b"]
    assert config.recipe("dcgan:quickstart").name != "mine", "a name is the package's"


def test_all_recipes_have_names_by_which_they_are_found():
    found = config.all_recipes()
    assert {"dcgan:quickstart", "gan:ring8", "stylegan2:ffhq1024"} <= found.keys()
    assert all(name in config.recipes(file) for file, name in (n.split(":") for n in found))


@pytest.mark.parametrize(
    ("where", "line"),
    [
        ("dcgan:quickstrat", "no recipe 'quickstrat' in dcgan; did you mean 'quickstart'?"),
        ("dcgna:quickstart", "no experiment file 'dcgna'; did you mean 'dcgan'?"),
        ("quickstart", "no recipe 'quickstart'; did you mean 'dcgan:quickstart'?"),
        ("experiments/dcgna.py:a", "'experiments/dcgna.py'; did you mean 'experiments/dcgan.py'?"),
        ("elsewhere/dcgan.py:quickstart", "no experiment file 'elsewhere/dcgan.py'"),
        ("/dcgan:quickstart", "no experiment file '/dcgan'"),
    ],
)
def test_a_name_that_is_none_is_answered_with_the_nearest(elsewhere, where, line):
    with pytest.raises(UserError) as error:
        config.recipe(where)
    assert line in str(error.value)
