"""The house: which room may import which, what ``import rgflow`` loads, and manners that a program can check.

Imports are read from the syntax tree, so those inside functions and under TYPE_CHECKING count like any other.
"""

import ast
import inspect
import json
import re
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import rgflow

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "rgflow"

# Each room with the rooms directly below it; it may import those, all that is below them, and errors and version.
BELOW = {
    "checks": (),
    "whole": (),
    "mathematics": (),
    "seeds": ("checks",),
    "activations": ("checks",),
    "network": ("activations",),
    "algebra": ("checks",),
    "layers": ("algebra", "network"),
    "derive": ("layers",),
    "brackets": ("activations", "algebra"),
    "codegen": ("brackets",),
    "gram": ("derive", "brackets", "files"),
    "flow": ("network", "derive", "codegen", "gram"),
    "universality": ("flow",),
    "sampling": ("network", "activations", "seeds"),
    "predict": ("universality", "seeds"),
    "scaling": ("universality",),
    "transformer": ("derive", "brackets", "gram", "seeds"),
    "sweeps": ("flow", "sampling", "files"),
    "nn": ("scaling", "predict", "sampling", "transformer", "files"),
    "extend": ("layers", "sampling"),
    "files": ("network",),
    "components": ("algebra",),
    "citation": ("network", "algebra"),
    "plots": ("whole", "components", "predict", "scaling", "sampling", "sweeps", "transformer", "files"),
    "bench": ("sweeps",),
    "book": ("algebra", "mathematics", "whole"),
    "explorer": ("plots", "mathematics"),
    "cli": ("plots", "bench", "book", "explorer", "citation"),
}
GROUND = {"errors", "version", "discovery", "progress", "jit", "labelled", "memory", "threads"}

# Rooms that must stay light in what they take from outside: the derivation knows no floats, the witness no theory.
OUTSIDE = {
    "errors": set(),
    "version": set(),
    "discovery": set(),
    "progress": {"rich"},
    "jit": {"numba"},
    "threads": {"threadpoolctl"},
    "labelled": {"numpy", "pandas", "xarray"},
    "memory": {"numpy"},
    "algebra": {"sympy"},
    "layers": set(),
    "derive": set(),
    "network": {"numpy"},
    "sampling": {"numpy", "xarray", "rich"},
}
HEAVY = {"sympy", "numba", "scipy", "xarray", "matplotlib", "sklearn", "rich", "typer", "mpmath", "h5netcdf", "torch"}


# What is imported -----------------------------------------------------------------------------------------------------


@cache
def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imported(name: str) -> tuple[str, ...]:
    """The modules that a module imports, as deep as can be told: ``from a import b`` is a.b if that is a module."""
    path = modules()[name]
    return tuple(imports_of(path.read_text(encoding="utf-8"), name, path.name == "__init__.py", set(modules())))


def imports_of(source: str, name: str, package: bool, known: set[str]) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = name.split(".")[: len(name.split(".")) - node.level + package]
                base = ".".join([*parents, *([base] if base else [])])
            found += [f"{base}.{a.name}" if f"{base}.{a.name}" in known else base for a in node.names]
    return sorted(set(found))


def room(name: str) -> str:
    """The room of a module: rgflow.flow.run -> flow; the package itself is the roof."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else "roof"


def reachable(name: str) -> set[str]:
    """All rooms below a room."""
    found = set(GROUND)
    for below in BELOW[name]:
        found |= {below} | reachable(below)
    return found


def wrong_way(name: str, targets: tuple[str, ...] | list[str]) -> list[str]:
    """Imports of a module that run against the direction of the rooms."""
    here = room(name)
    if here == "roof":
        return []
    allowed = {here} | (reachable(here) if here in BELOW else set())
    inside = [target for target in targets if target.split(".")[0] == "rgflow"]
    return [f"{name} imports {target}" for target in inside if room(target) not in allowed]


def ring(graph: dict[str, list[str]]) -> list[str]:
    """A ring of modules that import each other, or nothing."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


# The rooms ------------------------------------------------------------------------------------------------------------


def test_every_room_has_its_place():
    rooms = {room(name) for name in modules()} - {"roof"}
    assert rooms <= set(BELOW) | GROUND, "a new room needs a line in BELOW (and a sentence in CONTRIBUTING.md)"


def test_imports_run_one_way():
    assert [line for name in modules() for line in wrong_way(name, imported(name))] == []


def test_no_ring_of_modules():
    graph = {name: [t for t in imported(name) if t in modules() and t != name] for name in modules()}
    assert ring(graph) == []


def test_the_roof_is_imported_by_nobody_but_the_face():
    """``from rgflow import ...`` inside the package would close a ring through the roof."""
    users = [name for name in modules() if "rgflow" in imported(name) and name != "rgflow"]
    assert [name for name in users if room(name) != "cli"] == []


def test_what_comes_from_outside():
    for name in modules():
        outside = {target.split(".")[0] for target in imported(name)} - sys.stdlib_module_names - {"rgflow"}
        others = {"torch", "jax", "tensorflow"} - ({"torch"} if room(name) == "nn" else set())
        assert not outside & others, name
        assert outside <= OUTSIDE.get(room(name), outside), name


def test_control_a_wrong_import_is_seen():
    """Negative control: inside a function, under TYPE_CHECKING, relative, or through a ring, it is caught."""
    known = set(modules())
    hidden = "def f():\n    from rgflow.derive import derive\n    return derive"
    typing = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import rgflow.flow"
    assert wrong_way("rgflow.sampling.draw", imports_of(hidden, "rgflow.sampling.draw", False, known))
    assert wrong_way("rgflow.algebra.terms", imports_of(typing, "rgflow.algebra.terms", False, known))
    relative = imports_of("from ..flow import run", "rgflow.codegen.table", False, known)
    assert relative == ["rgflow.flow.run"]
    assert wrong_way("rgflow.codegen.table", relative)
    assert wrong_way("rgflow.errors", ["rgflow.network"])
    assert ring({"a": ["b"], "b": ["c"], "c": ["a"]})


# What import loads ----------------------------------------------------------------------------------------------------


def test_import_loads_nothing_heavy():
    code = "import json, sys, rgflow; print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert set(json.loads(answer.stdout)) & HEAVY == set()


# Manners --------------------------------------------------------------------------------------------------------------


RUNNERS = {"eval", "exec", "__import__", "sympify", "S", "parse_expr", "parse_latex"}
PICKLERS = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}


def runners(source: str) -> set[str]:
    """Names under which a module turns text into code: calls, attributes, imports."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name) and node.id in RUNNERS | {"compile"}:
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and node.attr in RUNNERS:
            found.add(node.attr)
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.name for alias in node.names} & RUNNERS
    return found


def test_text_never_becomes_code():
    """A string or a file of a user cannot run."""
    for name, path in modules().items():
        assert runners(path.read_text(encoding="utf-8")) == set(), name
        assert not PICKLERS & {target.split(".")[0] for target in imported(name)}, name


def test_control_text_that_becomes_code_is_seen():
    assert runners("from sympy import sympify\nrun = eval\nbuiltins.exec(text)") == {"sympify", "eval", "exec"}


def public() -> list[tuple[str, object]]:
    """Every public name, with the public methods and properties of its classes that rgflow wrote."""
    found: list[tuple[str, object]] = []
    for name in rgflow.__all__:
        thing = getattr(rgflow, name)
        found.append((name, thing))
        if inspect.isclass(thing):
            fields = getattr(thing, "__dataclass_fields__", {})
            members = {key: value for key, value in vars(thing).items() if key[0] != "_" and key not in fields}
            found += [(f"{name}.{key}", value) for key, value in members.items()]
    return [(name, thing) for name, thing in found if name != "__version__"]


def test_public_names_are_explained():
    assert [name for name, thing in public() if len(inspect.getdoc(thing) or "") < 10] == []


def test_public_names_are_sorted_and_exist():
    assert len(set(rgflow.__all__)) == len(rgflow.__all__)
    assert all(hasattr(rgflow, name) for name in rgflow.__all__)


PLACE = re.compile(r"(^|[^A-Za-z0-9_.])(/(home|Users|root|work|mnt|scratch)/|[A-Z]:[\\/]Users)")


def own_files() -> list[Path]:
    folders = ("rgflow", "tests", "docs", "notebooks", "derivations", "benchmarks", ".ci")
    inside = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    text = [path for path in inside if path.suffix in {".py", ".md", ".toml", ".txt", ".csv", ".json", ""}]
    return [path for path in text if "__pycache__" not in path.parts] + [*ROOT.glob("*.md"), ROOT / "pyproject.toml"]


def test_no_file_names_a_place_on_one_machine():
    named = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in own_files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if PLACE.search(line)
    ]
    assert named == []


def test_control_a_place_on_one_machine_is_seen():
    assert all(PLACE.search(place.replace("+", "/")) for place in ("see +home+me", "(+Users+me)", "C:+Users"))
    assert not PLACE.search("docs/work/home.md")
