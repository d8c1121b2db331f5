"""Read recipes, configuration fields and metrics from the source code, without importing it.

The site takes every number and name from here, so that pages cannot differ from the code.
"""

import ast
import inspect
import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
ARXIV = re.compile(r"\barXiv:(\d{4}\.\d{4,5})\b")
MEASURED = re.compile(r"\b20\d\d-\d\d-\d\d\b")


class Recipe(NamedTuple):
    """A recipe of an experiment file: `where` is what scripts/train.py takes."""

    where: str
    text: str

    @property
    def summary(self) -> str:
        """The first paragraph of the docstring, on one line."""
        return " ".join(self.text.partition("\n\n")[0].split())

    @property
    def measured(self) -> str:
        """The date of the measurement, or ''."""
        found = MEASURED.search(self.text)
        return found[0] if found else ""


class Field(NamedTuple):
    """A field of a configuration dataclass."""

    name: str
    values: str
    default: str
    help: str


def parse(path: str) -> ast.Module:
    """Parse a Python file of the repository."""
    return ast.parse((ROOT / path).read_text())


def docstring(path: str) -> str:
    """Return the docstring of a file."""
    return ast.get_docstring(parse(path)) or ""


def experiment_files() -> list[str]:
    """List the experiment files by stem."""
    return sorted(file.stem for file in (ROOT / "experiments").glob("*.py"))


def ablation_files() -> list[str]:
    """List the tables of ablations by stem."""
    return sorted(file.stem for file in (ROOT / "experiments" / "ablations").glob("*.py"))


def recipes(stem: str) -> list[Recipe]:
    """Read the recipes of `experiments/STEM.py`: its public functions that return an Experiment."""
    return [
        Recipe(f"experiments/{stem}.py:{node.name}", ast.get_docstring(node) or "")
        for node in parse(f"experiments/{stem}.py").body
        if isinstance(node, ast.FunctionDef)
        and not node.name.startswith("_")
        and node.returns is not None
        and ast.unparse(node.returns) == "Experiment"
    ]


def fields(name: str, path: str) -> tuple[str, list[Field]]:
    """Read the docstring and the fields of the dataclass `name` of a file.

    Raises:
        LookupError: the file has no such class.
    """
    aliases: dict[str, ast.expr] = {}  # Objective = Literal[...]
    for node in parse(path).body:
        if isinstance(node, ast.Assign):
            aliases[ast.unparse(node.targets[0])] = node.value
        if isinstance(node, ast.ClassDef) and node.name == name:
            return ast.get_docstring(node) or "", list(_fields(node, aliases))
    raise LookupError(f"no class {name!r} in {path}")


def _fields(node: ast.ClassDef, aliases: Mapping[str, ast.expr]) -> Iterator[Field]:
    for item, after in zip(node.body, [*node.body[1:], None], strict=True):
        if not isinstance(item, ast.AnnAssign) or not isinstance(item.target, ast.Name):
            continue
        text = ""
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            text = inspect.cleandoc(str(after.value.value))
        annotation = aliases.get(ast.unparse(item.annotation), item.annotation)
        yield Field(item.target.id, _values(annotation), _default(item), " ".join(text.split()))


def _values(annotation: ast.expr) -> str:
    text = ast.unparse(annotation)
    if text.startswith("Literal["):
        return ", ".join(repr(value) for value in ast.literal_eval(f"({text[8:-1]},)"))
    return text


def _default(item: ast.AnnAssign) -> str:
    text = ast.unparse(item.value) if item.value is not None else ""
    made = re.fullmatch(r"field\(default_factory=(\w+)\)", text)
    return f"{made[1]}()" if made else text


class _Names(dict):
    """A namespace in which an unknown name is an object that knows its own dotted name."""

    def __missing__(self, name: str) -> Any:
        return _Dotted(name)


class _Dotted:
    def __init__(self, name: str) -> None:
        self.name = name

    def __getattr__(self, name: str) -> "_Dotted":
        return _Dotted(f"{self.name}.{name}")


class Metric(NamedTuple):
    """A metric as the registry declares it: quantities with their directions, needs, uses."""

    name: str
    compute: Any
    better: dict[str, str]
    needs: frozenset[str] = frozenset()
    uses: frozenset[str] = frozenset()


REGISTRY = "gan_jax/evaluation/registry.py"


def metrics() -> list[Metric]:
    """Read the metrics that the package registers, by evaluating their declarations alone."""
    names = _Names(MetricSpec=Metric, frozenset=frozenset, dict=dict)
    body = [n for n in parse(REGISTRY).body if not isinstance(n, ast.Import | ast.ImportFrom)]
    for node in body:
        if isinstance(node, ast.FunctionDef) and node.name == "_each":
            names["_each"] = lambda way, *quantities: dict.fromkeys(quantities, way)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name | ast.Tuple):
            if ast.unparse(node.targets[0]).isupper():
                exec(compile(ast.Module([node], []), REGISTRY, "exec"), names)
        elif isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "PAIRWISE":
            names["PAIRWISE"] = eval(_code(node.value), names)
        elif isinstance(node, ast.For):
            return list(eval(_code(node.iter), names))
    raise LookupError(f"{REGISTRY} registers no metrics")


def _code(node: ast.expr | None) -> Any:
    assert node is not None
    return compile(ast.Expression(node), REGISTRY, "eval")


def capabilities() -> dict[str, str]:
    """Read what a metric may need of an experiment, in words."""
    for node in parse("gan_jax/build/parts.py").body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "CAPABILITIES":
            return ast.literal_eval(node.value)
    raise LookupError("gan_jax/build/parts.py has no CAPABILITIES")


def results() -> dict[str, dict[str, Any]]:
    """Read the result files by name."""
    paths = sorted((ROOT / "experiments" / "results").glob("*.json"))
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in paths}


def zoo() -> dict[str, dict[str, Any]]:
    """Read the cards of the trained generators in the package, by name."""
    cards = sorted((ROOT / "gan_jax" / "zoo").glob("[!.]*/card.json"))
    return {path.parent.name: json.loads(path.read_text()) for path in cards}


def prose(text: str) -> str:
    """Turn a docstring into Markdown: indented tables become code, recipe names become code."""
    blocks = []
    for block in re.split(r"\n[ \t]*\n", inspect.cleandoc(text)):
        lines = block.splitlines()
        indented = [line for line in lines if line.startswith("    ")]
        if not indented:
            blocks.append(_escaped(block))
            continue
        if not lines[0].startswith("    "):
            blocks.append(_escaped("\n".join(line for line in lines if line not in indented)))
        if blocks and blocks[-1].startswith("```") and lines[0].startswith("    "):
            blocks[-1] = blocks[-1].removesuffix("\n```") + "\n\n" + _code_block(indented)
        else:
            blocks.append("```text\n" + _code_block(indented))
    return "\n\n".join(blocks)


def _code_block(lines: list[str]) -> str:
    return textwrap.dedent("\n".join(lines)) + "\n```"


def _escaped(text: str) -> str:
    """Escape what Markdown would read as markup, but leave `code` as it is; link papers."""
    parts = re.split(r"(`[^`]*`)", text)
    plain = [re.sub(r"([*_<\[\]|$])", r"\\\1", part) for part in parts[::2]]
    plain = [part.replace("+-", "±") for part in plain]
    parts[::2] = [ARXIV.sub(r"[arXiv:\1](https://arxiv.org/abs/\1)", part) for part in plain]
    return "".join(parts)
