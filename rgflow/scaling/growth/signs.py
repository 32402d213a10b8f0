"""Signs of expressions in symbols: decided where they can be, and otherwise every possibility in its turn.

Everything that a dominant balance asks is the sign of something linear in the exponents. With numbers there is one
answer. With symbols the calculation is run once for every combination of answers that a linear program finds possible;
products of variances that occur beside the exponents count as positive unknowns of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np

from rgflow.errors import InputError

Result = TypeVar("Result")
Condition = tuple[Any, int]
MOST = 400  # cases; more say that too much was left open


class Decisions:
    """Answers along one branch; the first ones are given, the others take what is possible first."""

    def __init__(self, script: tuple[int, ...], bounded: frozenset[Any]):
        self.script = script
        self.bounded = bounded
        self.taken: list[int] = []
        self.left: list[tuple[int, ...]] = []
        self.conditions: list[Condition] = []

    def sign(self, expression: Any) -> int:
        """-1, 0 or 1."""
        import sympy as sp

        expression = sp.expand(expression)
        if expression.is_number:
            value = expression.evalf(30)
            return 0 if abs(value) < 1e-25 else 1 if value > 0 else -1
        known = [answer for other, answer in self.conditions if sp.expand(other - expression) == 0]
        if known:
            return known[0]
        possible = [s for s in (1, 0, -1) if feasible([*self.conditions, (expression, s)], self.bounded)]
        if not possible:
            raise InputError(f"no values of the symbols fulfil {self.conditions}")
        if len(possible) == 1:
            return possible[0]
        at = len(self.taken)
        answer = self.script[at] if at < len(self.script) else possible[0]
        self.taken.append(answer)
        self.left.append(tuple(s for s in possible if s != answer) if at >= len(self.script) else ())
        self.conditions.append((expression, answer))
        return answer

    def implied(self, expression: Any) -> int | None:
        """The sign if what was decided so far leaves only one, else None."""
        import sympy as sp

        expression = sp.expand(expression)
        if expression.is_number:
            return self.sign(expression)
        possible = [s for s in (1, 0, -1) if feasible([*self.conditions, (expression, s)], self.bounded)]
        return possible[0] if len(possible) == 1 else None

    def equalities(self) -> dict[Any, Any]:
        """Symbols that the decisions make equal to others."""
        import sympy as sp

        found: dict[Any, Any] = {}
        for expression, answer in self.conditions:
            if answer == 0:
                expression = sp.expand(expression.subs(found))
                symbols = sorted(expression.free_symbols & self.bounded, key=str)
                linear = [s for s in symbols if expression.coeff(s).is_number and expression.coeff(s) != 0]
                if linear:
                    found[linear[-1]] = sp.solve(expression, linear[-1])[0]
        # symbols that are squeezed to zero
        for symbol in self.bounded - set(found):
            if any(symbol in e.free_symbols for e, _ in self.conditions) and self.implied(symbol) == 0:
                found[symbol] = sp.Integer(0)
        return {s: sp.expand(value.subs(found)) for s, value in found.items()}


def every_case(
    calculate: Callable[[Decisions], Result], bounded: frozenset[Any] = frozenset()
) -> Iterator[tuple[list[Condition], Result]]:
    """Run a calculation for every combination of signs that can occur, with the conditions of each.

    bounded : symbols that are not negative; all other unknowns are positive.
    """
    waiting: list[tuple[int, ...]] = [()]
    count = 0
    while waiting:
        script = waiting.pop()
        decisions = Decisions(script, bounded)
        result = calculate(decisions)
        for at in range(len(script), len(decisions.taken)):
            waiting += [(*decisions.taken[:at], other) for other in decisions.left[at]]
        count += 1
        if count > MOST:
            raise InputError(f"more than {MOST} cases; give numbers for some of the symbols")
        yield decisions.conditions, result


def feasible(conditions: Sequence[Condition], bounded: frozenset[Any]) -> bool:
    """Whether some values of the unknowns fulfil all conditions, each with room to spare where it is strict."""
    return _feasible(tuple(conditions), bounded)


@lru_cache(maxsize=1 << 14)  # every case begins as the one before it did
def _feasible(conditions: tuple[Condition, ...], bounded: frozenset[Any]) -> bool:
    from scipy.optimize import linprog

    unknowns: dict[Any, int] = {}
    rows: list[tuple[dict[int, float], float, int]] = []
    for expression, sign in conditions:
        row, constant = {}, 0.0
        for term, c in expression.as_coefficients_dict().items():
            if term.is_number:
                constant += float(term * c)
            else:
                row[unknowns.setdefault(term, len(unknowns))] = float(c)
        rows.append((row, constant, sign))
    # an expression like 0.5 C_W is a coefficient times an unknown; room is the last unknown, to be made large
    n = len(unknowns)
    upper, upper_b, equal, equal_b = [], [], [], []
    for row, constant, sign in rows:
        full = np.zeros(n + 1)
        for at, c in row.items():
            full[at] = c
        if sign == 0:
            equal.append(full)
            equal_b.append(-constant)
        else:
            full = -sign * full
            full[n] = 1.0
            upper.append(full)
            upper_b.append(sign * constant)
    for unknown, at in unknowns.items():
        if unknown not in bounded:
            full = np.zeros(n + 1)
            full[at], full[n] = -1.0, 1.0
            upper.append(full)
            upper_b.append(0.0)
    cost = np.zeros(n + 1)
    cost[n] = -1.0
    found = linprog(
        cost,
        A_ub=np.array(upper) if upper else None,
        b_ub=upper_b or None,
        A_eq=np.array(equal) if equal else None,
        b_eq=equal_b or None,
        bounds=[(0, None)] * n + [(None, 1.0)],
        method="highs",
    )
    return bool(found.status == 0 and found.x[n] > 1e-9)
