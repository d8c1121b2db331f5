"""How a trained state makes samples: of noise, labels, captions or other pictures."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.random import fold_in
from jaxtyping import Array, Key

from gan_jax import latents, parallel
from gan_jax.data.pipeline import Source, eval_batches
from gan_jax.errors import UserError, nearest
from gan_jax.game import Game, Net, State, fold
from gan_jax.latents import Prior
from gan_jax.metrics.path_length import Paths
from gan_jax.networks import dcgan

BATCH, STANDING_BATCHES = 64, 8
PIXELS = BATCH * 64 * 64  # of the pictures that are translated at once

Conditions = dict[str, np.ndarray]
"""What samples are made of, by name, [n ...] each; "index" [n] numbers them and their noise."""

Between = Callable[[Array, Array, Array], Array]
Convert = Callable[[np.ndarray], np.ndarray]
Translator = Callable[[Mapping[str, Any], Array | None, Array], Array]


class Recipe(NamedTuple):
    """How a game's networks make samples, as pure functions of `variables` by network.

    `draw(variables, key, batch, train)` gives samples and the generator's statistics after it;
    `prior` and `decode(variables, z, batch)` are there where samples begin with a latent.
    `conditions(source, count)` are those of the first `count` samples of a data set. Where samples
    are other pictures, `translators` map pictures on, `(variables, key, pictures)`, by direction,
    of any sides that `multiple` divides. `classes` labels are told. A batch has `batch` samples, a
    grid `shown`.
    """

    nets: tuple[str, ...]
    draw: Callable[[Mapping[str, Any], Key[Array, ""], Mapping[str, Array], bool], tuple[Any, Any]]
    conditions: Callable[[Source, int], Conditions]
    columns: int | None = None
    prior: Prior | None = None
    decode: Callable[[Mapping[str, Any], Array, Mapping[str, Array]], Array] | None = None
    between: Between | None = None
    alpha: Callable[[Array], Array] | None = None  # of a round: `variables["alpha"]`, if it grows
    styles: "Callable[[Mapping[str, Any]], Styles] | None" = None
    translators: Mapping[str, Translator] = {}
    multiple: int = 1
    classes: int = 0
    batch: int = BATCH
    shown: int | None = None


class Styles(NamedTuple):
    """A generator with a space of styles between latents and pictures.

    `map(z, label)` gives w [b w]; `synthesise(ws, key)` pictures of styles [b l w], with the
    constant noise if the key is None; `mean` is w's running mean; `layers` are l.
    """

    map: Callable[[Array, Array | None], Array]
    synthesise: Callable[[Array, Key[Array, ""] | None], Array]
    mean: Array
    layers: int
    prior: Prior
    between: Between


class Frozen(NamedTuple):
    """What makes a state's samples, as a value: the recipe's functions and their `variables`."""

    variables: dict[str, Any]
    decode: Callable[[Mapping[str, Any], Array, Mapping[str, Array]], Array] | None
    translators: Mapping[str, Translator]


class Sampler(NamedTuple):
    """Samples of a state as host arrays, the same for the same key and conditions.

    `draw(state, key, conditions, convert=np.asarray, over=None)` gives [n ...], converted batch by
    batch: 50,000 pictures of 256 px take 39 GB as float32 and 10 as bytes. Batch statistics that
    are taken anew are taken over all classes, or over the captions of `over`. `walk(state, key,
    conditions, stops, frames)` gives [frames n ...], a closed walk of each sample through `stops`
    latents; `paths(state)` is the latent spaces as path length sees them; both raise UserError for
    a game without latents. `conditions(source, count)` are those of the first samples, `columns` a
    grid's own width if the samples' order has a meaning, `shown` its own count. `translate(state,
    key, direction, pictures)` maps pictures [n h w c] in [-1, 1], whose sides `multiple` divides,
    in one of `directions`; UserError for another. `freeze(state, find)` gives all that without a
    state; batch statistics that are taken anew are taken over the conditions that `find` finds.
    """

    draw: Callable[..., np.ndarray]
    walk: Callable[[State, Key[Array, ""], Conditions, int, int], np.ndarray]
    paths: Callable[[State, Conditions], tuple[Paths, ...]]
    conditions: Callable[[Source, int], Conditions]
    columns: int | None
    styles: Callable[[State], Styles]
    translate: Callable[[State, Key[Array, ""], str, np.ndarray], np.ndarray]
    directions: tuple[str, ...]
    multiple: int
    shown: int | None
    freeze: Callable[[State, Callable[[], Conditions]], Frozen]


def make_sampler(game: Game, recipe: Recipe) -> Sampler:
    """The sampler of a game.

    The averaged networks make the samples if there are any. Averaged parameters never saw the
    running batch statistics, so those are taken anew, over fixed latents and the conditions asked
    for (standing statistics, Brock et al. 2019, arXiv:1809.11096, section 4.1).
    """
    averaged = recipe.nets[0] in game.ema

    def current(state: State) -> dict[str, Any]:
        alpha = {} if recipe.alpha is None else {"alpha": recipe.alpha(state.step)}
        if averaged:
            return {name: state.ema[name] for name in recipe.nets} | alpha
        nets = {n: {"params": state.params[n], **state.stats[n]} for n in recipe.nets}
        return nets | alpha

    @jax.jit
    def stand(state: State, conditions: Mapping[str, Array]) -> dict[str, Any]:
        return parallel.on_one_device(lambda v: standing(recipe, v, conditions))(current(state))

    @jax.jit
    def generate(variables: Any, key: Array, batch: Mapping[str, Array]) -> Array:
        return recipe.draw(variables, key, batch, False)[0]

    @jax.jit
    def decode(variables: Any, z: Array, batch: Mapping[str, Array]) -> Array:
        assert recipe.decode is not None
        return recipe.decode(variables, z, batch)

    def settled(state: State) -> bool:
        return not averaged or "batch_stats" not in state.ema.get("generator", {})

    def settle(state: State, conditions: Conditions) -> dict[str, Any]:
        if settled(state):
            return current(state)
        rows = np.arange(STANDING_BATCHES * recipe.batch)
        cycled = {n: x[rows % len(x)] for n, x in conditions.items() if n != "index"}
        if recipe.classes:  # whichever are asked for: in training a batch had them all
            cycled["label"] = (rows % recipe.classes).astype(np.int32)
        return stand(state, {"index": rows, **cycled})

    def draw(
        state: State,
        key: Array,
        conditions: Conditions,
        convert: Convert = np.asarray,
        over: Conditions | None = None,
    ) -> np.ndarray:
        variables = settle(state, conditions if over is None else over)
        count, done, samples = len(conditions["index"]), 0, np.zeros(0)
        for part in _parts(conditions, recipe.batch):
            values = convert(np.asarray(generate(variables, key, part)))
            if not done:
                samples = np.empty((count, *values.shape[1:]), values.dtype)
            samples[done : done + len(values)] = values[: count - done]
            done += len(values)
        return samples

    def walk(
        state: State, key: Array, conditions: Conditions, stops: int, frames: int
    ) -> np.ndarray:
        prior, between = _latents(recipe)
        variables, count = settle(state, conditions), len(conditions["index"])
        z = prior(key, jnp.arange(stops * count)).reshape(stops, count, -1)
        pictures = []
        for frame in range(frames):
            stop, t = divmod(frame * stops / frames, 1.0)
            here, there = z[int(stop)], z[(int(stop) + 1) % stops]
            latents = np.asarray(between(here, there, jnp.full((count, 1), t)))
            parts = [
                np.asarray(decode(variables, part.pop("z"), part))
                for part in _parts({**conditions, "z": latents})
            ]
            pictures.append(np.concatenate(parts)[:count])
        return np.stack(pictures)

    def paths(state: State, conditions: Conditions) -> tuple[Paths, ...]:
        prior, between = _latents(recipe)
        variables = settle(state, conditions)
        told = {name: jnp.asarray(x) for name, x in conditions.items() if name != "index"}
        size = len(conditions["index"])

        def rows(key: Array, z: Array) -> Array:  # the same for both ends of a step
            return jax.random.randint(fold(key, "conditions"), (len(z),), 0, size)

        def label(rows: Array) -> Array | None:
            return jax.nn.one_hot(told["label"][rows], recipe.classes) if recipe.classes else None

        def from_latent(key: Array, z: Array) -> Array:
            return decode(variables, z, {name: x[rows(key, z)] for name, x in told.items()})

        if recipe.styles is None:
            return (Paths("z", prior, between, from_latent),)
        space = recipe.styles(variables)

        @jax.jit
        def picture(w: Array, key: Array) -> Array:
            ws = jnp.broadcast_to(w[:, None], (len(w), space.layers, w.shape[-1]))
            return space.synthesise(ws, key)

        @jax.jit
        def mapped(key: Array, index: Array) -> Array:
            return space.map(prior(key, index), label(index % size))

        return (
            Paths(
                "z", prior, between, lambda key, z: picture(space.map(z, label(rows(key, z))), key)
            ),
            Paths("w", mapped, latents.lerp, lambda key, w: picture(w, key)),
        )

    def styles(state: State) -> Styles:
        if recipe.styles is None:
            raise UserError("this game has no styles; train one of experiments/stylegan.py")
        return recipe.styles(current(state))

    translators = {name: jax.jit(one) for name, one in recipe.translators.items()}

    def translate(state: State, key: Array, direction: str, pictures: np.ndarray) -> np.ndarray:
        if direction not in translators:
            known = ", ".join(translators) or "nothing"
            raise UserError(f"direction {direction!r}: this run translates {known}")
        size = batch_of(pictures.shape[1:])
        conditions = {"index": np.arange(len(pictures)), "x": pictures}
        variables = settle(state, conditions)
        parts = [
            np.asarray(translators[direction](variables, fold_in(key, part["index"][0]), part["x"]))
            for part in _parts(conditions, min(size, len(pictures)))
        ]
        return np.concatenate(parts)[: len(pictures)]

    def freeze(state: State, find: Callable[[], Conditions]) -> Frozen:
        variables = current(state) if settled(state) else settle(state, find())
        return Frozen(variables, recipe.decode, recipe.translators)

    return Sampler(
        *(draw, walk, paths, recipe.conditions, recipe.columns),
        *(styles, translate, tuple(translators), recipe.multiple, recipe.shown, freeze),
    )


def batch_of(shape: tuple[int, ...]) -> int:
    """How many pictures [h w c] are translated at once."""
    return max(1, min(BATCH, PIXELS // (shape[0] * shape[1])))


def standing(recipe: Recipe, variables: dict[str, Any], conditions: Mapping[str, Array]) -> Any:
    """The variables with the generator's batch statistics averaged over fixed batches."""
    net = variables["generator"]
    key = fold(jax.random.key(0), "standing")
    moved = {**net, "batch_stats": jax.tree.map(jnp.zeros_like, net["batch_stats"])}
    for number in range(STANDING_BATCHES):
        rows = slice(number * recipe.batch, (number + 1) * recipe.batch)
        part = {n: x[rows] for n, x in conditions.items()}
        stats = recipe.draw({**variables, "generator": moved}, key, part, True)[1]
        moved = {**moved, **stats}
    weight = 1.0 - dcgan.DECAY**STANDING_BATCHES  # a running mean that starts from zero lacks this
    stats = jax.tree.map(lambda leaf: leaf / weight, moved["batch_stats"])
    return {**variables, "generator": {**net, "batch_stats": stats}}


def from_noise(net: Net, prior: Prior, between: Between, *, classes: int = 0) -> Recipe:
    """Samples of noise, or of noise and a label: the first row of a grid has the first class."""
    columns = 8 if classes else None

    def beside(batch: Mapping[str, Array]) -> tuple[Array, ...]:
        return (jax.nn.one_hot(batch["label"], classes),) if classes else ()

    def draw(variables: Any, key: Array, batch: Mapping[str, Array], train: bool) -> Any:
        z = prior(key, jnp.asarray(batch["index"]))
        return net(variables["generator"], z, *beside(batch), train=train)

    def decode(variables: Any, z: Array, batch: Mapping[str, Array]) -> Array:
        return net(variables["generator"], z, *beside(batch), train=False)[0]

    def conditions(source: Source | None, count: int) -> Conditions:
        index = np.arange(count)
        if columns is None:
            return {"index": index}
        return {"index": index, "label": (index // columns % classes).astype(np.int32)}

    return Recipe(
        ("generator",), draw, conditions, columns, prior, decode, between, classes=classes
    )


def from_styles(
    net: Net,
    prior: Prior,
    *,
    layers: int,
    classes: int = 0,
    alpha: Callable[[Array], Array] | None = None,
    resolution: int,
) -> Recipe:
    """Samples of a style-based generator with `layers` in use, without truncation.

    While it grows its pictures are smaller than `resolution`: every pixel is repeated. A batch of
    samples draws its noise from the number of its first.
    """
    plain = from_noise(net, prior, latents.slerp, classes=classes)

    def label_of(batch: Mapping[str, Array]) -> Array | None:
        return jax.nn.one_hot(batch["label"], classes) if classes else None

    def whole(x: Array) -> Array:
        times = resolution // x.shape[1]
        return jnp.repeat(jnp.repeat(x, times, axis=1), times, axis=2)

    def make(variables: Any, z: Array, label: Array | None, key: Array | None, train: bool) -> Any:
        fading = variables.get("alpha")
        x, stats = net(variables["generator"], z, label, fading, key=key, train=train)
        return whole(x), stats

    def draw(variables: Any, key: Array, batch: Mapping[str, Array], train: bool) -> Any:
        z = prior(key, jnp.asarray(batch["index"]))
        noise = jax.random.fold_in(fold(key, "noise"), batch["index"][0])
        return make(variables, z, label_of(batch), noise, train)

    def decode(variables: Any, z: Array, batch: Mapping[str, Array]) -> Array:
        return make(variables, z, label_of(batch), None, False)[0]

    def styles(variables: Mapping[str, Any]) -> Styles:
        own, fading = variables["generator"], variables.get("alpha")

        def map_(z: Array, label: Array | None) -> Array:
            label = jnp.zeros((len(z), classes)) if classes and label is None else label
            return net(own, z, label, train=False, method="map")[0][:, 0]

        def synthesise(ws: Array, key: Array | None) -> Array:
            x = net(own, ws, fading, key=key, train=False, method="synthesise")[0]
            return whole(x)

        (mean,) = jax.tree.leaves(own["moving"])
        return Styles(map_, synthesise, mean, layers, prior, latents.slerp)

    return plain._replace(draw=draw, decode=decode, alpha=alpha, styles=styles)


def from_pictures(
    nets: Mapping[str, tuple[str, Net]],
    shape: tuple[int, ...],
    *,
    multiple: int,
    shown: int | None = None,
    own_statistics: bool = False,
) -> Recipe:
    """Samples that are other pictures [h w c]: by direction, a network's name and the network.

    The samples are those of "x2y". With `own_statistics`, batch norm takes those of each picture.
    """

    def translator(direction: str) -> Translator:
        name, net = nets[direction]

        def translate(variables: Mapping[str, Any], key: Array | None, pictures: Array) -> Array:
            if not own_statistics:
                return net(variables[name], pictures, key=key, train=False)[0]

            def one(number: Array, picture: Array) -> Array:
                noise = None if key is None else fold_in(key, number)
                return net(variables[name], picture[None], key=noise, train=True)[0][0]

            numbers = jnp.arange(pictures.shape[0])
            return parallel.on_one_device(lambda: jax.vmap(one)(numbers, pictures))()

        return translate

    def draw(variables: Any, key: Array, batch: Mapping[str, Array], train: bool) -> Any:
        name, net = nets["x2y"]
        key = fold_in(key, batch["index"][0])  # dropout is the only noise
        if own_statistics and not train:
            return translator("x2y")(variables, key, to_float(batch["x"])), {}
        return net(variables[name], to_float(batch["x"]), key=key, train=train)

    def conditions(source: Source, count: int) -> Conditions:
        return from_data(source, count, ("x", "y"))

    return Recipe(
        tuple(name for name, _ in nets.values()),
        draw,
        conditions,
        translators={direction: translator(direction) for direction in nets},
        multiple=multiple,
        batch=batch_of(shape),
        shown=shown,
    )


def to_float(value: Any) -> Any:
    """Bytes of pictures to float32 in [-1, 1]; anything else as it is."""
    return value.astype(jnp.float32) / 127.5 - 1.0 if value.dtype == jnp.uint8 else value


def from_data(source: Source, count: int, names: tuple[str, ...]) -> Conditions:
    """The named columns of the first `count` rows, over again where there are fewer."""
    have = min(count, source.size or count)
    batches = list(eval_batches(source, 256, count=have))
    rows = np.arange(count) % have
    columns = {n: np.concatenate([b[n] for b in batches])[rows] for n in names if n in batches[0]}
    return {"index": np.arange(count), **columns}


def as_in_data(conditions: Conditions, source: Source) -> Conditions:
    """The conditions with labels as frequent as in the data, in no order, if there are labels.

    Comparisons of distributions need both: grids have equal shares, class after class.
    """
    if "label" not in conditions or not source.size or "label" not in source.records[0]:
        return conditions
    rows = np.random.RandomState(0).permutation(source.size)
    rows = np.resize(rows, len(conditions["label"]))
    parts = np.array_split(rows, -(-len(rows) // 256))
    labels = np.concatenate([source.records.take(part)["label"] for part in parts])
    return {**conditions, "label": labels.astype(np.int32)}


def of_classes(
    conditions: Conditions, source: Source, labels: Sequence[str], columns: int
) -> Conditions:
    """Conditions of a row of samples for each label, named or numbered.

    Raises UserError for an unknown class, naming the nearest, and where no label is seen.
    """
    if "label" not in conditions:
        raise UserError("this generator is told no class: --labels needs game.condition")
    names = source.class_names or ()
    rows = np.repeat([_class(label, names, source.num_classes or 0) for label in labels], columns)
    return {"index": np.arange(len(rows)), "label": rows.astype(np.int32)}


def _class(label: str, names: Sequence[str], count: int) -> int:
    if label in names:
        return list(names).index(label)
    if label.isdigit() and int(label) < count:
        return int(label)
    raise UserError(f"no class {label!r} of {count}; did you mean {nearest(label, names)}?")


def between_captions(source: Source, rows: Sequence[int], columns: int) -> Conditions:
    """Conditions on the straight lines from each row's caption to the next row's; one latent.

    Raises UserError for a row that the data does not have, or data without captions.
    """
    if len(rows) < 2 or "text" not in source.records[0]:
        raise UserError("--captions needs at least two rows of data with captions")
    count = source.size or 0
    for row in rows:
        if not 0 <= row < count:
            raise UserError(f"no caption {row}: data set {source.name!r} has rows 0 to {count - 1}")
    text = source.records.take(np.asarray(rows))["text"]
    t = np.linspace(0.0, 1.0, columns, dtype=np.float32)[:, None]
    lines = [(1.0 - t) * a + t * b for a, b in itertools.pairwise(text)]
    mixed = np.concatenate(lines)
    return {"index": np.zeros(len(mixed), int), "text": mixed}


def _latents(recipe: Recipe) -> tuple[Prior, Between]:
    if recipe.prior is None or recipe.between is None:
        raise UserError("this game has no latent to walk through: its samples begin with pictures")
    return recipe.prior, recipe.between


def _parts(conditions: Conditions, batch: int = BATCH) -> Iterator[dict[str, np.ndarray]]:
    """Batches of one size, the last filled up by its own rows: one shape, one compilation."""
    count = len(conditions["index"])
    for start in range(0, count, batch):
        rows = np.minimum(np.arange(start, start + batch), count - 1)
        yield {name: column[rows] for name, column in conditions.items()}
