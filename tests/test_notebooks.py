"""Every notebook runs from top to bottom, uses public names only, ends in a picture and a check, and leads to the next.

A notebook is a percent script and its pair: NAME.py, which people edit, and NAME.ipynb, which they open, without
outputs. ``jupytext --sync notebooks/*.py`` carries an edit from one to the other.
"""

import ast
import os
import re
import time
from pathlib import Path

import jupytext
import matplotlib as mpl
import nbformat
import pytest
from jupyter_client import KernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

import rgflow

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.py"))
named = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)

# In this order a reader is led through them; the page of each links to the next.
CHAPTERS = (
    "from_a_layer_to_its_flow",
    "deriving_the_four_point_vertex",
    "the_ntk_and_its_fluctuations",
    "universality_classes",
    "residual_networks_remember",
    "taming_gradients",
    "layernorm_and_partial_jacobians",
    "a_transformer_at_initialisation",
    "how_deep_should_it_be",
    "bayes_beyond_gaussian_processes",
    "what_training_does",
    "tuning_a_pytorch_model",
    "learning_rates_that_transfer",
    "jacobian_regularization",
    "fluctuation_dissipation",
    "adding_your_own_activation_and_layer",
)
# A new kind of layer is made with the names of a module of its own.
DOORS = {"adding_your_own_activation_and_layer": ("rgflow.extend",)}
EACH, ALL = 30, 240  # seconds of a core, in the size that is the default; two cores would need half
spent: dict[str, float] = {}

# Between two notebooks the kernel forgets names, figures and styles; modules stay, so that each is loaded once.
FORGET = """
%reset -f
import matplotlib.pyplot, warnings
matplotlib.pyplot.close("all")
matplotlib.rcdefaults()
warnings.resetwarnings()
warnings.simplefilter("default")
del matplotlib, warnings
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    """One Python for all notebooks, in a folder of its own beside the results of the benchmarks."""
    home = tmp_path_factory.mktemp("repository") / "notebooks"
    home.mkdir()
    (home.parent / "benchmarks").symlink_to(FOLDER.parent / "benchmarks")
    manager = KernelManager(kernel_name="python3")
    surroundings = {name: value for name, value in os.environ.items() if name != "RGFLOW_NOTEBOOK"}
    manager.start_kernel(cwd=str(home), env=surroundings)
    speaker = manager.client()
    speaker.start_channels()
    speaker.wait_for_ready(timeout=60)
    yield manager, speaker
    speaker.stop_channels()
    manager.shutdown_kernel(now=True)


def executed(notebook, kernel):
    """The cells of a notebook with their outputs, and its processor time; CellExecutionError where one fails."""
    clock = "import time as _time; print(_time.process_time())"
    cells = [nbformat.v4.new_code_cell(source) for source in (FORGET, clock)]
    whole = nbformat.v4.new_notebook(cells=[*cells, *notebook.cells, nbformat.v4.new_code_cell(clock)])
    manager, speaker = kernel
    client = NotebookClient(whole, timeout=600, km=manager)
    client.kc = speaker
    client.execute()
    start, end = (float(whole.cells[at].outputs[0].text) for at in (1, -1))
    return whole.cells[2:-1], end - start


def outputs(cells):
    return [output for cell in cells if cell.cell_type == "code" for output in cell.outputs]


def drawn(cells):
    return any("image/png" in output.get("data", {}) for output in outputs(cells))


def links(source: str) -> list[str]:
    """Where the links of a Markdown text lead within the repository."""
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", source) if "://" not in target]


# They run ------------------------------------------------------------------------------------------------------------


@named
def test_notebook_runs(path, kernel):
    cells, seconds = executed(jupytext.read(path), kernel)
    spent[path.stem] = seconds
    print(f"{path.stem}: {seconds:.1f} s of a core")
    assert not [output.text for output in outputs(cells) if output.get("name") == "stderr"], "it warns of nothing"
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert drawn(code[-3:]), "it ends in a picture"
    assert seconds < EACH


def test_all_notebooks_together():
    """Those that ran in this process."""
    print(*(f"{name:40} {seconds:6.1f} s" for name, seconds in spent.items()), sep="\n")
    assert sum(spent.values()) < ALL


def test_control_a_failing_check_is_seen(kernel):
    with pytest.raises(CellExecutionError):
        executed(jupytext.reads("# %%\nassert 1 + 1 == 3\n", fmt="py:percent"), kernel)


def test_control_warnings_and_pictures_are_seen(kernel):
    source = "# %%\nimport warnings\nwarnings.warn('beware')\n# %%\nimport matplotlib.pyplot as plt\nplt.plot([1, 2])\n"
    cells = executed(jupytext.reads(source, fmt="py:percent"), kernel)[0]
    assert [output.get("name") for output in outputs(cells[:1])] == ["stderr"]
    assert [drawn([cell]) for cell in cells] == [False, True]


def test_control_a_notebook_knows_nothing_of_the_last(kernel):
    """What stands alone runs alone: neither names nor styles are handed on."""
    first = "# %%\nimport numpy as np\nimport matplotlib\nmatplotlib.rcParams['lines.linewidth'] = 9\n"
    executed(jupytext.reads(first, fmt="py:percent"), kernel)
    usual = mpl.rcParamsDefault["lines.linewidth"]
    second = f"# %%\nimport matplotlib\nassert matplotlib.rcParams['lines.linewidth'] == {usual}\n"
    executed(jupytext.reads(second, fmt="py:percent"), kernel)
    with pytest.raises(CellExecutionError, match="NameError"):
        executed(jupytext.reads("# %%\nnp.ones(3)\n", fmt="py:percent"), kernel)


def test_control_time_is_measured(kernel):
    busy = "# %%\nimport time\nend = time.process_time() + 0.3\nwhile time.process_time() < end:\n    pass\n"
    start = time.monotonic()
    seconds = executed(jupytext.reads(busy, fmt="py:percent"), kernel)[1]
    assert 0.3 <= seconds <= time.monotonic() - start + 0.1


# They are written for readers ----------------------------------------------------------------------------------------


@named
def test_notebook_ends_in_a_check(path):
    last = [cell for cell in jupytext.read(path).cells if cell.cell_type == "code"][-1]
    assert any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(last.source)))


def doors(source: str) -> list[str]:
    """The modules within rgflow that a script imports."""
    nodes = list(ast.walk(ast.parse(source)))
    found = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    found += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    return [name for name in found if name.startswith("rgflow.")]


def names_used(source: str) -> set[str]:
    """What a script takes from ``rg`` and from rgflow itself."""
    nodes = list(ast.walk(ast.parse(source)))
    attributes = (node for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name))
    imported = (node for node in nodes if isinstance(node, ast.ImportFrom) and node.module == "rgflow")
    used = {node.attr for node in attributes if node.value.id == "rg"}
    return used | {alias.name for node in imported for alias in node.names}


@named
def test_notebook_uses_public_names(path):
    source = path.read_text(encoding="utf-8")
    assert doors(source) == list(DOORS.get(path.stem, ()))
    assert names_used(source)
    assert names_used(source) <= set(rgflow.__all__)


def test_control_a_private_name_is_seen():
    assert doors("import rgflow.flow.run\nfrom rgflow.derive import step\nimport numpy.linalg") == [
        "rgflow.flow.run",
        "rgflow.derive",
    ]
    assert names_used("from rgflow import algebra\nrg.flow(rg._LATER)") == {"algebra", "flow", "_LATER"}


def test_chapters_are_all_notebooks():
    assert sorted(CHAPTERS) == [path.stem for path in NOTEBOOKS]


def test_each_chapter_leads_to_the_next():
    """The last words of each are a link to the next, by its title; those of the last lead back to the first."""
    for name, following in zip(CHAPTERS, [*CHAPTERS[1:], CHAPTERS[0]], strict=True):
        last = jupytext.read(FOLDER / f"{name}.py").cells[-1]
        assert last.cell_type == "markdown", name
        title = jupytext.read(FOLDER / f"{following}.py").cells[0].source.splitlines()[0]
        assert f"[{title.removeprefix('# ')}]({following}.py)" in last.source.replace("\n", " "), name


def test_the_readme_lists_all_in_order():
    listed = re.findall(r"^\| \[(.+)\]\((\w+)\.py\)", (FOLDER / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    titles = [jupytext.read(FOLDER / f"{name}.py").cells[0].source.splitlines()[0] for name in CHAPTERS]
    assert listed == [(title.removeprefix("# "), name) for title, name in zip(titles, CHAPTERS, strict=True)]


@named
def test_links_lead_somewhere(path):
    for cell in jupytext.read(path).cells:
        if cell.cell_type == "markdown":
            assert [target for target in links(cell.source) if not (FOLDER / target.split("#")[0]).exists()] == []


def test_control_a_dead_link_is_seen():
    assert links("[here](nowhere.py), [out](https://example.org)") == ["nowhere.py"]


# The pairs -----------------------------------------------------------------------------------------------------------


def differences(script, notebook) -> list[int]:
    """The cells in which the two of a pair differ."""
    left, right = ([(cell.cell_type, cell.source) for cell in one.cells] for one in (script, notebook))
    longer = max(len(left), len(right))
    return [at for at in range(longer) if left[at : at + 1] != right[at : at + 1]]


@named
def test_pair_holds_the_same_cells(path):
    pair = path.with_suffix(".ipynb")
    script, notebook = jupytext.read(path), nbformat.read(pair, as_version=4)
    nbformat.validate(notebook)
    assert script.metadata["jupytext"]["formats"] == "ipynb,py:percent"
    assert notebook.metadata["kernelspec"]["name"] == "python3"
    assert differences(script, notebook) == [], "run: jupytext --sync notebooks/*.py"
    assert not outputs(notebook.cells), "outputs are not kept"
    assert pair.stat().st_size < 50_000


def test_no_notebook_without_its_script():
    assert [path.stem for path in sorted(FOLDER.glob("*.ipynb"))] == [path.stem for path in NOTEBOOKS]


def test_control_an_edited_half_is_seen():
    script = jupytext.read(NOTEBOOKS[0])
    edited = jupytext.read(NOTEBOOKS[0])
    assert differences(script, edited) == []
    edited.cells[3].source += "\n1 + 1"
    assert differences(script, edited) == [3]
    edited.cells.append(nbformat.v4.new_markdown_cell("one more"))
    assert differences(script, edited) == [3, len(script.cells)]
