"""The stages of a run: consecutive rounds with the same game and batch size.

A run has one stage, unless its game grows (Karras et al. 2018, arXiv:1710.10196): then each
resolution is a stage with its own batch size and learning rate, and fades in over its first rounds.
The number of a round decides its stage.
"""

from typing import NamedTuple, TypeVar

from gan_jax.config import Experiment
from gan_jax.errors import UserError

T = TypeVar("T")

SMALLEST = 4  # px of stage 0 of a growing network


class Stage(NamedTuple):
    """The rounds `first` + 1 to `last`.

    Attributes:
        first: the last round before the stage.
        last: its last round.
        images: real images shown before the stage.
        batch_size: images in a round.
        number: of a growing network, whose side is 4 * 2^number pixels; None without growing.
        fading: rounds over which the newest layers fade in.
        rate: factor of the learning rates.
    """

    first: int
    last: int
    images: int
    batch_size: int
    number: int | None = None
    fading: int = 0
    rate: float = 1.0

    @property
    def resets(self) -> tuple[int, ...]:
        """The rounds after which the optimisers are reset: before fading and after it."""
        return tuple(step for step in {self.first, self.first + self.fading} if self.first)


def stages(experiment: Experiment) -> tuple[Stage, ...]:
    """The stages of a run until `run.kimg`, of at least one round.

    Raises:
        UserError: for a growing game whose first resolution does not lead to that of the data.
    """
    total = max(1, round(1000.0 * experiment.run.kimg))
    grow = getattr(experiment.game, "grow", None)
    if grow is None or not grow.start:
        size = experiment.batch_size
        return (Stage(0, max(1, round(total / size)), 0, size),)
    sides = _sides(grow.start, experiment.data.resolution)
    found: list[Stage] = []
    first = images = 0
    for order, side in enumerate(sides):
        size = _nth(grow.batch_sizes, order, experiment.batch_size)
        fading = round(1000.0 * grow.fade_kimg / size) if order else 0
        rounds = fading + round(1000.0 * grow.stable_kimg / size)
        left = max(1, round((total - images) / size))
        rounds = left if side == sides[-1] else max(1, min(rounds, left))
        number, rate = (side // SMALLEST).bit_length() - 1, _nth(grow.rates, order, 1.0)
        last = first + rounds
        found.append(Stage(first, last, images, size, number, fading, rate))
        first, images = last, images + rounds * size
        if images >= total:
            break
    return tuple(found)


def _sides(start: int, side: int) -> list[int]:
    sides = [start]
    while sides[-1] < side:
        sides.append(2 * sides[-1])
    if sides[-1] != side or start < SMALLEST or start & (start - 1):
        raise UserError(
            f"game.grow.start = {start}: a power of two from {SMALLEST} on is needed that "
            f"doubles up to data.resolution = {side}"
        )
    return sides


def _nth(values: tuple[T, ...], index: int, default: T) -> T:
    return values[min(index, len(values) - 1)] if values else default


def at(stages: tuple[Stage, ...], step: int) -> Stage:
    """The stage of round `step`: the first for round 0, the last for rounds beyond the end."""
    return next((stage for stage in stages if step <= stage.last), stages[-1])


def images(stages: tuple[Stage, ...], step: int) -> int:
    """Real images shown up to round `step`, inclusive."""
    stage = at(stages, step)
    return stage.images + (step - stage.first) * stage.batch_size


def total(experiment: Experiment) -> int:
    """The number of rounds of a run."""
    return stages(experiment)[-1].last


def due(stages: tuple[Stage, ...], every_kimg: float, step: int) -> bool:
    """Whether round `step` completes another `every_kimg` thousand images; never if that is 0."""
    if every_kimg <= 0:
        return False
    before, now = (images(stages, n) / (1000.0 * every_kimg) for n in (step - 1, step))
    return int(now + 1e-9) > int(before + 1e-9)
