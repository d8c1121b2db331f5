"""Names of DCGAN's weights in PyTorch's example (pytorch/examples, `dcgan/main.py`).

The example's transposed convolution of one pixel is a dense layer here, and so is its convolution
to one pixel. The example's discriminator ends in a sigmoid, here in a logit.
"""

from gan_jax.config import Dcgan
from gan_jax.errors import UserError
from gan_jax.interop.names import (
    CONV,
    Architecture,
    Entry,
    Layout,
    State,
    Table,
    batch_norm,
    counters,
    shape_of,
)

SIDE = 4  # of the smallest feature map, in pixels
PROJECT = Layout(  # [z c 4 4] and [z, 4 4 c]
    lambda x: x.transpose(0, 2, 3, 1).reshape(len(x), -1),
    lambda x: x.reshape(x.shape[0], SIDE, SIDE, -1).transpose(0, 3, 1, 2),
)
LOGIT = Layout(  # [1 c 4 4] and [4 4 c, 1]
    lambda x: x.transpose(2, 3, 1, 0).reshape(-1, x.shape[0]),
    lambda x: x.reshape(SIDE, SIDE, -1, x.shape[1]).transpose(3, 2, 0, 1),
)


def identify(state: State, origin: str) -> Architecture:
    """Identify the network of a state dict.

    In the generator, unlike in the discriminator, a norm follows the first layer.

    Raises:
        UserError: it is neither network.
    """
    generates = "main.1.weight" in state
    kernels = sum(getattr(value, "ndim", 0) == 4 for value in state.values())
    stages = kernels - 1
    rows, columns = shape_of(state, "main.0.weight", 4, origin)[:2]
    if stages < 2:
        raise UserError(
            f"{origin} has {kernels} convolutions: a network of 16 px has 3, of 64 px 5"
        )
    resolution = SIDE << stages
    if not generates:
        overrides = {"data.resolution": resolution, "data.channels": columns}
        return Architecture(
            "discriminator", Dcgan(width=rows), discriminator_table(stages), overrides
        )
    width, channels = shape_of(state, f"main.{3 * stages}.weight", 4, origin)[:2]
    overrides = {"data.resolution": resolution, "data.channels": channels, "game.z": rows}
    return Architecture("generator", Dcgan(width=width), generator_table(stages), overrides)


def generator_table(stages: int) -> Table:
    """Return the table of the generator of images of 4 * 2^stages px; it has no biases."""
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
    """Return the table of the discriminator of images of 4 * 2^stages px; it has no biases."""
    entries = [Entry("main.0.weight", ("params", "down0", "kernel"), CONV)]
    norms = []
    for stage in range(1, stages):
        path = ("params", f"down{stage}", "kernel")
        entries.append(Entry(f"main.{3 * stage - 1}.weight", path, CONV))
        norms.append(f"main.{3 * stage}")
        entries += batch_norm(norms[-1], f"norm{stage}")
    out = Entry(f"main.{3 * stages - 1}.weight", ("params", "out", "kernel"), LOGIT)
    return Table((*entries, out), counters(norms))
