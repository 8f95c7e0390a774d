"""examples/cache_diffusion.ipynb runs from the first cell to the last."""

import pytest
from conftest import ROOT

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")

PATH = ROOT / "examples" / "cache_diffusion.ipynb"


def test_the_notebook_runs():
    notebook = nbformat.read(PATH, as_version=4)
    client = nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": PATH.parent}})
    client.execute()  # raises at the first cell that does
    pictures = [o for cell in notebook.cells for o in cell.get("outputs", []) if "image/png" in o.get("data", {})]
    assert len(pictures) >= 4


def test_it_is_stored_with_outputs_that_are_of_no_machine():
    notebook = nbformat.read(PATH, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    assert not any(output.output_type == "error" for cell in code for output in cell.outputs)
    text = PATH.read_text()
    assert str(ROOT) not in text and "site-packages" not in text and "/home/" not in text
