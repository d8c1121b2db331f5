"""Editing attributes of generated pictures, and measuring how well it goes.

Independent classifiers, which never saw a sample, look at samples; their answers give a direction
in W for each attribute (`latent_space.of_attributes`), and they judge the edits as well.
"""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from gan_jax.data.pipeline import Source
from gan_jax.editing import directions, style_space
from gan_jax.editing.style_space import AttributeClassifier, Direction, LatentSpace
from gan_jax.editing.styles import broadcast, render
from gan_jax.errors import UserError
from gan_jax.evaluation.classifiers import cached_classifier
from gan_jax.evaluation.context import EvalContext, column
from gan_jax.metrics.classification import Classifier
from gan_jax.metrics.features import extract, to_uint8
from gan_jax.metrics.names import metric_name
from gan_jax.metrics.resize import antialias, resize

SIDE = 32  # pixels that the classifiers see at most: what they look for is that large
STEPS = 300  # of each: nearly all held-out faces are then judged right
SAMPLES, EDITED = 2000, 500  # that directions are found from, and that are edited
STRENGTHS = (1.0, 2.0, 3.0)  # in standard deviations of w
QUANTITIES = ("attribute_flip", "attribute_edit", "chance_attribute_edit")


def reader(source: Source) -> Callable[[], Mapping[str, Bool[np.ndarray, " n"]]]:
    """The function that reads a data set's attributes. Raises UserError when it tells none."""
    if source.attributes is None:
        raise UserError(f"data set {source.name!r} tells no attributes; 'avatars' does")
    return source.attributes


def read(source: Source) -> Mapping[str, Bool[np.ndarray, " n"]]:
    """Which rows of a data set have which attribute. Raises UserError when it tells none."""
    return reader(source)()


def classifiers(train: Source) -> dict[str, Classifier]:
    """A classifier of each attribute of a training set, from its pictures; trained once and kept.

    They see every picture mirrored as well: generators are often trained on both.

    Raises UserError when the set tells no attributes.
    """
    known = read(train)
    pictures = small(column(train, "image"))
    pictures = np.concatenate([pictures, pictures[:, :, ::-1]])
    return {
        name: cached_classifier(
            f"small-cnn/{train.fingerprint}/{name}/{SIDE}/{STEPS}/mirrored",
            pictures,
            np.tile(has, 2).astype(np.int32),
            classes=2,
            steps=STEPS,
        )
        for name, has in known.items()
    }


def small(pictures: np.ndarray) -> np.ndarray:
    """Pictures of at most 32 pixels, as bytes."""
    pictures = to_uint8(pictures)
    if pictures.shape[1] <= SIDE:
        return pictures
    parts = [np.asarray(_shrink(pictures[i : i + 256])) for i in range(0, len(pictures), 256)]
    return np.rint(np.concatenate(parts)).astype(np.uint8)


@jax.jit
def _shrink(pictures: Array) -> Array:
    return resize(pictures.astype(jnp.float32), SIDE, antialias, (0.0, 255.0))


def judge(classifier: Classifier) -> AttributeClassifier:
    """Pictures to the classifier's log-odds of the attribute."""

    def margins(pictures: np.ndarray) -> Float[np.ndarray, " n"]:
        _, logits = extract(classifier.features, small(pictures))
        return logits[:, 1] - logits[:, 0]

    return margins


def find(space: LatentSpace, train: Source) -> tuple[list[Direction], dict[str, str]]:
    """The direction of each attribute that a training set tells, and why the rest have none.

    Raises UserError when the set tells no attributes.
    """
    judges = {name: judge(one) for name, one in classifiers(train).items()}
    return style_space.of_attributes(space, judges, SAMPLES)


def attribute_edit(context: EvalContext) -> dict[str, float]:
    """How edits of attributes go: at each strength, by attribute and in the mean.

    Every sample is pushed towards the other side of one attribute. `attribute_flip` is the share
    whose attribute changes, `attribute_edit` the share where it changes and all others stay, and
    `chance_attribute_edit` the latter along a random direction of W. An attribute without a
    direction, because hardly any sample has it, counts 0. `real_attribute_accuracy` is how often
    the classifiers are right about held-out pictures, those with and those without weighing alike.
    """
    if context.space is None:
        raise UserError("metric 'attribute_edit' needs a generator with styles")
    trained = classifiers(context.other("train"))
    test = context.other("test")
    known, held = read(test), small(column(test, "image"))
    label = next(iter(trained.values())).features.label
    found = {}
    for name, classifier in trained.items():
        right = (judge(classifier)(held) > 0) == known[name]
        sides = [right[known[name] == side].mean() for side in np.unique(known[name])]
        title = metric_name("real_attribute_accuracy", len(held), "test", label, name)
        found[title] = float(np.mean(sides))
    shares = edits(context.space(), {name: judge(one) for name, one in trained.items()})
    for (quantity, name, strength), value in shares.items():
        title = metric_name(quantity, EDITED, None, label, name, f"s={strength:g}")
        found[title] = value
    return found


def edits(
    space: LatentSpace, judges: Mapping[str, AttributeClassifier]
) -> dict[tuple[str, str, float], float]:
    """Shares by (quantity, attribute or 'mean', strength), of samples the directions never saw."""
    found, _ = style_space.of_attributes(space, judges, SAMPLES)
    steps = {one.name: one.step for one in found}
    w = space.sample()[SAMPLES : SAMPLES + EDITED]
    before = look(space, w, judges)
    shares: dict[tuple[str, str, float], float] = {}
    for strength in STRENGTHS:
        rows = []
        for number, name in enumerate(judges):
            side = np.where(before[:, number], -strength, strength)[:, None]
            flip = edit = 0.0
            if name in steps:
                after = look(space, w + side * steps[name], judges)
                flip, edit = outcome(before, after, number)
            after = look(space, w + side * chance_step(space, number), judges)
            rows.append((flip, edit, outcome(before, after, number)[1]))
        for quantity, values in zip(QUANTITIES, np.transpose(rows), strict=True):
            named = zip([*judges, "mean"], [*values, np.mean(values)], strict=True)
            shares |= {(quantity, name, strength): float(value) for name, value in named}
    return shares


def outcome(
    before: Bool[np.ndarray, "n k"], after: Bool[np.ndarray, "n k"], asked: int
) -> tuple[float, float]:
    """The share whose asked attribute changed, and the share where nothing else did besides."""
    changed = before != after
    flipped = changed[:, asked]
    return float(flipped.mean()), float((flipped & (changed.sum(axis=1) == 1)).mean())


def chance_step(space: LatentSpace, number: int) -> Float[np.ndarray, " w"]:
    """A random direction, one standard deviation of w along it long."""
    vector = np.random.RandomState(number).normal(size=(1, space.sample().shape[1]))
    vector = (vector / np.linalg.norm(vector)).astype(np.float32)
    return directions.scale_to_deviations(vector, space.sample())[0]


def look(
    space: LatentSpace, w: Float[np.ndarray, "n w"], judges: Mapping[str, AttributeClassifier]
) -> Bool[np.ndarray, "n k"]:
    """Which attributes the judges see in the pictures of w."""
    pictures = render(space.styles.synthesise, broadcast(jnp.asarray(w), space.styles.layers))
    pictures = small(pictures)  # once for all judges
    return np.stack([judge(pictures) > 0 for judge in judges.values()], axis=1)
