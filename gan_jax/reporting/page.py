"""A run on one page: curves, samples through time, configuration, and the command that repeats it.

The page is one HTML file without external resources, so it can be mailed, archived and opened
without a server; it is rebuilt from the run directory (`gan_jax.reporting.run_log`) at any time.
Colours: Okabe and Ito, "Color universal design", https://jfly.uni-koeln.de/color/.
"""

import base64
import functools
import html
import io
import json
import math
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from gan_jax.errors import UserError
from gan_jax.evaluation.spec import better, is_score
from gan_jax.grids import write_atomically
from gan_jax.reporting.run_log import (
    EVALUATED,
    METRICS,
    REALS,
    RESUMED,
    SAMPLES,
    Row,
    in_order,
    read_metrics,
)

TEMPLATE = Path(__file__).with_name("report.html")
FRAMES = 60  # at most, in the slider
IMAGE_BYTES = 4_500_000  # of all images together: a third more in base64, and mail takes 8 MB
PANELS = "panels.json"
POINTS = 1000  # of a curve; longer ones are drawn as the range and the mean of 500 pieces

_NOT_CURVES = {"step", "kimg", "time", "event", EVALUATED}
_PER_PLAYER = re.compile(r"[\w]+(/[\w]+)+")  # discriminator/real_accuracy, but not kid1k-test[...]


class Panel(NamedTuple):
    """A section of its own: `html` is trusted and taken as it is, the title is escaped."""

    title: str
    html: str


class Axis(NamedTuple):
    """A way to count progress: one value for each row of the metrics."""

    name: str
    label: str
    unit: str
    values: np.ndarray


class Series(NamedTuple):
    """One curve: `where` are the rows it comes from."""

    name: str
    colour: int
    where: np.ndarray
    values: np.ndarray


def write_report(workdir: Path, panels: Sequence[Panel] = ()) -> Path:
    """Write `report.html` of a run that is finished, under way, or has hardly begun; its path.

    At most 60 sample grids are shown, evenly thinned; if they are large they are re-encoded with
    loss. `panels` are kept for later calls without any. Raises
    UserError when the directory is missing or one of its files is spoilt.
    """
    if not workdir.is_dir():
        raise UserError(f"no run directory at {workdir}")
    panels = _kept_panels(workdir / PANELS, panels)
    config = _read_config(workdir / "config.json")
    path = workdir / METRICS
    rows = in_order(read_metrics(path)) if path.exists() else []
    axes = _axes(rows)
    series = _series(rows)
    events = _events(rows, series)
    frames, steps, reals, exact = _images(workdir / SAMPLES)
    charts = _charts(series, axes)
    where = [_progress_at(rows, axes, step) for step in steps]
    labels = [_frame_label(step, at) for step, at in zip(steps, where, strict=True)]
    data = {
        "axes": [{"name": a.name, "label": a.label, "unit": a.unit} for a in axes],
        "charts": charts,
        "frames": [at | {"label": label} for at, label in zip(where, labels, strict=True)],
        "events": [
            {axis.name: _short(axis.values[row]) for axis in axes} | {"text": text, "alarm": alarm}
            for row, text, alarm in events
        ],
    }
    page = _fill(
        TEMPLATE.read_text(encoding="utf-8"),
        title=_escape(config.get("recipe", workdir.resolve().name)),
        subtitle=_subtitle(config, workdir),
        tiles=_tiles(config, rows, axes, series),
        alarms=_event_lists(rows, events),
        samples=_sample_figures(frames, labels, reals, exact),
        curves=_chart_cards(charts, axes),
        panels="".join(
            f'<h2>{_escape(title)}</h2><div class="card">{content}</div>'
            for title, content in panels
        ),
        values=_value_table(series, axes),
        commands=_commands(config, workdir),
        config=_config_table(config),
        data=json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c"),
    )
    report = workdir / "report.html"
    write_atomically(report, page.encode())
    return report


# --- reading --------------------------------------------------------------------------------------


def _read_config(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        config = json.loads(path.read_bytes())
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}") from error
    if not isinstance(config, dict):
        raise UserError(f"{path} is not a JSON object")
    return config


def _kept_panels(path: Path, panels: Sequence[Panel]) -> Sequence[Panel]:
    """Store panels, or find those of an earlier call: a page that is rebuilt keeps its sounds."""
    if panels:
        write_atomically(path, json.dumps(panels).encode())
    if not path.exists():
        return panels
    try:
        return [Panel(*one) for one in json.loads(path.read_bytes())]
    except (ValueError, TypeError) as error:
        raise UserError(f"{path} does not hold panels: {error}") from error


def _axes(rows: Sequence[Row]) -> list[Axis]:
    """Count rows in thousands of images where known, in rounds, and in time spent."""
    steps = np.array([row.get("step", 0) for row in rows], float)
    axes = [Axis("step", "rounds", "rounds", steps)]
    known = [(row["step"], row["kimg"]) for row in rows if "kimg" in row and "step" in row]
    if known:
        kimg = np.interp(steps, *np.array([(0, 0), *known], float).T)
        axes.insert(0, Axis("kimg", "real images shown (thousands)", "kimg", kimg))
    spent = _time_spent(rows)
    if len(rows) > 1 and spent[-1] > 0:
        seconds, unit = _time_unit(float(spent[-1]))
        axes.append(Axis("time", f"time since the first row ({unit})", unit, spent / seconds))
    return axes


def _time_spent(rows: Sequence[Row]) -> np.ndarray:
    """Seconds since the first row, without the pauses before a run was resumed."""
    spent, last = [0.0], None
    for row in rows:
        now = row.get("time", last)
        if last is not None and now is not None and row.get("event") != RESUMED:
            spent.append(spent[-1] + max(0.0, now - last))
        else:
            spent.append(spent[-1])
        last = now
    return np.array(spent[1:])


def _series(rows: Sequence[Row]) -> dict[str, Series]:
    """Gather every number of the rows by name, colours by player."""
    values: dict[str, list[tuple[int, float]]] = {}
    for index, row in enumerate(rows):
        for name, value in row.items():
            if name not in _NOT_CURVES and isinstance(value, int | float):
                values.setdefault(name, []).append((index, float(value)))
    players = sorted({_player(n) for n in values if _PER_PLAYER.fullmatch(n)}, key=_player_rank)
    found = {}
    for name, pairs in values.items():
        where, numbers = zip(*pairs, strict=True)
        colour = players.index(_player(name)) % 6 if _PER_PLAYER.fullmatch(name) else 0
        found[name] = Series(name, colour, np.array(where), np.array(numbers))
    return found


def _player(name: str) -> str:
    return name.partition("/")[0]


def _player_rank(player: str) -> tuple[bool, bool, str]:
    return player != "generator", player != "discriminator", player


def _events(rows: Sequence[Row], series: Mapping[str, Series]) -> list[tuple[int, str, bool]]:
    """List (row, text, alarm?): what the run said, and every curve that stopped being finite."""
    events = [
        (i, str(r["event"]), r["event"] != RESUMED) for i, r in enumerate(rows) if "event" in r
    ]
    for name, (_, _, where, values) in series.items():
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            count = f" ({len(bad):,} of {len(values):,} values)"
            events.append((int(where[bad[0]]), f"{name} is not finite from here on{count}", True))
    return sorted(events)


def _progress_at(rows: Sequence[Row], axes: Sequence[Axis], step: int) -> dict[str, float]:
    """Place round `step` on every axis."""
    rounds = [0.0, *(row.get("step", 0) for row in rows)]
    placed = {a.name: _short(np.interp(step, rounds, [0.0, *a.values])) for a in axes}
    return placed | {"step": float(step)}


# --- images ---------------------------------------------------------------------------------------


def _images(directory: Path) -> tuple[list[str], list[int], str, bool]:
    """Read the grids as data URLs with their steps, the real images, and whether they are exact."""
    paths = sorted(
        (p for p in directory.glob("*.png") if p.stem.isdigit()), key=lambda p: int(p.stem)
    )
    paths = thinned(paths, FRAMES)
    reals = directory / REALS
    everything = [*paths, reals] if reals.exists() else paths
    exact = sum(path.stat().st_size for path in everything) <= IMAGE_BYTES
    encode: Callable[[Path], str] = _png_url if exact else _webp_url
    real = encode(reals) if reals.exists() else ""
    urls = [encode(path) for path in paths]
    while len(urls) > 1 and len(real) + sum(map(len, urls)) > IMAGE_BYTES * 4 / 3:
        keep = thinned(range(len(urls)), math.ceil(len(urls) / 2))
        urls, paths = [urls[k] for k in keep], [paths[k] for k in keep]
    return urls, [int(path.stem) for path in paths], real, exact


def thinned(items: Sequence[Any], most: int) -> list[Any]:
    """Pick `most` of the items if they are more, evenly, the last and the first among them."""
    if len(items) <= most:
        return list(items)
    return [items[k] for k in np.linspace(len(items) - 1, 0, most).round().astype(int)[::-1]]


def _png_url(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def _webp_url(path: Path) -> str:
    return _encoded(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=4 * FRAMES)  # a loop rewrites its report at every checkpoint
def _encoded(path: Path, changed: int) -> str:
    small, content = Image.open(path).convert("RGB"), io.BytesIO()
    small.thumbnail((1024, 1024))
    small.save(content, format="WEBP", quality=80, method=1)
    return "data:image/webp;base64," + base64.b64encode(content.getvalue()).decode()


# --- curves ---------------------------------------------------------------------------------------


def _charts(series: Mapping[str, Series], axes: Sequence[Axis]) -> list[dict[str, Any]]:
    """Group the curves into charts: evaluations, losses, accuracies, other quantities, speed."""
    metrics = [s for s in series.values() if not _PER_PLAYER.fullmatch(s.name)]
    players = sorted(
        (s for s in series.values() if _PER_PLAYER.fullmatch(s.name)),
        key=lambda s: _player_rank(_player(s.name)),
    )
    quantities: dict[str, list[Series]] = {}
    for curve in players:
        quantities.setdefault(curve.name.rpartition("/")[2], []).append(curve)
    losses = quantities.pop("loss", [])

    charts = []
    if losses:
        named = [c._replace(name=c.name.removesuffix("/loss")) for c in losses]
        charts.append(_chart("Loss of each player", "loss", named, axes))
    charts += _two_sided_charts(quantities, axes)
    for curve in metrics:
        if curve.name != "images_per_second":
            charts.append(_evaluation_chart(curve, axes))
    for quantity, curves in quantities.items():
        named = [c._replace(name=c.name.rpartition("/")[0]) for c in curves]
        title = quantity.replace("_", " ")
        charts.append(_chart(title[0].upper() + title[1:], title, named, axes))
    if "images_per_second" in series:
        curve = series["images_per_second"]._replace(name="all devices")
        charts.append(_chart("Throughput", "images per second", [curve], axes) | {"zero": True})
    return charts


def _two_sided_charts(
    quantities: dict[str, list[Series]], axes: Sequence[Axis]
) -> list[dict[str, Any]]:
    """Take `real_x` and `fake_x` out of the quantities, for one chart of x: accuracies, logits."""
    charts = []
    for name in [n.removeprefix("real_") for n in sorted(quantities) if n.startswith("real_")]:
        curves = [
            c._replace(name=f"{c.name.rpartition('/')[0]} on {side}", colour=colour)
            for side, colour in (("real", 2), ("fake", 3))
            for c in quantities.pop(f"{side}_{name}", [])
        ]
        title = name.replace("_", " ")
        if name == "accuracy":
            title, unit = "How often the discriminator is right", "samples judged rightly"
            percent = {"percent": True, "reference": 0.5}
        else:
            title, unit, percent = f"{title[0].upper()}{title[1:]} on real and fake", title, {}
        charts.append(_chart(title, unit, curves, axes) | percent)
    return charts


def _evaluation_chart(curve: Series, axes: Sequence[Axis]) -> dict[str, Any]:
    better = _direction(curve.name)
    chart = _chart(curve.name, f"{better} is better" if better else "", [curve], axes)
    best = _best(curve)
    if best is not None and len(curve.values) <= POINTS:
        chart["series"][0]["best"] = best
    return chart | {"markers": len(curve.values) <= 100}


def _chart(title: str, unit: str, curves: Sequence[Series], axes: Sequence[Axis]) -> dict[str, Any]:
    if len({curve.colour for curve in curves}) < len(curves):  # moves of one player
        curves = [curve._replace(colour=k % 6) for k, curve in enumerate(curves)]
    drawn = [_curve(curve, axes) for curve in curves]
    said = "; ".join(
        f"{c.name}: {_number(c.values[0])} at first, {_number(c.values[-1])} at last"
        for c in curves
    )
    return {"title": title, "unit": unit, "series": drawn, "label": f"{title}. {said}."}


def _curve(curve: Series, axes: Sequence[Axis]) -> dict[str, Any]:
    """Reduce a curve to what can be seen: mean, least and greatest of at most 1000 points."""
    count = len(curve.values)
    pieces = np.array_split(np.arange(count), count if count <= POINTS else POINTS // 2)
    finite = [curve.values[piece][np.isfinite(curve.values[piece])] for piece in pieces]
    reduced = {
        key: [_short(f(values)) if len(values) else None for values in finite]
        for key, f in (("y", np.mean), ("lo", np.min), ("hi", np.max))
    }
    return reduced | {
        "name": curve.name,
        "color": curve.colour,
        "thinned": count > POINTS,
        "x": {
            axis.name: [_short(axis.values[curve.where[piece]].mean()) for piece in pieces]
            for axis in axes
        },
        "bad": [k for k, piece in enumerate(pieces) if not np.isfinite(curve.values[piece]).all()],
    }


def _direction(name: str) -> str:
    """Say "lower" or "higher" for a metric, nothing for a loss or where neither is better."""
    direction = better(name, "neither") if is_score(name) else "neither"
    return "" if direction == "neither" else direction


def _best(curve: Series) -> int | None:
    better, finite = _direction(curve.name), np.isfinite(curve.values)
    if not better or not finite.any():
        return None
    worst = math.inf if better == "lower" else -math.inf
    values = np.where(finite, curve.values, worst)
    return int(values.argmin() if better == "lower" else values.argmax())


# --- pieces of the page ---------------------------------------------------------------------------


def _subtitle(config: Mapping[str, Any], workdir: Path) -> str:
    parts = [f"run directory {workdir}"]
    parts += [f"fingerprint {config['fingerprint']}"] if config.get("fingerprint") else []
    parts += [f"seed {config['seed']}"] if "seed" in config else []
    revision = config.get("revision")
    if revision:
        parts.append(
            f"code {str(revision)[:12]}" + (" with changes" if config.get("dirty") else "")
        )
    return _escape(" · ".join(parts))


def _tiles(
    config: Mapping[str, Any],
    rows: Sequence[Row],
    axes: Sequence[Axis],
    series: Mapping[str, Series],
) -> str:
    tiles: list[tuple[str, str, str]] = []  # name, value, small print
    if rows:
        ends = {axis.name: float(axis.values.max()) for axis in axes}
        rounds = f"{ends['step']:,.0f} rounds"
        if "kimg" in ends:
            tiles.append(("real images shown", f"{_number(ends['kimg'])} k", rounds))
        else:
            tiles.append(("played", rounds, ""))
        tiles.append(("time", _duration(float(_time_spent(rows)[-1])), "first to last row"))
    if "images_per_second" in series:
        speed = series["images_per_second"].values
        speed = speed[np.isfinite(speed)]
        if len(speed):
            tiles.append(("images per second", _number(float(np.median(speed))), "median"))
    if config.get("device"):
        tiles.append(("device", str(config["device"]), ""))
    for curve in series.values():
        if not _PER_PLAYER.fullmatch(curve.name) and curve.name != "images_per_second":
            best = _best(curve)
            note = "" if best is None else f"best {_number(float(curve.values[best]))}"
            tiles.append(
                (curve.name, _number(curve.values[-1]), f"last; {note}" if note else "last")
            )
        elif curve.name.endswith("/loss"):
            name = curve.name.replace("/", " ")
            tiles.append((name, _number(_end(curve)), "mean of the last tenth"))
    if not tiles:
        tiles.append(("metrics", "none yet", "the first row has not been written"))
    return "".join(
        f'<div class="card"><dt>{_escape(name)}</dt><dd>{_escape(value)}'
        f"<small>{_escape(note)}</small></dd></div>"
        for name, value, note in tiles
    )


def _event_lists(rows: Sequence[Row], events: Sequence[tuple[int, str, bool]]) -> str:
    def items(wanted: bool) -> list[str]:
        return [
            f"<li>round {_escape(rows[row].get('step', '?'))}: {_escape(text)}</li>"
            for row, text, alarm in events
            if alarm == wanted
        ]

    alarms, notes = items(True), items(False)
    page = ""
    if alarms:
        head, rest = alarms[:20], alarms[20:]
        more = f"<details><summary>{len(rest)} more</summary><ul>{''.join(rest)}</ul></details>"
        page += (
            f'<section class="card alarms" role="alert"><h2>Warnings ({len(alarms)})</h2>'
            f'<ul class="events">{"".join(head)}</ul>{more if rest else ""}</section>'
        )
    if notes:
        page += (
            f'<details class="notes"><summary>Notes ({len(notes)})</summary>'
            f'<ul class="events">{"".join(notes)}</ul></details>'
        )
    return page


def _sample_figures(frames: Sequence[str], labels: Sequence[str], reals: str, exact: bool) -> str:
    if not frames and not reals:
        return '<h2>Samples</h2><p class="soft">No samples have been written yet.</p>'
    page = '<h2>Samples through training</h2><div class="samples">'
    if frames:
        images = "".join(
            f'<img src="{url}" alt="Generated samples after {_escape(label)}"'
            f"{'' if k == len(frames) - 1 else ' hidden'}>"
            for k, (url, label) in enumerate(zip(frames, labels, strict=True))
        )
        last = len(frames) - 1
        lossy = "" if exact else " Re-encoded with loss; the files in samples/ are exact."
        page += (
            '<figure class="card"><div class="bar">'
            '<button type="button" id="play">▶ play</button>'
            f'<input type="range" id="frame" min="0" max="{last}" value="{last}" step="1" '
            f'aria-label="Sample grid through training" aria-valuetext="{_escape(labels[-1])}">'
            f'<output id="when" for="frame">{_escape(labels[-1])}</output></div>'
            f'<div id="frames">{images}</div>'
            "<figcaption>The same latents in every frame. Keys: ← → step, p plays; "
            f"a click on a curve comes here.{lossy}</figcaption></figure>"
        )
    if reals:
        page += (
            '<figure class="card"><div class="bar" style="min-height:31px">Real images</div>'
            f'<img src="{reals}" alt="Real images of the data set">'
            "<figcaption>Drawn from the training data, for comparison.</figcaption></figure>"
        )
    return page + "</div>"


def _chart_cards(charts: Sequence[Mapping[str, Any]], axes: Sequence[Axis]) -> str:
    if not charts:
        return '<h2>Curves</h2><p class="soft">No metrics have been written yet.</p>'
    options = "".join(f'<option value="{axis.name}">{axis.label}</option>' for axis in axes)
    cards = "".join(
        f'<div class="card chart" id="chart{k}"><h3>{_escape(chart["title"])}</h3></div>'
        for k, chart in enumerate(charts)
    )
    return (
        '<h2>Curves</h2><div class="bar soft">'
        f'<label>horizontal axis <select id="axis">{options}</select></label>'
        '<label for="smooth">smoothing (raw values behind)</label>'
        f'<input type="range" id="smooth" min="0" max="0.1" step="0.002" value="0.014" '
        'style="max-width:220px">'
        "<noscript>The curves need JavaScript; the table of values below does not.</noscript>"
        f'</div><div class="charts">{cards}</div>'
    )


def _value_table(series: Mapping[str, Series], axes: Sequence[Axis]) -> str:
    if not series:
        return ""
    lines = []
    for curve in series.values():
        best, finite = _best(curve), curve.values[np.isfinite(curve.values)]
        at = (
            ""
            if best is None
            else f"{_number(axes[0].values[int(curve.where[best])])} {axes[0].unit}"
        )
        cells = [
            _number(curve.values[-1]),
            _number(_end(curve)),
            _number(finite.min()) if len(finite) else "—",
            _number(finite.max()) if len(finite) else "—",
            "" if best is None else f"{_number(curve.values[best])} at {at}",
        ]
        numbers = "".join(f'<td class="n">{_escape(cell)}</td>' for cell in cells)
        lines.append(f'<tr><th scope="row">{_escape(curve.name)}</th>{numbers}</tr>')
    names = ("last", "mean of the last tenth", "least", "greatest", "best")
    head = "".join(f'<th class="n" scope="col">{name}</th>' for name in names)
    return (
        '<h2>Values</h2><div class="card"><table><thead><tr><th scope="col">quantity</th>'
        f"{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def _commands(config: Mapping[str, Any], workdir: Path) -> str:
    """Show how to repeat and to resume the run; the config's `command` is argv without workdir."""
    if not config.get("recipe"):
        return ""
    command = config.get("command") or ("scripts/train.py", config["recipe"])
    command = [str(word) for word in command]
    repeat = f"python {shlex.join(command)}"
    where = f" --workdir {shlex.quote(str(workdir))}" if command[0].endswith("train.py") else ""
    resume = repeat + where
    revision = config.get("revision")
    if revision:
        repeat = f"git checkout {shlex.quote(str(revision))}\n{repeat}"
    page = f'<h2>Run it again</h2><div class="card"><p>From the beginning:</p>{_command(repeat)}'
    if config.get("dirty"):
        page += (
            '<p class="soft">The code had changes that were not committed: '
            "this revision alone may give other numbers.</p>"
        )
    return f"{page}<p>Go on where this run stopped:</p>{_command(resume)}</div>"


def _command(text: str) -> str:
    button = '<button type="button" data-copy>copy</button>'
    return f'<div class="command"><pre>{_escape(text)}</pre>{button}</div>'


def _config_table(config: Mapping[str, Any]) -> str:
    groups = {
        "Configuration": config.get("experiment") or {},
        "Data": config.get("data") or {},
        "Versions and device": {
            **(config.get("versions") or {}),
            **{k: config[k] for k in ("device", "processes", "revision", "dirty") if k in config},
        },
    }
    return "".join(
        f"<details{' open' if name == 'Configuration' else ''}><summary>{name}</summary>"
        f'<div class="card"><table><tbody>{_nested_rows(group)}</tbody></table></div></details>'
        for name, group in groups.items()
        if group
    )


def _nested_rows(values: Any) -> str:
    """Write the plain values first and then a group for each nested dictionary."""
    values = values if isinstance(values, Mapping) else {"": values}
    plain = {k: v for k, v in values.items() if not (isinstance(v, Mapping) and v)}
    groups = {k: v for k, v in values.items() if k not in plain}
    page = "".join(_config_row(str(name), value) for name, value in plain.items())
    for name, group in groups.items():
        page += f'<tr><th class="group" colspan="2" scope="rowgroup">{_escape(name)}</th></tr>'
        page += "".join(_config_row(key, value) for key, value in _leaves(group))
    return page


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _config_row(name: str, value: Any) -> str:
    shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return (
        f'<tr><th scope="row" style="width:30%">{_escape(name)}</th>'
        f"<td><code>{_escape(shown)}</code></td></tr>"
    )


# --- texts ----------------------------------------------------------------------------------------


def _fill(template: str, **parts: str) -> str:
    # One pass, so that a part that happens to contain a mark is left alone.
    return re.sub(r"@@(\w+)@@", lambda mark: parts[mark[1]], template)


def _escape(value: Any) -> str:
    return html.escape(str(value))


def _short(value: Any) -> float:
    return float(f"{float(value):.6g}")


def _number(value: float) -> str:
    """Write four digits, thousands apart: 0.01235, 12.35, 1,235, 1.235e-07, nan."""
    value = float(value)
    if not math.isfinite(value) or value == 0:
        return f"{value:g}"
    if abs(value) >= 1e7 or abs(value) < 1e-4:
        return f"{value:.3e}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _end(curve: Series) -> float:
    tail = curve.values[-max(1, len(curve.values) // 10) :]
    return float(tail.mean()) if np.isfinite(tail).all() else math.nan


def _time_unit(seconds: float) -> tuple[float, str]:
    return (1.0, "s") if seconds < 180 else (60.0, "min") if seconds < 3 * 3600 else (3600.0, "h")


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def _frame_label(step: int, at: Mapping[str, float]) -> str:
    rounds = f"{step:,} rounds"
    return f"{_number(at['kimg'])} kimg ({rounds})" if "kimg" in at else rounds
