"""StyleGAN and StyleGAN2: the game of `gan`, with mixed styles, growing and smooth styles.

Karras et al. 2019 (arXiv:1812.04948) and 2020 (arXiv:1912.04958). Growing is that of Progressive
GAN (Karras et al. 2018, arXiv:1710.10196): a stage's networks and pictures are its own game, on
the same state.
"""

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Scalar

from gan_jax.game import Aux, Batch, Game, Memory, Move, Net, fold, noise_key
from gan_jax.games.gan import gan
from gan_jax.latents import Prior
from gan_jax.objectives import Objective

PATH_DECAY = 0.01  # of the running mean of path lengths (Karras et al. 2020, appendix B)


def stylegan(
    generator: Net,
    discriminator: Net,
    g_tx: optax.GradientTransformation,
    d_tx: optax.GradientTransformation,
    *,
    objective: Objective,
    prior: Prior,
    layers: int,
    mixing: float = 0.9,
    condition: str | None = None,
    path_length: float = 0.0,
    path_every: int = 4,
    axis_name: str | None = None,
    **options: Any,
) -> Game:
    """The game on `batch["real"]`, [b side side c] in [-1, 1], and `options` of `gan`.

    The generator takes (z, label, alpha, other latents, crossover) and has the methods `styles` and
    `synthesise`; the discriminator takes (x, label), and alpha where the batch has one: how far the
    newest layers are faded in. Every move draws its own latents. With probability `mixing` the
    generator's `layers` in use take the styles of other latents from one random layer on, the same
    for the whole batch (2019, section 3.1).

    `path_length` weighs the path length penalty (2020, equation 4; the authors' 2): a move of the
    generator of its own, every `path_every` rounds on half a batch and weighted by that number. The
    running mean of lengths is the memory `path_mean`, of the global batch where `axis_name` is the
    mapped axis. Metrics: those of `gan`; `path_length` and the penalty as the move's `loss`.
    """

    def given(batch: Batch) -> Any:
        return None if condition is None else batch[condition]

    def seen(batch: Batch) -> tuple[Any, ...]:
        return (given(batch), batch["alpha"]) if "alpha" in batch else (given(batch),)

    def mixed(key: Array, index: Array) -> tuple[Any, ...]:
        """Other latents, and the layer from which on they are used: beyond all, if not at all."""
        if not mixing:
            return None, None
        layer = jax.random.randint(fold(key, "crossover"), (), 1, layers)
        chosen = jax.random.uniform(fold(key, "mixing")) < mixing
        return prior(fold(key, "other"), index), jnp.where(chosen, layer, layers)

    def inputs(key: Array, batch: Batch) -> tuple[Any, ...]:
        return given(batch), batch.get("alpha"), *mixed(key, batch["index"])

    def path_loss(variables: Mapping[str, Any], batch: Batch, key: Array) -> tuple[Scalar, Aux]:
        index = batch["index"][::2]  # of even shares the same on any number of devices
        label = given(batch)
        label = None if label is None else label[::2]
        net, z = variables["generator"], prior(fold(key, "z"), index)
        ws, _ = generator(net, z, label, *mixed(key, index), method="styles")
        noise = noise_key(key, "generator", batch)

        def pulled(ws: Float[Array, "b l n"]) -> Scalar:
            x, _ = generator(net, ws, batch.get("alpha"), key=noise, method="synthesise")
            keys = jax.vmap(lambda i: jax.random.fold_in(fold(key, "pull"), i))(index)
            y = jax.vmap(lambda one: jax.random.normal(one, x.shape[1:]))(keys)
            return jnp.sum(x * y) / math.sqrt(x.shape[1] * x.shape[2])

        slopes = jax.grad(pulled)(ws)
        lengths = jnp.sqrt(jnp.mean(jnp.sum(jnp.square(slopes), axis=-1), axis=-1) + 1e-12)
        length = jnp.mean(lengths)
        of_all = length if axis_name is None else jax.lax.pmean(length, axis_name)
        before = variables["path_mean"]
        mean = jax.lax.stop_gradient(before + PATH_DECAY * (of_all - before))
        value = path_length * path_every * jnp.mean(jnp.square(lengths - mean))
        return value, Aux({"path_mean": mean}, {"path_length": length})

    game = gan(
        generator,
        discriminator,
        g_tx,
        d_tx,
        objective=objective,
        prior=prior,
        seen=seen,
        inputs=inputs,
        fresh=True,
        **options,
    )
    if not path_length:
        return game
    return game._replace(
        nets={**game.nets, "path_mean": Memory(lambda: jnp.zeros(()), mean=True)},
        moves=(*game.moves, Move("generator", path_loss, every=path_every, name="path")),
    )
