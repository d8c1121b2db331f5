"""Traces of a few rounds on the devices, for TensorBoard, XProf and Perfetto."""

from collections.abc import Generator, Iterable
from pathlib import Path
from typing import TypeVar

import jax

T = TypeVar("T")
WARM_UP = 3  # rounds that are not traced: they compile


def traced(rounds: Iterable[T], folder: Path, count: int) -> Generator[T, None, None]:
    """Yield from `rounds`, and trace `count` of them after the warm-up.

    The trace ends one round late, because the last of its rounds is only dispatched when the next
    one is requested.

    Args:
        rounds: the rounds of a run.
        folder: where the trace is written.
        count: the number of rounds to trace; fewer are traced if there are fewer.

    Yields:
        The rounds.
    """
    tracing = False
    try:
        for number, current in enumerate(rounds):
            if number == WARM_UP:
                jax.profiler.start_trace(folder, profiler_options=_without_python())
                tracing = True
            with jax.profiler.StepTraceAnnotation("round", step_num=number):
                yield current
            if tracing and number == WARM_UP + count:
                jax.profiler.stop_trace()
                tracing = False
    finally:
        if tracing:
            jax.profiler.stop_trace()


def _without_python() -> jax.profiler.ProfileOptions:
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0  # Python calls would hide the devices' work
    return options
