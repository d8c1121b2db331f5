"""A run directory: its configuration, and building and loading the run from it."""

import dataclasses
import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import jax
import orbax.checkpoint as ocp
from jaxtyping import PyTree

from gan_jax import averages, config, game, parallel, zoo
from gan_jax.build.averages import choose_average, is_default
from gan_jax.build.data import data_shape
from gan_jax.build.experiment import build
from gan_jax.build.parts import Built
from gan_jax.config import Experiment
from gan_jax.data.pipeline import Source
from gan_jax.data.registry import DATASETS
from gan_jax.errors import UserError, no_run
from gan_jax.evaluation.evaluate import highest
from gan_jax.evaluation.spec import METRICS
from gan_jax.game import State, Variables
from gan_jax.grids import write_atomically
from gan_jax.interop import portable
from gan_jax.json_types import JsonObject
from gan_jax.reporting.environment import environment
from gan_jax.training import checkpoint, weights

Step = int | Literal["best"] | None
"""Which checkpoint: its round, the best, or the newest."""

CONFIG = "config.json"
IMPORTED = "imported.json"  # lists the imported networks of a run that started from some
ABSENT = {  # of an entry of the zoo: capabilities, and the networks that they need
    "discriminator features": "the discriminator (of a VAE, the encoder)",
    "likelihood": "the encoder",
}


def check_config(workdir: Path, experiment: Experiment, source: Source) -> None:
    """Check that the directory is free or holds a run of this experiment on this data.

    Raises:
        UserError: it holds another run; the message names the fields or the data that differ.
    """
    if interrupted(workdir):
        raise UserError(
            f"{str(workdir)!r} was interrupted before it had the networks to begin from: repeat "
            "the command that named them, or choose another directory"
        )
    if not (workdir / CONFIG).exists():
        return
    old = read_config(workdir)
    before = config.identity(read_experiment(workdir))
    changed = differences(before, config.identity(experiment))
    fingerprint = old["data"]["fingerprint"]  # empty for imported networks not yet trained here
    if fingerprint and fingerprint != source.fingerprint and not changed:
        changed = [f"the content of data set {source.name!r}"]
    if changed:
        raise UserError(
            f"workdir {str(workdir)!r} holds a run that differs in {', '.join(changed)}; "
            "choose another --workdir, or pass --allow-change True to continue anyway"
        )


def write_config(
    workdir: Path, experiment: Experiment, source: Source, state: State, recipe: str
) -> None:
    """Write `config.json`."""
    data: JsonObject = {"name": source.name, "fingerprint": source.fingerprint}
    data |= {"size": source.size, "shape": _shape(experiment), "description": source.description}
    if source.speakers is not None:
        data["speakers"] = source.speakers.facts()
    _write_config(workdir / CONFIG, experiment, data, recipe, parameters(state))


def _write_config(
    path: Path,
    experiment: Experiment,
    data: JsonObject,
    recipe: str,
    parameters: Mapping[str, int],
) -> None:
    content = {
        "recipe": recipe or experiment.name,
        "own_files": _own_files(experiment),
        "experiment": config.to_dict(experiment),
        "fingerprint": config.fingerprint(experiment),
        "seed": experiment.seed,
        "data": data,
        "parameters": parameters,
        "command": [*_program(sys.argv[0]), *_without_workdir(sys.argv[1:])],
        **environment(),
    }
    if path.with_name(IMPORTED).exists():
        manifest = json.loads(path.with_name(IMPORTED).read_bytes())
        content["from"] = manifest.get("from", "")
    write_atomically(path, json.dumps(content, indent=2).encode())


def begin_imported(
    workdir: Path,
    built: Built,
    networks: Mapping[str, Variables],
    averaged: Mapping[str, Variables],
    recipe: str,
    manifest: Mapping[str, object],
) -> None:
    """Write a run at round 0 that starts from imported networks, and list them in a file.

    Args:
        workdir: the run directory to create.
        built: the parts of the experiment.
        networks: variables (`params` and statistics) by network; the other networks and all
            optimiser states are initialised.
        averaged: parameters of averaged copies by network; the network itself where missing.
        recipe: the name of the recipe.
        manifest: the content of `imported.json`.

    A directory in which this was interrupted, which lacks `config.json`, is begun again.

    Raises:
        UserError: the directory holds a run already.
    """
    if (workdir / CONFIG).exists() or (checkpoint.steps(workdir) and not interrupted(workdir)):
        raise UserError(f"{str(workdir)!r} holds a run already: choose another directory")
    shutil.rmtree(workdir / checkpoint.FOLDER, ignore_errors=True)
    write_atomically(workdir / IMPORTED, json.dumps(manifest, indent=2).encode())
    state = parallel.initialise(lambda: game.init(built.game, built.key), built.mesh)
    params, stats, ema = dict(state.params), dict(state.stats), dict(state.ema)
    for name, variables in networks.items():
        params[name], stats[name] = variables["params"], game.statistics(variables)
    for name in ema:
        network = averages.network_of(name)
        imported = averaged.get(network, networks.get(network))
        ema[name] = ema[name] if imported is None else imported
    state = dataclasses.replace(state, params=params, stats=stats, ema=ema)
    manager = checkpoint.open_manager(workdir, keep=built.experiment.run.keep)
    checkpoint.save(manager, 0, parallel.place(state, built.mesh))
    checkpoint.close(manager)
    data = {"name": built.experiment.data.name, "fingerprint": "", "size": None, "description": ""}
    _write_config(workdir / CONFIG, built.experiment, data, recipe, parameters(state))


def interrupted(workdir: Path) -> bool:
    """Whether the directory was to begin from imported networks and has no run yet."""
    return (workdir / IMPORTED).exists() and not (workdir / CONFIG).exists()


def differences(old: Mapping[str, object], new: Mapping[str, object]) -> list[str]:
    """Describe the fields whose values differ, as "game.r1 (0.1 -> 0.5)".

    Args:
        old: values by dotted field.
        new: the same of the other experiment.
    """
    names = sorted(old.keys() | new.keys())
    return [f"{n} ({old.get(n)} -> {new.get(n)})" for n in names if old.get(n) != new.get(n)]


def read_config(workdir: Path) -> JsonObject:
    """Read `config.json`.

    Raises:
        UserError: the file is missing or damaged.
    """
    path = zoo.locate(workdir) / CONFIG
    if not path.is_file():
        raise no_run(workdir)
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}") from error
    for name in ("experiment", "data"):
        if not isinstance(content, dict) or not isinstance(content.get(name), dict):
            raise UserError(f"{path} does not describe a run: {name!r} is missing")
    return content


def read_experiment(workdir: Path) -> Experiment:
    """Read the experiment of `config.json`.

    Files outside the package that register its networks, game, metrics or data are run first.

    Raises:
        UserError: the file is missing or damaged, or names what is not registered.
    """
    content = read_config(workdir)
    files = [Path(file) for file in content.get("own_files", ())]
    missing = [str(file) for file in files if not file.is_file()]
    if missing:
        raise UserError(
            f"the run needs {missing[0]!r}, which defines parts of it, but the file is gone"
        )
    for file in files:
        config.load(file)
    return config.from_dict(content["experiment"])


def _own_files(experiment: Experiment) -> list[str]:
    """The files outside the package that register what the experiment names.

    Parts that a script or a notebook registers itself have none: to run it again is not to load it.
    """
    parts: list[Any] = [type(experiment.game)]
    parts += [type(player.network) for player in (experiment.generator, experiment.discriminator)]
    if experiment.data.name in DATASETS:
        parts.append(DATASETS[experiment.data.name].open)
    parts += [METRICS[name].compute for name in experiment.run.metrics if name in METRICS]
    names = {part.__module__ for part in parts if part is not None}
    others = {"__main__", *sys.stdlib_module_names}  # of a `functools.partial`, say
    own = sorted(name for name in names - others if not name.startswith("gan_jax."))
    return [file for name in own if (file := getattr(sys.modules.get(name), "__file__", None))]


def open_checkpoints(workdir: Path, built: Built) -> ocp.CheckpointManager:
    """Open the checkpoints of a run, which keep the steps that its experiment asks for."""
    run = built.experiment.run
    return checkpoint.open_manager(workdir, keep=run.keep, best=run.best, highest=highest(run.best))


def open_state(
    built: Built, manager: ocp.CheckpointManager, step: int | None = None
) -> tuple[int, State]:
    """Restore the newest checkpoint (or round `step`), or initialise the game if there is none.

    Returns:
        The round (0 for a new game) and the state.
    """

    def init() -> State:
        return game.init(built.game, built.key)

    restored = checkpoint.restore(manager, jax.eval_shape(init), built.mesh, step=step)
    return (0, parallel.initialise(init, built.mesh)) if restored is None else restored


def summary(built: Built, source: Source, state: State) -> str:
    """Summarise a run in a few lines: device, data, networks, budget."""
    experiment, devices = built.experiment, built.mesh.devices.reshape(-1)
    size = "endless" if source.size is None else f"{source.size:,}"
    rows = {
        "device": f"{devices[0].device_kind} x {devices.size}",
        "data": f"{source.name}, {experiment.data.split}: {size} of {_shape(experiment)}",
        **{name: f"{size:,} parameters" for name, size in parameters(state).items()},
        "budget": f"{built.stages[-1].last:,} rounds, {experiment.run.kimg:g} kimg",
    }
    width = max(map(len, rows))
    return "\n".join(f"{name:{width}}  {value}" for name, value in rows.items())


def parameters(state: State) -> dict[str, int]:
    """Count the parameters of each network."""
    return {n: sum(x.size for x in jax.tree.leaves(tree)) for n, tree in state.params.items()}


def _shape(experiment: Experiment) -> str:
    return " x ".join(map(str, data_shape(experiment.data)))


def reset_optimizers(built: Built, state: State) -> State:
    """Return the state with initial optimiser states, which a new stage of the game starts with."""

    def init(params: PyTree) -> dict[str, PyTree]:
        players = built.game.players.items()
        return {n: p.tx.init({net: params[net] for net in p.nets}) for n, p in players}

    opt = parallel.place(jax.jit(init)(parallel.first_replica(state.params)), built.mesh)
    return dataclasses.replace(state, opt=opt)


def load(
    workdir: str | Path, step: Step = None, ema: float | None = None
) -> tuple[Built, int, State]:
    """Load a finished or running run on one device, to sample from it or to evaluate it.

    Args:
        workdir: the run directory, or "zoo:NAME", whose state has the networks that make samples
            and no others.
        step: the round of the checkpoint; None for the newest; "best" for the one that is best in
            `run.best`.
        ema: the half-life in kimg of the averaged networks that make samples; None for the first.

    Returns:
        The run's parts, the round and the state.

    Raises:
        UserError: the directory holds no run, no checkpoint (of round `step`), or no such average.
    """
    workdir = Path(workdir)
    experiment = read_experiment(workdir)
    one_device = {"run.devices": 1, "sync_batch_norm": False}  # no other device to synchronise with
    built = build(config.change(experiment, one_device))
    if zoo.name_of(workdir) is not None:
        return _load_entry(built, workdir, step, ema)
    if not (workdir / checkpoint.FOLDER).is_dir():
        raise UserError(f"no checkpoint in {workdir}: it has none yet")
    manager = checkpoint.open_manager(workdir, read_only=True)
    if step == "best":
        step = _best(manager, experiment.run.best, workdir)
    steps = manager.all_steps()
    if not steps or (step is not None and step not in steps):
        have = f"it has rounds {sorted(steps)}" if steps else "it has none yet"
        raise UserError(f"no checkpoint{'' if step is None else f' {step}'} in {workdir}: {have}")
    step, state = open_state(built, manager, step)
    manager.close()
    return built.at(step), step, choose_average(built, state, ema)


def _load_entry(built: Built, run: Path, step: Step, ema: float | None) -> tuple[Built, int, State]:
    """Load an entry of the zoo: the state has what makes samples, and no checkpoint but one."""
    card = zoo.card(zoo.name_of(run) or "")
    if step == "best" and not card.checkpoint.startswith("best"):
        raise UserError(f"no best checkpoint in {run}: it has the {card.checkpoint} one alone")
    if step not in (None, "best", card.round):
        raise UserError(f"no checkpoint {step} in {run}: it has round {card.round} alone")
    built = built.at(card.round)
    if not is_default(built, ema):
        raise UserError(f"ema = {ema:g}: {run} has one average of its networks alone")
    stored = weights.read_networks(zoo.locate(run) / portable.WEIGHTS)
    state = weights.sampling_state(built, stored, card.round, str(run))
    missing = {
        what: f"{networks}, which {run} does not hold"
        for what, networks in ABSENT.items()
        if what in built.provides
    }
    built = built._replace(
        provides=built.provides - missing.keys(),
        bounds=None,
        missing=missing,
        stand_in=card.data["stand_in"],
    )
    return built, card.round, state


def _best(manager: ocp.CheckpointManager, best: str, workdir: Path) -> int:
    """The best checkpoint's round. Raises UserError where none was kept for being the best."""
    if not best:
        raise UserError(f"{workdir} keeps no best checkpoint; train with --run.best fid, or such")
    step = checkpoint.best_step(manager, best, highest=highest(best))
    if step is None:
        raise UserError(f"no checkpoint in {workdir} was evaluated yet for {best!r}")
    return step


def _program(path: str) -> list[str]:
    """How the process was started, as a report repeats it: a script, or a command and its verb."""
    name = Path(path).name
    return ["scripts/" + name] if name.endswith(".py") else name.split()


def _without_workdir(words: list[str]) -> Iterator[str]:
    skip = False  # whether the word is the value of --workdir
    for word in words:
        if not skip and word != "--workdir" and not word.startswith("--workdir="):
            yield word
        skip = word == "--workdir"
