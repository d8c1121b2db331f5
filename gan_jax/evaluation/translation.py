"""How good translations without pairs are, beside what learned nothing."""

import numpy as np

from gan_jax.data.pipeline import Source
from gan_jax.errors import UserError
from gan_jax.evaluation.context import EvalContext
from gan_jax.metrics import perceptual
from gan_jax.metrics.colour import colours, match_colours
from gan_jax.metrics.features import extract, to_uint8
from gan_jax.metrics.frechet import frechet_distance, moments
from gan_jax.metrics.kernel import kernel_distance
from gan_jax.metrics.names import metric_name

LEARNED = 500  # training pictures of each domain that the colours of the baseline come from


def domains(source: Source, count: int) -> dict[str, np.ndarray]:
    """The first `count` pictures of both domains, x and y; domains may differ in size.

    Raises UserError for data without them.
    """
    found = {}
    for records in source.sides or (source.records,):
        found |= records.take(np.arange(min(count, len(records))))
    if not {"x", "y"} <= found.keys():
        raise UserError(f"metric 'translations' needs data of two domains, not {source.name!r}")
    return {side: found[side] for side in "xy"}


def translations(context: EvalContext) -> dict[str, float]:
    """Held-out translations, `x2y_` and `y2x_`, beside the input (`copy_`) and its colours matched.

    FID and KID to the target domain, and of data whose rows correspond (which training never sees)
    L1, PSNR, SSIM and a perceptual distance to the true counterpart. `matched_` maps the mean and
    covariance of the training domains' colours. `cycle_x` and `cycle_y`: L1 after the way back, in
    units of the range, of a game that translates both ways. Raises UserError for a game that does
    not translate.
    """
    translate, source, network = context.translate, context.source, context.features()
    if translate is None:
        raise UserError("metric 'translations' needs a game that translates pictures")
    pictures = domains(source, context.count)
    palettes = {n: colours(x) for n, x in domains(context.other("train"), LEARNED).items()}
    features = {side: extract(network, x)[0] for side, x in pictures.items()}
    distance = None if source.sides else perceptual.efficientnet_distance()
    found: dict[str, float] = {}
    for here, there in ("xy", "yx"):
        if f"{here}2{there}" not in context.directions:
            continue
        x, target = pictures[here], pictures[there]
        fake = translate(f"{here}2{there}", perceptual.signed(x))
        if f"{there}2{here}" in context.directions:
            back = translate(f"{there}2{here}", fake)
            title = metric_name(f"cycle_{here}", len(x), context.split, "pixels")
            found[title] = float(np.mean(perceptual.l1(back, x)))
        matched = match_colours(x, palettes[here], palettes[there])
        for side, shown in (("", to_uint8(fake)), ("copy_", x), ("matched_", matched)):
            values = {}
            if not source.sides:
                values = perceptual.compare_pairs(
                    shown, target, split=context.split, distance=distance
                )
            seen = extract(network, shown)[0]
            for name in ("fid", "kid"):
                count = {"real_count": len(target)}
                title = metric_name(name, len(x), context.split, network.label, **count)
                values[title] = (
                    kernel_distance(features[there], seen).mean
                    if name == "kid"
                    else frechet_distance(
                        moments(features[there]), moments(seen), name=title, warn=not found
                    )
                )
            found |= {f"{side}{here}2{there}_{name}": value for name, value in values.items()}
    return found
