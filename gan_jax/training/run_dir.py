"""A run directory: its configuration, its checkpoints, what is drawn into it."""

import dataclasses
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from jaxtyping import Array

from gan_jax import config, game, grids, parallel
from gan_jax.build.data import data_shape, open_data, to_real
from gan_jax.build.experiment import build
from gan_jax.build.parts import Built
from gan_jax.config import Experiment
from gan_jax.data.pipeline import Source, eval_batches
from gan_jax.errors import UserError
from gan_jax.evaluation.evaluate import highest
from gan_jax.game import State
from gan_jax.reporting import run_log, voices
from gan_jax.sampling.samplers import Conditions, Sampler, to_float
from gan_jax.training import checkpoint

CONFIG = "config.json"
IMPORTED = "imported.json"  # of a run that began with networks from elsewhere: which


def check_config(workdir: Path, experiment: Experiment, source: Source) -> None:
    """Raises UserError where the directory holds another experiment's run.

    It names the fields that differ, or the data.
    """
    if not (workdir / CONFIG).exists():
        return
    old = read_config(workdir)
    before = config.identity(config.from_dict(old["experiment"]))
    changed = differences(before, config.identity(experiment))
    known = old["data"]["fingerprint"]  # an imported run has seen no data yet
    if known and known != source.fingerprint and not changed:
        changed = [f"the content of data set {source.name!r}"]
    if changed:
        raise UserError(
            f"workdir {str(workdir)!r} holds a run that differs in {', '.join(changed)}; "
            "choose another --workdir, or say --allow-change True to go on all the same"
        )


def write_config(workdir: Path, experiment: Experiment, source: Source, recipe: str) -> None:
    """Writes `config.json`."""
    facts: dict[str, Any] = {"name": source.name, "fingerprint": source.fingerprint}
    facts |= {"size": source.size, "description": source.description}
    facts |= {} if source.speakers is None else {"speakers": source.speakers.facts()}
    _write_config(workdir / CONFIG, experiment, facts, recipe)


def _write_config(path: Path, experiment: Experiment, data: dict[str, Any], recipe: str) -> None:
    content = {
        "recipe": recipe or experiment.name,
        "experiment": config.to_dict(experiment),
        "fingerprint": config.fingerprint(experiment),
        "seed": experiment.seed,
        "data": data,
        "command": ["scripts/" + Path(sys.argv[0]).name, *_without_workdir(sys.argv[1:])],
        **run_log.environment(),
    }
    grids.write_atomically(path, json.dumps(content, indent=2).encode())


def begin_imported(
    workdir: Path,
    built: Built,
    networks: Mapping[str, Any],
    averaged: Mapping[str, Any],
    recipe: str,
    manifest: Mapping[str, Any],
) -> None:
    """Begins a run before its first round with networks from elsewhere, and says which in a file.

    `networks` and `averaged` are variables by network; the others are fresh, as are the optimisers.
    An averaged copy that is not given is the network itself. Raises UserError where a run is.
    """
    if (workdir / CONFIG).exists() or checkpoint.steps(workdir):
        raise UserError(f"{str(workdir)!r} holds a run already: choose another --out")
    state = parallel.initialise(lambda: game.init(built.game, built.key), built.mesh)
    params, stats, ema = dict(state.params), dict(state.stats), dict(state.ema)
    for name, variables in networks.items():
        params[name], stats[name] = variables["params"], game.statistics(variables)
    for name in ema:
        found = averaged.get(name, networks.get(name))
        ema[name] = ema[name] if found is None else found
    state = dataclasses.replace(state, params=params, stats=stats, ema=ema)
    manager = checkpoint.open_manager(workdir, keep=built.experiment.run.keep)
    checkpoint.save(manager, 0, parallel.place(state, built.mesh))
    checkpoint.close(manager)
    grids.write_atomically(workdir / IMPORTED, json.dumps(manifest, indent=2).encode())
    data = {"name": built.experiment.data.name, "fingerprint": "", "size": None, "description": ""}
    _write_config(workdir / CONFIG, built.experiment, data, recipe)


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """The dotted fields whose values differ, with both values."""
    names = sorted(old.keys() | new.keys())
    return [f"{n} ({old.get(n)} -> {new.get(n)})" for n in names if old.get(n) != new.get(n)]


def read_config(workdir: Path) -> dict[str, Any]:
    """The content of `config.json`. Raises UserError when it is missing or spoilt."""
    path = workdir / CONFIG
    if not path.is_file():
        raise UserError(f"no run in {str(workdir)!r}: {CONFIG} is missing")
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}") from error
    for name in ("experiment", "data"):
        if not isinstance(content, dict) or not isinstance(content.get(name), dict):
            raise UserError(f"{path} is no run's: {name!r} is missing")
    return content


def open_checkpoints(workdir: Path, built: Built) -> ocp.CheckpointManager:
    """The checkpoints of a run, kept as its experiment says."""
    run = built.experiment.run
    return checkpoint.open_manager(workdir, keep=run.keep, best=run.best, highest=highest(run.best))


def open_state(
    built: Built, manager: ocp.CheckpointManager, step: int | None = None
) -> tuple[int, State]:
    """The round and state to go on from: the newest checkpoint (or `step`), else a fresh game."""

    def fresh() -> State:
        return game.init(built.game, built.key)

    found = checkpoint.restore(manager, jax.eval_shape(fresh), built.mesh, step=step)
    return (0, parallel.initialise(fresh, built.mesh)) if found is None else found


def summary(built: Built, source: Source, state: State) -> str:
    """What a run is about to do, in a few lines: device, data, networks."""
    experiment, devices = built.experiment, built.mesh.devices.reshape(-1)
    size = "endless" if source.size is None else f"{source.size:,}"
    params = parallel.first_replica(state.params)
    sizes = {name: sum(x.size for x in jax.tree.leaves(one)) for name, one in params.items()}
    rows = {
        "device": f"{devices[0].device_kind} x {devices.size}",
        "data": f"{source.name}, {experiment.data.split}: {size} of {_shape(experiment)}",
        **{name: f"{size:,} parameters" for name, size in sizes.items()},
        "budget": f"{built.stages[-1].last:,} rounds, {experiment.run.kimg:g} kimg",
    }
    wide = max(map(len, rows))
    return "\n".join(f"{name:{wide}}  {value}" for name, value in rows.items())


def _shape(experiment: Experiment) -> str:
    return " x ".join(map(str, data_shape(experiment.data)))


def begin_optimisers_anew(built: Built, state: State) -> State:
    """The state with every optimiser as at the start: what it remembers is of another game."""

    def fresh(params: Any) -> Any:
        players = built.game.players.items()
        return {n: p.tx.init({net: params[net] for net in p.nets}) for n, p in players}

    opt = parallel.place(jax.jit(fresh)(parallel.first_replica(state.params)), built.mesh)
    return dataclasses.replace(state, opt=opt)


def load(workdir: str | Path, step: int | None = None) -> tuple[Built, int, State]:
    """A finished or running run, to sample from or to measure: its parts, the round, the state.

    Raises UserError when the directory holds no run, or no checkpoint (of round `step`).
    """
    workdir = Path(workdir)
    experiment = config.from_dict(read_config(workdir)["experiment"])
    alone = {"run.devices": 1, "sync_batch_norm": False}  # on one device there is nothing to join
    built = build(config.change(experiment, alone))
    if not (workdir / checkpoint.FOLDER).is_dir():
        raise UserError(f"no checkpoint in {workdir}: it has none yet")
    manager = checkpoint.open_manager(workdir, read_only=True)
    steps = manager.all_steps()
    if not steps or (step is not None and step not in steps):
        have = f"it has rounds {sorted(steps)}" if steps else "it has none yet"
        raise UserError(f"no checkpoint{'' if step is None else f' {step}'} in {workdir}: {have}")
    step, state = open_state(built, manager, step)
    manager.close()
    return built.at(step), step, state


def real_samples(source: Source, count: int, column: str = "image") -> np.ndarray:
    """The first `count` samples of the data set as the game sees them (fewer if it has fewer)."""
    have = source.size
    count = count if have is None else min(count, have)
    name = "real" if column == "image" else column
    rows = [to_real(batch)[name] for batch in eval_batches(source, 256, count=count)]
    return np.concatenate([np.asarray(part) for part in rows])


def grid_size(built: Built) -> int:
    """How many samples a grid shows: eight rows, or one for each class where there are few."""
    if built.sampler.shown is not None:
        return built.sampler.shown
    classes = built.classes
    return (built.sampler.columns or 8) * (classes if 1 < classes <= 16 else 8)


def show(
    book: run_log.Records,
    step: int,
    views: Sequence[np.ndarray],
    samples: np.ndarray,
    reals: np.ndarray,
    columns: int | None,
) -> None:
    """Draws samples into the records: pictures, in their `views`, or points."""
    if samples.ndim == 2:
        path = book.workdir / run_log.SAMPLES / f"{step:08d}.png"
        grids.save_scatter(path, reals, samples)
        return
    path = book.workdir / run_log.SAMPLES / run_log.REALS
    if not path.exists():
        grids.save_png(path, panels([reals[: len(samples)]], columns))
    run_log.record_samples(book, step, panels(views, columns))


def views(
    sampler: Sampler, state: State, key: Array, conditions: Conditions, samples: np.ndarray
) -> list[np.ndarray]:
    """What stands side by side of each sample: itself alone, or with what it was made of.

    Of pictures made of pictures: input, output, target; where they can be translated back: input,
    output and the way back, in both directions.
    """
    if "x" not in conditions:
        return [samples]
    x, *y = (np.asarray(to_float(conditions[n])) for n in ("x", "y") if n in conditions)
    if "y2x" not in sampler.directions:
        return [x, samples, *y]

    def translate(direction: str, pictures: np.ndarray) -> np.ndarray:
        return sampler.translate(state, key, direction, pictures)

    there = translate("y2x", y[0])
    return [x, samples, translate("y2x", samples), y[0], there, translate("x2y", there)]


def panels(views: Sequence[np.ndarray], columns: int | None) -> np.ndarray:
    """A grid of what stands side by side, three or two of those in a row."""
    count = len(views)
    if views[0].ndim == 3:
        views = [voices.pictures(one) for one in views]
    if count == 1:
        return grids.image_grid(views[0], columns)
    mixed = np.stack(views, axis=1).reshape(-1, *views[0].shape[1:])
    return grids.image_grid(mixed, (3 if count <= 3 else 2) * count)


def draw_walks(workdir: Path, *, lines: int = 8, frames: int = 8) -> None:
    """Draws the way from one latent to another, a line each, into a finished run's `records.WALKS`.

    Nothing, where it was drawn of this checkpoint and for a game of points or without latents.
    """
    drawn, saved = workdir / run_log.WALKS, workdir / checkpoint.FOLDER
    if drawn.exists() and drawn.stat().st_mtime >= saved.stat().st_mtime:
        return
    built, _, state = load(workdir)
    if built.experiment.data.name.startswith("toy/"):
        return
    conditions = built.sampler.conditions(open_data(built.experiment), lines)
    try:  # a closed walk through two latents comes back on the same way
        walk = built.sampler.walk(state, built.key, conditions, 2, 2 * (frames - 1))
    except UserError:  # samples that begin with pictures
        return
    there = np.moveaxis(walk[:frames], 0, 1).reshape(-1, *walk.shape[2:])
    grids.save_png(drawn, grids.image_grid(there, frames))


def _without_workdir(words: list[str]) -> Iterator[str]:
    skip = False
    for word in words:
        if not skip and word != "--workdir" and not word.startswith("--workdir="):
            yield word
        skip = word == "--workdir"
