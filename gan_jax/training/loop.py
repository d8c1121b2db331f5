"""The only training loop: plays rounds, reads metrics a round late, samples, saves, resumes."""

import time
from collections.abc import Generator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import jax

from gan_jax import config, game, parallel
from gan_jax.config import Experiment
from gan_jax.data.pipeline import Source, batches
from gan_jax.training import checkpoint, guard, records, runs
from gan_jax.training.build import Built, build, evaluate, exhibits, held_out, open_data
from gan_jax.training.report import Panel, write_report
from gan_jax.training.schedule import Stage, due, images

POINTS = 1000  # of 2-D data, in a scatter plot


def train(
    experiment: Experiment, workdir: str | Path, *, recipe: str = "", allow_change: bool = False
) -> game.State:
    """Trains until `run.kimg` and returns the last state; the same call resumes a stopped run.

    Everything is written below `workdir` (see `records`). `recipe` is what the report calls the
    experiment. Raises UserError if the experiment cannot be built, if `workdir` is in use or holds
    a run of a different experiment (unless `allow_change`), and guard.Stopped if a metric or a
    state to be saved is not finite or the process was asked to end.
    """
    workdir = Path(workdir)
    config.check(experiment)
    with guard.exclusive(workdir), guard.termination() as asked, ExitStack() as stack:
        built, source = build(experiment), open_data(experiment)
        if parallel.leads():
            runs.write_config(workdir, experiment, source, recipe, allow_change=allow_change)
        run, stages = experiment.run, built.stages
        manager = stack.enter_context(closing(runs.open_checkpoints(workdir, built)))
        start, state = runs.open_state(built, manager)
        watch = stack.enter_context(closing(_Watch(built.at(start), source, workdir, start)))
        plays = stack.enter_context(closing(_plays(built, source, start)))
        stack.enter_context(guard.company())
        if start == 0:
            watch.sample(state, 0)
        for done, stage, play, batch in plays:
            if done - 1 in stage.resets:
                state = runs.begin_optimisers_anew(built.at(done), state)
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
            scores = watch.score(state, done) if scoring else {}
            if saving:
                checkpoint.save(manager, done, state, scores)
                watch.report()
            watch.since = (time.perf_counter(), done)
            if ending and not last:
                manager.wait_until_finished()
                raise guard.Stopped(f"saved round {done}; the same command resumes", 143)
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
        play = parallel.data_parallel(played, built.mesh, backend=run.backend)
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


class _Watch:
    """What looks at a run while it plays: a late reader, a clock, alarms, the records."""

    def __init__(self, built: Built, source: Source, workdir: Path, start: int) -> None:
        self.built, self.source, total = built, source, built.stages[-1].last
        self.leads = parallel.leads()
        self.book = records.open_records(workdir, total=total, step=start, silent=not self.leads)
        self.total = total
        self.late: tuple[int, Any] | None = None
        self.since: tuple[float, int] | None = None
        self.alarms = guard.Alarms()
        self.panels: list[Panel] = []
        self.reals = runs.real_samples(source, POINTS, built.real)
        shown = held_out(built, source)
        count = POINTS if self.reals.ndim == 2 else runs.grid_size(built)
        self.conditions = built.sampler.conditions(shown, count)
        if start > 0:
            records.record(self.book, {"step": start, "event": records.RESUMED})

    def read(self) -> None:
        """Waits for the metrics of the round noted in `late`, records them if it is their turn."""
        if self.late is None:
            return
        (step, metrics), self.late = self.late, None
        experiment = self.built.experiment
        jax.block_until_ready(metrics)
        now, since = time.perf_counter(), self.since
        if since is None:  # the first round, which compiles, is not what a user wants to know
            self.since = (now, step)
        if step % experiment.run.log_every and step != self.total:
            return
        metrics = jax.device_get(metrics)
        row: dict[str, Any] = self._position(step)
        for label in game.played(self.built.game, step - 1):
            row |= {f"{label}/{name}": float(x) for name, x in metrics[label].items()}
        if since is not None:
            shown = images(self.built.stages, step) - images(self.built.stages, since[1])
            row["images_per_second"] = shown / (now - since[0])
            self.since = (now, step)
        records.record(self.book, row)
        guard.require_finite(row)
        self.alarms, warning = guard.watch_accuracy(self.alarms, row)
        self._warn(step, warning)

    def sample(self, state: game.State, step: int) -> None:
        """Draws the fixed latents' samples and looks for collapse; the leading process does."""
        if not self.leads:
            return
        state = parallel.local(state)
        key, sampler = game.fold(self.built.key, "grid"), self.built.sampler
        samples = sampler.draw(state, key, self.conditions)
        views = runs.views(sampler, state, key, self.conditions, samples)
        runs.show(self.book, step, views, samples, self.reals, sampler.columns)
        spreads = guard.spread(samples), guard.spread(self.reals)
        self.alarms, warning = guard.watch_spread(self.alarms, *spreads)
        self._warn(step, warning if step else None)

    def score(self, state: game.State, step: int) -> dict[str, float]:
        """Evaluates every metric of the experiment and records the values.

        Every process does, with the same result: they agree on the best checkpoint.
        """
        key = game.fold(self.built.key, "evaluate")
        state = parallel.local(state)
        scores = evaluate(self.built, state, key, self.source)
        self.panels = exhibits(self.built, state, key, self.source)
        records.record(self.book, self._position(step) | scores)
        return scores

    def report(self) -> None:
        """Writes the run's page."""
        if self.leads:
            write_report(self.book.workdir, self.panels)

    def close(self) -> None:
        """Closes the records."""
        records.close_records(self.book)

    def _position(self, step: int) -> dict[str, Any]:
        return {"step": step, "kimg": images(self.built.stages, step) / 1000.0}

    def _warn(self, step: int, warning: str | None) -> None:
        if warning:
            records.record(self.book, {**self._position(step), "event": f"warning: {warning}"})
