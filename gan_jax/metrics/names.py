"""Names of metrics that say everything the number depends on.

The same method spans a factor of two across repositories that differ in feature network, sample
count, reference split or resizer, so the name carries all four: `fid10k-train[network,resizer]`.
Numbers under different names are not comparable and never share a column.
"""

import re

from gan_jax.config import UserError


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


HIGHER_IS_BETTER = frozenset(
    (
        *("precision", "recall", "density", "coverage", "inception_score"),
        *("modes", "high_quality", "accuracy_score", "psnr", "ssim", "diversity"),
        *("label_accuracy", "real_label_accuracy", "linear_probe"),
        *("accuracy_real", "accuracy_both", "accuracy_generated"),
        *("r_precision", "real_r_precision", "elbo", "iw_bound", "sharpness"),
        *("attribute_edit", "attribute_flip", "chance_attribute_edit", "real_attribute_accuracy"),
        *(f"{side}_{name}" for side in ("copy", "colour") for name in ("psnr", "ssim")),
        *(
            f"{side}{direction}_{name}"
            for side in ("", "copy_", "matched_", "target_")
            for direction in ("x2y", "y2x")
            for name in ("psnr", "ssim", "accepted")
        ),
    )
)


def higher_is_better(name: str) -> bool:
    """Whether more of a metric is better; takes the full name or the quantity alone."""
    return quantity(name) in HIGHER_IS_BETTER


def is_score(name: str) -> bool:
    """Whether a name is a metric's full one; those of toy mixtures have no conditions."""
    return "[" in name or name in ("modes", "high_quality")


def quantity(name: str) -> str:
    """What a full name measures, without the conditions: 'fid' of 'fid10k-train[net,antialias]'."""
    return re.sub(r"(\d+k?(-[^\[]*)?)?\[.*", "", name)
