"""Errors that a user can mend, and the nearest valid name."""

import difflib
from collections.abc import Iterable
from pathlib import Path


class UserError(ValueError):
    """A mistake in configuration, data, files or checkpoints: one clear line, exit code 2."""


class Stopped(Exception):
    """A run that ended early on purpose, with a message for the user and an exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class NoSplit(UserError):
    """The data is there and has no such split, or nothing in it."""


def nearest(name: str, valid: Iterable[str]) -> str:
    """The entry of `valid` that looks most like `name`, quoted.

    If none is close: all of them, or the five closest of more than 50.
    """
    valid = sorted(valid)
    if not valid:
        return "nothing: there is none"
    close = difflib.get_close_matches(name, valid, n=1, cutoff=0.5)
    if close:
        return repr(close[0])
    if len(valid) <= 50:
        return "one of " + ", ".join(map(repr, valid))
    closest = difflib.get_close_matches(name, valid, n=5, cutoff=0.0)
    return f"one of {len(valid)}, such as " + ", ".join(map(repr, closest))


def no_run(workdir: Path, missing: str = "config.json") -> UserError:
    """The error that a directory holds no run; it names the nearest run inside or beside it."""
    found = [*workdir.glob("*/config.json"), *workdir.parent.glob("*/config.json")]
    runs = {str(path.parent) for path in found}
    guess = f"; did you mean {nearest(str(workdir), runs)}?" if runs else ""
    return UserError(f"no run in {str(workdir)!r}: {missing} is missing{guess}")
