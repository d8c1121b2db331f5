"""How the networks of a game make samples: from noise, through styles, or from other pictures."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.random import fold_in
from jaxtyping import Array, Float, Int, Key, PyTree

from gan_jax import latents, parallel
from gan_jax.data.pipeline import Source
from gan_jax.game import Net, Variables, fold
from gan_jax.latents import Prior
from gan_jax.networks import dcgan
from gan_jax.sampling.conditions import Conditions, from_data, to_float

BATCH = 64  # samples that are made at once
PIXELS = BATCH * 64 * 64  # of the pictures that are translated at once
STANDING_BATCHES = 8  # over which batch statistics are averaged
CLASS_COLUMNS = 8  # of a grid with a class in each row

Networks = Mapping[str, PyTree]
"""The variables of each network by its name; "alpha" is the fade-in of a growing generator."""

Columns = Mapping[str, Array]
"""A batch of conditions on a device, [b ...] each."""

Between = Callable[[Array, Array, Array], Array]
"""`(a, b, t)`: interpolates latents; `latents.slerp` or `latents.lerp`."""

Draw = Callable[[Networks, Key[Array, ""], Columns, bool], tuple[Array, Variables]]
Decode = Callable[[Networks, Array, Columns], Array]
Translator = Callable[[Networks, Key[Array, ""] | None, Array], Array]


class StyleGenerator(NamedTuple):
    """A style-based generator with its variables bound.

    Attributes:
        map: latents z [b z] and one-hot labels [b k] or None to styles w [b w].
        synthesise: styles ws [b l w] and the key of the noise to pictures [b h w c] in [-1, 1];
            the noise is the constant one if the key is None.
        mean: the running mean of w, [w].
        layers: the number of layers in use, l.
        prior: of z.
        between: interpolates z.
    """

    map: Callable[[Array, Array | None], Array]
    synthesise: Callable[[Array, Key[Array, ""] | None], Array]
    mean: Array
    layers: int
    prior: Prior
    between: Between


class SamplingRecipe(NamedTuple):
    """How a game's networks make samples, as pure functions of their variables.

    Attributes:
        nets: the networks that take part, by name; the first decides whether averages are used.
        draw: `(networks, key, batch, train)` to samples [b ...] and the generator's statistics
            after the pass.
        conditions: `(source, count)` to the conditions of the first `count` samples.
        columns: the width of a grid, where the order of the samples has a meaning.
        prior: of the latents, where samples begin with latents.
        decode: `(networks, z, batch)` to samples without noise, where they begin with latents.
        between: interpolates latents.
        alpha: the round to `networks["alpha"]`, the fade-in of a growing generator.
        styles: the networks to their `StyleGenerator`, where they have styles.
        translators: by direction, such as "x2y": `(networks, key, pictures)` to pictures; noise is
            off without a key.
        multiple: what the sides of pictures to be translated must be divisible by.
        classes: the number of classes of a class-conditional generator, 0 of another.
        batch: the number of samples in a batch.
        shown: the number of samples in a grid; None leaves it to the caller.
    """

    nets: tuple[str, ...]
    draw: Draw
    conditions: Callable[[Any, int], Conditions]  # the source is None where none is needed
    columns: int | None = None
    prior: Prior | None = None
    decode: Decode | None = None
    between: Between | None = None
    alpha: Callable[[Array], Array] | None = None
    styles: Callable[[Networks], StyleGenerator] | None = None
    translators: Mapping[str, Translator] = {}
    multiple: int = 1
    classes: int = 0
    batch: int = BATCH
    shown: int | None = None


def standing_statistics(
    recipe: SamplingRecipe, networks: Networks, conditions: Columns
) -> dict[str, PyTree]:
    """Average the generator's batch statistics over fixed batches.

    Args:
        recipe: how samples are drawn.
        networks: the variables of all networks.
        conditions: those of `STANDING_BATCHES * recipe.batch` samples.

    Returns:
        The variables with the generator's batch statistics replaced.

    References:
        Brock et al. 2019, arXiv:1809.11096, section 4.1.
    """
    net = networks["generator"]
    key = fold(jax.random.key(0), "standing")
    moved = {**net, "batch_stats": jax.tree.map(jnp.zeros_like, net["batch_stats"])}
    for number in range(STANDING_BATCHES):
        rows = slice(number * recipe.batch, (number + 1) * recipe.batch)
        batch = {n: x[rows] for n, x in conditions.items()}
        stats = recipe.draw({**networks, "generator": moved}, key, batch, True)[1]
        moved = {**moved, **stats}
    # A running mean that starts from zero has only this share of the weight.
    weight = 1.0 - dcgan.DECAY**STANDING_BATCHES
    stats = jax.tree.map(lambda leaf: leaf / weight, moved["batch_stats"])
    return {**networks, "generator": {**net, "batch_stats": stats}}


def from_noise(net: Net, prior: Prior, between: Between, *, classes: int = 0) -> SamplingRecipe:
    """Sample a generator of latents, or of latents and a one-hot label.

    Args:
        net: the generator, of z [b z] and, with `classes`, a label [b classes].
        prior: of the latents.
        between: interpolates latents.
        classes: the number of classes; a grid then has a row for each class.
    """
    columns = CLASS_COLUMNS if classes else None

    def labels(batch: Columns) -> tuple[Array, ...]:
        return (jax.nn.one_hot(batch["label"], classes),) if classes else ()

    def draw(
        networks: Networks, key: Key[Array, ""], batch: Columns, train: bool
    ) -> tuple[Array, Variables]:
        z = prior(key, jnp.asarray(batch["index"]))
        noise = fold(key, "noise") if train else None  # a sample has the module's constant maps
        return net(networks["generator"], z, *labels(batch), key=noise, train=train)

    def decode(networks: Networks, z: Array, batch: Columns) -> Array:
        return net(networks["generator"], z, *labels(batch), train=False)[0]

    def conditions(source: Source | None, count: int) -> Conditions:
        index = np.arange(count)
        if columns is None:
            return {"index": index}
        return {"index": index, "label": (index // columns % classes).astype(np.int32)}

    return SamplingRecipe(
        ("generator",),
        draw,
        conditions,
        columns=columns,
        prior=prior,
        decode=decode,
        between=between,
        classes=classes,
    )


def from_styles(
    net: Net,
    prior: Prior,
    *,
    layers: int,
    classes: int = 0,
    alpha: Callable[[Array], Array] | None = None,
    resolution: int,
) -> SamplingRecipe:
    """Sample a style-based generator, without truncation.

    A batch of samples draws its noise from the number of its first sample.

    Args:
        net: the generator, with methods `map` and `synthesise`.
        prior: of the latents.
        layers: the number of layers in use.
        classes: the number of classes of a class-conditional generator.
        alpha: the round to the fade-in of the newest layers, while the generator grows.
        resolution: of the samples, pixels; the smaller pictures of a generator that has not fully
            grown are enlarged by repeating every pixel.
    """
    from_latents = from_noise(net, prior, latents.slerp, classes=classes)

    def label_of(batch: Columns) -> Float[Array, "b k"] | None:
        return jax.nn.one_hot(batch["label"], classes) if classes else None

    def enlarge(x: Float[Array, "b i i c"]) -> Float[Array, "b h h c"]:
        times = resolution // x.shape[1]
        return jnp.repeat(jnp.repeat(x, times, axis=1), times, axis=2)

    def generate(
        networks: Networks, z: Array, label: Array | None, key: Array | None, train: bool
    ) -> tuple[Array, Variables]:
        alpha = networks.get("alpha")
        x, stats = net(networks["generator"], z, label, alpha, key=key, train=train)
        return enlarge(x), stats

    def draw(
        networks: Networks, key: Key[Array, ""], batch: Columns, train: bool
    ) -> tuple[Array, Variables]:
        z = prior(key, jnp.asarray(batch["index"]))
        noise = fold_in(fold(key, "noise"), batch["index"][0])
        return generate(networks, z, label_of(batch), noise, train)

    def decode(networks: Networks, z: Array, batch: Columns) -> Array:
        return generate(networks, z, label_of(batch), None, False)[0]

    def styles(networks: Networks) -> StyleGenerator:
        generator, alpha = networks["generator"], networks.get("alpha")

        def map_(z: Array, label: Array | None) -> Array:
            label = jnp.zeros((len(z), classes)) if classes and label is None else label
            return net(generator, z, label, train=False, method="map")[0][:, 0]

        def synthesise(ws: Array, key: Array | None) -> Array:
            return enlarge(net(generator, ws, alpha, key=key, train=False, method="synthesise")[0])

        (mean,) = jax.tree.leaves(generator["moving"])
        return StyleGenerator(map_, synthesise, mean, layers, prior, latents.slerp)

    return from_latents._replace(draw=draw, decode=decode, alpha=alpha, styles=styles)


def from_pictures(
    nets: Mapping[str, tuple[str, Net]],
    shape: tuple[int, ...],
    *,
    multiple: int,
    shown: int | None = None,
    own_statistics: bool = False,
    targets: bool = True,
) -> SamplingRecipe:
    """Translate the pictures of a data set; the samples are the translations "x2y".

    Args:
        nets: by direction, the name of the network that translates, and the network.
        shape: of a picture, (h, w, c).
        multiple: what the sides of a picture must be divisible by.
        shown: the number of samples in a grid.
        own_statistics: batch norm takes the statistics of each picture instead of running ones.
        targets: whether a grid also shows pictures y: targets, or what "y2x" translates.
    """
    translators = {
        direction: _translator(name, net, own_statistics) for direction, (name, net) in nets.items()
    }

    def draw(
        networks: Networks, key: Key[Array, ""], batch: Columns, train: bool
    ) -> tuple[Array, Variables]:
        name, net = nets["x2y"]
        key = fold_in(key, batch["index"][0])  # dropout is the only noise
        if own_statistics and not train:
            return translators["x2y"](networks, key, to_float(batch["x"])), {}
        return net(networks[name], to_float(batch["x"]), key=key, train=train)

    def conditions(source: Source, count: int) -> Conditions:
        return from_data(source, count, ("x", "y") if targets else ("x",))

    return SamplingRecipe(
        tuple(name for name, _ in nets.values()),
        draw,
        conditions,
        translators=translators,
        multiple=multiple,
        batch=batch_of(shape),
        shown=shown,
    )


def _translator(name: str, net: Net, own_statistics: bool) -> Translator:
    def translate(networks: Networks, key: Key[Array, ""] | None, pictures: Array) -> Array:
        if not own_statistics:
            return net(networks[name], pictures, key=key, train=False)[0]

        def translate_one(number: Int[Array, ""], picture: Float[Array, "h w c"]) -> Array:
            noise = None if key is None else fold_in(key, number)
            return net(networks[name], picture[None], key=noise, train=True)[0][0]

        numbers = jnp.arange(pictures.shape[0])
        return parallel.on_one_device(lambda: jax.vmap(translate_one)(numbers, pictures))()

    return translate


def batch_of(shape: tuple[int, ...]) -> int:
    """The number of pictures [h w c] that are translated at once."""
    return max(1, min(BATCH, PIXELS // (shape[0] * shape[1])))
