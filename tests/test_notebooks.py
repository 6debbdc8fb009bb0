"""The notebooks: whole files without outputs, whose cells run and check what the text says."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def test_there_are_notebooks():
    assert [file.stem for file in NOTEBOOKS] == ["1-start", "2-port", "3-targets", "4-train"]


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_is_whole(file):
    book = nbformat.read(file, as_version=4)
    nbformat.validate(book)
    assert book.metadata.kernelspec.name == "python3"
    ids = [cell.id for cell in book.cells]
    assert len(set(ids)) == len(ids)
    assert book.cells[0].source.startswith("# ")
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert 'find_spec("augengine") is None' in code[0].source, "the first cell installs"
    for cell in code:
        assert (cell.outputs, cell.execution_count) == ([], None)
        compile(cell.source, file.name, "exec")
    assert sum("assert " in cell.source for cell in code) >= 3
    for cell in book.cells:
        for link in re.findall(r"\]\((?!https?:)([^)#\s]+)", cell.source):
            assert (FOLDER / link).exists(), link


@pytest.mark.thorough
@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_runs(file, tmp_path):
    book = nbformat.read(file, as_version=4)
    paths = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(book, timeout=300, kernel_name="python3", resources=paths).execute()
    shown = [out for cell in book.cells if cell.cell_type == "code" for out in cell.outputs]
    assert any("text/html" in out.get("data", {}) for out in shown), "no picture was shown"
