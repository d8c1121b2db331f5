"""Names of metrics that contain everything on which their values depend.

The same metric differs by a factor of two between repositories with different feature networks,
sample counts, reference splits or resizers, so a name contains all four:
`fid10k-train[network,resizer]`. Values with different names are not comparable.
"""

import re

from gan_jax.errors import UserError


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
    return re.sub(r"(\d+k?(-[^\[]*)?)?\[.*", "", name)
