"""The distance to held-out pictures: copies of training pictures have a gap, new ones do not."""

import pytest
from helpers.evaluation import SIDES, context, source, stripes

from gan_jax.errors import UserError
from gan_jax.evaluation.held_out import held_out_distance
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
