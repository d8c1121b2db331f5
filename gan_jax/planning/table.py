"""Many plans as a Markdown page, and as JSON beside it."""

import json
from collections.abc import Iterable
from pathlib import Path

from gan_jax.json_types import JsonObject
from gan_jax.planning.report import gib

Rows = dict[str, JsonObject]
"""Rows as `isolated.planned` makes them, by their names."""

COLUMNS = (
    *("recipe", "topology", "px", "arithmetic", "batch a chip", "memory GiB", "fits", "largest"),
    *("Tflop", "traffic GiB", "exchanged MiB", "ms a round", "bound by", "padding"),
)
_ABOUT = """\
# Which recipe fits which slice

Written by `gan-jax tpu-plan --table` on {dates} with {versions}: compiled ahead of
time, without an accelerator; nothing here was measured on one. All numbers are of one device (a
core, where a chip has two), of a round in which every move is played. The memory is the compiler's
peak; of what was not compiled, that of state and batch alone. "Largest" is the batch a device that
fits, along a line through two compilations unless marked: a guess far from them, as other sizes get
other layouts; "—" where none is told. "ms a round" is the roofline's bound from the chip's
published peaks: an estimate, and the least there could be. "Traffic" counts every access that the
compiler sees, those that caches serve as well. "Padding" is how much larger arrays are than their
numbers, filled up to the chip's tiles.

"""


def read(path: Path) -> Rows:
    """Rows of the JSON file beside a table; none where there is no file."""
    numbers = path.with_suffix(".json")
    return json.loads(numbers.read_text()) if numbers.exists() else {}


def write(path: Path, rows: Rows) -> None:
    """Write a table and the JSON file beside it."""
    path.with_suffix(".json").write_text(json.dumps(rows, indent=1, sort_keys=True) + "\n")
    path.write_text(markdown(rows))


def markdown(rows: Rows) -> str:
    """Write a page: what it is, the summary, and a line for every plan."""
    lines = head(COLUMNS)
    for _, row in sorted(rows.items()):
        failed = row.get("failed", "")
        if not row["plans"]:
            cells = [short(row["recipe"]), row["topology"], failed]
            lines.append(line([*cells, *[""] * (len(COLUMNS) - len(cells))]))
        lines += [line(cells_of(plan, failed)) for plan in row["plans"]]
    dates = sorted({row["when"] for row in rows.values()})
    used = sorted({f"{n} {v}" for row in rows.values() for n, v in row["with"].items()})
    about = _ABOUT.format(
        dates=" to ".join(dict.fromkeys(dates[:1] + dates[-1:])), versions=", ".join(used)
    )
    return about + "\n".join([*digest(rows), "", *lines]) + "\n"


def line(cells: Iterable[str]) -> str:
    """A line of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


def head(columns: Iterable[str]) -> list[str]:
    """The first two lines of a Markdown table."""
    columns = list(columns)
    return [line(columns), "|" + "---|" * len(columns)]


def digest(rows: Rows) -> list[str]:
    """A table of memory and time of a round: a line for each recipe, a column for each slice."""
    slices = sorted({row["topology"] for row in rows.values()})
    found: dict[tuple[str, str], dict[str, str]] = {}
    for _, row in sorted(rows.items()):
        for plan in row["plans"][-1:]:
            size = gib(plan["memory"])
            memory = size if plan["fits"] else f"over {size}"
            cell = f"{memory} GiB, {1000 * plan['seconds']:.3g} ms"
            if plan["fits"] is False:
                cell = f"does not fit: {plan['needs'] or f'over {size} GiB'}"
            cells = found.setdefault((short(row["recipe"]), str(plan["resolution"] or "—")), {})
            cells[row["topology"]] = f"{plan['rows']} a chip: {cell}"
    lines = head(["recipe", "px", *slices])
    for name, cells in sorted(found.items()):
        lines.append(line([*name, *(cells.get(text, "—") for text in slices)]))
    return lines


def short(recipe: str) -> str:
    """Shorten experiments/dcgan.py:celeba64 to dcgan:celeba64."""
    path, _, name = recipe.rpartition(":")
    return f"{Path(path).stem}:{name}"


def cells_of(plan: JsonObject, failed: str) -> list[str]:
    """The cells of a plan; `failed` says why its program was not compiled."""
    exchanged = sum(total for _, total in plan["collectives"].values()) / 2**20
    fits = {True: "yes", False: "no", None: "?"}[plan["fits"]]
    other = "" if plan["batch_size"] == plan["asked"] else f" (of {plan['asked']} in all)"
    memory = gib(plan["memory"])
    if not plan["compiled"]:
        memory = plan["needs"] or f"over {memory}"
    largest = str(plan["largest"]) if plan["largest"] else "—"
    if "extrapolated" not in plan["how_largest"]:
        largest = f"{largest} {plan['how_largest'] or failed}".strip()
    return [
        short(plan["recipe"]),
        plan["topology"],
        str(plan["resolution"] or "—"),
        plan["precision"],
        f"{plan['rows']}{other}",
        f"{memory} of {gib(plan['capacity'])}",
        fits,
        largest,
        f"{plan['flops'] / 1e12:.3g}",
        f"{plan['moved'] / 2**30:.3g}" if plan["moved"] else "—",
        f"{exchanged:.3g}",
        f"{1000 * plan['seconds']:.3g}",
        plan["bound"],
        f"{plan['padding']:.2f}" if plan["padding"] else "—",
    ]
