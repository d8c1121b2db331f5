"""Checkpoints of a run by orbax: asynchronous, the last `keep` and the best, restored exactly."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from jax.sharding import Mesh
from jaxtyping import PyTree
from orbax.checkpoint import checkpoint_managers as policies

from gan_jax import parallel
from gan_jax.config import UserError
from gan_jax.metrics.names import quantity

FOLDER, TRASH = "checkpoints", ".trash"
BLOCK = 4096  # bytes of a file system: what describes a leaf takes no more


def open_manager(
    workdir: Path, *, keep: int = 2, best: str = "", highest: bool = False
) -> ocp.CheckpointManager:
    """The manager of `workdir/checkpoints`.

    Keeps the newest `keep` steps, and with `best` also the step whose metric of that quantity is
    lowest (highest, if so asked). Left-overs of a killed writer are removed.
    """
    folder = (workdir / FOLDER).absolute()
    if parallel.leads():
        shutil.rmtree(folder / TRASH, ignore_errors=True)
    keepers: list[Any] = [policies.LatestN(keep)]
    ranking = {}
    if best:

        def score(metrics: dict[str, float]) -> float:
            found = (value for name, value in metrics.items() if quantity(name) == best)
            return next(found, float("-inf") if highest else float("inf"))

        keepers.append(policies.BestN(get_metric_fn=score, n=1, reverse=not highest))
        ranking = {"best_fn": score, "best_mode": "max" if highest else "min"}
    options = ocp.CheckpointManagerOptions(
        preservation_policy=policies.AnyPreservationPolicy(keepers),
        cleanup_tmp_directories=True,
        todelete_subdir=TRASH,
        create=True,
        **ranking,
    )
    return ocp.CheckpointManager(folder, options=options)


def save(
    manager: ocp.CheckpointManager,
    step: int,
    state: PyTree,
    metrics: dict[str, float] | None = None,
) -> None:
    """Starts writing `state` as step `step`; the caller may go on training at once.

    Raises OSError where there is no room: orbax would find out halfway, in its threads.
    """
    leaves = jax.tree.leaves(state)
    needed = sum(leaf.nbytes for leaf in leaves) + BLOCK * len(leaves)
    if parallel.leads() and shutil.disk_usage(manager.directory).free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(manager.directory))
    manager.save(
        step, args=ocp.args.StandardSave(parallel.snapshot(state)), metrics=metrics, force=True
    )


def restore(
    manager: ocp.CheckpointManager,
    like: PyTree,
    mesh: Mesh,
    *,
    step: int | None = None,
    warn: Callable[[str], None] = print,
) -> tuple[int, PyTree] | None:
    """The newest readable checkpoint (or `step`), placed on the mesh; None if there is none.

    `like` gives the tree, shapes and types. A newer checkpoint that is damaged is passed over with
    a warning. Raises UserError if one of another game is found, or if none can be read.
    """
    steps = sorted(manager.all_steps(), reverse=True) if step is None else [step]
    abstract = parallel.abstract(like, mesh)
    for candidate in steps:
        try:
            return candidate, manager.restore(candidate, args=ocp.args.StandardRestore(abstract))
        except (OSError, KeyError, ValueError) as error:  # what orbax raises for damaged files
            reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else repr(error)
            if "structure" in reason.lower() or "shape" in reason.lower():
                raise UserError(
                    f"checkpoint {candidate} in {manager.directory} is of another game: {reason}"
                ) from error
            warn(f"checkpoint {candidate} cannot be read ({reason}); trying the one before it")
    if steps:
        raise UserError(f"no readable checkpoint in {manager.directory}")
    return None


def steps(workdir: Path) -> set[int]:
    """The steps that `workdir` holds whole checkpoints of, without opening any."""
    folder = workdir / FOLDER
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return {int(name) for name in names if name.isdigit()}
