"""Noise to data, conditional or not: the game of Goodfellow et al. 2014 (arXiv:1406.2661).

DCGAN, conditional GANs, WGAN, WGAN-GP, LSGAN and R3GAN are choices of networks, condition,
objective and penalty given to `gan`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Scalar

from gan_jax import augment as augmentation
from gan_jax import penalties
from gan_jax.augment import Adaptive, Augment
from gan_jax.game import (
    Aux,
    Batch,
    Game,
    Loss,
    Memory,
    Move,
    Net,
    Player,
    Shared,
    fold,
    noise_key,
    statistics,
)
from gan_jax.latents import Prior
from gan_jax.objectives import Objective, verdict


def gan(
    generator: Net,
    discriminator: Net,
    g_tx: optax.GradientTransformation,
    d_tx: optax.GradientTransformation,
    *,
    objective: Objective,
    prior: Prior,
    condition: str | None = None,
    auxiliary: tuple[float, float] | None = None,
    r1: float | Callable[[Scalar], Scalar] = 0.0,
    r2: float | Callable[[Scalar], Scalar] = 0.0,
    gradient_penalty: float = 0.0,
    penalty_every: int = 1,
    n_critic: int = 1,
    ema: float | Callable[[Scalar], Scalar] | None = None,
    simultaneous: bool = False,
    augment: Augment | None = None,
    seen: Callable[[Batch], tuple[Any, ...]] | None = None,
    inputs: Callable[[Array, Batch], tuple[Any, ...]] | None = None,
    fresh: bool = False,
) -> Game:
    """The two-player game on `batch["real"]`, [b ...] float in [-1, 1] or any other data.

    A round is one move of the discriminator, then, every `n_critic` rounds, one of the generator;
    both judge the same fakes. `condition` names what both networks see beside their input: of the
    batch, [b k], the fakes' the same as the reals'. `auxiliary` is for a discriminator that gives
    (logits, class logits): the weight of its cross-entropy on reals, and of the generator's on its
    fakes (1 and 0.1 in Gulrajani et al. 2017's code). `r1`, `r2` are gamma in gamma/2 * |grad D|^2
    on reals and fakes (Mescheder et al. 2018), numbers or functions of the round;
    `gradient_penalty` weighs WGAN-GP's term. With
    `penalty_every` above 1 the penalties are a move of their own, played every so many rounds and
    weighted by that number (lazy regularisation, Karras et al. 2020, arXiv:1912.04958, section
    3.1). `ema` is the decay per round of the generator's averaged copy. All that the discriminator
    judges goes through `augment` first, reals and fakes by the same transform with the same
    probability; slopes are those in the pictures before it. An adaptive probability is the memory
    `augment` of the game, and needs an objective with a threshold (else a `ValueError`).

    For networks that see more than a condition: `seen(batch)` is what the discriminator sees beside
    pictures, `inputs(key, batch)` what the generator sees beside latents. With `fresh` every move
    draws fakes of its own, one generator pass a round more, instead of sharing the round's.

    Metrics: the discriminator's `loss`, `real_logit`, `fake_logit` and, where they apply,
    `real_accuracy` and `fake_accuracy` (share judged rightly), `r1`, `r2` (mean squared slopes),
    `gradient_penalty`, `class_loss`, `p` (of the augmentation); the generator's `loss` and
    `class_loss`.
    """
    lazy = penalty_every > 1
    gammas = {"r1": r1, "r2": r2, "gradient_penalty": gradient_penalty}
    gammas = {name: gamma for name, gamma in gammas.items() if gamma}
    control = augment.p if augment is not None and isinstance(augment.p, Adaptive) else None
    threshold = objective.threshold
    if control is not None and threshold is None:
        raise ValueError("an adaptive p needs an objective with a threshold of right and wrong")

    def weigh(batch: Batch) -> dict[str, Any]:
        """What the terms of a round are multiplied by."""
        now: dict[str, Any] = {
            n: g(batch["round"]) if callable(g) else g for n, g in gammas.items()
        }
        return {n: value if n == "gradient_penalty" else 0.5 * value for n, value in now.items()}

    def chance(variables: Mapping[str, Any], batch: Batch) -> Array | None:
        if augment is None:
            return None
        return augmentation.probability(augment, variables.get("augment"), batch)

    def beside(batch: Batch) -> tuple[Any, ...]:
        if seen is not None:
            return seen(batch)
        return () if condition is None else (batch[condition],)

    def judged(
        variables: Any, x: Array, key: Array, name: str, batch: Batch, p: Array | None
    ) -> tuple[Array, Any, Any]:
        """Logits, class logits if there are any, D's statistics after the pass."""
        noise = noise_key(key, name, batch)
        if augment is not None and p is not None:
            key = fold(fold(key, "augment"), name)
            x = augmentation.augmented(augment.transform, x, key, batch["index"], p)
        out, moved = discriminator(variables, x, *beside(batch), key=noise)
        return (*out, moved) if auxiliary else (out, None, moved)

    def forward(variables: Mapping[str, Any], batch: Batch, key: Array) -> tuple[dict, dict]:
        z = prior(fold(key, "z"), batch["index"])
        noise = noise_key(key, "generator", batch)
        more = beside(batch) if inputs is None else inputs(key, batch)
        fake, stats = generator(variables["generator"], z, *more, key=noise)
        return {"fake": fake}, {"generator": stats}

    def with_fakes(loss: Loss) -> Loss:
        """The loss with fakes drawn in its own move."""

        def own(variables: Mapping[str, Any], batch: Batch, key: Array) -> tuple[Scalar, Aux]:
            values, stats = forward(variables, batch, key)
            value, aux = loss(variables, {**batch, **values}, key)
            return value, aux._replace(stats={**stats, **aux.stats} if aux.stats else {})

        return own if fresh else loss

    def judge(variables: Mapping[str, Any], batch: Batch, key: Array, weights: Mapping[str, Any]):
        """Logits of reals, then of fakes, D's statistics after both, the penalties' values."""
        p = chance(variables, batch)
        real, fake, stats = batch["real"], batch["fake"], dict(variables["discriminator"])
        terms, logits = {}, {}
        for name, x, slope in (("real", real, "r1"), ("fake", fake, "r2")):

            def look(x: Array, name: str = name, stats: dict = stats) -> tuple[Array, Any]:
                logits, *rest = judged(stats, x, key, name, batch, p)
                return logits, rest

            if slope in weights:
                logits[name], squares, (classes, moved) = penalties.squared_slope(look, x)
                terms[slope] = jnp.mean(squares)
            else:
                logits[name], (classes, moved) = look(x)
            if auxiliary and name == "real":
                terms["class_loss"] = _cross_entropy(classes, *beside(batch))
            stats = {**stats, **moved}
        if "gradient_penalty" in weights:
            keys = jax.vmap(lambda i: jax.random.fold_in(fold(key, "mix"), i))(batch["index"])

            def between(x: Array) -> tuple[Array, Any]:
                logits, *rest = judged(stats, x, key, "between", batch, p)
                return logits, rest

            values = penalties.gradient_penalty(
                between,
                real,
                fake,
                jax.vmap(jax.random.uniform)(keys),
            )
            terms["gradient_penalty"] = jnp.mean(values)
        total = jnp.zeros(())
        for name, value in terms.items():
            total = total + weights.get(name, 0.0) * value
        return logits["real"], logits["fake"], statistics(stats), terms, total

    def d_loss(variables: Mapping[str, Any], batch: Batch, key: Array) -> tuple[Scalar, Aux]:
        memory = {}
        if control is not None:
            memory = {"augment": augmentation.adapt(control, variables["augment"])}
            variables = {**variables, **memory}
        now = {} if lazy else weigh(batch)
        if auxiliary:
            now = {**now, "class_loss": auxiliary[0]}
        real, fake, stats, terms, total = judge(variables, batch, key, now)
        value = jnp.mean(objective.discriminator(real, fake)) + total
        metrics = {**verdict(objective, real, fake), **terms}
        if augment is not None:
            metrics["p"] = chance(variables, batch)
        if control is not None and threshold is not None:
            memory = {"augment": augmentation.observe(memory["augment"], real, threshold)}
        return value, Aux({"discriminator": stats, **memory}, metrics)

    def penalty_loss(variables: Mapping[str, Any], batch: Batch, key: Array) -> tuple[Scalar, Aux]:
        *_, terms, total = judge(variables, batch, key, weigh(batch))
        return penalty_every * total, Aux(metrics=terms)  # the main move keeps D's statistics

    def g_loss(variables: Mapping[str, Any], batch: Batch, key: Array) -> tuple[Scalar, Aux]:
        stats, p = dict(variables["discriminator"]), chance(variables, batch)
        real = None
        if objective.paired:
            real, _, moved = judged(stats, batch["real"], key, "real", batch, p)
            stats = {**stats, **moved}
        fake, classes, moved = judged(stats, batch["fake"], key, "fake", batch, p)
        value = jnp.mean(objective.generator(fake if real is None else real, fake))
        metrics = {}
        if auxiliary:
            metrics["class_loss"] = _cross_entropy(classes, *beside(batch))
            value = value + auxiliary[1] * metrics["class_loss"]
        return value, Aux({"discriminator": statistics({**stats, **moved})}, metrics)

    moves = [Move("discriminator", with_fakes(d_loss))]
    if lazy and gammas:
        penalty = with_fakes(penalty_loss)
        moves.append(Move("discriminator", penalty, every=penalty_every, name="penalty"))
    moves.append(Move("generator", with_fakes(g_loss), every=n_critic))
    memories = {} if control is None else {"augment": Memory(augmentation.opening, mean=True)}
    return Game(
        nets={"generator": generator, "discriminator": discriminator, **memories},
        players={
            "generator": Player(("generator",), g_tx),
            "discriminator": Player(("discriminator",), d_tx),
        },
        moves=tuple(moves),
        shared=None if fresh else Shared("generator", forward),
        ema={} if ema is None else {"generator": ema},
        simultaneous=simultaneous,
    )


def _cross_entropy(logits: Array, one_hot: Array) -> Scalar:
    return jnp.mean(optax.softmax_cross_entropy(logits, one_hot))
