"""The notebooks run from top to bottom, and are committed with what they show."""

import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))
import notebooks  # noqa: E402

BOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", BOOKS, ids=[path.stem for path in BOOKS])
def test_the_notebook_runs(path, monkeypatch):
    monkeypatch.delenv("XLA_FLAGS")  # of the tests: notebooks train, so optimising them pays
    book = notebooks.execute(path)
    shown = [o for cell in book.cells for o in cell.get("outputs", ()) if "data" in o]
    assert any({"image/png", "image/gif"} & set(o["data"]) for o in shown)


@pytest.mark.parametrize("path", BOOKS, ids=[path.stem for path in BOOKS])
def test_the_notebook_is_committed_with_its_outputs(path):
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert any(cell.outputs for cell in cells)
