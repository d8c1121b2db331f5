"""A line on stderr that says what is going on, and for how long, where nothing else does."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import jax

DELAY = 1.0  # seconds that need no line
QUIET = 30.0  # seconds between the lines of a log file


@contextmanager
def clock(what: str, *, delay: float = DELAY) -> Iterator[None]:
    """Shows `what` and the seconds it has taken, once it takes longer than `delay`.

    A terminal gets one line that ticks and disappears. A log gets one at the start, one every half
    minute, and one at the end.

    Args:
        what: what is going on, in the -ing form: "compiling".
        delay: seconds before anything is written.
    """
    out = sys.stderr
    begun, over = time.perf_counter(), threading.Event()
    terminal = out.isatty()
    shown = False

    def say(text: str) -> None:
        nonlocal shown
        shown = True
        print(f"\r\033[K{text}" if terminal else text, end="" if terminal else "\n", file=out)
        out.flush()

    def tick() -> None:
        wait, text = delay, f"{what} ..."
        while not over.wait(wait):
            seconds = time.perf_counter() - begun
            say(f"{what} ... {seconds:.0f} s" if terminal or shown else text)
            wait = 1.0 if terminal else QUIET

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        if shown and terminal:
            print("\r\033[K", end="", file=out, flush=True)
        elif shown:
            say(f"{what} took {time.perf_counter() - begun:.0f} s")


def first_call_timed(f: Callable[..., Any], what: str) -> Callable[..., Any]:
    """The function `f`, whose first call, which compiles it, runs under a `clock`."""
    called = False

    @wraps(f)
    def run(*args: Any, **more: Any) -> Any:
        nonlocal called
        if called:
            return f(*args, **more)
        called = True
        with clock(what):
            return jax.block_until_ready(f(*args, **more))

    return run
