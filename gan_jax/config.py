"""Configuration."""
import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """A mistake in configuration, data, files or checkpoints: one clear line for the user, exit code 2."""


def nearest(name: str, valid: Iterable[str]) -> str:
    """The entry of `valid` that looks most like `name`, quoted; all of them when nothing is close."""
    valid = sorted(valid)
    close = difflib.get_close_matches(name, valid, n=1, cutoff=0.5)
    return repr(close[0]) if close else "one of " + ", ".join(map(repr, valid))
