import dataclasses
import json

import pytest

from gan_jax import config
from gan_jax.config import Data, Dcgan, Experiment, Gan, Mlp, Player, Run
from gan_jax.errors import UserError, nearest

BASE = Experiment(name="base")


def refused(match):
    return pytest.raises(UserError, match=match)


# --- names ----------------------------------------------------------------------------------------


def test_nearest_quotes_the_closest_name():
    assert nearest("fashion_mist", ["cifar10", "fashion_mnist"]) == "'fashion_mnist'"


def test_nearest_lists_all_names_when_none_is_close():
    assert nearest("qqq", {"relu": 1, "tanh": 2}) == "one of 'relu', 'tanh'"
    many = [f"imagenet{number}" for number in range(60)]
    assert nearest("qqq", many).startswith("one of 60, such as ")
    assert nearest("qqq", many).count("'") == 10


def test_a_user_error_is_a_value_error():
    assert issubclass(UserError, ValueError)


# --- change ---------------------------------------------------------------------------------------


def test_change_replaces_dotted_fields_and_nothing_else():
    new = config.change(BASE, {"discriminator.lr": 4e-4, "batch_size": 32})
    assert (new.discriminator.lr, new.batch_size) == (4e-4, 32)
    assert config.change(new, {"discriminator.lr": BASE.discriminator.lr, "batch_size": 64}) == BASE


def test_change_does_not_touch_the_original():
    config.change(BASE, {"game.r1": 10.0})
    assert BASE.game.r1 == 0.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        BASE.batch_size = 3  # pyright: ignore[reportAttributeAccessIssue]


def test_change_takes_whole_parts():
    new = config.change(BASE, {"generator.network": Mlp((8,)), "game": Gan(z=3)})
    assert new.generator.network == Mlp((8,)) and new.game.z == 3


def test_changes_apply_in_order():
    changes = {"generator.network": Mlp(), "generator.network.widths": (4, 4)}
    assert config.change(BASE, changes).generator.network == Mlp((4, 4))


@pytest.mark.parametrize(
    ("path", "nearest"),
    [
        ("bach_size", "'batch_size'"),
        ("discriminator.learning", "one of"),
        ("discriminator.lrr", "'lr'"),
        ("generator.network.widht", "'width'"),
        ("run.log_evry", "'log_every'"),
        ("discriminater.lr", "'discriminator'"),
    ],
)
def test_an_unknown_field_is_named_with_the_nearest(path, nearest):
    with refused(rf"{path}.*{nearest}"):
        config.change(BASE, {path: 1})


def test_a_field_below_a_plain_value_is_refused_without_an_empty_list():
    with refused(r"generator\.lr\.x") as error:
        config.change(BASE, {"generator.lr.x": 1})
    assert "one of  " not in str(error.value)


# --- values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("batch_size", 1.5),
        ("batch_size", "64"),
        ("batch_size", True),
        ("batch_size", None),
        ("seed", True),
        ("generator.lr", "1e-3"),
        ("generator.lr", None),
        ("generator.betas", 0.5),
        ("generator.betas", (0.5,)),
        ("generator.betas", (0.5, "0.9")),
        ("generator.betas", [0.5, 0.9]),
        ("game.simultaneous", 1),
        ("data", "cifar10"),
        ("data.path", 3),
        ("data.channels", 2),
        ("data.channels", True),
        ("run.metrics", "fid"),
        ("run.metrics", (1,)),
        ("generator.network", "dcgan"),
        ("generator.network", Data()),
        ("name", 3),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_by_name(path, value):
    with refused(rf"{path}.*=.*"):
        config.change(BASE, {path: value})


@pytest.mark.parametrize(
    ("where", "path"),
    [("r3gan.py:ffhq64", "game.anneal.beta2"), ("pix2pix.py:unet", "generator.network.dropout")],
)
def test_a_share_stays_below_one(where, path):
    experiment = config.recipe(f"experiments/{where}")
    assert config.change(experiment, {path: 0.25}) != experiment
    with refused(rf"{path} = 1.0: a number below 1 is needed"):
        config.change(experiment, {path: 1.0})


@pytest.mark.parametrize(
    ("path", "value", "nearest"),
    [
        ("game.objective", "hing", "'hinge'"),
        ("generator.optimizer", "adamm", "'adam'"),
        ("game.prior", "gaussian", "one of 'normal', 'uniform'"),
        ("run.backend", "shardmap", "'shard_map'"),
        ("precision", "float23", "'float32'"),
    ],
)
def test_a_wrong_choice_is_named_with_the_nearest(path, value, nearest):
    with refused(rf"{path} = '{value}'.*{nearest}"):
        config.change(BASE, {path: value})


@pytest.mark.parametrize(
    ("path", "value"),
    [("game.r1", 10), ("data.path", None), ("data.path", "x"), ("generator.betas", (0, 0.99))],
)
def test_values_that_fit_are_taken(path, value):
    config.change(BASE, {path: value})


def test_check_returns_what_it_checked():
    assert config.check(BASE) is BASE


def test_check_names_a_field_that_was_set_by_hand():
    bad = dataclasses.replace(BASE, run=Run(keep="all"))  # pyright: ignore[reportArgumentType]
    with refused(r"run\.keep = 'all'"):
        config.check(bad)


# --- to and from plain values ---------------------------------------------------------------------

MIXED = Experiment(
    name="mixed",
    generator=Player(network=Mlp((3, 4)), optimizer="rmsprop", betas=(0.0, 0.9)),
    discriminator=Player(network=Dcgan(width=8, kernel=5, norm="none")),
    data=Data(path="pictures", flip=True),
    run=Run(metrics=("a", "b")),
)


@pytest.mark.parametrize("experiment", [BASE, MIXED], ids=["base", "mixed"])
def test_json_gives_the_experiment_back(experiment):
    text = json.dumps(config.to_dict(experiment))
    assert config.from_dict(json.loads(text)) == experiment


def test_fields_that_are_missing_take_their_defaults():
    assert config.from_dict({"name": "base"}) == BASE


def test_a_run_from_before_the_ramp_goes_on_without_it():
    tree = config.to_dict(BASE)
    del tree["game"]["ema_rampup"]
    assert config.from_dict(tree).game.ema_rampup == 0.0
    assert BASE.game.ema_rampup == 0.05


def edited(**changes):
    return config.to_dict(BASE) | changes


@pytest.mark.parametrize(
    ("tree", "match"),
    [
        (edited(bach_size=3), "bach_size.*'batch_size'"),
        (edited(game={"rr1": 1.0}), r"game\.rr1.*'r[12]'"),
        (edited(generator={"network": {"kind": "Dcgn"}}), r"generator\.network.*'Dcgn'.*'Dcgan'"),
        (edited(generator={"network": {"width": 3}}), r"generator\.network"),
        (edited(batch_size="64"), "batch_size = '64'"),
        (edited(data=3), "data"),
        ({}, "name"),
    ],
    ids=["field", "nested", "kind", "no-kind", "value", "not-a-mapping", "missing"],
)
def test_a_spoilt_dictionary_is_refused_by_name(tree, match):
    with refused(match):
        config.from_dict(tree)


def test_flatten_gives_dotted_names():
    assert config.flatten({"a": {"b": 1, "c": {"d": 2}}, "e": 3}) == {"a.b": 1, "a.c.d": 2, "e": 3}


# --- fingerprints ---------------------------------------------------------------------------------


def leaves(experiment):
    return config.flatten(config.to_dict(experiment))


def other(value):
    """Another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 1
    if isinstance(value, list):
        return [*value, "x"] if not value else [*value[:-1], value[-1] + 1]
    return "other" if value is None else value + "x"


@pytest.mark.parametrize("path", sorted(leaves(BASE)))
def test_a_field_moves_the_fingerprint_unless_it_is_free(path, monkeypatch):
    """The values need not make sense here: only what is hashed matters."""
    monkeypatch.setattr("gan_jax.config.overrides.check", lambda experiment: experiment)
    if path.endswith(".kind"):
        changed = config.change(BASE, {path.removesuffix(".kind"): Mlp()})
    else:
        value = other(leaves(BASE)[path])
        changed = config.change(BASE, {path: tuple(value) if isinstance(value, list) else value})
    free = path == "seed" or any(
        path == field or path.startswith(field + ".") for field in config.FREE
    )
    assert (config.fingerprint(changed) == config.fingerprint(BASE)) == free


def test_the_name_the_run_and_places_are_free():
    changes = {"name": "x", "run.kimg": 1.0, "run.backend": "shard_map", "data.path": "elsewhere"}
    assert config.fingerprint(config.change(BASE, changes)) == config.fingerprint(BASE)


def test_a_seed_that_jax_would_cut_to_32_bits_is_refused():
    assert config.change(BASE, {"seed": 2**32 - 1}).seed == 2**32 - 1
    with pytest.raises(UserError, match="seed = 4294967296: a number below 4294967296"):
        config.change(BASE, {"seed": 2**32})


def test_sizes_inside_a_tuple_are_above_0():
    mlp = config.change(BASE, {"generator.network": Mlp((4, 4))})
    with pytest.raises(UserError, match=r"generator\.network\.widths\[1\] = 0"):
        config.change(mlp, {"generator.network.widths": (4, 0)})


def test_a_fingerprint_is_twelve_hexadecimal_digits_and_survives_json():
    found = config.fingerprint(BASE)
    assert len(found) == 12 and int(found, 16) >= 0
    back = config.from_dict(json.loads(json.dumps(config.to_dict(BASE))))
    assert config.fingerprint(back) == found


@pytest.mark.parametrize(
    ("path", "whole", "real"),
    [("game.r1", 10, 10.0), ("generator.betas", (0, 0), (0.0, 0.0))],
)
def test_equal_numbers_have_equal_fingerprints(path, whole, real):
    found = {config.fingerprint(config.change(BASE, {path: value})) for value in (whole, real)}
    assert len(found) == 1


# --- tiny -----------------------------------------------------------------------------------------


def test_tiny_keeps_the_game_and_the_kind_of_networks():
    small = config.tiny(config.change(MIXED, {"game.r1": 3.0, "game.n_critic": 5}))
    assert small.game == dataclasses.replace(MIXED.game, r1=3.0, n_critic=2)
    assert small.generator.network == Mlp((8, 8))
    assert small.discriminator.network == Dcgan(width=4, kernel=5, norm="none")
    assert small.generator.optimizer == "rmsprop"


def test_tiny_is_two_rounds_without_metrics():
    small = config.tiny(MIXED)
    assert small.run.kimg * 1000 == 2 * small.batch_size
    assert not small.run.metrics and not small.run.best
    config.check(small)


@pytest.mark.parametrize(
    ("resolution", "tiny"), [(28, 28), (64, 32), (256, 32), (16, 16), (56, 28)]
)
def test_tiny_keeps_the_family_of_resolutions(resolution, tiny):
    new = config.tiny(config.change(BASE, {"data.resolution": resolution}))
    assert new.data.resolution == tiny


OWN = {
    "folder": Data("folder", "train[:50%]", "pictures", resolution=256, flip=True),
    "pairs": Data("pairs", "train", "pictures.zip", resolution=256, direction="y2x"),
    "voices": Data("voices", "train", "recordings", data_dir="cache", resolution=28),
    "embedded": Data("avatars", "train+test", resolution=64, data_dir="cache"),
    "toy": Data("toy/ring8"),
}


@pytest.mark.parametrize("data", OWN.values(), ids=OWN)
def test_tiny_reads_the_same_data_in_small(data):
    small = config.tiny(config.change(BASE, {"data": data})).data
    shrunk = {"resolution": small.resolution, "frames": small.frames, "cepstra": small.cepstra}
    assert small == dataclasses.replace(data, **shrunk)
    assert small.resolution <= 32 and (data.name != "voices" or small.frames == 16)


NOT_AT_HAND = [Data("cifar10", "test", data_dir="here"), Data("folder"), Data("voices_it")]


@pytest.mark.parametrize("data", NOT_AT_HAND, ids=[one.name for one in NOT_AT_HAND])
def test_tiny_replaces_data_that_is_not_at_hand_by_a_set_of_the_package(data):
    small = config.tiny(config.change(BASE, {"data": data})).data
    assert small.name in config.EMBEDDED and small.split == "train"
    assert small.path is small.data_dir is None


def test_tiny_keeps_a_named_set_that_is_prepared():
    experiment = config.change(BASE, {"data": NOT_AT_HAND[0], "game": CLASSES})
    small = config.tiny(experiment, prepared=True)
    assert (small.data.name, small.data.data_dir) == ("cifar10", "here")
    assert small.game == CLASSES


CLASSES = Gan(condition="projection", classes=7)


@pytest.mark.parametrize("classes", [7, 0])
def test_tiny_has_the_classes_of_its_data(classes):
    labelled = {"game.condition": "projection", "game.classes": classes, "data.name": "folder"}
    stand_in = config.tiny(config.change(BASE, labelled))
    assert stand_in.data.name == "fashion_mnist_10k" and stand_in.game.classes == 10
    assert config.tiny(config.change(BASE, labelled | {"data.path": "x"})).game.classes == classes


# --- recipes --------------------------------------------------------------------------------------

FILE = """
from gan_jax.config import Experiment

def first() -> Experiment:
    return Experiment(name="first")

def second() -> "Experiment":
    return Experiment(name="second", batch_size="many")

def _private() -> Experiment:
    return Experiment(name="private")

def helper():
    return 3
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    return path


def test_recipes_are_the_public_functions_that_return_an_experiment(file):
    assert set(config.recipes(file)) == {"first", "second"}


def test_a_recipe_is_found_by_file_and_name(file):
    assert config.recipe(f"{file}:first").name == "first"


def test_a_recipes_values_are_checked(file):
    with refused("batch_size = 'many'"):
        config.recipe(f"{file}:second")


@pytest.mark.parametrize(
    ("where", "match"),
    [
        ("mine.py:frist", "frist.*'first'"),
        ("mine.py", "'first'.*'second'|'second'.*'first'"),
        ("mnie.py:first", r"mnie\.py.*mine\.py"),
        ("mine:first", r"mine.*mine\.py"),
        ("nowhere/mine.py:first", r"nowhere/mine\.py"),
    ],
)
def test_a_wrong_recipe_is_named_with_the_nearest(file, where, match):
    with refused(match) as error:
        config.recipe(str(file.parent / where))
    assert "\n" not in str(error.value) and not str(error.value).endswith("one of ?")


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        ("def mine():", "write `def mine\\(\\) -> Experiment:`"),
        ("def mine(width) -> Experiment:", "takes arguments without a default"),
    ],
    ids=["return", "arguments"],
)
def test_a_function_that_is_no_recipe_says_why(tmp_path, head, reason):
    file = tmp_path / "mine.py"
    file.write_text(f"from gan_jax.config import Experiment\n{head}\n    return Experiment('x')\n")
    with refused(reason):
        config.recipe(f"{file}:mine")
