"""Safeguards of a run: a directory lock, orderly shutdown, and checks for failed training."""

import fcntl
import math
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from gan_jax import parallel
from gan_jax.errors import Stopped, UserError
from gan_jax.reporting.run_log import Row

SATURATED_ROWS = 50  # consecutive logged rounds before a discriminator counts as saturated
SATURATED_ACCURACY = 0.995  # on real and on fake samples
COLLAPSED_SPREAD = 0.05  # of the spread of real data
NAMED_LEAVES = 3  # in the message about a state that is not finite


@contextmanager
def exclusive(workdir: Path) -> Iterator[None]:
    """Lock a run directory, which is created if missing, against other runs.

    Raises:
        UserError: another run holds the lock, or the directory cannot be written.
    """
    if not parallel.is_main_process():
        yield
        return
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        lock = open(workdir / ".lock", "w")  # noqa: SIM115 -- open for the whole run
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
    """Collect SIGTERM, which a preempted machine sends, and Ctrl-C instead of ending at once.

    A second Ctrl-C raises KeyboardInterrupt. If several processes train together, they must stop in
    the same round: then the list stays empty, and jax and orbax handle the signal.

    Yields:
        The list of the signals received so far.

    Raises:
        Stopped: on exit, if a signal came too late to stop the run.
    """
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            if received:
                raise KeyboardInterrupt
            os.write(2, b"\nstopping after this round; press Ctrl-C again to stop at once\n")
        received.append(number)

    if parallel.multi_process():
        yield received
        return
    try:
        before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    except ValueError:  # not the main thread: only that may handle signals
        yield received
        return
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if received:  # the run is complete, but the caller must not start another
        raise Stopped("the run was finished when the signal to stop arrived", 128 + received[0])


@contextmanager
def exit_on_peer_loss() -> Iterator[None]:
    """End this process with code 1 as soon as another process of the run has ended.

    It ends without cleaning up, which would wait for the other process.
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


def require_finite(row: Row) -> None:
    """Check a row of metrics.

    Raises:
        Stopped: some of its numbers, which the message names, are NaN or infinite.
    """
    bad = [n for n, x in row.items() if isinstance(x, float) and not math.isfinite(x)]
    if bad:
        values = ", ".join(f"{name} is {row[name]}" for name in bad)
        raise Stopped(f"round {row['step']}: {values}; checkpoints before it are kept", 1)


def require_finite_state(step: int, state: PyTree) -> None:
    """Check a state before it is saved: a run could not continue from one that is not finite.

    Raises:
        Stopped: some of its leaves, which the message names, hold a NaN or an infinity.
    """
    leaves = {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf
        for path, leaf in jax.tree.leaves_with_path(parallel.first_replica(state))
        if jnp.issubdtype(leaf.dtype, jnp.floating)
    }
    finite = jax.device_get(_all_finite(leaves))
    bad = [name for name in leaves if not finite[name]]
    if bad:
        others = len(bad) - NAMED_LEAVES
        names = ", ".join(bad[:NAMED_LEAVES]) + (f" and {others} more" if others > 0 else "")
        raise Stopped(f"round {step}: {names} not finite; checkpoints before it are kept", 1)


@jax.jit
def _all_finite(leaves: dict[str, Array]) -> dict[str, Array]:
    return {name: jnp.isfinite(leaf).all() for name, leaf in leaves.items()}


class Diagnostics(NamedTuple):
    """What the checks for failed training remember between rounds.

    Attributes:
        saturated_rows: how many of the last rows had a saturated discriminator.
        reported: the problems that were reported; each is reported once per run.
    """

    saturated_rows: int = 0
    reported: frozenset[str] = frozenset()


def check_saturation(diagnostics: Diagnostics, row: Row) -> tuple[Diagnostics, str | None]:
    """Look for a discriminator that has been almost always right for `SATURATED_ROWS` rows.

    Args:
        diagnostics: those after the row before.
        row: metrics of a round.

    Returns:
        The new diagnostics, and a warning the first time.
    """
    real, fake = (row.get(f"discriminator/{side}_accuracy", 0.0) for side in ("real", "fake"))
    saturated = min(real, fake) > SATURATED_ACCURACY
    rows = diagnostics.saturated_rows + 1 if saturated else 0
    diagnostics = diagnostics._replace(saturated_rows=rows)
    if rows < SATURATED_ROWS or "saturation" in diagnostics.reported:
        return diagnostics, None
    text = (
        f"the discriminator is saturated: it classified {real:.1%} of real and {fake:.1%} of "
        f"fake samples correctly for the last {SATURATED_ROWS} logged rounds"
    )
    return diagnostics._replace(reported=diagnostics.reported | {"saturation"}), text


def check_collapse(
    diagnostics: Diagnostics, samples: float, reals: float
) -> tuple[Diagnostics, str | None]:
    """Look for a generator whose samples are almost all alike.

    Args:
        diagnostics: those after the samples before.
        samples: the `spread` of generated samples.
        reals: the `spread` of real samples.

    Returns:
        The new diagnostics, and a warning the first time.
    """
    if samples >= COLLAPSED_SPREAD * reals or "collapse" in diagnostics.reported:
        return diagnostics, None
    text = (
        f"the generator may have collapsed: the spread of its samples is {samples:.4f}, "
        f"that of real data {reals:.4f}"
    )
    return diagnostics._replace(reported=diagnostics.reported | {"collapse"}), text


def spread(samples: Float[np.ndarray, "n *d"]) -> float:
    """Compute the standard deviation over samples, averaged over their coordinates."""
    return float(samples.std(axis=0).mean())
