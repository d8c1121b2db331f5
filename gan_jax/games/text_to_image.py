"""Captions to images: GAN-CLS (Reed et al. 2016, arXiv:1605.05396) with conditioning augmentation.

The augmentation is StackGAN's (Zhang et al. 2017, arXiv:1612.03242, section 3.2): the generator
sees a draw from a Gaussian around the caption, kept near N(0, I), so that it cannot learn captions
by heart.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import optax
from jaxtyping import Array, Scalar

from gan_jax import augment as augmenting
from gan_jax.augment import Augment
from gan_jax.game import Aux, Batch, Game, Move, Net, Player, Shared, fold, noise_key, statistics
from gan_jax.latents import Prior, divergence
from gan_jax.objectives import Objective, verdict


def text_to_image(
    generator: Net,
    augmenter: Net,
    discriminator: Net,
    g_tx: optax.GradientTransformation,
    d_tx: optax.GradientTransformation,
    *,
    objective: Objective,
    prior: Prior,
    augmentation: Prior,
    kl: float = 1.0,
    matching: bool = True,
    ema: float | Callable[[Scalar], Scalar] | None = None,
    augment: Augment | None = None,
) -> Game:
    """The game on pictures `batch["real"]` and their captions `batch["text"]`, [b t].

    `augmenter` maps a caption to mean and log-variance of what the generator sees beside z;
    `augmentation` is the standard normal of that size, `kl` weighs its divergence (per sample,
    summed over dimensions; 2 by their number in the code of Zhang et al.). The discriminator judges
    picture and caption together; with `matching` it must also reject real pictures under wrong
    captions (a neighbour's in the batch), whose term is averaged with that of the fakes (Reed et
    al., algorithm 1). All pictures that it judges go through `augment` first, whose probability
    cannot be adaptive.

    Metrics: the discriminator's `loss`, `real_logit`, `fake_logit`, `wrong_logit` and accuracies;
    the generator's `loss` and `kl`.
    """

    def judge(variables: Any, batch: Batch, x: Array, text: Array, key: Array) -> Any:
        if augment is not None:
            p = augmenting.probability(augment, None, batch)
            own = fold(key, "augment")
            x = augmenting.augmented(augment.transform, x, own, batch["index"], p)
        return discriminator(variables, x, text, key=noise_key(key, "discriminator", batch))

    def forward(variables: Mapping[str, Any], batch: Batch, key: Array) -> tuple[dict, dict]:
        z = prior(fold(key, "z"), batch["index"])
        (mean, log_variance), moved = augmenter(variables["augmenter"], batch["text"])
        noise = augmentation(fold(key, "augmentation"), batch["index"])
        caption = mean + jnp.exp(0.5 * log_variance) * noise
        fake, stats = generator(
            variables["generator"], z, caption, key=noise_key(key, "generator", batch)
        )
        values = {"fake": fake, "kl": divergence(mean, log_variance)}
        return values, {"generator": stats, "augmenter": moved}

    def d_loss(variables: Mapping[str, Any], batch: Batch, key: Array) -> tuple[Scalar, Aux]:
        stats = dict(variables["discriminator"])
        real, moved = judge(stats, batch, batch["real"], batch["text"], fold(key, "real"))
        stats = {**stats, **moved}
        fake, moved = judge(stats, batch, batch["fake"], batch["text"], fold(key, "fake"))
        stats = {**stats, **moved}
        metrics = verdict(objective, real, fake)
        values = objective.discriminator(real, fake)
        if matching:
            wrong_text = batch["text"][_neighbours(len(batch["text"]))]
            wrong, moved = judge(stats, batch, batch["real"], wrong_text, fold(key, "wrong"))
            stats = {**stats, **moved}
            metrics["wrong_logit"] = jnp.mean(wrong)
            differs = jnp.any(wrong_text != batch["text"], axis=-1)
            both = 0.5 * (values + objective.discriminator(real, wrong))
            values = jnp.where(differs, both, values)
        return jnp.mean(values), Aux({"discriminator": statistics(stats)}, metrics)

    def g_loss(variables: Mapping[str, Any], batch: Batch, key: Array) -> tuple[Scalar, Aux]:
        stats = dict(variables["discriminator"])
        real = None
        if objective.paired:
            real, moved = judge(stats, batch, batch["real"], batch["text"], fold(key, "real"))
            stats = {**stats, **moved}
        fake, moved = judge(stats, batch, batch["fake"], batch["text"], fold(key, "fake"))
        value = jnp.mean(objective.generator(fake if real is None else real, fake))
        distance = jnp.mean(batch["kl"])
        report = Aux({"discriminator": statistics({**stats, **moved})}, {"kl": distance})
        return value + kl * distance, report

    return Game(
        nets={"generator": generator, "augmenter": augmenter, "discriminator": discriminator},
        players={
            "generator": Player(("generator", "augmenter"), g_tx),
            "discriminator": Player(("discriminator",), d_tx),
        },
        moves=(Move("discriminator", d_loss), Move("generator", g_loss)),
        shared=Shared("generator", forward),
        ema={} if ema is None else {"generator": ema, "augmenter": ema},
    )


def _neighbours(count: int) -> Array:
    """Each example's other one: pairs swap, so that devices with even shares play as one."""
    rows = jnp.arange(count)
    return rows ^ 1 if count % 2 == 0 else jnp.roll(rows, 1)
