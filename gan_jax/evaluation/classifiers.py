"""Classifiers that never saw a sample, trained once for a data set and kept in the cache."""

import hashlib
from collections.abc import Callable, Iterator

import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jaxtyping import Array

from gan_jax.data.source import CHUNK, cache_dir, preparing
from gan_jax.evaluation.context import EvalContext, num_classes
from gan_jax.evaluation.reference import image_bar
from gan_jax.metrics import classification
from gan_jax.metrics.classification import Classifier
from gan_jax.metrics.features import extract
from gan_jax.metrics.linear_probe import Probe, fit_probe

STEPS = 1000  # of every classifier that is trained here


PROBED = 10_000  # training images that a linear classifier of features learns from, at most


def class_classifier(context: EvalContext) -> Classifier:
    """The classifier of a data set's classes: for Fashion-MNIST the embedded one.

    Of other data sets it is a linear one of the feature network's features, fitted to training
    images, once, and kept in the cache.
    """
    source = context.other("train")
    classes = num_classes(source)
    if source.name.startswith("fashion_mnist"):
        return classification.fashion()
    network = context.features()
    facts = f"probe/{source.fingerprint}/{network.label}/{network.weights}/{PROBED}"

    def fit() -> dict[str, np.ndarray]:
        rows = np.random.RandomState(0).permutation(len(source.records))[:PROBED]
        labels: list[np.ndarray] = []

        def parts() -> Iterator[np.ndarray]:
            for start in range(0, len(rows), CHUNK):
                part = source.records.take(rows[start : start + CHUNK])
                labels.append(part["label"])
                yield part["image"]

        with image_bar("features of training images") as progress:
            features, _ = extract(network, parts(), progress=progress)
        probe = fit_probe(features, np.concatenate(labels), classes=classes)
        return {name: np.asarray(value) for name, value in probe._asdict().items()}

    values = {name: jnp.asarray(value) for name, value in _cached(facts, fit).items()}
    probe = Probe(**values)

    def run(images: Array) -> tuple[Array, Array]:
        features, _ = network.run(images)
        return features, probe.scores(features)

    return Classifier(network._replace(name=f"{network.label},linear", run=run), classes)


def cached_classifier(
    facts: str, images: np.ndarray, labels: np.ndarray, *, classes: int, steps: int | None = None
) -> Classifier:
    """A classifier of images, trained once and kept in the cache.

    Args:
        facts: everything that decides its parameters; a hash of it names the file.
        images: uint8 [n h w c].
        labels: int [n].
        classes: their number.
        steps: of training; None for `STEPS`.
    """

    def fit() -> dict[str, np.ndarray]:
        params = classification.fit(images, labels, classes=classes, steps=steps or STEPS)
        return {"/".join(k): np.asarray(v) for k, v in flatten_dict(params).items()}

    flat = _cached(facts, fit)
    params = unflatten_dict({tuple(name.split("/")): value for name, value in flat.items()})
    return classification.classifier(params, images.shape[1:], classes=classes)


def _cached(facts: str, fit: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    key = hashlib.sha256(facts.encode()).hexdigest()[:16]
    folder = cache_dir() / "classifiers" / key
    if not folder.exists():
        found = fit()
        with preparing(folder) as temporary:
            np.savez(temporary / "params.npz", allow_pickle=False, **found)
    with np.load(folder / "params.npz", allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}
