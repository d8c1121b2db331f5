"""Samples of a game's states as host arrays, from the compiled functions of a `SamplingRecipe`."""

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.random import fold_in
from jaxtyping import Array, Float, Int, Key, PyTree, Shaped

from gan_jax import latents
from gan_jax.data.pipeline import Source
from gan_jax.errors import UserError
from gan_jax.game import Game, State, fold
from gan_jax.latents import Prior
from gan_jax.metrics.path_length import Paths
from gan_jax.parallel import on_one_device
from gan_jax.sampling.conditions import Conditions, batches
from gan_jax.sampling.recipes import (
    BATCH,
    STANDING_BATCHES,
    Between,
    Columns,
    Decode,
    Networks,
    SamplingRecipe,
    StyleGenerator,
    Translator,
    batch_of,
    standing_statistics,
)

Convert = Callable[[np.ndarray], np.ndarray]


class FrozenSampler(NamedTuple):
    """What makes the samples of one state, to be exported.

    Attributes:
        variables: of each network by name.
        decode: `(variables, z, conditions)` to samples, where samples begin with latents.
        translators: by direction, `(variables, key, pictures)` to pictures.
    """

    variables: dict[str, PyTree]
    decode: Decode | None
    translators: Mapping[str, Translator]


@dataclass(frozen=True, eq=False)
class Sampler:
    """Samples of a game's states as host arrays, the same for the same key and conditions.

    The averaged networks make the samples if the game has them. Averaged parameters never saw the
    running batch statistics, so those are computed anew, over fixed latents and the conditions
    asked for (`recipes.standing_statistics`). Each method compiles once for a sampler: keep it.

    Attributes:
        game: the game whose states are sampled.
        recipe: how the game's networks make samples.
    """

    game: Game
    recipe: SamplingRecipe

    @property
    def columns(self) -> int | None:
        """The width of a grid, where the order of the samples has a meaning."""
        return self.recipe.columns

    @property
    def shown(self) -> int | None:
        """The number of samples in a grid; None leaves it to the caller."""
        return self.recipe.shown

    @property
    def directions(self) -> tuple[str, ...]:
        """The directions of `translate`; none where samples are not translations."""
        return tuple(self.recipe.translators)

    @property
    def multiple(self) -> int:
        """What the sides of pictures to be translated must be divisible by."""
        return self.recipe.multiple

    def conditions(self, source: Source | None, count: int) -> Conditions:
        """The conditions of the first `count` samples of a data set."""
        return self.recipe.conditions(source, count)

    def draw(
        self,
        state: State,
        key: Key[Array, ""],
        conditions: Conditions,
        convert: Convert = np.asarray,
        over: Conditions | None = None,
    ) -> Shaped[np.ndarray, "n ..."]:
        """Draw a sample for each row of the conditions.

        Args:
            state: whose networks make the samples.
            key: of the latents and the noise.
            conditions: of n samples.
            convert: applied to each batch: 50,000 pictures of 256 px take 39 GB as float32 and 10
                as bytes.
            over: the conditions over which batch statistics are computed anew, where they are; by
                default those of the samples.
        """
        count, done, samples = len(conditions["index"]), 0, np.zeros(0)
        for values in self.stream(state, key, conditions, convert, over):
            if not done:
                samples = np.empty((count, *values.shape[1:]), values.dtype)
            samples[done : done + len(values)] = values
            done += len(values)
        return samples

    def stream(
        self,
        state: State,
        key: Key[Array, ""],
        conditions: Conditions,
        convert: Convert = np.asarray,
        over: Conditions | None = None,
    ) -> Iterator[Shaped[np.ndarray, "b ..."]]:
        """Yield the samples of `draw` in batches, of which the memory holds one at a time."""
        networks = self._networks(state, conditions if over is None else over)
        left = len(conditions["index"])
        for batch in batches(conditions, self.recipe.batch):
            values = convert(np.asarray(self._generate(networks, key, batch)))
            yield values[:left]
            left -= len(values)

    def walk(
        self,
        state: State,
        key: Key[Array, ""],
        conditions: Conditions,
        stops: int,
        frames: int,
    ) -> Shaped[np.ndarray, "{frames} n ..."]:
        """Walk from latent to latent and back to the first, in equal parts.

        Args:
            state: whose networks make the samples.
            key: of the latents.
            conditions: of n samples; each has its own walk.
            stops: the number of latents on the way.
            frames: the number of samples of each walk.

        Raises:
            UserError: for a game without latents.
        """
        prior, between = self._latents()
        networks, count = self._networks(state, conditions), len(conditions["index"])
        z = prior(key, jnp.arange(stops * count)).reshape(stops, count, -1)
        pictures = []
        for frame in range(frames):
            stop, t = divmod(frame * stops / frames, 1.0)
            here, there = z[int(stop)], z[(int(stop) + 1) % stops]
            points = np.asarray(between(here, there, jnp.full((count, 1), t)))
            parts = [
                np.asarray(self._decode(networks, batch.pop("z"), batch))
                for batch in batches({**conditions, "z": points}, BATCH)
            ]
            pictures.append(np.concatenate(parts)[:count])
        return np.stack(pictures)

    def paths(self, state: State, conditions: Conditions) -> tuple[Paths, ...]:
        """The latent spaces in which path lengths are measured: Z, and W where there are styles.

        Args:
            state: whose networks make the pictures.
            conditions: of n samples; each path draws its own from these rows.

        Raises:
            UserError: for a game without latents.
        """
        recipe, size = self.recipe, len(conditions["index"])
        prior, between = self._latents()
        networks = self._networks(state, conditions)
        columns = {name: jnp.asarray(x) for name, x in conditions.items() if name != "index"}

        def rows(key: Key[Array, ""], z: Float[Array, "b z"]) -> Int[Array, " b"]:
            # By the key alone: both ends of a step have the same key, so the same conditions.
            return jax.random.randint(fold(key, "conditions"), (len(z),), 0, size)

        def from_z(key: Key[Array, ""], z: Float[Array, "b z"]) -> Array:
            chosen = rows(key, z)
            return self._decode(networks, z, {name: x[chosen] for name, x in columns.items()})

        if recipe.styles is None:
            return (Paths("z", prior, between, from_z),)
        generator = recipe.styles(networks)

        def label(rows: Int[Array, " b"]) -> Float[Array, "b k"] | None:
            return (
                jax.nn.one_hot(columns["label"][rows], recipe.classes) if recipe.classes else None
            )

        @jax.jit
        def picture(w: Float[Array, "b w"], key: Key[Array, ""]) -> Float[Array, "b h w c"]:
            ws = jnp.broadcast_to(w[:, None], (len(w), generator.layers, w.shape[-1]))
            return generator.synthesise(ws, key)

        @jax.jit
        def draw_w(key: Key[Array, ""], index: Int[Array, " b"]) -> Float[Array, "b w"]:
            return generator.map(prior(key, index), label(index % size))

        def through_w(key: Key[Array, ""], z: Float[Array, "b z"]) -> Float[Array, "b h w c"]:
            return picture(generator.map(z, label(rows(key, z))), key)

        return (
            Paths("z", prior, between, through_w),
            Paths("w", draw_w, latents.lerp, lambda key, w: picture(w, key)),
        )

    def styles(self, state: State) -> StyleGenerator:
        """The style-based generator of a state.

        Raises:
            UserError: for a game without styles.
        """
        if self.recipe.styles is None:
            raise UserError("this game has no styles; recipes of StyleGAN do: stylegan:avatars")
        return self.recipe.styles(self._current(state))

    def translate(
        self,
        state: State,
        key: Key[Array, ""],
        direction: str,
        pictures: Float[np.ndarray, "n *shape"],
    ) -> Float[np.ndarray, "n *other"]:
        """Translate pictures to the other domain.

        Args:
            state: whose networks translate.
            key: of the noise: dropout that stays on.
            direction: one of `directions`.
            pictures: in [-1, 1], with sides that `multiple` divides.

        Raises:
            UserError: for another direction.
        """
        if direction not in self._translators:
            known = ", ".join(self._translators) or "nothing"
            raise UserError(f"direction {direction!r}: this run translates {known}")
        run = self._translators[direction]
        size = batch_of(pictures.shape[1:])
        conditions = {"index": np.arange(len(pictures)), "x": pictures}
        networks = self._networks(state, conditions)
        parts = [
            np.asarray(run(networks, fold_in(key, batch["index"][0]), batch["x"]))
            for batch in batches(conditions, min(size, len(pictures)))
        ]
        return np.concatenate(parts)[: len(pictures)]

    def freeze(self, state: State, conditions: Callable[[], Conditions]) -> FrozenSampler:
        """Take out of a state what makes its samples.

        Args:
            state: whose networks make the samples.
            conditions: called for the conditions over which batch statistics are computed anew,
                only where they are: it may have to open data.
        """
        stands = self._needs_statistics(state)
        networks = self._networks(state, conditions()) if stands else self._current(state)
        return FrozenSampler(networks, self.recipe.decode, self.recipe.translators)

    # The variables of a state

    def variables(self, state: State) -> dict[str, PyTree]:
        """The variables of the networks that make samples, averaged if the game has averages."""
        if self._averaged:
            return {name: state.ema[name] for name in self.recipe.nets}
        return {n: {"params": state.params[n], **state.stats[n]} for n in self.recipe.nets}

    @property
    def _averaged(self) -> bool:
        return self.recipe.nets[0] in self.game.ema

    def _current(self, state: State) -> dict[str, PyTree]:
        recipe = self.recipe
        alpha = {} if recipe.alpha is None else {"alpha": recipe.alpha(state.step)}
        return self.variables(state) | alpha

    def _needs_statistics(self, state: State) -> bool:
        """Whether batch statistics must be computed anew: the averaged generator has batch norm.

        Translators' never are: see `build.averages.averaged_translators`.
        """
        if self.recipe.translators:
            return False
        return self._averaged and "batch_stats" in state.ema.get("generator", {})

    def _networks(self, state: State, conditions: Conditions) -> dict[str, PyTree]:
        """The variables that make samples, with batch statistics over `conditions` if needed."""
        if not self._needs_statistics(state):
            return self._current(state)
        rows = np.arange(STANDING_BATCHES * self.recipe.batch)
        columns = {n: x[rows % len(x)] for n, x in conditions.items() if n != "index"}
        if self.recipe.classes:  # all classes, whichever are sampled: a training batch had them all
            columns["label"] = (rows % self.recipe.classes).astype(np.int32)
        return self._stand(state, {"index": rows, **columns})

    def _latents(self) -> tuple[Prior, Between]:
        if self.recipe.prior is None or self.recipe.between is None:
            raise UserError(
                "this game has no latent to walk through: its samples begin with pictures"
            )
        return self.recipe.prior, self.recipe.between

    # Compiled functions: made once for a sampler, so that a second call compiles nothing

    @functools.cached_property
    def _stand(self) -> Callable[[State, Conditions], dict[str, PyTree]]:
        def stand(state: State, conditions: Columns) -> dict[str, PyTree]:
            standing = on_one_device(lambda v: standing_statistics(self.recipe, v, conditions))
            return standing(self._current(state))

        return jax.jit(stand)

    @functools.cached_property
    def _generate(self) -> Callable[[Networks, Array, Conditions], Array]:
        def generate(networks: Networks, key: Key[Array, ""], batch: Columns) -> Array:
            return self.recipe.draw(networks, key, batch, False)[0]

        return jax.jit(generate)

    @functools.cached_property
    def _decode(self) -> Callable[[Networks, Array | np.ndarray, Columns | Conditions], Array]:
        def decode(networks: Networks, z: Float[Array, "b z"], batch: Columns) -> Array:
            assert self.recipe.decode is not None
            return self.recipe.decode(networks, z, batch)

        return jax.jit(decode)

    @functools.cached_property
    def _translators(self) -> dict[str, Callable[..., Array]]:
        return {direction: jax.jit(run) for direction, run in self.recipe.translators.items()}
