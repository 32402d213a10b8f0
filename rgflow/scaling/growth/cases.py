"""One regime: where it holds, what grows how in it, and where the correlation of two inputs goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rgflow.scaling.growth.depth_law import DepthLaw, text_of_growth
from rgflow.scaling.growth.expressivity import Expressivity
from rgflow.scaling.growth.printing import text_of
from rgflow.scaling.growth.signs import Condition


@dataclass(frozen=True)
class PhaseCase:
    """One regime: where it holds, and what grows how in it.

    Attributes
    ----------
    conditions : tuple of (expression, sign)
        Signs of expressions in the symbols that were given; empty for numbers.
    laws : dict of DepthLaw
        p, q, chi, chi_W, ..., each with ``.regime``, ``.exponent``, ``.coefficient``, ``.expression``.
    e : Expressivity or None
        The limit of the correlation of two inputs and the way there; None where it is not derived.
    """

    conditions: tuple[Condition, ...]
    laws: Mapping[str, DepthLaw]
    e: Expressivity | None

    @property
    def regime(self) -> dict[str, str]:
        """The regime of every quantity in a word."""
        return {name: law.regime for name, law in self.laws.items()}

    @property
    def condition(self) -> str:
        """Where it holds, as a line of text."""
        return "; ".join(condition_text(x) for x in self.conditions)

    def __str__(self) -> str:
        lines = [f"where {self.condition}:"] if self.conditions else []
        width = max(len(name) for name in self.laws)
        lines += [f"  {name:{width}}  {law.regime}: {law}" for name, law in self.laws.items()]
        lines.append(f"  {'e':{width}}  {expressivity_text(self.e)}")
        return "\n".join(lines)

    def latex(self) -> str:
        """Its laws as an aligned block of LaTeX."""
        rows = [rf"{law.latex().replace(' ', ' &', 1)}" for law in self.laws.values()]
        where = f"% {self.condition}\n" if self.conditions else ""
        return where + "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"


def condition_text(condition: Condition) -> str:
    """As ``beta_V + beta_W < 1``."""
    import sympy as sp

    expression, sign = condition
    expression = sp.expand(expression)
    sizes = [abs(c) for term, c in expression.as_coefficients_dict().items() if not term.is_number]
    expression = sp.expand(expression / min(sizes)) if sizes else expression
    left = right = sp.Integer(0)
    for term in sp.Add.make_args(expression):
        negative = term.could_extract_minus_sign()
        left, right = (left, right - term) if negative else (left + term, right)
    constant, right = right.as_coeff_Add()
    own, left = left.as_coeff_Add()
    constant -= own
    if left == 0:
        left, right, constant, sign = right, left, -constant, -sign
    mark = {1: ">", 0: "=", -1: "<"}[sign]
    return f"{text_of(left)} {mark} {text_of(right + constant)}"


def expressivity_text(e: Expressivity | None) -> str:
    """Where e goes, in a line."""
    if e is None:
        return "not derived"
    if e.limit is None:
        if e.equation is not None:
            return f"to the zero of {text_of(e.equation)}"
        then = "" if e.approach is None else f", as {text_of_growth(e.approach)}"
        return f"to what the inputs decide{then}"
    limit = f"{float(e.limit):.6g}" if e.limit.is_Float else text_of(e.limit)
    if e.approach is None:
        return f"to {limit}"
    return f"to {limit}, |e - {limit}| ~ {text_of_growth(e.approach)}"
