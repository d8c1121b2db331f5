"""How far samples are from pictures that training never saw, beside those it learned from."""

from gan_jax.errors import UserError
from gan_jax.evaluation.context import EvalContext, column
from gan_jax.metrics.features import extract, to_uint8
from gan_jax.metrics.kernel import kernel_distance
from gan_jax.metrics.names import metric_name


def held_out_distance(context: EvalContext) -> dict[str, float]:
    """Compute KID to the held-out pictures, and by how much it exceeds KID to the training ones.

    KID is unbiased at any count, so that splits of different sizes compare. A generator that copies
    its training pictures has a gap above that of real pictures, which is 0 on average.

    Raises:
        UserError: the samples are compared with the test split already, as translations are.
    """
    if context.split.startswith("test"):
        raise UserError("metric 'held_out' needs the training split; it opens 'test' itself")
    network, train, test = context.features(), context.source, context.other("test")
    fakes, _ = extract(network, to_uint8(context.sample(context.count)))
    distances, counts = {}, {}
    for split, source in (("train", train), ("test", test)):
        real, _ = extract(network, column(source, context.real))
        distances[split], counts[split] = kernel_distance(real, fakes).mean, len(real)

    def name(quantity: str) -> str:
        label, real_count = network.label, counts["test"]
        return metric_name(quantity, context.count, "test", label, real_count=real_count)

    gap = distances["test"] - distances["train"]
    return {name("held_out_kid"): distances["test"], name("kid_gap"): gap}
