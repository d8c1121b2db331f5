"""Metrics of class-conditional generators: are samples of the class asked for, and useful."""

import numpy as np

from gan_jax.errors import UserError
from gan_jax.evaluation.classifiers import STEPS, class_classifier
from gan_jax.evaluation.context import Conditions, EvalContext, column, num_classes
from gan_jax.evaluation.held_out import require_training_split
from gan_jax.metrics import classification
from gan_jax.metrics.features import extract, to_uint8
from gan_jax.metrics.frechet import frechet_distance, moments
from gan_jax.metrics.names import metric_name


def label_accuracy(context: EvalContext) -> dict[str, float]:
    """The share of samples in which an independent classifier sees the class that was asked for.

    The same classifier's share of as many held-out pictures stands beside it: the most to expect.
    """
    conditions = _labelled(context)
    test = context.other("test")
    classifier = class_classifier(context)
    seen = classification.accuracy(classifier, context.draw(conditions), conditions["label"])
    order = np.random.RandomState(0).permutation(
        len(test.records)
    )  # a folder's are in order of class
    real = test.records.take(order[: context.count])
    images, labels = real["image"], real["label"]
    name = classifier.features.name
    return {
        metric_name("label_accuracy", context.count, None, name): seen,
        metric_name("real_label_accuracy", len(images), "test", name, real_count=len(images)): (
            classification.accuracy(classifier, images, labels)
        ),
    }


def intra_fid(context: EvalContext) -> dict[str, float]:
    """The mean over classes of the FID between a class's samples and its real pictures.

    Miyato & Koyama 2018, arXiv:1802.05637, section 5.1: what a class lacks does not hide behind
    another.
    """
    _labelled(context)
    network, labels = context.features(), column(context.source, "label")
    asked = np.arange(context.count, dtype=np.int32) % num_classes(context.source)  # equal shares
    fake, _ = extract(network, context.draw({"index": np.arange(context.count), "label": asked}))
    real, _ = extract(network, column(context.source, context.real))
    name = metric_name(
        "intra_fid", context.count, context.split, network.label, real_count=len(real)
    )
    values = [
        frechet_distance(
            moments(real[labels == label]), moments(fake[asked == label]), name=name, warn=not label
        )
        for label in np.unique(labels)
    ]
    return {name: float(np.mean(values))}


def accuracy_score(context: EvalContext) -> dict[str, float]:
    """Accuracy on held-out pictures of a classifier that learned from samples alone."""
    _labelled(context)
    test, classes = context.other("test"), num_classes(context.source)

    def sample(labels: np.ndarray) -> np.ndarray:
        return context.draw({"index": np.arange(len(labels)), "label": labels})

    return classification.accuracy_score(
        sample,
        column(test, "image"),
        column(test, "label"),
        classes=classes,
        count=context.count,
        split="test",
    )


def _labelled(context: EvalContext) -> Conditions:
    conditions = context.conditions(context.source, context.count)
    if "label" not in conditions:
        raise UserError(
            "this metric needs a generator that is conditioned on labels (game.condition)"
        )
    return conditions


def augmentation(context: EvalContext) -> dict[str, float]:
    """Held-out accuracy of a classifier of the real pictures trained on, of samples, and of both.

    The three have the same number of steps; half of what `both` sees is real. The generator must
    have seen no other picture than those of `context.source`.
    """
    require_training_split(context.split)
    _labelled(context)
    test, classes, source = context.other("test"), num_classes(context.source), context.source
    images, labels = column(source, "image"), column(source, "label")
    asked = np.arange(context.count, dtype=np.int32) % classes
    samples = to_uint8(context.draw({"index": np.arange(context.count), "label": asked}))
    rows = np.arange(max(len(images), context.count)) % len(images)
    parts = np.arange(len(rows)) % context.count
    mixed = np.concatenate([images[rows], samples[parts]])
    mixed_labels = np.concatenate([labels[rows], asked[parts]])
    held, held_labels = column(test, "image"), column(test, "label")
    found = {}
    for name, x, y in (
        ("accuracy_real", images, labels),
        ("accuracy_both", mixed, mixed_labels),
        ("accuracy_generated", samples, asked),
    ):
        judge = classification.train_classifier(x, y, classes=classes, steps=STEPS)
        title = metric_name(name, context.count, "test", judge.features.name, real_count=len(held))
        found[title] = classification.accuracy(judge, held, held_labels)
    return found
