"""Names of metrics that contain everything on which their values depend.

The same metric differs by a factor of two between repositories with different feature networks,
sample counts, reference splits or resizers, so a name contains all four:
`fid10k-train[network,resizer]`. Values with different names are not comparable.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from gan_jax.errors import UserError

ACRONYMS = ("fid", "kid", "swd", "ppl", "lpips", "mcd", "ssim", "psnr", "mse", "is")


def metric_name(
    metric: str,
    count: int,
    split: str | None,
    features: str,
    *options: str,
    real_count: int | None = None,
) -> str:
    """Compose the full name of a metric, such as 'kid1k-test[net,antialias]'.

    Args:
        metric: quantity, such as 'kid'.
        count: number of generated samples.
        split: of the real data; None if the metric needs none.
        features: `Features.label`: network and resizer.
        options: further parameters, such as 'k=3'.
        real_count: number of real samples, appended to the split if it differs from `count`:
            'fid10k-train60k[...]'.

    Raises:
        UserError: a part would make the name ambiguous.
    """
    parts = [part for part in (metric, split, features, *options) if part is not None]
    for part in parts:
        if not part or set(part) & set("[]/ ") or (part != features and "," in part):
            raise UserError(f"{part!r} cannot be part of a metric's name")
    real = "" if real_count in (None, count) else short_count(real_count)
    where = "" if split is None else f"-{split}{real}"
    return f"{metric}{short_count(count)}{where}[{','.join((features, *options))}]"


def with_options(name: str, *options: str) -> str:
    """Append options to a full name: 'fid1k-train[net,antialias,ema=50]'.

    >>> with_options("modes", "ema=50")
    'modes[ema=50]'
    """
    if not options:
        return name
    parts = [name[:-1], *options] if name.endswith("]") else [f"{name}[{options[0]}", *options[1:]]
    return f"{','.join(parts)}]"


def split_name(split: str) -> str:
    """Return a split with parentheses for brackets: 'train(:500)' for 'train[:500]'."""
    return split.replace("[", "(").replace("]", ")")


def short_count(count: int) -> str:
    """Format multiples of 1000 as '10k', other numbers in full."""
    return f"{count // 1000}k" if count and count % 1000 == 0 else str(count)


def is_score(name: str) -> bool:
    """Return whether a name is a full metric name; those of toy mixtures have no brackets."""
    return "[" in name or name in ("modes", "high_quality")


def quantity(name: str) -> str:
    """Return the quantity of a full name: 'fid' of 'fid10k-train[net,antialias]'."""
    return parse_name(name).quantity


class NameParts(NamedTuple):
    """The parts of a full metric name; "" and () where the name has none.

    Attributes:
        quantity: such as "fid".
        count: the number of generated samples as in the name: "10k".
        split: of the real data, with the number of real samples if it differs: "train60k".
        options: the feature network, the resizer and further parameters.
    """

    quantity: str
    count: str = ""
    split: str = ""
    options: tuple[str, ...] = ()


def parse_name(name: str) -> NameParts:
    """Take a full metric name apart.

    >>> parse_name("fid10k-train60k[net,antialias]")
    NameParts(quantity='fid', count='10k', split='train60k', options=('net', 'antialias'))
    >>> parse_name("modes")
    NameParts(quantity='modes', count='', split='', options=())
    """
    parts = re.fullmatch(r"(.*?)(\d+k?)?(?:-([^\[]*))?\[(.*)\]", name)
    if parts is None:
        return NameParts(name)
    options = tuple(parts[4].split(",")) if parts[4] else ()
    return NameParts(parts[1], parts[2] or "", parts[3] or "", options)


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Shorten full names to their quantity and what tells them from each other.

    Returns:
        The short name of each full name, such as "FID" or "caption accuracy, unseen". Parts that
        all names of a quantity share are left out.
    """
    groups: dict[str, list[NameParts]] = {}
    parsed = {name: parse_name(name) for name in names}
    for parts in parsed.values():
        groups.setdefault(parts.quantity, []).append(parts)
    short = {}
    for name, parts in parsed.items():
        group = groups[parts.quantity]
        shared = set.intersection(*(set(other.options) for other in group))
        differing = [option for option in parts.options if option not in shared]
        words = parts.quantity.split("_")
        words = [word.upper() if word in ACRONYMS else word for word in words]
        if not differing and len(group) > 1:  # only counts or splits differ
            differing = [part for part in (parts.count, parts.split) if part]
        short[name] = ", ".join([" ".join(words), *differing])
    return short
