"""Exchanges, padding and overflow messages, read from the compiler's text."""

import math
import re
from collections.abc import Iterator

_BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s16": 2, "u16": 2}
_BYTES |= {"f32": 4, "s32": 4, "u32": 4, "f64": 8, "s64": 8, "u64": 8, "c64": 8}
_SHAPE = re.compile(r"\b([a-z]+\d*)\[([\d,]*)\](?:\{([\d,]*)(?::([^{}]*))?\})?")
_COLLECTIVE = re.compile(
    r"= (.*?) (all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute)(-start)?\("
)


def collectives(text: str) -> dict[str, tuple[int, int]]:
    """Count the exchanges between devices in HLO text, by kind: how many, bytes."""
    found: dict[str, tuple[int, int]] = {}
    for line in text.splitlines():
        match = _COLLECTIVE.search(line)
        if not match:
            continue
        sizes = [_dense(kind, dims) for kind, dims, *_ in _SHAPE.findall(match[1])]
        # The start of an asynchronous gather or exchange also returns its operand.
        whole = max(sizes, default=0) if match[3] and match[2] != "all-reduce" else sum(sizes)
        count, total = found.get(match[2], (0, 0))
        found[match[2]] = (count + 1, total + whole)
    return found


def _dense(kind: str, dims: str) -> int:
    """Bytes of an array without padding."""
    return _BYTES.get(kind, 0) * math.prod(int(n) for n in dims.split(",") if n)


def tiled(kind: str, dims: str, order: str, tiles: str) -> int:
    """Bytes of an array whose last axes are filled up to tiles: f32[3,64]{1,0:T(8,128)} is 4096."""
    shape = [int(n) for n in dims.split(",") if n]
    major = [shape[int(axis)] for axis in reversed(order.split(",")) if axis]
    tile = re.match(r"T\(([\d,]+)\)", tiles)
    if tile:
        sides = [int(n) for n in tile[1].split(",")]
        major = [1] * (len(sides) - len(major)) + major
        start = len(major) - len(sides)
        filled = [-(-n // t) * t for n, t in zip(major[start:], sides, strict=True)]
        major = [*major[:start], *filled]
    return _BYTES.get(kind, 0) * math.prod(major)


def padding(text: str, worst: int = 5) -> tuple[float, tuple[tuple[str, int, int], ...]]:
    """Measure the padding of the arrays in a chip's memory.

    Counted are the results of instructions outside fusions, each of which is a buffer at some time.

    Returns:
        The bytes of all arrays over those without padding; and of the `worst` arrays with the most
        padding: shape with layout, bytes, bytes without padding.
    """
    wide = dense = 0
    found: dict[str, tuple[int, int]] = {}
    for kind, dims, order, tiles in _buffers(text):
        a, b = tiled(kind, dims, order, tiles), _dense(kind, dims)
        wide, dense = wide + a, dense + b
        found[f"{kind}[{dims}]{{{order}:{tiles}}}"] = (a, b)
    ranked = sorted(found.items(), key=lambda item: item[1][1] - item[1][0])[:worst]
    return wide / max(dense, 1), tuple((name, a, b) for name, (a, b) in ranked if a > b)


def _buffers(text: str) -> Iterator[tuple[str, str, str, str]]:
    """Type, shape, order of axes and tiles of the results of top-level instructions."""
    inside = False
    for line in text.splitlines():
        if line.endswith("{") and not line.startswith(" "):
            inside = line.startswith("ENTRY") or "branch" in line.split("(")[0]
        made = re.match(r"\s+(?:ROOT )?%?[\w.-]+ = (\S+) ([\w-]+)\(", line) if inside else None
        if made and made[2] not in ("bitcast", "get-tuple-element", "constant"):
            match = _SHAPE.fullmatch(made[1])
            if match and match[3] and match[4] and "S(" not in match[4]:
                yield match[1], match[2], match[3], match[4]


def needs(overflow: str) -> str:
    """Shorten the compiler's message that memory is not enough to "needs X of Y"; "" stays ""."""
    if not overflow:
        return ""
    found = re.search(r"Used ([\d.]+\w) of ([\d.]+\w) hbm", overflow)
    found = found or re.search(r"\(([\d.]+\w)\) exceeds available HBM \(([\d.]+\w)\)", overflow)
    return f"needs {found[1]} of {found[2]}" if found else "needs more than there is"
