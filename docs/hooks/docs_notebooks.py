"""Turn a notebook with stored outputs into a Markdown page and picture files; nothing is run."""

import base64
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

PICTURES = {"image/png": "png", "image/gif": "gif", "image/jpeg": "jpg"}


class Notebook(NamedTuple):
    """A page, and its pictures by file name."""

    markdown: str
    pictures: dict[str, bytes]


def read(path: Path, goal: str) -> Notebook:
    """Convert a notebook.

    Args:
        path: the notebook.
        goal: what its reader learns, in a sentence that follows the title.
    """
    pictures: dict[str, bytes] = {}
    parts: list[str] = []
    for cell in json.loads(path.read_text())["cells"]:
        source = "".join(cell["source"]).strip()
        if cell["cell_type"] == "markdown":
            parts.append(source)
            if len(parts) == 1:
                title, _, rest = source.partition("\n")
                parts[0] = f'{title}\n\n!!! abstract "Learning goal"\n    {goal}\n\n{rest}'
                parts.append(_origin(path.name))
        elif source:
            parts.append(f"```python\n{source}\n```")
        for output in cell.get("outputs", ()):
            parts.append(_output(output, path.stem, pictures))
    return Notebook("\n\n".join(part for part in parts if part) + "\n", pictures)


def _origin(name: str) -> str:
    return (
        f"The notebook is `notebooks/{name}`. The outputs below are stored in it; "
        f"`python scripts/notebooks.py notebooks/{name}` computes them again."
    )


def _output(output: dict[str, Any], stem: str, pictures: dict[str, bytes]) -> str:
    data = output.get("data", {})
    for kind, suffix in PICTURES.items():
        if kind in data:
            name = f"{stem}-{len(pictures) + 1}.{suffix}"
            pictures[name] = base64.b64decode("".join(data[kind]))
            return f"![Output of the cell above]({name}){{ loading=lazy }}"
    if "text/markdown" in data:
        return "".join(data["text/markdown"])
    text = "".join(output.get("text", data.get("text/plain", "")))
    text = re.sub(r"\x1b\[[0-9;]*m", "", text).rstrip()
    return f"```text\n{text}\n```" if text else ""
