"""The notebooks of examples/ run from their first cell to their last."""

from pathlib import Path
from typing import Any

import nbformat
import pytest
from matplotlib import font_manager
from nbclient import NotebookClient

from tests.conftest import ROOT

BOOKS = sorted((ROOT / "examples").glob("*.ipynb"))

INPUTS = ("TRACE", "KTH_SP2", "SLURM_CONF", "SACCT")
"""What names a file of one's own; without them the notebooks make what they play."""


def run(path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, **given: str) -> list[Any]:
    """Run a notebook in a process of its own and return all that its cells gave out."""
    for name in INPUTS:
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "PYTHONPATH": str(ROOT),
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        # A kernel that somebody installed for themselves would win over the one of this environment.
        "JUPYTER_PREFER_ENV_PATH": "1",
        "JUPYTER_DATA_DIR": str(folder / "data"),
        **given,
    }.items():
        monkeypatch.setenv(name, value)
    # Matplotlib finds the fonts once for a user, and says so where that takes long, which is none of the notebook's.
    font_manager.findfont("DejaVu Sans")
    book = nbformat.read(path, as_version=4)
    NotebookClient(book, timeout=900, kernel_name="python3", resources={"metadata": {"path": str(folder)}}).execute()
    return [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]


def test_the_six_notebooks_are_there() -> None:
    assert [path.stem for path in BOOKS] == [
        "1-first-answer",
        "2-own-policy",
        "3-study",
        "4-published-table",
        "5-gpu-fairness",
        "6-slurm-what-if",
    ]


@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_what_it_gave_out(path: Path) -> None:
    """What is stored would be of another version some day, and pictures change with the library that draws them."""
    book = nbformat.read(path, as_version=4)
    nbformat.validate(book)
    assert book.cells[0].cell_type == "markdown"
    for cell in book.cells:
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)


@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_to_its_end_on_what_it_makes_itself(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = run(path, tmp_path, monkeypatch)
    assert any("text/html" in output.get("data", {}) for output in outputs), "no table"
    assert not [output.text for output in outputs if output.get("name") == "stderr"]


def test_the_published_table_comes_out_of_the_real_log(
    trace_path: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last cell refuses a difference of half a per cent."""
    log = str(trace_path("KTH-SP2-sc15.swf.gz"))
    outputs = run(ROOT / "examples/4-published-table.ipynb", tmp_path, monkeypatch, KTH_SP2=log)
    assert "92.57" in next(output for output in outputs if "data" in output).data["text/plain"]
