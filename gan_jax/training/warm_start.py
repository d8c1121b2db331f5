"""Begin a run with the weights of another run, or of an entry of the zoo."""

import hashlib
import json
from pathlib import Path

import jax
import numpy as np

from gan_jax import averages, config, game, parallel, zoo
from gan_jax.build.data import with_classes
from gan_jax.build.experiment import build
from gan_jax.config import Experiment
from gan_jax.errors import UserError
from gan_jax.game import State, Variables
from gan_jax.training import guard, run_dir, weights
from gan_jax.training.loop import open_experiment

SHAPING = (  # fields that decide the shapes of generators; the parts below them as well
    *("generator.network", "data.resolution", "data.channels", "data.frames", "data.cepstra"),
    *(f"game.{name}" for name in ("kind", "z", "classes", "condition", "text", "caption")),
)


def begin(source: str, experiment: Experiment, workdir: Path, *, recipe: str = "") -> None:
    """Write a run at round 0 whose networks have the weights of a source.

    Networks that the source lacks, optimisers and memories begin as in any run. Of an entry of the
    zoo, and of a run, averaged copies go on as averages; an entry's networks are its averages. A
    run that began from this source already is left as it is: to train it is to resume it.

    Args:
        source: "zoo:NAME", or the directory of a run, whose newest checkpoint is read.
        experiment: of the new run.
        workdir: its directory.
        recipe: the name of the experiment in the report.

    Raises:
        UserError: the directory holds another run, or the networks do not fit.
    """
    if zoo.name_of(source) is None:
        source = str(Path(source).resolve())
    if (workdir / run_dir.CONFIG).exists():
        _check_source(workdir, source)
        return
    open_experiment(experiment, workdir, allow_change=True)  # what would refuse it later
    one_device = {"run.devices": 1}
    built = build(config.change(with_classes(experiment), one_device))
    there, step, state = run_dir.load(source)
    state = parallel.first_replica(state)
    held = _networks(state)
    like = jax.eval_shape(lambda: game.init(built.game, built.key))
    expected = _networks(like)
    networks = {name: held[name] for name in expected if name in held}
    if not networks:
        kinds = f"{source} holds {', '.join(held)}, and this game has {', '.join(expected)}"
        raise UserError(f"--from {source}: no network in common: {kinds}")
    difference = weights.mismatch(networks, expected)
    if difference:
        fields = SHAPING if zoo.name_of(source) else (*SHAPING, "discriminator.network")
        hint = _hint(there.experiment, experiment, fields)
        raise UserError(f"--from {source}: {difference}{hint}")
    first = {name: copy for name, copy in state.ema.items() if averages.half_life_of(name) is None}
    manifest = {
        "from": source,
        "networks": {
            name: {"file": f"{source}, round {step}", "sha256": _digest(variables)}
            for name, variables in networks.items()
        },
        "not imported, as at the start": sorted(expected.keys() - networks.keys()),
    }
    with guard.exclusive(workdir):
        averaged = {name: copy for name, copy in first.items() if name in networks}
        run_dir.begin_imported(workdir, built, networks, averaged, recipe, manifest)


def _networks(state: State) -> dict[str, Variables]:
    """The variables of a state's networks, or their shapes."""
    return {name: {"params": state.params[name], **state.stats[name]} for name in state.params}


def _check_source(workdir: Path, source: str) -> None:
    """Raise UserError where a run did not begin from this source."""
    path = workdir / run_dir.IMPORTED
    before = json.loads(path.read_bytes()).get("from", "") if path.exists() else ""
    if before != source:
        began = f"began from {before}" if before else "began from initial weights"
        raise UserError(
            f"--from {source}: {str(workdir)!r} holds a run that {began}; choose another --workdir"
        )


def _hint(there: Experiment, here: Experiment, fields: tuple[str, ...]) -> str:
    """Name those of the fields to change so that the networks fit."""
    starts = tuple(f"{field}{end}" for field in fields for end in (" ", "."))
    differences = run_dir.differences(config.identity(here), config.identity(there))
    shaping = [text for text in differences if text.startswith(starts)]
    return f"; change here {', '.join(shaping)}" if shaping else ""


def _digest(variables: Variables) -> str:
    content = hashlib.sha256()
    for leaf in jax.tree.leaves(variables):
        content.update(np.asarray(leaf).tobytes())
    return content.hexdigest()
