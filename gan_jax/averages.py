"""Averaged copies of networks: exponential moving averages of their parameters.

A network's first copy has the network's name, another one `NETWORK@HALF_LIFE`, as in
"generator@50" for a half-life of 50 thousand images.
"""

from collections.abc import Callable, Iterable, Mapping

import jax
import jax.numpy as jnp
from jaxtyping import PyTree, Scalar

Decay = float | Callable[[Scalar], Scalar]
"""The decay per round: a number, or a function of the round."""

Decays = Decay | Mapping[float, Decay] | None
"""What a game is given: no decay, a single one, or several by half-life in thousands of images."""


def copies(networks: Iterable[str], decays: Decays) -> dict[str, Decay]:
    """Name the averaged copies of some networks, each with its decay.

    Args:
        networks: the names of the networks, which all have the same decays.
        decays: of several, the first one is that of the copies that make samples.
    """
    if decays is None:
        return {}
    if not isinstance(decays, Mapping):
        return dict.fromkeys(networks, decays)
    return {
        copy_name(network, half_life if number else None): decay
        for network in networks
        for number, (half_life, decay) in enumerate(decays.items())
    }


def copy_name(network: str, half_life: float | None = None) -> str:
    """Name a copy of a network: the first one, or that of a half-life."""
    return network if half_life is None else f"{network}@{half_life:g}"


def network_of(copy: str) -> str:
    """Return the name of the network that a copy averages."""
    return copy.partition("@")[0]


def half_life_of(copy: str) -> float | None:
    """Return the half-life in a copy's name; None for a network's first copy."""
    half_life = copy.partition("@")[2]
    return float(half_life) if half_life else None


def first_copies(names: Iterable[str], variables: Mapping[str, PyTree]) -> dict[str, PyTree]:
    """Copy the variables of the averaged networks, at the start of a game."""
    return {n: jax.tree.map(jnp.copy, dict(variables[network_of(n)])) for n in names}


def move(
    averages: Mapping[str, Mapping[str, PyTree]],
    decays: Mapping[str, Decay],
    params: Mapping[str, PyTree],
    stats: Mapping[str, PyTree],
    step: Scalar,
) -> dict[str, PyTree]:
    """Move every copy after a round: its parameters by its decay; its statistics are the newest.

    Args:
        averages: variables by copy.
        decays: by copy.
        params: of the networks after the round.
        stats: of the networks after the round.
        step: the round's number, from 0.
    """
    moved = {}
    for name, decay in decays.items():
        network, rate = network_of(name), decay(step) if callable(decay) else decay
        new_params = jax.tree.map(
            lambda mean, new, rate=rate: new + rate * (mean - new),
            averages[name]["params"],
            params[network],
        )
        moved[name] = {"params": new_params, **stats[network]}
    return moved
