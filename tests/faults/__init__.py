"""Faults that are injected into training runs.

A fault is a function of a `Harness` that returns a `Verdict`: it passes if the interrupted run,
when resumed, agrees with an undisturbed run in every bit, or if the run is refused with one line
and exit code 2. `scripts/torture.py` runs all of them on a recipe;
`tests/faults/test_faults.py` runs those that need no process of their own.
"""

from collections.abc import Callable

from faults.changes import changed_data, older_version, other_game
from faults.disk import disk_full, file_for_folder, quota, read_only
from faults.files import (
    damaged_checkpoint,
    no_checkpoint_left,
    spoilt_config,
    spoilt_metrics,
    torn_metrics,
)
from faults.harness import Harness, Verdict
from faults.processes import clock, two_processes
from faults.signals import kill, terminate

FAULTS: dict[str, Callable[[Harness], Verdict]] = {
    fault.__name__: fault
    for fault in (
        kill,
        terminate,
        disk_full,
        quota,
        read_only,
        file_for_folder,
        damaged_checkpoint,
        no_checkpoint_left,
        torn_metrics,
        spoilt_metrics,
        spoilt_config,
        older_version,
        other_game,
        changed_data,
        two_processes,
        clock,
    )
}
