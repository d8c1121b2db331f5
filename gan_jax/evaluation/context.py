"""Metrics that ask more than "do the pictures look alike": of conditions, and of what a net knows.

Each takes a `Subject` and gives full names and values, as those of `scores` do.
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


class Subject(NamedTuple):
    """What is measured: a sampler beside the data set it learned from.

    `draw(conditions)` gives samples, uint8 pictures [n h w c] or points [n 2], which imitate the
    column `real`; `conditions(source, n)` are those of n samples, class after class, and
    `imitated(source, n)`, if others, those of n as frequent as in the data and in no order. `split`
    names the side of `source`, `other(split)` opens another. `count` samples and the network
    `features` make the comparisons. Where the game has them: `paths` walks between latents, `eye`
    is a network that looks at pictures (`knowledge.Eye`), `bounds` those of a likelihood
    (`knowledge.Bounds`), `space` that of styles (`latent_space.LatentSpace`). `translate(direction,
    pictures)` maps pictures [n h w c] in [-1, 1] from domain to domain.
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
    eye: Any = None
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


def judge(subject: Subject) -> Classifier:
    """A classifier that never saw a sample: of garments the package's own, else trained once.

    It learns from the training side of the data, and is kept in the cache under its fingerprint.
    """
    source = subject.other("train")
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


def label_accuracy(subject: Subject) -> dict[str, float]:
    """The share of samples in which an independent classifier sees the class that was asked for.

    The same classifier's share of the held-out pictures stands beside it: the most to expect.
    """
    conditions = _labelled(subject)
    classifier = judge(subject)
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
    _labelled(subject)
    network, labels = subject.features(), column(subject.source, "label")
    asked = np.arange(subject.count, dtype=np.int32) % num_classes(subject.source)  # equal shares
    fake, _ = extract(network, subject.draw({"index": np.arange(subject.count), "label": asked}))
    real, _ = extract(network, column(subject.source, subject.real))
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
    _labelled(subject)
    test, classes = subject.other("test"), num_classes(subject.source)

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


def num_classes(source: Source) -> int:
    """How many classes a data set has. Raises UserError when it has no labels."""
    if source.num_classes is None:
        raise UserError(f"data set {source.name!r} has no labels: this metric needs them")
    return source.num_classes


def _labelled(subject: Subject) -> Conditions:
    conditions = subject.conditions(subject.source, subject.count)
    if "label" not in conditions:
        raise UserError("this metric needs a generator that is told a label (game.condition)")
    return conditions


def pairs(subject: Subject) -> dict[str, float]:
    """Held-out translations beside their targets: L1, PSNR, SSIM, a perceptual distance, KID.

    Beside them the same of two baselines that learned nothing: the input itself (`copy`), and the
    mean colour of the training targets (`colour`).
    """
    test = subject.other("test")
    conditions = subject.conditions(test, test.size or 0)
    if "x" not in conditions or "y" not in conditions:
        raise UserError("metric 'pairs' needs data of pairs, x and y")
    target = conditions["y"]
    train = column(subject.other("train"), "y")
    colour = train.reshape(-1, train.shape[-1]).mean(axis=0).round().astype(np.uint8)
    distance = perceptual.efficientnet_distance()
    sides = {
        "": subject.draw(conditions),
        "copy_": conditions["x"],
        "colour_": np.broadcast_to(colour, target.shape).copy(),
    }
    network = subject.features()
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


def r_precision(subject: Subject) -> dict[str, float]:
    """How often a sample retrieves its own held-out caption among 20 (Xu et al. 2018, AttnGAN).

    The others are different captions; where there are fewer than 20, as of class names, all are.

    Pictures and captions meet in the space of the captions: a ridge regression from the features of
    real training pictures to their captions' vectors, which never saw a sample. The same number for
    the held-out real pictures is the most to expect; chance is 0.05. Raises UserError for data of
    one caption.
    """
    network = subject.features()
    train, test = subject.other("train"), subject.other("test")
    mean, weights = _retriever(network, train, subject.real)
    conditions = subject.conditions(test, test.size or 0)
    captions, own = np.unique(conditions["text"], axis=0, return_inverse=True)
    own, among = own.reshape(-1), min(CANDIDATES, len(captions))
    if among < 2:
        raise UserError(f"data set {test.name!r} has one caption: nothing tells samples apart")
    found = {}
    for name, pictures in (
        ("r_precision", subject.draw(conditions)),
        ("real_r_precision", column(test, subject.real)),
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


def augmentation(subject: Subject) -> dict[str, float]:
    """Held-out accuracy of a classifier of the real pictures trained on, of samples, and of both.

    The three have the same number of steps; half of what `both` sees is real. The generator must
    have seen no other picture than those of `subject.source`.
    """
    _labelled(subject)
    test, classes, source = subject.other("test"), num_classes(subject.source), subject.source
    images, labels = column(source, "image"), column(source, "label")
    asked = np.arange(subject.count, dtype=np.int32) % classes
    samples = to_uint8(subject.draw({"index": np.arange(subject.count), "label": asked}))
    rows = np.arange(max(len(images), subject.count)) % len(images)
    parts = np.arange(len(rows)) % subject.count
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
        title = metric_name(name, subject.count, "test", judge.features.name, real_count=len(held))
        found[title] = classification.accuracy(judge, held, held_labels)
    return found


def sharp(subject: Subject) -> dict[str, float]:
    """The samples' variance of the Laplacian as a share of the real pictures'; 1 is theirs."""
    real = column(subject.source, subject.real)
    share = sharpness(subject.sample(subject.count)) / sharpness(real)
    name = metric_name("sharpness", subject.count, subject.split, "laplacian", real_count=len(real))
    return {name: share}
