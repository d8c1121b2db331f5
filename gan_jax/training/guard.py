"""What protects a run: one process for a directory, an orderly end on SIGTERM, alarms."""

import fcntl
import math
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from gan_jax import parallel
from gan_jax.errors import UserError

SATURATED_ROWS = 50  # logged rounds in a row before a discriminator counts as saturated
SATURATED = 0.995  # of both accuracies
COLLAPSED = 0.05  # of the real data's spread


class Stopped(Exception):
    """A run that ended early on purpose, with the message and the exit code for the user."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


@contextmanager
def exclusive(workdir: Path) -> Iterator[None]:
    """Holds the directory (made if missing) for this process, and those that train with it.

    Raises UserError if another process holds it or it cannot be written.
    """
    if not parallel.is_main_process():
        yield
        return
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        lock = open(workdir / ".lock", "w")  # noqa: SIM115 -- held for the whole run
    except OSError as error:
        raise UserError(f"cannot write to workdir {str(workdir)!r}: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(f"workdir {str(workdir)!r} is in use by another process") from error
        yield


@contextmanager
def termination() -> Iterator[list[int]]:
    """A list that SIGTERM, which a preempted machine sends, and Ctrl-C fill while it is open.

    A second Ctrl-C interrupts at once. Raises Stopped at its end where nothing else did. Several
    processes must stop in the same round: there jax listens, and orbax makes them agree.
    """
    received: list[int] = []

    def note(number: int, frame: Any) -> None:
        if number == signal.SIGINT:
            if received:
                raise KeyboardInterrupt
            os.write(2, b"\nending after this round; Ctrl-C once more ends at once\n")
        received.append(number)

    if parallel.multi_process():
        yield received
        return
    try:
        before = {one: signal.signal(one, note) for one in (signal.SIGTERM, signal.SIGINT)}
    except ValueError:  # not the main thread, which alone may handle signals
        yield received
        return
    try:
        yield received
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    if received:  # too late for another round: what comes after this run must know
        raise Stopped("the run was finished when it was asked to end", 128 + received[0])


@contextmanager
def company() -> Iterator[None]:
    """Ends this process with code 1 as soon as another process of the run has gone.

    At once: an orderly end would wait for it.
    """
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if not parallel.multi_process():
            raise
        reason = " ".join(str(error).split())[:200]
        message = "another process of this run has ended; the same command on all of them resumes"
        print(f"{message} ({reason})", file=sys.stderr, flush=True)
        os._exit(1)


class Alarms(NamedTuple):
    """How long a discriminator has been saturated, and which warnings were given."""

    saturated: int = 0
    given: frozenset[str] = frozenset()


def require_finite(row: Mapping[str, Any]) -> None:
    """Raises Stopped naming the quantities of a row that are NaN or infinite."""
    bad = [n for n, x in row.items() if isinstance(x, float) and not math.isfinite(x)]
    if bad:
        values = ", ".join(f"{name} is {row[name]}" for name in bad)
        raise Stopped(f"round {row['step']}: {values}; checkpoints before it are kept", 1)


def require_finite_state(step: int, state: PyTree) -> None:
    """Raises Stopped naming the leaves of a state that hold a NaN or an infinity.

    To be called before a checkpoint: a run that resumed from such a state could not go on.
    """
    leaves = {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf
        for path, leaf in jax.tree.leaves_with_path(parallel.first_replica(state))
        if jnp.issubdtype(leaf.dtype, jnp.floating)
    }
    fine = jax.device_get(_all_finite(leaves))
    bad = [name for name in leaves if not fine[name]]
    if bad:
        more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
        named = ", ".join(bad[:3]) + more
        raise Stopped(f"round {step}: {named} not finite; checkpoints before it are kept", 1)


@jax.jit
def _all_finite(leaves: dict[str, Array]) -> dict[str, Array]:
    return {name: jnp.isfinite(leaf).all() for name, leaf in leaves.items()}


def watch_accuracy(alarms: Alarms, row: Mapping[str, Any]) -> tuple[Alarms, str | None]:
    """The alarms after a row of metrics, and a warning the first time D has won for long."""
    sides = [row.get(f"discriminator/{side}_accuracy", 0.0) for side in ("real", "fake")]
    alarms = alarms._replace(saturated=alarms.saturated + 1 if min(sides) > SATURATED else 0)
    if alarms.saturated < SATURATED_ROWS or "saturated" in alarms.given:
        return alarms, None
    text = (
        f"the discriminator is saturated: it judged {sides[0]:.1%} of reals and {sides[1]:.1%} of "
        f"fakes rightly in the last {SATURATED_ROWS} logged rounds"
    )
    return alarms._replace(given=alarms.given | {"saturated"}), text


def spread(samples: Float[np.ndarray, "n *d"]) -> float:
    """The standard deviation over the samples, averaged over their coordinates."""
    return float(samples.std(axis=0).mean())


def watch_spread(alarms: Alarms, samples: float, reals: float) -> tuple[Alarms, str | None]:
    """The alarms after a grid of samples, and a warning the first time they are all alike."""
    if samples >= COLLAPSED * reals or "collapsed" in alarms.given:
        return alarms, None
    text = (
        f"the generator may have collapsed: the spread of its samples is {samples:.4f}, "
        f"that of real data {reals:.4f}"
    )
    return alarms._replace(given=alarms.given | {"collapsed"}), text
