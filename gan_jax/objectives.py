"""Payoffs of the two players over logits: what each descends.

Every objective takes `(real_logits, fake_logits)` of any shape (`[b]`, or `[b h w]` of a PatchGAN),
never sigmoided, and returns per-sample values for the caller to average. Writing d for a logit,
log D(x) = -softplus(-d) and log(1 - D(x)) = -softplus(d).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

Payoff = Callable[[Float[Array, "b *p"], Float[Array, "b *p"]], Float[Array, "b *p"]]


class Objective(NamedTuple):
    """Losses of both players.

    `threshold` is the logit above which the discriminator calls a sample real, None for a critic
    whose scale has no such point. `paired` says that the generator's loss reads the real logits
    too, so its move must judge real samples.
    """

    generator: Payoff
    discriminator: Payoff
    threshold: float | None = 0.0
    paired: bool = False


def _log_loss(real: Array, fake: Array) -> Array:
    """-[log D(x) + log(1 - D(G(z)))]: the discriminator's side of the minimax game."""
    return jax.nn.softplus(-real) + jax.nn.softplus(fake)


def minimax() -> Objective:
    """The saturating game, Goodfellow et al. 2014, eq. 1: G descends log(1 - D(G(z))).

    Its generator gradient in the logit is -sigmoid(d): it vanishes where D rejects with confidence.
    """
    return Objective(lambda real, fake: -jax.nn.softplus(fake), _log_loss)


def non_saturating() -> Objective:
    """G descends -log D(G(z)), Goodfellow et al. 2014, section 3; gradient -(1 - sigmoid(d))."""
    return Objective(lambda real, fake: jax.nn.softplus(-fake), _log_loss)


def least_squares() -> Objective:
    """LSGAN with real 1, fake 0 (Mao et al. 2017, arXiv:1611.04076, eq. 9), without the factor 1/2.

    CycleGAN's and pix2pix' weights of the terms assume this scale.
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
    """The critic's difference of means (Arjovsky et al. 2017, arXiv:1701.07875, eq. 3).

    Needs a Lipschitz critic: weight clipping or the gradient penalty of `penalties`.
    """
    return Objective(lambda real, fake: -fake, lambda real, fake: fake - real, threshold=None)


def relativistic() -> Objective:
    """Relativistic pairing, RpGAN (Jolicoeur-Martineau 2018, arXiv:1807.00734), as in R3GAN.

    G: softplus(-(fake - real)), D: softplus(-(real - fake)), sample by sample.
    """
    return Objective(
        lambda real, fake: jax.nn.softplus(real - fake),
        lambda real, fake: jax.nn.softplus(fake - real),
        threshold=None,
        paired=True,
    )


def verdict(
    objective: Objective, real: Float[Array, "b *p"], fake: Float[Array, "b *p"]
) -> dict[str, Scalar]:
    """What a discriminator thinks: mean logits and, where right can be told, the share of it."""
    found = {"real_logit": jnp.mean(real), "fake_logit": jnp.mean(fake)}
    if objective.threshold is not None:
        found["real_accuracy"] = jnp.mean(real > objective.threshold)
        found["fake_accuracy"] = jnp.mean(fake <= objective.threshold)
    return found
