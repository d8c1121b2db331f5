"""A trained state as pure functions of arrays, to leave the project with."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from gan_jax import config
from gan_jax.build.data import data_shape, find_data
from gan_jax.build.parts import Built
from gan_jax.game import State
from gan_jax.sampling.conditions import Conditions
from gan_jax.sampling.recipes import Translator
from gan_jax.sampling.sampler import FrozenSampler


class Input(NamedTuple):
    """An array [b *shape] that a program takes."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    meaning: str


class Program(NamedTuple):
    """`run(variables, *inputs)` gives [b ...]: pictures in [-1, 1], or what the data is made of."""

    name: str
    inputs: tuple[Input, ...]
    run: Callable[..., Array]


SAMPLED = 64  # conditions over which batch statistics are taken anew, where they are


def make_programs(built: Built, state: State) -> tuple[dict[str, Any], tuple[Program, ...]]:
    """The networks that make a state's samples, averaged if there are such, and their programs.

    `generate(z, [label | text])` where samples begin with noise, `x2y(x)` and the like where they
    begin with pictures. They draw no noise: StyleGAN's is the constant one, pix2pix's dropout is
    off. Raises UserError where batch statistics are to be taken anew and the data is not there.
    """

    def conditions() -> Conditions:
        source: Any = find_data(built)
        return built.sampler.conditions(source, SAMPLED)

    frozen = built.sampler.freeze(state, conditions)
    shape = data_shape(built.experiment.data)
    if frozen.decode is not None:
        return frozen.variables, (_generate(frozen, built),)
    kind = "a picture in [-1, 1]" if len(shape) == 3 else "a piece of normalised speech"
    given = (Input("x", shape, "float32", kind),)
    return frozen.variables, tuple(
        Program(name, given, _translator(run)) for name, run in frozen.translators.items()
    )


def _translator(run: Translator) -> Callable[..., Array]:
    return lambda variables, x: run(variables, None, x)


def _generate(frozen: FrozenSampler, built: Built) -> Program:
    game = config.to_dict(built.experiment)["game"]
    prior = game.get("prior", "normal")
    draw = "drawn from N(0, 1)" if prior == "normal" else "drawn uniformly from [-1, 1]"
    inputs = [Input("z", (game["z"],), "float32", draw)]
    if "labels" in built.provides:
        last = built.classes - 1
        inputs.append(Input("label", (), "int32", f"the class, 0 to {last}"))
    if "captions" in built.provides:
        inputs.append(Input("text", (game["text"],), "float32", "a caption's vector"))
    names = [one.name for one in inputs[1:]]

    def run(variables: Mapping[str, Any], z: Array, *beside: Array) -> Array:
        assert frozen.decode is not None
        return frozen.decode(variables, z, dict(zip(names, map(jnp.asarray, beside), strict=True)))

    return Program("generate", tuple(inputs), run)
