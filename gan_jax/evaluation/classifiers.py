"""Classifiers that never saw a sample, trained once for a data set and kept in the cache."""

import hashlib

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from gan_jax.data.source import cache_dir, preparing
from gan_jax.evaluation.context import EvalContext, column, num_classes
from gan_jax.metrics import classification
from gan_jax.metrics.classification import Classifier

STEPS = 1000  # of every classifier that is trained here


def class_classifier(context: EvalContext) -> Classifier:
    """The classifier of a data set's classes: for Fashion-MNIST the embedded one.

    It is trained on the training split, once, and kept in the cache under its fingerprint.
    """
    source = context.other("train")
    classes = num_classes(source)
    if source.name.startswith("fashion_mnist"):
        return classification.fashion()
    images, labels = column(source, "image"), column(source, "label")
    return cached_classifier(f"small-cnn/{source.fingerprint}", images, labels, classes=classes)


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
    key = hashlib.sha256(facts.encode()).hexdigest()[:16]
    folder = cache_dir() / "classifiers" / key
    if not folder.exists():
        params = classification.fit(images, labels, classes=classes, steps=steps or STEPS)
        with preparing(folder) as temporary:
            flat = {"/".join(k): np.asarray(v) for k, v in flatten_dict(params).items()}
            np.savez(temporary / "params.npz", allow_pickle=False, **flat)
    with np.load(folder / "params.npz", allow_pickle=False) as stored:
        params = unflatten_dict({tuple(n.split("/")): stored[n] for n in stored.files})
    return classification.classifier(params, images.shape[1:], classes=classes)
