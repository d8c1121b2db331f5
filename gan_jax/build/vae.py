"""Builds `games.vae` from an experiment."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from gan_jax import config, latents
from gan_jax.build.averages import averaging
from gan_jax.build.common import current, floats
from gan_jax.build.networks import make_net
from gan_jax.build.optimizers import make_optimizer
from gan_jax.build.parts import IW_DRAWS, Bounds, Parts
from gan_jax.build.schedule import Stage
from gan_jax.build.spec import GameSpec, register_game
from gan_jax.config import Experiment
from gan_jax.game import State
from gan_jax.games.vae import Likelihood, bernoulli, gaussian, log_evidence, vae
from gan_jax.sampling import recipes


def make_vae(
    experiment: Experiment, options: config.Vae, shape: tuple[int, ...], stage: Stage
) -> Parts:
    """The one-player game: the generator decodes, the discriminator's network encodes."""
    generator = make_net(experiment, "generator", shape, (floats(options.z),), "latents")
    encoder = make_net(experiment, "discriminator", shape, (floats(*shape),), outputs=2 * options.z)
    prior = latents.normal(options.z)
    game = vae(
        generator,
        encoder,
        make_optimizer(experiment.generator),
        likelihood=make_likelihood(options),
        prior=prior,
        beta=options.beta,
        ema=averaging(experiment, options),
    )
    likelihood = make_likelihood(options)
    scale = f"scale={options.scale:g}" if options.likelihood == "gaussian" else ""
    label = ",".join(part for part in (options.likelihood, scale) if part)

    def bounds(state: State) -> Bounds:
        def decode(z: Array) -> Array:
            return generator(current(state, "generator"), z, train=False)[0]

        def of(x: Array, key: Array) -> dict[str, Array]:
            out, _ = encoder(current(state, "encoder"), x, train=False)
            mean, log_variance = jnp.split(out, 2, axis=-1)
            z = mean + jnp.exp(0.5 * log_variance) * jax.random.normal(key, mean.shape)
            one = likelihood.log(x, decode(z)) - latents.kl_to_standard_normal(mean, log_variance)
            tight = log_evidence(
                decode, mean, log_variance, x, key, likelihood=likelihood, draws=IW_DRAWS
            )
            return {"elbo": one, "iw_bound": tight, "reconstruction": decode(mean)}

        return Bounds(of, likelihood.per_level, label)

    return Parts(game, recipes.from_noise(generator, prior, latents.slerp), bounds=bounds)


def make_likelihood(options: config.Vae) -> Likelihood:
    """The likelihood that a VAE's experiment names."""
    return gaussian(options.scale) if options.likelihood == "gaussian" else bernoulli()


register_game(GameSpec(config.Vae, make_vae))
