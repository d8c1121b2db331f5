"""Paired image translation: pix2pix (Isola et al. 2017, arXiv:1611.07004)."""

import dataclasses

import jax.numpy as jnp
import optax
from jaxtyping import Array, PyTree, Scalar

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
    Shared,
    Statistics,
    Values,
    Variables,
    noise_key,
    statistics,
)
from gan_jax.objectives import Objective


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
    ema: Decays = None,
) -> Game:
    """Make the game on pairs `batch["x"]` (input) and `batch["y"]` (target), [b h w c] in [-1, 1].

    The discriminator moves first; both moves judge the same fakes (`Pix2PixLosses`).

    Args:
        generator: maps x to y. Its dropout is the only noise.
        discriminator: of the target's patches: `(y, x) -> logits [b h w]`, or of y alone.
        g_tx: the generator's optimiser.
        d_tx: the discriminator's optimiser.
        objective: the adversarial losses.
        adversarial: weight of the objective in the generator's loss. With 0 the discriminator
            learns, without any effect on the generator.
        l1: weight of the mean absolute error.
        conditional: whether the discriminator sees x (the paper's "cGAN", not its "GAN").
        ema: decay per round of the generator's averaged copy, or several by half-life.

    Returns:
        The game. The discriminator's metrics: `loss`, `real_logit`, `fake_logit`, and accuracies
        where the objective has a threshold; the generator's: `loss`, `adversarial`, `l1`.
    """
    losses = Pix2PixLosses(generator, discriminator, objective, adversarial, l1, conditional)
    return Game(
        nets={"generator": generator, "discriminator": discriminator},
        players={
            "generator": Player(("generator",), g_tx),
            "discriminator": Player(("discriminator",), d_tx),
        },
        moves=(
            Move("discriminator", losses.discriminator_loss),
            Move("generator", losses.generator_loss),
        ),
        shared=Shared("generator", losses.fakes),
        ema=averages.copies(("generator",), ema),
    )


@dataclasses.dataclass(frozen=True)
class Pix2PixLosses:
    """The losses of `pix2pix`: functions of (variables, batch, key), by its arguments.

    L_G = adversarial * objective + l1 |y - G(x)|      (equation 4)
    L_D = 1/2 objective                                (section 3.3)
    """

    generator: Net
    discriminator: Net
    objective: Objective
    adversarial: float
    l1: float
    conditional: bool

    def fakes(
        self, variables: GameVariables, batch: Batch, key: Array
    ) -> tuple[Values, Statistics]:
        """Compute `fake` = G(x); also return the generator's statistics."""
        noise = noise_key(key, "generator", batch)
        fake, stats = self.generator(variables["generator"], batch["x"], key=noise)
        return {"fake": fake}, {"generator": stats}

    def discriminator_loss(
        self, variables: GameVariables, batch: Batch, key: Array
    ) -> tuple[Scalar, Aux]:
        """L_D."""
        d = variables["discriminator"]
        real, d = self._judge(d, batch["y"], batch, key)
        fake, d = self._judge(d, batch["fake"], batch, key)
        metrics = self.objective.metrics(real, fake)
        loss = 0.5 * self.objective.discriminator_loss(real, fake)
        return loss, Aux({"discriminator": statistics(d)}, metrics)

    def generator_loss(
        self, variables: GameVariables, batch: Batch, key: Array
    ) -> tuple[Scalar, Aux]:
        """L_G."""
        error = jnp.mean(jnp.abs(batch["fake"] - batch["y"]))
        if not self.adversarial:
            return self.l1 * error, Aux(metrics={"adversarial": jnp.zeros(()), "l1": error})
        d, real = variables["discriminator"], None
        if self.objective.paired:
            real, d = self._judge(d, batch["y"], batch, key)
        fake, d = self._judge(d, batch["fake"], batch, key)
        adversarial = self.objective.generator_loss(real, fake)
        aux = Aux({"discriminator": statistics(d)}, {"adversarial": adversarial, "l1": error})
        return self.adversarial * adversarial + self.l1 * error, aux

    def _judge(
        self, variables: Variables, y: Array, batch: Batch, key: Array
    ) -> tuple[Array, dict[str, PyTree]]:
        """Return the logits, and the variables with the statistics after the pass."""
        condition = (batch["x"],) if self.conditional else ()
        noise = noise_key(key, "discriminator", batch)
        logits, stats = self.discriminator(variables, y, *condition, key=noise)
        return logits, {**variables, **stats}
