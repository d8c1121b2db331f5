"""What the plans say of 1 to 256 chips: estimates, compiled ahead of time, without a chip.

python -m benchmarks.chips --out ../experiments/chips.md        # in scripts/

The compiler comes with the extra `plan`; `gan-jax tpu-plan --help` says how to install it.
"""

import dataclasses
import math
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from benchmarks import table
from gan_jax.commands import cli

FLAGSHIPS = {  # recipe: the slice that it is compiled for, on which its batch is spread
    "dcgan:celeba64": "v5e:2x2",
    "cyclegan:horse2zebra": "v5e:2x2",
    "stylegan:ffhq256": "v5e:2x2",
    "stylegan2:ffhq256": "v5e:2x2",
    "r3gan:ffhq64": "v5e:4x4",
}
SIDES = (1, 2, 4, 8, 16)  # of square slices
LINKS = 200e9  # bytes/s of a v5e's links: 51.2 TB/s of all-reduce for a pod of 256 chips
HOP = 1e-6  # seconds from chip to chip
ABOUT = """\
TPU v5e, the batch of a chip kept and the whole batch growing with the chips. Nothing here was
measured. A round is the roofline's bound of the chip plus its exchanges, which are taken not to
overlap with it. An exchange is an all-reduce: 2 (n - 1) / n of its bytes over the 200 GB/s of a
chip's links (51.2 TB/s for the 256 chips of a pod, cloud.google.com/tpu/docs/v5e), and the way to
the farthest chip and back, of a microsecond a hop, without wrapped links. In the columns of chips:
images/s, and the chips' share of their speed alone."""


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
    """Compile the flagships and print the table."""
    options = cli.parse(Options(), sys.argv[1:], "chips")

    from gan_jax.planning import compiler, isolated

    os.environ |= compiler.ENVIRONMENT
    compiler.require("tpu")
    page = markdown([compiled(*one) for one in FLAGSHIPS.items()], isolated.versions())
    print(page)
    if options.out:
        Path(options.out).write_text(page + "\n")


def compiled(recipe: str, topology: str) -> Round:
    """Compile a recipe's round for a slice."""
    from gan_jax.planning import search
    from gan_jax.planning.chips import read_slice
    from gan_jax.planning.request import Request

    print(f"{recipe} for {topology} ...", file=sys.stderr, flush=True)
    (plan,) = search.plans(recipe, read_slice(topology), Request(compile=True, largest="skip"))
    found = plan.collectives.values()
    return Round(
        *(recipe, plan.rows, plan.asked, plan.seconds, plan.bound),
        exchanges=sum(count for count, _ in found),
        size=sum(total for _, total in found),
    )


def markdown(rounds: Iterable[Round], versions: dict[str, str]) -> str:
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
        for one in rounds
    ]
    used = ", ".join(f"{name} {version}" for name, version in versions.items())
    return "\n".join(
        [
            "# From 1 to 256 chips",
            "",
            f"Written by `python -m benchmarks.chips` on {table.machine()['date']} with {used}.",
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
