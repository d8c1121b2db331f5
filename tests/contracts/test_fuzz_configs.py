"""Whatever a user writes either works or is refused in one line that names it: configurations.

By default a bounded number of examples, the same every time. `GAN_JAX_FUZZ=1000` looks for new ones
in that number, by chance.
"""

import dataclasses
import functools
import re
import types
import typing
from typing import Literal

import jax
import numpy as np
from helpers.fuzz import SEARCH, bounded
from helpers.paths import EXPERIMENTS
from hypothesis import given
from hypothesis import strategies as st

from gan_jax import config, game, parallel
from gan_jax.build.data import check_data, data_shape
from gan_jax.build.experiment import build
from gan_jax.config import Experiment
from gan_jax.config.kinds import KINDS
from gan_jax.data.pipeline import open_source
from gan_jax.errors import UserError

# --- configurations -------------------------------------------------------------------------------

NAMES = ("fashion_mnist_10k", "emoji_pairs", "emoji_noto_twemoji", "emoji_noto")
OURS = ("gan_jax.config.networks", "gan_jax.config.games")  # other tests may register theirs
CHOICES = {  # what the types do not say: sizes that are quick to trace, names
    "name": st.just("fuzz"),
    "data.name": st.sampled_from((*NAMES, "toy/ring8", "toy/spirals", "voices_it_sample", "x")),
    "data.split": st.sampled_from(("train", "test", "nowhere")),
    "data.path": st.none(),
    "data.data_dir": st.none(),
    "data.resolution": st.sampled_from((0, 1, 2, 3, 4, 7, 8, 12, 14, 16, 24, 28, 32)),
    "data.frames": st.sampled_from((1, 4, 8, 12, 15, 16)),
    "data.cepstra": st.sampled_from((1, 7, 8, 12, 36, 37)),
    "seed": st.sampled_from((0, 1, 2**31, 2**32, 2**63, 2**70)),
    "game.text": st.sampled_from((5, 384)),
    "batch_size": st.sampled_from((0, 1, 2, 3, 4, 6, 8)),
    "run.kimg": st.sampled_from((0.0, 0.001, 0.016, 0.1)),
    "run.metrics": st.sampled_from(((), ("mode_coverage",), ("fid", "ppl"), ("fie",))),
    "run.features": st.sampled_from(("efficientnet-lite0", "none")),
    "run.best": st.sampled_from(("", "fid", "nothing")),
    "run.devices": st.sampled_from((1, 1, 2, 99)),
}
INTEGERS = st.sampled_from((-1, 0, 1, 2, 3, 4, 8, 10))
REALS = st.sampled_from((-0.5, 0.0, 0.01, 0.5, 1.0, 2.5, 1e4, 1e38, float("nan"), float("inf")))


def values(hint, path):
    """What fits a field's type, by and large: numbers also where they are out of range."""
    if path in CHOICES:
        return CHOICES[path]
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return st.one_of(*(values(one, path) for one in args))
    if hint in KINDS:
        return st.one_of(*(values(one, path) for one in kinds(hint)))
    if origin is Literal:
        return st.sampled_from(args)
    if origin is tuple:
        if args[-1] is ...:
            return st.lists(values(args[0], path), max_size=3).map(tuple)
        return st.tuples(*(values(one, path) for one in args))
    if dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        inside = {name: values(one, f"{path}.{name}".lstrip(".")) for name, one in hints.items()}
        return st.builds(hint, **inside)
    simple = {bool: st.booleans(), int: INTEGERS, float: REALS, str: st.text(max_size=3)}
    return {**simple, type(None): st.none()}[hint]


def kinds(hint):
    """The package's networks or games, if the field holds one."""
    return [one.config for one in KINDS.get(hint, {}).values() if one.config.__module__ in OURS]


def fields(node, path=""):
    """Dotted names and types of all fields of an experiment, those with fields included."""
    for name, hint in typing.get_type_hints(type(node)).items():
        inner = getattr(node, name)
        here = f"{path}.{name}".lstrip(".")
        yield here, hint
        if dataclasses.is_dataclass(inner):
            yield from fields(inner, here)


@functools.cache
def recipes():
    """The smallest relative of one recipe for every game and kind of network."""
    found = {}
    for file in sorted(EXPERIMENTS.glob("*.py")):
        for function in config.recipes(file).values():
            one = config.change(config.tiny(function()), {"run.devices": 1})
            key = (type(one.game), type(one.generator.network), one.data.name[:4])
            found.setdefault(key, one)
    return tuple(found.values())


@st.composite
def experiments(draw):
    """A recipe, of which a few fields have any value."""
    made = draw(st.sampled_from(recipes()))
    for _ in range(draw(st.integers(1, 4))):
        parts = {}  # each as likely as the others, however many fields it has
        for path, hint in fields(made):
            parts.setdefault(path.partition(".")[0], []).append((path, hint))
        path, hint = draw(st.sampled_from(parts[draw(st.sampled_from(sorted(parts)))]))
        made = replaced(made, path.split("."), draw(values(hint, path)))
    return made


def replaced(node, parts, value):
    """Unlike `config.change`, also to what is not allowed."""
    inner = replaced(getattr(node, parts[0]), parts[1:], value) if parts[1:] else value
    return dataclasses.replace(node, **{parts[0]: inner})


def all_fields():
    """The dotted name of every field there is."""

    def walk(hint, path):
        for one in [hint, *typing.get_args(hint), *kinds(hint)]:
            if dataclasses.is_dataclass(one):
                for name, inner in typing.get_type_hints(one).items():
                    here = f"{path}.{name}".lstrip(".")
                    yield here
                    yield from walk(inner, here)

    return set(walk(Experiment, ""))


FIELDS = all_fields() - {"data", "game", "run", "name", "generator", "discriminator"}


@functools.cache
def opened(name, direction):
    """A data set as small as it can be: what has which columns does not depend on the size."""
    return open_source(name, resolution=8, channels=1, frames=16, cepstra=8, direction=direction)


def batch_of(experiment, size):
    """A batch of zeros, shaped as the experiment's data set has it."""
    data = experiment.data
    source = opened(data.name, data.direction)
    check_data(experiment.game, source)
    columns = {}
    for name, value in source.records[0].items():
        shape = data_shape(data) if name in ("image", "x", "y") else value.shape
        columns[name] = np.zeros((size, *shape), value.dtype)
    return columns


def plays(experiment):
    """Whether the experiment's rounds can be played; raises UserError, or anything for a bug."""
    built = build(experiment)
    for stage in built.stages:
        at = built.at(stage.last)
        state = jax.eval_shape(lambda at=at: game.init(at.game, at.key))
        batch = batch_of(experiment, stage.batch_size)
        after, metrics = jax.eval_shape(parallel.on_one_device(at.round), state, batch, at.key)
        assert jax.tree.map(jnp_like, after) == jax.tree.map(jnp_like, state)
        assert metrics


def plays_twice(experiment):
    """Two rounds of the experiment's first stage, computed: compiled fast and run slowly."""
    built = build(experiment)
    stage = built.stages[0]
    at = built.at(stage.last)
    quick = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
    state = jax.jit(lambda: game.init(at.game, at.key)).lower().compile(quick)()
    batch = batch_of(experiment, stage.batch_size)
    play = jax.jit(parallel.on_one_device(at.round)).lower(state, batch, at.key).compile(quick)
    for _ in range(2):
        state, metrics = play(state, batch, at.key)
    assert int(state.step) == 2 and jax.block_until_ready(metrics)


def jnp_like(leaf):
    return leaf.shape, leaf.dtype


def named(error):
    """The fields that a message names."""
    return FIELDS.intersection(re.findall(r"[a-z_0-9]+(?:\.[a-z_0-9]+)*", str(error)))


PLAYED = set()


@bounded(16)
@given(experiments())
def test_a_configuration_plays_or_is_refused_by_the_name_of_a_field(experiment):
    try:
        plays(experiment)
        kind = type(experiment.game)
        if SEARCH or kind not in PLAYED:  # by default one of each kind
            PLAYED.add(kind)
            plays_twice(experiment)
    except UserError as error:
        assert "\n" not in str(error)
        assert named(error), str(error)
