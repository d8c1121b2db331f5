"""Captions of drawn faces: phrasings, edits, and the pairs that are held out."""

import itertools

import numpy as np
import pytest

from gan_jax.data import faces
from gan_jax.data.available import is_available
from gan_jax.data.builders import avatars, drawn_avatars
from gan_jax.data.captions import hash_caption
from gan_jax.data.faces import ATTRIBUTES, HELD_OUT, HIDDEN, NAMED, VALUES
from gan_jax.data.pipeline import batches, open_source
from gan_jax.errors import UserError

NAMES = list(VALUES)
DRAWN = drawn_avatars.sample(4000, seed=0)
ROWS = [faces.numbers_of(drawn_avatars.attributes_of(DRAWN, row)) for row in range(4000)]
TABLE = np.array(ROWS, np.int8)
SEEN = TABLE[~faces.unseen(TABLE).any(axis=1)]
SEEN = [tuple(row) for row in SEEN.tolist()]
CAPTIONS = [(row, faces.describe(row, bits)) for bits, row in enumerate(SEEN[:1000])]


def opened(split, **options):
    return open_source("captioned_avatars", split=split, resolution=16, channels=3, **options)


@pytest.fixture(scope="module")
def train():
    return opened("train")


@pytest.fixture(scope="module")
def test():
    return opened("test")


def test_every_part_a_face_is_drawn_from_has_a_value():
    for name, slots in drawn_avatars.SLOTS.items():
        usual = {other: outcomes[-1] for other, outcomes in drawn_avatars.SLOTS.items()}
        usual["mask"] = ""
        for value in slots:
            numbers = faces.numbers_of({**usual, name: value})
            assert HIDDEN not in numbers or (name == "mask" and value)
    for number, name in enumerate(NAMES):
        found = set(TABLE[:, number]) - {HIDDEN}
        assert found == set(range(len(VALUES[name])))
    assert set(faces.HAIR) <= set(drawn_avatars.HEADS)


def test_a_beard_under_a_mask_is_hidden_and_never_named():
    masked = TABLE[:, NAMES.index("mask")] != VALUES["mask"].index("none")
    np.testing.assert_array_equal(TABLE[:, NAMES.index("beard")] == HIDDEN, masked)
    for row, caption in CAPTIONS:
        if row[NAMES.index("beard")] == HIDDEN:
            assert caption.named[NAMES.index("beard")] == HIDDEN
            assert caption.wrong[NAMES.index("beard")] == HIDDEN


def test_a_caption_names_three_attributes_or_more_and_only_true_ones():
    counts = set()
    for row, caption in CAPTIONS:
        named = [k for k, number in enumerate(caption.named) if number != HIDDEN]
        counts.add(len(named))
        assert all(caption.named[k] == row[k] for k in named)
    assert counts == set(range(NAMED, len(NAMES) + 1))


def test_a_wrong_caption_differs_in_exactly_one_attribute_that_is_named():
    edited = []
    for row, caption in CAPTIONS:
        (k,) = (k for k in range(len(row)) if caption.named[k] != caption.wrong[k])
        assert HIDDEN not in (caption.named[k], caption.wrong[k])
        assert caption.wrong_words != caption.words
        edited.append((k, caption.wrong[k]))
    assert {k for k, _ in edited} == set(range(len(NAMES)))
    assert len(set(edited)) == sum(map(len, VALUES.values())), "every value is some edit"


def test_a_wrong_caption_keeps_phrasing_and_order():
    for _, caption in CAPTIONS:
        style = next(
            style
            for style in range(len(faces.STYLES))
            if faces.phrase(caption.named, style) == caption.words
        )
        assert caption.wrong_words == faces.phrase(caption.wrong, style)


def test_no_caption_in_training_right_or_wrong_has_a_held_out_pair():
    for row, caption in CAPTIONS:
        edited = np.where(np.array(caption.wrong) != HIDDEN, caption.wrong, row)
        assert not faces.unseen(np.array([edited], np.int8)).any()


def test_phrasings_and_dropped_attributes_vary():
    row = next(row for row in SEEN if HIDDEN not in row)
    words = {faces.describe(row, bits).words for bits in range(300)}
    assert len(words) > 60
    starts = [style[0] for style in faces.STYLES if style[0]]
    assert 3 <= len(faces.STYLES) <= 5
    assert all(any(one.startswith(start) for one in words) for start in starts)


def test_every_value_has_a_word_of_its_own_in_each_phrasing():
    """So that hashed words, which have no order, tell what a caption names."""
    for column in (0, 1):
        words = {
            (name, value): set(phrases[column].split())
            for name, values in ATTRIBUTES.items()
            for value, phrases in values.items()
        }
        for key, own in words.items():
            others = set().union(*(some for other, some in words.items() if other != key))
            assert own - others, key


@pytest.mark.parametrize("pair", HELD_OUT)
def test_between_ten_and_fifteen_percent_of_pairs_are_held_out_and_no_value(pair):
    first, second = (len(VALUES[name]) for name in pair)
    held = np.array([[faces.held_out(i, j) for j in range(second)] for i in range(first)])
    assert 0.1 <= held.mean() <= 0.15
    assert not held.all(axis=0).any()
    assert not held.all(axis=1).any()


def test_no_attribute_is_in_two_tables_of_pairs():
    named = list(itertools.chain(*HELD_OUT))
    assert len(named) == len(set(named))


def test_held_out_pairs_are_in_the_test_split_alone_and_each_value_in_training(train, test):
    assert not faces.unseen(train.described().attributes).any()
    for number, values in enumerate(VALUES.values()):
        assert set(train.described().attributes[:, number]) >= set(range(len(values)))
    described = test.described()
    rows = faces.unseen(described.attributes).any(axis=1)
    assert 0.1 < rows.mean() < 0.4
    np.testing.assert_array_equal(described.unseen, faces.unseen(described.attributes))
    assert described.named[described.unseen].all(), "captions name all of a held-out pair"


def test_the_rows_belong_together(test):
    """Captions, embeddings and what is known of the pictures are of the same row."""
    described, captions = test.described(), test.captions()
    record = test.records.take(np.arange(20))
    for row in range(20):
        np.testing.assert_allclose(record["text"][row], hash_caption(captions[row]))
        for number, (name, values) in enumerate(VALUES.items()):
            if described.named[row, number]:
                words = ATTRIBUTES[name][values[described.attributes[row, number]]]
                assert any(one in captions[row] for one in words)
    plain = open_source("avatars", split="test", resolution=16, channels=3)
    np.testing.assert_array_equal(record["image"], plain.records.take(np.arange(20))["image"])
    assert test.attributes().keys() == avatars.BINARY.keys()
    none = described.attributes[:, NAMES.index("mask")] != VALUES["mask"].index("none")
    np.testing.assert_array_equal(test.attributes()["mask"], none)


def test_captions_change_with_the_epoch_and_depend_on_the_step_alone(train):
    size, picked = train.size, {"batch_size": 64, "seed": 3}
    read = batches(train, **picked)
    first = [next(read) for _ in range(4)]
    again = next(batches(train, start=3, **picked))
    for name, column in first[3].items():
        np.testing.assert_array_equal(again[name], column)
    other = train.records.window(np.arange(64), np.arange(64, dtype=np.uint32))
    moved = train.records.window(np.arange(64), np.arange(size, size + 64, dtype=np.uint32))
    assert (other["text"] != moved["text"]).any(axis=1).mean() > 0.8
    np.testing.assert_array_equal(other["image"], moved["image"])


def test_an_encoding_by_attributes_is_exactly_what_is_named():
    source = opened("test", encoding="attributes")
    described, text = source.described(), source.records.take(np.arange(30))["text"]
    assert text.shape == (30, 384)
    np.testing.assert_allclose(np.linalg.norm(text, axis=1), 1.0, rtol=1e-5)
    start = 0
    for number, values in enumerate(VALUES.values()):
        block = text[:, start : start + len(values)] > 0
        start += len(values)
        np.testing.assert_array_equal(block.any(axis=1), described.named[:30, number])
        there = block.any(axis=1)
        found = block[there].argmax(axis=1)
        np.testing.assert_array_equal(found, described.attributes[:30, number][there])
    assert not text[:, start:].any()
    assert source.fingerprint != opened("test").fingerprint


def test_only_drawn_faces_can_be_captioned():
    with pytest.raises(UserError, match="did you mean 'captioned_avatars'"):
        open_source("captioned_emoji_noto", resolution=16, channels=3)
    with pytest.raises(UserError, match=r"gan-jax prepare-data avatars_90x16"):
        open_source("captioned_avatars_90x16", resolution=16, channels=3)
    assert is_available("captioned_avatars")
    assert not is_available("captioned_avatars_90x16")
