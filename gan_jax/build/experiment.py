"""From an Experiment's names to objects: the one place where names are resolved."""

import functools

import jax
from jaxtyping import Array

from gan_jax import config, parallel
from gan_jax.build import schedule
from gan_jax.build.data import data_shape, to_real
from gan_jax.build.optimizers import decaying
from gan_jax.build.parts import Built, Parts
from gan_jax.build.schedule import Stage
from gan_jax.build.spec import GAMES, NETWORKS
from gan_jax.config import Experiment
from gan_jax.errors import UserError
from gan_jax.game import Batch, Metrics, State, step
from gan_jax.sampling.sampler import Sampler


def build(experiment: Experiment) -> Built:
    """Build everything that an experiment names; no data is opened.

    Raises:
        UserError: for what cannot be built: a resolution that a network does not support, a batch
            that does not divide among the devices, options that do not fit together.
    """
    config.check(experiment)
    run = experiment.run
    try:
        mesh = parallel.make_mesh(run.devices or None)
    except ValueError as error:
        raise UserError(f"run.devices = {run.devices}: {error}") from error
    stages = schedule.stages(experiment)
    for stage in stages:
        _check_batch(stage.batch_size, mesh.size)
    classes = getattr(experiment.game, "classes", 0)

    @functools.cache
    def of(stage: Stage) -> Built:
        parts = make_parts(experiment, data_shape(experiment.data), stage)

        def round_(state: State, batch: Batch, key: Array) -> tuple[State, Metrics]:
            seen = parts.see(to_real(batch, classes), state.step)
            return step(parts.game, state, seen, key, axis_name=parallel.AXIS)

        sampler = Sampler(parts.game, parts.recipe)

        @functools.cache
        def exact() -> Sampler:
            if experiment.precision == "float32":
                return sampler
            whole = config.change(experiment, {"precision": "float32"})
            found = make_parts(whole, data_shape(experiment.data), stage)
            return Sampler(found.game, found.recipe)

        return Built(
            experiment,
            jax.random.key(experiment.seed),
            parts.game,
            mesh,
            round_,
            sampler,
            exact,
            parts.real,
            parts.held_out,
            parts.bounds,
            parts.provides,
            stages,
            lambda number: of(schedule.at(stages, number)),
        )

    return of(stages[0])


def _check_batch(size: int, devices: int) -> None:
    if size < 1 or size % devices:
        fits = max(1, round(size / devices)) * devices
        raise UserError(
            f"batch_size = {size} does not divide among {devices} devices; "
            f"the nearest that does is {fits}"
        )


def make_parts(experiment: Experiment, shape: tuple[int, ...], stage: Stage | None = None) -> Parts:
    """The experiment's game on real samples of `shape`, in a stage (the last one) if it grows.

    Raises:
        UserError: if the game cannot be made of the experiment's networks.
    """
    game = experiment.game
    stage = stage or schedule.stages(experiment)[-1]
    parts = GAMES[type(game)].make(experiment, game, shape, stage)
    network = NETWORKS[type(experiment.discriminator.network)]
    parts = parts._replace(also=parts.also | network.provides)
    return parts._replace(game=decaying(experiment, parts.game))
