"""Sharpness: the fine detail of samples as a share of that of real images."""

from gan_jax.evaluation.context import EvalContext, column
from gan_jax.metrics.names import metric_name
from gan_jax.metrics.sharpness import sharpness


def relative_sharpness(context: EvalContext) -> dict[str, float]:
    """The samples' variance of the Laplacian as a share of the real pictures'; 1 is theirs."""
    real = column(context.source, context.real)
    share = sharpness(context.sample(context.count)) / sharpness(real)
    name = metric_name("sharpness", context.count, context.split, "laplacian", real_count=len(real))
    return {name: share}
