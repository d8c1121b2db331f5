"""The training loop, the same for every game: plays rounds, samples, evaluates, saves, resumes."""

import signal
import sys
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

import jax
from orbax.checkpoint import CheckpointManager

from gan_jax import config, parallel
from gan_jax import game as core
from gan_jax.build.data import open_data, with_classes
from gan_jax.build.experiment import build
from gan_jax.build.parts import Built, Parts
from gan_jax.build.schedule import Stage, due
from gan_jax.config import Experiment
from gan_jax.data.pipeline import Batches, Source, batches, check_batches
from gan_jax.evaluation.evaluate import check_metrics, compared_with, require_metrics
from gan_jax.networks.cpu import onednn
from gan_jax.progress import clock, first_call_timed
from gan_jax.training import checkpoint, guard, run_dir
from gan_jax.training.monitor import Monitor
from gan_jax.training.own import OwnData, with_own
from gan_jax.training.profiler import traced


def train(
    experiment: Experiment,
    workdir: str | Path,
    *,
    recipe: str = "",
    allow_change: bool = False,
    profile: int = 0,
    game: core.Game | Parts | None = None,
    data: OwnData | None = None,
) -> core.State:
    """Train until `run.kimg`; the same call resumes a run that was stopped.

    Args:
        experiment: the configuration of the run.
        workdir: the run directory (see `gan_jax.reporting.run_log`).
        recipe: the name of the experiment in the report.
        allow_change: continue a run of a different experiment.
        profile: the number of rounds to trace; 0 for no trace.
        game: a game that is played instead of the experiment's own; see `own.with_own`.
        data: data that is used instead of the set that the experiment names: columns of arrays,
            splits of them by name, or an open source.

    Returns:
        The state after the last round.

    Raises:
        UserError: the experiment cannot be built, or `workdir` is in use or holds a run of a
            different experiment.
        guard.Stopped: a metric or a state to be saved is not finite, or the process received a
            signal to stop.
    """
    workdir = Path(workdir)
    experiment = config.check(with_own(experiment, game, data))
    with guard.exclusive(workdir), guard.termination() as signals, ExitStack() as stack:
        built, source = open_experiment(experiment, workdir, allow_change=allow_change)
        experiment, run, stages = built.experiment, built.experiment.run, built.stages
        manager = run_dir.open_checkpoints(workdir, built)
        stack.callback(checkpoint.close, manager)
        with clock("initialising the networks"):
            start, state = run_dir.open_state(built, manager)
        if parallel.is_main_process():  # not earlier: the checkpoints may belong to another game
            run_dir.write_config(workdir, experiment, source, state, recipe)
            print(run_dir.summary(built, source, state), file=sys.stderr)
        monitor = stack.enter_context(closing(Monitor(built.at(start), source, workdir, start)))
        shapes = parallel.abstract(state, built.mesh)
        rounds = stack.enter_context(closing(_rounds(built, source, start, shapes)))
        if profile:
            rounds = stack.enter_context(closing(traced(rounds, workdir / "profile", profile)))
        stack.enter_context(guard.exit_on_peer_loss())
        if start == 0:
            monitor.sample(state, 0)
        for step, stage, play, batch in rounds:
            if step - 1 in stage.resets:
                state = run_dir.reset_optimizers(built.at(step), state)
            state, metrics = play(state, batch, built.key)
            monitor.push(step, metrics, built.at(step))
            last = step == stages[-1].last
            sampling = last or due(stages, run.sample_kimg, step)
            scoring = bool(run.metrics) and (last or due(stages, run.evaluate_kimg, step))
            stopping = bool(signals) or (
                parallel.multi_process() and manager.reached_preemption(step)
            )
            saving = last or stopping or scoring or due(stages, run.checkpoint_kimg, step)
            if not (sampling or saving):
                continue
            with monitor.paused():
                if saving:
                    guard.require_finite_state(step, state)
                if sampling:
                    monitor.sample(state, step)
                if saving:
                    _save(manager, monitor, state, step, scoring=scoring)
            if stopping and not last:
                manager.wait_until_finished()
                code = 128 + (signals[0] if signals else signal.SIGTERM)
                raise guard.Stopped(f"saved round {step}; the same command resumes", code)
        if start == stages[-1].last and monitor.lacks_scores():  # the last evaluation had failed
            monitor.evaluate(state, start)
        monitor.report()
    return state


def open_experiment(
    experiment: Experiment, workdir: Path, *, allow_change: bool
) -> tuple[Built, Source]:
    """Build the experiment and open its data, with the checks that must pass before the start.

    Raises:
        UserError: one of them fails.
    """
    experiment = with_classes(experiment)
    built = build(experiment)
    check_metrics(built)
    source = open_data(experiment)
    if parallel.is_main_process() and not allow_change:
        run_dir.check_config(workdir, experiment, source)
    require_metrics(experiment, source, compared_with(built, source)[1])
    flip, jitter = experiment.data.flip, experiment.data.jitter
    for size in {stage.batch_size for stage in built.stages}:
        check_batches(source, size, jax.process_count(), flip=flip, jitter=jitter)
    return built, source


def _save(
    manager: CheckpointManager, monitor: Monitor, state: core.State, step: int, *, scoring: bool
) -> None:
    """Evaluate the state if `scoring`, save it, and update the report."""
    try:
        scores = monitor.evaluate(state, step) if scoring else {}
    except Exception:  # for example out of memory: the rounds up to here are not lost
        checkpoint.save(manager, step, state)
        raise
    checkpoint.save(manager, step, state, scores)
    monitor.report()


class Round(NamedTuple):
    """A round to play.

    Attributes:
        step: its number; the first round is 1.
        stage: the stage that it belongs to.
        play: the compiled round.
        batch: its batch, placed on the devices.
    """

    step: int
    stage: Stage
    play: parallel.Step
    batch: core.Batch


def _rounds(
    built: Built, source: Source, start: int, state: core.State
) -> Generator[Round, None, None]:
    """Yield the rounds after round `start`; `state` has the shapes and placement of states.

    The next stage is compiled while a stage is trained.
    """
    stages = [stage for stage in built.stages if stage.last > start]
    ahead: Future[parallel.Step] | None = None
    with _compiler() as compiler:
        for stage, following in zip_longest(stages, stages[1:]):
            if ahead is None:
                play = first_call_timed(
                    onednn.enabled()(_step_of(built, stage)), "compiling the round"
                )
            else:
                with clock("compiling the round"):
                    play = ahead.result()
            first = max(start, stage.first)
            with closing(_batches(built.experiment, source, stage, first)) as data:
                for step in range(first + 1, stage.last + 1):
                    batch = parallel.shard(next(data), built.mesh)
                    yield Round(step, stage, play, batch)
                    if following and step == first + 1:
                        batch = parallel.batch_like(batch, following.batch_size)
                        compile_round = onednn.enabled()(_step_of(built, following).compile)
                        ahead = compiler.submit(compile_round, state, batch, built.key)


def _batches(experiment: Experiment, source: Source, stage: Stage, first: int) -> Batches:
    """Batches of a stage after round `first`."""
    return batches(
        source,
        batch_size=stage.batch_size,
        seed=experiment.seed,
        start=first - stage.first,
        before=stage.images,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
        threads=experiment.run.threads,
        flip=experiment.data.flip,
        jitter=experiment.data.jitter,
    )


def _step_of(built: Built, stage: Stage) -> parallel.ParallelStep:
    one_device = built.at(stage.last).round
    return parallel.data_parallel(one_device, built.mesh, backend=built.experiment.run.backend)


@contextmanager
def _compiler() -> Generator[ThreadPoolExecutor, None, None]:
    """A background thread, which is waited for at the end: a compilation cannot be interrupted."""
    thread = ThreadPoolExecutor(1, "compiler")
    try:
        yield thread
    finally:
        with clock("waiting for a compilation"):
            thread.shutdown(cancel_futures=True)
