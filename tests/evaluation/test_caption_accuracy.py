"""Caption accuracy of a generator that obeys, and of one that does not read its captions."""

import numpy as np
import pytest
from helpers.evaluation import context

from gan_jax.data.faces import HIDDEN, Described
from gan_jax.data.source import Source, in_memory
from gan_jax.errors import UserError
from gan_jax.evaluation import caption_accuracy as metric
from gan_jax.evaluation.registry import better
from gan_jax.metrics.names import quantity

SIDE = 16
VALUES = {"top": ("dark", "middle", "bright"), "bottom": ("dark", "bright")}
SHARES = ((0.5, 0.3, 0.2), (0.6, 0.4))


def paint(attributes, seed):
    """Pictures whose upper and lower halves are as bright as their attributes, under noise."""
    draw = np.random.RandomState(seed)
    attributes, images = (
        attributes.astype(int),
        draw.randint(0, 50, (len(attributes), SIDE, SIDE, 3)),
    )
    images[:, : SIDE // 2] += 100 * attributes[:, :1, None, None]
    images[:, SIDE // 2 :] += 200 * attributes[:, 1:, None, None]
    return np.clip(images, 0, 255).astype(np.uint8)


def source(count, seed, *, hidden=0, unseen=0):
    """A split; the first rows' bottom is hidden, the last rows are of a held-out pair."""
    draw = np.random.RandomState(seed)
    columns = [draw.choice(len(share), count, p=share) for share in SHARES]
    attributes = np.stack(columns, axis=1).astype(np.int8)
    known = attributes.copy()
    known[:hidden, 1] = HIDDEN
    named = known != HIDDEN
    named[1::3, 0] = False
    pair = np.zeros(attributes.shape, bool)
    pair[count - unseen :] = named[count - unseen :]
    columns = {
        "image": paint(attributes, seed),
        "text": np.where(named, known, HIDDEN).astype(np.float32),
    }
    described = Described(VALUES, known, named, pair)
    key = f"painted{count}{seed}{hidden}"
    return Source(
        "painted", in_memory(columns), key, count, None, None, "", described=lambda: described
    )


SIDES = {"train": source(600, 1, hidden=60), "test": source(240, 2, unseen=60)}


def measured(draw):
    """The quantities of a generator `text -> attributes` by group."""

    def conditions(source, count):
        rows = source.records.take(np.arange(count))
        return {"index": np.arange(count), "text": rows["text"]}

    found = metric.caption_accuracy(
        context(draw, conditions=conditions, source=SIDES["train"], other=SIDES.__getitem__)
    )
    return {(quantity(name), name.rpartition(",")[2][:-1]): value for name, value in found.items()}


def obeying(conditions):
    """What a caption does not name is drawn at random."""
    wanted, draw = conditions["text"].astype(int), np.random.RandomState(3)
    columns = [draw.choice(len(share), len(wanted), p=share) for share in SHARES]
    return paint(np.where(wanted == HIDDEN, np.stack(columns, axis=1), wanted), 3)


def deaf(conditions):
    draw = np.random.RandomState(4)
    columns = [draw.choice(len(share), len(conditions["index"]), p=share) for share in SHARES]
    return paint(np.stack(columns, axis=1), 4)


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path_factory):
    monkeypatch.setattr(metric, "STEPS", 60)
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path_factory.getbasetemp() / "classifiers"))


def test_a_generator_that_obeys_gets_everything_right():
    found = measured(obeying)
    for group in ("seen", "unseen", "pair"):
        for name in ("caption_accuracy", "caption_exact", "real_caption_accuracy"):
            assert found[name, group] > 0.97, (name, group)
    assert found["caption_accuracy", "top"] > 0.97


def test_a_generator_that_does_not_read_gets_what_chance_gives():
    """Of values as frequent as in the data: the sum of their squared shares."""
    found = measured(deaf)
    chances = [sum(p * p for p in share) for share in SHARES]
    for name, chance in zip(VALUES, chances, strict=True):
        assert found["caption_accuracy", name] == pytest.approx(chance, abs=0.12)
    assert found["caption_accuracy", "seen"] == pytest.approx(np.mean(chances), abs=0.1)
    assert found["real_caption_accuracy", "seen"] > 0.97
    assert found["caption_exact", "seen"] < 0.6


def test_chance_is_the_most_frequent_value_of_the_training_split():
    found, described = measured(deaf), SIDES["test"].described()
    seen = described.named & ~described.unseen.any(axis=1, keepdims=True)
    shares = [(described.attributes[seen[:, k], k] == 0).mean() for k in range(2)]
    assert found["chance_caption_accuracy", "seen"] == pytest.approx(np.mean(shares))


def test_the_mean_is_over_attributes_and_a_caption_is_exact_as_a_whole():
    named = np.array([[1, 1], [1, 0], [1, 0], [0, 0]], bool)
    right = np.array([[1, 0], [1, 0], [0, 1], [0, 0]], bool)
    assert metric.mean_accuracy(right, named) == pytest.approx((2 / 3 + 0) / 2)
    assert metric.exact(right, named) == pytest.approx(1 / 3)


def test_groups_are_those_of_the_captions():
    described = SIDES["test"].described()
    groups = metric.groups(described)
    assert not (groups["seen"] & groups["unseen"]).any()
    np.testing.assert_array_equal(groups["seen"] | groups["unseen"], described.named)
    assert groups["pair"].sum() <= groups["unseen"].sum()
    assert groups["unseen"].any(axis=1).sum() == described.unseen.any(axis=1).sum()


def test_every_quantity_says_that_higher_is_better():
    for name, _ in measured(obeying):
        assert better(name) == "higher"


def test_data_that_knows_no_attributes_is_refused():
    plain = SIDES["test"]._replace(described=None)
    with pytest.raises(UserError, match="'captioned_avatars' does"):
        metric.caption_accuracy(context(deaf, other=lambda split: plain))
