"""Checkpoints of a run by orbax: asynchronous, the last `keep` and the best, restored exactly."""

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
DAMAGED = (OSError, LookupError, ValueError, TypeError, AttributeError)  # orbax raises at bad files
BLOCK = 4096  # bytes of a file system: what describes a leaf takes no more


def open_manager(
    workdir: Path,
    *,
    keep: int = 2,
    best: str = "",
    highest: bool = False,
    read_only: bool = False,
) -> ocp.CheckpointManager:
    """The manager of `workdir/checkpoints`.

    Keeps the newest `keep` steps, and with `best` also the step whose metric of that quantity is
    lowest (highest, if so asked). Left-overs of a killed writer are removed, and a checkpoint whose
    metrics cannot be read is set aside as `damaged-STEP`. Raises OSError where there is no place.
    A `read_only` manager touches nothing: another process may be writing.
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
                aside = _set_aside(folder, step)
                print(f"checkpoint {step} cannot be read ({reason}); set aside as {aside}")
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
    _empty_trash(Path(manager.directory))
    leaves = jax.tree.leaves(state)
    needed = sum(leaf.nbytes for leaf in leaves) + BLOCK * len(leaves)
    if parallel.is_main_process() and shutil.disk_usage(manager.directory).free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(manager.directory))
    if step in manager.all_steps():  # it could not be restored, or the run had not gone back to it
        if parallel.is_main_process():
            _set_aside(Path(manager.directory), step)
        manager.reload()
    manager.save(
        step, args=ocp.args.StandardSave(parallel.snapshot(state)), metrics=metrics, force=True
    )


def close(manager: ocp.CheckpointManager) -> None:
    """Waits for what is still being written, and deletes the checkpoints that are not kept."""
    manager.close()
    _empty_trash(Path(manager.directory))


def _empty_trash(folder: Path) -> None:
    """Deletes the checkpoints that orbax has set aside for deletion.

    It renames them first, in one step, so that a kill leaves no half-deleted checkpoint behind.
    Only the folder's entries are deleted: orbax's thread may be moving another one in meanwhile.
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
    """The newest readable checkpoint (or `step`), placed on the mesh; None if there is none.

    `like` gives the tree, shapes and types. A newer checkpoint that is damaged is passed over with
    a warning. Raises UserError if one of another game is found, or if none can be read.
    """
    steps = sorted(manager.all_steps(), reverse=True) if step is None else [step]
    abstract = parallel.abstract(like, mesh)
    for candidate in steps:
        try:
            other = _other_tree(manager.directory / str(candidate), like)
            if not other:
                args = ocp.args.StandardRestore(abstract)
                return candidate, manager.restore(candidate, args=args)
        except DAMAGED as error:
            reason = " ".join(str(error).split())[:200] or repr(error)
            warn(f"checkpoint {candidate} cannot be read ({reason}); trying the one before it")
        else:
            where = f"checkpoint {candidate} in {manager.directory}"
            raise UserError(f"{where} is of another game: {other}")
    if steps or any(Path(manager.directory).glob("damaged-*")):
        raise UserError(f"no readable checkpoint in {manager.directory}")
    return None


def _other_tree(folder: Any, like: PyTree) -> str:
    """What the tree of a checkpoint has other than `like`, told in words; "" where nothing.

    From its description alone: orbax would find out in threads, and say so at length. `folder` is
    one of the manager's own paths.
    """
    described = ocp.StandardCheckpointHandler().metadata(folder / "default")
    found, wanted = (
        {keystr(path, simple=True, separator="."): leaf for path, leaf in leaves_with_path(tree)}
        for tree in (getattr(described, "tree", described), like)
    )
    found = {name: tuple(leaf.shape) for name, leaf in found.items() if hasattr(leaf, "shape")}
    for name, leaf in wanted.items():
        if name not in found:
            return f"it lacks {name}"
        if found[name] != leaf.shape:
            return f"its {name} has shape {found[name]}, not {leaf.shape}"
    more = found.keys() - wanted.keys()
    return f"it has {min(more)} besides" if more else ""


def _damage(folder: Path) -> str:
    """Why the manager could not open with this checkpoint; "" where it can."""
    for name in ("_CHECKPOINT_METADATA", "metrics/metrics"):
        file = folder / name
        try:
            whole = not file.exists() or isinstance(json.loads(file.read_bytes()), dict)
        except ValueError:
            whole = False
        if not whole:
            return f"{name} is damaged"
    return ""


def _set_aside(folder: Path, step: int) -> str:
    """Renames a checkpoint, for nobody knows what can still be read of it; returns its new name."""
    names = (f"damaged-{step}{f'.{n}' if n else ''}" for n in itertools.count())
    name = next(name for name in names if not (folder / name).exists())
    (folder / str(step)).rename(folder / name)
    return name
