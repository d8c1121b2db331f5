"""Checks every value of an experiment against the type and range of its field."""

import dataclasses
import math
import types
import typing
from typing import Any, Literal

from gan_jax.config.kinds import KINDS
from gan_jax.config.schema import Experiment
from gan_jax.errors import UserError, nearest

POSITIVE = (
    "batch_size",
    "data.cepstra",
    "data.frames",
    "data.resolution",
    "game.ada_kimg",
    "game.grow.batch_sizes",
    "game.head",
    "game.n_critic",
    "game.patches",
    "game.path_every",
    "game.penalty_every",
    "game.scale",
    "game.temperature",
    "game.text",
    "game.text_scale",
    "game.vision_aided.resolution",
    "game.vision_aided.width",
    "game.z",
    *(
        f"{player}.network.{size}"
        for player in ("generator", "discriminator")
        for size in (
            *("width", "widths", "w", "base", "most"),
            *("blocks", "cardinality", "expansion", "widest"),
        )
    ),
    "run.keep",
    "run.log_every",
    "run.metric_samples",
)

SHARES = (
    "game.anneal.beta2",
    *(f"{player}.network.dropout" for player in ("generator", "discriminator")),
)

SEEDS = 2**32  # jax keeps 32 bits of a seed: larger ones would repeat those below


def check(experiment: Experiment) -> Experiment:
    """Returns the experiment if every value fits its field's type, else raises UserError."""
    _check(experiment, Experiment, "")
    for role in ("generator", "discriminator"):
        betas = getattr(experiment, role).betas
        if max(betas) >= 1.0:
            raise UserError(f"{role}.betas = {betas!r}: numbers below 1 are needed")
    if experiment.seed >= SEEDS:
        raise UserError(f"seed = {experiment.seed}: a number below {SEEDS} is needed")
    return experiment


def _check(value: Any, hint: Any, path: str) -> None:
    if hint in KINDS:
        kind = KINDS[hint].get(type(value).__name__)
        if kind is None or kind.config is not type(value):
            raise UserError(f"{path} = {value!r}: one of {', '.join(KINDS[hint])} is needed")
        return _check(value, kind.config, path)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        match = [a for a in args if a is type(value) or (value is None and a is type(None))]
        if match:
            return _check(value, match[0], path)
        return _check(value, args[0], path)
    if dataclasses.is_dataclass(hint):
        if type(value) is not hint:
            raise UserError(f"{path or 'experiment'} = {value!r}: a {_plain(hint)} is needed")
        hints = typing.get_type_hints(hint)
        for f in dataclasses.fields(hint):
            _check(getattr(value, f.name), hints[f.name], f"{path}.{f.name}".lstrip("."))
        return None
    if origin is Literal:
        if value not in args or isinstance(value, bool):
            raise UserError(
                f"{path} = {value!r}: did you mean {nearest(str(value), map(str, args))}?"
            )
        return None
    if origin is tuple:
        if not isinstance(value, tuple) or (args[-1] is not ... and len(value) != len(args)):
            raise UserError(f"{path} = {value!r}: {_plain(hint)} is needed")
        for number, item in enumerate(value):
            _check(item, args[0] if args[-1] is ... else args[number], f"{path}[{number}]")
        return None
    fits = isinstance(value, (int, float) if hint is float else hint)
    if hint is not type(None) and (not fits or (isinstance(value, bool) and hint is not bool)):
        raise UserError(f"{path} = {value!r}: {_plain(hint)} is needed")
    if hint in (int, float):
        name = path.partition("[")[0]
        positive = name in POSITIVE
        if name in SHARES and value >= 1:
            raise UserError(f"{path} = {value!r}: a number below 1 is needed")
        if not (math.isfinite(value) and value >= 0 and (value > 0 or not positive)):
            least = "above 0" if positive and hint is float else f"of at least {int(positive)}"
            raise UserError(f"{path} = {value!r}: a number {least} is needed")
    return None


def _plain(hint: object) -> str:
    names = [_plain(one) for one in typing.get_args(hint)]
    return (
        ", ".join(names)
        if isinstance(hint, types.UnionType)
        else getattr(hint, "__name__", str(hint))
    )
