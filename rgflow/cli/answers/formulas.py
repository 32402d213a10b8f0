"""``--json`` of ``rgflow derive``, ``solve`` and ``critical``: recursions, solutions, power laws."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rgflow.cli.machine import formula

if TYPE_CHECKING:
    from rgflow.algebra import Linked, Recursion
    from rgflow.universality import Check, Criticality, CriticalPoint, Solution


def derive_answer(asked: Recursion | Linked, recursions: tuple[Recursion, ...]) -> dict[str, Any]:
    """What was asked for, and each recursion as text, as LaTeX and term by term; or its lines."""
    from rgflow.algebra import Linked

    found = {"name": asked.name, "samples": asked.samples, "layer": asked.layer}
    if isinstance(asked, Linked):
        lines = str(asked).splitlines()
        return found | {"lines": lines, "latex": asked.latex(), "assumptions": asked.assumptions}
    return found | {"recursions": [_recursion(each) for each in recursions]}


def _recursion(rec: Recursion) -> dict[str, Any]:
    return {
        "name": rec.name,
        "level": rec.tensor.level,
        "order": rec.order,
        "text": str(rec),
        "latex": rec.latex(),
        "depends_on": rec.depends_on,
        "assumptions": rec.assumptions,
        "terms": [
            {
                "coefficient": term.coefficient,
                "symbols": dict(term.symbols),
                "r": term.r,
                "tensors": [{"name": value.tensor.name, "indices": value.indices} for value in term.tensors],
                "brackets": [{"factors": b.factors, "pending": b.pending} for b in term.brackets],
            }
            for term in rec.terms
        ],
    }


def solve_answer(found: Solution, done: Check | None, at: Mapping[str, str]) -> dict[str, Any]:
    """The formula, where it holds and what it neglects; beside a flow if one was asked for."""
    answer: dict[str, Any] = {
        "name": found.name,
        "activation": found.activation.name,
        "layer": type(found.layer).__name__.lower(),
        "closure": found.closure,
        "kind": found.kind,
        "formula": formula(found.expression),
        "evaluated": formula(found.evaluated),
        "correction": None if found.correction is None else formula(found.correction),
        "neglected": found.neglected,
        "parameters": {name: formula(value) for name, value in found.parameters.items()},
        "averages": {str(node): formula(value) for node, value in found.averages.items()},
        "rates": {name: str(x) for name, x in zip(("lambda_b", "lambda_W"), found.rates, strict=True)},
        "open": found.free,
        "first_layer": found.first_layer,
        "assumptions": found.assumptions,
    }
    if done is not None:
        columns = ("layers", "flow", "formula", "difference", "stated", "allowed", "numerical_error")
        check = {name: getattr(done, name) for name in columns}
        numbers = {name: float(text) for name, text in at.items()}
        answer["check"] = {**check, "at": numbers, "constants": done.constants, "passed": bool(done.passed)}
    return answer


def critical_answer(found: Criticality, table: bool) -> dict[str, Any]:
    """Points, exponents and, with ``table``, the power law of every tensor."""
    from rgflow.errors import NoClosedForm

    answer: dict[str, Any] = {
        "activation": found.activation.name,
        "layer": type(found.layer).__name__.lower(),
        "points": points_answer(found),
        "chi_parallel": found.chi_parallel,
        "chi_perpendicular": found.chi_perpendicular,
        "assumptions": found.assumptions,
    }
    try:
        names = {"p_0": found.p_0, "p_perpendicular": found.p_perpendicular, "p_parallel": found.p_parallel}
        answer["exponents"] = {name: formula(value) for name, value in names.items()}
        answer["nu"] = formula(found.vertex_growth)
    except NoClosedForm as error:
        answer |= {"exponents": None, "nu": None, "why_not": str(error)}
        return answer
    if table:
        answer["power_laws"] = _power_laws(found)
    return answer


def points_answer(found: Criticality | None) -> list[dict[str, Any]]:
    """All critical points; none if there are none."""
    return [] if found is None else [_point(point, point == found.point) for point in found.points]


def _point(point: CriticalPoint, recommended: bool) -> dict[str, Any]:
    exact = {name: formula(value)["text"] for name, value in point.values.items()} if point.symbolic else None
    return {
        "C_b": point.C_b,
        "C_W": point.C_W,
        "K_star": point.K_star,
        "exact": exact,
        "universality_class": point.universality_class,
        "stable": bool(point.stable),
        "stability": point.stability,
        "recommended": recommended,
    }


def _power_laws(found: Criticality) -> dict[str, Any]:
    from rgflow.cli.power_law_table import TOLERANCE

    onset = found.onset(TOLERANCE)
    laws: dict[str, Any] = {}
    for name, law in found.laws.items():
        laws[name] = {
            "exponent": None if law.vanishes else formula(law.exponent),
            "logarithms": law.logarithms,
            "amplitude": formula(law.amplitude),
            "correction": None if law.correction is None else formula(law.correction),
            "beyond": law.beyond,
            "onset": onset.get(name),
        }
    return {"tolerance": TOLERANCE, "laws": laws}
