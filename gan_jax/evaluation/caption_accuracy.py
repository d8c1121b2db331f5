"""Caption accuracy: how often samples show the attributes that held-out captions name.

A classifier for each attribute, trained on real pictures, looks at the samples. Where the data
holds pairs of values out of training, captions with such pairs are reported apart: they tell
composition from recall (Park et al. 2021, Benchmark for Compositional Text-to-Image Synthesis,
NeurIPS Datasets and Benchmarks).
"""

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Bool, Int

from gan_jax.data.faces import HIDDEN, Described
from gan_jax.data.pipeline import Source
from gan_jax.errors import UserError
from gan_jax.evaluation.attribute_editing import SIDE, small
from gan_jax.evaluation.classifiers import cached_classifier
from gan_jax.evaluation.context import EvalContext, column
from gan_jax.metrics.classification import Classifier
from gan_jax.metrics.features import extract
from gan_jax.metrics.names import metric_name

STEPS = 600  # of each classifier


def caption_accuracy(context: EvalContext) -> dict[str, float]:
    """How often samples show what their captions name: the mean over attributes of the accuracy.

    Reported for captions without a held-out pair ("seen"), for those with one ("unseen"), and for
    the values of the held-out pairs alone ("pair"). `caption_exact` is the share of captions whose
    every attribute is right. Beside them: the same of held-out real pictures, the most to expect,
    and of the most frequent value of each attribute (chance).

    Raises UserError for data that does not know its captions' attributes.
    """
    train, test = context.other("train"), context.other("test")
    described = read(test)
    pictures = {
        "": context.draw(context.conditions(test, len(described.attributes))),
        "real_": column(test, context.real),
    }
    trained = classifiers(train)
    label = next(iter(trained.values())).features.label
    truth = described.attributes
    guesses = {name: recognise(trained, images) == truth for name, images in pictures.items()}
    guesses["chance_"] = _most_frequent(read(train)) == truth
    found = {}
    for group, named in groups(described).items():
        count = int(named.any(axis=1).sum())
        if not count:
            continue
        for prefix, right in guesses.items():
            for quantity, value in (
                ("caption_accuracy", mean_accuracy(right, named)),
                ("caption_exact", exact(right, named)),
            ):
                title = metric_name(f"{prefix}{quantity}", count, "test", label, group)
                found[title] = value
    for number, name in enumerate(described.values):
        named = described.named[:, number]
        title = metric_name("caption_accuracy", int(named.sum()), "test", label, name)
        found[title] = float(guesses[""][named, number].mean()) if named.any() else 0.0
    return found


def reader(source: Source) -> Callable[[], Described]:
    """The function that reads what a data set knows of its captions.

    Raises UserError when that is nothing.
    """
    if source.described is None:
        known = f"data set {source.name!r} does not know its captions' attributes"
        raise UserError(f"{known}; 'captioned_avatars' does")
    return source.described


def read(source: Source) -> Described:
    """What a data set knows of its captions. Raises UserError when that is nothing."""
    return reader(source)()


def groups(described: Described) -> Mapping[str, Bool[np.ndarray, "n k"]]:
    """Which attributes of which captions count, by group."""
    unseen = described.unseen.any(axis=1, keepdims=True)
    named = described.named
    return {"seen": named & ~unseen, "unseen": named & unseen, "pair": described.unseen}


def mean_accuracy(right: Bool[np.ndarray, "n k"], named: Bool[np.ndarray, "n k"]) -> float:
    """The accuracy of each attribute where it is named, averaged over attributes."""
    counts = named.sum(axis=0)
    accuracies = (right & named).sum(axis=0)[counts > 0] / counts[counts > 0]
    return float(accuracies.mean())


def exact(right: Bool[np.ndarray, "n k"], named: Bool[np.ndarray, "n k"]) -> float:
    """The share of captions that name something whose every named attribute is right."""
    rows = named.any(axis=1)
    return float((right | ~named)[rows].all(axis=1).mean())


def classifiers(train: Source) -> dict[str, Classifier]:
    """A classifier of each attribute, from real training pictures; trained once and kept.

    They see every picture mirrored as well, and none whose value is hidden.
    """
    described, pictures = read(train), small(column(train, "image"))
    pictures = np.concatenate([pictures, pictures[:, :, ::-1]])
    trained = {}
    for number, (name, values) in enumerate(described.values.items()):
        labels = np.tile(described.attributes[:, number], 2).astype(np.int32)
        seen = labels != HIDDEN
        trained[name] = cached_classifier(
            f"small-cnn/{train.fingerprint}/{name}/{SIDE}/{STEPS}/mirrored",
            pictures[seen],
            labels[seen],
            classes=len(values),
            steps=STEPS,
        )
    return trained


def recognise(trained: Mapping[str, Classifier], pictures: np.ndarray) -> Int[np.ndarray, "n k"]:
    """The number of the value of each attribute that the classifiers see."""
    pictures = small(pictures)  # once for all classifiers
    logits = [extract(one.features, pictures)[1] for one in trained.values()]
    return np.stack([one.argmax(axis=1) for one in logits], axis=1)


def _most_frequent(described: Described) -> Int[np.ndarray, " k"]:
    columns = (values[values != HIDDEN] for values in described.attributes.T)
    return np.array([np.bincount(values).argmax() for values in columns])
