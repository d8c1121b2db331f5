"""CUT and FastCUT (Park et al. 2020, arXiv:2007.15651): unpaired translation in one direction.

A patch of the translation must be recognised as that of the input among other patches of the same
image, in the features of the generator's own encoder. There is no cycle: one generator and one
discriminator. Losses and order of moves as in the authors' PyTorch code.
"""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key, PyTree, Scalar

from gan_jax import averages
from gan_jax.augment import Augment
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
from gan_jax.games.frozen import FrozenFeatures
from gan_jax.games.passes import apply_net
from gan_jax.latents import per_example
from gan_jax.objectives import Objective

TRANSLATIONS = {"x": "fake_y", "y": "same_y"}  # by the column that the generator translates


def cut(
    x2y: Net,
    heads: Net,
    d_y: Net,
    g_tx: optax.GradientTransformation,
    d_tx: optax.GradientTransformation,
    *,
    objective: Objective,
    adversarial: float = 1.0,
    nce: float = 1.0,
    identity: bool = True,
    flip: float = 0.0,
    temperature: float = 0.07,
    patches: int = 256,
    ema: Decays = None,
    augment: Augment | None = None,
    features: FrozenFeatures | None = None,
) -> Game:
    """Make the game on `batch["x"]` and `batch["y"]`, [b h w c] each, unpaired samples.

    The discriminator moves first; both moves judge the same translations (`CutLosses`).

    Args:
        x2y: translates X to Y. Its method `encode` gives the feature maps of an image, a tuple of
            [b h w c], and `translate_and_encode` a translation with the maps of its input.
        heads: vectors [b n c] of every map to unit vectors [b n d] of every map, in tuples; it
            belongs to the generator's player.
        d_y: discriminator of domain Y.
        g_tx: the optimiser of generator and heads.
        d_tx: the discriminator's optimiser.
        objective: the adversarial losses.
        adversarial: weight of the objective in the generator's loss. With 0 the discriminator
            learns, without any effect on the generator.
        nce: weight of the contrastive loss: 1 for CUT, 10 for FastCUT.
        identity: average the contrastive losses of x and of y, which the generator also translates
            (CUT); otherwise that of x alone (FastCUT).
        flip: probability with which an image is mirrored before it is translated, while the maps
            of its translation are mirrored back: 0 for CUT, 0.5 for FastCUT.
        temperature: divides the similarities, tau.
        patches: positions drawn in each map, or all where a map has fewer.
        ema: decay per round of the generator's averaged copy, or several by half-life.
        augment: transforms what the discriminator sees; it must not be adaptive.
        features: what the discriminator sees of augmented images, as in Projected GAN; of
            translations computed once a round.

    Returns:
        The game. The generator's metrics: `loss` and, unweighted, where they have a weight,
        `adversarial`, `nce_x` and `nce_y`. The discriminator's: `loss`, `real_logit`, `fake_logit`,
        `real_accuracy`, `fake_accuracy`.
    """
    nets = {"x2y": x2y, "heads": heads, "d_y": d_y}
    columns = ("x", "y") if identity and nce else ("x",)
    losses = CutLosses(
        nets,
        columns,
        objective,
        adversarial,
        nce,
        flip if nce else 0.0,
        temperature,
        patches,
        augment,
        features,
    )
    memories = {} if features is None else {"features": Memory(features.variables)}
    return Game(
        nets={**nets, **memories},
        players={
            "generator": Player(("x2y", "heads"), g_tx),
            "discriminator": Player(("d_y",), d_tx),
        },
        moves=(
            Move("discriminator", losses.discriminator_loss),
            Move("generator", losses.generator_loss),
        ),
        shared=Shared("generator", losses.translations),
        ema=averages.copies(("x2y",), ema),
    )


@dataclasses.dataclass(frozen=True)
class CutLosses:
    """The losses of `cut`: functions of (variables, batch, key), by its arguments.

    With G = x2y and the mean PatchNCE of x and of y, or of x alone (equation 5):

        L_G = adversarial (objective of G and D_Y) + nce * mean(PatchNCE(G, x), PatchNCE(G, y))
        L_D = 1/2 (objective of D_Y and G)
    """

    nets: Mapping[str, Net]
    columns: tuple[str, ...]
    objective: Objective
    adversarial: float
    nce: float
    flip: float
    temperature: float
    patches: int
    augment: Augment | None = None
    features: FrozenFeatures | None = None

    def translations(
        self, variables: GameVariables, batch: Batch, key: Array
    ) -> tuple[Values, Statistics]:
        """Translate x and, where it has a loss, y; also compute the maps of both, as constants.

        Returns:
            `fake_y` and `same_y`, the maps `maps_x` and `maps_y`, with `flip` the mirrored examples
            as 1 in `mirrored` [b], with `features` those of `fake_y` in `fake_features`, and the
            generator's new statistics.
        """
        current, values = dict(variables), {}
        if self.flip:
            draw = per_example(lambda key: jax.random.bernoulli(key, self.flip))
            mirrored = draw(fold(key, "flip"), batch["index"])
            values["mirrored"] = mirrored.astype(jnp.float32)  # as integers have no gradient
        for column in self.columns:
            x, name = batch[column], TRANSLATIONS[column]
            if self.flip:
                turned = _mirror(x, values["mirrored"])
                values[name], current = apply_net(
                    self.nets, current, "x2y", (turned,), key, batch, column
                )
                maps, current = self._encode(current, x, key, batch, f"keys_{column}")
            else:
                (values[name], maps), current = apply_net(
                    self.nets,
                    current,
                    "x2y",
                    (x,),
                    key,
                    batch,
                    column,
                    method="translate_and_encode",
                )
            values[f"maps_{column}"] = jax.lax.stop_gradient(maps)
        if self.features is not None:
            values["fake_features"] = self._seen(variables, values["fake_y"], key, batch, "fake")
        return values, {"x2y": statistics(current["x2y"])}

    def discriminator_loss(
        self, variables: GameVariables, batch: Batch, key: Array
    ) -> tuple[Scalar, Aux]:
        """L_D."""
        real, current = self._judge(variables, key, batch, "real")
        fake, current = self._judge(current, key, batch, "fake")
        loss = 0.5 * self.objective.discriminator_loss(real, fake)
        return loss, Aux({"d_y": statistics(current["d_y"])}, self.objective.metrics(real, fake))

    def generator_loss(
        self, variables: GameVariables, batch: Batch, key: Array
    ) -> tuple[Scalar, Aux]:
        """L_G."""
        current, metrics, total = dict(variables), {}, jnp.zeros(())
        if self.nce:
            for column in self.columns:
                error, current = self._contrast(current, column, batch, key)
                metrics[f"nce_{column}"] = error
            total = total + self.nce * sum(metrics.values()) / len(self.columns)
        if self.adversarial:
            real = None
            if self.objective.paired:
                real, current = self._judge(current, key, batch, "real")
            fake, current = self._judge(current, key, batch, "fake")
            metrics["adversarial"] = self.objective.generator_loss(real, fake)
            total = total + self.adversarial * metrics["adversarial"]
        return total, Aux({name: statistics(current[name]) for name in self.nets}, metrics)

    def _judge(
        self, variables: GameVariables, key: Array, batch: Batch, name: str
    ) -> tuple[Array, dict[str, PyTree]]:
        """The logits of the images of Y ("real") or of translations ("fake"); also the variables.

        What the discriminator sees of translations with `features` is computed already.
        """
        if name == "fake" and self.features is not None:
            seen = batch["fake_features"]
        else:
            image = batch["y"] if name == "real" else batch["fake_y"]
            seen = self._seen(variables, image, key, batch, name)
        return apply_net(self.nets, variables, "d_y", seen, key, batch, name)

    def _seen(
        self, variables: GameVariables, x: Array, key: Array, batch: Batch, name: str
    ) -> tuple[Array, ...]:
        """What the discriminator sees of images: augmented, and as features if it sees those."""
        if self.augment is not None:
            p = self.augment.probability(batch["round"])
            x = self.augment(x, fold(fold(key, "augment"), name), batch["index"], p)
        return (x,) if self.features is None else self.features.apply(variables["features"], x)

    def _contrast(
        self, variables: GameVariables, column: str, batch: Batch, key: Array
    ) -> tuple[Scalar, dict[str, PyTree]]:
        """PatchNCE of a translation and its input, the mean over the maps; also the variables."""
        translation = batch[TRANSLATIONS[column]]
        maps, current = self._encode(variables, translation, key, batch, f"queries_{column}")
        if self.flip:
            maps = [_mirror(map, batch["mirrored"]) for map in maps]
        queries, keys = [], []
        for number, (query, own) in enumerate(zip(maps, batch[f"maps_{column}"], strict=True)):
            positions = draw_positions(
                fold(key, f"positions_{column}{number}"), batch["index"], query.shape, self.patches
            )
            queries.append(take_vectors(query, positions))
            keys.append(take_vectors(own, positions))
        heads = self.nets["heads"]
        queries, stats = heads(current["heads"], *queries)
        keys, stats = heads({**current["heads"], **stats}, *keys)
        current = {**current, "heads": {**current["heads"], **stats}}
        errors = [patch_nce(*pair, self.temperature) for pair in zip(queries, keys, strict=True)]
        return sum(errors, start=jnp.zeros(())) / len(errors), current

    def _encode(
        self, variables: GameVariables, x: Array, key: Array, batch: Batch, purpose: str
    ) -> tuple[PyTree, dict[str, PyTree]]:
        return apply_net(self.nets, variables, "x2y", (x,), key, batch, purpose, method="encode")


def patch_nce(
    queries: Float[Array, "b n d"], keys: Float[Array, "b n d"], temperature: float
) -> Scalar:
    """Cross-entropy of recognising each query's key, the one at its position, among n of its image.

    No gradient flows through the keys. Queries and keys are unit vectors.

    References:
        Equations 2 and 4; the keys of other images are not negatives (appendix C.3).
    """
    keys = jax.lax.stop_gradient(keys)
    high = jax.lax.Precision.HIGHEST  # a small temperature multiplies errors
    logits = jnp.einsum("bqd,bkd->bqk", queries, keys, precision=high) / temperature
    own = jnp.diagonal(logits, axis1=1, axis2=2)
    return jnp.mean(jax.nn.logsumexp(logits, axis=-1) - own)


def draw_positions(
    key: Key[Array, ""], index: Int[Array, " b"], shape: tuple[int, ...], count: int
) -> Int[Array, "b n"]:
    """Draw positions in maps of `shape` [b h w c], all different, for each example its own.

    Returns:
        Numbers of pixels, row after row: min(count, h w) of them.
    """
    size = shape[1] * shape[2]
    return per_example(lambda key: jax.random.permutation(key, size)[:count])(key, index)


def take_vectors(
    maps: Float[Array, "b h w c"], positions: Int[Array, "b n"]
) -> Float[Array, "b n c"]:
    """Take the vectors at each example's positions."""
    rows = maps.reshape(len(maps), -1, maps.shape[-1])
    return jnp.take_along_axis(rows, positions[..., None], axis=1)


def _mirror(x: Float[Array, "b h w c"], chosen: Float[Array, " b"]) -> Float[Array, "b h w c"]:
    """Mirror the examples with a 1 from left to right."""
    return jnp.where(chosen[:, None, None, None] > 0.5, x[:, :, ::-1], x)
