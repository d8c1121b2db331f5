"""The game of Goodfellow et al. 2014 (arXiv:1406.2661): latents to data, conditional or not.

DCGAN, conditional GANs, WGAN, WGAN-GP, LSGAN and R3GAN are choices of networks, conditioning,
objective and penalties given to `gan`.
"""

import dataclasses
import functools
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, PyTree, Scalar

from gan_jax import averages
from gan_jax.augment import Adaptive, Augment
from gan_jax.averages import Decays
from gan_jax.game import (
    Aux,
    Batch,
    Game,
    GameVariables,
    Loss,
    Memory,
    Move,
    Net,
    Player,
    Shared,
    Statistics,
    Values,
    Variables,
    fold,
    noise_key,
    statistics,
)
from gan_jax.games.frozen import NAME, Forward, FrozenFeatures, VisionAid, VisionLosses
from gan_jax.latents import Prior, per_example
from gan_jax.objectives import Objective
from gan_jax.penalties import (
    NO_PENALTIES,
    Factors,
    Penalties,
    gradient_penalty,
    squared_difference,
    squared_gradient_norm,
)


class ClassLoss(NamedTuple):
    """Weights of an auxiliary classifier's cross-entropy (AC-GAN, Odena et al. 2017).

    The discriminator returns (logits, class logits [b k]); the classes are its conditioning input,
    one-hot [b k]. The defaults are those of Gulrajani et al. 2017's code.

    Attributes:
        discriminator: of the class loss on reals, in the discriminator's loss.
        generator: of the class loss on fakes, in the generator's loss.
    """

    discriminator: float = 1.0
    generator: float = 0.1


class Conditioning(NamedTuple):
    """The inputs of both networks besides latents and samples.

    Attributes:
        generator: `(key, batch) -> inputs` after z.
        discriminator: `batch -> inputs` after x.
        class_loss: of a discriminator with an auxiliary classifier.
    """

    generator: Callable[[Array, Batch], tuple[Array | None, ...]] = lambda key, batch: ()
    discriminator: Callable[[Batch], tuple[Any, ...]] = lambda batch: ()
    class_loss: ClassLoss | None = None


UNCONDITIONAL = Conditioning()


def condition_on(column: str, class_loss: ClassLoss | None = None) -> Conditioning:
    """Give both networks `batch[column]`, [b k]; fakes have the conditions of the batch's reals.

    References:
        Mirza & Osindero 2014, Conditional Generative Adversarial Nets, arXiv:1411.1784, eq. 2.
    """
    return Conditioning(
        lambda key, batch: (batch[column],), lambda batch: (batch[column],), class_loss
    )


def gan(
    generator: Net,
    discriminator: Net,
    g_tx: optax.GradientTransformation,
    d_tx: optax.GradientTransformation,
    *,
    objective: Objective,
    prior: Prior,
    conditioning: Conditioning = UNCONDITIONAL,
    penalties: Penalties = NO_PENALTIES,
    augment: Augment | None = None,
    features: FrozenFeatures | None = None,
    vision: VisionAid | None = None,
    slicing: bool = False,
    n_critic: int = 1,
    ema: Decays = None,
    simultaneous: bool = False,
    fresh_fakes: bool = False,
) -> Game:
    """Make the game on `batch["real"]`, [b ...]: images in [-1, 1] or any other floats.

    A round is a move of the discriminator, with lazy penalties another one, and every `n_critic`
    rounds a move of the generator.

    Args:
        generator: `(z, *conditions) -> x`.
        discriminator: `(x, *conditions) -> logits`.
        g_tx: the generator's optimiser.
        d_tx: the discriminator's optimiser.
        objective: both players' losses.
        prior: p(z).
        conditioning: the networks' other inputs.
        penalties: of the discriminator. Gradients are those in the samples before `augment`.
        augment: transforms all samples that the discriminator sees, reals and fakes with the same
            probability. The state of an adaptive one is the memory `augment`. A paired one needs a
            paired objective.
        features: what the discriminator sees of augmented samples; of fakes computed once a round.
        vision: a second discriminator, the player `vision_discriminator`, on a frozen network.
        slicing: the discriminator returns (logits, directions): the second learn to be large for
            reals and small for fakes (Takida et al. 2024, arXiv:2301.12811, equation 9).
        n_critic: rounds per move of the generator.
        ema: decay per round of the generator's averaged copy, or several by half-life.
        simultaneous: whether both gradients are taken at the parameters of the round's start.
        fresh_fakes: whether each move draws its own fakes, at the cost of a pass of the generator;
            if not, all moves of a round use the same.

    Returns:
        The game. The discriminator's metrics: `loss`, `real_logit`, `fake_logit`; where they apply
        `real_accuracy`, `fake_accuracy`, `r1`, `r2` (mean squared gradient norms), `class_loss`,
        `gradient_penalty`, `direction`, `p` (of `augment`); the generator's: `loss`, `class_loss`,
        `vision_loss`.

    Raises:
        ValueError: an adaptive `augment` with an objective that has no threshold, a paired one with
            an objective that is not paired; penalties, an adaptive or a paired `augment` with
            `features`.
    """
    losses = GanLosses(
        generator,
        discriminator,
        objective,
        prior,
        conditioning,
        penalties,
        augment,
        features,
        slicing,
    )
    aided = None if vision is None else VisionLosses(vision, augment)
    players = _players(g_tx, d_tx)
    fakes = losses.fakes if aided is None else aided.shared(losses.fakes)
    return Game(
        nets=losses.nets() | ({} if aided is None else aided.nets()),
        players=players if aided is None else players | aided.players(),
        moves=_moves(losses, aided, n_critic=n_critic, fresh_fakes=fresh_fakes),
        shared=None if fresh_fakes else Shared("generator", fakes),
        ema=averages.copies(("generator",), ema),
        simultaneous=simultaneous,
    )


def _players(
    g_tx: optax.GradientTransformation, d_tx: optax.GradientTransformation
) -> dict[str, Player]:
    return {
        "generator": Player(("generator",), g_tx),
        "discriminator": Player(("discriminator",), d_tx),
    }


def _moves(
    losses: "GanLosses", aided: VisionLosses | None, *, n_critic: int, fresh_fakes: bool
) -> tuple[Move, ...]:
    """The moves of a round: discriminator, its lazy penalties, the second one, generator."""
    own = functools.partial(_with_fresh_fakes, losses.fakes) if fresh_fakes else lambda loss: loss
    moves = [Move("discriminator", own(losses.discriminator_loss))]
    if losses.penalties.lazy:
        penalty, every = own(losses.penalty_loss), losses.penalties.every
        moves.append(Move("discriminator", penalty, every=every, name="penalty"))
    generator_loss = losses.generator_loss
    if aided is not None:
        generator_loss = aided.generator_loss(generator_loss)
        loss = aided.discriminator_loss
        loss = _with_fresh_fakes(_without_statistics(losses.fakes), loss) if fresh_fakes else loss
        moves.append(Move(NAME, loss, start=aided.aid.start))
    return (*moves, Move("generator", own(generator_loss), every=n_critic))


class Pass(NamedTuple):
    """What a pass of the discriminator gives beside logits.

    Attributes:
        variables: the discriminator's, with the statistics after the pass.
        classes: class logits of an auxiliary classifier.
        direction: the logits of a sliced last layer that move its direction.
    """

    variables: dict[str, PyTree]
    classes: Array | None = None
    direction: Array | None = None


class Judged(NamedTuple):
    """A batch of reals and fakes as the discriminator sees them.

    Attributes:
        real: logits of the reals.
        fake: logits of the fakes.
        variables: the discriminator's, with the statistics after all passes.
        terms: mean values of penalties, class loss and the loss of a sliced last layer's direction,
            without their weights.
        penalty: their weighted sum.
        p: the probability of the augmentation, if there is one.
    """

    real: Array
    fake: Array
    variables: dict[str, PyTree]
    terms: dict[str, Scalar]
    penalty: Scalar
    p: Array | None


@dataclasses.dataclass(frozen=True)
class GanLosses:
    """The losses of `gan`: functions of (variables, batch, key), by its arguments."""

    generator: Net
    discriminator: Net
    objective: Objective
    prior: Prior
    conditioning: Conditioning
    penalties: Penalties
    augment: Augment | None
    features: FrozenFeatures | None = None
    slicing: bool = False

    @property
    def control(self) -> Adaptive | None:
        """What moves the probability of the augmentation, where it is adaptive."""
        return None if self.augment is None else self.augment.control

    def __post_init__(self) -> None:
        """Raise ValueError for arguments that exclude each other."""
        if self.control is not None and self.objective.threshold is None:
            raise ValueError("an adaptive p needs an objective with a threshold of right and wrong")
        paired = self.augment is not None and self.augment.paired
        if paired and not self.objective.paired:
            raise ValueError("a paired augmentation needs a paired objective")
        if self.features is None:
            return
        if paired or self.control is not None or self.penalties.used:
            raise ValueError(
                "penalties, an adaptive p and pairs need a discriminator without features"
            )

    def nets(self) -> dict[str, Net | Memory]:
        """Both networks, the state of an adaptive augmentation, and the frozen network."""
        nets = {"generator": self.generator, "discriminator": self.discriminator}
        memories = {}
        if self.control is not None:
            memories["augment"] = Memory(self.control.init, mean=True)
        if self.features is not None:
            memories["features"] = Memory(self.features.variables)
        return nets | memories

    def fakes(
        self, variables: GameVariables, batch: Batch, key: Array
    ) -> tuple[Values, Statistics]:
        """Draw `fake` = G(z), z ~ p(z), and see it through the frozen network, if there is one.

        Also return the generator's statistics.
        """
        z = self.prior(fold(key, "z"), batch["index"])
        noise = noise_key(key, "generator", batch)
        conditions = self.conditioning.generator(key, batch)
        fake, stats = self.generator(variables["generator"], z, *conditions, key=noise)
        values = {"fake": fake}
        if self.features is not None:
            p = self._augment_probability(variables, batch)
            values["fake_features"] = self._seen(variables, fake, "fake", batch, key, p)
        return values, {"generator": stats}

    def discriminator_loss(
        self, variables: GameVariables, batch: Batch, key: Array
    ) -> tuple[Scalar, Aux]:
        """The objective plus the penalties, unless they are lazy, plus the class loss on reals."""
        control, memory = self.control, {}
        if control is not None:
            memory = {"augment": control.update(variables["augment"])}
            variables = {**variables, **memory}
        weights = {} if self.penalties.lazy else self.penalties.factors(batch["round"])
        if self.conditioning.class_loss is not None:
            weights["class_loss"] = self.conditioning.class_loss.discriminator
        if self.slicing:
            weights["direction"] = 1.0
        judged = self._judge_both(variables, batch, key, weights)
        loss = self.objective.discriminator_loss(judged.real, judged.fake) + judged.penalty
        metrics = {**self.objective.metrics(judged.real, judged.fake), **judged.terms}
        if judged.p is not None:
            metrics["p"] = judged.p
        if control is not None and self.objective.threshold is not None:
            seen = control.observe(memory["augment"], judged.real, self.objective.threshold)
            memory = {"augment": seen}
        return loss, Aux({"discriminator": statistics(judged.variables), **memory}, metrics)

    def penalty_loss(
        self, variables: GameVariables, batch: Batch, key: Array
    ) -> tuple[Scalar, Aux]:
        """The penalties times their interval; the main move updates the statistics."""
        weights = self.penalties.factors(batch["round"])
        judged = self._judge_both(variables, batch, key, weights)
        return self.penalties.every * judged.penalty, Aux(metrics=judged.terms)

    def generator_loss(
        self, variables: GameVariables, batch: Batch, key: Array
    ) -> tuple[Scalar, Aux]:
        """The objective plus the class loss on fakes."""
        p = self._augment_probability(variables, batch)
        judge = functools.partial(self._judge, variables, batch=batch, key=key, p=p)
        d, real, metrics = dict(variables["discriminator"]), None, {}
        if self.objective.paired:
            real, passed = judge(d, batch["real"], name="real")
            d = passed.variables
        fake, passed = judge(d, batch["fake"], name="fake")
        loss = self.objective.generator_loss(real, fake)
        if self.conditioning.class_loss is not None:
            metrics["class_loss"] = self._cross_entropy(passed.classes, batch)
            loss = loss + self.conditioning.class_loss.generator * metrics["class_loss"]
        return loss, Aux({"discriminator": statistics(passed.variables)}, metrics)

    def _judge_both(
        self, variables: GameVariables, batch: Batch, key: Array, weights: Factors
    ) -> Judged:
        """Judge reals, then fakes; compute the penalties that have a weight, and the class loss."""
        p = self._augment_probability(variables, batch)
        judge = functools.partial(self._judge, variables, batch=batch, key=key, p=p)
        d, logits, passes, terms = dict(variables["discriminator"]), {}, {}, {}
        for name, penalty in (("real", "r1"), ("fake", "r2")):
            look = functools.partial(judge, d, name=name)
            if penalty in weights:
                squared_slope = self._squared_slope(batch, key, name)
                logits[name], squares, passes[name] = squared_slope(look, batch[name])
                terms[penalty] = jnp.mean(squares)
            else:
                logits[name], passes[name] = look(batch[name])
            d = passes[name].variables
        if self.conditioning.class_loss is not None:
            terms["class_loss"] = self._cross_entropy(passes["real"].classes, batch)
        if self.slicing:
            directions = (jnp.mean(passes[name].direction) for name in ("fake", "real"))
            terms["direction"] = operator.sub(*directions)
        if "gradient_penalty" in weights:
            mix = per_example(jax.random.uniform)(fold(key, "mix"), batch["index"])
            look = functools.partial(judge, d, name="between")
            penalties = gradient_penalty(look, batch["real"], batch["fake"], mix)
            terms["gradient_penalty"] = jnp.mean(penalties)
        penalty = jnp.zeros(())
        for name, value in terms.items():
            penalty = penalty + weights.get(name, 0.0) * value
        return Judged(logits["real"], logits["fake"], d, terms, penalty, p)

    def _squared_slope(
        self, batch: Batch, key: Array, name: str
    ) -> Callable[..., tuple[Array, Array, Pass]]:
        """How the squared slope of R1 or R2 is computed: exactly, or by a finite difference."""
        if not self.penalties.step:
            return squared_gradient_norm
        shape = batch[name].shape[1:]
        draw = per_example(lambda key: jax.random.normal(key, shape))
        noise = draw(fold(key, f"step_{name}"), batch["index"])
        return functools.partial(squared_difference, noise=noise, step=self.penalties.step)

    def _judge(
        self,
        variables: GameVariables,
        d: Variables,
        x: Array,
        *,
        name: str,
        batch: Batch,
        key: Array,
        p: Array | None,
    ) -> tuple[Array, Pass]:
        """Augment and judge samples `x`; `name` tells the passes of a move apart."""
        noise = noise_key(key, name, batch)
        if self.features is not None and name == "fake":
            seen = batch["fake_features"]
        else:
            seen = self._seen(variables, x, name, batch, key, p)
        out, stats = self.discriminator(
            d, *seen, *self.conditioning.discriminator(batch), key=noise
        )
        logits, classes = (out, None) if self.conditioning.class_loss is None else out
        logits, direction = logits if self.slicing else (logits, None)
        return logits, Pass({**d, **stats}, classes, direction)

    def _seen(
        self,
        variables: GameVariables,
        x: Array,
        name: str,
        batch: Batch,
        key: Array,
        p: Array | None,
    ) -> tuple[Array, ...]:
        """What the discriminator sees of samples: augmented, and as features if it sees those."""
        if self.augment is not None and p is not None:
            name = "pair" if self.augment.paired and name in ("real", "fake") else name
            x = self.augment(x, fold(fold(key, "augment"), name), batch["index"], p)
        return (x,) if self.features is None else self.features.apply(variables["features"], x)

    def _augment_probability(self, variables: GameVariables, batch: Batch) -> Array | None:
        if self.augment is None:
            return None
        return self.augment.probability(batch["round"], variables.get("augment"))

    def _cross_entropy(self, logits: Any, batch: Batch) -> Scalar:
        (one_hot,) = self.conditioning.discriminator(batch)
        return jnp.mean(optax.softmax_cross_entropy(logits, one_hot))


def _without_statistics(fakes: Forward) -> Forward:
    """Draw fakes that leave the generator's statistics alone: the discriminator's moved them."""
    return lambda variables, batch, key: (fakes(variables, batch, key)[0], {})


def _with_fresh_fakes(fakes: Forward, loss: Loss) -> Loss:
    """Draw fakes in the move itself, by its key."""

    def with_fakes(variables: GameVariables, batch: Batch, key: Array) -> tuple[Scalar, Aux]:
        values, stats = fakes(variables, batch, key)
        value, aux = loss(variables, {**batch, **values}, key)
        return value, aux._replace(stats={**stats, **aux.stats} if aux.stats else {})

    return with_fakes
