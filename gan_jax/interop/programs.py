"""Trained states as pure functions of arrays, for export."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, PyTree

from gan_jax import config
from gan_jax.build.data import data_shape, find_data
from gan_jax.build.parts import Built
from gan_jax.game import State
from gan_jax.sampling.conditions import Conditions
from gan_jax.sampling.recipes import Networks, Translator
from gan_jax.sampling.sampler import FrozenSampler


class Input(NamedTuple):
    """An input [b *shape] of a program."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    meaning: str


class Program(NamedTuple):
    """A function; `run(variables, *inputs)` returns samples [b ...], images in [-1, 1]."""

    name: str
    inputs: tuple[Input, ...]
    run: Callable[..., Array]


STATISTICS_CONDITIONS = 64  # conditions over which batch statistics are recomputed, if needed


def make_programs(built: Built, state: State) -> tuple[dict[str, PyTree], tuple[Program, ...]]:
    """Make the sampling programs of a state, with averaged parameters if there are any.

    Programs are deterministic: StyleGAN's noise inputs are constant, and pix2pix's dropout is off.

    Returns:
        The variables of the sampling networks, and their programs: `generate(z, [label | text])`
        for games with latents, `x2y(x)` and the like for translation.

    Raises:
        UserError: batch statistics have to be recomputed and the data are missing.
    """

    def conditions() -> Conditions:
        source: Any = find_data(built)
        return built.sampler.conditions(source, STATISTICS_CONDITIONS)

    frozen = built.sampler.freeze(state, conditions)
    shape = data_shape(built.experiment.data)
    if frozen.decode is not None:
        return frozen.variables, (_generate(frozen, built),)
    kind = "an image in [-1, 1]" if len(shape) == 3 else "a segment of normalised speech"
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
        inputs.append(Input("text", (game["text"],), "float32", "a caption embedding"))
    names = [condition.name for condition in inputs[1:]]

    def run(variables: Networks, z: Array, *conditions: Array) -> Array:
        assert frozen.decode is not None
        return frozen.decode(
            variables, z, dict(zip(names, map(jnp.asarray, conditions), strict=True))
        )

    return Program("generate", tuple(inputs), run)
