"""The game of one player: a variational autoencoder (Kingma & Welling 2014, arXiv:1312.6114).

Its decoder may be the generator of a GAN, so that a comparison changes nothing but the game.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key, Scalar

from gan_jax import averages
from gan_jax.averages import Decays
from gan_jax.game import (
    Aux,
    Batch,
    Game,
    GameVariables,
    Move,
    Net,
    Player,
    fold,
    noise_key,
    statistics,
)
from gan_jax.latents import Prior, kl_to_standard_normal

EPSILON = 1e-6  # keeps probabilities off 0 and 1


class Likelihood(NamedTuple):
    """A decoder's likelihood.

    Attributes:
        log: `(x, output) -> log p(x | output)` of x and output in [-1, 1], [b ...], in nats, summed
            over all pixels: [b].
        per_level: log2 of the number of grey levels in a unit of x: added to the bits per dimension
            of a density, it gives those of images with 256 levels; 0 for probability masses.
    """

    log: Callable[[Float[Array, "b *d"], Float[Array, "b *d"]], Float[Array, " b"]]
    per_level: float


def gaussian(scale: float) -> Likelihood:
    """N(x; output, scale^2); 256 levels in [-1, 1] are 2/255 apart."""

    def log(x: Array, output: Array) -> Array:
        terms = jnp.square((x - output) / scale) + math.log(2.0 * math.pi * scale**2)
        return -0.5 * jnp.sum(terms, axis=tuple(range(1, x.ndim)))

    return Likelihood(log, math.log2(255.0 / 2.0))


def bernoulli() -> Likelihood:
    """X log p + (1 - x) log(1 - p), with x and the output p mapped to [0, 1].

    Unless images are black and white it is not normalised (Loaiza-Ganem & Cunningham 2019,
    arXiv:1907.06845): its values compare with each other only.
    """

    def log(x: Array, output: Array) -> Array:
        x, p = 0.5 * (x + 1.0), jnp.clip(0.5 * (output + 1.0), EPSILON, 1.0 - EPSILON)
        terms = x * jnp.log(p) + (1.0 - x) * jnp.log1p(-p)
        return jnp.sum(terms, axis=tuple(range(1, x.ndim)))

    return Likelihood(log, 0.0)


def vae(
    generator: Net,
    encoder: Net,
    tx: optax.GradientTransformation,
    *,
    likelihood: Likelihood,
    prior: Prior,
    beta: float = 1.0,
    ema: Decays = None,
) -> Game:
    """Make the game on `batch["real"]`, [b ...]: one player descends the negative ELBO.

    The loss is -E log p(x | z) + beta KL(q(z | x) || N(0, I)), with one sample of z (Kingma &
    Welling 2014, eq. 10; beta: Higgins et al. 2017). It is summed over pixels: with their mean,
    beta would in effect be multiplied by h w c.

    Args:
        generator: the decoder, `z [b z] -> output [b ...]`.
        encoder: `x -> mean and log-variance` of q(z | x), concatenated, [b 2z].
        tx: the optimiser of both.
        likelihood: p(x | z) as a function of the decoder's output.
        prior: the standard normal of size z.
        beta: weight of the divergence.
        ema: decay per round of both networks' averaged copies, or several by half-life.

    Returns:
        The game. Metrics: `loss` (-ELBO if beta is 1), `reconstruction` (-log p(x | z)), `kl`, in
        nats.
    """

    def loss(variables: GameVariables, batch: Batch, key: Array) -> tuple[Scalar, Aux]:
        x, noise = batch["real"], noise_key(key, "encoder", batch)
        moments, encoder_stats = encoder(variables["encoder"], x, key=noise)
        mean, log_variance = jnp.split(moments, 2, axis=-1)
        z = mean + jnp.exp(0.5 * log_variance) * prior(fold(key, "z"), batch["index"])
        noise = noise_key(key, "generator", batch)
        output, decoder_stats = generator(variables["generator"], z, key=noise)
        reconstruction = -jnp.mean(likelihood.log(x, output))
        kl = jnp.mean(kl_to_standard_normal(mean, log_variance))
        stats = {"encoder": statistics(encoder_stats), "generator": statistics(decoder_stats)}
        return reconstruction + beta * kl, Aux(stats, {"reconstruction": reconstruction, "kl": kl})

    return Game(
        nets={"generator": generator, "encoder": encoder},
        players={"vae": Player(("generator", "encoder"), tx)},
        moves=(Move("vae", loss),),
        ema=averages.copies(("generator", "encoder"), ema),
    )


def log_evidence(
    decode: Callable[[Float[Array, "b z"]], Float[Array, "b *d"]],
    mean: Float[Array, "b z"],
    log_variance: Float[Array, "b z"],
    x: Float[Array, "b *d"],
    key: Key[Array, ""],
    *,
    likelihood: Likelihood,
    draws: int,
) -> Float[Array, " b"]:
    """Compute the importance-weighted lower bound on log p(x), in nats.

    With one draw it is an unbiased estimate of the ELBO; more draws tighten it.

    Args:
        decode: `z -> output`.
        mean: of q(z | x).
        log_variance: of q(z | x).
        x: the samples.
        key: of the draws.
        likelihood: p(x | z) as a function of the output.
        draws: number of z per sample.

    References:
        Burda et al. 2016, Importance Weighted Autoencoders, arXiv:1509.00519, eq. 8.
    """

    def weight(key: Array) -> Array:
        noise = jax.random.normal(key, mean.shape)
        z = mean + jnp.exp(0.5 * log_variance) * noise
        log_prior = -0.5 * jnp.sum(jnp.square(z), axis=-1)
        log_posterior = -0.5 * jnp.sum(jnp.square(noise) + log_variance, axis=-1)
        return likelihood.log(x, decode(z)) + log_prior - log_posterior  # both lack log(2 pi)/2

    weights = jax.lax.map(weight, jax.random.split(key, draws))
    return jax.nn.logsumexp(weights, axis=0) - math.log(draws)
