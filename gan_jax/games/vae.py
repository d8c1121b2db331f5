"""The one-player game: a variational autoencoder (Kingma & Welling 2014, arXiv:1312.6114).

Its decoder is a generator, so that the comparison with a GAN changes the game and nothing else.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key, Scalar

from gan_jax.game import Aux, Batch, Game, Move, Net, Player, fold, noise_key, statistics
from gan_jax.latents import Prior, divergence

EPSILON = 1e-6


class Likelihood(NamedTuple):
    """log p(x | decoder's output): both [b ...] in [-1, 1], in nats, summed over all pixels: [b].

    `per_level` is log2 of the grey levels that one unit of the density's axis holds: what is added
    to bits per dimension of a density so that it counts pictures of 256 levels; 0 for masses.
    """

    log: Callable[[Float[Array, "b *d"], Float[Array, "b *d"]], Float[Array, " b"]]
    per_level: float


def gaussian(scale: float) -> Likelihood:
    """N(x; output, scale^2) on [-1, 1], where 256 levels lie 2/255 apart."""

    def log(x: Array, output: Array) -> Array:
        terms = jnp.square((x - output) / scale) + math.log(2.0 * math.pi * scale**2)
        return -0.5 * jnp.sum(terms, axis=tuple(range(1, x.ndim)))

    return Likelihood(log, math.log2(255.0 / 2.0))


def bernoulli() -> Likelihood:
    """The textbook's likelihood of grey levels as probabilities: both ends mapped to [0, 1].

    Of other than black and white pictures it is no likelihood in the strict sense (Loaiza-Ganem &
    Cunningham 2019, arXiv:1907.06845): its numbers compare with each other only.
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
    ema: float | Callable[[Scalar], Scalar] | None = None,
) -> Game:
    """The game on `batch["real"]`: one player descends on the negative evidence lower bound.

    `generator` decodes z [b z]; `encoder` gives mean and log-variance side by side, [b 2z]; `prior`
    must be the standard normal of size z. The bound is summed over pixels (equation 10), never
    averaged, or beta would silently become 1/(h w c); `beta` weighs the divergence (Higgins et al.
    2017).

    Metrics: `loss` (= -ELBO at beta 1), `reconstruction` (-log likelihood) and `kl`, in nats.
    """

    def loss(variables: Mapping[str, Any], batch: Batch, key: Array) -> tuple[Scalar, Aux]:
        x = batch["real"]
        out, encoder_moved = encoder(variables["encoder"], x, key=noise_key(key, "encoder", batch))
        mean, log_variance = jnp.split(out, 2, axis=-1)
        z = mean + jnp.exp(0.5 * log_variance) * prior(fold(key, "z"), batch["index"])
        decoded, moved = generator(
            variables["generator"], z, key=noise_key(key, "generator", batch)
        )
        reconstruction = -jnp.mean(likelihood.log(x, decoded))
        kl = jnp.mean(divergence(mean, log_variance))
        stats = {"encoder": statistics(encoder_moved), "generator": statistics(moved)}
        return reconstruction + beta * kl, Aux(stats, {"reconstruction": reconstruction, "kl": kl})

    return Game(
        nets={"generator": generator, "encoder": encoder},
        players={"vae": Player(("generator", "encoder"), tx)},
        moves=(Move("vae", loss),),
        ema={} if ema is None else {"generator": ema, "encoder": ema},
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
    """The importance-weighted bound on log p(x), nats (Burda et al. 2016, arXiv:1509.00519, eq. 8).

    One draw gives the ELBO in expectation; more draws a tighter bound.
    """

    def weight(key: Array) -> Array:
        noise = jax.random.normal(key, mean.shape)
        z = mean + jnp.exp(0.5 * log_variance) * noise
        log_prior = -0.5 * jnp.sum(jnp.square(z), axis=-1)
        log_posterior = -0.5 * jnp.sum(jnp.square(noise) + log_variance, axis=-1)
        return likelihood.log(x, decode(z)) + log_prior - log_posterior  # both lack log(2 pi)/2

    weights = jax.lax.map(weight, jax.random.split(key, draws))
    return jax.nn.logsumexp(weights, axis=0) - math.log(draws)
