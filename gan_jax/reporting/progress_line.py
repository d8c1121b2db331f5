"""The progress line of a training run on stderr."""

import os
import sys
import time
from typing import NamedTuple

from tqdm import tqdm

from gan_jax.reporting.run_log import EVALUATED, Row

NOT_QUANTITIES = ("step", "kimg", "time", "event", EVALUATED)
LOG_INTERVAL = 10.0  # seconds between progress lines when stderr is not a terminal


class Progress(NamedTuple):
    """A progress bar.

    It advances when metrics arrive: dispatching a round returns before the round has run.

    Attributes:
        bar: the tqdm bar.
        start: the round after which the run started or resumed.
        terminal: whether stderr is a terminal; otherwise a plain line is printed every ten seconds.
    """

    bar: tqdm
    start: int
    terminal: bool


def open_progress(total: int, *, step: int = 0) -> Progress:
    """Start a progress line on stderr for rounds `step` to `total`."""
    terminal = sys.stderr.isatty()
    layout = "{percentage:3.0f}% {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_noinv_fmt}"
    bar = tqdm(
        total=total,
        initial=step,
        unit=" rounds",
        mininterval=0.2 if terminal else LOG_INTERVAL,
        miniters=1,
        smoothing=0,
        dynamic_ncols=terminal,
        bar_format=layout + "{postfix}]",
        file=sys.stderr if terminal else open(os.devnull, "w"),  # noqa: SIM115 -- closed below
    )
    return Progress(bar, step, terminal)


def tick(progress: Progress, row: Row) -> None:
    """Advance to the row's step and show its losses; print rows without losses as lines."""
    if not any(name.endswith("/loss") for name in row):
        tqdm.write(describe(row), file=sys.stderr)
        return
    bar, step = progress.bar, int(row["step"])
    if bar.n == progress.start:  # the first rounds include compilation, so the rate starts here
        bar.initial = step
        bar.start_t = bar.last_print_t = time.time()
    bar.set_postfix_str(describe(row), refresh=False)
    due = bar.update(step - bar.n)
    if due and not progress.terminal:
        print(bar, file=sys.stderr, flush=True)


def close_progress(progress: Progress) -> None:
    """Close the line and leave its last state on the screen."""
    if not progress.terminal:
        print(progress.bar, file=sys.stderr, flush=True)
    progress.bar.close()
    if not progress.terminal:
        progress.bar.fp.close()


def describe(row: Row) -> str:
    """Summarise a row of metrics in one line.

    "640 images/s, discriminator 1.24 (real 81%, fake 77%), generator 0.93" for a row with losses,
    "round 1200: fid50k 3.21" for an evaluation, "round 1200: resumed" for an event.
    """
    parts = []
    if "images_per_second" in row:
        speed = row["images_per_second"]
        parts.append(f"{speed:,.0f} images/s" if speed >= 10 else f"{speed:.2g} images/s")
    for name in row:
        player, _, quantity = name.rpartition("/")
        if quantity == "loss":
            sides = {side: row.get(f"{player}/{side}_accuracy") for side in ("real", "fake")}
            known = ", ".join(f"{side} {x:.0%}" for side, x in sides.items() if x is not None)
            parts.append(f"{player} {row[name]:.3g}" + (f" ({known})" if known else ""))
    if parts:
        return ", ".join(parts)
    quantities = {name: x for name, x in row.items() if name not in NOT_QUANTITIES}
    parts = [str(row["event"])] if "event" in row else []
    parts += [f"{name} {x:.4g}" for name, x in quantities.items()]
    return f"round {row['step']}: " + ", ".join(parts)
