"""Noise to data: the game of Goodfellow et al. 2014 (arXiv:1406.2661).

DCGAN, WGAN, WGAN-GP, LSGAN and R3GAN are choices of networks, objective and penalty given to `gan`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Scalar

from gan_jax import penalties
from gan_jax.game import Aux, Batch, Game, Move, Net, Player, Shared, fold
from gan_jax.latents import Prior
from gan_jax.objectives import Objective


def gan(
    generator: Net,
    discriminator: Net,
    g_tx: optax.GradientTransformation,
    d_tx: optax.GradientTransformation,
    *,
    objective: Objective,
    prior: Prior,
    r1: float = 0.0,
    r2: float = 0.0,
    gradient_penalty: float = 0.0,
    penalty_every: int = 1,
    n_critic: int = 1,
    ema: float | Callable[[Scalar], Scalar] | None = None,
    simultaneous: bool = False,
) -> Game:
    """The two-player game on `batch["real"]`, [b ...] float in [-1, 1] or any other data.

    A round is one move of the discriminator, then, every `n_critic` rounds, one of the generator;
    both judge the same fakes. `r1`, `r2` are gamma in gamma/2 * |grad D|^2 on reals and fakes
    (Mescheder et al. 2018), `gradient_penalty` weighs WGAN-GP's term. With `penalty_every` above 1
    the penalties are a move of their own, played every so many rounds and weighted by that number
    (lazy regularisation, Karras et al. 2020, arXiv:1912.04958, section 3.1). `ema` is the decay per
    round of the generator's averaged copy.

    Metrics: the discriminator's `loss`, `real_logit`, `fake_logit` and, where they apply,
    `real_accuracy` and `fake_accuracy` (share judged rightly), `r1`, `r2` (mean squared slopes),
    `gradient_penalty`; the generator's `loss`.
    """
    lazy = penalty_every > 1
    weights = {"r1": 0.5 * r1, "r2": 0.5 * r2, "gradient_penalty": gradient_penalty}
    penalised = any(weights.values())

    def forward(variables: Mapping[str, Any], batch: Batch, key: Array) -> tuple[dict, dict]:
        z = prior(fold(key, "z"), batch["index"])
        fake, stats = generator(variables["generator"], z, key=own_noise(key, "generator", batch))
        return {"fake": fake}, {"generator": stats}

    def judge(variables: Mapping[str, Any], batch: Batch, key: Array, weights: Mapping[str, float]):
        """Logits of reals, then of fakes, D's statistics after both, the penalties' values."""
        real, fake, stats = batch["real"], batch["fake"], dict(variables["discriminator"])
        terms, logits = {}, {}
        for name, x, slope in (("real", real, "r1"), ("fake", fake, "r2")):

            def judged(x: Array, name: str = name, stats: dict = stats) -> tuple[Array, Any]:
                return discriminator(stats, x, key=own_noise(key, name, batch))

            if weights.get(slope):
                logits[name], squares, moved = penalties.squared_slope(judged, x)
                terms[slope] = jnp.mean(squares)
            else:
                logits[name], moved = judged(x)
            stats = {**stats, **moved}
        if weights.get("gradient_penalty"):
            keys = jax.vmap(lambda i: jax.random.fold_in(fold(key, "mix"), i))(batch["index"])
            values = penalties.gradient_penalty(
                lambda x: discriminator(stats, x, key=own_noise(key, "between", batch)),
                real,
                fake,
                jax.vmap(jax.random.uniform)(keys),
            )
            terms["gradient_penalty"] = jnp.mean(values)
        total = sum((weights[name] * value for name, value in terms.items()), jnp.zeros(()))
        return logits["real"], logits["fake"], _stats(stats), terms, total

    def d_loss(variables: Mapping[str, Any], batch: Batch, key: Array) -> tuple[Scalar, Aux]:
        real, fake, stats, terms, total = judge(variables, batch, key, {} if lazy else weights)
        value = jnp.mean(objective.discriminator(real, fake)) + total
        metrics = {"real_logit": jnp.mean(real), "fake_logit": jnp.mean(fake), **terms}
        if objective.threshold is not None:
            metrics["real_accuracy"] = jnp.mean(real > objective.threshold)
            metrics["fake_accuracy"] = jnp.mean(fake <= objective.threshold)
        return value, Aux({"discriminator": stats}, metrics)

    def penalty_loss(variables: Mapping[str, Any], batch: Batch, key: Array) -> tuple[Scalar, Aux]:
        *_, terms, total = judge(variables, batch, key, weights)
        return penalty_every * total, Aux(metrics=terms)  # the main move keeps D's statistics

    def g_loss(variables: Mapping[str, Any], batch: Batch, key: Array) -> tuple[Scalar, Aux]:
        stats = dict(variables["discriminator"])
        real = None
        if objective.paired:
            real, moved = discriminator(stats, batch["real"], key=own_noise(key, "real", batch))
            stats = {**stats, **moved}
        fake, moved = discriminator(stats, batch["fake"], key=own_noise(key, "fake", batch))
        value = jnp.mean(objective.generator(fake if real is None else real, fake))
        return value, Aux({"discriminator": _stats({**stats, **moved})})

    moves = [Move("discriminator", d_loss)]
    if lazy and penalised:
        moves.append(Move("discriminator", penalty_loss, every=penalty_every, name="penalty"))
    moves.append(Move("generator", g_loss, every=n_critic))
    return Game(
        nets={"generator": generator, "discriminator": discriminator},
        players={
            "generator": Player(("generator",), g_tx),
            "discriminator": Player(("discriminator",), d_tx),
        },
        moves=tuple(moves),
        shared=Shared("generator", forward),
        ema={} if ema is None else {"generator": ema},
        simultaneous=simultaneous,
    )


def own_noise(key: Array, name: str, batch: Batch) -> Array:
    """The key of a network's dropout and noise: another one on each device."""
    return jax.random.fold_in(fold(key, name), batch["index"][0])


def _stats(variables: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tree for name, tree in variables.items() if name != "params"}
