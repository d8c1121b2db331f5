"""StyleGAN and StyleGAN2: the game of `gan` with style mixing and path length regularisation.

Karras et al. 2019 (arXiv:1812.04948) and 2020 (arXiv:1912.04958). A growing game (Progressive GAN,
Karras et al. 2018, arXiv:1710.10196) is a sequence of games on the same state, one for each
resolution.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Scalar

from gan_jax.augment import Augment
from gan_jax.averages import Decays
from gan_jax.game import (
    Aux,
    Batch,
    Game,
    GameVariables,
    Loss,
    Memory,
    Move,
    Net,
    Variables,
    fold,
    noise_key,
)
from gan_jax.games.frozen import FrozenFeatures, VisionAid
from gan_jax.games.gan import Conditioning, gan
from gan_jax.latents import Prior, per_example
from gan_jax.objectives import Objective
from gan_jax.penalties import NO_PENALTIES, Penalties

PATH_DECAY = 0.01  # of the running mean of path lengths (Karras et al. 2020, appendix B)


class PathLength(NamedTuple):
    """The path length regularisation of StyleGAN2 (Karras et al. 2020, eq. 4).

    Attributes:
        weight: gamma_pl of gamma_pl E(|J_w^T y| - a)^2; the authors' is 2.
        every: it is a move of its own, played every so many rounds and multiplied by that number.
        axis_name: the mapped axis of devices over which `a`, the running mean, is averaged.
    """

    weight: float
    every: int = 4
    axis_name: str | None = None


def stylegan(
    generator: Net,
    discriminator: Net,
    g_tx: optax.GradientTransformation,
    d_tx: optax.GradientTransformation,
    *,
    objective: Objective,
    prior: Prior,
    layers: int,
    style_mixing_prob: float = 0.9,
    condition: str | None = None,
    path_length: PathLength | None = None,
    penalties: Penalties = NO_PENALTIES,
    augment: Augment | None = None,
    features: FrozenFeatures | None = None,
    vision: VisionAid | None = None,
    ema: Decays = None,
) -> Game:
    """Make the game on `batch["real"]`, images [b side side c] in [-1, 1].

    Every move draws its own latents; under `features` the moves of a round share them.

    Args:
        generator: `(z, label, alpha, other z, crossover) -> x`, with the methods `styles` and
            `synthesise`.
        discriminator: `(x, label) -> logits`, or `(x, label, alpha)` where the batch has `alpha`:
            the share of the newest layers in a growing network, in [0, 1].
        g_tx: the generator's optimiser.
        d_tx: the discriminator's optimiser.
        objective: both players' losses.
        prior: p(z).
        layers: the number of style inputs in use.
        style_mixing_prob: the probability that a batch takes the styles of other latents from a
            random layer on.
        condition: the column of the batch with labels [b k].
        path_length: regularisation of the generator. Its running mean is the memory `path_mean`.
        penalties: of the discriminator.
        augment: transforms all images that the discriminator sees.
        features: what the discriminator sees of augmented samples, as in `gan`; not in a growing
            game.
        vision: a second discriminator on a frozen network, as in `gan`.
        ema: decay per round of the generator's averaged copy, or several by half-life.

    Returns:
        The game. The metrics are those of `gan`, and `path_length`, the mean length, with the
        regularisation as the move's `loss`.

    Raises:
        ValueError: as `gan`.
    """
    inputs = StyleInputs(prior, layers, style_mixing_prob, condition)
    game = gan(
        generator,
        discriminator,
        g_tx,
        d_tx,
        objective=objective,
        prior=prior,
        conditioning=Conditioning(inputs.generator, inputs.discriminator),
        penalties=penalties,
        augment=augment,
        features=features,
        vision=vision,
        ema=ema,
        fresh_fakes=features is None,
    )
    if path_length is None:
        return game
    loss = _path_length_loss(generator, inputs, path_length)
    return game._replace(
        nets={**game.nets, "path_mean": Memory(lambda: jnp.zeros(()), mean=True)},
        moves=(*game.moves, Move("generator", loss, every=path_length.every, name="path")),
    )


class StyleInputs(NamedTuple):
    """The inputs of a style-based generator and its discriminator besides z and x."""

    prior: Prior
    layers: int
    style_mixing_prob: float
    condition: str | None

    def label(self, batch: Batch) -> Array | None:
        """Return the labels [b k] of a conditional game."""
        return None if self.condition is None else batch[self.condition]

    def discriminator(self, batch: Batch) -> tuple[Array | None, ...]:
        """Return the label, if there is one, and in a growing game alpha after it."""
        label = self.label(batch)
        if "alpha" in batch:
            return label, batch["alpha"]
        return () if label is None else (label,)

    def generator(self, key: Array, batch: Batch) -> tuple[Array | None, ...]:
        """Return label, alpha, other latents, crossover."""
        return self.label(batch), batch.get("alpha"), *self.mixing(key, batch["index"])

    def mixing(self, key: Array, index: Array) -> tuple[Array | None, Array | None]:
        """Draw other latents [b z] and the layer from which on their styles are used.

        The layer is the same for the whole batch, and `layers` where nothing is mixed (Karras et
        al. 2019, section 3.1).
        """
        if not self.style_mixing_prob:
            return None, None
        layer = jax.random.randint(fold(key, "crossover"), (), 1, self.layers)
        mixed = jax.random.uniform(fold(key, "mixing")) < self.style_mixing_prob
        return self.prior(fold(key, "other"), index), jnp.where(mixed, layer, self.layers)


def _path_length_loss(generator: Net, inputs: StyleInputs, options: PathLength) -> Loss:
    """Make the loss gamma_pl E(|J_w^T y| - a)^2 of half a batch, and of `a` the next value."""

    def loss(variables: GameVariables, batch: Batch, key: Array) -> tuple[Scalar, Aux]:
        lengths = _path_lengths(generator, variables["generator"], inputs, batch, key)
        length = jnp.mean(lengths)
        axis = options.axis_name
        global_length = length if axis is None else jax.lax.pmean(length, axis)
        before = variables["path_mean"]
        mean = jax.lax.stop_gradient(before + PATH_DECAY * (global_length - before))
        penalty = options.weight * options.every * jnp.mean(jnp.square(lengths - mean))
        return penalty, Aux({"path_mean": mean}, {"path_length": length})

    return loss


def _path_lengths(
    generator: Net, variables: Variables, inputs: StyleInputs, batch: Batch, key: Array
) -> Float[Array, " h"]:
    """Compute |J_w^T y| of every second example, y ~ N(0, I) / sqrt(pixels), averaged over layers.

    The layers' squares are averaged: the root of the mean over l of |d<g(w), y>/dw_l|^2.
    """
    index = batch["index"][::2]  # the same examples on any number of devices with even shares
    label = inputs.label(batch)
    label = None if label is None else label[::2]
    z = inputs.prior(fold(key, "z"), index)
    ws, _ = generator(variables, z, label, *inputs.mixing(key, index), method="styles")
    noise = noise_key(key, "generator", batch)

    def projection(ws: Float[Array, "b l n"]) -> Scalar:
        x, _ = generator(variables, ws, batch.get("alpha"), key=noise, method="synthesise")
        draw = per_example(lambda key: jax.random.normal(key, x.shape[1:]))
        return jnp.sum(x * draw(fold(key, "pull"), index)) / math.sqrt(x.shape[1] * x.shape[2])

    gradients = jax.grad(projection)(ws)
    return jnp.sqrt(jnp.mean(jnp.sum(jnp.square(gradients), axis=-1), axis=-1) + 1e-12)
