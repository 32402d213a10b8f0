"""README and docs: their Python runs, and their equations and tables are what the program prints."""

import doctest
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest
from sympy import sympify

import rgflow as rg
from rgflow.activations import CATALOGUE, FUNCTIONS
from rgflow.algebra import LETTERS
from rgflow.cli.formulas import shown
from rgflow.layers import laws
from rgflow.network import Layer
from rgflow.network.layer import KINDS
from rgflow.universality import Criticality
from rgflow.universality.printing import text_of

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
POWERS = {1: "1", 2: "1/n", 3: "1/n²"}


def blocks(page: Path, language: str) -> list[str]:
    """The fenced code blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def marked_block(mark: str) -> str:
    """The code block of the README right after the line <!-- mark -->."""
    found = re.search(rf"^<!-- {mark} -->\n```\w*\n(.*?)^```", (ROOT / "README.md").read_text("utf-8"), re.M | re.S)
    assert found is not None
    return found[1]


def table(page: Path, first: str) -> list[str]:
    """The rows of the table whose header starts with the given column."""
    lines = page.read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {first} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append(line)
    return rows


# Python ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.name)
def test_python_blocks_run(page, tmp_path, monkeypatch):
    """All blocks of a page in one namespace: sessions as doctests, the rest as plain code."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    for number, block in enumerate(blocks(page, "python")):
        title = f"{page.name}[{number}]"
        if ">>>" in block:
            session = doctest.DocTestParser().get_doctest(block, names, title, str(page), 0)
            runner.run(session, clear_globs=False)
            names.update(session.globs)
        else:
            exec(compile(block, title, "exec"), names)
    assert runner.summarize(verbose=False).failed == 0


# What the program prints ----------------------------------------------------------------------------------------------


def without_layout(equation: str) -> str:
    """An equation without its line breaks and alignment."""
    for mark in (r"\begin{aligned}", r"\end{aligned}", r"\\", "{}&", "&"):
        equation = equation.replace(mark, " ")
    return "".join(equation.split())


def test_equation_of_the_readme():
    shown = without_layout(blocks(ROOT / "README.md", "math")[0])
    assert shown == without_layout(rg.derive("V", samples="many").latex())
    assert shown != without_layout(rg.derive("V").latex())


def test_equation_of_the_front_page():
    shown = without_layout(blocks(ROOT / "docs" / "index.md", "math")[0])
    assert shown == without_layout(rg.derive("V").latex())
    assert shown != without_layout(rg.derive("V_1").latex())


def test_table_of_what_is_derived():
    expected = [
        f"| `{letter}` | {meaning} | {_jets(jets)} | {POWERS[rg.Tensor.named(letter).level]} |"
        for letter, (jets, meaning) in LETTERS.items()
    ]
    assert table(ROOT / "README.md", "letter") == expected


def test_table_of_conventions():
    expected = []
    for letter, (jets, meaning) in LETTERS.items():
        level = rg.Tensor.named(letter).level
        expected.append(f"| `{letter}` | {meaning} | {_jets(jets)} | {level} | {POWERS[level]} |")
    assert table(ROOT / "docs" / "conventions.md", "letter") == expected


def _jets(jets: str) -> str:
    return "`" + jets.replace("|", "\\|") + "`"


def test_every_letter_is_derived_and_named():
    for letter, (jets, _) in LETTERS.items():
        assert rg.derive(letter).name == rg.derive(jets).name == letter


def test_table_of_functions():
    expected = [f"| `{name}` | {meaning} |" for name, meaning in FUNCTIONS.items()]
    assert table(ROOT / "docs" / "formulas.md", "function") == expected


def test_table_of_activations():
    expected = []
    for name, entry in CATALOGUE.items():
        parameters = ", ".join(f"{key} = {value}" for key, value in entry.parameters.items())
        expected.append(f"| `{name}` | `{entry.formula}` | {parameters} | {entry.meaning} |")
    assert table(ROOT / "docs" / "formulas.md", "name") == expected


# The table of layers.md -----------------------------------------------------------------------------------------------

LAYERS = ROOT / "docs" / "layers.md"


def highest_order(kind: type[Layer], samples: str) -> int:
    """The highest order in 1/n, of those promised, to which the kernel is derived."""
    for name in ("K_2", "K_1"):
        try:
            return rg.derive(name, samples=samples, layer=kind()).order
        except rg.OrderError:
            pass
    return rg.derive("K", samples=samples, layer=kind()).order


def test_table_of_layers():
    expected = []
    for name, kind in sorted(KINDS.items()):
        layer = kind()
        values = ", ".join(f"{key} = {layer.value(key):g}" for key in kind.hyperparameters())
        rules = laws(layer)
        width = "kept" if kind.keeps_width else "any"
        past = "kept" if any(law.carry for law in rules) else "-"
        ends = "yes" if kind.ends else "-"
        (order,) = {highest_order(kind, samples) for samples in ("one", "many")}
        expected.append(f"| `{name}` | {values} | {len(rules)} | {width} | {ends} | {past} | {order} |")
    assert table(LAYERS, "kind") == expected
    listed = [row.split("|")[1].strip() for row in table(LAYERS, "layer")]
    assert sorted(listed) == sorted(KINDS)


# The tables of universality.md ----------------------------------------------------------------------------------------

CLASSES = {
    "scale-invariant": ("linear", "relu", "leaky_relu"),
    "K*=0": ("tanh", "sin", "erf"),
    "half-stable": ("gelu", "swish"),
}
UNIVERSALITY = ROOT / "docs" / "universality.md"


def number(value: object) -> str:
    """As the program prints it, ten digits where it is not short."""
    return text_of(shown(sympify(value), 10))


@cache
def critical(name: str) -> Criticality:
    return rg.criticality(name)


def test_table_of_critical_points():
    expected = []
    for name in (name for names in CLASSES.values() for name in names):
        found = critical(name)
        start = "every K" if found.K_star is None else f"{found.K_star:.10g}"
        exponents = f"{number(found.p_0)} | {number(found.p_perpendicular)} | {number(found.vertex_growth)}"
        values = f"{found.C_b:.10g} | {found.C_W:.10g} | {start} | {exponents}"
        expected.append(f"| `{name}` | {found.universality_class} | {values} |")
    assert table(UNIVERSALITY, "activation") == expected


def test_table_of_exponents():
    expected = []
    for tensor in critical("tanh").laws:
        cells = []
        for names in CLASSES.values():
            (power,) = {critical(name).exponents[tensor] for name in names}  # the class alone decides
            cells.append("-" if power is None else number(power))
        expected.append(f"| `{tensor}` | {' | '.join(cells)} |")
    assert table(UNIVERSALITY, "power of l") == expected


@pytest.mark.parametrize("kind", CLASSES)
def test_tables_of_amplitudes(kind):
    expected = []
    for tensor in critical("tanh").laws:
        cells = (text_of(shown(critical(name).amplitudes[tensor])) for name in CLASSES[kind])
        expected.append(f"| `{tensor}` | {' | '.join(f'`{cell}`' for cell in cells)} |")
    assert table(UNIVERSALITY, f"amplitude, {kind}") == expected


# Links and commands ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    prose = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", prose)
    assert [t for t in targets if "://" not in t and not (page.parent / t).exists()] == []


def test_commands_of_the_readme():
    """Each block does everything from a fresh clone; the second one does not need the first."""
    run, test = marked_block("run").splitlines(), marked_block("test").splitlines()
    assert run[0] == "pip install ."
    assert run[1].startswith("rgflow flow tanh ")
    assert test == ['pip install -e ".[test]"', "pytest -n auto --dist loadfile"]


def test_ci_runs_the_readme_s_own_command():
    """The extraction in .ci/run finds the same block; the negative control finds none."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    function = re.search(r"^readme_block\(\).*?^}", script, re.MULTILINE | re.DOTALL)
    assert function is not None
    for mark, expected in (("test", marked_block("test")), ("run", marked_block("run")), ("nothing", "")):
        command = ["bash", "-c", f"{function[0]}\nreadme_block {mark}"]
        assert subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout == expected


def test_version_is_one_number():
    stated = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    assert stated is not None
    assert stated[1] == rg.__version__
    assert f"## {rg.__version__}" in (ROOT / "CHANGELOG.md").read_text("utf-8")
