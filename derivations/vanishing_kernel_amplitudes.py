r"""PDLT chapters 5, 8, 11 and the last one: every tensor far from the input, where the critical kernel decays (K* = 0).

Assumptions: C_b = 0, C_W = 1/sigma'(0)^2; sigma odd, smooth, <s s>/sigma'(0)^2 = K - a K^2 + ... with a > 0; equal
widths; learning rates lambda_b/l and lambda_W at layer l, so that every layer has the same share of Theta (chapter 9).

The way. K' = K - a K^2 + ..., so that K -> 1/(a l), and brackets are series in this K. A recursion X' = (1 - p/l +
...) X + s l^q + ... is solved by X -> s l^(q+1)/(q + 1 + p): source over what is left of the transport. chi_parallel
= 1 - 2/l, chi_perpendicular = 1 - 1/l (sigma is odd) are all the transport there is; sources follow from the letters
solved before. For V, say, the source is C_W^2 (<s^4> - <s s>^2) -> 2 K^2 = 2/(a l)^2 and the transport chi_parallel^2
= 1 - 4/l, hence V -> 2/(a^2 l (-1 + 4)) = (2/3) l K^2.

Engine: rg.criticality(sigma).laws, which does this with whole series, from the Taylor coefficients of sigma alone.

Typed below with a and Theta = lambda_b + lambda_W/a for sigma'(0) = 1; else lambda_W stands for lambda_W sigma'(0)^2,
since a weight's learning rate is measured in C_W. The book has the exponents and some amplitudes, the others were
derived by hand; all agree with flows of 3 10^4 layers to a part in a thousand. Equation numbers have not been seen.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import sympy as sp
from compare import equal
from rows import check_rows, row

import rgflow as rg

l = sp.Symbol("l", integer=True, positive=True)
a = sp.Symbol("a", positive=True)
lambda_b, lambda_W = sp.symbols("lambda_b lambda_W", nonnegative=True)
K, Theta = 1 / (a * l), lambda_b + lambda_W / a
third, quarter = sp.Rational(1, 3), sp.Rational(1, 4)

LAWS = {
    "K": K,
    "Theta": Theta,
    "V": 2 * third * l * K**2,
    "B": third * l * Theta**2,
    "F": quarter * l * K * Theta,
    "D": -sp.Rational(2, 9) * lambda_b / a,
    "A": sp.Rational(4, 27) * lambda_b**2 * l,
    "P": -(Theta**2) * l / 12,
    "Q": -Theta * lambda_b * l / 16,
    "R": -(Theta**2) * l**2 / 48 * (lambda_W + 3 * a * Theta),
    "S": lambda_W * Theta**2 * l**2 / 12,
    "T": a * lambda_b**2 * Theta * l**2 / 32,
    "U": a * Theta**3 / 2,
    "K_1": -third / a,
}

# a and sigma'(0): -a = sigma'''(0)/sigma'(0) with sigma'(0) = 1; for any slope, K measured as the network has it
ACTIVATIONS = {
    "tanh": (2, 1),
    "sin": (1, 1),
    "erf": (2, 2 / sp.sqrt(sp.pi)),
}


def check(activation: str, typed: dict[str, sp.Expr]) -> None:
    """AssertionError unless rg.criticality finds these laws."""
    steepness, slope = ACTIVATIONS[activation]
    found = rg.criticality(activation)
    assert sp.simplify(found.point.values["C_W"] - 1 / sp.sympify(slope) ** 2) == 0, activation
    for name, law in typed.items():
        at = law.subs({a: steepness, lambda_W: lambda_W * slope**2}, simultaneous=True)
        difference = sp.simplify(found.laws[name].leading - at)
        assert difference == 0, f"{name} of {activation}: typed - derived = {-difference}"


# Rows of the book -----------------------------------------------------------------------------------------------------

DEEP = "benchmarks/power_laws.py: flows of 10^5 layers beside these laws; tests/sources/pdlt_depth.py"


@cache
def laws(activation: str) -> Mapping[str, Any]:
    return rg.criticality(activation).laws


def compared(name: str, typed: sp.Expr) -> dict[str, sp.Expr]:
    """The engine's laws, after they have been found equal to the typed one."""
    shown = {}
    for activation, (steepness, slope) in ACTIVATIONS.items():
        at = typed.subs({a: steepness, lambda_W: lambda_W * slope**2}, simultaneous=True)
        found = laws(activation)[name].leading
        equal(found, at, f"{name} of {activation}")
        shown[f"{name}, {activation}"] = sp.factor(found)
    return shown


@row("pdlt/asymptotic_theta", witness=DEEP)
def far_Theta() -> dict[str, sp.Expr]:
    typed = lambda_b + lambda_W / a
    return compared("Theta", typed)


@row("pdlt/asymptotic_V", witness=DEEP)
def far_V() -> dict[str, sp.Expr]:
    typed = 2 * third * l
    return compared("V", typed * K**2)


@row("pdlt/asymptotic_B", witness=DEEP)
def far_B() -> dict[str, sp.Expr]:
    typed = l / 3
    return compared("B", typed * Theta**2)


@row("pdlt/asymptotic_F", witness=DEEP)
def far_F() -> dict[str, sp.Expr]:
    typed = l / 4
    return compared("F", typed * K * Theta)


@row("pdlt/asymptotic_D", witness=DEEP)
def far_D() -> dict[str, sp.Expr]:
    typed = -sp.Rational(2, 9) * lambda_b / a
    return compared("D", typed)


@row("pdlt/asymptotic_A", witness=DEEP)
def far_A() -> dict[str, sp.Expr]:
    typed = sp.Rational(4, 27) * lambda_b**2 * l
    return compared("A", typed)


@row("pdlt/asymptotic_P", witness=DEEP)
def far_P() -> dict[str, sp.Expr]:
    typed = -(Theta**2) * l / 12
    return compared("P", typed)


@row("pdlt/asymptotic_Q", witness=DEEP)
def far_Q() -> dict[str, sp.Expr]:
    typed = -Theta * lambda_b * l / 16
    return compared("Q", typed)


@row("pdlt/asymptotic_R", witness=DEEP)
def far_R() -> dict[str, sp.Expr]:
    typed = -(Theta**2) * l**2 / 48 * lambda_W - Theta**2 * l**2 / 48 * 3 * a * Theta
    return compared("R", typed)


@row("pdlt/asymptotic_S", witness=DEEP)
def far_S() -> dict[str, sp.Expr]:
    typed = lambda_W * Theta**2 * l**2 / 12
    return compared("S", typed)


@row("pdlt/asymptotic_T", witness=DEEP)
def far_T() -> dict[str, sp.Expr]:
    typed = a * lambda_b**2 * Theta * l**2 / 32
    return compared("T", typed)


@row("pdlt/asymptotic_U", witness=DEEP)
def far_U() -> dict[str, sp.Expr]:
    typed = a * Theta**3 / 2
    return compared("U", typed)


@row("pdlt/universal_ratio", witness=DEEP)
def universal_ratio() -> dict[str, Any]:
    """Powers of l with K* = 0; of L, at l = L with rates lambda/L, in the scale-invariant class: all alike."""
    typed = {"V/K²": 1, "B/Θ²": 1, "A/Θ²": 1, "F/KΘ": 1, "P/Θ²": 1, "Q/Θ²": 1, "KR/Θ²": 1, "KS/Θ²": 1, "KT/Θ²": 1}
    shown = {}
    for activation, rates in (("tanh", False), ("sin", False), ("relu", True)):
        for name, power in typed.items():
            above, below = (tuple(side.replace("Θ²", "ΘΘ").replace("K²", "KK")) for side in name.split("/"))
            if any(law_of(activation, x).vanishes for x in above):
                continue  # P and R of relu
            found = sum(power_of_depth(activation, x, rates) for x in above)
            found -= sum(power_of_depth(activation, x, rates) for x in below)
            assert found == power, (activation, name, found)
            if activation == "sin":
                whole = [sp.prod([law_of(activation, x).leading for x in side]) for side in (above, below)]
                shown[f"{name}, {activation}"] = sp.factor(whole[0] / whole[1])
    return shown


def law_of(activation: str, letter: str) -> Any:
    return laws(activation)[letter.replace("Θ", "Theta")]


def power_of_depth(activation: str, letter: str, rates: bool) -> Any:
    """Of l; with rates that are divided by L, at l = L."""
    law = law_of(activation, letter)
    learned = law.amplitude.free_symbols & {lambda_b, lambda_W} if rates else ()
    return law.exponent - (sp.Poly(law.amplitude, *learned).total_degree() if learned else 0)


if __name__ == "__main__":
    for name, typed in LAWS.items():
        print(f"{name} -> {typed}\n\n    {sp.latex(typed)}\n")
    for activation, (steepness, slope) in ACTIVATIONS.items():
        check(activation, LAWS)
        print(f"{activation}: a = {steepness}, sigma'(0) = {slope}: equal, all {len(LAWS)}")
    check_rows(globals())
