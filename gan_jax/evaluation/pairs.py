"""Metrics of translations beside their paired targets."""

import numpy as np

from gan_jax.data.pipeline import Source
from gan_jax.errors import UserError
from gan_jax.evaluation.context import EvalContext, column
from gan_jax.metrics import perceptual
from gan_jax.metrics.features import extract, to_uint8
from gan_jax.metrics.kernel import kernel_distance
from gan_jax.metrics.names import metric_name


def require_pairs(source: Source) -> None:
    """Raises UserError for data without columns x and y whose rows belong together."""
    if source.sides or not {"x", "y"} <= source.records[0].keys():
        raise UserError(f"metric 'pairs' needs data of pairs, x and y, not {source.name!r}")


def pairs(context: EvalContext) -> dict[str, float]:
    """Held-out translations beside their targets: L1, PSNR, SSIM, a perceptual distance, KID.

    Beside them the same of two baselines that learned nothing: the input itself (`copy`), and the
    mean colour of the training targets (`colour`).
    """
    test = context.other("test")
    require_pairs(test)
    conditions = context.conditions(test, test.size or 0)
    target = conditions["y"]
    train = column(context.other("train"), "y")
    colour = train.reshape(-1, train.shape[-1]).mean(axis=0).round().astype(np.uint8)
    distance = perceptual.efficientnet_distance()
    sides = {
        "": context.draw(conditions),
        "copy_": conditions["x"],
        "colour_": np.broadcast_to(colour, target.shape).copy(),
    }
    network = context.features()
    real, _ = extract(network, target)
    found = {}
    for side, pictures in sides.items():
        pictures = to_uint8(pictures)
        values = perceptual.compare_pairs(pictures, target, split="test", distance=distance)
        title = metric_name("kid", len(target), "test", network.label)
        values[title] = kernel_distance(real, extract(network, pictures)[0]).mean
        found |= {f"{side}{name}": value for name, value in values.items()}
    return found
