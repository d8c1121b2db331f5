"""The report of a run: one HTML page with curves, samples, configuration and commands.

The page needs no other file, so it can be mailed, archived and opened without a server. It can be
rebuilt from the run directory (`gan_jax.reporting.run_log`) at any time.

References:
    Okabe and Ito, "Color universal design", https://jfly.uni-koeln.de/color/ (the colours)
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from gan_jax.errors import UserError
from gan_jax.grids import write_atomically
from gan_jax.json_types import JsonObject
from gan_jax.reporting import charts, sections
from gan_jax.reporting.formats import number, rounded
from gan_jax.reporting.frames import read_frames, read_layout
from gan_jax.reporting.metric_table import metric_table
from gan_jax.reporting.run_log import METRICS, SAMPLES, in_order, read_metrics
from gan_jax.reporting.template import Html, render

REPORT, PANELS = "report.html", "panels.json"


class Panel(NamedTuple):
    """A section of its own.

    Attributes:
        title: its title, which is escaped.
        html: its content, which is trusted and inserted as it is.
    """

    title: str
    html: str


def write_report(workdir: Path, panels: Sequence[Panel] = ()) -> Path:
    """Write the report of a run that is finished, under way or just started.

    Args:
        workdir: the run directory.
        panels: sections to add; they are stored and reappear in later reports without panels.

    Returns:
        The path of `report.html`.

    Raises:
        UserError: the directory is missing, or one of its files is damaged.
    """
    if not workdir.is_dir():
        raise UserError(f"no run directory at {workdir}")
    panels = _stored_panels(workdir / PANELS, panels)
    config = read_config(workdir / "config.json")
    path = workdir / METRICS
    rows = in_order(read_metrics(path)) if path.exists() else []
    axes, curves = charts.read_axes(rows), charts.read_curves(rows)
    events, drawn = charts.read_events(rows, curves), charts.make_charts(curves, axes)
    frames = read_frames(workdir / SAMPLES)
    places = [charts.place(rows, axes, step) for step in frames.steps]
    layout, metrics = read_layout(workdir / SAMPLES), metric_table(curves, axes)
    labels = [_frame_label(step, at) for step, at in zip(frames.steps, places, strict=True)]
    data = {
        "axes": [{"name": a.name, "label": a.label, "unit": a.unit} for a in axes],
        "charts": drawn,
        "frames": [at | {"label": label} for at, label in zip(places, labels, strict=True)],
        "events": [
            {axis.name: rounded(axis.values[event.row]) for axis in axes}
            | {"text": event.text, "warning": event.warning}
            for event in events
        ],
    }
    values = {
        "title": config.get("recipe", workdir.resolve().name),
        "subtitle": sections.subtitle(config, workdir),
        "tiles": sections.tiles(config, rows, axes, curves, metrics),
        "data_card": sections.data_card(config),
        "metrics": metrics,
        **sections.events(rows, events),
        "samples": sections.samples(frames, labels, layout),
        "curves": sections.chart_cards(drawn, axes),
        "panels": [{"title": panel.title, "content": Html(panel.html)} for panel in panels],
        "values": sections.value_table(curves, axes),
        "commands": sections.commands(config, workdir),
        "config": sections.config_tables(config),
        "data": json_for_script(data),
    }
    report = workdir / REPORT
    write_atomically(report, render(REPORT, **values).encode())
    return report


def read_config(path: Path) -> JsonObject:
    """Read `config.json`; empty if it is missing. Raises UserError if it is damaged."""
    if not path.exists():
        return {}
    try:
        config = json.loads(path.read_bytes())
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}") from error
    if not isinstance(config, dict):
        raise UserError(f"{path} is not a JSON object")
    return config


def _stored_panels(path: Path, panels: Sequence[Panel]) -> Sequence[Panel]:
    """Store the panels, or read those of an earlier call if there are none."""
    if panels:
        write_atomically(path, json.dumps(panels).encode())
    if not path.exists():
        return panels
    try:
        return [Panel(*entry) for entry in json.loads(path.read_bytes())]
    except (ValueError, TypeError) as error:
        raise UserError(f"{path} does not hold panels: {error}") from error


def _frame_label(step: int, at: Mapping[str, float]) -> str:
    rounds = f"{step:,} rounds"
    return f"{number(at['kimg'])} kimg ({rounds})" if "kimg" in at else rounds


def json_for_script(data: object) -> Html:
    """Write JSON that cannot end the script element which holds it."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return Html(text.replace("<", "\\u003c"))
