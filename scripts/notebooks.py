"""Runs the notebooks and stores their outputs in them.

python scripts/notebooks.py                       # all
python scripts/notebooks.py notebooks/03_*.ipynb  # some
"""

import sys
from collections.abc import Mapping
from pathlib import Path

from gan_jax.commands import cli
from gan_jax.errors import UserError

FOLDER = Path(__file__).parents[1] / "notebooks"
SECONDS = 900  # for one cell


def main() -> None:
    """Executes every notebook named, or all of them, in place."""
    import nbformat

    if any(word.startswith("-") for word in sys.argv[1:]):
        print(__doc__)
        return
    for path in map(Path, sys.argv[1:] or sorted(FOLDER.glob("*.ipynb"))):
        if not path.is_file():
            raise UserError(f"no notebook {str(path)!r}")
        nbformat.write(execute(path), path)
        print(path)


def execute(path: Path, instead: Mapping[str, str] | None = None):
    """The notebook with fresh outputs, without times and machine. Raises UserError as it fails.

    `instead` has words of its cells and what to write in their place; one that is not there fails.
    """
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    book = nbformat.read(path, as_version=4)
    for old, new in (instead or {}).items():
        cells = [cell for cell in book.cells if old in cell.source]
        if not cells:
            raise UserError(f"{path.name}: no cell has {old!r}")
        for cell in cells:
            cell.source = cell.source.replace(old, new)
    try:
        NotebookClient(
            book, timeout=SECONDS, kernel_name="python3", resources={"metadata": {"path": FOLDER}}
        ).execute()
    except CellExecutionError as error:
        raise UserError(f"{path.name}: {error.ename}: {error.evalue}") from error
    for cell in book.cells:
        cell.metadata.pop("execution", None)
        if "outputs" in cell:  # without progress lines
            cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
    return book


if __name__ == "__main__":
    cli.run(main)
