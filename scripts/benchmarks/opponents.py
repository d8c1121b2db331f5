"""PyTorch as the opponent of a case: its twin run eagerly, or compiled as a user would.

Compiled is each network by itself, on a GPU with CUDA graphs, so that the loop around them stays
what it is. What is differentiated twice, as R1 and the path length are, torch.compile leaves out.
"""

import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from gan_jax.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn  # pyright: ignore[reportMissingImports]

    from benchmarks.twins import Twin

Kind = Literal["eager", "compiled"]
Precision = Literal["float32", "bfloat16"]


class Opponent(NamedTuple):
    """How PyTorch plays.

    Attributes:
        kind: eagerly, or compiled.
        device: "cpu" or "cuda".
        precision: of the networks, by autocast; float32 products are TF32 on a GPU, as the
            project's.
        backend: torch.compile's.
    """

    kind: Kind = "eager"
    device: str = "cpu"
    precision: Precision = "float32"
    backend: str = "inductor"


EAGER = Opponent()


def twins() -> "Mapping[str, Callable[..., Twin]]":
    """The PyTorch twin of each case. Raises UserError where PyTorch is missing."""
    try:
        from benchmarks.twins import TWINS
    except ImportError as error:
        raise UserError(
            f"{error.name} is missing: bash scripts/install.sh dev benchmark"
        ) from error
    return TWINS


def make(name: str, batch_size: int, opponent: Opponent = EAGER, **sizes: Any) -> "Twin":
    """Make the twin of a case as an opponent.

    Args:
        name: the case.
        batch_size: images in a batch.
        opponent: how it plays.
        **sizes: of the twin, which tests reduce.
    """
    make_twin = twins()[name]
    import torch  # pyright: ignore[reportMissingImports]

    from benchmarks.twins import common

    common.DEVICE = torch.device(opponent.device)
    on_gpu = common.DEVICE.type == "cuda"
    if on_gpu:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True
    if opponent.kind == "compiled":  # all networks share `run`, and each counts several times
        torch._dynamo.config.recompile_limit = 64
    with common.DEVICE:
        twin = make_twin(batch_size, **sizes)
    for network in _called(twin.networks.values()):
        network.forward = _forward(network, opponent.precision, common.DEVICE.type)
        if opponent.kind == "compiled":
            graphs = (
                {"mode": "reduce-overhead"} if on_gpu and opponent.backend == "inductor" else {}
            )
            network.compile(backend=opponent.backend, dynamic=False, **graphs)
    if opponent.kind == "compiled" and on_gpu:
        return twin._replace(play=_marked(twin.play))
    return twin


def _called(networks: Any) -> "Iterator[nn.Module]":
    """The networks that a twin calls: a list of modules is called one by one."""
    from torch import nn  # pyright: ignore[reportMissingImports]

    for network in networks:
        yield from network if isinstance(network, nn.ModuleList) else [network]


def _forward(network: "nn.Module", precision: Precision, device: str) -> Callable[..., Any]:
    """A network's forward pass, by autocast in bfloat16 but for what follows it: the losses.

    It is a function of this file in either precision: torch.compile takes no frame of PyTorch's own
    code by itself, and of a network made of nothing else would compile nothing.
    """
    import torch  # pyright: ignore[reportMissingImports]

    forward, lower = network.forward, precision == "bfloat16"

    @functools.wraps(forward)
    def run(*inputs: Any) -> Any:
        with torch.autocast(device, torch.bfloat16, enabled=lower):
            out = forward(*inputs)
        return out.float() if lower else out

    return run


def _marked(play: Callable[[], Any]) -> Callable[[], Any]:
    """Say where a round begins: what CUDA graphs made in the last one may be written over."""
    import torch  # pyright: ignore[reportMissingImports]

    def run() -> Any:
        torch.compiler.cudagraph_mark_step_begin()
        return play()

    return run
