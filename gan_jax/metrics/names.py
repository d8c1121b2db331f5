"""Names of metrics that say everything the number depends on.

The same method spans a factor of two across repositories that differ in feature network, sample
count, reference split or resizer, so the name carries all four: `fid10k-train[network,resizer]`.
Numbers under different names are not comparable and never share a column.
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
    """`metric` + generated count + `-split` + `[features,options...]`: 'kid1k-test[net,antialias]'.

    `features` is `Features.label`, network and resizer; `split` is None for what needs no real
    images. The count of real images follows the split where it is another: 'fid10k-train60k[...]'.
    Raises UserError when a part would make the name ambiguous.
    """
    parts = [part for part in (metric, split, features, *options) if part is not None]
    for part in parts:
        if not part or set(part) & set("[]/ ") or (part != features and "," in part):
            raise UserError(f"{part!r} cannot be part of a metric's name")
    real = "" if real_count in (None, count) else short_count(real_count)
    where = "" if split is None else f"-{split}{real}"
    return f"{metric}{short_count(count)}{where}[{','.join((features, *options))}]"


def split_name(split: str) -> str:
    """A split as names have it, whose brackets are taken: 'train(:500)' for 'train[:500]'."""
    return split.replace("[", "(").replace("]", ")")


def short_count(count: int) -> str:
    """Whole thousands as '10k', any other count in full."""
    return f"{count // 1000}k" if count and count % 1000 == 0 else str(count)


def is_score(name: str) -> bool:
    """Whether a name is a metric's full one; those of toy mixtures have no conditions."""
    return "[" in name or name in ("modes", "high_quality")


def quantity(name: str) -> str:
    """What a full name measures, without the conditions: 'fid' of 'fid10k-train[net,antialias]'."""
    return re.sub(r"(\d+k?(-[^\[]*)?)?\[.*", "", name)
