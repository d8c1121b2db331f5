"""Replaces fields of an experiment by their dotted names."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from gan_jax.config.check import check
from gan_jax.config.schema import Experiment
from gan_jax.errors import UserError, nearest


def change(experiment: Experiment, changes: Mapping[str, object]) -> Experiment:
    """The experiment with dotted fields replaced: `change(e, {"discriminator.lr": 4e-4})`.

    Raises UserError for an unknown field or a value its type does not admit.
    """
    for path, value in changes.items():
        experiment = _replace(experiment, path.split("."), value, path)
    return check(experiment)


def _replace(node: Any, parts: list[str], value: Any, path: str) -> Any:
    head, *rest = parts
    names = list(getattr(node, "__dataclass_fields__", ()))
    if head not in names:
        where = path[: len(path) - len(".".join(parts)) - 1]
        if not names:
            raise UserError(f"no field {path!r}: {where!r} is {node!r}, which has no fields")
        inside = f" in {where!r}" if where else ""
        raise UserError(f"no field {path!r}; did you mean {nearest(head, names)}{inside}?")
    inner = _replace(getattr(node, head), rest, value, path) if rest else value
    return dataclasses.replace(node, **{head: inner})
