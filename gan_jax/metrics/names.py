"""Names of metrics that contain everything on which their values depend.

The same metric differs by a factor of two between repositories with different feature networks,
sample counts, reference splits or resizers, so a name contains all four:
`fid10k-train[network,resizer]`. Values with different names are not comparable.
"""

import re
from collections.abc import Mapping
from typing import Literal

from gan_jax.errors import UserError, nearest


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


def split_name(split: str) -> str:
    """Return a split with parentheses for brackets: 'train(:500)' for 'train[:500]'."""
    return split.replace("[", "(").replace("]", ")")


def short_count(count: int) -> str:
    """Format multiples of 1000 as '10k', other numbers in full."""
    return f"{count // 1000}k" if count and count % 1000 == 0 else str(count)


Direction = Literal["lower", "higher", "neither"]
BETTER: Mapping[str, Direction] = {
    # distributions of samples and of real data
    **dict.fromkeys(("fid", "kid", "intra_fid"), "lower"),
    **dict.fromkeys(("precision", "recall", "density", "coverage", "inception_score"), "higher"),
    **dict.fromkeys(("modes", "high_quality", "diversity", "sharpness"), "higher"),
    **{f"ppl_{space}{ends}": "lower" for space in "zw" for ends in ("full", "end")},
    # conditions, captions and attributes
    **dict.fromkeys(("label_accuracy", "accuracy_score", "r_precision"), "higher"),
    **dict.fromkeys(("accuracy_real", "accuracy_both", "accuracy_generated"), "higher"),
    **dict.fromkeys(("attribute_edit", "attribute_flip", "chance_attribute_edit"), "higher"),
    "attribute_accuracy": "higher",
    # pairs of pictures, and translations there and back
    **dict.fromkeys(("l1_error", "perceptual", "lpips", "cycle_x", "cycle_y"), "lower"),
    **dict.fromkeys(("psnr", "ssim"), "higher"),
    # converted speech; pitch is compared with that of the target
    **dict.fromkeys(("mcd", "gv", "ms"), "lower"),
    **dict.fromkeys(("f0_mean", "f0_std"), "neither"),
    "accepted": "higher",
    # representations and likelihoods
    "linear_probe": "higher",
    **dict.fromkeys(("elbo", "iw_bound"), "higher"),
    **dict.fromkeys(("bits_per_dim", "reconstruction_error"), "lower"),
    "training_seconds": "lower",
}
"""Whether lower or higher is better, by quantity without the prefixes of `_PREFIXES`."""

_PREFIXES = re.compile(r"(copy_|colour_|matched_|mean_|real_|target_)?(x2y_|y2x_)?")


def better(name: str, unknown: Direction | None = None) -> Direction:
    """Return whether lower or higher values of a metric are better.

    Args:
        name: full name or quantity.
        unknown: result for a quantity that is not in `BETTER`; None raises an error, because a
            wrong guess would keep the worst checkpoint as the best.

    Raises:
        UserError: an unknown quantity.
    """
    bare = _PREFIXES.sub("", quantity(name), count=1)
    if bare in BETTER:
        return BETTER[bare]
    if unknown is None:
        raise UserError(f"no quantity {bare!r} of a metric; did you mean {nearest(bare, BETTER)}?")
    return unknown


def is_score(name: str) -> bool:
    """Return whether a name is a full metric name; those of toy mixtures have no brackets."""
    return "[" in name or name in ("modes", "high_quality")


def quantity(name: str) -> str:
    """Return the quantity of a full name: 'fid' of 'fid10k-train[net,antialias]'."""
    return re.sub(r"(\d+k?(-[^\[]*)?)?\[.*", "", name)
