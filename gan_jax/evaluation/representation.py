"""Metrics of what networks learned beside making pictures: representations, and likelihoods."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, PyTree, Scalar

from gan_jax import parallel
from gan_jax.build.parts import IW_DRAWS
from gan_jax.errors import UserError
from gan_jax.evaluation.context import EvalContext, column, num_classes
from gan_jax.game import Net, Variables
from gan_jax.metrics import perceptual
from gan_jax.metrics.classification import LEARNING_RATE
from gan_jax.metrics.linear_probe import linear_probe, pooled
from gan_jax.metrics.names import metric_name

BATCH, DRAWS, SUPERVISED_STEPS = 64, 3, 500
LABELS = (100, 1000)


class ProbeNetwork(NamedTuple):
    """A network whose features are probed.

    Attributes:
        net: the network.
        variables: its parameters and statistics.
        twin: `(classes)` to a network of its shape with that many outputs.
    """

    net: Net
    variables: Variables
    twin: Callable[[int], Net]


def activations(network: ProbeNetwork, images: np.ndarray) -> np.ndarray:
    """The network's convolutional features of uint8 images, max-pooled and joined: [n d].

    A condition that the network expects is given as zeros. Raises UserError for a network that
    does not say its features (the collection `features`).
    """
    beside = network.net.inputs[1:]

    @jax.jit
    def look(variables: Variables, images: Array) -> Array:
        x = images.astype(jnp.float32) / 127.5 - 1.0
        zeros = [jnp.zeros((len(x), *one.shape[1:]), one.dtype) for one in beside]

        def run(x: Array) -> PyTree:
            module = network.net.module
            return module.apply(variables, x, *zeros, train=False, mutable=["features"])[1]

        sown = parallel.on_one_device(run)(x)
        if not sown:
            name = type(network.net.module).__name__
            raise UserError(f"metric 'linear_probe' needs a Dcgan discriminator, not {name}")
        return pooled(jax.tree.leaves(sown))

    rows = np.minimum(np.arange(-(-len(images) // BATCH) * BATCH), len(images) - 1)
    parts = [np.asarray(look(network.variables, images[r])) for r in rows.reshape(-1, BATCH)]
    return np.concatenate(parts)[: len(images)]


def linear_probes(context: EvalContext) -> dict[str, float]:
    """Accuracy of a linear classifier on D's features, by number of labels (Radford et al. 2016).

    Beside it, on the same labels: raw pixels, an untrained D, and a network of D's shape that was
    trained on those labels alone. Means over three draws of the labels, but for all labels.
    """
    if context.probe_network is None:
        raise UserError("metric 'linear_probe' needs a network that looks at pictures")
    train, test = context.other("train"), context.other("test")
    classes = num_classes(train)
    images, labels = column(train, "image"), column(train, "label")
    held, held_labels = column(test, "image"), column(test, "label")
    trained = context.probe_network
    untrained = trained.twin(classes)
    networks = {
        "discriminator": trained,
        "untrained": ProbeNetwork(
            untrained, untrained.init(jax.random.key(0)), context.probe_network.twin
        ),
    }
    seen = {name: (activations(e, images), activations(e, held)) for name, e in networks.items()}
    seen["pixels"] = (_flat(images), _flat(held))
    found = {}
    for count in (*[n for n in LABELS if n < len(labels)], len(labels)):
        draws = range(DRAWS if count < len(labels) else 1)
        chosen = [np.random.RandomState(d).permutation(len(labels))[:count] for d in draws]
        scores = {
            name: [
                linear_probe(a[rows], labels[rows], b, held_labels, classes=classes)
                for rows in chosen
            ]
            for name, (a, b) in seen.items()
        }
        scores["supervised"] = [
            _supervised(untrained, images[r], labels[r], held, held_labels) for r in chosen
        ]
        for name, values in scores.items():
            title = metric_name("linear_probe", count, "test", name, real_count=len(held))
            found[title] = float(np.mean(values))
    return found


def _flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float32)


def _supervised(
    net: Net, images: np.ndarray, labels: np.ndarray, held: np.ndarray, held_labels: np.ndarray
) -> float:
    """Accuracy of `net`, trained from scratch on the labelled images."""
    tx = optax.adam(optax.cosine_decay_schedule(LEARNING_RATE, SUPERVISED_STEPS))
    draw = np.random.RandomState(0)

    @jax.jit
    def update(variables: Variables, opt: PyTree, x: Array, y: Array) -> tuple[Variables, PyTree]:
        def loss(params: PyTree) -> tuple[Scalar, Variables]:
            out, moved = net({**variables, "params": params}, _signed(x))
            return optax.softmax_cross_entropy_with_integer_labels(out, y).mean(), moved

        def run(params: PyTree) -> tuple[PyTree, Variables]:
            return jax.grad(loss, has_aux=True)(params)

        grads, moved = parallel.on_one_device(run)(variables["params"])
        updates, opt = tx.update(grads, opt)
        return {"params": optax.apply_updates(variables["params"], updates), **moved}, opt

    @jax.jit
    def guess(variables: Variables, x: Array) -> Array:
        return parallel.on_one_device(lambda x: net(variables, x, train=False)[0])(
            _signed(x)
        ).argmax(-1)

    variables = net.init(jax.random.key(0))
    opt = tx.init(variables["params"])
    for _ in range(SUPERVISED_STEPS):
        rows = draw.randint(len(images), size=BATCH)
        variables, opt = update(variables, opt, images[rows], labels[rows])
    rows = np.minimum(np.arange(-(-len(held) // BATCH) * BATCH), len(held) - 1).reshape(-1, BATCH)
    seen = np.concatenate([np.asarray(guess(variables, held[r])) for r in rows])[: len(held)]
    return float((seen == held_labels).mean())


def _signed(images: Array) -> Array:
    return images.astype(jnp.float32) / 127.5 - 1.0


def bounds(context: EvalContext) -> dict[str, float]:
    """Bounds on the log-likelihood of held-out pictures, and the error of their reconstructions.

    `elbo` and `iw_bound` (64 draws, Burda et al. 2016) in nats a picture; `bits_per_dim` of the
    ELBO, of pixels of 256 levels where the likelihood is a density.
    """
    model = context.bounds
    if model is None:
        raise UserError("metric 'bounds' needs a game with a likelihood: a VAE")
    test = context.other("test")
    images = column(test, context.real)
    run = jax.jit(lambda x, key: parallel.on_one_device(model.of)(_signed(x), key))
    rows = np.minimum(np.arange(-(-len(images) // BATCH) * BATCH), len(images) - 1)
    keys = jax.random.split(jax.random.key(0), len(rows) // BATCH)
    parts = [
        jax.device_get(run(images[r], key))
        for r, key in zip(rows.reshape(-1, BATCH), keys, strict=True)
    ]
    columns = {n: np.concatenate([p[n] for p in parts])[: len(images)] for n in parts[0]}
    dimensions = math.prod(images.shape[1:])
    means = {n: float(columns[n].mean(dtype=np.float64)) for n in ("elbo", "iw_bound")}
    bits = -means["elbo"] / (dimensions * math.log(2.0)) + model.per_level
    names = {"elbo": (), "iw_bound": (f"draws={IW_DRAWS}",), "bits_per_dim": ()}
    values = {**means, "bits_per_dim": bits}
    found = {
        metric_name(name, len(images), "test", model.label, *options): values[name]
        for name, options in names.items()
    }
    mean_error = float(np.mean(perceptual.l1(columns["reconstruction"], images)))
    found[metric_name("reconstruction_error", len(images), "test", "pixels")] = mean_error
    return found
