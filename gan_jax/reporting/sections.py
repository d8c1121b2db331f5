"""The sections of a report as values for its template, `report.html`."""

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from gan_jax.json_types import JsonObject
from gan_jax.reporting.charts import (
    Axis,
    Curve,
    Event,
    best_index,
    final_mean,
    training_time,
)
from gan_jax.reporting.formats import duration, number
from gan_jax.reporting.frames import Frames
from gan_jax.reporting.run_log import Row
from gan_jax.reporting.template import Values

FIRST_WARNINGS = 20  # are shown; the rest can be unfolded
HEADLINES = 4  # metrics among the key figures
REVISION_DIGITS = 12


def subtitle(config: JsonObject, workdir: Path) -> str:
    """Name the directory, fingerprint, seed and code revision of a run in one line."""
    parts = [f"run directory {workdir}"]
    if config.get("fingerprint"):
        parts.append(f"fingerprint {config['fingerprint']}")
    if "seed" in config:
        parts.append(f"seed {config['seed']}")
    if config.get("revision"):
        changes = " with changes" if config.get("dirty") else ""
        parts.append(f"code {str(config['revision'])[:REVISION_DIGITS]}{changes}")
    return " · ".join(parts)


def tiles(
    config: JsonObject,
    rows: Sequence[Row],
    axes: Sequence[Axis],
    curves: Mapping[str, Curve],
    metrics: Values | None,
) -> list[Values]:
    """List the key figures of a run: images, time, speed, networks, device, the first metrics."""
    tiles: list[Values] = []

    def tile(name: str, value: str, note: str = "", full: str = "") -> None:
        tiles.append({"name": name, "value": value, "note": note, "full": full})

    for row in (metrics or {"rows": []})["rows"][:HEADLINES]:
        best = f"best {row['best']} at {row['at']}" if row["at"] else ""
        tile(f"{row['name']} {row['arrow']}".rstrip(), row["last"], best, row["full"])
    if rows:
        ends = {axis.name: float(axis.values.max()) for axis in axes}
        rounds = f"{ends['step']:,.0f} rounds"
        if "kimg" in ends:
            tile("real images shown", f"{number(ends['kimg'])} k", rounds)
        else:
            tile("trained", rounds)
        tile("time", duration(float(training_time(rows)[-1])), "first to last row")
    if "images_per_second" in curves:
        speed = curves["images_per_second"].values
        speed = speed[np.isfinite(speed)]
        if len(speed):
            tile("images per second", number(float(np.median(speed))), "median")
    if config.get("parameters"):
        sizes = {name: millions(count) for name, count in config["parameters"].items()}
        note = ", ".join(f"{name} {size}" for name, size in sizes.items())
        tile("parameters", millions(sum(config["parameters"].values())), note)
    if config.get("device"):
        tile("device", str(config["device"]))
    if not tiles:
        tile("metrics", "none yet", "the first row has not been written")
    return tiles


def millions(count: int) -> str:
    """Write a number of parameters: "1.23 M", "45.7 k"."""
    return f"{count / 1e6:.3g} M" if count >= 1e6 else f"{count / 1e3:.3g} k"


def data_card(config: JsonObject) -> str:
    """Name the data set, its size, shape and description in one line; "" if it is unknown."""
    data = config.get("data") or {}
    if not data.get("name"):
        return ""
    size = "endless" if data.get("size") is None else f"{data['size']:,} of"
    parts = [f"{size} {data['shape']}"] if data.get("shape") else []
    return f"{data['name']}: {', '.join([*parts, data.get('description') or ''])}".rstrip(" ,:")


def events(rows: Sequence[Row], events: Sequence[Event]) -> Values:
    """List the warnings, of which the first are shown and the rest folded, and the notes."""

    def items(warning: bool) -> list[Values]:
        return [
            {"step": rows[event.row].get("step", "?"), "text": event.text}
            for event in events
            if event.warning == warning
        ]

    warnings, notes = items(True), items(False)
    rest = warnings[FIRST_WARNINGS:]
    return {
        "warnings": warnings
        and {
            "count": len(warnings),
            "first": warnings[:FIRST_WARNINGS],
            "more": rest and {"count": len(rest), "rest": rest},
        },
        "notes": notes and {"count": len(notes), "entries": notes},
    }


def samples(
    frames: Frames, labels: Sequence[str], layout: Mapping[str, Sequence[str]]
) -> Values | None:
    """Describe the slider through the sample grids, and the grid of real images.

    Args:
        frames: the grids.
        labels: what the slider says at each.
        layout: the titles of "rows" and "columns", and the "captions" of the samples, if known.
    """
    if not frames.urls and not frames.reals:
        return None
    last = len(frames.urls) - 1
    slider = frames.urls and {
        "last": last,
        "label": labels[-1],
        "frames": [
            {"url": url, "label": label, "hidden": k != last}
            for k, (url, label) in enumerate(zip(frames.urls, labels, strict=True))
        ],
        "lossy": not frames.exact,
    }
    captions = layout.get("captions", ())
    return {
        "slider": slider,
        "reals": frames.reals and {"url": frames.reals},
        "rows": layout.get("rows", ()),
        "columns": layout.get("columns", ()),
        "captions": captions and {"count": len(captions), "texts": captions},
    }


def chart_cards(charts: Sequence[JsonObject], axes: Sequence[Axis]) -> Values | None:
    """List the titles of the charts, which the report's script draws, and the axes."""
    if not charts:
        return None
    return {
        "axes": [{"name": axis.name, "label": axis.label} for axis in axes],
        "cards": [
            {"number": k, "title": chart["title"], "full": chart.get("full", "")}
            for k, chart in enumerate(charts)
        ],
    }


def value_table(curves: Mapping[str, Curve], axes: Sequence[Axis]) -> Values | None:
    """Summarise every curve by its last, mean, extreme and best values."""
    rows = []
    for curve in curves.values():
        index, finite = best_index(curve), curve.values[np.isfinite(curve.values)]
        best = ""
        if index is not None:
            position = number(axes[0].values[int(curve.rows[index])])
            best = f"{number(curve.values[index])} at {position} {axes[0].unit}"
        cells = [
            number(curve.values[-1]),
            number(final_mean(curve)),
            number(finite.min()) if len(finite) else "—",
            number(finite.max()) if len(finite) else "—",
            best,
        ]
        rows.append({"name": curve.name, "cells": cells})
    return {"rows": rows} if rows else None


def commands(config: JsonObject, workdir: Path) -> Values | None:
    """Give the commands that repeat and resume a run.

    Args:
        config: the content of `config.json`, whose `command` is argv without the run directory.
        workdir: the run directory.
    """
    if not config.get("recipe"):
        return None
    command = config.get("command") or ("scripts/train.py", config["recipe"])
    command = [str(word) for word in command]
    repeat = command_line(command)
    trains = command[0].endswith("train.py") or command[1:2] == ["train"]
    resume = repeat + (f" --workdir {shlex.quote(str(workdir))}" if trains else "")
    revision = config.get("revision")
    if revision:
        repeat = f"git checkout {shlex.quote(str(revision))}\n{repeat}"
    return {"repeat": repeat, "resume": resume, "dirty": bool(config.get("dirty"))}


def command_line(words: Sequence[str]) -> str:
    """Write a recorded command as a shell takes it: a script needs Python before it."""
    return shlex.join(["python", *words] if words[0].endswith(".py") else words)


def config_tables(config: JsonObject) -> list[Values]:
    """Lay out the configuration, the data, and the versions and device as tables."""
    tables = {
        "Configuration": config.get("experiment") or {},
        "Data": config.get("data") or {},
        "Versions and device": {
            **(config.get("versions") or {}),
            **{k: config[k] for k in ("device", "processes", "revision", "dirty") if k in config},
        },
    }
    return [
        {"name": name, "open": name == "Configuration", "groups": _groups(content)}
        for name, content in tables.items()
        if content
    ]


def _groups(values: object) -> list[Values]:
    """Split a dictionary into its plain values and a group for each nested dictionary."""
    values = values if isinstance(values, Mapping) else {"": values}
    nested = {k: v for k, v in values.items() if isinstance(v, Mapping) and v}
    plain = {k: v for k, v in values.items() if k not in nested}
    groups = [{"heading": None, "fields": _fields(plain.items())}]
    groups += [
        {"heading": name, "fields": _fields(leaves(group))} for name, group in nested.items()
    ]
    return groups


def _fields(items: Iterable[tuple[object, object]]) -> list[Values]:
    return [
        {
            "name": str(name),
            "value": value if isinstance(value, str) else json.dumps(value, ensure_ascii=False),
        }
        for name, value in items
    ]


def leaves(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """List the values of nested dictionaries with dotted names."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
