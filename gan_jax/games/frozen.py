"""Discriminators on the features of a network that is not trained.

`FrozenFeatures` may stand before a game's discriminator (Projected GAN), or before a second one
beside it: Vision-aided GAN (Kumari et al. 2022, arXiv:2112.09130), whose losses are here.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree, Scalar

from gan_jax.augment import Augment
from gan_jax.game import (
    Aux,
    Batch,
    GameVariables,
    Loss,
    Memory,
    Net,
    Player,
    Statistics,
    Values,
    Variables,
    fold,
    statistics,
)
from gan_jax.objectives import non_saturating

T = TypeVar("T")

SMOOTHING = 0.8  # the label of reals, of 1, in the authors' code
NAME, FEATURES, SEEN = "vision_discriminator", "vision_features", "fake_vision_features"

Forward = Callable[[GameVariables, Batch, Array], tuple[Values, Statistics]]
"""A shared forward pass; see `game.Shared`."""


class FrozenFeatures(NamedTuple):
    """A network that is not trained, through which a discriminator sees samples.

    Attributes:
        apply: `(variables, x) -> maps`; the discriminator is `(*maps, *conditions) -> logits`.
        variables: makes the network's variables, which become a memory of the game.
    """

    apply: Callable[[Variables, Array], tuple[Array, ...]]
    variables: Callable[[], Variables]

    def shapes(self, samples: jax.ShapeDtypeStruct) -> tuple[jax.ShapeDtypeStruct, ...]:
        """Compute the shapes of the maps of a batch."""
        return jax.eval_shape(lambda x: self.apply(self.variables(), x), samples)


class VisionAid(NamedTuple):
    """A second discriminator, which sees samples through a frozen network.

    Attributes:
        discriminator: `(*maps, label) -> logits`, a tuple of [b p], one for each level; without
            a `condition` there is no label.
        features: the frozen network.
        tx: the discriminator's optimiser.
        weight: of its term in the generator's loss; the authors' is 1.
        start: the round from which on it plays, and the generator's loss has its term.
        smoothing: the label of reals in its own loss; 1 for none.
        condition: the column of the batch with labels [b k].
    """

    discriminator: Net
    features: FrozenFeatures
    tx: optax.GradientTransformation
    weight: float = 1.0
    start: int = 0
    smoothing: float = SMOOTHING
    condition: str | None = None


def cross_entropy(logits: Float[Array, "b p"], target: float) -> Float[Array, "b p"]:
    """Binary cross-entropy with a target in [0, 1]: -t log D - (1 - t) log(1 - D)."""
    return target * jax.nn.softplus(-logits) + (1.0 - target) * jax.nn.softplus(logits)


@dataclass(frozen=True)
class VisionLosses:
    """The losses of a `VisionAid`: functions of (variables, batch, key).

    A loss is the mean over the logits of a level, summed over levels. Samples are transformed by
    the game's augmentation, with its probability but random numbers of their own.
    """

    aid: VisionAid
    augment: Augment | None = None

    def nets(self) -> dict[str, Net | Memory]:
        """The discriminator, and the frozen network's variables as a memory."""
        return {NAME: self.aid.discriminator, FEATURES: Memory(self.aid.features.variables)}

    def players(self) -> dict[str, Player]:
        """The discriminator's player."""
        return {NAME: Player((NAME,), self.aid.tx)}

    def shared(self, fakes: Forward) -> Forward:
        """See the fakes of a shared forward pass through the frozen network, once for all moves."""
        if self.augment is not None and self.augment.control is not None:
            return fakes  # its probability may move after this pass: each move looks for itself

        def forward(
            variables: GameVariables, batch: Batch, key: Array
        ) -> tuple[Values, Statistics]:
            values, stats = fakes(variables, batch, key)

            def look() -> tuple[Array, ...]:
                return self._look(variables, values["fake"], "fake", batch, key)

            return {**values, SEEN: self._from_start(look, batch)}, stats

        return forward

    def discriminator_loss(
        self, variables: GameVariables, batch: Batch, key: Array
    ) -> tuple[Scalar, Aux]:
        """Cross-entropy, the labels of reals smoothed and those of fakes 0 (section 3 and code)."""
        real_maps = self._look(variables, batch["real"], "real", batch, key)
        real, d = self._judge(variables[NAME], real_maps, batch)
        fake, d = self._judge(d, self._fake_maps(variables, batch, key), batch)
        loss = _sum_of_levels(functools.partial(cross_entropy, target=self.aid.smoothing), real)
        loss = loss + _sum_of_levels(functools.partial(cross_entropy, target=0.0), fake)
        metrics = non_saturating().metrics(*(jnp.concatenate(x, axis=-1) for x in (real, fake)))
        return loss, Aux({NAME: statistics(d)}, metrics)

    def generator_loss(self, own: Loss) -> Loss:
        """Add the non-saturating loss of this discriminator, times the weight, to a loss.

        The labels are not smoothed here: smoothing is one-sided (Salimans et al. 2016, section
        3.4).
        """

        def loss(variables: GameVariables, batch: Batch, key: Array) -> tuple[Scalar, Aux]:
            value, aux = own(variables, batch, key)

            def term() -> tuple[Scalar, dict[str, PyTree]]:
                maps = self._fake_maps(variables, batch, key)
                logits, d = self._judge(variables[NAME], maps, batch)
                ones = functools.partial(cross_entropy, target=1.0)
                return _sum_of_levels(ones, logits), statistics(d)

            idle = jnp.zeros(()), statistics(variables[NAME])
            added, stats = self._from_start(term, batch, idle)
            value = value + self.aid.weight * added
            return value, Aux({**aux.stats, NAME: stats}, {**aux.metrics, "vision_loss": added})

        return loss

    def _fake_maps(self, variables: GameVariables, batch: Batch, key: Array) -> tuple[Array, ...]:
        if SEEN in batch:
            return batch[SEEN]
        return self._look(variables, batch["fake"], "fake", batch, key)

    def _look(
        self, variables: GameVariables, x: Array, name: str, batch: Batch, key: Array
    ) -> tuple[Array, ...]:
        """Augment samples and see them through the frozen network."""
        if self.augment is not None:
            p = self.augment.probability(batch["round"], variables.get("augment"))
            x = self.augment(x, fold(fold(key, "vision"), name), batch["index"], p)
        return self.aid.features.apply(variables[FEATURES], x)

    def _judge(
        self, d: Variables, maps: tuple[Array, ...], batch: Batch
    ) -> tuple[tuple[Array, ...], dict[str, PyTree]]:
        """The logits of every level, and the variables with the statistics after the pass."""
        condition = self.aid.condition
        label = () if condition is None else (batch[condition],)
        logits, stats = self.aid.discriminator(d, *maps, *label)
        return logits, {**d, **stats}

    def _from_start(self, compute: Callable[[], T], batch: Batch, idle: T | None = None) -> T:
        """Compute from the round `start` on; before, `idle` or zeros."""
        if not self.aid.start:
            return compute()
        if idle is None:
            idle = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(compute))
        return jax.lax.cond(batch["round"] >= self.aid.start, compute, lambda: idle)


def _sum_of_levels(loss: Callable[[Array], Array], logits: tuple[Array, ...]) -> Scalar:
    total = jnp.zeros(())
    for level in logits:
        total = total + jnp.mean(loss(level))
    return total
