"""What metrics need is looked for before the first round."""

import pytest
from helpers.evaluation import FEATURES, SIDES

from gan_jax.errors import UserError
from gan_jax.evaluation import registry


@pytest.mark.parametrize(
    ("metric", "split", "message"),
    [
        ("mode_coverage", "train", "needs a toy mixture, not 'stripes'"),
        ("attribute_edit", "train", "'stripes' tells no attributes"),
        ("caption_accuracy", "train", "'stripes' does not know its captions"),
        ("linear_probe", "train", "'stripes' has no labels"),
        ("pairs", "train", "needs data of pairs, x and y, not 'stripes'"),
        ("held_out", "test", "needs the training split, not 'test'"),
        ("augmentation", "test", "needs the training split, not 'test'"),
    ],
)
def test_what_a_metric_lacks_is_said_before_the_first_round(metric, split, message, monkeypatch):
    monkeypatch.setattr(registry.perceptual, "efficientnet_distance", lambda: None)
    source = SIDES["train"]._replace(num_classes=None)
    with pytest.raises(UserError, match=message):
        registry.require((metric,), source, lambda: FEATURES, SIDES.__getitem__, split)
