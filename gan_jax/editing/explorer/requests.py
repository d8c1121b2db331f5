"""Parameters of requests, read from the query of a URL; what is wrong is one clear line."""

from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import parse_qsl

from gan_jax.errors import UserError, nearest

MAX_SEED = 2**31 - 1

Read = Callable[[str], Any]
"""The text of a parameter to its value; raises UserError."""


def read(query: str, fields: Mapping[str, Read]) -> dict[str, Any]:
    """Parse the parameters of a query.

    Args:
        query: such as 'seed=3&psi=0.7'.
        fields: how each parameter is read, by name.

    Returns:
        The values of the parameters that the query holds.

    Raises:
        UserError: for an unknown parameter, or a value that its reader refuses.
    """
    values = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in fields:
            raise UserError(f"no parameter {name!r}; did you mean {nearest(name, fields)}?")
        values[name] = fields[name](value)
    return values


def required(values: Mapping[str, Any], *names: str) -> tuple[Any, ...]:
    """The values of parameters that a request must have. Raises UserError for a missing one."""
    for name in names:
        if name not in values:
            raise UserError(f"the parameter {name!r} is missing")
    return tuple(values[name] for name in names)


def number(name: str, kind: type, least: float, most: float) -> Read:
    """Read a number of a kind, from `least` to `most`."""

    def of(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not least <= value <= most:  # NaN is refused as well
            needed = "a whole number" if kind is int else "a number"
            raise UserError(f"{name} = {text!r}: {needed} from {least:g} to {most:g} is needed")
        return value

    return of


def seed(name: str = "seed") -> Read:
    """Read a seed."""
    return number(name, int, 0, MAX_SEED)


def choice(name: str, options: Collection[str]) -> Read:
    """Read one of some words."""

    def of(text: str) -> str:
        if text not in options:
            raise UserError(f"{name} = {text!r}: did you mean {nearest(text, options)}?")
        return text

    return of
