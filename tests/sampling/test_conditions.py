"""From a user's words to conditions: classes, captions, data that lack what a game needs."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import config
from gan_jax.build import data as build_data
from gan_jax.build import text_to_image as build_text_to_image
from gan_jax.build.data import check_data
from gan_jax.build.experiment import build
from gan_jax.config import Data, Experiment, Gan, PatchGan, Pix2Pix, Player, TextToImage, Unet
from gan_jax.data.source import Source, in_memory
from gan_jax.errors import NoSplit, UserError
from gan_jax.evaluation.evaluate import check_metrics
from gan_jax.game import init
from gan_jax.games.text_to_image import text_to_image
from gan_jax.sampling import conditions

TEXT = np.eye(4, dtype=np.float32)
IMAGES = np.zeros((4, 8, 8, 1), np.uint8)
COLUMNS = {"image": IMAGES, "label": np.arange(4, dtype=np.int32), "text": TEXT}
SOURCE = Source("s", in_memory(COLUMNS), "f", 4, 4, ("bag", "coat", "dress", "shirt"), "")
NORMED = {"game.condition": "projection", "game.classes": 4, "game.conditional_norm": True}
LABELLED = {"index": np.arange(8), "label": np.zeros(8, np.int32)}


def test_classes_are_named_or_numbered_a_row_each():
    found = conditions.of_classes(LABELLED, SOURCE, ["dress", "0"], 3)
    assert found["label"].tolist() == [2, 2, 2, 0, 0, 0]
    assert found["index"].tolist() == list(range(6))


@pytest.mark.parametrize("label", ["dres", "4", "-1"])
def test_a_label_out_of_range_is_named(label):
    with pytest.raises(UserError, match=f"no class '{label}' of 4; did you mean"):
        conditions.of_classes(LABELLED, SOURCE, [label], 3)


def test_a_generator_without_classes_takes_no_label():
    with pytest.raises(UserError, match=r"has no classes.*game\.condition"):
        conditions.of_classes({"index": np.arange(8)}, SOURCE, ["bag"], 3)


def test_samples_to_compare_have_the_classes_of_the_data_in_no_order():
    rare = np.array([0] * 60 + [1] * 30 + [2] * 10, np.int32)
    data = SOURCE._replace(
        records=in_memory({"image": np.zeros((100, 2, 2, 1), np.uint8), "label": rare}),
        size=100,
        num_classes=3,
    )
    found = conditions.as_in_data({"index": np.arange(200), "label": np.arange(200) % 3}, data)
    assert np.bincount(found["label"]).tolist() == [120, 60, 20]
    assert 5 < np.count_nonzero(found["label"][:20] == 0) < 18


@pytest.fixture(scope="module")
def labelled():
    """A sampler of classes with batch norm and an averaged generator, and its first state."""
    made = config.tiny(config.recipe("experiments/cgan.py:fashion_mnist"))
    built = build(config.change(made, {"run.devices": 1, "game.ema_kimg": 1.0}))
    state = init(built.game, built.key)
    loud = jax.tree.map(lambda x: x * 5.0, state.ema["generator"])
    return built.sampler, dataclasses.replace(state, ema={**state.ema, "generator": loud})


def test_a_picture_of_a_class_does_not_depend_on_what_else_is_asked_for(labelled):
    sampler, state = labelled
    index = np.arange(64)
    alone = {"index": index, "label": np.zeros(64, np.int32)}
    among = {"index": index, "label": (index % 10).astype(np.int32)}
    first, second = (sampler.draw(state, jax.random.key(0), c) for c in (alone, among))
    np.testing.assert_allclose(first[::10], second[::10], atol=1e-5)
    assert np.abs(first[1::10] - second[1::10]).max() > 1e-3


def test_a_sampler_compiles_once(labelled):
    sampler, state = labelled
    told = {"index": np.arange(20), "label": (np.arange(20) % 10).astype(np.int32)}
    first = sampler.draw(state, jax.random.key(0), told)
    events = []

    def listen(name, *_, **__):
        events.append(name)

    jax.monitoring.register_event_duration_secs_listener(listen)
    again = sampler.draw(state, jax.random.key(0), told)
    jax.monitoring.unregister_event_duration_listener(listen)
    np.testing.assert_array_equal(first, again)
    assert not [name for name in events if "compile" in name]


def test_both_ends_of_a_step_are_of_one_class(labelled):
    sampler, state = labelled
    told = {"index": np.arange(20), "label": (np.arange(20) % 10).astype(np.int32)}
    (paths,) = sampler.paths(state, told)
    z = jnp.ones((64, 64))
    here, there = (np.asarray(paths.synthesise(jax.random.key(1), z)) for _ in range(2))
    np.testing.assert_array_equal(here, there)
    other = np.asarray(paths.synthesise(jax.random.key(2), z))
    assert np.abs(here - other).max() > 1e-3  # other labels for other noise


def test_a_line_between_captions_has_both_ends_and_one_latent():
    found = conditions.between_captions(SOURCE, [0, 2, 3], 5)
    assert found["text"].shape == (10, 4)
    np.testing.assert_allclose(found["text"][[0, 4, 5, 9]], TEXT[[0, 2, 2, 3]])
    np.testing.assert_allclose(found["text"][2], [0.5, 0.0, 0.5, 0.0])
    assert not found["index"].any()


def test_a_caption_that_is_not_there_is_named():
    with pytest.raises(UserError, match=r"no caption 4.*rows 0 to 3"):
        conditions.between_captions(SOURCE, [0, 4], 5)
    with pytest.raises(UserError, match="at least two rows"):
        conditions.between_captions(SOURCE, [0], 5)


@pytest.mark.parametrize(
    ("game", "line"),
    [
        (Pix2Pix(), r"'s' has image, label, text and no 'x'.*try"),
        (TextToImage(text=4), None),
        (TextToImage(text=5), r"game\.text = 5: data set 's' has vectors of 4"),
        (Gan(condition="concat", classes=4), None),
        (Gan(condition="concat", classes=5), r"game\.classes = 5: data set 's' has 4"),
    ],
    ids=["pairs", "captions", "other captions", "classes", "too many classes"],
)
def test_data_without_what_a_game_needs_is_refused(game, line):
    if line is None:
        check_data(game, SOURCE)
        return
    with pytest.raises(UserError, match=line):
        check_data(game, SOURCE)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"game.condition": "concat"}, r"game\.classes = 0"),
        ({"data.resolution": 10}, r"data\.resolution.*28, 32"),
        ({"generator.network": PatchGan()}, r"generator\.network = PatchGan: one of"),
        (
            {"game": Pix2Pix(), "generator.network": Unet(), "data.resolution": 28},
            r"data\.resolution.*nearest is 32",
        ),
        ({"discriminator.network": PatchGan(receptive_field=286)}, r"receptive_field = 286"),
        ({"game.conditional_norm": True}, r"game\.conditional_norm needs game\.condition"),
        ({**NORMED, "generator.network.norm": "none"}, r"conditional_norm needs a .*norm"),
        ({"run.metrics": ("label_accuracy",)}, r"'label_accuracy' needs .* conditioned on labels"),
        ({"run.metrics": ("bounds",)}, r"'bounds' needs a game with a likelihood"),
        ({"run.metrics": ("translations",)}, r"'translations' needs .* translates pictures"),
        ({"generator.betas": (0.5, 1.0)}, r"generator\.betas = \(0\.5, 1\.0\): numbers below 1"),
    ],
    ids=[
        *("no classes", "resolution", "role", "unet", "patch", "unconditional norm", "no norm"),
        *("no label", "no likelihood", "no translation", "betas"),
    ],
)
def test_what_cannot_be_built_is_named(changes, line):
    experiment = config.change(Experiment("e", data=Data(), game=Gan()), {"run.devices": 1})
    with pytest.raises(UserError, match=line):
        check_metrics(build(config.change(experiment, changes)))


def test_the_captions_divergence_is_weighed_a_dimension(monkeypatch):
    """StackGAN's code takes its mean over the dimensions, times 2; a sum would silence captions."""
    seen = {}

    def spy(*networks, **options):
        seen.update(options)
        return text_to_image(*networks, **options)

    monkeypatch.setattr(build_text_to_image, "text_to_image", spy)
    made = config.tiny(config.recipe("experiments/text_to_image.py:emoji"))
    build(config.change(made, {"run.devices": 1}))
    assert seen["kl"] == 2.0 / made.game.caption


def test_a_translation_network_is_for_pairs():
    player = Player(network=Unet(width=2))
    judge = Player(network=PatchGan(width=2, receptive_field=16))
    made = Experiment("p", player, judge, Pix2Pix(), Data("emoji_pairs", resolution=32, channels=3))
    built = build(config.change(made, {"run.devices": 1}))
    assert built.held_out
    assert built.real == "y"


def test_only_a_test_split_that_is_missing_is_replaced_by_the_training_data(monkeypatch):
    player = Player(network=Unet(width=2))
    judge = Player(network=PatchGan(width=2, receptive_field=16))
    made = Experiment("p", player, judge, Pix2Pix(), Data("emoji_pairs", resolution=32, channels=3))
    built = build(config.change(made, {"run.devices": 1}))
    source = build_data.open_data(made)

    def opening(error):
        def fail(*_):
            raise error

        monkeypatch.setattr(build_data, "open_data", fail)

    opening(NoSplit("no split 'test'"))
    assert build_data.held_out(built, source) is source
    opening(UserError("a bad image"))
    with pytest.raises(UserError, match="a bad image"):
        build_data.held_out(built, source)


def test_classes_need_a_condition():
    made = config.tiny(config.recipe("experiments/cgan.py:fashion_mnist"))
    changes = {"game.condition": "", "game.conditional_norm": False, "run.devices": 1}
    with pytest.raises(UserError, match=r"game\.classes needs game\.condition"):
        build(config.change(made, changes))
