"""R-precision: does a sample retrieve its own caption (Xu et al. 2018, arXiv:1711.10485)."""

import numpy as np

from gan_jax.data.pipeline import Source
from gan_jax.errors import UserError
from gan_jax.evaluation.context import EvalContext, column
from gan_jax.metrics.features import Features, extract
from gan_jax.metrics.names import metric_name

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
