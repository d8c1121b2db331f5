"""Attributes of data sets: what the drawn faces have, and sets that tell theirs as booleans."""

import numpy as np
import tensorflow_datasets as tfds

from gan_jax.data import source
from gan_jax.data.builders import avatars
from gan_jax.data.pipeline import open_source


def test_faces_have_the_attributes_they_were_drawn_with():
    faces = open_source("avatars", split="test", resolution=16, channels=3)
    assert faces.attributes is not None
    found = faces.attributes()
    assert set(found) == set(avatars.BINARY)
    assert all(x.dtype == bool and x.shape == (faces.size,) for x in found.values())
    with np.load(avatars.EMBEDDED) as archive:
        test = np.array([avatars.in_test_split(image) for image in archive["images"]])
        drawn = {name: archive[f"attr_{name}"][test] for name in avatars.ATTRIBUTES}
    assert found["beard"].sum() == (drawn["facialHair"] != "").sum()
    assert found["mask"].sum() == (drawn["mask"] != "").sum()
    assert found["glasses"].sum() == (~np.isin(drawn["accessories"], ["", "eyepatch"])).sum()


def test_attributes_follow_the_rows():
    """Dark skin can be seen: such faces' darkest common colour is below the others'."""
    faces = open_source("avatars", split="test", resolution=64, channels=3)
    assert faces.attributes is not None
    dark = faces.attributes()["dark_skin"]
    images = faces.records.take(np.arange(faces.size or 0))["image"]
    middle = images[:, 20:44, 20:44].astype(float).mean(axis=(1, 2, 3))
    assert middle[dark].mean() < middle[~dark].mean() - 30


def test_dark_colours_are_those_below_half_of_white():
    def luma(colour):
        return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) @ (0.2126, 0.7152, 0.0722)

    with np.load(avatars.EMBEDDED) as archive:
        palette = set(archive["attr_skinColor"])
    assert {str(one) for one in palette if luma(one) < 127.5} == avatars.DARK


def test_a_set_may_tell_its_attributes_itself():
    """As CelebA does in TFDS."""
    feature = tfds.features.FeaturesDict({"Smiling": np.bool_, "Count": np.int64})
    rules = source._boolean_attributes(feature)
    examples = [{"attributes": {"Smiling": value, "Count": 3}} for value in (True, False)]
    found = source._attributes(rules, lambda: examples)()
    assert list(found) == ["Smiling"]
    np.testing.assert_array_equal(found["Smiling"], [True, False])
