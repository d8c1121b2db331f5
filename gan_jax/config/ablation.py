"""A table of a paper as data: rows that are changes to one experiment, and seeds."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gan_jax.config.overrides import change
from gan_jax.config.schema import Experiment
from gan_jax.config.serialise import identity
from gan_jax.errors import UserError, nearest


@dataclass(frozen=True)
class Ablation:
    """A table of a paper: rows that are experiments, and the seeds each is run with.

    `quantities` are the columns, in order (fid, precision, ...). `paper` is what a paper reports
    for a row, in its own words, and `source` says which paper: shown beside, never mixed in.
    """

    rows: Mapping[str, Experiment]
    seeds: tuple[int, ...]
    quantities: tuple[str, ...]
    paper: Mapping[str, str]
    source: str


def ablation(
    base: Experiment,
    rows: Mapping[str, Mapping[str, object]],
    *,
    quantities: Iterable[str],
    seeds: Iterable[int] = (0, 1, 2),
    cumulative: bool = False,
    paper: Mapping[str, str] | None = None,
    source: str = "",
) -> Ablation:
    """A table of changes to `base`: {"+ R1": {"game.r1": 10.0}, ...}; `cumulative` piles them up.

    Raises UserError for a field or value that does not exist, a row that two names share, or a
    paper's figure for a row that is not there.
    """
    built: dict[str, Experiment] = {}
    current = base
    for name, changes in rows.items():
        changed = change(current, changes)
        twin = next((n for n, e in built.items() if identity(e) == identity(changed)), None)
        if twin is not None:
            raise UserError(f"rows {twin!r} and {name!r} are the same experiment")
        built[name] = changed
        current = changed if cumulative else base
    for name in paper or {}:
        if name not in built:
            raise UserError(f"paper: no row {name!r}; did you mean {nearest(name, built)}?")
    return Ablation(built, tuple(seeds), tuple(quantities), dict(paper or {}), source)
