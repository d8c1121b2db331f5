"""Attribute edits on a generator whose axes are known: one side bright, the other barred."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.toy_styles import JUDGES, LAYERS, NAMES, SIDE, W, make_space, paint

from gan_jax.data.source import Source, in_memory
from gan_jax.editing import style_space
from gan_jax.editing.styles import broadcast
from gan_jax.errors import UserError
from gan_jax.evaluation import attribute_editing, context
from gan_jax.evaluation.spec import better
from gan_jax.game import Game, Net, State
from gan_jax.latents import normal, slerp
from gan_jax.metrics import classification
from gan_jax.metrics.names import quantity
from gan_jax.sampling.recipes import from_noise
from gan_jax.sampling.sampler import Sampler


def test_a_direction_of_each_attribute_is_found_and_holds_the_others():
    space = make_space()
    found, missing = style_space.of_attributes(space, JUDGES, 1000)
    assert [one.name for one in found] == list(NAMES) and not missing
    bright, barred = (one.step / np.linalg.norm(one.step) for one in found)
    assert bright @ np.array([2, 0, 1, 0, 0, 0]) / np.sqrt(5) > 0.95
    assert barred[1] > 0.95
    assert np.linalg.norm(found[0].step) == pytest.approx(1.0, abs=0.05)  # one deviation


def test_an_attribute_that_no_sample_has_is_missing_and_says_why():
    never = {**JUDGES, "striped": lambda pictures: np.full(len(pictures), -3.0)}
    found, missing = style_space.of_attributes(make_space(), never, 200)
    assert len(found) == 2
    assert missing["striped"].startswith("0 of 200 samples")


def test_edits_flip_what_is_asked_and_hold_the_rest():
    never = {**JUDGES, "striped": lambda pictures: np.full(len(pictures), -3.0)}
    shares = attribute_editing.edits(make_space(), never)
    assert shares["attribute_edit", "bright", 3.0] > 0.95
    assert shares["attribute_edit", "barred", 3.0] > 0.9
    assert shares["attribute_edit", "striped", 3.0] == 0.0
    by_strength = [shares["attribute_edit", "barred", s] for s in attribute_editing.STRENGTHS]
    assert by_strength == sorted(by_strength) and by_strength[0] < 0.7
    for s in attribute_editing.STRENGTHS:
        mean = np.mean([shares["attribute_edit", n, s] for n in never])
        assert shares["attribute_edit", "mean", s] == pytest.approx(mean)
        assert (
            shares["chance_attribute_edit", "mean", s] < 0.7 * shares["attribute_edit", "mean", s]
        )


def test_an_edit_that_drags_another_attribute_along_does_not_count():
    before = np.array([[1, 0], [1, 0], [1, 0], [0, 0]], bool)
    after = np.array([[0, 0], [0, 1], [1, 1], [1, 0]], bool)
    assert attribute_editing.outcome(before, after, 0) == (0.75, 0.5)


def source(name, count, seed):
    draw = np.random.RandomState(seed)
    has = {one: draw.rand(count) < 0.4 for one in NAMES}
    pictures = paint(*(jnp.asarray(np.where(has[one], 1.0, -1.0)) for one in NAMES))
    noisy = np.asarray(pictures) + 0.1 * draw.normal(size=pictures.shape)
    images = np.rint((noisy.clip(-1, 1) + 1) * 127.5).astype(np.uint8)
    columns = {"image": images}
    made = Source(name, in_memory(columns), f"{name}{seed}", count, None, None, "")
    return made._replace(attributes=lambda: has)


def test_the_metric_trains_its_judges_and_names_what_it_found(tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path))
    monkeypatch.setattr(attribute_editing, "STEPS", 30)
    monkeypatch.setattr(attribute_editing, "STRENGTHS", (3.0,))
    monkeypatch.setattr(attribute_editing, "EDITED", 64)
    monkeypatch.setattr(attribute_editing, "SAMPLES", 256)
    sides = {"train": source("bars", 256, 1), "test": source("bars", 64, 2)}
    subject = context.EvalContext(
        draw=lambda conditions: np.zeros(0),
        conditions=lambda source, count: {},
        source=sides["train"],
        other=sides.__getitem__,
        real="image",
        split="train",
        count=64,
        features=lambda: pytest.fail("no feature network is needed"),
        space=make_space,
    )
    found = attribute_editing.attribute_edit(subject)
    assert found["real_attribute_accuracy64-test[small-cnn-16px,antialias,bright]"] > 0.95
    assert found["attribute_edit64[small-cnn-16px,antialias,mean,s=3]"] > 0.8
    assert {quantity(name) for name in found} == {
        *attribute_editing.QUANTITIES,
        "real_attribute_accuracy",
    }
    assert {better(name) for name in found} == {"higher"}
    assert len(list((tmp_path / "classifiers").iterdir())) == 2
    with pytest.raises(UserError, match="needs a generator with styles"):
        attribute_editing.attribute_edit(subject._replace(space=None))


def test_data_without_attributes_says_which_has_some():
    plain = Source("plain", in_memory({"image": np.zeros((2, 4, 4, 1))}), "", 2, None, None, "")
    with pytest.raises(UserError, match="'plain' tells no attributes; 'avatars' does"):
        attribute_editing.read(plain)


def test_pictures_are_judged_at_32_pixels_at_most():
    large = np.repeat(np.arange(64, dtype=np.uint8)[None, :, None, None], 64, axis=2)
    found = attribute_editing.small(large)
    assert found.shape == (1, 32, 32, 1) and found.dtype == np.uint8
    np.testing.assert_array_equal(attribute_editing.small(found), found)


def test_styles_are_truncated_below_layer_8():
    space = make_space()
    styles = space.styles._replace(layers=10, mean=jnp.ones(W))
    w = np.full((1, W), 3.0, np.float32)
    ws = style_space.truncated_styles(space._replace(styles=styles), w, 0.5)
    np.testing.assert_allclose(ws[0, :8], 2.0)
    np.testing.assert_allclose(ws[0, 8:], 3.0)
    np.testing.assert_array_equal(
        style_space.truncated_styles(space, w, 1.0), broadcast(jnp.asarray(w), LAYERS)
    )


def test_classifiers_of_a_rare_attribute_are_not_praised_for_saying_never(monkeypatch):
    """Balanced: a judge that never sees the attribute is right about half, not about 95 in 100."""
    monkeypatch.setattr(attribute_editing, "edits", lambda space, judges: {})
    never = classification.classifier({"params": {}}, (SIDE, SIDE, 1), classes=2)  # for its label
    monkeypatch.setattr(attribute_editing, "classifiers", lambda train: {"rare": never})
    monkeypatch.setattr(attribute_editing, "judge", lambda one: lambda x: np.full(len(x), -1.0))
    rare = source("bars", 100, 3)._replace(attributes=lambda: {"rare": np.arange(100) < 5})
    subject = context.EvalContext(
        *(lambda conditions: np.zeros(0), lambda source, count: {}, rare, lambda split: rare),
        *("image", "train", 10, lambda: pytest.fail("no feature network is needed")),
        space=make_space,
    )
    assert list(attribute_editing.attribute_edit(subject).values()) == [0.5]


@pytest.mark.parametrize("averaged", [True, False])
def test_a_space_is_of_one_class_and_may_lose_its_noise(averaged):
    params = {"finish0": {"noise": {"scale": jnp.ones(1)}, "affine": {"kernel": jnp.ones((W, 2))}}}

    def styles(networks):
        scale = networks["generator"]["params"]["finish0"]["noise"]["scale"]
        return make_space().styles._replace(
            map=lambda z, label: z * label[:, 1:],
            synthesise=lambda ws, key: ws[:, :1, None] + scale[None, None, None],
            layers=1,
        )

    state = State(
        0, {"generator": params}, {"generator": {}}, {}, {"generator": {"params": params}}
    )
    game = Game({}, {}, (), ema={"generator": 0.9} if averaged else {})
    net = Net(nn.Dense(1), ())  # never called: the styles take its place
    sampler = Sampler(game, from_noise(net, normal(W), slerp)._replace(styles=styles))
    for number in (0, 1):
        space = style_space.open_space(game, sampler, state, style_space.one_class(2, number))
        w = space.draw(jax.random.key(0), np.arange(3))
        assert w.any() == bool(number) and w.shape == (3, W)
    assert [one.shape for one in space.affines()] == [(W, 2)]
    ws = jnp.zeros((1, 1, W))
    assert space.styles.synthesise(ws, None).mean() == 1.0
    assert space.without((0,)).synthesise(ws, None).mean() == 0.0
    assert style_space.one_class(0) is None
