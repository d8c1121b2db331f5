"""The evaluation context, and metrics of conditions: labels, pairs, captions.

A metric takes an `EvalContext` and returns values under full names.
"""

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from gan_jax.data.pipeline import Source, eval_batches
from gan_jax.data.source import cache_dir, preparing
from gan_jax.errors import UserError
from gan_jax.metrics import classification, perceptual
from gan_jax.metrics.classification import Classifier
from gan_jax.metrics.features import Features, extract, to_uint8
from gan_jax.metrics.frechet import frechet_distance, moments
from gan_jax.metrics.kernel import kernel_distance
from gan_jax.metrics.names import metric_name
from gan_jax.metrics.path_length import Paths
from gan_jax.metrics.sharpness import sharpness

Conditions = dict[str, np.ndarray]
STEPS = 1000  # of every classifier that is trained here


class EvalContext(NamedTuple):
    """What a metric computes from: a sampler beside the data set it was trained on.

    Attributes:
        draw: `(conditions)` to samples: images uint8 [n h w c], points [n d], speech [n t m].
        conditions: `(source, n)` to the conditions of n samples, class after class.
        source: the data set.
        other: opens another split of it by name.
        real: the column that samples imitate.
        split: the name of the split that `source` is.
        count: samples to draw.
        features: loads the feature extractor.
        paths: paths between latents, for path length; None without latents.
        probe_network: the discriminator or encoder, as a `representation.ProbeNetwork`.
        bounds: the model of a game with a likelihood, as a `build.parts.Bounds`.
        space: the space of styles, as an `editing.style_space.LatentSpace`.
        translate: `(direction, images)` to images, in [-1, 1].
        imitated: like `conditions`, but with classes as frequent as in the data, in random order.
    """

    draw: Callable[[Conditions], np.ndarray]
    conditions: Callable[[Source, int], Conditions]
    source: Source
    other: Callable[[str], Source]
    real: str
    split: str
    count: int
    features: Callable[[], Features]
    paths: Callable[[], tuple[Paths, ...]] | None = None
    probe_network: Any = None
    bounds: Any = None
    space: Callable[[], Any] | None = None
    translate: Callable[[str, np.ndarray], np.ndarray] | None = None
    imitated: Callable[[Source, int], Conditions] | None = None

    def sample(self, count: int) -> np.ndarray:
        """`count` samples, of classes as frequent as in the data."""
        return self.draw((self.imitated or self.conditions)(self.source, count))


def column(source: Source, name: str, count: int | None = None) -> np.ndarray:
    """One column of the first `count` rows (default: all).

    Raises UserError when the data set has no such column.
    """
    if name not in source.records[0]:
        raise UserError(f"data set {source.name!r} has no {name!r}: this metric needs it")
    return np.concatenate([batch[name] for batch in eval_batches(source, 256, count=count)])


def judge(context: EvalContext) -> Classifier:
    """A classifier that never saw a sample: of garments the package's own, else trained once.

    It learns from the training side of the data, and is kept in the cache under its fingerprint.
    """
    source = context.other("train")
    classes = num_classes(source)
    if source.name.startswith("fashion_mnist"):
        return classification.fashion()
    images, labels = column(source, "image"), column(source, "label")
    return remembered(f"small-cnn/{source.fingerprint}", images, labels, classes=classes)


def remembered(
    facts: str, images: np.ndarray, labels: np.ndarray, *, classes: int, steps: int | None = None
) -> Classifier:
    """A classifier of these pictures, kept in the cache under a hash of `facts`."""
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


def label_accuracy(context: EvalContext) -> dict[str, float]:
    """The share of samples in which an independent classifier sees the class that was asked for.

    The same classifier's share of the held-out pictures stands beside it: the most to expect.
    """
    conditions = _labelled(context)
    classifier = judge(context)
    seen = classification.accuracy(classifier, context.draw(conditions), conditions["label"])
    test = context.other("test")
    images, labels = column(test, "image"), column(test, "label")
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


def num_classes(source: Source) -> int:
    """How many classes a data set has. Raises UserError when it has no labels."""
    if source.num_classes is None:
        raise UserError(f"data set {source.name!r} has no labels: this metric needs them")
    return source.num_classes


def _labelled(context: EvalContext) -> Conditions:
    conditions = context.conditions(context.source, context.count)
    if "label" not in conditions:
        raise UserError("this metric needs a generator that is told a label (game.condition)")
    return conditions


def pairs(context: EvalContext) -> dict[str, float]:
    """Held-out translations beside their targets: L1, PSNR, SSIM, a perceptual distance, KID.

    Beside them the same of two baselines that learned nothing: the input itself (`copy`), and the
    mean colour of the training targets (`colour`).
    """
    test = context.other("test")
    conditions = context.conditions(test, test.size or 0)
    if "x" not in conditions or "y" not in conditions:
        raise UserError("metric 'pairs' needs data of pairs, x and y")
    target = conditions["y"]
    train = column(context.other("train"), "y")
    colour = train.reshape(-1, train.shape[-1]).mean(axis=0).round().astype(np.uint8)
    distance = perceptual.efficientnet_distance()
    sides = {
        "": context.draw(conditions),
        "copy_": conditions["x"],
        "colour_": np.broadcast_to(colour, target.shape).copy(),
    }
    network = context.features()
    real, _ = extract(network, target)
    found = {}
    for side, pictures in sides.items():
        pictures = to_uint8(pictures)
        values = perceptual.compare_pairs(pictures, target, split="test", distance=distance)
        title = metric_name("kid", len(target), "test", network.label)
        values[title] = kernel_distance(real, extract(network, pictures)[0]).mean
        found |= {f"{side}{name}": value for name, value in values.items()}
    return found


CANDIDATES = 20


def r_precision(context: EvalContext) -> dict[str, float]:
    """How often a sample retrieves its own held-out caption among 20 (Xu et al. 2018, AttnGAN).

    The others are different captions; where there are fewer than 20, as of class names, all are.

    Pictures and captions meet in the space of the captions: a ridge regression from the features of
    real training pictures to their captions' vectors, which never saw a sample. The same number for
    the held-out real pictures is the most to expect; chance is 0.05. Raises UserError for data of
    one caption.
    """
    network = context.features()
    train, test = context.other("train"), context.other("test")
    mean, weights = _retriever(network, train, context.real)
    conditions = context.conditions(test, test.size or 0)
    captions, own = np.unique(conditions["text"], axis=0, return_inverse=True)
    own, among = own.reshape(-1), min(CANDIDATES, len(captions))
    if among < 2:
        raise UserError(f"data set {test.name!r} has one caption: nothing tells samples apart")
    found = {}
    for name, pictures in (
        ("r_precision", context.draw(conditions)),
        ("real_r_precision", column(test, context.real)),
    ):
        seen = (extract(network, pictures)[0] - mean) @ weights
        title = metric_name(name, len(own), "test", network.label, f"of={among}")
        found[title] = _retrieved(seen, captions, own, among)
    return found


def _retriever(network: Features, train: Source, real: str) -> tuple[np.ndarray, np.ndarray]:
    features, _ = extract(network, column(train, real))
    mean = features.mean(axis=0)
    x, y = (features - mean).astype(np.float64), column(train, "text").astype(np.float64)
    gram = x.T @ x
    ridge = gram.trace() / len(gram) * np.eye(len(gram))
    return mean, np.linalg.solve(gram + ridge, x.T @ (y - y.mean(axis=0)))


def _retrieved(seen: np.ndarray, captions: np.ndarray, own: np.ndarray, among: int) -> float:
    """The share of rows whose own caption has the largest cosine among `among`, drawn many times.

    `captions` are all different, `own` numbers each row's.
    """
    text = captions - captions[own].mean(axis=0)
    unit = [part / (np.linalg.norm(part, axis=1, keepdims=True) + 1e-12) for part in (seen, text)]
    cosines, draw = unit[0] @ unit[1].T, np.random.RandomState(0)
    rows, wins, every = np.arange(len(own)), [], np.arange(1, len(captions))
    for _ in range(50):
        size = (len(own), among - 1)
        others = every if among == len(captions) else draw.randint(1, len(captions), size=size)
        rivals = cosines[rows[:, None], (own[:, None] + others) % len(captions)]
        wins.append(np.mean(cosines[rows, own] > rivals.max(axis=1)))
    return float(np.mean(wins))


def augmentation(context: EvalContext) -> dict[str, float]:
    """Held-out accuracy of a classifier of the real pictures trained on, of samples, and of both.

    The three have the same number of steps; half of what `both` sees is real. The generator must
    have seen no other picture than those of `context.source`.
    """
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


def sharp(context: EvalContext) -> dict[str, float]:
    """The samples' variance of the Laplacian as a share of the real pictures'; 1 is theirs."""
    real = column(context.source, context.real)
    share = sharpness(context.sample(context.count)) / sharpness(real)
    name = metric_name("sharpness", context.count, context.split, "laplacian", real_count=len(real))
    return {name: share}
