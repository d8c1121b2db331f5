"""A trained run as a value: samples, translations, metrics and the generator itself."""

import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from gan_jax.build.data import find_data, open_data
from gan_jax.build.parts import Built
from gan_jax.data.source import Source
from gan_jax.errors import UserError
from gan_jax.evaluation.evaluate import check_metrics, evaluate
from gan_jax.game import Game, State
from gan_jax.sampling.conditions import Conditions, as_in_data, of_classes
from gan_jax.training import run_dir
from gan_jax.training.own import OwnData, with_own


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained run on one device.

    Attributes:
        built: its experiment as objects.
        step: the round of the checkpoint.
        state: the state after that round.
        ema: the half-life in kimg of the averaged networks that make samples; None for the first.
    """

    built: Built
    step: int
    state: State
    ema: float | None = None

    def sample(
        self, count: int, *, seed: int = 0, labels: Sequence[int | str] | None = None
    ) -> Float[np.ndarray, "n *shape"]:
        """Draw samples.

        Args:
            count: how many.
            seed: of the noise; the same seed gives the same samples.
            labels: their classes, by name or number, repeated until there are enough; by default
                as frequent as in the data.

        Returns:
            Images [n h w c] in [-1, 1], points [n d], or speech [n t m].

        Raises:
            UserError: for an unknown class, or labels of an unconditional generator.
        """
        if labels and "labels" not in self.built.provides:
            raise UserError("this generator has no classes: labels need game.condition")
        conditions, source = self._conditions(count)
        if labels and source is not None:
            chosen = [str(label) for label in itertools.islice(itertools.cycle(labels), count)]
            conditions = of_classes(conditions, source, chosen, 1)
        elif source is not None:
            conditions = as_in_data(conditions, source)
        return self.built.sampler.draw(self.state, jax.random.key(seed), conditions)

    def translate(
        self, images: Float[np.ndarray, "n *shape"], direction: str = "x2y", *, seed: int = 0
    ) -> Float[np.ndarray, "n *other"]:
        """Translate images [n h w c] in [-1, 1], or speech [n t m], to the other domain.

        Raises:
            UserError: for a direction that the run does not have.
        """
        return self.built.sampler.translate(self.state, jax.random.key(seed), direction, images)

    def evaluate(
        self,
        metrics: Sequence[str] = (),
        *,
        count: int | None = None,
        features: str | Sequence[str] = (),
        split: str | None = None,
        seed: int = 0,
    ) -> dict[str, float]:
        """Compute metrics, by default those of the experiment; see `evaluation.evaluate`.

        Raises:
            UserError: for a metric that does not exist, or that this run cannot have.
        """
        check_metrics(self.built, tuple(metrics) or None)
        return evaluate(
            self.built,
            self.state,
            jax.random.key(seed),
            open_data(self.built.experiment, split),
            split=split,
            metrics=tuple(metrics),
            count=count,
            features=(features,) if isinstance(features, str) else features,
            ema=self.ema,
        )

    @functools.cached_property
    def generator(self) -> Callable[..., Array]:
        """The generator as a jitted function of latents [b z], and of labels [b] if it has any.

        Raises:
            UserError: if the samples of the game do not begin with latents.
        """
        frozen = self.built.sampler.freeze(self.state, lambda: self._conditions(64)[0])
        decode = frozen.decode
        if decode is None:
            raise UserError("the samples of this game begin with images: use translate")

        @jax.jit
        def generate(z: Float[Array, "b z"], label: Int[Array, " b"] | None = None) -> Array:
            conditions = {} if label is None else {"label": label}
            return decode(frozen.variables, z, conditions)

        return generate

    def _conditions(self, count: int) -> tuple[Conditions, Source | None]:
        """The conditions of the first samples, and the data that they are taken from."""
        source = find_data(self.built, needed="labels" in self.built.provides)
        return self.built.sampler.conditions(source, count), source


def load(
    run: str | Path,
    step: run_dir.Step = None,
    *,
    ema: float | None = None,
    game: Game | None = None,
    data: OwnData | None = None,
) -> Trained:
    """Load a run, finished or not.

    Args:
        run: its directory, or "zoo:NAME" for a trained generator that comes with the package.
        step: the round of the checkpoint; None for the newest, "best" for the one that is best in
            `run.best`.
        ema: the half-life in kimg of the averaged networks that make samples; None for the first.
        game: the game, of a run that was trained with one that was given; see `with_own`.
        data: its data, likewise.

    Raises:
        UserError: if the directory holds no run, no checkpoint (of round `step`), or no such
            average.
    """
    with_own(run_dir.read_experiment(Path(run)), game, data)
    return Trained(*run_dir.load(run, step, ema), ema)
