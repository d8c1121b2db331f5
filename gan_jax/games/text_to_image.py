"""Captions to images: GAN-CLS (Reed et al. 2016, arXiv:1605.05396) with conditioning augmentation.

Conditioning augmentation is StackGAN's (Zhang et al. 2017, arXiv:1612.03242, section 3.2): the
generator sees a sample of a Gaussian that depends on the caption and is kept near N(0, I), so that
it cannot memorise captions.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import optax
from jaxtyping import Array, Scalar

from gan_jax import averages
from gan_jax.augment import Augment
from gan_jax.averages import Decays
from gan_jax.game import Aux, Batch, Game, Move, Net, Player, Shared, fold, noise_key, statistics
from gan_jax.latents import Prior, kl_to_standard_normal
from gan_jax.objectives import Objective


def text_to_image(
    generator: Net,
    augmenter: Net,
    discriminator: Net,
    g_tx: optax.GradientTransformation,
    d_tx: optax.GradientTransformation,
    *,
    objective: Objective,
    prior: Prior,
    condition_prior: Prior,
    kl: float = 1.0,
    matching: bool = True,
    ema: Decays = None,
    augment: Augment | None = None,
) -> Game:
    """Make the game on images `batch["real"]` and embeddings of their captions `batch["text"]`.

    The discriminator moves first; both moves judge the same fakes (`TextToImageLosses`).

    Args:
        generator: `(z, condition [b c]) -> image`.
        augmenter: `caption [b t] -> (mean, log variance)` of the condition, [b c] each; it belongs
            to the generator's player.
        discriminator: `(image, caption) -> logits [b]`.
        g_tx: the optimiser of generator and augmenter.
        d_tx: the discriminator's optimiser.
        objective: the adversarial losses.
        prior: p(z).
        condition_prior: the standard normal of the condition's size.
        kl: weight of the condition's divergence, summed over dimensions. Zhang et al.'s code has 2
            over their number.
        matching: whether the discriminator also learns to reject reals with wrong captions.
        ema: decay per round of the averaged copies of generator and augmenter, or several by
            half-life.
        augment: transforms all images that the discriminator sees; it must not be adaptive.

    Returns:
        The game. The discriminator's metrics: `loss`, `real_logit`, `fake_logit`, `wrong_logit`,
        and accuracies; the generator's: `loss`, `kl`.
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
        augment,
    )
    return Game(
        nets={"generator": generator, "augmenter": augmenter, "discriminator": discriminator},
        players={
            "generator": Player(("generator", "augmenter"), g_tx),
            "discriminator": Player(("discriminator",), d_tx),
        },
        moves=(
            Move("discriminator", losses.discriminator_loss),
            Move("generator", losses.generator_loss),
        ),
        shared=Shared("generator", losses.fakes),
        ema=averages.copies(("generator", "augmenter"), ema),
    )


@dataclasses.dataclass(frozen=True)
class TextToImageLosses:
    """The losses of `text_to_image`: functions of (variables, batch, key), by its arguments."""

    generator: Net
    augmenter: Net
    discriminator: Net
    objective: Objective
    prior: Prior
    condition_prior: Prior
    kl: float
    matching: bool
    augment: Augment | None

    def fakes(self, variables: Mapping[str, Any], batch: Batch, key: Array) -> tuple[dict, dict]:
        """Draw conditions and `fake` = G(z, condition); also compute the divergences `kl` [b].

        Returns:
            Both values, and the statistics of generator and augmenter.
        """
        z = self.prior(fold(key, "z"), batch["index"])
        moments, augmenter_stats = self.augmenter(variables["augmenter"], batch["text"])
        mean, log_variance = moments
        epsilon = self.condition_prior(fold(key, "augmentation"), batch["index"])
        condition = mean + jnp.exp(0.5 * log_variance) * epsilon
        noise = noise_key(key, "generator", batch)
        fake, stats = self.generator(variables["generator"], z, condition, key=noise)
        values = {"fake": fake, "kl": kl_to_standard_normal(mean, log_variance)}
        return values, {"generator": stats, "augmenter": augmenter_stats}

    def discriminator_loss(
        self, variables: Mapping[str, Any], batch: Batch, key: Array
    ) -> tuple[Scalar, Aux]:
        """Average the objective on fakes and, if `matching`, on reals with wrong captions.

        Reed et al., algorithm 1: log s_r + (log(1 - s_w) + log(1 - s_f)) / 2. Where the wrong
        caption happens to be the same, the fake counts alone.
        """
        d, text = variables["discriminator"], batch["text"]
        real, d = self._judge(d, batch["real"], text, batch, fold(key, "real"))
        fake, d = self._judge(d, batch["fake"], text, batch, fold(key, "fake"))
        metrics = self.objective.metrics(real, fake)
        losses = self.objective.discriminator(real, fake)
        if self.matching:
            wrong_text = text[_neighbours(len(text))]
            wrong, d = self._judge(d, batch["real"], wrong_text, batch, fold(key, "wrong"))
            metrics["wrong_logit"] = jnp.mean(wrong)
            differs = jnp.any(wrong_text != text, axis=-1)
            both = 0.5 * (losses + self.objective.discriminator(real, wrong))
            losses = jnp.where(differs, both, losses)
        return jnp.mean(losses), Aux({"discriminator": statistics(d)}, metrics)

    def generator_loss(
        self, variables: Mapping[str, Any], batch: Batch, key: Array
    ) -> tuple[Scalar, Aux]:
        """The objective plus the condition's divergence (Zhang et al., eq. 4)."""
        d, text, real = variables["discriminator"], batch["text"], None
        if self.objective.paired:
            real, d = self._judge(d, batch["real"], text, batch, fold(key, "real"))
        fake, d = self._judge(d, batch["fake"], text, batch, fold(key, "fake"))
        loss = self.objective.generator_loss(real, fake)
        kl = jnp.mean(batch["kl"])
        return loss + self.kl * kl, Aux({"discriminator": statistics(d)}, {"kl": kl})

    def _judge(
        self, variables: Mapping[str, Any], x: Array, text: Array, batch: Batch, key: Array
    ) -> tuple[Array, dict[str, Any]]:
        """Augment and judge images; also return the variables with the statistics after it."""
        if self.augment is not None:
            p = self.augment.probability(batch["round"])
            x = self.augment(x, fold(key, "augment"), batch["index"], p)
        noise = noise_key(key, "discriminator", batch)
        logits, stats = self.discriminator(variables, x, text, key=noise)
        return logits, {**variables, **stats}


def _neighbours(count: int) -> Array:
    """Another example for each; pairs swap, so that no number of devices with even shares matters.

    Returns:
        Positions in the batch, [b].
    """
    rows = jnp.arange(count)
    return rows ^ 1 if count % 2 == 0 else jnp.roll(rows, 1)
