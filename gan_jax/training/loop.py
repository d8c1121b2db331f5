"""The only training loop: plays rounds, reads metrics a round late, samples, saves, resumes."""

import signal
import sys
import time
from collections.abc import Generator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import jax

from gan_jax import config, game, parallel
from gan_jax.build.data import open_data, with_classes
from gan_jax.build.experiment import build
from gan_jax.build.parts import Built
from gan_jax.build.schedule import Stage, due
from gan_jax.config import Experiment
from gan_jax.data.pipeline import Source, batches, check_batches
from gan_jax.evaluation.evaluate import check_metrics, require_metrics
from gan_jax.networks.cpu import onednn
from gan_jax.progress import clock, first_call_timed
from gan_jax.training import checkpoint, guard, run_dir
from gan_jax.training.monitor import Watch
from gan_jax.training.profiler import traced


def train(
    experiment: Experiment,
    workdir: str | Path,
    *,
    recipe: str = "",
    allow_change: bool = False,
    profile: int = 0,
) -> game.State:
    """Trains until `run.kimg` and returns the last state; the same call resumes a stopped run.

    Everything is written below `workdir` (see `records`). `recipe` is what the report calls the
    experiment; so many rounds as `profile` says are traced. Raises UserError if the experiment
    cannot be built, if `workdir` is in use or holds a run of a different experiment (unless
    `allow_change`), and guard.Stopped if a metric or a state to be saved is not finite or the
    process was asked to end.
    """
    workdir = Path(workdir)
    config.check(experiment)
    with guard.exclusive(workdir), guard.termination() as asked, ExitStack() as stack:
        experiment = with_classes(experiment)
        built = build(experiment)
        check_metrics(built)
        source = open_data(experiment)
        if parallel.leads() and not allow_change:
            run_dir.check_config(workdir, experiment, source)
        require_metrics(experiment, source)
        run, stages = experiment.run, built.stages
        flip, jitter = experiment.data.flip, experiment.data.jitter
        for size in {stage.batch_size for stage in stages}:
            check_batches(source, size, jax.process_count(), flip=flip, jitter=jitter)
        manager = run_dir.open_checkpoints(workdir, built)
        stack.callback(checkpoint.close, manager)
        with clock("initialising the networks"):
            start, state = run_dir.open_state(built, manager)
        if parallel.leads():  # not before: the checkpoints may be of another game
            run_dir.write_config(workdir, experiment, source, recipe)
            print(run_dir.summary(built, source, state), file=sys.stderr)
        watch = stack.enter_context(closing(Watch(built.at(start), source, workdir, start)))
        plays = stack.enter_context(closing(_plays(built, source, start)))
        if profile:
            plays = stack.enter_context(closing(traced(plays, workdir / "profile", profile)))
        stack.enter_context(guard.company())
        if start == 0:
            watch.sample(state, 0)
        for done, stage, play, batch in plays:
            if done - 1 in stage.resets:
                state = run_dir.begin_optimisers_anew(built.at(done), state)
            state, metrics = play(state, batch, built.key)
            watch.read()  # the round before: the devices play this one meanwhile
            watch.late, watch.built = (done, metrics), built.at(done)
            last = done == stages[-1].last
            sampling = last or due(stages, run.sample_kimg, done)
            scoring = bool(run.metrics) and (last or due(stages, run.evaluate_kimg, done))
            ending = bool(asked) or (parallel.together() and manager.reached_preemption(done))
            saving = last or ending or scoring or due(stages, run.checkpoint_kimg, done)
            if not (sampling or saving):
                continue
            watch.read()
            if saving:
                guard.require_finite_state(done, state)
            if sampling:
                watch.sample(state, done)
            try:
                scores = watch.score(state, done) if scoring else {}
            except Exception:  # it lacks something, memory perhaps: no round is lost for it
                checkpoint.save(manager, done, state)
                raise
            if saving:
                checkpoint.save(manager, done, state, scores)
                watch.report()
            watch.since = (time.perf_counter(), done)
            if ending and not last:
                manager.wait_until_finished()
                code = 128 + (asked[0] if asked else signal.SIGTERM)
                raise guard.Stopped(f"saved round {done}; the same command resumes", code)
        if start == stages[-1].last and watch.unscored():  # the last evaluation had failed
            watch.score(state, start)
        watch.report()
    return state


def _plays(
    built: Built, source: Source, start: int
) -> Generator[tuple[int, Stage, Any, Any], None, None]:
    """The rounds after `start`: number, stage, the compiled round, and what it is played with."""
    experiment, run = built.experiment, built.experiment.run
    for stage in built.stages:
        if stage.last <= start:
            continue
        played = built.at(stage.last).round
        play = onednn.enabled()(parallel.data_parallel(played, built.mesh, backend=run.backend))
        play = first_call_timed(play, "compiling the round")
        begin = max(start, stage.first)
        data = batches(
            source,
            batch_size=stage.batch_size,
            seed=experiment.seed,
            start=begin - stage.first,
            before=stage.images,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
            threads=run.threads,
            flip=experiment.data.flip,
            jitter=experiment.data.jitter,
        )
        with closing(data):
            for done in range(begin + 1, stage.last + 1):
                yield done, stage, play, parallel.shard(next(data), built.mesh)
