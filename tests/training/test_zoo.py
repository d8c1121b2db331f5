"""Generators in the package: their grids, cards and sizes, what is refused, and going on."""

import dataclasses
import json
import shutil
import typing
from pathlib import Path

import jax
import numpy as np
import pytest
import zoo as zoo_script
from helpers.command_line import QUICKSTART, SMALL, run
from helpers.paths import ROOT

import gan_jax
from gan_jax import config, grids, zoo
from gan_jax.commands import evaluate, export, sample, train
from gan_jax.data import licences
from gan_jax.editing.style_space import open_space, sefa
from gan_jax.errors import UserError
from gan_jax.interop import portable
from gan_jax.training import loop, run_dir, warm_start
from gan_jax.training import zoo as making
from gan_jax.training.zoo import NewEntry

CPU_CONVOLUTIONS = True  # the stored grids were drawn with them
NAMES = zoo.names()
SCORE = "fid64-train64[fashion-cnn-28px,antialias]"
each = pytest.mark.parametrize("name", NAMES)


# The entries of the package


def test_there_are_entries():
    assert NAMES


@each
def test_an_entry_draws_its_stored_grid(name):
    difference = making.check(name)
    assert difference.small, difference


@each
def test_a_card_has_every_fact(name):
    card = zoo.card(name)
    hints = typing.get_type_hints(zoo.Card)
    for field in dataclasses.fields(card):
        value = getattr(card, field.name)
        assert isinstance(value, typing.get_origin(hints[field.name]) or hints[field.name])
        assert value or field.name in ("seed", "start", "averaged"), field.name
    for text in (card.recipe, card.command, card.data["description"]):
        assert "/work" not in text and "/tmp" not in text and "/home" not in text
    assert len(card.revision) == 40
    assert card.description.endswith(".")
    for score in card.metrics.values():
        assert score.keys() == {"value", "date"} and score["date"].startswith("20")
    assert card.rounding["max"] <= making.ROUNDING
    assert card.bytes == (zoo.FOLDER / name / portable.WEIGHTS).stat().st_size


@each
def test_the_configuration_of_an_entry_is_that_of_its_card(name):
    card, experiment = zoo.card(name), run_dir.read_experiment(Path(zoo.PREFIX + name))
    assert config.fingerprint(experiment) == card.fingerprint
    path, _, recipe = card.recipe.partition(":")
    assert recipe in config.recipes(ROOT / "experiments" / f"{Path(path).stem}.py")


@each
def test_the_data_of_an_entry_may_be_passed_on(name):
    card = zoo.card(name)
    shippable = licences.find_shippable(card.data["name"])
    terms = [licences.facts(section) for section in shippable.sections]
    assert {one["attribution"] for one in terms} <= set(card.data["attribution"])
    assert card.licence == shippable.licence and card.data["stand_in"] == shippable.stand_in


def test_entries_are_small():
    sizes = {n: sum(f.stat().st_size for f in (zoo.FOLDER / n).iterdir()) for n in NAMES}
    assert max(sizes.values()) <= 6e6 and sum(sizes.values()) <= 30e6


def test_load_samples_an_entry():
    trained = gan_jax.load("zoo:garments")
    samples = trained.sample(4)
    assert len(samples) == 4 and np.abs(samples).max() <= 1.0


def test_a_likelihood_needs_the_encoder():
    with pytest.raises(UserError, match="'bounds' needs the encoder, which zoo:garments-vae does"):
        gan_jax.load("zoo:garments-vae").evaluate()


def test_the_list_has_a_line_for_each(capsys):
    assert run(sample, "zoo:") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [f"zoo:{name}" for name in NAMES]


# Entries made of a small run


def as_if_published(workdir):
    """Give a run of the tests what it lacks: a clean revision, and a metric."""
    facts = json.loads((workdir / "config.json").read_text())
    facts |= {"revision": "0" * 40, "dirty": False}
    (workdir / "config.json").write_text(json.dumps(facts))
    rows = (workdir / "metrics.jsonl").read_text().splitlines()
    row = {"step": json.loads(rows[-1])["step"], "kimg": 0.016, "time": 1.8e9, SCORE: 12.5}
    (workdir / "metrics.jsonl").write_text("\n".join([*rows, json.dumps(row), ""]))
    return workdir


@pytest.fixture
def workdir(trained, tmp_path):
    return as_if_published(shutil.copytree(trained, tmp_path / "run"))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty zoo, and an empty working directory."""
    monkeypatch.setattr(zoo, "FOLDER", tmp_path / "zoo")
    (tmp_path / "zoo").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "zoo"


@pytest.fixture(scope="module")
def made(trained, tmp_path_factory):
    """The entry `tiny` of the run, made once. Copy it."""
    place = tmp_path_factory.mktemp("made")
    workdir = as_if_published(shutil.copytree(trained, place / "run"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zoo, "FOLDER", place)
        assert run(zoo_script, "add", workdir, "tiny", "--description", "Specks.") == 0
    return place / "tiny"


@pytest.fixture
def entry(made, folder):
    return shutil.copytree(made, folder / "tiny")


def test_an_entry_draws_what_its_run_draws(entry, workdir):
    ours, theirs = gan_jax.load("zoo:tiny"), gan_jax.load(workdir)
    assert ours.step == theirs.step
    np.testing.assert_allclose(ours.sample(8), theirs.sample(8), atol=2e-2)
    assert set(ours.state.params) == {"generator"} and not ours.state.opt
    files = {path.name for path in entry.iterdir()}
    assert files == {"config.json", "card.json", "grid.png", portable.WEIGHTS}
    assert zoo.scores("zoo:tiny") == {SCORE: 12.5}


def test_half_precision_is_half_the_size_and_float32_is_exact(entry, workdir):
    card = zoo.card("tiny")
    assert card.dtype == "float16"
    assert making.add(NewEntry(workdir, "whole", "Specks.", dtype="float32")).dtype == "float32"
    assert zoo.card("whole").rounding == {"mean": 0.0, "max": 0.0}
    assert zoo.card("whole").bytes > card.bytes
    trained = gan_jax.load(workdir).sample(8)
    np.testing.assert_array_equal(gan_jax.load("zoo:whole").sample(8), trained)


def test_sample_draws_the_stored_grid_into_the_working_directory(entry, folder):
    assert run(sample, "zoo:tiny") == 0
    drawn = folder.parent / "here" / "zoo-tiny" / "samples-seed0.png"
    levels = making.compare(grids.read_image(drawn), grids.read_image(entry / zoo.GRID))
    assert levels.max <= 1
    assert len(list(entry.iterdir())) == 4


def test_a_grid_that_changed_is_noticed(entry, capsys):
    grids.save_png(entry / zoo.GRID, 255 - grids.read_image(entry / zoo.GRID))
    assert run(zoo_script, "check") == 2
    assert "drawn otherwise than stored: tiny" in capsys.readouterr().err


def test_evaluate_and_export_take_an_entry(entry, folder, capsys):
    words = ("--metrics", "swd", "--count", 64)
    assert run(evaluate, "zoo:tiny", *words) == 0
    here = folder.parent / "here" / "zoo-tiny"
    assert "swd" in (here / "metrics.jsonl").read_text() and (here / "report.html").is_file()
    assert run(export, "zoo:tiny", "--format", "safetensors") == 0
    assert "| fid64-train64" in (here / "export" / "README.md").read_text()
    assert len(list(entry.iterdir())) == 4


REFUSED = {
    "an unknown name": (sample, ["zoo:tini"], "no zoo:tini; did you mean 'tiny'? entries: tiny"),
    "a metric of the discriminator": (
        *(evaluate, ["zoo:tiny", "--metrics", "linear_probe"]),
        "'linear_probe' needs the discriminator (of a VAE, the encoder), which zoo:tiny does not",
    ),
    "another checkpoint": (sample, ["zoo:tiny", "--step", "1"], "it has round 2 alone"),
    "another average": (sample, ["zoo:tiny", "--ema", "3"], "has one average"),
    "an unknown action": (zoo_script, ["ad"], "did you mean 'add'?"),
    "no name": (zoo_script, ["add", "run"], "add needs a run and a name"),
    "a wrong size": (
        train,
        [QUICKSTART, "--from", "zoo:tiny", "--run.devices", "1"],
        "--from zoo:tiny: generator.params.",
    ),
    "no network in common": (
        *(train, [f"{ROOT}/experiments/cyclegan.py:emoji", *SMALL, "--from", "zoo:tiny"]),
        "no network in common: zoo:tiny holds generator, and this game has ",
    ),
    "several hosts": (train, [QUICKSTART, "--from", "zoo:tiny", "--hosts", "auto"], "--hosts"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_mistake_with_an_entry_is_one_line(case, entry, capsys):
    script, words, expected = REFUSED[case]
    assert run(script, *words) == 2
    complaint = capsys.readouterr().err.splitlines()[-1]
    assert complaint.startswith("error: ") and expected in complaint


def test_the_line_on_a_wrong_size_names_both_shapes_and_the_field(entry, capsys):
    assert run(train, QUICKSTART, "--from", "zoo:tiny", "--run.devices", "1") == 2
    complaint = capsys.readouterr().err
    assert " there and (" in complaint
    assert "change here " in complaint and "generator.network.width (32 -> " in complaint
    assert "discriminator" not in complaint  # the entry has none


def changed(workdir, **facts):
    content = json.loads((workdir / "config.json").read_text()) | facts
    (workdir / "config.json").write_text(json.dumps(content))


def of_data(workdir, name):
    content = json.loads((workdir / "config.json").read_text())
    content["experiment"]["data"]["name"] = name
    (workdir / "config.json").write_text(json.dumps(content))


UNFIT = {
    "no metrics": (lambda run: (run / "metrics.jsonl").unlink(), "no metrics at"),
    "no score": (
        lambda run: (run / "metrics.jsonl").write_text('{"step": 1}\n'),
        "no metric of round 2",
    ),
    "changed code": (lambda run: changed(run, dirty=True), "without a clean git revision"),
    "no revision": (lambda run: changed(run, revision=None), "without a clean git revision"),
    "own data": (lambda run: of_data(run, "folder"), "trained on 'folder' may not be shipped"),
    "CIFAR-10": (lambda run: of_data(run, "cifar10"), "trained on 'cifar10' may not be shipped"),
    "others' weights": (
        lambda run: (run / "imported.json").write_text('{"from": "cyclegan"}'),
        "started from weights",
    ),
    "no run": (lambda run: shutil.rmtree(run), "no run in"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_a_run_that_may_not_be_shipped_is_refused(case, workdir, folder, capsys):
    spoil, expected = UNFIT[case]
    spoil(workdir)
    assert run(zoo_script, "add", workdir, "tiny", "--description", "Specks.") == 2
    complaint = capsys.readouterr().err.splitlines()[-1]
    assert complaint.startswith("error: ") and expected in complaint
    assert not list(folder.iterdir())


def test_a_file_of_the_users_own_is_refused(workdir, folder, tmp_path):
    (tmp_path / "mine.py").write_text("")
    changed(workdir, own_files=[str(tmp_path / "mine.py")])
    with pytest.raises(UserError, match=r"mine\.py', which the package lacks"):
        making.add(NewEntry(workdir, "tiny", "Specks."))


@pytest.mark.parametrize(("limit", "said"), [("ENTRY_BYTES", "narrower"), ("ALL_BYTES", "the zoo")])
def test_what_is_too_large_is_refused(limit, said, workdir, folder, monkeypatch):
    monkeypatch.setattr(making, limit, 1000)
    with pytest.raises(UserError, match=said):
        making.add(NewEntry(workdir, "tiny", "Specks."))
    assert not list(folder.iterdir())


def test_a_name_is_a_slug_and_is_taken_once(entry, workdir):
    with pytest.raises(UserError, match="single dashes"):
        making.add(NewEntry(workdir, "Tiny faces", "Specks."))
    with pytest.raises(UserError, match="--replace True"):
        making.add(NewEntry(workdir, "tiny", "Specks."))
    with pytest.raises(UserError, match="say --description"):
        making.add(NewEntry(workdir, "other", ""))
    assert making.add(NewEntry(workdir, "tiny", "More specks.", replace=True))
    assert zoo.card("tiny").description == "More specks."


def test_paths_of_this_machine_are_left_out(workdir, folder):
    command = ["scripts/train.py", "/a/b/experiments/dcgan.py:quickstart", "--data.data-dir", "/c"]
    changed(workdir, command=command, recipe="/a/b/experiments/dcgan.py:quickstart")
    making.add(NewEntry(workdir, "tiny", "Specks."))
    assert zoo.card("tiny").command == "python scripts/train.py experiments/dcgan.py:quickstart"
    assert zoo.card("tiny").recipe == "experiments/dcgan.py:quickstart"


def test_a_damaged_card_and_damaged_weights_are_one_line(entry):
    (entry / portable.WEIGHTS).write_bytes(b"no weights")
    with pytest.raises(UserError, match="not a safetensors file"):
        gan_jax.load("zoo:tiny")
    (entry / zoo.CARD).write_text("{}")
    with pytest.raises(UserError, match="not the card of an entry"):
        zoo.card("tiny")


# Data that may be passed on


def test_drawn_faces_of_any_number_may_be_shipped_and_others_stand_in_for_them():
    assert licences.find_shippable("avatars").stand_in == ""
    assert licences.find_shippable("avatars_60000x64").stand_in == "avatars"
    assert licences.find_shippable("captioned_avatars").stand_in == ""
    assert licences.find_shippable("captioned_avatars_60000x64").stand_in == "captioned_avatars"
    for name in ("captioned", "celeb_a", "captioned_folder", "maps"):
        with pytest.raises(UserError, match="may not be shipped"):
            licences.find_shippable(name)


def test_every_shippable_set_has_its_terms():
    for name, shippable in licences.SHIPPABLE.items():
        for section in shippable.sections:
            assert {"licence", "attribution", "made by"} <= licences.facts(section).keys(), name
        assert shippable.stand_in in ("", *config.EMBEDDED)
        assert bool(shippable.stand_in) == (name not in config.EMBEDDED)


CAPTIONS = f"{ROOT}/experiments/text_to_image.py:avatars"


def test_captions_come_from_the_embedded_set_where_data_are_not_at_hand(tmp_path, folder):
    small = [*SMALL, "--data.name", "captioned_avatars", "--data.resolution", 16]
    assert run(train, CAPTIONS, *small, "--workdir", tmp_path / "run") == 0
    as_if_published(tmp_path / "run")
    making.add(NewEntry(tmp_path / "run", "faces", "Specks."))
    of_data(folder / "faces", "captioned_avatars_12345x16")  # was never drawn
    card = json.loads((folder / "faces" / zoo.CARD).read_text())
    card["data"]["stand_in"] = "captioned_avatars"
    (folder / "faces" / zoo.CARD).write_text(json.dumps(card))
    assert making.check("faces").max <= 1
    assert gan_jax.load("zoo:faces").sample(2).shape == (2, 16, 16, 3)
    with pytest.raises(UserError, match="avatars_12345x16"):  # numbers need the data
        gan_jax.load("zoo:faces").evaluate(["swd"])


def test_an_entry_of_two_translators_draws_inputs_beside_outputs(tmp_path, folder):
    recipe = f"{ROOT}/experiments/cyclegan.py:emoji"
    words = [recipe, *SMALL, "--data.resolution", 16]
    assert run(train, *words, "--workdir", tmp_path / "run") == 0
    as_if_published(tmp_path / "run")
    making.add(NewEntry(tmp_path / "run", "pairs", "Specks."))
    assert set(zoo.card("pairs").networks) == {"x2y", "y2x"}
    height, width, _ = grids.read_image(folder / "pairs" / zoo.GRID).shape
    assert (width, height) == (12 * 64, 8 * 64)  # sixteen of each, two in a row, six pictures
    assert run(train, *words, "--from", "zoo:pairs", "--workdir", tmp_path / "on") == 0
    begun = json.loads((tmp_path / "on" / "imported.json").read_text())
    assert begun["networks"].keys() == {"x2y", "y2x"}
    assert begun["not imported, as at the start"] == ["d_x", "d_y"]


def test_styles_of_an_entry_can_be_edited(tmp_path, folder):
    recipe = f"{ROOT}/experiments/stylegan2.py:avatars"
    words = [recipe, *SMALL, "--data.resolution", 16]
    assert run(train, *words, "--workdir", tmp_path / "run") == 0
    as_if_published(tmp_path / "run")
    making.add(NewEntry(tmp_path / "run", "faces", "Specks."))
    assert run(sample, "zoo:faces", "--show", "noise", "--count", 2) == 0
    assert Path("zoo-faces/noise-seed0.png").is_file()
    trained = gan_jax.load("zoo:faces")
    space = open_space(trained.built.game, trained.built.sampler, trained.state, None)
    assert sefa(space, range(space.styles.layers), 2)


# Training that begins with the weights of an entry or a run


def leaves_equal(one, other):
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def test_training_begins_with_the_generator_of_an_entry_and_resumes(entry, tmp_path, capsys):
    words = [QUICKSTART, *SMALL, "--from", "zoo:tiny", "--workdir", tmp_path / "on"]
    assert run(train, *words) == 0
    facts = run_dir.read_config(tmp_path / "on")
    assert facts["from"] == "zoo:tiny"
    start = gan_jax.load(tmp_path / "on", step=0).state
    held = gan_jax.load("zoo:tiny").state
    assert leaves_equal(start.params["generator"], held.params["generator"])
    assert leaves_equal(start.ema["generator"]["params"], held.ema["generator"]["params"])
    shutil.rmtree(entry)  # resuming does not read it
    assert run(train, *words) == 0
    longer = config.change(run_dir.read_experiment(tmp_path / "on"), {"run.kimg": 0.032})
    gan_jax.train(longer, tmp_path / "on")
    assert gan_jax.load(tmp_path / "on").step == 4
    assert run_dir.read_config(tmp_path / "on")["from"] == "zoo:tiny"


def test_a_beginning_that_was_interrupted_is_begun_again(trained, tmp_path):
    experiment, workdir = run_dir.read_experiment(trained), tmp_path / "on"
    warm_start.begin(str(trained), experiment, workdir)
    (workdir / "config.json").unlink()  # which is written last
    with pytest.raises(UserError, match="was interrupted before it had the networks"):
        loop.open_experiment(experiment, workdir, allow_change=False)
    warm_start.begin(str(trained), experiment, workdir)
    assert (workdir / "config.json").exists()


def test_what_training_would_refuse_leaves_nothing_behind(trained, tmp_path):
    experiment = config.change(run_dir.read_experiment(trained), {"run.metrics": ("bounds",)})
    with pytest.raises(UserError, match="bounds"):
        warm_start.begin(str(trained), experiment, tmp_path / "on")
    assert not (tmp_path / "on").exists()


def test_training_begins_with_all_networks_of_a_run(trained, tmp_path):
    experiment = run_dir.read_experiment(trained)
    warm_start.begin(str(trained), experiment, tmp_path / "on")
    begun, before = gan_jax.load(tmp_path / "on"), gan_jax.load(trained)
    assert begun.step == 0 and begun.state.step == 0
    assert leaves_equal(begun.state.params, before.state.params)
    assert leaves_equal(begun.state.ema, before.state.ema)
    assert not leaves_equal(begun.state.opt, before.state.opt)


def test_a_run_that_began_otherwise_is_not_continued_from_an_entry(trained, entry, tmp_path):
    copy = shutil.copytree(trained, tmp_path / "copy")
    with pytest.raises(UserError, match="began from initial weights; choose another --workdir"):
        warm_start.begin("zoo:tiny", run_dir.read_experiment(copy), copy)


def test_an_entry_trained_on_keeps_the_attribution_of_its_start(entry, tmp_path):
    words = [QUICKSTART, *SMALL, "--from", "zoo:tiny", "--workdir", tmp_path / "on"]
    assert run(train, *words) == 0
    path = zoo.FOLDER / "tiny" / zoo.CARD  # as if it had been trained on a voice
    start = json.loads(path.read_text())
    start["licence"] = "CC-BY-SA-3.0-IT"
    start["data"] |= {"licence": ["CC-BY-SA-3.0-IT"], "attribution": ["A speaker"]}
    path.write_text(json.dumps(start))
    making.add(NewEntry(as_if_published(tmp_path / "on"), "second", "Specks."))
    card = zoo.card("second")
    assert card.start == "zoo:tiny"
    assert card.licence == "Apache-2.0 AND CC-BY-SA-3.0-IT"
    assert card.data["attribution"] == ["Copyright 2017 Zalando SE", "A speaker"]
    assert card.data["licence"] == ["MIT", "CC-BY-SA-3.0-IT"]
