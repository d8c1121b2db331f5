"""What to plan; apart from `search`, so that its flags are known without jax."""

import dataclasses
from typing import Literal

Effort = Literal["least", "full"]


@dataclasses.dataclass(frozen=True)
class Request:
    """What to plan."""

    compile: bool = False
    """Compile for the chip, to know the memory and the traffic."""
    stage: Literal["last", "all"] = "last"
    """Of a growing recipe: its last and largest stage, or all stages."""
    rows: int = 0
    """Rows of the batch on one device; by default its part of the recipe's batch."""
    precision: Literal["", "float32", "bfloat16"] = ""
    """By default the recipe's."""
    effort: Effort = "least"
    """How hard the compiler looks for a faster program."""
    largest: Literal["extrapolate", "search", "skip"] = "extrapolate"
    """How to find the largest batch that fits: along a line through a second compilation of twice
    the batch; or by doubling, with a compilation each, until it does not fit."""
    tiny: bool = False
    """The recipes' smallest relatives: does it run here?"""
