"""DCGAN's networks as PyTorch's example (pytorch/examples, `dcgan/main.py`) names them.

A transposed convolution of one pixel is our dense layer to the first map, a convolution of that map
to one pixel our linear unit. The example's discriminator ends in a sigmoid, ours in its logit.
"""

from gan_jax.config import Dcgan
from gan_jax.errors import UserError
from gan_jax.interop.names import (
    CONV,
    Entry,
    Layout,
    Portrait,
    State,
    Table,
    batch_norm,
    counters,
    shape_of,
)

SIDE = 4  # of the smallest map
PROJECT = Layout(  # [z c 4 4] and [z, 4 4 c]
    lambda x: x.transpose(0, 2, 3, 1).reshape(len(x), -1),
    lambda x: x.reshape(x.shape[0], SIDE, SIDE, -1).transpose(0, 3, 1, 2),
)
JUDGE = Layout(  # [1 c 4 4] and [4 4 c, 1]
    lambda x: x.transpose(2, 3, 1, 0).reshape(-1, x.shape[0]),
    lambda x: x.reshape(SIDE, SIDE, -1, x.shape[1]).transpose(3, 2, 0, 1),
)


def portrait(state: State, what: str) -> Portrait:
    """What a state dict is: the generator, whose first layer a norm follows, or the discriminator.

    Raises UserError for neither, naming what it would be known by.
    """
    generates = "main.1.weight" in state
    kernels = sum(getattr(value, "ndim", 0) == 4 for value in state.values())
    stages = kernels - 1
    rows, columns = shape_of(state, "main.0.weight", 4, what)[:2]
    if stages < 2:
        raise UserError(f"{what} has {kernels} convolutions: one of 16 px has 3, of 64 px 5")
    resolution = SIDE << stages
    if not generates:
        facts = {"data.resolution": resolution, "data.channels": columns}
        return Portrait("discriminator", Dcgan(width=rows), discriminator_table(stages), facts)
    width, channels = shape_of(state, f"main.{3 * stages}.weight", 4, what)[:2]
    facts = {"data.resolution": resolution, "data.channels": channels, "game.z": rows}
    return Portrait("generator", Dcgan(width=width), generator_table(stages), facts)


def generator_table(stages: int) -> Table:
    """The generator of pictures of 4 * 2^stages px; no biases."""
    entries = [Entry("main.0.weight", ("params", "project", "kernel"), PROJECT)]
    norms = []
    for stage in range(stages):
        if stage:
            path = ("params", f"up{stage}", "kernel")
            entries.append(Entry(f"main.{3 * stage}.weight", path, CONV))
        norms.append(f"main.{3 * stage + 1}")
        entries += batch_norm(norms[-1], f"norm{stage}")
    out = Entry(f"main.{3 * stages}.weight", ("params", "out", "kernel"), CONV)
    return Table((*entries, out), counters(norms))


def discriminator_table(stages: int) -> Table:
    """The discriminator of pictures of 4 * 2^stages px; no biases."""
    entries = [Entry("main.0.weight", ("params", "down0", "kernel"), CONV)]
    norms = []
    for stage in range(1, stages):
        path = ("params", f"down{stage}", "kernel")
        entries.append(Entry(f"main.{3 * stage - 1}.weight", path, CONV))
        norms.append(f"main.{3 * stage}")
        entries += batch_norm(norms[-1], f"norm{stage}")
    out = Entry(f"main.{3 * stages - 1}.weight", ("params", "out", "kernel"), JUDGE)
    return Table((*entries, out), counters(norms))
