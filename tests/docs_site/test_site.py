"""The documentation site: it builds without a warning, in time, and everything that its pages refer to is there."""

import importlib
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from site_links import broken, dangling, read, slugs

import rgflow as rg
import rgflow.plots

pytest.importorskip("sphinx")

ROOT = Path(__file__).parents[2]
SECONDS = 60  # of one processor, for the whole site
SOURCES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "pyproject.toml", "rgflow", "notebooks", "derivations")
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "benchmarks" / "results").glob("*.md")),
    *sorted((ROOT / "notebooks").glob("*.py")),
]


@dataclass(frozen=True)
class Built:
    """A copy of docs/ among links to what it shows, and the site built from it."""

    tree: Path
    scripts: tuple[str, ...]
    seconds: float
    said: str
    code: int

    @property
    def html(self) -> Path:
        return self.tree / "html"


def sphinx(tree: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-n", "--keep-going", "-d", "doctrees", "docs", "html"]
    surroundings = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    surroundings.pop("RGFLOW_DOCS_EXECUTE", None)
    return subprocess.run(command, cwd=tree, env=surroundings, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built once; pages that are generated do not land in the repository."""
    tree = tmp_path_factory.mktemp("site")
    generated = ("_build", "notebooks", "reference", "derivations", "project", "__pycache__")
    shutil.copytree(ROOT / "docs", tree / "docs", ignore=shutil.ignore_patterns(*generated))
    for name in (*SOURCES, "benchmarks"):
        (tree / name).symlink_to(ROOT / name)
    scripts = tuple(f"{f}/{path.stem}" for f in ("notebooks", "derivations") for path in (ROOT / f).glob("*.py"))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ran = sphinx(tree)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"the site took {seconds:.0f} s of one processor")
    return Built(tree, scripts, seconds, ran.stdout + ran.stderr, ran.returncode)


# The site -------------------------------------------------------------------------------------------------------------


def test_it_builds_without_a_warning(site):
    assert site.said == ""
    assert site.code == 0
    assert site.seconds <= SECONDS


def test_every_link_anchor_and_picture_is_there(site):
    assert broken(site.html) == []
    assert len(list(site.html.rglob("*.html"))) > 60


def test_every_public_name_is_in_the_reference(site):
    anchors = set().union(*(read(path).anchors for path in (site.html / "reference").glob("*.html")))
    inside = {name: getattr(rg, name) for name in (*rg.__all__, "plots") if isinstance(getattr(rg, name), ModuleType)}
    names = {f"rgflow.{name}" for name in rg.__all__ if name != "__version__" and name not in inside}
    names |= {f"rgflow.{path}.{name}" for path, module in inside.items() for name in module.__all__}
    assert names - anchors == set()
    assert {"nn", "plots"} <= set(inside)


def test_every_command_is_in_the_reference(site):
    from typer.main import get_command

    from rgflow.cli.app import app

    anchors = read(site.html / "reference" / "commands.html").anchors
    commands = get_command(app).commands
    assert {f"rgflow-{name}" for name in commands} <= anchors
    text = (site.html / "reference" / "commands.html").read_text("utf-8")
    for command in commands.values():
        long = {name for parameter in command.params for name in parameter.opts if name.startswith("--")}
        assert all(name in text for name in long if not name.endswith("completion"))


def test_equations_are_mathml(site):
    pages = {path: path.read_text("utf-8") for path in site.html.rglob("*.html")}
    assert sum(text.count("<math ") for text in pages.values()) > 400
    for path in (site.html / "index.html", site.html / "reference" / "layers.html", site.html / "one_idea.html"):
        assert "<math " in pages[path]
    for path, text in pages.items():
        shown = re.sub(r"<(pre|code|script)\b.*?</\1>", "", text, flags=re.DOTALL)
        assert "$`" not in shown, path
        assert "\\frac" not in shown, path
    assert (site.html / "_static" / "stix-two-math.woff").stat().st_size > 10_000


def test_all_notebooks_and_derivations_are_pages(site):
    assert [name for name in site.scripts if not (site.html / f"{name}.html").exists()] == []
    assert len(site.scripts) > 30


# Controls -------------------------------------------------------------------------------------------------------------


def test_control_what_is_broken_is_seen(site):
    """The walk: an anchor, a page, a picture and a script from elsewhere."""
    page = (site.html / "tutorial.html").read_text("utf-8")
    hurt = '<a href="#nowhere">a</a><a href="gone.html">b</a><img src="gone.png">'
    (site.html / "hurt.html").write_text(page + hurt + '<script src="https://example.org/x.js"></script>', "utf-8")
    try:
        found = broken(site.html, "hurt.html")
    finally:
        (site.html / "hurt.html").unlink()
    assert found == [
        "hurt.html: #nowhere has no such anchor",
        "hurt.html: gone.html is not there",
        "hurt.html: gone.png is not there",
        "hurt.html: https://example.org/x.js is fetched from elsewhere",
    ]


def test_control_a_broken_reference_fails_the_build(site):
    """Sphinx: a name that does not exist, a page, an anchor, and an equation that nobody can read."""
    page = site.tree / "docs" / "citing.md"
    whole = page.read_text("utf-8")
    hurt = "\n".join(
        [
            "{py:func}`rgflow.flwo`",
            "[a](gone.md)",
            "[b](accuracy.md#nothing)",
            "[c](../rgflow/gone.py)",
            "$`\\nonsuch x`$",
        ]
    )
    page.write_text(f"{whole}\n{hurt}\n", "utf-8")
    try:
        ran = sphinx(site.tree)
    finally:
        page.write_text(whole, "utf-8")
    assert ran.returncode != 0
    for what in ("rgflow.flwo", "gone.md", "nothing", "gone.py", "nonsuch"):
        assert what in ran.stderr, what
    assert len(ran.stderr.strip().splitlines()) == 5


# Markdown as GitHub shows it ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_anchors_of_markdown(page):
    assert dangling(page, ROOT) == []


def test_control_dangling_links_are_seen(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A `b`: c\n\n[x](gone.md) [y](#a-b-c) [z](page.md#d) `[n](no.md)`\n", "utf-8")
    assert dangling(page, tmp_path) == ["page.md: gone.md is not there", "page.md: page.md#d has no such anchor"]
    assert slugs("# What's *new*, 1/n?\n## Same\n## Same\n```sh\n# no\n```") == {"whats-new-1n", "same", "same-1"}


def test_numbers_of_the_comparison_were_measured():
    """Each row of docs/comparison.md is one of benchmarks/results/fast.md, measured on one thread."""
    measured = [row.split("|")[1:-1] for row in (ROOT / "benchmarks/results/fast.md").read_text("utf-8").splitlines()]
    rows = {tuple(cell.strip() for cell in (r[0], r[2], r[5], r[6])) for r in measured if len(r) == 7 and "1" in r[1]}
    text = (ROOT / "docs" / "comparison.md").read_text("utf-8").partition("| what | result |")[2]
    quoted = [
        tuple(cell.strip() for cell in line.split("|")[1:-1]) for line in text.splitlines()[2:] if line[:1] == "|"
    ]
    assert len(quoted) == 5
    assert set(quoted) <= rows


# The pieces -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def extension(monkeypatch):
    """A module of docs/extensions."""
    pytest.importorskip("latex2mathml")
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    return lambda name: importlib.import_module(f"extensions.{name}")


def test_links_to_files_become_links_to_pages(extension):
    linked = extension("repository").linked
    assert linked("[x](layers.md#a) ![p](flow.png)", "docs/index.md") == "[x](/layers.md#a) ![p](flow.png)"
    assert linked("[`x`](../notebooks/n.py)", "docs/a.md") == "[`x`](/notebooks/n.md)"
    assert linked("[b](n.ipynb) [c](../docs/bayes.md)", "notebooks/m.py") == "[b](/notebooks/n.md) [c](/bayes.md)"
    assert linked("![p](docs/flow.png)", "CHANGELOG.md") == "![p](../flow.png)"
    same = "`[x](a.md)` [y](https://example.org) [z](#here) f[i](j)\n```\n[q](a.md)\n```\n[n](../tests/gone.py)"
    assert linked(same, "docs/a.md") == same


def test_inline_equations_of_github(extension):
    assert extension("github").adapted(r"a $`\chi_\perp`$ b", "docs/a.md") == r"a $\chi_\perp$ b"


def test_equations_that_the_converter_does_not_know_by_name(extension):
    module = extension("mathml")
    for latex in (
        r"\big\langle x \big\rangle",
        r"\mathbb E x",
        rg.derive("V", samples="many").latex(),
        r"a &= b \\ &= c",
    ):
        assert "\\" not in module.mathml(module.together(latex)).replace(r"\n", "")
    assert "\\big" not in module.mathml(module.together(r"\Big\| x \Big\|"))


def test_indices_of_prose(extension):
    """C_W is set as in a paper; names of code, with an underscore too, stay."""

    def shown(text):
        marks = {"subscript": "_", "superscript": "^"}
        return [marks.get(type(node).__name__, "") + node.astext() for node in extension("indices").set_indices(text)]

    assert shown("n_{l-1}^{1-k} chi_perp") == ["n", "_l-1", "^1-k", " ", "χ", "_⊥"]
    assert shown("l^(-p_0), V^{(l)}, z'_i") == ["l", "^-p0", ", V", "^(l)", ", ", "z'", "_i"]
    assert shown("phi^E_j of b^PE_t") == ["φ", "^E", "_j", " of b", "^PE", "_t"]
    assert shown("<σσ>_K of z_alpha") == ["<σσ>", "_K", " of ", "z", "_α"]
    assert shown("n_(ℓ-1) X_q(l)") == ["n", "_ℓ-1", " ", "X", "_q", "(l)"]
    for name in ("fan_in", "rate_shift", "K_1_x", "trusted_layers", "a_file.py", "x__y"):
        assert shown(name) == [name]


def test_names_of_code_lead_to_the_reference(site):
    page = (site.html / "tutorial.html").read_text("utf-8")
    assert re.search(r'href="reference/sampling.html#rgflow.sample"[^>]*><code[^>]*>.*?rg.sample', page)
    reference = (site.html / "reference" / "flows.html").read_text("utf-8")
    assert 'href="deriving.html#rgflow.derive"' in reference  # rgflow.derive of a docstring
    assert re.search(r"<em>C</em><sub>W</sub>", (site.html / "conventions.html").read_text("utf-8"))


def test_docstrings_as_sphinx_reads_them(extension):
    lines = ["Law |x| of a*b and x_ in ``|c|``.", "L. ", "Raises", "------", "InputError", "    Why.", "", "Source: P."]
    lines += ["", ".. math:: |x|", "", ">>> 2 * 3 | 4", "6"]
    found = extension("docstrings").prepared(lines)
    assert found[0] == r"Law \|x\| of a\*b and x\_ in ``|c|``."
    assert found[1] == r"L\. "
    assert found[6:9] == ["", "", "Source: P."]  # two blank lines end the section
    assert found[-4:] == [".. math:: |x|", "", ">>> 2 * 3 | 4", "6"]


def test_what_a_docstring_displays(extension):
    prepared = extension("docstrings").prepared
    assert prepared(["Law:", "", "    a |b|", "    c", "", "more *d*"])[2:6] == ["::", "", "    a |b|", "    c"]
    for lines in (
        [".. math::", "", "   a"],
        ["- item", "", "  more"],
        ["Raises", "------", "Error", "    a", "", "    b"],
    ):
        assert "::" not in prepared(lines)


def test_outputs_of_notebooks(extension, tmp_path):
    shown = extension("notebooks")._shown
    assert shown({"text": "a\n"}, tmp_path, "n_1") == "```text\na\n```"
    assert shown({"data": {"text/latex": "$\\displaystyle x$"}}, tmp_path, "n_1") == "```math\nx\n```"
    assert shown({"data": {"image/png": "AAAA", "text/plain": "<Figure>"}}, tmp_path, "n_1") == "![](n_1.png)"
    assert shown({"data": {"text/markdown": "## A\n\nb", "text/plain": "a"}}, tmp_path, "n") == "**A**\n\nb"
    assert shown({"data": {"text/html": "<table>", "text/plain": "a"}}, tmp_path, "n") == "```text\na\n```"
    assert (tmp_path / "n_1.png").read_bytes() == b"\0\0\0"
    assert shown({"data": {"text/plain": ""}}, tmp_path, "n_1") == ""


@pytest.mark.slow
def test_notebooks_are_executed_for_a_published_site(extension, monkeypatch, tmp_path):
    monkeypatch.setenv("RGFLOW_DOCS_EXECUTE", "1")
    page = extension("notebooks").page("from_a_layer_to_its_flow", tmp_path)
    assert "K' = C_b + C_W <σσ>" in page
    pictures = re.findall(r"!\[\]\(([^)]+)\)", page)
    assert len(pictures) >= 1
    assert all((tmp_path / picture).exists() for picture in pictures)


def test_every_name_has_a_room(extension):
    module = extension("reference")
    rooms = module.rooms()
    assert sum(len(room.names) for room in rooms.values()) == len(list(module.public()))
    assert all(room.names for room in rooms.values())
    assert module.room_of("rgflow.flow.compiled") == "formulas"
    assert module.room_of("rgflow.flow.flow") == "flows"


def test_a_command_s_help_as_a_page(extension):
    parameter = SimpleNamespace(hidden=False, get_help_record=lambda context: ("--a <x|y>", "b | *c*"))
    assert extension("commands")._options(SimpleNamespace(get_params=lambda context: [parameter]), None) == [
        "| option | meaning |\n|---|---|\n| `--a <x\\|y>` | b \\| \\*c\\* |"
    ]


def test_the_build_is_what_the_readme_says():
    """docs/ builds by one command with the extra ``docs``, which holds what conf.py loads."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    extra = re.search(r"^docs = (\[.*\])$", text, re.MULTILINE)
    assert extra is not None
    names = {re.split(r"[>\[]", each)[0] for each in json.loads(extra[1])}
    assert {"sphinx", "furo", "myst-parser", "jupytext"} <= names
