"""Experiments as JSON and back, and the fingerprint of what decides a run's numbers."""

import dataclasses
import hashlib
import json
import typing
from collections.abc import Mapping
from typing import Any

from gan_jax.config.check import check
from gan_jax.config.games import Gan
from gan_jax.config.kinds import KINDS, Game, find, kind_of
from gan_jax.config.schema import Experiment
from gan_jax.errors import UserError, nearest
from gan_jax.json_types import JsonObject

SINCE = {"ema_rampup": 0.0}  # fields of later versions: what runs without them did

FREE = ("name", "run", "data.path", "data.data_dir", "data.on_bad_image")  # do not move the numbers


def to_dict(experiment: Experiment) -> JsonObject:
    """Nested plain values, for JSON; a network and a game also say their `kind`."""

    def plain(node: object) -> Any:
        if dataclasses.is_dataclass(node):
            kind = {"kind": type(node).__name__} if kind_of(node) else {}
            return kind | {f.name: plain(getattr(node, f.name)) for f in dataclasses.fields(node)}
        return list(node) if isinstance(node, tuple) else node

    return plain(experiment)


def from_dict(tree: Mapping[str, object]) -> Experiment:
    """The inverse of `to_dict`. Raises UserError on a field this version does not know."""

    def rebuild(value: Any, hint: Any, path: str) -> Any:
        if hint is Game and isinstance(value, Mapping) and "kind" not in value:
            hint = Gan  # version 0.1.0 had one game and did not name it
        if hint in KINDS and isinstance(value, Mapping):
            hint = find(hint, str(value.get("kind")), path)
            value = {name: item for name, item in value.items() if name != "kind"}
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            if not isinstance(value, Mapping):
                raise UserError(f"{path or 'experiment'} = {value!r}: {hint.__name__} is needed")
            hints = typing.get_type_hints(hint)
            for name in value:
                if name not in hints:
                    close = nearest(name, hints)
                    where = f"{path}.{name}".lstrip(".")
                    raise UserError(f"no field {where!r}; did you mean {close}?")
            for f in dataclasses.fields(hint):
                no_default = f.default is f.default_factory is dataclasses.MISSING
                if no_default and f.name not in value:
                    raise UserError(f"{path or 'experiment'} lacks the field {f.name!r}")
            value = {k: v for k, v in SINCE.items() if k in hints} | dict(value)
            inside = {k: rebuild(v, hints[k], f"{path}.{k}".lstrip(".")) for k, v in value.items()}
            return hint(**inside)
        tupled = typing.get_origin(hint) is tuple and isinstance(value, list)
        return tuple(value) if tupled else value

    return check(rebuild(tree, Experiment, ""))


def flatten(tree: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Dotted names to leaves: {"game.r1": 10.0, ...}."""
    flat: dict[str, object] = {}
    for name, value in tree.items():
        nested = isinstance(value, Mapping)
        flat |= flatten(value, f"{prefix}{name}.") if nested else {f"{prefix}{name}": value}
    return flat


def identity(experiment: Experiment) -> dict[str, object]:
    """The dotted fields that decide a run's numbers: all but those in `FREE`."""
    return {
        path: value
        for path, value in flatten(to_dict(experiment)).items()
        if not any(path == free or path.startswith(free + ".") for free in FREE)
    }


def fingerprint(experiment: Experiment) -> str:
    """Twelve hexadecimal digits shared by experiments that differ only in `FREE` or the seed.

    Fields at their default are left out, so that one added later leaves old fingerprints alone.
    """

    def plain(value: object) -> object:  # 1 and 1.0 are the same number
        if isinstance(value, tuple):
            return [plain(item) for item in value]
        return float(value) if type(value) is int else value

    def chosen(node: Any) -> dict[str, object]:
        named = kind_of(node)
        found: dict[str, object] = {"kind": type(node).__name__} if named else {}
        for f in dataclasses.fields(node):
            value = getattr(node, f.name)
            if dataclasses.is_dataclass(value):
                found[f.name] = chosen(value)
            elif value != f.default:
                found[f.name] = plain(value)
        return found

    def decisive(path: str) -> bool:
        free = (*FREE, "seed")
        return not any(path == one or path.startswith(one + ".") for one in free)

    values = {k: v for k, v in flatten(chosen(experiment)).items() if decisive(k)}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]
