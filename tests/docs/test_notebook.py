"""The notebook runs from its first cell to its last, here with a very small budget."""

from pathlib import Path

import pytest
from pages import ROOT
from small import SHORT_RUN, SMALL_NETWORKS

nbformat = pytest.importorskip("nbformat", reason="nbclient is not installed")
nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
pytest.importorskip("ipykernel", reason="ipykernel is not installed")

NOTEBOOK = ROOT / "docs" / "notebooks" / "quickstart.ipynb"


def test_the_notebook_runs(tmp_path: Path) -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)  # it is kept without results
    budget = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ()))
    small = (*SMALL_NETWORKS["unet"], *SMALL_NETWORKS["conditional"])
    budget.source += f"\nPAIRS, SIZE = 8, 64\nSETTINGS = {[*small, *SHORT_RUN]!r}"
    nbclient.NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert len(list((tmp_path / "quickstart" / "virtual").glob("*.png"))) >= 2
    pictures = [output for cell in notebook.cells for output in cell.get("outputs", ()) if "data" in output]
    assert any("image/png" in output.data for output in pictures)
