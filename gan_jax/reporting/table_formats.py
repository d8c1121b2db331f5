"""Tables of ablations as Markdown, LaTeX, CSV and HTML."""

import base64
import statistics
from collections.abc import Sequence

from gan_jax.evaluation.spec import better
from gan_jax.metrics.names import short_names
from gan_jax.reporting.ablation_table import NOT_RUN, Cell, Table, to_csv
from gan_jax.reporting.template import render


def _arrow(column: str) -> str:
    return {"higher": "↑", "lower": "↓", "neither": ""}[better(column, "neither")]


def _best(table: Table, column: str) -> str | None:
    """Find the row that is ahead of every other by more than the spread; None if there is none.

    The spread is the larger of the two rows' standard deviations over seeds. It is unknown for a
    single seed, so a row of one seed is never ahead of another, and no row is ahead of it.
    """
    cells = {line.name: line.cells[column].values for line in table.lines if column in line.cells}
    cells = {name: values for name, values in cells.items() if values}
    sign = {"higher": 1.0, "lower": -1.0, "neither": 0.0}[better(column, "neither")]
    if len(cells) < 2 or not sign:
        return None
    ahead = max(cells, key=lambda name: sign * statistics.fmean(cells[name]))
    others = [values for name, values in cells.items() if name != ahead]
    return ahead if all(_differ(cells[ahead], values) for values in others) else None


def _differ(a: Sequence[float], b: Sequence[float]) -> bool:
    """Whether the means of two rows differ by more than the larger standard deviation."""
    if min(len(a), len(b)) < 2:
        return False
    return abs(statistics.fmean(a) - statistics.fmean(b)) > max(map(statistics.stdev, (a, b)))


def _grid(table: Table) -> tuple[list[str], list[list[str]]]:
    """Lay out head and body as plain text; the paper's values are the last column."""
    papers = any(line.paper for line in table.lines)
    head = ["", *(f"{c} {_arrow(c)}" for c in table.columns), *(["paper"] if papers else [])]
    body = []
    for line in table.lines:
        note = f" ({line.stopped} stopped)" if line.stopped else ""
        cells = [line.cells.get(c, Cell(())).text for c in table.columns]
        body.append([line.name + note, *cells, *([line.paper or NOT_RUN] if papers else [])])
    return head, body


def to_markdown(table: Table) -> str:
    """Write a GitHub table with its caption below; the best row is bold if it is clearly ahead."""
    head, body = _grid(table)
    best = [_best(table, c) for c in table.columns]
    for line, cells in zip(table.lines, body, strict=True):
        for number, name in enumerate(best, 1):
            if name == line.name:
                cells[number] = f"**{cells[number]}**"
    rows = [head, ["---"] * len(head), *body]
    text = "\n".join("| " + " | ".join(c.replace("|", "\\|") for c in row) + " |" for row in rows)
    return f"{text}\n\n{_caption(table)}\n"


def to_latex(table: Table) -> str:
    """Write a booktabs table."""
    head, body = _grid(table)

    def line(cells: Sequence[str]) -> str:
        return " & ".join(_tex(c) for c in cells) + r" \\"

    return "\n".join(
        [
            r"\begin{table}\centering",
            r"\begin{tabular}{l" + "r" * (len(head) - 1) + "}",
            r"\toprule",
            line(head),
            r"\midrule",
            *map(line, body),
            r"\bottomrule",
            r"\end{tabular}",
            rf"\caption{{{_tex(_caption(table))}}}",
            r"\end{table}",
            "",
        ]
    )


_TEX = str.maketrans(
    {c: "\\" + c for c in "&%_#${}"}
    | {"\\": r"\textbackslash{}", "±": r"$\pm$", NOT_RUN: "---"}
    | {"↑": r"$\uparrow$", "↓": r"$\downarrow$"}
)


def _tex(text: str) -> str:
    return text.translate(_TEX)


def to_html(table: Table) -> str:
    """Write a page of its own: the table, and below it the images of each row's first seed."""
    head, body = _grid(table)
    names = short_names(table.columns)
    columns = [{"text": f"{names[c]} {_arrow(c)}", "full": c} for c in table.columns]
    titles = [{"text": text, "full": ""} for text in head]
    titles[1 : 1 + len(columns)] = columns
    best = [None, *(_best(table, column) for column in table.columns), None]
    values = {
        "title": table.title,
        "caption": _caption(table),
        "head": titles,
        "columns": columns,
        "rows": [
            {
                "cells": [
                    {"text": text, "best": name == line.name}
                    for text, name in zip(cells, best, strict=False)
                ]
            }
            for line, cells in zip(table.lines, body, strict=True)
        ],
        "figures": [
            {
                "row": line.name,
                "subject": subject,
                "data": base64.b64encode(path.read_bytes()).decode(),
            }
            for line in table.lines
            for subject, path in line.pictures
        ],
    }
    return render("ablation_table.html", **values)


def _caption(table: Table) -> str:
    return table.caption + (f"; paper: {table.source}" if table.source else "") + "."


FORMATS = {"md": to_markdown, "tex": to_latex, "csv": to_csv, "html": to_html}
