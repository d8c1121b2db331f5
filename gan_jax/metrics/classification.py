"""Classification accuracy score: a classifier that saw only samples, judged on real images.

Ravuri & Vinyals 2019, arXiv:1905.10887. Their ResNet-50 is here a small convolutional network,
which the metric's name says. Trained on real images, it gives features for small pictures too.
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
    """Images [b h w c] in 0..255, of 16-64 pixels, to features [b 128] and logits [b classes]."""

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
    """A trained network: `features.run` gives features and logits."""

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
    """The classifier that `fit` trains. Raises UserError as `fit`."""
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
    """A SmallCnn after `steps` batches of 128, Adam with cosine decay; the same for the same seed.

    The budget is in steps, so more samples do not mean more training. Raises UserError when images
    and labels differ in number, or a label is not below `classes`.
    """
    if len(images) != len(labels) or not len(images):
        raise UserError(f"{len(images)} images and {len(labels)} labels do not go together")
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
            jax.block_until_ready(params)  # steps are queued: the count shall be of finished ones
            progress(step + 1, steps)
    return params


def classifier(
    params: PyTree, shape: tuple[int, ...], *, classes: int, name: str = "small-cnn"
) -> Classifier:
    """A SmallCnn's parameters, for images of `shape` (h, w, c), as a feature network."""
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
    """The SmallCnn that comes with the package, trained on Fashion-MNIST (train_features.py).

    Its 128 features compare small grey pictures of garments, in which networks of ImageNet see
    little; its classes are those of Fashion-MNIST.
    """
    with np.load(Path(__file__).parent / "embedded" / "fashion_cnn.npz") as stored:
        tree = unflatten_dict(
            {tuple(name.split("/")): jnp.asarray(x) for name, x in stored.items()}
        )
    return classifier({"params": tree}, (28, 28, 1), classes=10, name="fashion-cnn")


def _initial(module: nn.Module, shape: tuple[int, ...], draw: np.random.RandomState) -> PyTree:
    """He et al. 2015, equation 10, from numpy's frozen stream: the same in every version of jax."""
    x = jax.ShapeDtypeStruct((1, *shape), jnp.float32)

    def fill(leaf: Any) -> Array:
        if len(leaf.shape) == 1:
            return jnp.zeros(leaf.shape)
        scale = np.sqrt(2.0 / np.prod(leaf.shape[:-1]))
        return jnp.asarray(draw.normal(scale=scale, size=leaf.shape), jnp.float32)

    return jax.tree.map(fill, jax.eval_shape(module.init, jax.random.key(0), x))


class _Grey(nn.Module):
    """A network for grey images, given RGB whose channels are equal."""

    module: nn.Module

    @nn.compact
    def __call__(self, x: Float[Array, "b h w 3"]) -> Any:
        return self.module(x[..., :1])


def accuracy(classifier: Classifier, images: Images, labels: Int[np.ndarray, " n"]) -> float:
    """Share of images whose largest logit is their label's, 0 to 1."""
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
    """Accuracy on real images of a classifier trained on `count` samples, as many of each class.

    `sample(labels)` gives an image for each label. The same classifier trained on real images is
    the number to compare with. Raises UserError as `train_classifier`.
    """
    wanted = np.arange(count, dtype=np.int32) % classes
    classifier = train_classifier(sample(wanted), wanted, classes=classes, steps=steps, seed=seed)
    label = classifier.features.name
    name = metric_name(
        "accuracy_score", count, split, label, f"steps={steps}", real_count=len(real)
    )
    return {name: accuracy(classifier, real, labels)}
