"""What looks at a run while it plays: a late reader, a clock, alarms, the records."""

import time
from pathlib import Path
from typing import Any

import jax

from gan_jax import game, parallel
from gan_jax.build.data import held_out
from gan_jax.build.parts import Built
from gan_jax.build.schedule import images
from gan_jax.data.pipeline import Source
from gan_jax.errors import UserError, nearest
from gan_jax.evaluation.evaluate import evaluate
from gan_jax.metrics.names import quantity
from gan_jax.progress import clock
from gan_jax.reporting import run_log
from gan_jax.reporting.page import Panel, write_report
from gan_jax.reporting.voices import exhibits
from gan_jax.training import guard, run_dir

POINTS = 1000  # of 2-D data, in a scatter plot


class Watch:
    """The metrics of a run a round late, its samples, scores and report; close it at the end."""

    def __init__(self, built: Built, source: Source, workdir: Path, start: int) -> None:
        self.built, self.source, total = built, source, built.stages[-1].last
        self.leads = parallel.is_main_process()
        self.book = run_log.open_records(workdir, total=total, step=start, silent=not self.leads)
        self.total = total
        self.late: tuple[int, Any] | None = None
        self.since: tuple[float, int] | None = None
        self.alarms = guard.Alarms()
        self.panels: list[Panel] = []
        self.reals = run_dir.real_samples(source, POINTS, built.real)
        shown = held_out(built, source)
        count = POINTS if self.reals.ndim == 2 else run_dir.grid_size(built)
        self.conditions = built.sampler.conditions(shown, count)
        if start > 0 and self.leads:
            run_log.record(self.book, {"step": start, "event": run_log.RESUMED})
            path, every = workdir / run_log.METRICS, built.experiment.run.log_every
            self._warn(start, run_log.missing_rows(path, step=start, every=every))

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
        run_log.record(self.book, row)
        guard.require_finite(row)
        self.alarms, warning = guard.watch_accuracy(self.alarms, row)
        self._warn(step, warning)

    def sample(self, state: game.State, step: int) -> None:
        """Draws the fixed latents' samples and looks for collapse; the leading process does."""
        if not self.leads:
            return
        state = parallel.first_replica(state)
        key, sampler = game.fold(self.built.key, "grid"), self.built.sampler
        with clock("drawing samples", delay=2.0):
            samples = sampler.draw(state, key, self.conditions)
            views = run_dir.views(sampler, state, key, self.conditions, samples)
        run_dir.show(self.book, step, views, samples, self.reals, sampler.columns)
        spreads = guard.spread(samples), guard.spread(self.reals)
        self.alarms, warning = guard.watch_spread(self.alarms, *spreads)
        self._warn(step, warning if step else None)

    def score(self, state: game.State, step: int) -> dict[str, float]:
        """Evaluates every metric of the experiment and records the values.

        Every process does, with the same result: they agree on the best checkpoint. Raises
        UserError where the quantity of the best is not among them.
        """
        key = game.fold(self.built.key, "evaluate")
        state = parallel.first_replica(state)
        scores = evaluate(self.built, state, key, self.source)
        self.panels = exhibits(self.built, state, key, self.source)
        run_log.record(self.book, self._position(step) | scores)
        best, found = self.built.experiment.run.best, {quantity(name) for name in scores}
        if best and best not in found:
            guess = nearest(best, found)
            raise UserError(f"run.best = {best!r} is not measured; did you mean {guess}?")
        return scores

    def unscored(self) -> bool:
        """Whether the last round's metrics were asked for and are not on record."""
        path = self.book.workdir / run_log.METRICS
        return bool(self.built.experiment.run.metrics) and run_log.unscored(path, self.total)

    def report(self) -> None:
        """Writes the run's page."""
        if self.leads:
            write_report(self.book.workdir, self.panels)

    def close(self) -> None:
        """Closes the records."""
        run_log.close_records(self.book)

    def _position(self, step: int) -> dict[str, Any]:
        return {"step": step, "kimg": images(self.built.stages, step) / 1000.0}

    def _warn(self, step: int, warning: str | None) -> None:
        if warning:
            run_log.record(self.book, {**self._position(step), "event": f"warning: {warning}"})
