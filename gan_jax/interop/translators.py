"""Names of the weights of CycleGAN and pix2pix in the authors' PyTorch code.

junyanz/pytorch-CycleGAN-and-pix2pix: `ResnetGenerator`, `UnetGenerator`, `NLayerDiscriminator`,
`PixelDiscriminator`. Layers are indices of an `nn.Sequential`, which include paddings and
activations. With instance norm every convolution has a bias; with batch norm only the output
convolution and those that no norm follows.
"""

import re
from typing import Literal

import numpy as np

from gan_jax.config import PatchGan, Resnet, Unet
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
    statistics,
    swapped,
)

DOWN, UP = 2, 2  # numbers of downsampling and upsampling layers of the residual network
FIELDS: dict[int, Literal[16, 70, 286]] = {1: 16, 3: 70, 5: 286}  # by `n_layers`

_Names = list[tuple[str, str, Layout]]  # name in PyTorch, name here, layout of the kernel


def identify(state: State, origin: str, *, paired: bool) -> Architecture:
    """Identify the network of a state dict: U-Net, residual network or PatchGAN discriminator.

    Args:
        state: PyTorch state dict.
        origin: its name in messages.
        paired: whether a discriminator takes input and output, as in pix2pix.

    Raises:
        UserError: it is none of these networks.
    """
    if "model.model.0.weight" in state:
        return _unet(state, origin)
    if "net.0.weight" in state:
        return _pixels(state, origin, paired)
    if "model.0.weight" in state:
        return _patches(state, origin, paired)
    return _resnet(state, origin)


def resnet_table(blocks: int, norm: str) -> Table:
    """Return the table of `ResnetGenerator` with reflection padding and without dropout."""
    convs: _Names = [("model.1", "in", CONV)]
    norms = [("model.2", "norm_in")]
    for level in range(1, DOWN + 1):
        convs.append((f"model.{1 + 3 * level}", f"down{level}", CONV))
        norms.append((f"model.{2 + 3 * level}", f"norm_down{level}"))
    first = 4 + 3 * DOWN
    for number in range(blocks):
        for place, half in ((1, "a"), (5, "b")):
            block = f"model.{first + number}.conv_block"
            convs.append((f"{block}.{place}", f"block{number}{half}", CONV))
            norms.append((f"{block}.{place + 1}", f"norm_block{number}{half}"))
    first += blocks
    for place, level in enumerate(reversed(range(UP))):
        convs.append((f"model.{first + 3 * place}", f"up{level}", CONV))
        norms.append((f"model.{first + 3 * place + 1}", f"norm_up{level}"))
    out = f"model.{first + 3 * UP + 1}"
    return _table([*convs, (out, "out", CONV)], norms, norm, biased={"out"})


def unet_table(depth: int, norm: str) -> Table:
    """Return the table of `UnetGenerator`, which concatenates skip connections first, not last."""
    convs: _Names = [("model.model.0", "down0", CONV)]
    norms = []
    block = "model.model.1.model"
    joined = swapped(CONV, axis=3)
    for level in range(1, depth):
        inner = level == depth - 1
        convs.append((f"{block}.1", f"down{level}", CONV))
        up = 3 if inner else 5
        convs.append((f"{block}.{up}", f"up{level}", CONV if inner else joined))
        norms += [] if inner else [(f"{block}.2", f"norm_down{level}")]
        norms.append((f"{block}.{up + 1}", f"norm_up{level}"))
        block += ".3.model"
    return _table([*convs, ("model.model.3", "out", joined)], norms, norm, biased={"out"})


def patch_table(layers: int, norm: str, *, paired: bool) -> Table:
    """Return the table of `NLayerDiscriminator`; if `paired`, it takes x first, not last."""
    convs: _Names = [("model.0", "conv0", swapped(CONV) if paired else CONV)]
    norms = []
    for level in range(1, layers + 1):
        convs.append((f"model.{3 * level - 1}", f"conv{level}", CONV))
        norms.append((f"model.{3 * level}", f"norm{level}"))
    convs.append((f"model.{3 * layers + 2}", "out", CONV))
    return _table(convs, norms, norm, biased={"conv0", "out"})


def pixel_table(norm: str, *, paired: bool) -> Table:
    """Return the table of `PixelDiscriminator`; its output has a bias only with instance norm."""
    first = ("net.0", "conv0", swapped(CONV) if paired else CONV)
    convs: _Names = [first, ("net.2", "conv1", CONV), ("net.5", "out", CONV)]
    return _table(convs, [("net.3", "norm1")], norm, biased={"conv0"})


def _table(convs: _Names, norms: list[tuple[str, str]], norm: str, biased: set[str]) -> Table:
    """Make a table; layers in `biased` always have a bias, the others only with instance norm."""
    entries = []
    for key, name, layout in convs:
        entries.append(Entry(f"{key}.weight", ("params", name, "kernel"), layout))
        if norm == "instance" or name in biased:
            entries.append(Entry(f"{key}.bias", ("params", name, "bias")))
    keys = [key for key, _ in norms]
    if norm == "instance":
        return Table(tuple(entries), statistics(keys))
    for key, name in norms:
        entries += batch_norm(key, name)
    return Table(tuple(entries), counters(keys))


def _resnet(state: State, origin: str) -> Architecture:
    width, channels = shape_of(state, "model.1.weight", 4, origin)[:2]
    pattern = re.compile(r"model\.(\d+)\.conv_block\.\d+\.weight")
    numbers = [int(match[1]) for match in map(pattern.fullmatch, state) if match]
    if not numbers:
        names = ", ".join(list(state)[:6])
        raise UserError(
            f"{origin} has no residual block 'model.10.conv_block.1'; it has {names} ..."
        )
    blocks = max(numbers) - (3 + 3 * DOWN)
    norm = _norm(state, "model.2")
    overrides = _channels(
        channels, state, f"model.{5 + 3 * DOWN + blocks + 3 * UP}.weight", 0, origin
    )
    network = Resnet(width=width, blocks=blocks, norm=norm, port="torch")
    return Architecture("generator", network, resnet_table(blocks, norm), overrides)


def _unet(state: State, origin: str) -> Architecture:
    width, channels = shape_of(state, "model.model.0.weight", 4, origin)[:2]
    depth = max(key.count("model") for key in state) - 1  # two are of the whole network
    norm = _norm(state, "model.model.1.model.2")
    overrides = _channels(channels, state, "model.model.3.weight", 1, origin)
    network = Unet(width=width, norm=norm, port="torch")
    return Architecture(
        "generator", network, unet_table(depth, norm), {**overrides, "data.resolution": 2**depth}
    )


def _patches(state: State, origin: str, paired: bool) -> Architecture:
    width, channels = shape_of(state, "model.0.weight", 4, origin)[:2]
    kernels = sum(isinstance(value, np.ndarray) and value.ndim == 4 for value in state.values())
    if kernels - 2 not in FIELDS:
        known = "3, 5 or 7 convolutions (n_layers 1, 3 or 5)"
        raise UserError(
            f"{origin} has {kernels} convolutions: a PatchGAN discriminator has {known}"
        )
    norm = _norm(state, "model.3")
    network = PatchGan(width=width, receptive_field=FIELDS[kernels - 2], norm=norm, port="torch")
    table = patch_table(kernels - 2, norm, paired=paired)
    return Architecture(
        "discriminator", network, table, {"data.channels": channels // (2 if paired else 1)}
    )


def _pixels(state: State, origin: str, paired: bool) -> Architecture:
    width, channels = shape_of(state, "net.0.weight", 4, origin)[:2]
    norm = _norm(state, "net.3")
    network = PatchGan(width=width, receptive_field=1, norm=norm, port="torch")
    overrides = {"data.channels": channels // (2 if paired else 1)}
    return Architecture("discriminator", network, pixel_table(norm, paired=paired), overrides)


def _norm(state: State, key: str) -> Literal["batch", "instance"]:
    """Return the kind of norm: instance norm has no gain in the authors' code."""
    return "batch" if f"{key}.weight" in state else "instance"


def _channels(inputs: int, state: State, key: str, axis: int, origin: str) -> dict[str, int]:
    outputs = shape_of(state, key, 4, origin)[axis]
    if inputs != outputs or inputs not in (1, 3):
        counts = f"{inputs} channels to {outputs}"
        raise UserError(f"{origin} maps {counts}: only 1 to 1 and 3 to 3 are supported")
    return {"data.channels": inputs}
