"""The curves of a run's metrics, and the charts that a report draws of them."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from gan_jax.evaluation.spec import better, is_score
from gan_jax.json_types import JsonObject
from gan_jax.metrics.names import short_names
from gan_jax.reporting.formats import number, rounded, time_unit
from gan_jax.reporting.run_log import EVALUATED, RESUMED, Row

MAX_POINTS = 1000  # of a curve; a longer one is drawn as mean and range of half as many pieces
MAX_MARKERS = 100  # points of an evaluation that are drawn as dots
COLOURS = 6  # in the template
BLUISH_GREEN, PURPLE = 2, 3  # for real and fake

_NOT_CURVES = {"step", "kimg", "time", "event", EVALUATED}
_OF_PLAYER = re.compile(r"[\w]+(/[\w]+)+")  # discriminator/real_accuracy, but not kid1k-test[...]


class Axis(NamedTuple):
    """A measure of progress.

    Attributes:
        name: its key in the report's data: "kimg", "step" or "time".
        label: its title below a chart.
        unit: the unit of its values.
        values: a value for each row of the metrics.
    """

    name: str
    label: str
    unit: str
    values: np.ndarray


class Curve(NamedTuple):
    """A quantity over the course of a run.

    Attributes:
        name: the quantity, as in the metrics file.
        colour: the number of its colour.
        rows: the indices of the rows of the metrics that it comes from.
        values: its value in each of them.
    """

    name: str
    colour: int
    rows: np.ndarray
    values: np.ndarray


class Event(NamedTuple):
    """A remark about a round.

    Attributes:
        row: the index of its row of the metrics.
        text: the remark.
        warning: whether it is a warning.
    """

    row: int
    text: str
    warning: bool


def read_axes(rows: Sequence[Row], longest: float = 0.0) -> list[Axis]:
    """Place the rows on every axis: thousands of images if known, rounds, and time.

    Args:
        rows: the rows of the metrics.
        longest: seconds of the longest run on the same page, which chooses the unit of time.
    """
    steps = np.array([row.get("step", 0) for row in rows], float)
    axes = [Axis("step", "rounds", "rounds", steps)]
    known = [(row["step"], row["kimg"]) for row in rows if "kimg" in row and "step" in row]
    if known:
        kimg = np.interp(steps, *np.array([(0, 0), *known], float).T)
        axes.insert(0, Axis("kimg", "real images shown (thousands)", "kimg", kimg))
    elapsed = training_time(rows)
    if len(rows) > 1 and elapsed[-1] > 0:
        seconds, unit = time_unit(max(longest, float(elapsed[-1])))
        axes.append(Axis("time", f"time since the first row ({unit})", unit, elapsed / seconds))
    return axes


def training_time(rows: Sequence[Row]) -> np.ndarray:
    """Count the seconds from the first row to each row, without pauses before a resume."""
    elapsed, last = [0.0], None
    for row in rows:
        now = row.get("time", last)
        if last is not None and now is not None and row.get("event") != RESUMED:
            elapsed.append(elapsed[-1] + max(0.0, now - last))
        else:
            elapsed.append(elapsed[-1])
        last = now
    return np.array(elapsed[1:])


def place(rows: Sequence[Row], axes: Sequence[Axis], step: int) -> dict[str, float]:
    """Interpolate the position of round `step` on every axis, by the axis's name."""
    rounds = [0.0, *(row.get("step", 0) for row in rows)]
    placed = {a.name: rounded(np.interp(step, rounds, [0.0, *a.values])) for a in axes}
    return placed | {"step": float(step)}


def read_curves(rows: Sequence[Row]) -> dict[str, Curve]:
    """Collect the numbers of the rows by name; each player has a colour."""
    values: dict[str, list[tuple[int, float]]] = {}
    for index, row in enumerate(rows):
        for name, value in row.items():
            if name not in _NOT_CURVES and isinstance(value, int | float):
                values.setdefault(name, []).append((index, float(value)))
    players = sorted({_player(name) for name in values if of_player(name)}, key=_player_order)
    curves = {}
    for name, pairs in values.items():
        indices, numbers = zip(*pairs, strict=True)
        colour = players.index(_player(name)) % COLOURS if of_player(name) else 0
        curves[name] = Curve(name, colour, np.array(indices), np.array(numbers))
    return curves


def of_player(name: str) -> bool:
    """Whether a quantity belongs to a player, such as "generator/loss"."""
    return _OF_PLAYER.fullmatch(name) is not None


def _player(name: str) -> str:
    return name.partition("/")[0]


def _player_order(player: str) -> tuple[bool, bool, str]:
    return player != "generator", player != "discriminator", player


def read_events(rows: Sequence[Row], curves: Mapping[str, Curve]) -> list[Event]:
    """List the events of a run, and a warning for every curve that ceases to be finite."""
    events = [
        Event(index, str(row["event"]), row["event"] != RESUMED)
        for index, row in enumerate(rows)
        if "event" in row
    ]
    for name, curve in curves.items():
        bad = np.flatnonzero(~np.isfinite(curve.values))
        if len(bad):
            count = f" ({len(bad):,} of {len(curve.values):,} values)"
            text = f"{name} is not finite from here on{count}"
            events.append(Event(int(curve.rows[bad[0]]), text, True))
    return sorted(events)


def make_charts(curves: Mapping[str, Curve], axes: Sequence[Axis]) -> list[JsonObject]:
    """Group the curves into charts, as the report's script reads them.

    The order is: losses, real against fake (accuracies, logits), evaluations, other quantities of
    the players, throughput. An evaluation of a single value has no chart.
    """
    evaluations = [curve for name, curve in curves.items() if not of_player(name)]
    of_players = sorted(
        (curve for name, curve in curves.items() if of_player(name)),
        key=lambda curve: _player_order(_player(curve.name)),
    )
    quantities: dict[str, list[Curve]] = {}
    for curve in of_players:
        quantities.setdefault(curve.name.rpartition("/")[2], []).append(curve)
    losses = quantities.pop("loss", [])

    charts = []
    if losses:
        named = [c._replace(name=c.name.removesuffix("/loss")) for c in losses]
        charts.append(_chart("Loss of each player", "loss", named, axes))
    charts += _real_against_fake(quantities, axes)
    short = short_names(c.name for c in evaluations)
    for curve in evaluations:
        if curve.name != "images_per_second" and len(curve.values) > 1:
            charts.append(_evaluation_chart(short[curve.name], curve, axes))
    for quantity, group in quantities.items():
        named = [c._replace(name=c.name.rpartition("/")[0]) for c in group]
        title = quantity.replace("_", " ")
        charts.append(_chart(title[0].upper() + title[1:], title, named, axes))
    if "images_per_second" in curves:
        curve = curves["images_per_second"]._replace(name="all devices")
        charts.append(_chart("Throughput", "images per second", [curve], axes) | {"zero": True})
    return charts


def _real_against_fake(
    quantities: dict[str, list[Curve]], axes: Sequence[Axis]
) -> list[JsonObject]:
    """Remove `real_x` and `fake_x` from the quantities and make one chart of each x."""
    charts = []
    for name in [n.removeprefix("real_") for n in sorted(quantities) if n.startswith("real_")]:
        curves = [
            c._replace(name=f"{c.name.rpartition('/')[0]} on {side}", colour=colour)
            for side, colour in (("real", BLUISH_GREEN), ("fake", PURPLE))
            for c in quantities.pop(f"{side}_{name}", [])
        ]
        title = name.replace("_", " ")
        if name == "accuracy":
            title, unit = "Accuracy of the discriminator", "samples classified correctly"
            percent = {"percent": True, "reference": 0.5}
        else:
            title, unit, percent = f"{title[0].upper()}{title[1:]} on real and fake", title, {}
        charts.append(_chart(title, unit, curves, axes) | percent)
    return charts


def _evaluation_chart(title: str, curve: Curve, axes: Sequence[Axis]) -> JsonObject:
    way = direction(curve.name)
    chart = _chart(title, f"{way} is better" if way else "", [curve], axes)
    best = best_index(curve)
    if best is not None and len(curve.values) <= MAX_POINTS:
        chart["series"][0]["best"] = best
    return chart | {"markers": len(curve.values) <= MAX_MARKERS, "full": curve.name}


def _chart(title: str, unit: str, curves: Sequence[Curve], axes: Sequence[Axis]) -> JsonObject:
    if len({curve.colour for curve in curves}) < len(curves):  # several moves of one player
        curves = [curve._replace(colour=k % COLOURS) for k, curve in enumerate(curves)]
    description = "; ".join(
        f"{c.name}: {number(c.values[0])} at first, {number(c.values[-1])} at last" for c in curves
    )
    return {
        "title": title,
        "unit": unit,
        "series": [reduced(curve, axes) for curve in curves],
        "label": f"{title}. {description}.",
    }


def reduced(curve: Curve, axes: Sequence[Axis]) -> JsonObject:
    """Reduce a curve to mean, minimum and maximum of at most `MAX_POINTS` pieces."""
    count = len(curve.values)
    pieces = np.array_split(np.arange(count), count if count <= MAX_POINTS else MAX_POINTS // 2)
    finite = [curve.values[piece][np.isfinite(curve.values[piece])] for piece in pieces]
    reduced = {
        key: [rounded(f(values)) if len(values) else None for values in finite]
        for key, f in (("y", np.mean), ("lo", np.min), ("hi", np.max))
    }
    return reduced | {
        "name": curve.name,
        "color": curve.colour,
        "thinned": count > MAX_POINTS,
        "x": {
            axis.name: [rounded(axis.values[curve.rows[piece]].mean()) for piece in pieces]
            for axis in axes
        },
        "bad": [k for k, piece in enumerate(pieces) if not np.isfinite(curve.values[piece]).all()],
    }


def direction(name: str) -> str:
    """Return "lower" or "higher" for a metric; "" for a loss and where neither is better."""
    way = better(name, "neither") if is_score(name) else "neither"
    return "" if way == "neither" else way


def best_index(curve: Curve) -> int | None:
    """Find the best value of a metric; None if no direction is better or no value is finite."""
    way, finite = direction(curve.name), np.isfinite(curve.values)
    if not way or not finite.any():
        return None
    worst = math.inf if way == "lower" else -math.inf
    values = np.where(finite, curve.values, worst)
    return int(values.argmin() if way == "lower" else values.argmax())


def final_mean(curve: Curve) -> float:
    """Average the last tenth of a curve; NaN if it is not finite."""
    tail = curve.values[-max(1, len(curve.values) // 10) :]
    return float(tail.mean()) if np.isfinite(tail).all() else math.nan
