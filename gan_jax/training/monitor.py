"""The monitor of a run: its metrics, samples, evaluations, warnings and report."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
from gan_jax.reporting import records, run_log
from gan_jax.reporting.interpolations import interpolation_panels
from gan_jax.reporting.neighbours import neighbour_panels
from gan_jax.reporting.page import Panel, write_report
from gan_jax.reporting.voices import sound_panels
from gan_jax.training import guard, sample_grids

POINTS = 1000  # in a scatter plot of 2-D data


class Monitor:
    """Records what a run does; close it at the end.

    Metrics are read one round late, so that the devices never wait for the host: `push` hands in
    the metrics of the round that was just dispatched and records those of the round before.

    Args:
        built: the run's parts at round `start`.
        source: the training data.
        workdir: the run directory.
        start: the round that the run continues after.
    """

    def __init__(self, built: Built, source: Source, workdir: Path, start: int) -> None:
        self.built, self.source, self.total = built, source, built.stages[-1].last
        self.leads = parallel.is_main_process()
        self.records = records.open_records(
            workdir, total=self.total, step=start, silent=not self.leads
        )
        self._step = start  # of the last round that was pushed
        self._pending: game.Metrics | None = None  # of that round, if not yet recorded
        self._timed_from: tuple[float, int] | None = None  # seconds, and the round that ended then
        self._diagnostics = guard.Diagnostics()
        self._panels: list[Panel] = []
        count = sample_grids.grid_size(built)
        self.reals = sample_grids.real_samples(source, count, built.real)
        if self.reals.ndim == 2:
            count = POINTS
            self.reals = sample_grids.real_samples(source, count, built.real)
        shown = held_out(built, source)
        self.conditions = built.sampler.conditions(shown, count)
        if self.leads:
            sample_grids.write_layout(workdir, built, shown, self.conditions)
        if start > 0 and self.leads:
            records.record(self.records, {"step": start, "event": run_log.RESUMED})
            path, every = workdir / run_log.METRICS, built.experiment.run.log_every
            self._warn(start, run_log.missing_rows(path, step=start, every=every))

    def push(self, step: int, metrics: game.Metrics, built: Built) -> None:
        """Record the metrics of the previous round, while the devices compute round `step`.

        Args:
            step: the round that was just dispatched.
            metrics: its metrics by move, which may not be computed yet.
            built: the run's parts at that round.

        Raises:
            guard.Stopped: a metric of the previous round is not finite.
        """
        self.flush()
        self._step, self._pending, self.built = step, metrics, built

    def flush(self) -> None:
        """Wait for the metrics of the last pushed round, and record them if a row is due.

        Raises:
            guard.Stopped: one of them is not finite.
        """
        if self._pending is None:
            return
        step, metrics, self._pending = self._step, self._pending, None
        jax.block_until_ready(metrics)
        now, timed_from = time.perf_counter(), self._timed_from
        if timed_from is None:  # the first round is compiled and says nothing about the speed
            self._timed_from = (now, step)
        if step % self.built.experiment.run.log_every and step != self.total:
            return
        metrics = jax.device_get(metrics)
        row: run_log.Row = self._position(step)
        for label in game.played(self.built.game, step - 1):
            row |= {f"{label}/{name}": float(x) for name, x in metrics[label].items()}
        if timed_from is not None:
            since, first = timed_from
            count = images(self.built.stages, step) - images(self.built.stages, first)
            row["images_per_second"] = count / (now - since)
            self._timed_from = (now, step)
        records.record(self.records, row)
        guard.require_finite(row)
        self._diagnostics, warning = guard.check_saturation(self._diagnostics, row)
        self._warn(step, warning)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Flush the metrics, and leave what is done meanwhile out of the measured speed."""
        self.flush()
        yield
        self._timed_from = (time.perf_counter(), self._step)

    def sample(self, state: game.State, step: int) -> None:
        """Write samples from fixed latents and check them for collapse, in the leading process."""
        if not self.leads:
            return
        state = parallel.first_replica(state)
        key, sampler = game.fold(self.built.key, "grid"), self.built.sampler
        with clock("drawing samples", delay=2.0):
            samples = sampler.draw(state, key, self.conditions)
            views = sample_grids.sample_views(sampler, state, key, self.conditions, samples)
        sample_grids.write_samples(self.records, step, views, samples, self.reals, sampler.columns)
        if step:  # an untrained generator may draw a single grey
            spreads = guard.spread(samples), guard.spread(self.reals)
            self._diagnostics, warning = guard.check_collapse(self._diagnostics, *spreads)
            self._warn(step, warning)

    def evaluate(self, state: game.State, step: int) -> dict[str, float]:
        """Evaluate and record every metric of the experiment.

        All processes do, with the same result, so that they agree on the best checkpoint.

        Returns:
            Values by metric name.

        Raises:
            UserError: the quantity that selects the best checkpoint is not among them.
        """
        key = game.fold(self.built.key, "evaluate")
        state = parallel.first_replica(state)
        scores = evaluate(self.built, state, key, self.source)
        if self.leads:
            makers = (sound_panels, interpolation_panels, neighbour_panels)
            self._panels = [p for make in makers for p in make(self.built, state, key, self.source)]
        records.record(self.records, self._position(step) | scores)
        best, measured = self.built.experiment.run.best, {quantity(name) for name in scores}
        if best and best not in measured:
            guess = nearest(best, measured)
            raise UserError(f"run.best = {best!r} is not measured; did you mean {guess}?")
        return scores

    def lacks_scores(self) -> bool:
        """Whether the experiment has metrics and those of the last round are not recorded."""
        path = self.records.workdir / run_log.METRICS
        return bool(self.built.experiment.run.metrics) and run_log.unscored(path, self.total)

    def report(self) -> None:
        """Write the run's HTML page."""
        if self.leads:
            write_report(self.records.workdir, self._panels)

    def close(self) -> None:
        """Close the records."""
        records.close_records(self.records)

    def _position(self, step: int) -> dict[str, float]:
        return {"step": step, "kimg": images(self.built.stages, step) / 1000.0}

    def _warn(self, step: int, warning: str | None) -> None:
        if warning:
            event = {"event": f"warning: {warning}"}
            records.record(self.records, {**self._position(step), **event})
