"""The notebook runs from its first cell to its last."""

import re
from pathlib import Path

import pytest

_SILENT = re.compile(r"(\w+): (\d+)% of \d+ groups are silent")
NOTEBOOK = Path(__file__).parents[2] / "examples" / "choosing_prompts.ipynb"


@pytest.mark.heavy
@pytest.mark.slow
def test_the_notebook_runs_and_what_it_says_is_so(tmp_path):
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
    printed = [
        output.text
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if output.output_type == "stream" and output.name == "stdout"
    ]
    shares = {role: int(share) for text in printed for role, share in _SILENT.findall(text)}
    assert shares["promoted"] < shares["uniform"] - 10
    assert any("correct, read as '3/4'" in text for text in printed)
    assert any("3 updates" in text for text in printed)
