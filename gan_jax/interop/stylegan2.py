"""Names of the weights of StyleGAN2 and StyleGAN2-ADA in the PyTorch release.

Karras et al. 2020, arXiv:1912.04958 and 2006.06676. A `.pkl` of the release holds whole modules
with their source code; only the arrays are read. The names and layouts are facts about the files;
no code of the release was used.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from gan_jax.config import Style2
from gan_jax.errors import UserError
from gan_jax.interop.names import (
    CONV,
    DENSE,
    Architecture,
    Entry,
    Layout,
    State,
    Table,
    read_safetensors,
    shape_of,
    tensors,
)
from gan_jax.torch_file import Builders, read_pickle, read_torch

FILTER = np.outer([1, 3, 3, 1], [1, 3, 3, 1]).astype(np.float32) / 64.0
CONST = Layout(lambda x: x.transpose(1, 2, 0)[None], lambda x: x[0].transpose(2, 0, 1))
NOISE = Layout(lambda x: x[None, :, :, None], lambda x: x[0, :, :, 0])
LAST_MAP = Layout(  # [out, c 4 4] and [4 4 c, out]
    lambda x: x.reshape(x.shape[0], -1, 4, 4).transpose(2, 3, 1, 0).reshape(-1, x.shape[0]),
    lambda x: x.reshape(4, 4, -1, x.shape[1]).transpose(3, 2, 0, 1).reshape(x.shape[1], -1),
)
NETS = {"G": "generator", "G_ema": "averaged", "D": "discriminator"}


def read(path: Path) -> Mapping[str, State]:
    """Read the state dicts of a file: those of G, G_ema and D that it contains.

    Args:
        path: a `.pkl` of the release, or a PyTorch or safetensors file with the state dict of the
            averaged generator, or with several state dicts under these names.

    Raises:
        UserError: another kind of file, or a pickle that refers to other types.
    """
    if path.suffix == ".pkl":
        modules = read_pickle(path, _records())
        states = {name: _state(modules[name]) for name in NETS if name in modules}
    elif path.suffix == ".safetensors":
        states = {"G_ema": read_safetensors(path)}
    else:
        tree = read_torch(path)
        named = {name.replace("g_ema", "G_ema"): value for name, value in tree.items()}
        states = {n: tensors(named[n]) for n in NETS if isinstance(named.get(n), dict)}
        states = states or {"G_ema": tensors(tree)}
    if not any(states.values()):
        raise UserError(f"{path} has none of the networks {', '.join(NETS)}")
    return states


def _records() -> Builders:
    """Return inert containers for the types in a pickle of the release, other than tensors.

    They are created for every file, so that a file cannot affect the reading of the next.
    """
    return {
        ("torch_utils.persistence", "_reconstruct_persistent_obj"): _record,
        ("dnnlib.util", "EasyDict"): type("EasyDict", (dict,), {}),
    }


def _record(meta: object) -> dict[str, object]:
    """Return the fields of a pickled module that are needed; its source code is discarded."""
    if not isinstance(meta, dict) or not isinstance(meta.get("state"), dict):
        raise ValueError("a module in it has no state")
    return {"class": str(meta.get("class_name")), "state": meta["state"]}


def _state(record: object, prefix: str = "") -> dict[str, np.ndarray]:
    """Collect parameters and buffers of a module's record and its submodules."""
    if not isinstance(record, dict) or not isinstance(record.get("state"), dict):
        raise UserError(f"{prefix.rstrip('.') or 'a network'} in the file is not a module")
    inside = record["state"]
    own = {
        f"{prefix}{name}": value
        for kind in ("_parameters", "_buffers")
        for name, value in (inside.get(kind) or {}).items()
        if isinstance(value, np.ndarray)
    }
    for name, part in (inside.get("_modules") or {}).items():
        if part is not None:
            own |= _state(part, f"{prefix}{name}.")
    return own


def identify(state: State, origin: str) -> Architecture:
    """Identify the network of a state dict, generator or discriminator.

    Raises:
        UserError: it is neither network.
    """
    generates = any(key.startswith("synthesis.") for key in state)
    pattern = re.compile(r"synthesis\.b(\d+)\..*" if generates else r"b(\d+)\..*")
    sides = [int(match[1]) for match in map(pattern.fullmatch, state) if match]
    if not sides:
        names = ", ".join(list(state)[:6]) or "nothing"
        raise UserError(f"{origin} has neither 'synthesis.b4' nor 'b4'; it has {names} ...")
    resolution = max(sides)
    if resolution < 8 or resolution & (resolution - 1):
        raise UserError(f"{origin} has a block of {resolution} px: not a power of two from 8 on")
    last = resolution.bit_length() - 3
    identify_role = _generator if generates else _discriminator
    return identify_role(state, origin, last)


def _generator(state: State, origin: str, last: int) -> Architecture:
    side = 4 << last
    channels = shape_of(state, f"synthesis.b{side}.torgb.weight", 4, origin)[0]
    max_width = shape_of(state, "synthesis.b4.conv1.weight", 4, origin)[0]
    last_width = shape_of(state, f"synthesis.b{side}.conv1.weight", 4, origin)[0]
    w = shape_of(state, "synthesis.b4.conv1.affine.weight", 2, origin)[1]
    classes = shape_of(state, "mapping.embed.weight", 2, origin)[1] if _labelled(state) else 0
    z = shape_of(state, "mapping.fc0.weight", 2, origin)[1] - (w if classes else 0)
    depth = _depth(state)
    base = last_width << (last + 1)
    network = Style2(w=w, mapping=depth, base=base, most=max_width, port="torch")
    overrides = {"data.resolution": side, "data.channels": channels}
    overrides |= {"game.z": z, "game.classes": classes}
    return Architecture("generator", network, generator_table(last, depth, classes > 0), overrides)


def _labelled(state: State) -> bool:
    return "mapping.embed.weight" in state


def _depth(state: State) -> int:
    pattern = re.compile(r"mapping\.fc(\d+)\.weight")
    return 1 + max(int(match[1]) for match in map(pattern.fullmatch, state) if match)


def _discriminator(state: State, origin: str, last: int) -> Architecture:
    side = 4 << last
    last_width, channels = shape_of(state, f"b{side}.fromrgb.weight", 4, origin)[:2]
    max_width = shape_of(state, "b4.conv.weight", 4, origin)[0]
    residual = f"b{side}.skip.weight" in state
    classes = shape_of(state, "mapping.embed.weight", 2, origin)[1] if _labelled(state) else 0
    depth = _depth(state) if classes else Style2.mapping
    maps = {"base": last_width << (last + 1), "most": max_width}
    network = Style2(mapping=depth, **maps, residual=residual, port="torch")
    overrides = {"data.resolution": side, "data.channels": channels, "game.classes": classes}
    table = discriminator_table(last, residual, depth if classes else 0)
    return Architecture("discriminator", network, table, overrides)


def generator_table(last: int, depth: int, labelled: bool) -> Table:
    """Return the table of the generator of images of 4 * 2^last px with `depth` mapping layers."""
    entries = [Entry("mapping.w_avg", ("moving", "mapping", "w_avg")), *_mapping(depth, labelled)]
    entries.append(Entry("synthesis.b4.const", ("params", "synthesis", "const"), CONST))
    constants = {}
    for stage in range(last + 1):
        block = f"synthesis.b{4 << stage}"
        constants[f"{block}.resample_filter"] = FILTER
        for number in (0, 1) if stage else (1,):
            key, name = f"{block}.conv{number}", f"layer{2 * stage + number - 1}"
            constants[f"{key}.resample_filter"] = FILTER
            entries += _modulated(key, name, "conv")
            entries += [
                Entry(f"{key}.bias", ("params", "synthesis", name, "bias")),
                Entry(f"{key}.noise_strength", ("params", "synthesis", name, "strength")),
                Entry(f"{key}.noise_const", ("fixed", "synthesis", name, "noise"), NOISE),
            ]
        entries += _modulated(f"{block}.torgb", f"to_rgb{stage}")
        entries.append(Entry(f"{block}.torgb.bias", ("params", "synthesis", f"bias_rgb{stage}")))
    return Table(tuple(entries), constants=constants)


def _mapping(depth: int, labelled: bool) -> list[Entry]:
    """Return the dense layers of a mapping network."""
    entries = []
    dense = [("mapping.embed", "label")] if labelled else []
    for key, name in [*dense, *((f"mapping.fc{n}", f"dense{n}") for n in range(depth))]:
        entries.append(Entry(f"{key}.weight", ("params", "mapping", name, "kernel"), DENSE))
        entries.append(Entry(f"{key}.bias", ("params", "mapping", name, "bias")))
    return entries


def _modulated(key: str, *name: str) -> list[Entry]:
    """Return a modulated convolution and the affine map of its style."""
    at = ("params", "synthesis", *name)
    return [
        Entry(f"{key}.weight", (*at, "kernel"), CONV),
        Entry(f"{key}.affine.weight", (*at, "affine", "kernel"), DENSE),
        Entry(f"{key}.affine.bias", (*at, "style_bias")),
    ]


def discriminator_table(last: int, residual: bool, depth: int = 0) -> Table:
    """Return the table of the discriminator of images of 4 * 2^last px.

    Args:
        last: exponent of the resolution.
        residual: whether blocks have a residual branch.
        depth: number of mapping layers of a conditional discriminator; 0 if unconditional.
    """
    convs = [(f"b{4 << last}.fromrgb", "from_rgb")]
    for stage in range(last, 0, -1):
        block = f"b{4 << stage}"
        convs += [(f"{block}.conv0", f"conv{stage}"), (f"{block}.conv1", f"down{stage}")]
        convs += [(f"{block}.skip", f"skip{stage}")] if residual else []
    convs.append(("b4.conv", "conv0"))
    entries = _mapping(depth, labelled=True) if depth else []
    for key, name in convs:
        entries.append(Entry(f"{key}.weight", ("params", name, "kernel"), CONV))
        if not name.startswith("skip"):
            entries.append(Entry(f"{key}.bias", ("params", name, "bias")))
    for key, name, layout in (("b4.fc", "dense", LAST_MAP), ("b4.out", "out", DENSE)):
        entries.append(Entry(f"{key}.weight", ("params", name, "kernel"), layout))
        entries.append(Entry(f"{key}.bias", ("params", name, "bias")))
    blocks = [f"b{4 << stage}" for stage in range(1, last + 1)]
    constants = {f"{key}.resample_filter": FILTER for key in [*blocks, *(key for key, _ in convs)]}
    return Table(tuple(entries), constants=constants)
