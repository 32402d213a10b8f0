"""``--json`` of ``rgflow aspect`` and ``variation``: depth over width, gradients with depth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rgflow.cli.answers.formulas import points_answer
from rgflow.cli.machine import dataset, formula

if TYPE_CHECKING:
    import xarray

    from rgflow.predict.aspect.ratio import AspectRatio
    from rgflow.predict.aspect.recommendation import Recommendation
    from rgflow.scaling import VariationPhases


def aspect_answer(found: AspectRatio, recommended: Recommendation | None) -> dict[str, Any]:
    """The scale and, for a width, the depth with its cut-offs and reasons."""
    where = found.criticality
    answer: dict[str, Any] = {
        "activation": where.activation.name,
        "layer": type(where.layer).__name__.lower(),
        "point": next(point for point in points_answer(where) if point["recommended"]),
        "n_out": found.n_out,
        "nu": formula(found.nu),
        "best_fluctuation": formula(found.best_fluctuation),
        "best_ratio": formula(found.best_ratio_exact),
        "recommendation": None,
    }
    if recommended is not None:
        names = ("width", "depth", "ratio", "fluctuation", "information", "mixture", "bounds", "cutoffs", "flowed")
        told = {name: getattr(recommended, name) for name in (*names, "trusted", "reasons")}
        answer["recommendation"] = told
    return answer


def variation_answer(
    ds: xarray.Dataset, suggestion: Any, phases: VariationPhases | None, reason: str
) -> dict[str, Any]:
    """Signals and gradients block by block, a suggestion, and how everything grows with depth."""
    answer: dict[str, Any] = {"dataset": dataset(ds), "suggestion": None, "growth": None, "why_not": reason or None}
    if suggestion is not None:
        names = ("how", "beta", "halved", "widths", "before", "after", "highest", "p")
        answer["suggestion"] = {name: getattr(suggestion, name) for name in names}
    if phases is not None:
        (case,) = phases.cases
        answer["growth"] = {
            name: {"regime": law.regime, "expression": formula(law.expression)} for name, law in case.laws.items()
        }
    return answer
