"""CycleGAN's and pix2pix's networks as the authors' PyTorch code names them.

junyanz/pytorch-CycleGAN-and-pix2pix: `ResnetGenerator`, `UnetGenerator`, `NLayerDiscriminator`,
`PixelDiscriminator`.
Layers are numbered in an `nn.Sequential` where paddings and activations count as well. With
instance norm every convolution has a bias, with batch norm those on no norm's way and the output.
"""

import re
from typing import Literal

import numpy as np

from gan_jax.config import PatchGan, Resnet, Unet
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
    statistics,
    swapped,
)

DOWN, UP = 2, 2  # layers of the residual network that halve and that double the side
FIELDS: dict[int, Literal[16, 70, 286]] = {1: 16, 3: 70, 5: 286}  # by `n_layers`

_Names = list[tuple[str, str, Layout]]  # in PyTorch, here, and the layout of the kernel


def portrait(state: State, what: str, *, paired: bool) -> Portrait:
    """What a state dict is: a U-Net, a residual network or a discriminator of patches.

    A `paired` discriminator judges input and output together. Raises UserError for none of them,
    naming what it would be known by.
    """
    if "model.model.0.weight" in state:
        return _unet(state, what)
    if "net.0.weight" in state:
        return _pixels(state, what, paired)
    if "model.0.weight" in state:
        return _patches(state, what, paired)
    return _resnet(state, what)


def resnet_table(blocks: int, norm: str) -> Table:
    """`ResnetGenerator` with reflected borders, transposed convolutions and no dropout."""
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
    """`UnetGenerator`: blocks within blocks, whose skipped half comes first where ours is last."""
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
    """`NLayerDiscriminator`; a `paired` one sees the input first, which ours sees last."""
    convs: _Names = [("model.0", "conv0", swapped(CONV) if paired else CONV)]
    norms = []
    for level in range(1, layers + 1):
        convs.append((f"model.{3 * level - 1}", f"conv{level}", CONV))
        norms.append((f"model.{3 * level}", f"norm{level}"))
    convs.append((f"model.{3 * layers + 2}", "out", CONV))
    return _table(convs, norms, norm, biased={"conv0", "out"})


def pixel_table(norm: str, *, paired: bool) -> Table:
    """`PixelDiscriminator`, whose logits have a bias only where the norm before them has none."""
    first = ("net.0", "conv0", swapped(CONV) if paired else CONV)
    convs: _Names = [first, ("net.2", "conv1", CONV), ("net.5", "out", CONV)]
    return _table(convs, [("net.3", "norm1")], norm, biased={"conv0"})


def _table(convs: _Names, norms: list[tuple[str, str]], norm: str, biased: set[str]) -> Table:
    """`biased` layers have a bias in any case, the others before instance norm."""
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


def _resnet(state: State, what: str) -> Portrait:
    width, channels = shape_of(state, "model.1.weight", 4, what)[:2]
    pattern = re.compile(r"model\.(\d+)\.conv_block\.\d+\.weight")
    found = [int(match[1]) for match in map(pattern.fullmatch, state) if match]
    if not found:
        names = ", ".join(list(state)[:6])
        raise UserError(f"{what} has no residual block 'model.10.conv_block.1'; it has {names} ...")
    blocks = max(found) - (3 + 3 * DOWN)
    norm = _norm(state, "model.2")
    facts = _channels(channels, state, f"model.{5 + 3 * DOWN + blocks + 3 * UP}.weight", 0, what)
    network = Resnet(width=width, blocks=blocks, norm=norm, port="torch")
    return Portrait("generator", network, resnet_table(blocks, norm), facts)


def _unet(state: State, what: str) -> Portrait:
    width, channels = shape_of(state, "model.model.0.weight", 4, what)[:2]
    depth = max(key.count("model") for key in state) - 1  # two are the whole net's
    norm = _norm(state, "model.model.1.model.2")
    facts = _channels(channels, state, "model.model.3.weight", 1, what)
    network = Unet(width=width, norm=norm, port="torch")
    return Portrait(
        "generator", network, unet_table(depth, norm), {**facts, "data.resolution": 2**depth}
    )


def _patches(state: State, what: str, paired: bool) -> Portrait:
    width, channels = shape_of(state, "model.0.weight", 4, what)[:2]
    kernels = sum(isinstance(value, np.ndarray) and value.ndim == 4 for value in state.values())
    if kernels - 2 not in FIELDS:
        known = "3, 5 or 7 convolutions (n_layers 1, 3 or 5)"
        raise UserError(
            f"{what} has {kernels} convolutions: a discriminator of patches has {known}"
        )
    norm = _norm(state, "model.3")
    network = PatchGan(width=width, receptive_field=FIELDS[kernels - 2], norm=norm, port="torch")
    table = patch_table(kernels - 2, norm, paired=paired)
    return Portrait(
        "discriminator", network, table, {"data.channels": channels // (2 if paired else 1)}
    )


def _pixels(state: State, what: str, paired: bool) -> Portrait:
    width, channels = shape_of(state, "net.0.weight", 4, what)[:2]
    norm = _norm(state, "net.3")
    network = PatchGan(width=width, receptive_field=1, norm=norm, port="torch")
    facts = {"data.channels": channels // (2 if paired else 1)}
    return Portrait("discriminator", network, pixel_table(norm, paired=paired), facts)


def _norm(state: State, key: str) -> Literal["batch", "instance"]:
    """Instance norm has no gain in the authors' code."""
    return "batch" if f"{key}.weight" in state else "instance"


def _channels(inputs: int, state: State, key: str, axis: int, what: str) -> dict[str, int]:
    outputs = shape_of(state, key, 4, what)[axis]
    if inputs != outputs or inputs not in (1, 3):
        counts = f"{inputs} channels to {outputs}"
        raise UserError(f"{what} maps {counts}: here both have 1 or both have 3")
    return {"data.channels": inputs}
