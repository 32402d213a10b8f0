"""The text of a generated module: equations as comments, tables, brackets. Same system, same bytes."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, TypeAlias

from rgflow.activations import Activation
from rgflow.algebra.text import signed
from rgflow.brackets import derivative_order, growth_rate, single_input_source
from rgflow.brackets.kernel_forms import Closed
from rgflow.brackets.smooth import Entry
from rgflow.codegen import generic
from rgflow.codegen.table import Table

CLOSED, QUADRATURE = "closed form", "quadrature"
Forms: TypeAlias = Mapping[Entry, Closed]
NAMES = (
    "ARITY",
    "ROW_START",
    "COEFFICIENT",
    "POWERS",
    "VALUE_START",
    "VALUE_TENSOR",
    "VALUE_INDEX",
    "BRACKET_START",
    "BRACKET_SHAPE",
    "BRACKET_FACTOR",
    "SUM_START",
    "SUM_BRACKET",
    "SHAPE_WIDTH",
    "SHAPE_BASE",
)


def module_source(
    table: Table, activation: Activation | None, compiled: bool = True, forms: Forms | None = None
) -> str:
    """The module of a System: its rows as tables, and with one input its brackets.

    Parameters
    ----------
    table : Table
        The rows to run.
    activation : Activation or None
        With one input: whose brackets the module evaluates. None with many inputs, where brackets are handed in.
    compiled : bool
        False leaves out Numba: the same program as plain Python.
    forms : mapping from (sorted orders, pending) to Closed
        The brackets in closed form; quadrature for the others.
    """
    known = forms or {}
    methods = bracket_methods(table, known)
    banner = _banner(table, activation, methods)
    parts = [banner, _imports(compiled and activation is not None), _inputs(table, methods), _tables(table)]
    if activation is not None:
        rest = [entry for entry, method in methods.items() if method == QUADRATURE]
        if rest:
            parts.append(_decorated(activation.source(derivative_order(activation, rest)), compiled))
        source = single_input_source(specifications(table), activation, name="brackets_at", forms=known)
        parts.append(_decorated(source, compiled))
        parts.append(f"GROWTH_CUT = {growth_rate(activation, rest)!r}\n")
    return _joined(parts)


def bracket_methods(table: Table, forms: Forms) -> dict[Entry, str]:
    """How each bracket (orders, pending) of one input is evaluated; nothing with many inputs, where they are given."""
    if table.many:
        return {}
    return {(k, m): CLOSED if (tuple(sorted(k)), m) in forms else QUADRATURE for k, m in specifications(table)}


def step_source() -> str:
    """The module of the generic kernel, the same for every System."""
    banner = f'"""rgflow kernel: {inspect.getdoc(generic)}\n"""'
    return _joined([banner, _imports(True), _decorated(inspect.getsource(generic.step), True)])


def _joined(parts: list[str]) -> str:
    return "\n\n".join(part.rstrip("\n") + "\n" for part in parts)


def _banner(table: Table, activation: Activation | None, methods: dict[Entry, str]) -> str:
    what = f"one input, sigma(z) = {activation.formula_text}" if activation else "many inputs"
    lines = [
        f'"""rgflow kernel: {", ".join(t.name for t in table.tensors)}; {what}.',
        "",
        "Generated from the recursions below; edits are overwritten. Left: the new layer l+1. Right: layer l, with",
        f"{', '.join(table.symbols)} of layer l+1, r = n_l / n_(l-1). rgflow/codegen/generic.py runs the rows.",
    ]
    if methods:
        count = list(methods.values()).count(CLOSED)
        lines.append(f"Brackets: {count} in closed form, {len(methods) - count} by quadrature.")
    lines.append('"""')
    return "\n".join(lines)


def _imports(compiled: bool) -> str:
    numba = "from numba import njit\n" if compiled else ""
    return f"import math\nfrom typing import Any\n\nimport numpy as np\n{numba}\nArray = Any"


def _inputs(table: Table, methods: dict[Entry, str]) -> str:
    lines = ["# Inputs and outputs: tensors, by their place in the state."]
    lines += [f"#   {i:3d}  {t.name}" for i, t in enumerate(table.tensors)]
    lines += ["# Inputs: brackets, by their written derivative orders and pending derivatives."]
    for i, shape in enumerate(table.shapes):
        method = methods.get((shape.orders, shape.pending))
        shown = f"#   {i:3d}  {_bracket_comment(shape.orders, shape.pending)}"
        lines.append(f"{shown:<34} {method}" if method else shown)
    return "\n".join(lines)


def _bracket_comment(orders: tuple[int, ...], pending: int) -> str:
    marks = " ".join("s" + ("'" * k if k <= 3 else f"^({k})") for k in orders)
    return f"< d^{pending} [{marks}] >" if pending else f"< {marks} >"


def _tables(table: Table) -> str:
    arrays = dict(zip(NAMES, table.arrays, strict=True))
    blocks = [f"# Equations, a row a term: coefficient, then powers of {', '.join(table.symbols)}, r."]
    coefficients, powers = arrays.pop("COEFFICIENT"), arrays.pop("POWERS")
    rows = ["COEFFICIENT_AND_POWERS = ["]
    row = 0
    for recursion in table.system:
        rows.append(f"    # {recursion.name}' =")
        for sign, body in signed(recursion.terms, table.many):
            numbers = ", ".join([repr(float(coefficients[row])), *(str(int(p)) for p in powers[row])])
            rows.append(f"    ({numbers}),  # {sign} {_ascii(body)}")
            row += 1
    rows.append("]")
    blocks.append("\n".join(rows))
    blocks.append(
        "COEFFICIENT = np.array([row[0] for row in COEFFICIENT_AND_POWERS])\n"
        "POWERS = np.array([row[1:] for row in COEFFICIENT_AND_POWERS], dtype=np.int64)"
    )
    blocks += [f"{name} = {_literal(array)}" for name, array in arrays.items()]
    blocks.append(f"TABLES = ({', '.join(NAMES)})")
    return "\n".join(blocks)


def _ascii(text: str) -> str:
    return text.replace("σ", "s").replace("∂", "d").replace("β", "b")


def _literal(array: Any) -> str:
    values = ", ".join(str(int(v)) for v in array.ravel())
    shape = "" if array.ndim == 1 else f".reshape{tuple(int(n) for n in array.shape)}"
    return f"np.array([{_wrap(values)}], dtype=np.int64){shape}"


def _wrap(text: str, width: int = 110) -> str:
    if len(text) <= width:
        return text
    lines, line = [], ""
    for word in text.split(", "):
        if len(line) + len(word) > width:
            lines.append(line)
            line = ""
        line += word + ", "
    return "\n    " + "\n    ".join([*lines, line]) + "\n"


def specifications(table: Table) -> list[Entry]:
    """The brackets of a table: orders and pending derivatives."""
    return [(shape.orders, shape.pending) for shape in table.shapes]


def _decorated(text: str, compiled: bool) -> str:
    decorate = "@njit(cache=True)\n" if compiled else ""
    return "\n".join(decorate + line if line.startswith("def ") else line for line in text.split("\n"))
