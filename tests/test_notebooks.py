"""Every notebook runs from top to bottom, uses public names only, and ends in a picture and a check."""

import ast
from pathlib import Path

import jupytext
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

import rgflow

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.py"))
named = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def executed(source: str, folder: Path):
    """The notebook of a percent script, with its outputs; raises CellExecutionError where a cell fails.

    It runs in a folder of its own, beside the results of the benchmarks as in the repository.
    """
    notebook = jupytext.reads(source, fmt="py:percent")
    (folder / "notebooks").mkdir()
    (folder / "benchmarks").symlink_to(NOTEBOOKS[0].parents[1] / "benchmarks")
    where = {"metadata": {"path": str(folder / "notebooks")}}
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources=where).execute()
    return notebook


@named
def test_notebook_runs(path, tmp_path, monkeypatch):
    monkeypatch.delenv("RGFLOW_NOTEBOOK", raising=False)
    notebook = executed(path.read_text(encoding="utf-8"), tmp_path)
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in outputs), "a notebook ends in a picture"
    assert not [output.text for output in outputs if output.get("name") == "stderr"], "and warns of nothing"


@named
def test_notebook_ends_in_a_check(path):
    last = jupytext.read(path).cells[-1]
    assert last.cell_type == "code"
    assert any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(last.source)))


@named
def test_notebook_uses_public_names(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    imports += [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert not [name for name in imports if name.startswith("rgflow.")]
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "rg"
    }
    assert used
    assert used <= set(rgflow.__all__)


def test_control_a_failing_check_is_seen(tmp_path):
    with pytest.raises(CellExecutionError):
        executed("# %%\nassert 1 + 1 == 3\n", tmp_path)
