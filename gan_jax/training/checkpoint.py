"""Checkpoints of a run by orbax: written asynchronously, restored bit for bit."""

import errno
import itertools
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from jax.sharding import Mesh
from jax.tree import leaves_with_path
from jax.tree_util import keystr
from jaxtyping import PyTree
from orbax.checkpoint import checkpoint_managers as policies

from gan_jax import parallel
from gan_jax.errors import UserError
from gan_jax.metrics.names import quantity
from gan_jax.reporting.run_log import CHECKPOINTS as FOLDER
from gan_jax.reporting.run_log import saved_steps as steps

TRASH = ".trash"
# What orbax raises for damaged files.
DAMAGED = (OSError, LookupError, ValueError, TypeError, AttributeError)
BLOCK = 4096  # bytes of a file system block, enough for the description of a leaf


def open_manager(
    workdir: Path,
    *,
    keep: int = 2,
    best: str = "",
    highest: bool = False,
    read_only: bool = False,
) -> ocp.CheckpointManager:
    """Open the checkpoints of a run directory.

    Deletes what a killed writer left behind, and renames checkpoints whose metadata cannot be read
    to `damaged-STEP`.

    Args:
        workdir: the run directory.
        keep: how many of the newest steps are kept.
        best: the quantity of a metric: the step with the best value is kept as well.
        highest: whether the highest value of `best` is the best; otherwise the lowest is.
        read_only: change nothing, because another process may be writing.

    Raises:
        OSError: the directory cannot be written.
    """
    folder = (workdir / FOLDER).absolute()
    if read_only:
        return ocp.CheckpointManager(folder, options=ocp.CheckpointManagerOptions(read_only=True))
    folder.mkdir(parents=True, exist_ok=True)
    if parallel.is_main_process():
        _empty_trash(folder)
        for step in sorted(steps(workdir)):
            reason = _damage(folder / str(step))
            if reason:
                renamed = _rename_damaged(folder, step)
                print(f"checkpoint {step} cannot be read ({reason}); renamed to {renamed}")
    keepers: list[Any] = [policies.LatestN(keep)]
    ranking = {}
    if best:

        def score(metrics: dict[str, float]) -> float:
            values = (value for name, value in metrics.items() if quantity(name) == best)
            return next(values, float("-inf") if highest else float("inf"))

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


def best_step(manager: ocp.CheckpointManager, best: str, *, highest: bool) -> int | None:
    """Find the kept step whose evaluation has the best value of a quantity.

    Args:
        manager: the run's checkpoints.
        best: the quantity.
        highest: whether the highest value is the best.

    Returns:
        The step; None if no kept step was evaluated.
    """
    values = {
        value: step
        for step in manager.all_steps()
        for name, value in (manager.metrics(step) or {}).items()
        if quantity(name) == best
    }
    return values[(max if highest else min)(values)] if values else None


def save(
    manager: ocp.CheckpointManager,
    step: int,
    state: PyTree,
    metrics: dict[str, float] | None = None,
) -> None:
    """Start writing `state` as step `step`, while the caller continues to train.

    Args:
        manager: the run's checkpoints.
        step: the round; an existing checkpoint of it is set aside.
        state: the state.
        metrics: values by metric name, which select the best checkpoint.

    Raises:
        OSError: the disk is too full; orbax would only notice halfway, in its threads.
    """
    _empty_trash(Path(manager.directory))
    leaves = jax.tree.leaves(state)
    needed = sum(leaf.nbytes for leaf in leaves) + BLOCK * len(leaves)
    if parallel.is_main_process() and shutil.disk_usage(manager.directory).free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(manager.directory))
    if step in manager.all_steps():  # it could not be restored and the run resumed before it
        if parallel.is_main_process():
            _rename_damaged(Path(manager.directory), step)
        manager.reload()
    manager.save(
        step, args=ocp.args.StandardSave(parallel.snapshot(state)), metrics=metrics, force=True
    )


def close(manager: ocp.CheckpointManager) -> None:
    """Wait for pending writes, and delete the checkpoints that are not kept."""
    manager.close()
    _empty_trash(Path(manager.directory))


def _empty_trash(folder: Path) -> None:
    """Delete the checkpoints that orbax has moved to the trash.

    Orbax moves them there first, in one atomic step, so that a kill leaves no partly deleted
    checkpoint behind. The folder itself stays: orbax's thread may be moving another one into it.
    """
    if parallel.is_main_process():
        for old in (folder / TRASH).glob("*"):
            shutil.rmtree(old, ignore_errors=True)


def restore(
    manager: ocp.CheckpointManager,
    like: PyTree,
    mesh: Mesh,
    *,
    step: int | None = None,
    warn: Callable[[str], None] = print,
) -> tuple[int, PyTree] | None:
    """Restore the newest readable checkpoint and place it on the mesh.

    Args:
        manager: the run's checkpoints.
        like: a tree with the structure, shapes and types of the state.
        mesh: the devices.
        step: restore only this step; None for the newest. Damaged checkpoints are skipped.
        warn: called with a message for every damaged checkpoint.

    Returns:
        The step and the state, or None if there is no checkpoint.

    Raises:
        UserError: a checkpoint belongs to another game, or none can be read.
    """
    steps = sorted(manager.all_steps(), reverse=True) if step is None else [step]
    abstract = parallel.abstract(like, mesh)
    for candidate in steps:
        try:
            difference = _tree_difference(manager.directory / str(candidate), like)
            if not difference:
                args = ocp.args.StandardRestore(abstract)
                return candidate, manager.restore(candidate, args=args)
        except DAMAGED as error:
            reason = " ".join(str(error).split())[:200] or repr(error)
            warn(f"checkpoint {candidate} cannot be read ({reason}); trying the one before it")
        else:
            where = f"checkpoint {candidate} in {manager.directory}"
            raise UserError(f"{where} is of another game: {difference}")
    if steps or any(Path(manager.directory).glob("damaged-*")):
        raise UserError(f"no readable checkpoint in {manager.directory}")
    return None


def _tree_difference(folder: Any, like: PyTree) -> str:
    """Describe how the tree of a checkpoint differs from `like`; "" if it does not.

    Reads only the checkpoint's metadata: orbax would notice in threads, with a long message.

    Args:
        folder: a path of the manager's own type.
        like: the expected tree.
    """
    metadata = ocp.StandardCheckpointHandler().metadata(folder / "default")
    saved, expected = (
        {keystr(path, simple=True, separator="."): leaf for path, leaf in leaves_with_path(tree)}
        for tree in (getattr(metadata, "tree", metadata), like)
    )
    shapes = {name: tuple(leaf.shape) for name, leaf in saved.items() if hasattr(leaf, "shape")}
    for name, leaf in expected.items():
        if name not in shapes:
            return f"it lacks {name}"
        if shapes[name] != leaf.shape:
            return f"its {name} has shape {shapes[name]}, not {leaf.shape}"
    unexpected = shapes.keys() - expected.keys()
    return f"it also has {min(unexpected)}" if unexpected else ""


def _damage(folder: Path) -> str:
    """Say why the manager cannot open this checkpoint; "" if it can."""
    for name in ("_CHECKPOINT_METADATA", "metrics/metrics"):
        file = folder / name
        try:
            readable = not file.exists() or isinstance(json.loads(file.read_bytes()), dict)
        except ValueError:
            readable = False
        if not readable:
            return f"{name} is damaged"
    return ""


def _rename_damaged(folder: Path, step: int) -> str:
    """Rename a checkpoint, parts of which may still be readable, and return its new name."""
    names = (f"damaged-{step}{f'.{n}' if n else ''}" for n in itertools.count())
    name = next(name for name in names if not (folder / name).exists())
    (folder / str(step)).rename(folder / name)
    return name
