"""What the plans say of 1 to 256 chips: estimates, without a chip.

gan-jax tpu-plan RECIPE... --topology v5e:2x2 --compile True --largest skip --table plans.md
python -m benchmarks.chips plans.json --out ../experiments/chips.md        # in scripts/
"""

import dataclasses
import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path

from benchmarks import table
from gan_jax.commands import cli
from gan_jax.errors import UserError
from gan_jax.json_types import JsonObject

SIDES = (1, 2, 4, 8, 16)  # of square slices
LINKS = 200e9  # bytes/s of a v5e's links: 51.2 TB/s of all-reduce for a pod of 256 chips
HOP = 1e-6  # seconds from chip to chip, assumed
ABOUT = """\
TPU v5e, the batch of a chip kept and the whole batch growing with the chips. Nothing here was
measured. A round is the roofline's bound of the chip plus its exchanges, which are taken not to
overlap with it. An exchange is an all-reduce: 2 (n - 1) / n of its bytes over the 200 GB/s of a
chip's links (51.2 TB/s for the 256 chips of a pod, cloud.google.com/tpu/docs/v5e), and the way to
the farthest chip and back, without wrapped links; a microsecond a hop is assumed. In the columns of
chips: images/s, and the chips' share of their speed alone."""


@dataclasses.dataclass(frozen=True)
class Options:
    """What to print."""

    out: str = ""
    """The Markdown file."""


@dataclasses.dataclass(frozen=True)
class Round:
    """A recipe's round on one chip.

    Attributes:
        recipe: its name.
        rows: real images of a chip.
        asked: the recipe's own batch.
        seconds: the roofline's bound.
        bound: what bounds it.
        exchanges: how many all-reduces.
        size: bytes that they sum.
    """

    recipe: str
    rows: int
    asked: int
    seconds: float
    bound: str
    exchanges: int
    size: int

    def exchanging(self, side: int) -> float:
        """Seconds of the exchanges among side x side chips."""
        chips = side**2
        return 2 * (chips - 1) / chips * self.size / LINKS + self.exchanges * 4 * (side - 1) * HOP


def main() -> None:
    """Print the table of the plans in a JSON file."""
    named = [word for word in sys.argv[1:2] if not word.startswith("-")]
    options = cli.parse(Options(), sys.argv[1 + len(named) :], "chips")
    if not named or not Path(named[0]).is_file():
        raise UserError("say the JSON file of plans that gan-jax tpu-plan --table has written")
    page = markdown(json.loads(Path(named[0]).read_text()))
    print(page)
    if options.out:
        Path(options.out).write_text(page + "\n")


def rounds_of(rows: Mapping[str, JsonObject]) -> list[Round]:
    """The rounds that were compiled for v5e, one a recipe."""
    found = {}
    for row in rows.values():
        for plan in row["plans"][-1:]:
            if plan["compiled"] and plan["fits"] and plan["topology"].startswith("v5e:"):
                exchanged = plan["collectives"].values()
                found[plan["recipe"]] = Round(
                    *(plan["recipe"], plan["rows"], plan["asked"], plan["seconds"], plan["bound"]),
                    exchanges=sum(count for count, _ in exchanged),
                    size=sum(total for _, total in exchanged),
                )
    return list(found.values())


def markdown(rows: Mapping[str, JsonObject]) -> str:
    """The page."""
    head = (
        *("recipe", "its batch", "images a chip", "ms a round", "exchanges", "MiB"),
        *(str(side**2) for side in SIDES),
        "256 chips are bound by",
    )
    cells = [
        (
            *(one.recipe, str(one.asked), str(one.rows), f"{1000 * one.seconds:.3g}"),
            *(str(one.exchanges), f"{one.size / 2**20:.0f}"),
            *(_speed(one, side) for side in SIDES),
            "exchanges" if one.exchanging(SIDES[-1]) > one.seconds else one.bound,
        )
        for one in rounds_of(rows)
    ]
    used = ", ".join(sorted({f"{n} {v}" for row in rows.values() for n, v in row["with"].items()}))
    dates = " and ".join(sorted({row["when"] for row in rows.values()}))
    return "\n".join(
        [
            "# From 1 to 256 chips",
            "",
            f"Written by `python -m benchmarks.chips` from plans of {dates} with {used}.",
            "",
            ABOUT,
            "",
            *table.lines(head, cells),
        ]
    )


def _speed(one: Round, side: int) -> str:
    whole = one.seconds + one.exchanging(side)
    return f"{math.floor(one.rows * side**2 / whole):,} ({100 * one.seconds / whole:.0f} %)"


if __name__ == "__main__":
    cli.run(main)
