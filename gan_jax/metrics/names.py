"""Names of metrics that say everything the number depends on.

The same method spans a factor of two across repositories that differ in feature network, sample
count, reference split or resizer, so the name carries all four: `fid10k-train[network,resizer]`.
Numbers under different names are not comparable and never share a column.
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
    # converted speech; the target's own pitch stands beside it
    **dict.fromkeys(("mcd", "gv", "ms"), "lower"),
    **dict.fromkeys(("f0_mean", "f0_std"), "neither"),
    "accepted": "higher",
    # what the networks of a game know
    "linear_probe": "higher",
    **dict.fromkeys(("elbo", "iw_bound"), "higher"),
    **dict.fromkeys(("bits_per_dim", "reconstruction_error"), "lower"),
    "training_seconds": "lower",
}
"""Which way every quantity is better, without the side and the direction that it was taken of."""

_TAKEN_OF = re.compile(r"(copy_|colour_|matched_|mean_|real_|target_)?(x2y_|y2x_)?")


def better(name: str, unknown: Direction | None = None) -> Direction:
    """Which way a metric is better; takes the full name or the quantity alone.

    A quantity that `BETTER` does not have is `unknown`, where that is given: pages show numbers of
    older revisions too. Else raises UserError: a guess would keep the worst checkpoint as the best.
    """
    bare = _TAKEN_OF.sub("", quantity(name), count=1)
    if bare in BETTER:
        return BETTER[bare]
    if unknown is None:
        raise UserError(f"no quantity {bare!r} of a metric; did you mean {nearest(bare, BETTER)}?")
    return unknown


def is_score(name: str) -> bool:
    """Whether a name is a metric's full one; those of toy mixtures have no conditions."""
    return "[" in name or name in ("modes", "high_quality")


def quantity(name: str) -> str:
    """What a full name measures, without the conditions: 'fid' of 'fid10k-train[net,antialias]'."""
    return re.sub(r"(\d+k?(-[^\[]*)?)?\[.*", "", name)
