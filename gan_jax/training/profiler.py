"""A trace of a few rounds for TensorBoard, XProf and Perfetto: what the devices did, and when."""

from collections.abc import Generator, Iterable
from pathlib import Path
from typing import TypeVar

import jax

T = TypeVar("T")
SETTLED = 3  # rounds that are not traced: they compile


def traced(plays: Iterable[T], folder: Path, rounds: int) -> Generator[T, None, None]:
    """Yields what `plays` yields; traces `rounds` of them, or as many as there are.

    The trace ends a round late, as the metrics are read: the last of its rounds is whole.
    """
    tracing = False
    try:
        for turn, play in enumerate(plays):
            if turn == SETTLED:
                jax.profiler.start_trace(folder, profiler_options=_without_python())
                tracing = True
            with jax.profiler.StepTraceAnnotation("round", step_num=turn):
                yield play
            if tracing and turn == SETTLED + rounds:
                jax.profiler.stop_trace()
                tracing = False
    finally:
        if tracing:
            jax.profiler.stop_trace()


def _without_python() -> jax.profiler.ProfileOptions:
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0  # calls of Python would bury the devices' work
    return options
