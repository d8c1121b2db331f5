"""One pass of a network inside a loss, shared by the games of translators."""

from collections.abc import Mapping
from typing import Any

from jaxtyping import Array, Key, PyTree

from gan_jax.game import Batch, GameVariables, Net, noise_key


def apply_net(
    nets: Mapping[str, Net],
    variables: GameVariables,
    name: str,
    inputs: tuple[Array, ...],
    key: Key[Array, ""],
    batch: Batch,
    purpose: str,
    *,
    method: str | None = None,
) -> tuple[Any, dict[str, PyTree]]:
    """Apply a network of a game in one pass of a loss.

    Args:
        nets: the networks.
        variables: theirs.
        name: of the network.
        inputs: its inputs.
        key: of the round.
        batch: of the round.
        purpose: tells the noise of this pass from that of others.
        method: of the module; None for its call.

    Returns:
        The output, and all variables, with the network's statistics after the pass.
    """
    noise = noise_key(key, f"{name}/{purpose}", batch)
    out, stats = nets[name](variables[name], *inputs, key=noise, method=method)
    return out, {**variables, name: {**variables[name], **stats}}
