"""Classification accuracy score: a classifier trained on samples, tested on real images.

Ravuri & Vinyals 2019, arXiv:1905.10887. The classifier is a small convolutional network instead of
their ResNet-50, and the metric's name says so. Trained on real images, the network also serves as a
feature extractor for small images.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.traverse_util import unflatten_dict
from jaxtyping import Array, Float, Int, PyTree

from gan_jax.errors import UserError
from gan_jax.metrics.features import (
    Features,
    Images,
    Progress,
    extract,
    network_features,
    to_uint8,
)
from gan_jax.metrics.names import metric_name

BATCH, LEARNING_RATE = 128, 2e-3


class SmallCnn(nn.Module):
    """Images [b h w c] in 0..255 with sides of 16 to 64 px -> features [b 128], logits [b k]."""

    classes: int

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"]
    ) -> tuple[Float[Array, "b 128"], Float[Array, "b k"]]:
        x = x / 127.5 - 1.0
        for number, (features, stride) in enumerate(((16, 1), (32, 2), (32, 1), (64, 2))):
            x = nn.relu(nn.Conv(features, (3, 3), stride, 1, name=f"conv{number}")(x))
        x = nn.relu(nn.Dense(128, name="features")(x.reshape(len(x), -1)))
        return x, nn.Dense(self.classes, name="logits")(x)


class Classifier(NamedTuple):
    """A trained network; `features.run` returns features and logits."""

    features: Features
    classes: int


def train_classifier(
    images: Images,
    labels: Int[np.ndarray, " n"],
    *,
    classes: int,
    steps: int = 1000,
    seed: int = 0,
    progress: Progress | None = None,
) -> Classifier:
    """Train a `SmallCnn` with `fit` and return it as a classifier; arguments as in `fit`."""
    params = fit(images, labels, classes=classes, steps=steps, seed=seed, progress=progress)
    return classifier(params, images.shape[1:], classes=classes)


def fit(
    images: Images,
    labels: Int[np.ndarray, " n"],
    *,
    classes: int,
    steps: int = 1000,
    seed: int = 0,
    progress: Progress | None = None,
) -> PyTree:
    """Train a `SmallCnn` by Adam with cosine decay on batches of 128.

    The budget is a number of steps, so that it does not depend on the number of samples.

    Args:
        images: uint8 or float in [-1, 1].
        labels: class of each image.
        classes: number of classes.
        steps: number of batches.
        seed: of initialisation and batches.
        progress: called with (steps done, steps).

    Returns:
        Flax variables of the trained network.

    Raises:
        UserError: images and labels differ in number, or a label is not in 0..classes - 1.
    """
    if len(images) != len(labels) or not len(images):
        raise UserError(f"{len(images)} images do not match {len(labels)} labels")
    if labels.min() < 0 or labels.max() >= classes:
        raise UserError(f"labels {labels.min()}..{labels.max()} are not all in 0..{classes - 1}")
    pixels = to_uint8(images)
    module = SmallCnn(classes)
    tx = optax.adam(optax.cosine_decay_schedule(LEARNING_RATE, steps))
    draw = np.random.RandomState(seed)
    params = _initial(module, pixels.shape[1:], draw)
    opt = tx.init(params)

    def loss(params: PyTree, x: Array, y: Array) -> Array:
        outputs: Any = module.apply(params, x.astype(jnp.float32))
        return optax.softmax_cross_entropy_with_integer_labels(outputs[1], y).mean()

    @jax.jit
    def update(params: PyTree, opt: PyTree, x: Array, y: Array) -> tuple[PyTree, PyTree]:
        updates, opt = tx.update(jax.grad(loss)(params, x, y), opt)
        return optax.apply_updates(params, updates), opt

    for step in range(steps):
        rows = draw.randint(len(pixels), size=BATCH)
        params, opt = update(params, opt, pixels[rows], labels[rows])
        if progress is not None and ((step + 1) % 16 == 0 or step + 1 == steps):
            jax.block_until_ready(params)  # dispatch is asynchronous: count only finished steps
            progress(step + 1, steps)
    return params


def classifier(
    params: PyTree, shape: tuple[int, ...], *, classes: int, name: str = "small-cnn"
) -> Classifier:
    """Make a classifier of a `SmallCnn`'s variables for images of `shape` (h, w, c)."""
    module, (resolution, _, channels) = SmallCnn(classes), shape
    module_of_rgb = module if channels == 3 else _Grey(module)
    variables = params if channels == 3 else {"params": {"module": params["params"]}}
    features = network_features(
        f"{name}-{resolution}px",
        module_of_rgb,
        variables,
        resolution=resolution,
        resizer="antialias",
        batch=BATCH,
    )
    return Classifier(features, classes)


@cache
def fashion() -> Classifier:
    """Return the embedded `SmallCnn` trained on Fashion-MNIST by `gan-jax train-features`.

    Its 128 features suit small grey images, for which ImageNet features are poorly adapted; its
    classes are those of Fashion-MNIST.
    """
    with np.load(Path(__file__).parent / "embedded" / "fashion_cnn.npz") as stored:
        tree = unflatten_dict(
            {tuple(name.split("/")): jnp.asarray(x) for name, x in stored.items()}
        )
    return classifier({"params": tree}, (28, 28, 1), classes=10, name="fashion-cnn")


def _initial(module: nn.Module, shape: tuple[int, ...], draw: np.random.RandomState) -> PyTree:
    """Initialise as He et al. 2015, equation 10, from numpy's frozen `RandomState` stream."""
    x = jax.ShapeDtypeStruct((1, *shape), jnp.float32)

    def fill(leaf: jax.ShapeDtypeStruct) -> Array:
        if len(leaf.shape) == 1:
            return jnp.zeros(leaf.shape)
        scale = np.sqrt(2.0 / np.prod(leaf.shape[:-1]))
        return jnp.asarray(draw.normal(scale=scale, size=leaf.shape), jnp.float32)

    return jax.tree.map(fill, jax.eval_shape(module.init, jax.random.key(0), x))


class _Grey(nn.Module):
    """Apply a network for grey images to RGB images with equal channels."""

    module: nn.Module

    @nn.compact
    def __call__(self, x: Float[Array, "b h w 3"]) -> tuple[Array, Array]:
        return self.module(x[..., :1])


def accuracy(classifier: Classifier, images: Images, labels: Int[np.ndarray, " n"]) -> float:
    """Return the top-1 accuracy, 0 to 1."""
    _, logits = extract(classifier.features, images)
    return float((logits.argmax(axis=1) == labels).mean())


def accuracy_score(
    sample: Callable[[Int[np.ndarray, " n"]], Images],
    real: Images,
    labels: Int[np.ndarray, " n"],
    *,
    classes: int,
    count: int,
    split: str,
    steps: int = 1000,
    seed: int = 0,
) -> dict[str, float]:
    """Compute the accuracy on real images of a classifier trained on class-balanced samples.

    Compare it with the accuracy of the same classifier trained on real images.

    Args:
        sample: labels [n] -> an image per label.
        real: test images.
        labels: of the test images.
        classes: number of classes.
        count: number of samples to train on.
        split: of the real images, for the metric's name.
        steps: number of training batches.
        seed: of the classifier.

    Returns:
        Metric name -> accuracy, 0 to 1.

    Raises:
        UserError: as in `fit`.

    References:
        Ravuri & Vinyals 2019, arXiv:1905.10887.
    """
    balanced = np.arange(count, dtype=np.int32) % classes
    images = sample(balanced)
    classifier = train_classifier(images, balanced, classes=classes, steps=steps, seed=seed)
    label = classifier.features.name
    name = metric_name(
        "accuracy_score", count, split, label, f"steps={steps}", real_count=len(real)
    )
    return {name: accuracy(classifier, real, labels)}
