"""A plan as lines of text."""

from gan_jax.planning.chips import read_slice
from gan_jax.planning.plan import Plan


def describe(plan: Plan) -> str:
    """Write a plan in lines."""
    chip = read_slice(plan.topology).chip
    each = "chip" if chip.devices == 1 else f"core ({chip.devices} a chip)"
    grown = f", stage {plan.stage} of 0 to {plan.stages - 1}" if plan.stages > 1 else ""
    side = f" at {plan.resolution} px" if plan.resolution else ""
    kind = "compiled" if plan.compiled else "lowered, not compiled"
    other = "" if plan.batch_size == plan.asked else f"; the recipe's is {plan.asked}"
    moved = "unknown" if plan.moved is None else f"{plan.moved / 2**30:.2f} GiB"
    bound = f"at least {1000 * plan.seconds:.3g} ms a round, bound by {plan.bound} (estimate)"
    exchanged = ", ".join(
        f"{count} {name} of {total / 2**20:.1f} MiB"
        for name, (count, total) in plan.collectives.items()
    )
    lines = [
        f"{plan.recipe}{side}{grown}, {plan.precision}, on {plan.topology} ({kind})",
        f"  batch        {plan.rows} a {each}, {plan.batch_size} in all{other}",
        f"  parameters   {plan.parameters / 1e6:.2f} million, state {plan.state / 2**20:.1f} MiB",
        f"  memory       {_memory(plan)}",
        f"  products     {plan.flops / 1e9:.1f} Gflop a {each}; memory traffic {moved}",
        f"  exchanges    {exchanged or 'none'}",
        f"  time         {bound}; peaks: {chip.source}",
    ]
    if plan.largest is not None or plan.how_largest:
        lines.append(f"  largest      {plan.largest or '-'} a {each} ({plan.how_largest})")
    if plan.padding is not None:
        worst = "; ".join(f"{name} {a / max(b, 1):.1f} x" for name, a, b in plan.padded[:3])
        colon = ": " if worst else ""
        lines.append(f"  padding      {plan.padding:.2f} x the numbers{colon}{worst}")
    return "\n".join(lines)


def _memory(plan: Plan) -> str:
    """Whether the memory is enough, and the GiB that are needed."""
    memory, capacity = gib(plan.memory or 0), gib(plan.capacity)
    if plan.compiled:
        verdict = "fits" if plan.fits else "does not fit"
        return f"{verdict}: {memory} of {capacity} GiB at the peak"
    if plan.needs or plan.fits is False:
        return f"does not fit: {plan.needs or memory + ' GiB of state and batch'}"
    return f"state and batch {memory} of {capacity} GiB, without activations"


def gib(count: float) -> str:
    """Bytes as GiB, three digits."""
    return f"{count / 2**30:.3g}"
