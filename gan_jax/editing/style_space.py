"""A trained run's space of styles: samples of w, directions in it by name, pictures of it."""

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
PSI, CUTOFF = 0.7, 8  # how StyleGAN's authors show pictures (arXiv:1812.04948, appendix B)


class Direction(NamedTuple):
    """A named step in W, one standard deviation of w along it long."""

    name: str
    step: Float[np.ndarray, " n"]


class LatentSpace(NamedTuple):
    """Styles of a state; `affines` the style weights of each layer.

    `draw(key, index)` gives w [n w]; `sample()` many of them, the same each time; `without(layers)`
    the styles without noise in these layers.
    """

    styles: StyleGenerator
    affines: Callable[[], tuple[Float[np.ndarray, "n _"], ...]]
    draw: Callable[[Key[Array, ""], Int[np.ndarray, " n"]], Float[np.ndarray, "n w"]]
    sample: Callable[[], Float[np.ndarray, "n w"]]
    without: Callable[[Sequence[int]], StyleGenerator]


def open_space(
    game: Game, sampler: Sampler, state: State, label: Float[Array, " k"] | None = None
) -> LatentSpace:
    """The styles of a state, of one class (one-hot) where the generator is told one.

    Raises UserError for a game without styles.
    """

    def compiled(state: State) -> StyleGenerator:
        styles = sampler.styles(state)

        def map_(z: Array, _: Array | None) -> Array:
            each = None if label is None else jnp.broadcast_to(label, (len(z), len(label)))
            return styles.map(z, each)

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
        quiet = parameters.silence(params, layers)
        if averaged:
            ema = {**state.ema, "generator": {**state.ema["generator"], "params": quiet}}
            return compiled(dataclasses.replace(state, ema=ema))
        changed = {**state.params, "generator": quiet}
        return compiled(dataclasses.replace(state, params=changed))

    def affines() -> tuple[np.ndarray, ...]:
        return parameters.affines(params, styles.layers)

    return LatentSpace(styles, affines, draw, sample, without)


def shown(
    space: LatentSpace, w: Float[np.ndarray, "n w"], psi: float = PSI
) -> Float[Array, "n l w"]:
    """Styles of w, truncated as pictures are shown: below layer 8."""
    layers = space.styles.layers
    chosen = mask(range(min(CUTOFF, layers)), layers)
    return truncate(broadcast(jnp.asarray(w), layers), space.styles.mean, psi, chosen)


def sefa(space: LatentSpace, layers: Sequence[int], count: int) -> list[Direction]:
    """The `count` directions that move the styles of these layers most."""
    weights = space.affines()
    return _named("SeFa", directions.sefa([weights[layer] for layer in layers]), space, count)


def pca(space: LatentSpace, layers: Sequence[int], count: int) -> list[Direction]:
    """The `count` directions in which w varies most, whatever the layers."""
    return _named("PCA", directions.principal([space.sample()])[1], space, count)


def _named(
    method: str, found: directions.Directions, space: LatentSpace, count: int
) -> list[Direction]:
    steps = directions.in_deviations(found.vectors[:count], space.sample())
    return [Direction(f"{method} {number + 1}", step) for number, step in enumerate(steps)]


def one_class(classes: int, number: int = 0) -> Float[Array, " k"] | None:
    """The label of a class, one-hot; None for a generator of no classes."""
    return jax.nn.one_hot(number, classes) if classes else None


Judge = Callable[[np.ndarray], Float[np.ndarray, " n"]]
"""Pictures [n h w c] to the log-odds that each has an attribute."""


def of_attributes(
    space: LatentSpace, judges: Mapping[str, Judge], count: int
) -> tuple[list[Direction], dict[str, str]]:
    """The direction of each attribute that holds the others, and why the rest have none.

    From `count` samples at constant noise, without truncation, as the judges see them.
    """
    w = space.sample()[:count]
    pictures = render(space.styles.synthesise, broadcast(jnp.asarray(w), space.styles.layers))
    normals, missing = {}, {}
    for name, judge in judges.items():
        try:
            normals[name] = directions.separator(w, judge(pictures))
        except UserError as error:
            missing[name] = str(error)
    found = []
    for name, normal in normals.items():
        others = np.array([one for other, one in normals.items() if other != name])
        vector = directions.apart(normal, others) if len(others) else normal
        found.append(Direction(name, directions.in_deviations(vector[None], space.sample())[0]))
    return found, missing


METHODS: Mapping[str, Callable[[LatentSpace, Sequence[int], int], list[Direction]]] = {
    "sefa": sefa,
    "pca": pca,
}
