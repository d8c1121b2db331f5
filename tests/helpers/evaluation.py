"""An evaluation context of striped pictures whose class can be seen, and pixels as features."""

import flax.linen as nn
import numpy as np

from gan_jax.data.source import Source, in_memory
from gan_jax.evaluation.context import EvalContext
from gan_jax.metrics.features import network_features

CLASSES, SIDE = 3, 16


def stripes(labels, seed=0):
    """Pictures of a class: a bright band whose height is the class's, under noise."""
    draw = np.random.RandomState(seed)
    images = draw.randint(0, 60, (len(labels), SIDE, SIDE, 1))
    for image, label in zip(images, labels, strict=True):
        image[5 * label : 5 * label + 5] += 190
    return images.astype(np.uint8)


def source(name, count, seed, **columns):
    labels = (np.arange(count) % CLASSES).astype(np.int32)
    found = {"image": stripes(labels, seed), "label": labels, **columns}
    return Source(name, in_memory(found), f"{name}{seed}", count, CLASSES, None, "")


SIDES = {"train": source("stripes", 240, 1), "test": source("stripes", 60, 2)}


def context(draw, **options):
    def conditions(source, count):
        return {"index": np.arange(count), "label": (np.arange(count) % CLASSES).astype(np.int32)}

    values = {
        "draw": draw,
        "conditions": conditions,
        "source": SIDES["train"],
        "other": SIDES.__getitem__,
        "real": "image",
        "split": "train",
        "count": 90,
        "features": lambda: FEATURES,
    }
    return EvalContext(**{**values, **options})


class Flat(nn.Module):
    """The pixels themselves as features."""

    @nn.compact
    def __call__(self, x):
        small = x[:, ::4, ::4, 0].reshape(len(x), -1)
        return small / 255.0, small


FEATURES = network_features("flat", Flat(), {}, resolution=SIDE, resizer="antialias", batch=32)
