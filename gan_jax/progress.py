"""A line on stderr for long operations that print nothing: what is running, and for how long."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

DELAY = 1.0  # seconds before a line is printed
LOG_INTERVAL = 30.0  # seconds between lines when stderr is not a terminal


@contextmanager
def clock(label: str, *, delay: float = DELAY) -> Iterator[None]:
    """Show a label and the elapsed seconds while the block runs, if it takes longer than `delay`.

    A terminal shows one line, which is updated every second and removed at the end. A log gets a
    line at the start, one every half minute, and one at the end.

    Args:
        label: the operation as a participle: "compiling".
        delay: seconds before the first line.
    """
    out = sys.stderr
    start, finished = time.perf_counter(), threading.Event()
    terminal = out.isatty()
    printed = False

    def show(text: str) -> None:
        nonlocal printed
        printed = True
        print(f"\r\033[K{text}" if terminal else text, end="" if terminal else "\n", file=out)
        out.flush()

    def tick() -> None:
        wait = delay
        while not finished.wait(wait):
            seconds = time.perf_counter() - start
            show(f"{label} ... {seconds:.0f} s" if terminal or printed else f"{label} ...")
            wait = 1.0 if terminal else LOG_INTERVAL

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join()
        if printed and terminal:
            print("\r\033[K", end="", file=out, flush=True)
        elif printed:
            show(f"{label} took {time.perf_counter() - start:.0f} s")


def first_call_timed(function: Callable[P, T], label: str) -> Callable[P, T]:
    """Wrap a compiled function so that its first call, which compiles it, runs under a `clock`."""
    called = False

    @wraps(function)
    def run(*args: P.args, **options: P.kwargs) -> T:
        nonlocal called
        if called:
            return function(*args, **options)
        called = True
        with clock(label):
            import jax  # not at the top: commands that only read data show a clock too

            return jax.block_until_ready(function(*args, **options))

    return run
