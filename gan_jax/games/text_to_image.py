"""Captions to images: GAN-CLS (Reed et al. 2016, arXiv:1605.05396) with conditioning augmentation.

Conditioning augmentation is StackGAN's (Zhang et al. 2017, arXiv:1612.03242, section 3.2): the
generator sees a sample of a Gaussian that depends on the caption and is kept near N(0, I), so that
it cannot memorise captions. Without it, and with the matching-aware gradient penalty, the game is
DF-GAN's (Tao et al. 2022, arXiv:2008.05865).
"""

import dataclasses

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, PyTree, Scalar

from gan_jax import averages
from gan_jax.augment import Augment
from gan_jax.averages import Decays
from gan_jax.game import (
    Aux,
    Batch,
    Game,
    GameVariables,
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
from gan_jax.latents import Prior, kl_to_standard_normal, per_example
from gan_jax.objectives import Objective
from gan_jax.penalties import MatchingAware, squared_difference, squared_gradient_norm


def text_to_image(
    generator: Net,
    augmenter: Net | None,
    discriminator: Net,
    g_tx: optax.GradientTransformation,
    d_tx: optax.GradientTransformation,
    *,
    objective: Objective,
    prior: Prior,
    condition_prior: Prior | None = None,
    kl: float = 1.0,
    matching: bool = True,
    hard: float = 0.0,
    penalty: MatchingAware | None = None,
    text_scale: float = 1.0,
    auxiliary: float = 0.0,
    ema: Decays = None,
    augment: Augment | None = None,
) -> Game:
    """Make the game on images `batch["real"]` and embeddings of their captions `batch["text"]`.

    The discriminator moves first; both moves judge the same fakes (`TextToImageLosses`).

    Args:
        generator: `(z, condition [b c]) -> image`.
        augmenter: `caption [b t] -> (mean, log variance)` of the condition, [b c] each; it belongs
            to the generator's player. None: the condition is the caption itself.
        discriminator: `(image, caption) -> logits [b]`; with `auxiliary` (logits, captions read off
            the images [b t]).
        g_tx: the optimiser of generator and augmenter.
        d_tx: the discriminator's optimiser.
        objective: the adversarial losses.
        prior: p(z).
        condition_prior: the standard normal of the condition's size, for an augmenter.
        kl: weight of the condition's divergence, summed over dimensions. Zhang et al.'s code has 2
            over their number.
        matching: whether the discriminator also learns to reject reals with wrong captions.
        hard: the share of wrong captions that are `batch["wrong_text"]` where data has it, edits of
            the right ones in one attribute; the others are another example's.
        penalty: of the discriminator on reals with their captions, before `augment`.
        text_scale: what embeddings are multiplied by before every network.
        auxiliary: weight in the generator's loss of the mean squared error with which the
            discriminator reads fakes' captions off them; it learns that from reals, at weight 1.
            It is AC-GAN's classifier (Odena et al. 2017, arXiv:1610.09585) for embeddings.
        ema: decay per round of the averaged copies of generator and augmenter, or several by
            half-life.
        augment: transforms all images that the discriminator sees; it must not be adaptive.

    Returns:
        The game. The discriminator's metrics: `loss`, `real_logit`, `fake_logit`, `wrong_logit`,
        accuracies, `ma_gp` (the penalty without its weight), `text_error` (of the auxiliary
        reading); the generator's: `loss`, `kl`, `text_error`.

    Raises:
        ValueError: an augmenter without `condition_prior`.
    """
    losses = TextToImageLosses(
        generator,
        augmenter,
        discriminator,
        objective,
        prior,
        condition_prior,
        kl,
        matching,
        hard,
        penalty,
        text_scale,
        auxiliary,
        augment,
    )
    return _game(losses, g_tx, d_tx, ema)


def _game(
    losses: "TextToImageLosses",
    g_tx: optax.GradientTransformation,
    d_tx: optax.GradientTransformation,
    ema: Decays,
) -> Game:
    drawing = {"generator": losses.generator}
    if losses.augmenter is not None:
        drawing["augmenter"] = losses.augmenter
    return Game(
        nets={**drawing, "discriminator": losses.discriminator},
        players={
            "generator": Player(tuple(drawing), g_tx),
            "discriminator": Player(("discriminator",), d_tx),
        },
        moves=(
            Move("discriminator", losses.discriminator_loss),
            Move("generator", losses.generator_loss),
        ),
        shared=Shared("generator", losses.fakes),
        ema=averages.copies(drawing, ema),
    )


@dataclasses.dataclass(frozen=True)
class TextToImageLosses:
    """The losses of `text_to_image`: functions of (variables, batch, key), by its arguments."""

    generator: Net
    augmenter: Net | None
    discriminator: Net
    objective: Objective
    prior: Prior
    condition_prior: Prior | None
    kl: float
    matching: bool
    hard: float
    penalty: MatchingAware | None
    text_scale: float
    auxiliary: float
    augment: Augment | None

    def __post_init__(self) -> None:
        """Raise ValueError for an augmenter without `condition_prior`."""
        if self.augmenter is not None and self.condition_prior is None:
            raise ValueError("conditioning augmentation needs the prior of its noise")

    def fakes(
        self, variables: GameVariables, batch: Batch, key: Array
    ) -> tuple[Values, Statistics]:
        """Draw `fake` = G(z, condition); with augmentation also the divergences `kl` [b].

        Returns:
            The values, and the statistics of generator and augmenter.
        """
        z = self.prior(fold(key, "z"), batch["index"])
        condition, values, stats = self._condition(variables, batch, key)
        noise = noise_key(key, "generator", batch)
        fake, generator_stats = self.generator(variables["generator"], z, condition, key=noise)
        return {"fake": fake, **values}, {"generator": generator_stats, **stats}

    def _condition(
        self, variables: GameVariables, batch: Batch, key: Array
    ) -> tuple[Array, dict[str, Array], dict[str, PyTree]]:
        """Draw the generator's condition; return its divergence and the augmenter's statistics."""
        text = self._text(batch)
        if self.augmenter is None or self.condition_prior is None:
            return text, {}, {}
        (mean, log_variance), stats = self.augmenter(variables["augmenter"], text)
        epsilon = self.condition_prior(fold(key, "augmentation"), batch["index"])
        condition = mean + jnp.exp(0.5 * log_variance) * epsilon
        return condition, {"kl": kl_to_standard_normal(mean, log_variance)}, {"augmenter": stats}

    def discriminator_loss(
        self, variables: GameVariables, batch: Batch, key: Array
    ) -> tuple[Scalar, Aux]:
        """Average the objective on fakes and, if `matching`, on reals with wrong captions.

        Reed et al., algorithm 1: log s_r + (log(1 - s_w) + log(1 - s_f)) / 2. Where the wrong
        caption happens to be the same, the fake counts alone. The penalty comes on top.
        """
        d, text = variables["discriminator"], self._text(batch)
        real, squared_slope, read, d = self._judge_real(d, text, batch, key)
        fake, _, d = self._judge(d, batch["fake"], text, batch, fold(key, "fake"))
        metrics = self.objective.metrics(real, fake)
        losses = self.objective.discriminator(real, fake)
        if self.matching:
            wrong_text = self._wrong_text(text, batch, key)
            wrong, _, d = self._judge(d, batch["real"], wrong_text, batch, fold(key, "wrong"))
            metrics["wrong_logit"] = jnp.mean(wrong)
            differs = jnp.any(wrong_text != text, axis=-1)
            both = 0.5 * (losses + self.objective.discriminator(real, wrong))
            losses = jnp.where(differs, both, losses)
        loss = jnp.mean(losses)
        if self.penalty is not None:
            metrics["ma_gp"] = self.penalty.of(squared_slope)
            loss = loss + self.penalty.weight * metrics["ma_gp"]
        if self.auxiliary:
            metrics["text_error"] = jnp.mean(jnp.square(read - text))
            loss = loss + metrics["text_error"]
        return loss, Aux({"discriminator": statistics(d)}, metrics)

    def generator_loss(
        self, variables: GameVariables, batch: Batch, key: Array
    ) -> tuple[Scalar, Aux]:
        """The objective plus the condition's divergence (Zhang et al., eq. 4)."""
        d, text, real = variables["discriminator"], self._text(batch), None
        if self.objective.paired:
            real, _, d = self._judge(d, batch["real"], text, batch, fold(key, "real"))
        fake, read, d = self._judge(d, batch["fake"], text, batch, fold(key, "fake"))
        loss, metrics = self.objective.generator_loss(real, fake), {}
        if self.augmenter is not None:
            metrics["kl"] = jnp.mean(batch["kl"])
            loss = loss + self.kl * metrics["kl"]
        if self.auxiliary:
            metrics["text_error"] = jnp.mean(jnp.square(read - text))
            loss = loss + self.auxiliary * metrics["text_error"]
        return loss, Aux({"discriminator": statistics(d)}, metrics)

    def _text(self, batch: Batch, name: str = "text") -> Array:
        return batch[name] if self.text_scale == 1.0 else self.text_scale * batch[name]

    def _wrong_text(self, text: Array, batch: Batch, key: Array) -> Array:
        """Another example's caption, or for the share `hard` an edit of the right one."""
        wrong = text[_neighbours(len(text))]
        if not self.hard or "wrong_text" not in batch:
            return wrong
        chance = per_example(jax.random.uniform)(fold(key, "hard"), batch["index"])
        return jnp.where(chance[:, None] < self.hard, self._text(batch, "wrong_text"), wrong)

    def _judge_real(
        self, d: Variables, text: Array, batch: Batch, key: Array
    ) -> tuple[Array, Array, Array, dict[str, PyTree]]:
        """Judge reals with their captions.

        Returns:
            As `_judge`, and after the logits the squared slopes [b]; zeros without a penalty.
        """

        def look(pair: tuple[Array, Array]) -> tuple[Array, tuple[Array, dict[str, PyTree]]]:
            logits, read, after = self._judge(d, *pair, batch, fold(key, "real"))
            return logits, (read, after)

        pair = (batch["real"], text)
        if self.penalty is None:
            (logits, others), squares = look(pair), jnp.zeros(len(text))
        elif not self.penalty.step:
            logits, squares, others = squared_gradient_norm(look, pair)
        else:
            noise = tuple(_noise(fold(key, f"step{n}"), x, batch) for n, x in enumerate(pair))
            logits, squares, others = squared_difference(look, pair, noise, self.penalty.step)
        read, after = others
        return logits, squares, read, after

    def _judge(
        self, variables: Variables, x: Array, text: Array, batch: Batch, key: Array
    ) -> tuple[Array, Array, dict[str, PyTree]]:
        """Augment and judge images.

        Returns:
            The logits, the captions read off the images (the given ones without `auxiliary`), and
            the variables with the statistics after it.
        """
        if self.augment is not None:
            p = self.augment.probability(batch["round"])
            x = self.augment(x, fold(key, "augment"), batch["index"], p)
        noise = noise_key(key, "discriminator", batch)
        out, stats = self.discriminator(variables, x, text, key=noise)
        logits, read = out if self.auxiliary else (out, text)
        return logits, read, {**variables, **stats}


def _noise(key: Array, x: Array, batch: Batch) -> Array:
    """Draw N(0, 1) of the shape of `x`, by example."""
    return per_example(lambda key: jax.random.normal(key, x.shape[1:]))(key, batch["index"])


def _neighbours(count: int) -> Array:
    """Another example for each; pairs swap, so that no number of devices with even shares matters.

    Returns:
        Positions in the batch, [b].
    """
    rows = jnp.arange(count)
    return rows ^ 1 if count % 2 == 0 else jnp.roll(rows, 1)
