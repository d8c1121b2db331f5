"""The metrics of a run as a table: a row for a quantity, a column for each thing beside it.

A full name (`gan_jax.metrics.names`) says all that its number depends on, and is too long for a
page of many: the table shows what tells a name from the others, and the full name as a tooltip.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gan_jax.evaluation.spec import is_score
from gan_jax.metrics.names import parse_name, short_names
from gan_jax.reporting.charts import Axis, Curve, best_index, direction
from gan_jax.reporting.formats import number
from gan_jax.reporting.template import Values

BASELINES = {  # prefix of a quantity: the title of its column
    "real_": "real data",
    "target_": "target",
    "matched_": "colours matched",
    "colour_": "one colour",
    "mean_": "mean target",
    "copy_": "input copied",
    "chance_": "chance",
}
ARROWS = {"lower": "↓", "higher": "↑"}
_BASELINE = re.compile("|".join(BASELINES))


class Key(NamedTuple):
    """What a metric and its baselines have in common; their counts and splits may differ."""

    quantity: str
    options: frozenset[str]


def metric_table(curves: Mapping[str, Curve], axes: Sequence[Axis]) -> Values | None:
    """Lay out the metrics, each beside its baselines.

    Args:
        curves: all curves of the run.
        axes: its measures of progress; the first says where the best value was.

    Returns:
        `repeated`, whether a metric was evaluated more than once; `columns`; and `rows` with
        `name`, `full`, `arrow`, `last`, `best`, `at` and `others`, a text for each column. None for
        a run without metrics. A baseline without a metric has a row of its own.
    """
    scores = {name: curve for name, curve in curves.items() if is_score(name)}
    bases = {_key(name): name for name in scores if not _baseline(name)}
    beside: dict[str, dict[str, Curve]] = {name: {} for name in scores}
    for name, curve in scores.items():
        prefix, base = _baseline(name), bases.get(_key(name))
        if prefix and base is not None and prefix not in beside[base]:
            beside[base][prefix] = curve
            del beside[name]
    if not beside:
        return None
    shown = [prefix for prefix in BASELINES if any(prefix in found for found in beside.values())]
    short = short_names(beside)
    rows = [
        _row(scores[name], short[name], axes[0])
        | {"others": [_last(found[prefix]) if prefix in found else "" for prefix in shown]}
        for name, found in beside.items()
    ]
    columns, repeated = [BASELINES[prefix] for prefix in shown], any(row["at"] for row in rows)
    return {"columns": columns, "rows": rows, "repeated": repeated}


def _row(curve: Curve, short: str, axis: Axis) -> Values:
    index, arrow = best_index(curve), ARROWS.get(direction(curve.name), "")
    row = {"name": short, "full": curve.name, "arrow": arrow, "last": _last(curve)}
    if index is None or len(curve.values) < 2:
        return row | {"best": "", "at": ""}
    at = f"{number(axis.values[int(curve.rows[index])])} {axis.unit}"
    return row | {"best": number(curve.values[index]), "at": at}


def _last(curve: Curve) -> str:
    return number(curve.values[-1])


def _baseline(name: str) -> str:
    found = _BASELINE.match(name)
    return found[0] if found else ""


def _key(name: str) -> Key:
    parts = parse_name(name[len(_baseline(name)) :])
    return Key(parts.quantity, frozenset(parts.options))
