"""The latent space W of a trained state: samples of w, and named directions."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from gan_jax.editing import directions, parameters
from gan_jax.editing.styles import broadcast, mask, render, truncate
from gan_jax.errors import UserError
from gan_jax.game import Game, State
from gan_jax.sampling.recipes import StyleGenerator
from gan_jax.sampling.sampler import Sampler

BATCH = 256
SAMPLES = 10_000  # of w, for its deviations and principal components
PSI, CUTOFF = 0.7, 8  # the truncation of StyleGAN's figures (arXiv:1812.04948, appendix B)


class Direction(NamedTuple):
    """A named step in W, as long as the standard deviation of w along it.

    Attributes:
        name: of the direction.
        step: the step.
        help: one line on how it was found.
    """

    name: str
    step: Float[np.ndarray, " n"]
    help: str = ""


class LatentSpace(NamedTuple):
    """The latent space W of a state, with compiled functions.

    Attributes:
        styles: the generator.
        affines: gives the affine weights of each layer.
        draw: `(key, index)` to w [n w]; an index gets the same w in any batch.
        sample: gives `SAMPLES` w, the same in each call.
        without: gives the generator without noise in some layers.
    """

    styles: StyleGenerator
    affines: Callable[[], tuple[Float[np.ndarray, "n _"], ...]]
    draw: Callable[[Key[Array, ""], Int[np.ndarray, " n"]], Float[np.ndarray, "n w"]]
    sample: Callable[[], Float[np.ndarray, "n w"]]
    without: Callable[[Sequence[int]], StyleGenerator]


def open_space(
    game: Game, sampler: Sampler, state: State, label: Float[Array, " k"] | None = None
) -> LatentSpace:
    """Open the latent space of a state.

    Args:
        game: the game that was trained.
        sampler: of the game.
        state: whose generator it is.
        label: the class, one-hot, for a class-conditional generator.

    Raises:
        UserError: for a game without styles.
    """

    def compiled(state: State) -> StyleGenerator:
        styles = sampler.styles(state)

        def map_(z: Array, _: Array | None) -> Array:
            labels = None if label is None else jnp.broadcast_to(label, (len(z), len(label)))
            return styles.map(z, labels)

        return styles._replace(map=jax.jit(map_), synthesise=jax.jit(styles.synthesise))

    styles = compiled(state)
    averaged = "generator" in game.ema
    params = state.ema["generator"]["params"] if averaged else state.params["generator"]

    @jax.jit
    def batch(key: Array, index: Array) -> Array:
        return styles.map(styles.prior(key, index), None)

    def draw(key: Array, index: np.ndarray) -> np.ndarray:
        size, parts = min(BATCH, len(index)), []
        for start in range(0, len(index), size):
            rows = np.minimum(np.arange(start, start + size), len(index) - 1)
            parts.append(np.asarray(batch(key, jnp.asarray(index[rows]))))
        return np.concatenate(parts)[: len(index)]

    @cache
    def sample() -> np.ndarray:
        return draw(jax.random.key(0), np.arange(SAMPLES))

    def without(layers: Sequence[int]) -> StyleGenerator:
        noiseless = parameters.remove_noise(params, layers)
        if averaged:
            ema = {**state.ema, "generator": {**state.ema["generator"], "params": noiseless}}
            return compiled(dataclasses.replace(state, ema=ema))
        changed = {**state.params, "generator": noiseless}
        return compiled(dataclasses.replace(state, params=changed))

    def affines() -> tuple[np.ndarray, ...]:
        return parameters.affines(params, styles.layers)

    return LatentSpace(styles, affines, draw, sample, without)


def with_class_mean(space: LatentSpace, label: Float[Array, " k"] | None) -> LatentSpace:
    """The same space, truncated towards the mean w of its class.

    The running mean is that of all classes: truncation towards it also moves a sample away from its
    class. The mean of the class is that of `SAMPLES` w, the same in each call.

    Args:
        space: of a class.
        label: the class, one-hot, that the space was opened with.

    Raises:
        UserError: for an unconditional generator.
    """
    if label is None:
        raise UserError("truncation_mean = 'class': this generator has no classes; say 'all'")
    mean = jnp.asarray(space.sample().mean(axis=0))
    return space._replace(styles=space.styles._replace(mean=mean))


def truncated_styles(
    space: LatentSpace, w: Float[np.ndarray, "n w"], psi: float = PSI
) -> Float[Array, "n l w"]:
    """Truncate w in the layers below 8, as in StyleGAN's figures."""
    layers = space.styles.layers
    chosen = mask(range(min(CUTOFF, layers)), layers)
    return truncate(broadcast(jnp.asarray(w), layers), space.styles.mean, psi, chosen)


def sefa(space: LatentSpace, layers: Sequence[int], count: int) -> list[Direction]:
    """The first `count` SeFa directions of these layers."""
    weights = space.affines()
    return _named("SeFa", directions.sefa([weights[layer] for layer in layers]), space, count)


def pca(space: LatentSpace, layers: Sequence[int], count: int) -> list[Direction]:
    """The first `count` principal components of w; they do not depend on the layers."""
    return _named("PCA", directions.principal([space.sample()])[1], space, count)


HELP = {
    "SeFa": "What the layers' style weights react to most, in closed form; strongest first.",
    "PCA": "Principal components of w: where samples differ most; largest first.",
    "attributes": "Towards samples that a classifier of the attribute accepts; others are held.",
}
"""One line on how the directions of each method were found."""


def _named(
    method: str, units: directions.Directions, space: LatentSpace, count: int
) -> list[Direction]:
    steps = directions.scale_to_deviations(units.vectors[:count], space.sample())
    return [
        Direction(f"{method} {number + 1}", step, HELP[method]) for number, step in enumerate(steps)
    ]


def one_class(classes: int, number: int = 0) -> Float[Array, " k"] | None:
    """The one-hot label of a class; None for an unconditional generator."""
    return jax.nn.one_hot(number, classes) if classes else None


AttributeClassifier = Callable[[np.ndarray], Float[np.ndarray, " n"]]
"""Pictures [n h w c] to the log-odds that each has an attribute."""


def of_attributes(
    space: LatentSpace, classifiers: Mapping[str, AttributeClassifier], count: int
) -> tuple[list[Direction], dict[str, str]]:
    """Find a direction for each attribute, orthogonal to those of the other attributes.

    Args:
        space: where to look.
        classifiers: of each attribute by name.
        count: the number of samples to classify, with constant noise and without truncation.

    Returns:
        The directions, and by attribute the reason why it has none.
    """
    w = space.sample()[:count]
    pictures = render(space.styles.synthesise, broadcast(jnp.asarray(w), space.styles.layers))
    normals, missing = {}, {}
    for name, classify in classifiers.items():
        try:
            normals[name] = directions.hyperplane_normal(w, classify(pictures))
        except UserError as error:
            missing[name] = str(error)
    named = []
    for name, normal in normals.items():
        others = np.array([vector for other, vector in normals.items() if other != name])
        vector = directions.orthogonalise(normal, others) if len(others) else normal
        step = directions.scale_to_deviations(vector[None], space.sample())[0]
        named.append(Direction(name, step, HELP["attributes"]))
    return named, missing


METHODS: Mapping[str, Callable[[LatentSpace, Sequence[int], int], list[Direction]]] = {
    "sefa": sefa,
    "pca": pca,
}
