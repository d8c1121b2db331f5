"""CycleGAN (Zhu et al. 2017, arXiv:1703.10593): translation between two domains, unpaired.

Checked against the authors' PyTorch code. CycleGAN-VC, CycleGAN-VC2 and MaskCycleGAN-VC (Kaneko &
Kameoka 2017, arXiv:1711.11293; Kaneko et al. 2019, arXiv:1904.04631, and 2021, arXiv:2102.12841)
are this game on speech.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, Key, Scalar

from gan_jax import averages
from gan_jax.averages import Decays
from gan_jax.game import (
    Aux,
    Batch,
    Game,
    GameVariables,
    Memory,
    Move,
    Net,
    Player,
    Shared,
    Statistics,
    Values,
    fold,
    statistics,
)
from gan_jax.games.passes import apply_net
from gan_jax.latents import per_example
from gan_jax.objectives import Objective


class Direction(NamedTuple):
    """A translation, by names in the game and in the batch.

    Attributes:
        generator: the network.
        source: the column that it translates, and its domain.
        target: the other column, and its domain.
        fake: the translation of `source`, a sample of domain `target`.
        back: the network that translates `fake` back.
        cycled: its output, a sample of domain `source`.
    """

    generator: str
    source: str
    target: str
    fake: str
    back: str
    cycled: str


X2Y = Direction("x2y", "x", "y", fake="fake_y", back="y2x", cycled="cycled_x")
Y2X = Direction("y2x", "y", "x", fake="fake_x", back="x2y", cycled="cycled_y")


class Critic(NamedTuple):
    """A discriminator, by names in the game, in the batch and in the metrics.

    Attributes:
        net: the network.
        real: the column of its reals, and its domain.
        fake: its fakes in the generators' move.
        pooled: its fakes in its own move, where there is a pool.
        adversarial: the generators' metric.
        loss: its own metric.
    """

    net: str
    real: str
    fake: str
    pooled: str
    adversarial: str
    loss: str


CRITICS = (
    Critic("d_y", "y", "fake_y", "pooled_y", "adversarial_x2y", "loss_y"),
    Critic("d_x", "x", "fake_x", "pooled_x", "adversarial_y2x", "loss_x"),
)
CYCLED_CRITICS = (
    Critic("d_x_cycled", "x", "cycled_x", "cycled_x", "adversarial_cycled_x", "loss_x_cycled"),
    Critic("d_y_cycled", "y", "cycled_y", "cycled_y", "adversarial_cycled_y", "loss_y_cycled"),
)


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
    pool_size: int = 50,
    mask: int = 0,
    cycled_discriminators: tuple[Net, Net] | None = None,
    ema: Decays = None,
) -> Game:
    """Make the game on `batch["x"]` and `batch["y"]`, [b ...] each, unpaired samples.

    Both generators move first, together, then all discriminators (`CycleGanLosses`). Each
    translation is computed once in a round.

    Args:
        x2y: translates X to Y.
        y2x: translates Y to X.
        d_x: discriminator of domain X. In the authors' code D_A is the one of domain *B*.
        d_y: discriminator of domain Y.
        g_tx: optimiser of both generators.
        d_tx: optimiser of all discriminators.
        objective: the adversarial losses.
        cycle: weights of the cycle consistency of x and of y.
        adversarial: weight of the objective in the generators' loss. With 0 the discriminators
            learn, without any effect on the generators.
        identity: weight of the identity loss. The authors' code has 0.5 times a cycle weight of 10.
        identity_until: the round from which on there is no identity loss.
        pool_size: number of past fakes of each domain (`query_pool`) that the discriminators'
            fakes are exchanged with; 0 for no pool.
        mask: most consecutive frames [b t ...] of its input that are hidden from a generator in
            its first translation, which it has to fill in (MaskCycleGAN-VC, section 3.1): the
            generators then take a mask [b t 1] as second input, and see all frames without one.
        cycled_discriminators: of X and Y, for translations back (two-step adversarial loss,
            CycleGAN-VC2, section 3.1); they have no pool.
        ema: decay per round of both generators' averaged copies, or several by half-life.

    Returns:
        The game. The generators' metrics: `loss` and, unweighted, where they have a weight,
        `adversarial_x2y`, `adversarial_y2x`, `cycle_x`, `cycle_y`, `identity_x`, `identity_y`,
        `adversarial_cycled_x`, `adversarial_cycled_y`. The discriminators': `loss`, `loss_x`,
        `loss_y`, `loss_x_cycled`, `loss_y_cycled`, and the means over all discriminators of
        `real_logit`, `fake_logit`, `real_accuracy`, `fake_accuracy`.
    """
    nets = {"x2y": x2y, "y2x": y2x, "d_x": d_x, "d_y": d_y}
    critics = CRITICS
    if cycled_discriminators is not None:
        nets["d_x_cycled"], nets["d_y_cycled"] = cycled_discriminators
        critics += CYCLED_CRITICS
    losses = CycleGanLosses(
        nets, critics, objective, cycle, adversarial, identity, identity_until, pool_size > 0, mask
    )
    shapes = {"x": d_x.inputs[0].shape[1:], "y": d_y.inputs[0].shape[1:]}
    memory = Memory(lambda: {side: empty_pool(pool_size, shapes[side]) for side in shapes})
    generators = ("x2y", "y2x")
    return Game(
        nets={**nets, "pool": memory} if pool_size else nets,
        players={
            "generator": Player(generators, g_tx),
            "discriminator": Player(tuple(critic.net for critic in critics), d_tx),
        },
        moves=(
            Move("generator", losses.generator_loss),
            Move("discriminator", losses.discriminator_loss),
        ),
        shared=Shared("generator", losses.translations, losses.recall if pool_size else None),
        ema=averages.copies(generators, ema),
    )


@dataclasses.dataclass(frozen=True)
class CycleGanLosses:
    """The losses of `cyclegan`: functions of (variables, batch, key), by its arguments.

    With G = x2y and F = y2x (equations 1 to 3 and section 5.2; |.| is the mean absolute error):

        L_G = adversarial (objective of G and D_Y + objective of F and D_X)
            + cycle[0] |F(G(x)) - x| + cycle[1] |G(F(y)) - y|
            + identity (|G(y) - y| + |F(x) - x|)
        L_D = 1/2 (objective of D_Y and G + objective of D_X and F)
    """

    nets: Mapping[str, Net]
    critics: tuple[Critic, ...]
    objective: Objective
    cycle: tuple[float, float]
    adversarial: float
    identity: float
    identity_until: int | None
    pooled: bool
    mask: int = 0

    @property
    def cycles(self) -> list[tuple[Direction, float]]:
        """The directions that are translated back, with the weights of their cycles."""
        judged = {critic.fake for critic in self.critics}
        weights = zip((X2Y, Y2X), self.cycle, strict=True)
        return [(there, weight) for there, weight in weights if weight or there.cycled in judged]

    def translations(
        self, variables: GameVariables, batch: Batch, key: Array
    ) -> tuple[Values, Statistics]:
        """Translate x and y, and the translations back; also return the new statistics."""
        current, values = dict(variables), {}
        for there in (X2Y, Y2X):
            x = batch[there.source]
            mask = self._mask(fold(key, f"mask_{there.source}"), batch["index"], x.shape[1])
            values[there.fake], current = apply_net(
                self.nets, current, there.generator, (x, *mask), key, batch, "fake"
            )
        for there, _ in self.cycles:
            values[there.cycled], current = apply_net(
                self.nets, current, there.back, (values[there.fake],), key, batch, "cycle"
            )
        return values, _statistics(current, ("x2y", "y2x"))

    def _mask(self, key: Array, index: Array, frames: int) -> tuple[Array, ...]:
        """The generator's second input, where frames are hidden."""
        return (draw_masks(key, index, frames, self.mask),) if self.mask else ()

    def recall(
        self, variables: GameVariables, values: Batch, key: Array
    ) -> tuple[Values, Statistics]:
        """Exchange the fakes of both domains with those in the pools."""
        shown, pools = {}, {}
        for critic in sorted(CRITICS, key=lambda critic: critic.real):
            shown[critic.pooled], pools[critic.real] = query_pool(
                variables["pool"][critic.real], values[critic.fake], fold(key, critic.real)
            )
        return shown, {"pool": pools}

    def generator_loss(
        self, variables: GameVariables, batch: Batch, key: Array
    ) -> tuple[Scalar, Aux]:
        """L_G."""
        current, metrics, stats = dict(variables), {}, {}
        total = jnp.zeros(())
        for there, weight in self.cycles:
            error = _absolute_error(batch[there.cycled], batch[there.source])
            metrics[f"cycle_{there.source}"] = error
            total = total + weight * error
        if self.identity:
            errors, stats = self._identity_errors_until(variables, batch, key)
            metrics |= errors
            total = total + self.identity * sum(errors.values())
        if self.adversarial:
            for critic in self.critics:
                real = None
                if self.objective.paired:
                    real, current = apply_net(
                        self.nets, current, critic.net, (batch[critic.real],), key, batch, "real"
                    )
                fake, current = apply_net(
                    self.nets, current, critic.net, (batch[critic.fake],), key, batch, "fake"
                )
                metrics[critic.adversarial] = self.objective.generator_loss(real, fake)
                total = total + self.adversarial * metrics[critic.adversarial]
        stats = {**_statistics(current, (critic.net for critic in self.critics)), **stats}
        return total, Aux(stats, metrics)

    def discriminator_loss(
        self, variables: GameVariables, batch: Batch, key: Array
    ) -> tuple[Scalar, Aux]:
        """L_D."""
        current, losses, metrics = dict(variables), {}, []
        for critic in self.critics:
            fakes = batch[critic.pooled if self.pooled else critic.fake]
            real, current = apply_net(
                self.nets, current, critic.net, (batch[critic.real],), key, batch, "real"
            )
            fake, current = apply_net(self.nets, current, critic.net, (fakes,), key, batch, "fake")
            losses[critic.loss] = 0.5 * self.objective.discriminator_loss(real, fake)
            metrics.append(self.objective.metrics(real, fake))
        means = jax.tree.map(lambda *values: sum(values) / len(values), *metrics)
        total = sum(losses.values(), start=jnp.zeros(()))
        stats = _statistics(current, (critic.net for critic in self.critics))
        return total, Aux(stats, means | losses)

    def _identity_errors(
        self, variables: GameVariables, batch: Batch, key: Array
    ) -> tuple[dict[str, Scalar], Statistics]:
        """Compute |G(y) - y| and |F(x) - x|, and the generators' statistics."""
        current, errors = dict(variables), {}
        for there in (X2Y, Y2X):
            x = batch[there.target]
            same, current = apply_net(
                self.nets, current, there.generator, (x,), key, batch, "identity"
            )
            errors[f"identity_{there.target}"] = _absolute_error(same, x)
        return errors, _statistics(current, ("x2y", "y2x"))

    def _identity_errors_until(
        self, variables: GameVariables, batch: Batch, key: Array
    ) -> tuple[dict[str, Scalar], Statistics]:
        """Skip the passes of the identity loss from round `identity_until` on."""
        if self.identity_until is None:
            return self._identity_errors(variables, batch, key)
        return jax.lax.cond(
            batch["round"] < self.identity_until,
            lambda: self._identity_errors(variables, batch, key),
            lambda: (
                {f"identity_{there.target}": jnp.zeros(()) for there in (X2Y, Y2X)},
                _statistics(variables, ("x2y", "y2x")),
            ),
        )


def _statistics(variables: GameVariables, names: Iterable[str]) -> Statistics:
    return {name: statistics(variables[name]) for name in names}


def _absolute_error(a: Array, b: Array) -> Scalar:
    return jnp.mean(jnp.abs(a - b))


def draw_masks(
    key: Key[Array, ""], index: Int[Array, " b"], frames: int, most: int
) -> Float[Array, "b t 1"]:
    """Draw masks that are 0 at up to `most` consecutive frames of each example, and 1 elsewhere.

    The number of hidden frames is uniform from 0 to `most`, then their place.
    """

    def draw(key: Key[Array, ""]) -> Array:
        size = jax.random.randint(fold(key, "size"), (), 0, most + 1)
        start = jax.random.randint(fold(key, "start"), (), 0, frames - size + 1)
        frame = jnp.arange(frames)
        hidden = (frame >= start) & (frame < start + size)
        return 1.0 - hidden[:, None].astype(jnp.float32)

    return per_example(draw)(key, index)


# The pool of past fakes: {"examples": [size ...], "count": how many are stored}.

Pool = Mapping[str, Array]


def empty_pool(size: int, shape: tuple[int, ...]) -> Pool:
    """Make a pool with room for `size` examples of the given shape."""
    return {"examples": jnp.zeros((size, *shape)), "count": jnp.zeros((), jnp.int32)}


def query_pool(
    pool: Pool, fakes: Float[Array, "b *e"], key: Key[Array, ""]
) -> tuple[Float[Array, "b *e"], Pool]:
    """Exchange fakes with stored ones, one fake after another, as the authors' `ImagePool.query`.

    While there is room, a fake is stored and returned. Later, with probability one half, it
    replaces a random stored fake, which is returned instead; otherwise it is returned and not
    stored.

    Returns:
        The fakes for the discriminator, and the new pool.

    References:
        Shrivastava et al. 2017, Learning from Simulated and Unsupervised Images, arXiv:1612.07828,
        section 2.3, where half of a batch is exchanged.
    """
    size = len(pool["examples"])

    def query(pool: Pool, inputs: tuple[Array, Array, Array]) -> tuple[Pool, Array]:
        fake, swap, place = inputs
        stored, count = pool["examples"], pool["count"]
        room = count < size
        place = jnp.where(room, count, place)
        old = stored[place]
        shown = jnp.where(swap & ~room, old, fake)
        stored = stored.at[place].set(jnp.where(swap | room, fake, old))
        return {"examples": stored, "count": jnp.minimum(count + 1, size)}, shown

    swaps, places = draw_swaps(key, len(fakes), size)
    pool, shown = jax.lax.scan(query, dict(pool), (fakes, swaps, places))
    return shown, pool


def draw_swaps(
    key: Key[Array, ""], count: int, size: int
) -> tuple[Bool[Array, " count"], Int[Array, " count"]]:
    """Draw for each of `count` fakes whether it is exchanged, and with which stored one."""
    swaps = jax.random.bernoulli(fold(key, "swap"), 0.5, (count,))
    return swaps, jax.random.randint(fold(key, "place"), (count,), 0, size)
