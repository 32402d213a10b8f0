"""rg.citation: BibTeX that can be read, for exactly what was used, also after a result was saved and loaded."""

import ast
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import xarray

import rgflow as rg
from rgflow.citation import citation
from rgflow.citation.behind import DATASETS, MODULES, PRESETS, VARIABLES
from rgflow.citation.papers import PAPERS, RGFLOW
from rgflow.files import KINDS

PACKAGE = Path(rg.__file__).parent
ARXIV = re.compile(r"arXiv:(\d{4}\.\d{5})")
OF = {paper.arxiv: key for key, paper in PAPERS.items() if paper.arxiv}
# Numbers in docstrings that are no theory of ours: where activations, norms and skips with a gate were defined, and an
# average over one input that was typed from elsewhere.
DEFINITIONS = {
    "1606.08415", "1702.03118", "1710.05941", "1908.08681", "1607.06450", "1910.07467", "2003.04887", "2002.08517",
}  # fmt: skip
NET = rg.MLP([2, 4, 1], "tanh")


def keys(*things: object) -> list[str]:
    """The papers cited, by our keys."""
    found = re.findall(r"^@\w+\{(\S+),$", citation(*things), re.M)
    assert found[0] == "rgflow"
    return [next(key for key, paper in PAPERS.items() if paper.key == name) for name in found[1:]]


# What is cited for what -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("things", "expected"),
    [
        ((), []),
        (("tanh", "z*atan(z)", rg.activation("gelu"), rg.save), []),
        ((NET,), ["pdlt"]),
        ((rg.Network([rg.Dense(), rg.LayerNorm(), rg.Dense()], [2, 4, 4, 1], "erf"),), ["pdlt", "partial-jacobians"]),
        ((rg.Branch(), rg.Projection()), ["pdlt", "edge-of-chaos", "variation"]),
        ((rg.Orthogonal,), ["pdlt", "orthogonal"]),
        ((rg.derive("K"),), ["pdlt"]),
        ((rg.derive("K", layer=rg.LayerNorm()),), ["pdlt", "partial-jacobians"]),
        ((rg.closure(["V"], layer=rg.Orthogonal()),), ["pdlt", "orthogonal"]),
        ((rg.compiled(["K"], "tanh"),), ["pdlt"]),
        ((rg.Transformer(width=8, heads=2, blocks=1, n_in=2, positions=2),), ["transformers"]),
        ((rg.family("mup"),), ["meta-principles", "abc"]),
        (("ip-llr",), ["meta-principles", "abc", "integrable"]),
        ((rg.family("hybrid"),), ["meta-principles", "abc", "integrable"]),
        (("posterior", rg.prior), ["pdlt", "non-gaussian"]),
        (("phase_diagram", "phase_diagram"), ["pdlt", "propagation"]),
        ((rg.critical_line, rg.variation), ["pdlt", "partial-jacobians", "edge-of-chaos", "variation"]),
        ((rg.transformer_scaling, rg.rate_shift), ["transformers", "meta-principles", "mu-transfer"]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else None,
)
def test_exactly_what_was_used(things, expected):
    assert keys(*things) == expected


def test_what_trains():
    pytest.importorskip("torch")
    assert keys(rg.nn.JacobianPenalty(strength=0.1)) == keys("nn.JacobianPenalty") == ["jacobian"]
    assert keys(rg.nn.FluctuationMonitor, "nn.fit", rg.nn) == ["fluctuation"]
    assert keys("nn.tune", "nn.robustness") == ["partial-jacobians", "autoinit", "jacobian", "attacks"]
    model = rg.nn.build(NET, seed=0)
    assert keys(model) == ["pdlt"]
    found = rg.nn.parametrize(model, "ip", base_width=2, learning_rate=0.1, activation="tanh", seed=0)
    assert keys(found) == keys(found.table) == ["meta-principles", "abc", "mu-transfer", "integrable"]


def results() -> dict[str, tuple[xarray.Dataset, list[str]]]:
    x = np.array([[1.0, -0.5]])
    norm = rg.Network([rg.Dense(), rg.LayerNorm(), rg.Dense()], [2, 4, 4, 1], "erf")
    vit = rg.Transformer(width=8, heads=2, blocks=1, n_in=2, positions=2)
    return {
        "flow": (rg.flow(NET, x), ["pdlt"]),
        "norm": (rg.flow(norm, x, tensors="K"), ["pdlt", "partial-jacobians"]),
        "jacobian": (rg.partial_jacobian(NET, x), ["pdlt", "partial-jacobians"]),
        "sampled": (rg.sample(norm, x, tensors="K", networks=100, seed=0), ["pdlt", "partial-jacobians"]),
        "posterior": (rg.posterior(NET, train=(x, [1.0]), test=x, noise=1.0), ["pdlt", "non-gaussian"]),
        "vit": (rg.transformer_flow(vit, np.ones((1, 2, 2)), draws=16), ["transformers"]),
        "variation": (rg.variation("tanh", depth=3), ["edge-of-chaos", "variation"]),
    }


@pytest.mark.filterwarnings("ignore::rgflow.DomainWarning")
def test_a_result_on_disk_says_what_it_rests_on(tmp_path):
    for name, (ds, expected) in results().items():
        rg.save(ds, tmp_path / f"{name}.nc")
        assert keys(rg.load(tmp_path / f"{name}.nc")) == keys(ds) == expected, name


def test_every_kind_of_result_is_known():
    measured = {"activation kernels", "partial jacobians", "ranks", "tangent kernel", "tangent kernel spread"}
    assert set(DATASETS) == set(KINDS) - {"measured"} | measured | {"tuned", "width check"}
    assert keys(xarray.Dataset(attrs={"kind": "measured", "what": "ranks"})) == ["integrable"]


def test_what_is_not_ours_is_refused():
    for thing in (3, None, object(), [NET], np.ones(3), xarray.Dataset(), xarray.Dataset(attrs={"kind": "mine"})):
        with pytest.raises(rg.InputError, match="rgflow"):
            citation(thing)
    for name, near in (
        ("postreior", "did you mean 'posterior'"),
        ("LayrNorm", "did you mean 'LayerNorm'"),
        ("import os", "known: "),
        ("", "known: "),
        ("__all__", "unknown name"),
    ):
        with pytest.raises(rg.UnknownName, match=near):
            citation(name)


# The tables against what the docstrings say ---------------------------------------------------------------------------


@cache
def said(module: str) -> set[str]:
    """The arXiv numbers in the docstrings of a module's file."""
    path = PACKAGE.parent / Path(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    tree = ast.parse(path.read_text("utf-8"))
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docs = [ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, kinds)]
    return set(ARXIV.findall("\n".join(docs)))


def uncited(table: dict[str, tuple[str, ...]]) -> list[str]:
    """Modules whose docstrings name a source that their row does not."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        row = module
        while row not in table:
            row = row.rpartition(".")[0]
        sources = said(module) - DEFINITIONS
        if module.startswith(("rgflow.citation", "rgflow.cli", "rgflow.scaling.families.family")):
            continue
        found += [f"{module}: {number}" for number in sorted(sources) if OF.get(number) not in table[row]]
    return found


def test_tables_hold_what_the_docstrings_say():
    """The second witness: each source that a docstring states is cited for its module."""
    assert uncited(MODULES) == []


def test_control_a_missing_paper_is_seen():
    for module in ("rgflow.nn.tuning", "rgflow.network", "rgflow.universality.phase"):
        assert uncited({name: row for name, row in MODULES.items() if name != module}) != [], module
    without = {name: tuple(key for key in row if key != "partial-jacobians") for name, row in MODULES.items()}
    assert "rgflow.flow.jacobian: 2111.12143" in uncited(without)


def test_families_say_their_sources():
    cited = {key for name in ("mup", "meta", "ip") for key in keys(rg.family(name, s=0 if name == "meta" else None))}
    assert cited == {OF[number] for number in said("rgflow.scaling.families.family")}


def test_rows_name_what_exists():
    for module in {*MODULES, *DATASETS.values(), *VARIABLES.values()}:
        path = PACKAGE.parent / Path(*module.split("."))
        assert path.is_dir() or path.with_suffix(".py").exists(), module
    named = {key for row in (*MODULES.values(), *PRESETS.values()) for key in row}
    assert named == set(PAPERS)


# BibTeX ---------------------------------------------------------------------------------------------------------------

REQUIRED = {"book": {"publisher", "year"}, "inproceedings": {"booktitle", "year"}, "misc": set()}


def entry(text: str) -> tuple[str, str, dict[str, str]]:
    """Read one entry: kind, key, fields; braces must close."""
    head = re.match(r"@(\w+)\{([a-z0-9]+),\n", text)
    assert head is not None, text
    fields = dict(re.findall(r"^  (\w+) += \{(.*)\},$", text, re.M))
    assert text == head[0] + "".join(line + "\n" for line in text.splitlines()[1:-1]) + "}"
    assert len(fields) == len(text.splitlines()) - 2
    for value in fields.values():
        depth = [value[: i + 1].count("{") - value[: i + 1].count("}") for i in range(len(value))]
        assert min(depth) >= 0
        assert depth[-1] == 0
    return head[1], head[2], fields


def test_entries_are_bibtex():
    found = [entry(paper.bibtex()) for paper in (RGFLOW, *PAPERS.values())]
    assert len({key for _, key, _ in found}) == len(found)
    for kind, key, fields in found:
        assert {"title", "author"} | REQUIRED[kind] <= set(fields), key
        assert key == "rgflow" or key[len(re.split(r"\d", key)[0]) :].startswith(fields["year"])
        assert fields.get("archiveprefix", "arXiv") == "arXiv"
        # who wrote it stands in its key, as Family, Given
        assert fields["author"].startswith("{") or fields["author"].casefold().startswith(re.split(r"\d", key)[0]), key
        for author in fields["author"].split(" and "):
            assert author.startswith("{") or re.fullmatch(r"\S[^,]*, \S[^,]*", author), author
        if "eprint" in fields and kind == "misc":
            assert 0 <= int(fields["year"]) - 2000 - int(fields["eprint"][:2]) <= 1


def test_control_a_broken_entry_is_seen():
    text = PAPERS["pdlt"].bibtex()
    for broken in (text.replace("},\n", "\n", 1), text.replace("{The", "{{The", 1), text[:-1]):
        with pytest.raises(AssertionError):
            entry(broken)


def test_entries_stand_apart():
    listed = citation(NET, "posterior").split("\n\n")
    assert [entry(each + "")[1] for each in listed] == ["rgflow", "roberts2022principles", "yaida2020nongaussian"]
