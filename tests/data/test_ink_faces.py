"""Drawn faces as ink drawings and in colour: true counterparts, and halves that share no face."""

import sys

import numpy as np
import pytest

from gan_jax.data.builders import ink_faces
from gan_jax.data.pipeline import open_source

PROGRAM = """
import hashlib, json, sys
side = int(sys.argv[-1])
for line in sys.stdin:
    face = json.loads(line)
    parts = "".join(face[name] for name in ("face", "head", "facialHair", "accessories", "mask"))
    outline = hashlib.sha256(parts.encode()).digest()[:3]
    skin = bytes.fromhex(face["skinColor"][1:])
    sys.stdout.buffer.write(outline * side + skin * (side * side - side))
"""
"""Draws a first line that is the face's own, and its skin."""


def shown(split):
    source = open_source("faces_ink_colour", split=split, resolution=64, channels=3)
    return source.records.take(np.arange(source.size))


@pytest.fixture(scope="module")
def held_out():
    return shown("test")


def outlines(pictures):
    """Where it is nearly black, as the same in both domains."""
    return {(picture.max(-1) < 30).tobytes() for picture in pictures}


def test_held_out_faces_are_true_counterparts(held_out):
    xs, ys = held_out["x"], held_out["y"]
    assert len(xs) == len(ys) == 205
    black = xs.max(-1) < 30
    assert np.mean(ys.max(-1)[black] < 30) > 0.999
    distance = np.abs(xs.astype(float) - ys).mean()
    assert distance < 0.5 * np.abs(xs.astype(float) - np.roll(ys, 1, axis=0)).mean()


def test_the_archive_has_the_faces_that_are_drawn():
    with np.load(ink_faces.EMBEDDED) as archive:
        sizes = {name: len(archive[name]) for name in archive.files}
    assert sizes == {"x": 2220, "y": 1975, "test_x": 205, "test_y": 205}
    assert sizes["x"] + sizes["y"] + sizes["test_x"] == ink_faces.COUNT


def test_no_face_is_in_two_places(held_out):
    train = shown("train")
    assert {ink_faces.side_of(ink) for ink in train["x"]} == {"x"}
    assert {ink_faces.side_of(ink) for ink in held_out["x"]} == {"test"}
    halves = [outlines(train["x"]), outlines(train["y"]), outlines(held_out["x"])]
    assert len(halves[0]) > 1900 and len(halves[1]) > 1700
    together = set().union(*halves)
    assert len(together) > 0.99 * sum(map(len, halves))  # some faces differ in white parts only


def test_every_coloured_face_has_the_same_colours(held_out):
    for name, (red, green, blue) in {
        "skin": (0xED, 0xB9, 0x8A),
        "cloth": (0x8F, 0xA7, 0xDF),
    }.items():
        seen = (held_out["y"] == (red, green, blue)).all(-1).any((1, 2))
        assert np.mean(seen) > 0.9, name
    grey = np.ptp(held_out["x"].astype(int), axis=-1) == 0
    assert np.mean(grey) > 0.97  # all but medical masks


def test_drawing_puts_each_face_in_one_place():
    drawn = ink_faces.draw((sys.executable, "-c", PROGRAM), count=80)
    assert sum(len(drawn[name]) for name in ("x", "y", "test_x")) == 80
    assert len(drawn["x"]) > 20 and len(drawn["y"]) > 20 and len(drawn["test_x"]) > 0
    np.testing.assert_array_equal(drawn["test_x"][:, 0], drawn["test_y"][:, 0])
    assert {tuple(ink[1, 0]) for ink in drawn["x"]} == {(255, 255, 255)}
    assert {tuple(face[1, 0]) for face in drawn["y"]} == {(0xED, 0xB9, 0x8A)}
    tops = [{tuple(one[0, 0]) for one in drawn[name]} for name in ("x", "y", "test_x")]
    assert len(set().union(*tops)) == sum(map(len, tops))
