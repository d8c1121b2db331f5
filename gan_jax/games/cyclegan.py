"""Two domains without pairs: CycleGAN (Zhu et al. 2017, arXiv:1703.10593), of any kind of example.

CycleGAN-VC and CycleGAN-VC2 (Kaneko & Kameoka 2017, arXiv:1711.11293; Kaneko et al. 2019,
arXiv:1904.04631) are this game on speech. Checked against the authors' PyTorch code.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, Key, Scalar

from gan_jax.game import (
    Aux,
    Batch,
    Game,
    Memory,
    Move,
    Net,
    Player,
    Shared,
    fold,
    noise_key,
    statistics,
)
from gan_jax.objectives import Objective, verdict

Pool = Mapping[str, Array]  # {"examples": [size ...], "count": how many are there}


def cyclegan(
    x2y: Net,
    y2x: Net,
    d_x: Net,
    d_y: Net,
    g_tx: optax.GradientTransformation,
    d_tx: optax.GradientTransformation,
    *,
    objective: Objective,
    cycle: tuple[float, float] = (10.0, 10.0),
    adversarial: float = 1.0,
    identity: float = 5.0,
    identity_until: int | None = None,
    pool: int = 50,
    second_adversarial: tuple[Net, Net] | None = None,
    ema: float | Callable[[Scalar], Scalar] | None = None,
) -> Game:
    """The game on `batch["x"]` and `batch["y"]`, [b ...] each, which do not correspond.

    `x2y` and `y2x` translate; `d_x` judges domain X (its fakes are `y2x`'s) and `d_y` domain Y; in
    the authors' code D_A judges domain *B*. Both generators move first, together, on

        adversarial * (both objectives)
        + cycle[0] |y2x(x2y(x)) - x| + cycle[1] |x2y(y2x(y)) - y|         (forward, backward)
        + identity (|x2y(y) - y| + |y2x(x) - x|)                          (section 5.2)

    with mean absolute errors; then all discriminators, the loss of each halved. `identity` is the
    weight itself, 5 where the authors' code says 0.5 times a cycle of 10, and its passes are no
    longer made from round `identity_until` on. With `adversarial` 0 the discriminators learn and
    have no say. No pass of a generator is made twice in a round: discriminators judge the fakes
    that the generators were judged by, through a `pool` of as many past ones of each domain
    (`recall`), which the generators never see; 0 for none. `second_adversarial` are two more
    discriminators, of X and Y, that judge what has gone round a cycle (CycleGAN-VC2's two-step
    loss), without a pool. `ema` is the decay per round of both generators' averaged copies.

    Metrics: the generator's `loss`, and where they have a weight `adversarial_x2y`,
    `adversarial_y2x`, `cycle_x`, `cycle_y`, `identity_x`, `identity_y`, unweighted, and with two
    more discriminators `adversarial_cycled_x` and `adversarial_cycled_y`; the discriminator's
    `loss`, `loss_x`, `loss_y` (`loss_x_cycled`, `loss_y_cycled`) and the mean over all
    discriminators of `real_logit`, `fake_logit`, `real_accuracy` and `fake_accuracy`.
    """
    nets = {"x2y": x2y, "y2x": y2x, "d_x": d_x, "d_y": d_y}
    judges = {"d_y": ("y", "fake_y", "x2y"), "d_x": ("x", "fake_x", "y2x")}
    if second_adversarial is not None:
        nets |= {"d_x_cycled": second_adversarial[0], "d_y_cycled": second_adversarial[1]}
        judges |= {f"d_{side}_cycled": (side, f"cycled_{side}", f"cycled_{side}") for side in "xy"}
    names = ("x2y", "y2x")
    weights = dict(zip("xy", cycle, strict=True))
    cycled = [side for side in "xy" if weights[side] or second_adversarial is not None]

    def through(
        seen: Mapping[str, Any], name: str, x: Array, key: Array, batch: Batch, purpose: str
    ) -> tuple[Array, dict[str, Any]]:
        """A pass, and the variables with the network's statistics after it."""
        noise = noise_key(key, f"{name}/{purpose}", batch)
        out, moved = nets[name](seen[name], x, key=noise)
        return out, {**seen, name: {**seen[name], **moved}}

    def after(seen: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
        return {name: statistics(seen[name]) for name in names}

    def forward(variables: Mapping[str, Any], batch: Batch, key: Array) -> tuple[dict, dict]:
        seen, made = dict(variables), {}
        for name, source, target in (("x2y", "x", "y"), ("y2x", "y", "x")):
            fake, seen = through(seen, name, batch[source], key, batch, "fake")
            made[f"fake_{target}"] = fake
        for name, source, target in (("y2x", "y", "x"), ("x2y", "x", "y")):
            if target in cycled:
                again, seen = through(seen, name, made[f"fake_{source}"], key, batch, "cycle")
                made[f"cycled_{target}"] = again
        return made, after(seen, names)

    def recall(variables: Mapping[str, Any], values: Batch, key: Array) -> tuple[dict, dict]:
        shown, pools = {}, {}
        for side in "xy":
            shown[f"pooled_{side}"], pools[side] = exchange(
                variables["pool"][side], values[f"fake_{side}"], fold(key, side)
            )
        return shown, {"pool": pools}

    def identities(
        variables: Mapping[str, Any], batch: Batch, key: Array
    ) -> tuple[dict[str, Scalar], dict[str, Any]]:
        seen, errors = dict(variables), {}
        for name, side in (("x2y", "y"), ("y2x", "x")):
            same, seen = through(seen, name, batch[side], key, batch, "identity")
            errors[f"identity_{side}"] = _distance(same, batch[side])
        return errors, after(seen, names)

    def g_loss(variables: Mapping[str, Any], batch: Batch, key: Array) -> tuple[Scalar, Aux]:
        seen, metrics, stats = dict(variables), {}, {}
        total = jnp.zeros(())
        for side in cycled:
            metrics[f"cycle_{side}"] = _distance(batch[f"cycled_{side}"], batch[side])
            total = total + weights[side] * metrics[f"cycle_{side}"]
        if identity:
            if identity_until is None:
                errors, stats = identities(variables, batch, key)
            else:
                errors, stats = jax.lax.cond(
                    batch["round"] < identity_until,
                    lambda: identities(variables, batch, key),
                    lambda: (
                        {f"identity_{side}": jnp.zeros(()) for side in "yx"},
                        after(variables, names),
                    ),
                )
            metrics |= errors
            total = total + identity * sum(errors.values())
        if adversarial:
            for name, (side, judged, title) in judges.items():
                real = None
                if objective.paired:
                    real, seen = through(seen, name, batch[side], key, batch, "real")
                fake, seen = through(seen, name, batch[judged], key, batch, "fake")
                payoff = objective.generator(fake if real is None else real, fake)
                metrics[f"adversarial_{title}"] = jnp.mean(payoff)
                total = total + adversarial * metrics[f"adversarial_{title}"]
        return total, Aux({**after(seen, judges), **stats}, metrics)

    def d_loss(variables: Mapping[str, Any], batch: Batch, key: Array) -> tuple[Scalar, Aux]:
        seen, losses, verdicts = dict(variables), {}, []
        for name, (side, judged, _) in judges.items():
            shown = batch[judged.replace("fake", "pooled") if pool else judged]
            real, seen = through(seen, name, batch[side], key, batch, "real")
            fake, seen = through(seen, name, shown, key, batch, "fake")
            title = name.replace("d_", "loss_", 1)
            losses[title] = 0.5 * jnp.mean(objective.discriminator(real, fake))
            verdicts.append(verdict(objective, real, fake))
        means = jax.tree.map(lambda *values: sum(values) / len(values), *verdicts)
        total = sum(losses.values(), start=jnp.zeros(()))
        return total, Aux(after(seen, judges), means | losses)

    examples = {"x": d_x.inputs[0], "y": d_y.inputs[0]}
    memory = Memory(lambda: {side: empty(pool, one.shape[1:]) for side, one in examples.items()})
    return Game(
        nets={**nets, **({"pool": memory} if pool else {})},
        players={
            "generator": Player(names, g_tx),
            "discriminator": Player(tuple(judges), d_tx),
        },
        moves=(Move("generator", g_loss), Move("discriminator", d_loss)),
        shared=Shared("generator", forward, recall if pool else None),
        ema={} if ema is None else dict.fromkeys(names, ema),
    )


def empty(size: int, shape: tuple[int, ...]) -> Pool:
    """A pool of no examples of the given shape, with room for `size`."""
    return {"examples": jnp.zeros((size, *shape)), "count": jnp.zeros((), jnp.int32)}


def exchange(
    pool: Pool, fakes: Float[Array, "b *e"], key: Key[Array, ""]
) -> tuple[Float[Array, "b *e"], Pool]:
    """What a discriminator is shown for each fake, and the pool after it (the authors' rule).

    One fake after another: while there is room it is stored and shown; later, with probability one
    half, it takes the place of a stored one, which is shown instead; else it is shown and not
    stored (Shrivastava et al. 2017, arXiv:1612.07828, keep half a batch; this is per example).
    """
    size = len(pool["examples"])

    def one(pool: Pool, given: tuple[Array, Array, Array]) -> tuple[Pool, Array]:
        fake, swapped, place = given
        stored, count = pool["examples"], pool["count"]
        room = count < size
        place = jnp.where(room, count, place)
        old = stored[place]
        shown = jnp.where(swapped & ~room, old, fake)
        stored = stored.at[place].set(jnp.where(swapped | room, fake, old))
        return {"examples": stored, "count": jnp.minimum(count + 1, size)}, shown

    pool, shown = jax.lax.scan(one, dict(pool), (fakes, *draws(key, len(fakes), size)))
    return shown, pool


def draws(
    key: Key[Array, ""], count: int, size: int
) -> tuple[Bool[Array, " count"], Int[Array, " count"]]:
    """For each of `count` fakes: whether it is exchanged with a stored one, and in which place."""
    swapped = jax.random.bernoulli(fold(key, "swap"), 0.5, (count,))
    return swapped, jax.random.randint(fold(key, "place"), (count,), 0, size)


def _distance(a: Array, b: Array) -> Scalar:
    return jnp.mean(jnp.abs(a - b))
