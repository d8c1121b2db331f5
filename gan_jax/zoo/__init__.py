"""Trained generators that come with the package: where they lie, what they are, and a list.

An entry is a folder NAME beside this file, and `zoo:NAME` stands for it wherever a run is read. It
is a run directory cut down to what makes samples:

    config.json         that of the run
    model.safetensors   the networks that make samples, averaged ones where the game has them
    card.json           the facts: a `Card`
    grid.png            the first samples of seed 0

`scripts/zoo.py` makes entries and draws their grids again; nobody writes one by hand.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gan_jax.errors import UserError, nearest
from gan_jax.json_types import JsonObject

PREFIX = "zoo:"
FOLDER = Path(__file__).parent
CARD, GRID = "card.json", "grid.png"


@dataclass(frozen=True)
class Card:
    """The facts of an entry, read from its run when the entry was made.

    Attributes:
        title: a few words.
        description: a sentence.
        recipe: the recipe that was trained, FILE.py:NAME.
        command: the command line that trained it, without its directory.
        revision: of the code that trained it, a git hash.
        fingerprint: of its configuration, which `config.json` holds.
        seed: of the training.
        round: of the checkpoint.
        kimg: thousands of real images shown until then.
        checkpoint: "last", or "best in QUANTITY".
        minutes: of training until then, without compilation and evaluations, on a machine that may
            have done other work beside.
        device: that it was trained on.
        metrics: by full name, the value and the date of its measurement.
        data: its name, description and fingerprint; the licence and the attribution of each of its
            makers; "stand_in", the embedded set whose rows condition samples in its place, or "".
        licence: of the weights, as an SPDX expression.
        versions: of Python and the packages that trained it.
        networks: whose weights the entry holds.
        averaged: whether they are averages.
        parameters: their number.
        dtype: of the stored parameters; they compute in float32.
        rounding: what storing them so changes in the grid: "max" and "mean" in levels of 8 bits.
        bytes: size of the weights' file.
        start: what the run started from, or "" for initial weights.
    """

    title: str
    description: str
    recipe: str
    command: str
    revision: str
    fingerprint: str
    seed: int
    round: int
    kimg: float
    checkpoint: str
    minutes: float
    device: str
    metrics: Mapping[str, JsonObject]
    data: JsonObject
    licence: str
    versions: Mapping[str, str | None]
    networks: tuple[str, ...]
    averaged: bool
    parameters: int
    dtype: str
    rounding: Mapping[str, float]
    bytes: int
    start: str = ""


def names() -> tuple[str, ...]:
    """List the entries."""
    return tuple(sorted(path.parent.name for path in FOLDER.glob(f"[!.]*/{CARD}")))


def name_of(run: str | Path) -> str | None:
    """Return the name in `zoo:NAME`; None for a run directory."""
    return str(run).removeprefix(PREFIX) if str(run).startswith(PREFIX) else None


def locate(run: str | Path) -> Path:
    """Find the directory that `zoo:NAME`, or the path of a run, stands for.

    Raises:
        UserError: for an unknown name, with the nearest one.
    """
    name = name_of(run)
    if name is None:
        return Path(run)
    if name not in names():
        known = ", ".join(names()) or "none"
        raise UserError(
            f"no {PREFIX}{name}; did you mean {nearest(name, names())}? entries: {known}"
        )
    return FOLDER / name


def outputs(run: str | Path) -> Path:
    """Return where files made from a run go by default: into it, or for an entry `./zoo-NAME`.

    The folder of an entry belongs to the package, which may be read-only.
    """
    name = name_of(run)
    return Path(run) if name is None else Path(f"zoo-{name}")


def card(name: str) -> Card:
    """Read the card of an entry.

    Raises:
        UserError: for an unknown name, or a damaged card.
    """
    path = locate(PREFIX + name) / CARD
    try:
        content = json.loads(path.read_bytes())
        return Card(**{**content, "networks": tuple(content["networks"])})
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path} is not the card of an entry: {error}") from error


def scores(run: str | Path) -> dict[str, float]:
    """Return the metrics of an entry by full name; none of a run directory."""
    name = name_of(run)
    return {} if name is None else {n: m["value"] for n, m in card(name).metrics.items()}


def listing() -> str:
    """Describe the entries, one on a line."""
    width = max(map(len, names()), default=0) + len(PREFIX)
    return "\n".join(f"{PREFIX + name:{width}}  {card(name).description}" for name in names())
