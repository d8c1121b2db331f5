"""Metrics that ask more than "do the pictures look alike": of conditions, and of what a net knows.

Each takes a `Subject` and gives full names and values, as those of `scores` do.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from gan_jax.config import UserError
from gan_jax.data.pipeline import Source, eval_batches
from gan_jax.data.source import cache_dir, preparing
from gan_jax.metrics import classification
from gan_jax.metrics.classification import Classifier
from gan_jax.metrics.features import Features, extract
from gan_jax.metrics.frechet import frechet_distance, moments
from gan_jax.metrics.names import metric_name
from gan_jax.metrics.path_length import Paths

Conditions = dict[str, np.ndarray]


class Subject(NamedTuple):
    """What is measured: a sampler beside the data set it learned from.

    `draw(conditions)` gives samples, pictures [n h w c] in [-1, 1] or points [n 2], which imitate
    the column `real`; `conditions(source, n)` are those of the first n samples. `split` names the
    side of `source`, `other(split)` opens another. `count` samples and the network `features` make
    the comparisons. Where the game has them: `paths` walks between latents.
    """

    draw: Callable[[Conditions], np.ndarray]
    conditions: Callable[[Source, int], Conditions]
    source: Source
    other: Callable[[str], Source]
    real: str
    split: str
    count: int
    features: Callable[[], Features]
    paths: Callable[[], Paths] | None = None

    def sample(self, count: int) -> np.ndarray:
        """The first `count` samples."""
        return self.draw(self.conditions(self.source, count))


def column(source: Source, name: str, count: int | None = None) -> np.ndarray:
    """One column of the first `count` rows (default: all).

    Raises UserError when the data set has no such column.
    """
    if name not in source.records[0]:
        raise UserError(f"data set {source.name!r} has no {name!r}: this metric needs it")
    return np.concatenate([batch[name] for batch in eval_batches(source, 256, count=count)])


def judge(subject: Subject) -> Classifier:
    """A classifier that never saw a sample: of garments the package's own, else trained once.

    It learns from the training side of the data, and is kept in the cache under its fingerprint.
    """
    source = subject.other("train")
    classes = _classes(source)
    if source.name.startswith("fashion_mnist"):
        return classification.fashion()
    images, labels = column(source, "image"), column(source, "label")
    key = hashlib.sha256(f"small-cnn/{source.fingerprint}".encode()).hexdigest()[:16]
    folder = cache_dir() / "classifiers" / key
    if not folder.exists():
        params = classification.fit(images, labels, classes=classes)
        with preparing(folder) as temporary:
            flat = {"/".join(k): np.asarray(v) for k, v in flatten_dict(params).items()}
            np.savez(temporary / "params.npz", allow_pickle=False, **flat)
    with np.load(folder / "params.npz", allow_pickle=False) as stored:
        params = unflatten_dict({tuple(n.split("/")): stored[n] for n in stored.files})
    return classification.classifier(params, images.shape[1:], classes=classes)


def label_accuracy(subject: Subject) -> dict[str, float]:
    """The share of samples in which an independent classifier sees the class that was asked for.

    The same classifier's share of the held-out pictures stands beside it: the most to expect.
    """
    classifier = judge(subject)
    conditions = _labelled(subject)
    seen = classification.accuracy(classifier, subject.draw(conditions), conditions["label"])
    test = subject.other("test")
    images, labels = column(test, "image"), column(test, "label")
    name = classifier.features.name
    return {
        metric_name("label_accuracy", subject.count, None, name): seen,
        metric_name("real_label_accuracy", len(images), "test", name, real_count=len(images)): (
            classification.accuracy(classifier, images, labels)
        ),
    }


def intra_fid(subject: Subject) -> dict[str, float]:
    """The mean over classes of the FID between a class's samples and its real pictures.

    Miyato & Koyama 2018, arXiv:1802.05637, section 5.1: what a class lacks does not hide behind
    another.
    """
    network, conditions = subject.features(), _labelled(subject)
    fake, _ = extract(network, subject.draw(conditions))
    real, _ = extract(network, column(subject.source, subject.real))
    labels, asked = column(subject.source, "label"), conditions["label"]
    name = metric_name(
        "intra_fid", subject.count, subject.split, network.label, real_count=len(real)
    )
    values = [
        frechet_distance(
            moments(real[labels == label]), moments(fake[asked == label]), name=name, warn=not label
        )
        for label in np.unique(labels)
    ]
    return {name: float(np.mean(values))}


def accuracy_score(subject: Subject) -> dict[str, float]:
    """Accuracy on held-out pictures of a classifier that learned from samples alone."""
    test, classes = subject.other("test"), _classes(subject.source)

    def sample(labels: np.ndarray) -> np.ndarray:
        return subject.draw({"index": np.arange(len(labels)), "label": labels})

    return classification.accuracy_score(
        sample,
        column(test, "image"),
        column(test, "label"),
        classes=classes,
        count=subject.count,
        split="test",
    )


def _classes(source: Source) -> int:
    if source.num_classes is None:
        raise UserError(f"data set {source.name!r} has no labels: this metric needs them")
    return source.num_classes


def _labelled(subject: Subject) -> Conditions:
    conditions = subject.conditions(subject.source, subject.count)
    if "label" not in conditions:
        raise UserError("this metric needs a generator that is told a label (game.condition)")
    return conditions


PROBES: Mapping[str, Callable[[Subject], dict[str, float]]] = {
    "label_accuracy": label_accuracy,
    "intra_fid": intra_fid,
    "accuracy_score": accuracy_score,
}
