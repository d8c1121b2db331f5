"""The networks that make a run's samples, as a file of safetensors, and a state made of them."""

from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import game, parallel
from gan_jax.build.parts import Built
from gan_jax.errors import UserError
from gan_jax.game import State, Variables
from gan_jax.interop import portable
from gan_jax.interop.names import read_safetensors

Arrays = Mapping[str, np.ndarray]  # by dotted name: "generator.params.out.kernel"


def is_averaged(built: Built) -> bool:
    """Return whether averaged copies make the samples."""
    return built.sampler.recipe.nets[0] in built.game.ema


def rounded(variables: Mapping[str, Variables], dtype: str) -> dict[str, np.ndarray]:
    """Flatten the variables of networks, with parameters in `dtype`; statistics stay float32."""
    return {
        name: array.astype(dtype) if ".params." in name else array
        for name, array in portable.flatten(variables).items()
    }


def read_networks(file: Path) -> dict[str, Variables]:
    """Read the variables of each network from a file, in float32.

    Raises:
        UserError: the file cannot be read.
    """
    return as_networks(read_safetensors(file))


def as_networks(arrays: Arrays) -> dict[str, Variables]:
    """Invert `rounded`, up to the rounding."""
    halves = ("float16", "bfloat16")
    return portable.unflatten(
        {n: x.astype(np.float32) if x.dtype in halves else x for n, x in arrays.items()}
    )


def sampling_state(
    built: Built, networks: Mapping[str, Variables], step: int, origin: str
) -> State:
    """Make a state that holds the networks that make samples, and no others.

    Args:
        built: the parts of the run.
        networks: their variables by name.
        step: the round of the state.
        origin: of the networks, for messages.

    Raises:
        UserError: the networks are not those of the run.
    """
    like = jax.eval_shape(lambda: game.init(built.game, built.key))
    expected = built.sampler.variables(like)
    difference = mismatch(networks, expected)
    if difference or expected.keys() - networks.keys():
        missing = ", ".join(expected.keys() - networks.keys())
        raise UserError(f"{origin} does not hold this run: {difference or f'no {missing}'}")
    held = {
        n: jax.tree.map(lambda x, s: jnp.asarray(x, s.dtype), networks[n], expected[n])
        for n in expected
    }
    params = {name: variables["params"] for name, variables in held.items()}
    stats = {name: game.statistics(variables) for name, variables in held.items()}
    ema = held if is_averaged(built) else {}
    return parallel.place(State(jnp.asarray(step, jnp.int32), params, stats, {}, ema), built.mesh)


def mismatch(networks: Mapping[str, Variables], expected: Mapping[str, Variables]) -> str:
    """Describe the first difference in names and shapes of the networks that both have; "" if none.

    Args:
        networks: variables by network.
        expected: variables or their shapes by network.
    """
    common = [name for name in expected if name in networks]
    have, need = (_shapes({n: tree[n] for n in common}) for tree in (networks, expected))
    for name in [*need, *sorted(have.keys() - need.keys())]:
        if have.get(name) != need.get(name):
            there, here = (shapes.get(name, "none") for shapes in (have, need))
            return f"{name} has shape {there} there and {here} here"
    return ""


def _shapes(variables: Mapping[str, Variables]) -> dict[str, tuple[int, ...]]:
    """The shapes by dotted name, parameters before statistics."""
    shapes = {
        jax.tree_util.keystr(path, simple=True, separator="."): tuple(np.shape(leaf))
        for path, leaf in jax.tree_util.tree_leaves_with_path(variables)
    }
    return dict(sorted(shapes.items(), key=lambda item: ".params." not in item[0]))
