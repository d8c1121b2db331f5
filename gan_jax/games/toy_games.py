"""Games of two vectors, the examples of the theory of minimax games.

The Dirac-GAN is that of Mescheder et al. 2018 (arXiv:1801.04406, section 2), the bilinear game that
of Daskalakis et al. 2018 (arXiv:1711.00141).
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Scalar

from gan_jax.game import Aux, Batch, Game, GameVariables, Move, Net, Player
from gan_jax.objectives import Objective, minimax

Loss = Callable[[Float[Array, " n"], Float[Array, " n"]], Scalar]


class Vector(nn.Module):
    """A network without input whose output is its parameter `w` [n]."""

    start: tuple[float, ...]

    @nn.compact
    def __call__(self, train: bool = True) -> Float[Array, " n"]:
        return self.param("w", lambda key: jnp.array(self.start))


def two_vectors(
    a_loss: Loss,
    b_loss: Loss,
    tx: optax.GradientTransformation,
    *,
    start: tuple[tuple[float, ...], tuple[float, ...]] = ((1.0,), (1.0,)),
    simultaneous: bool = False,
) -> Game:
    """Make the game of the vectors a ("generator") and b ("discriminator").

    The discriminator moves first. The batch has no effect.

    Args:
        a_loss: `(a, b) -> loss` that the generator descends.
        b_loss: `(a, b) -> loss` that the discriminator descends.
        tx: the optimiser of each.
        start: a and b before the first round.
        simultaneous: whether both gradients are taken at the round's start.
    """

    def move(player: str, loss: Loss) -> Move:
        def value(variables: GameVariables, batch: Batch, key: Array) -> tuple[Scalar, Aux]:
            a, b = (variables[n]["params"]["w"] for n in ("generator", "discriminator"))
            return loss(a, b), Aux()

        return Move(player, value)

    return Game(
        nets={
            "generator": Net(Vector(start[0]), ()),
            "discriminator": Net(Vector(start[1]), ()),
        },
        players={name: Player((name,), tx) for name in ("generator", "discriminator")},
        moves=(move("discriminator", b_loss), move("generator", a_loss)),
        simultaneous=simultaneous,
    )


def bilinear(tx: optax.GradientTransformation, **options: Any) -> Game:
    """The generator descends a.b, the discriminator -a.b: the vector field rotates around 0."""
    return two_vectors(lambda a, b: jnp.sum(a * b), lambda a, b: -jnp.sum(a * b), tx, **options)


def dirac(
    tx: optax.GradientTransformation,
    *,
    objective: Objective | None = None,
    r1: float = 0.0,
    **options: Any,
) -> Game:
    """Make the Dirac-GAN: data at 0, the generator's sample at theta, D(x) = psi x.

    With the minimax objective the field rotates around the equilibrium 0: simultaneous descent
    spirals outwards, alternating descent stays at a nearly constant distance. The non-saturating
    field also points to the equilibrium, ever more weakly. With R1 all of them converge.

    Args:
        tx: the optimiser of each player.
        objective: minimax if None.
        r1: gamma of R1.
        options: of `two_vectors`.
    """
    payoff = minimax() if objective is None else objective

    def d_loss(theta: Array, psi: Array) -> Scalar:
        loss = jnp.sum(payoff.discriminator(jnp.zeros_like(psi), psi * theta))
        return loss + 0.5 * r1 * jnp.sum(jnp.square(psi))

    def g_loss(theta: Array, psi: Array) -> Scalar:
        return jnp.sum(payoff.generator(jnp.zeros_like(psi), psi * theta))

    return two_vectors(g_loss, d_loss, tx, **options)
