"""Losses of the generator and the discriminator as functions of logits.

Both take `(real, fake)`: the logits, before any sigmoid, of any shape (`[b]`, or `[b h w]` of a
PatchGAN), and return a loss for each logit. With d for a logit, log D(x) = -softplus(-d) and
log(1 - D(x)) = -softplus(d).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

Payoff = Callable[[Float[Array, "b *p"], Float[Array, "b *p"]], Float[Array, "b *p"]]


class Objective(NamedTuple):
    """Losses of both players, for each logit.

    Attributes:
        generator: `(real, fake) -> loss` of the generator.
        discriminator: `(real, fake) -> loss` of the discriminator.
        threshold: the logit above which a sample is classified as real; None for a critic, whose
            logits have no such point.
        paired: whether the generator's loss depends on the real logits too, so that its move has to
            judge reals.
    """

    generator: Payoff
    discriminator: Payoff
    threshold: float | None = 0.0
    paired: bool = False

    def generator_loss(
        self, real: Float[Array, "b *p"] | None, fake: Float[Array, "b *p"]
    ) -> Scalar:
        """Average the generator's loss; `real` may be None unless the objective is `paired`."""
        return jnp.mean(self.generator(fake if real is None else real, fake))

    def discriminator_loss(self, real: Float[Array, "b *p"], fake: Float[Array, "b *p"]) -> Scalar:
        """Average the discriminator's loss."""
        return jnp.mean(self.discriminator(real, fake))

    def metrics(self, real: Float[Array, "b *p"], fake: Float[Array, "b *p"]) -> dict[str, Scalar]:
        """Average the logits and, where there is a threshold, count the correct classifications.

        Returns:
            `real_logit`, `fake_logit`; `real_accuracy`, `fake_accuracy` in [0, 1].
        """
        metrics = {"real_logit": jnp.mean(real), "fake_logit": jnp.mean(fake)}
        if self.threshold is not None:
            metrics["real_accuracy"] = jnp.mean(real > self.threshold)
            metrics["fake_accuracy"] = jnp.mean(fake <= self.threshold)
        return metrics


def _log_loss(real: Array, fake: Array) -> Array:
    """-[log D(x) + log(1 - D(G(z)))], binary cross-entropy."""
    return jax.nn.softplus(-real) + jax.nn.softplus(fake)


def minimax() -> Objective:
    """G descends log(1 - D(G(z))): the saturating loss (Goodfellow et al. 2014, eq. 1).

    Its gradient in the logit, -sigmoid(d), vanishes where D rejects with confidence.
    """
    return Objective(lambda real, fake: -jax.nn.softplus(fake), _log_loss)


def non_saturating() -> Objective:
    """G descends -log D(G(z)) (Goodfellow et al. 2014, section 3); gradient -(1 - sigmoid(d))."""
    return Objective(lambda real, fake: jax.nn.softplus(-fake), _log_loss)


def least_squares() -> Objective:
    """G: (d_fake - 1)^2; D: (d_real - 1)^2 + d_fake^2 (LSGAN, Mao et al. 2017, arXiv:1611.04076).

    Equation 9 without its factor 1/2: the weights of CycleGAN and pix2pix assume this scale.
    """
    return Objective(
        lambda real, fake: jnp.square(fake - 1.0),
        lambda real, fake: jnp.square(real - 1.0) + jnp.square(fake),
        threshold=0.5,
    )


def hinge() -> Objective:
    """D: relu(1 - d_real) + relu(1 + d_fake); G: -d_fake (Lim & Ye 2017, arXiv:1705.02894)."""
    return Objective(
        lambda real, fake: -fake,
        lambda real, fake: jax.nn.relu(1.0 - real) + jax.nn.relu(1.0 + fake),
    )


def wasserstein() -> Objective:
    """D: d_fake - d_real; G: -d_fake (WGAN, Arjovsky et al. 2017, arXiv:1701.07875, eq. 3).

    The critic has to be Lipschitz: clip its weights or add the gradient penalty (`penalties`).
    """
    return Objective(lambda real, fake: -fake, lambda real, fake: fake - real, threshold=None)


def relativistic() -> Objective:
    """G: softplus(d_real - d_fake); D: softplus(d_fake - d_real), for pairs of a real and a fake.

    RpGAN (Jolicoeur-Martineau 2018, arXiv:1807.00734), the objective of R3GAN.
    """
    return Objective(
        lambda real, fake: jax.nn.softplus(real - fake),
        lambda real, fake: jax.nn.softplus(fake - real),
        threshold=None,
        paired=True,
    )
