"""FLOPs of a compiled program, read from its HLO text."""

import functools
import math
import re

_SHAPE = r"\w+\[([\d,]*)\]\S*"
_OPERATION = re.compile(rf"\s+(?:ROOT )?(%\S+) = (?:{_SHAPE}|\(.*?\)) ([\w-]+)\((.*)")
_CALLED = re.compile(r"(?:calls|to_apply|body|branch_computations)=\{?(%[\w.\-]+(?:, %[\w.\-]+)*)")


def matrix_products(text: str) -> float:
    """FLOPs of the matrix products in a program's HLO text, and of oneDNN's convolutions.

    Products in a loop count as often as the loop runs. XLA's own cost analysis counts a loop once,
    and includes the additions around the products.
    """
    own: dict[str, float] = {}
    calls: dict[str, list[tuple[str, int]]] = {}
    name, entry, shapes = "", "", {}
    for line in text.splitlines():
        if line.endswith("{") and not line.startswith(" "):
            name = line.removeprefix("ENTRY ").split(" ")[0]
            entry = name if line.startswith("ENTRY") else entry
            own[name], calls[name], shapes = 0.0, [], {}
            continue
        found = _OPERATION.match(line)
        if found is None:
            continue
        result, size, kind, rest = found.groups()
        shapes[result] = [int(n) for n in (size or "").split(",") if n]
        given = [one.split(" ")[-1].rstrip(")") for one in rest.split(",")[:2]]
        if kind == "dot":
            left = shapes[given[0]]
            axes = re.search(r"lhs_contracting_dims=\{([\d,]*)\}", rest)
            summed = [left[int(n)] for n in axes[1].split(",") if n] if axes else []
            own[name] += 2.0 * math.prod(shapes[result]) * math.prod(summed)
        if "onednn_matmul_config" in rest:
            own[name] += 2.0 * math.prod(shapes[given[0]]) * shapes[result][-1]
        if "onednn_conv_config" in rest:
            own[name] += 2.0 * math.prod(shapes[result]) * math.prod(shapes[given[1]][:3])
        times = re.search(r'known_trip_count":\{"n":"(\d+)"', rest) if kind == "while" else None
        for group in _CALLED.findall(rest):
            calls[name] += [(one, int(times[1]) if times else 1) for one in group.split(", ")]

    @functools.cache
    def total(name: str) -> float:
        return own[name] + sum(times * total(one) for one, times in calls[name])

    return total(entry)
