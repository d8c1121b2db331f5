"""Paired images to images: pix2pix (Isola et al. 2017, arXiv:1611.07004)."""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import optax
from jaxtyping import Array, Scalar

from gan_jax.game import Aux, Batch, Game, Move, Net, Player, Shared, noise_key, statistics
from gan_jax.objectives import Objective, verdict


def pix2pix(
    generator: Net,
    discriminator: Net,
    g_tx: optax.GradientTransformation,
    d_tx: optax.GradientTransformation,
    *,
    objective: Objective,
    adversarial: float = 1.0,
    l1: float = 100.0,
    conditional: bool = True,
    ema: float | Callable[[Scalar], Scalar] | None = None,
) -> Game:
    """The game on pairs `batch["x"]` (input) and `batch["y"]` (target), [b h w c] in [-1, 1].

    The generator maps x to y, its dropout the only noise; the discriminator judges patches of the
    target beside the input, or alone when not `conditional` (the paper's "GAN" against its "cGAN").
    It moves first, its loss halved, and both judge the same fake (section 3.3 and the authors'
    code). The generator's loss is `adversarial` times the objective plus `l1` times the mean
    absolute error (equation 4); with `adversarial` 0 the discriminator learns and has no say.

    Metrics: the discriminator's `loss`, `real_logit`, `fake_logit`, accuracies where the objective
    has a threshold; the generator's `loss`, `adversarial` and `l1`.
    """

    def judge(variables: Any, batch: Batch, y: Array, key: Array) -> tuple[Array, Any]:
        beside = (batch["x"],) if conditional else ()
        return discriminator(variables, y, *beside, key=noise_key(key, "discriminator", batch))

    def forward(variables: Mapping[str, Any], batch: Batch, key: Array) -> tuple[dict, dict]:
        noise = noise_key(key, "generator", batch)
        fake, stats = generator(variables["generator"], batch["x"], key=noise)
        return {"fake": fake}, {"generator": stats}

    def d_loss(variables: Mapping[str, Any], batch: Batch, key: Array) -> tuple[Scalar, Aux]:
        stats = dict(variables["discriminator"])
        real, moved = judge(stats, batch, batch["y"], key)
        stats = {**stats, **moved}
        fake, moved = judge(stats, batch, batch["fake"], key)
        metrics = verdict(objective, real, fake)
        value = 0.5 * jnp.mean(objective.discriminator(real, fake))
        return value, Aux({"discriminator": statistics({**stats, **moved})}, metrics)

    def g_loss(variables: Mapping[str, Any], batch: Batch, key: Array) -> tuple[Scalar, Aux]:
        error = jnp.mean(jnp.abs(batch["fake"] - batch["y"]))
        if not adversarial:
            return l1 * error, Aux(metrics={"adversarial": jnp.zeros(()), "l1": error})
        stats = dict(variables["discriminator"])
        real = None
        if objective.paired:
            real, moved = judge(stats, batch, batch["y"], key)
            stats = {**stats, **moved}
        fake, moved = judge(stats, batch, batch["fake"], key)
        fooled = jnp.mean(objective.generator(fake if real is None else real, fake))
        report = Aux(
            {"discriminator": statistics({**stats, **moved})},
            {"adversarial": fooled, "l1": error},
        )
        return adversarial * fooled + l1 * error, report

    return Game(
        nets={"generator": generator, "discriminator": discriminator},
        players={
            "generator": Player(("generator",), g_tx),
            "discriminator": Player(("discriminator",), d_tx),
        },
        moves=(Move("discriminator", d_loss), Move("generator", g_loss)),
        shared=Shared("generator", forward),
        ema={} if ema is None else {"generator": ema},
    )
