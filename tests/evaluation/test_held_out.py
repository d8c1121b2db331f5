"""The distance to held-out pictures: copies of training pictures have a gap, new ones do not."""

import numpy as np
import pytest
from helpers.evaluation import SIDES, context, source, stripes

from gan_jax.errors import UserError
from gan_jax.evaluation.held_out import held_out_distance, nearest_neighbours
from gan_jax.metrics.names import quantity

FEW = source("stripes", 9, 4)  # so few that they differ from the distribution


def measured(draw, **options):
    return {quantity(k): v for k, v in held_out_distance(context(draw, **options)).items()}


def test_copies_are_nearer_to_the_training_pictures_than_to_those_held_out():
    def copies(conditions):
        return FEW.records.take(conditions["index"] % 9)["image"]

    copied = measured(copies, source=FEW)
    new = measured(lambda conditions: stripes(conditions["label"], seed=5))
    assert abs(new["kid_gap"]) < 0.1 * copied["kid_gap"]
    assert new["held_out_kid"] < 0.1 * copied["held_out_kid"]


def test_a_game_that_is_measured_on_held_out_pictures_has_no_gap():
    with pytest.raises(UserError, match="needs the training split"):
        measured(lambda c: stripes(c["label"]), source=SIDES["test"], split="test")


def test_the_neighbours_of_copies_are_the_pictures_copied():
    rows = np.array([3, 77, 141])
    pictures = SIDES["train"].records.take(rows)["image"]
    copied = nearest_neighbours(context(lambda conditions: pictures), count=3, k=2)
    np.testing.assert_array_equal(copied.pictures[:, 0], copied.samples)
    assert copied.distances[:, 0].max() < 0.01 < 0.5 < copied.distances[:, 1].min()
    new = nearest_neighbours(context(lambda c: stripes(c["label"], seed=5)), count=9, k=1)
    assert 0.5 < np.median(new.distances) < 2.0
