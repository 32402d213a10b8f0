r"""PDLT: the scale-invariant class at criticality: every tensor in closed form, in numbers, and over the width.

Assumptions: those of ``scale_invariant_solutions``: sigma(z) = a_+ z (z > 0), a_- z (z < 0), C_b = 0, C_W = 1/A_2, the
same lambda_b, lambda_W in every layer, equal widths, one input; derivatives at the kink branch by branch.
A_2 = (a_+^2 + a_-^2)/2, A_4 = (a_+^4 + a_-^4)/2, rho = A_4/A_2^2, kappa = lambda_W A_2 K and c = lambda_b + kappa.

The way. There the polynomials in l are put into the recursions, for any slopes. Here they are beside what rg.solve
finds by summing the recursions over l, for three pairs of slopes: linear has rho = 1, relu rho = 2, and Max(z/4, z)
rho = 514/289. As K stays and Theta = c l, a ratio without dimension, V/(n K^2) and so on, grows as l/n.

Engine: rg.solve, rg.criticality.

Sources: as in ``scale_invariant_solutions``; the values at layer 4 with x^2 = 1, K = x^2/A_2, lambda_b = 0.5 and
lambda_W = 0.7 were computed apart from this package. Equation numbers have not been seen.
"""

from functools import cache
from typing import Any

import sympy as sp
from compare import equal, plain
from rows import check_rows, row

import rgflow as rg

l, n, K, A_2, A_4, lambda_b, lambda_W = sp.symbols("l n K A_2 A_4 lambda_b lambda_W", positive=True)
rho, kappa = A_4 / A_2**2, lambda_W * A_2 * K
c = lambda_b + kappa
SLOPES = {"linear": (1, 1), "relu": (1, 0), "Max(z/4, z)": (1, sp.Rational(1, 4))}
DEPTH = "tests/sources/pdlt_depth.py: the same solutions, typed by another hand"
PRODUCT = "tests/oracles/product_law.py: the exact law of the squared norm"


def of(activation: str, typed: Any) -> sp.Expr:
    """A typed formula at the slopes of an activation."""
    plus, minus = SLOPES[activation]
    return (sp.Integer(0) + typed).subs(
        {A_2: (plus**2 + minus**2) / sp.Integer(2), A_4: (plus**4 + minus**4) / sp.Integer(2)}
    )


@cache
def solved(name: str, activation: str) -> sp.Expr:
    """What the engine finds at layer l, with K for the kernel k of layer 1."""
    found = rg.solve(name, activation, kinks="almost_everywhere")
    assert found.exact
    return plain(found.expression).subs(sp.Symbol("k", positive=True), K)


def compared(name: str, typed: Any) -> dict[str, sp.Expr]:
    """The solutions of the engine, after they have been found equal to the typed formula."""
    for activation in SLOPES:
        equal(solved(name, activation), of(activation, typed), f"{name} of {activation}")
    return {f"{name}, {activation}": sp.factor(solved(name, activation)) for activation in ("linear", "relu")}


@row("pdlt/scale_invariant_theta", witness=DEPTH)
def theta() -> Any:
    typed = lambda_b * l + kappa * l
    return compared("Theta", typed)


@row("pdlt/scale_invariant_V", witness=PRODUCT)
def vertex() -> Any:
    typed = 3 * rho * K**2 * (l - 1) - K**2 * (l - 1)
    return compared("V", typed)


@row("pdlt/scale_invariant_means", witness=PRODUCT)
def means() -> Any:
    typed = {"K_1": 0, "Theta_1": 0}
    return {key: value for name, zero in typed.items() for key, value in compared(name, zero).items()}


@row("pdlt/scale_invariant_F", witness=DEPTH)
def F() -> Any:
    typed = rho * K * c * l * (l - 1) / 2
    return compared("F", typed)


@row("pdlt/scale_invariant_B", witness=DEPTH)
def B() -> Any:
    typed = rho * c**2 * l * (l - 1) * (2 * l - 1) / 6
    return compared("B", typed)


@row("pdlt/scale_invariant_D", witness=DEPTH)
def D() -> Any:
    before = K / 2 * l * (l - 1)
    typed = before * (rho - 1) * c + before * (3 * rho - 1) * kappa
    return compared("D", typed)


@row("pdlt/scale_invariant_A", witness=DEPTH)
def A() -> Any:
    typed_bracket = (
        (rho - 1) * c**2 * (2 * l - 1)
        + 2 * (rho - 1) * c * kappa * (l + 1)
        + kappa**2 * (6 * rho - 2) * l
        - kappa**2 * (3 * rho - 1)
    )
    typed = l * (l - 1) * typed_bracket / 6
    return compared("A", typed)


@row("pdlt/scale_invariant_PRU", witness=DEPTH)
def PRU() -> Any:
    typed = {"P": 0, "R": 0, "U": 0}
    return {key: value for name, zero in typed.items() for key, value in compared(name, zero).items()}


@row("pdlt/scale_invariant_Q", witness=DEPTH)
def Q() -> Any:
    typed = rho * c * kappa * l * (l**2 - 1) / 6
    return compared("Q", typed)


@row("pdlt/scale_invariant_S", witness=DEPTH)
def hessians_S() -> Any:
    typed = rho * c**2 * kappa * l**2 * (l**2 - 1) / (12 * K)
    return compared("S", typed)


@row("pdlt/scale_invariant_T", witness=DEPTH)
def hessians_T() -> Any:
    typed = rho * c * kappa**2 * l**2 * (l**2 - 1) / (12 * K)
    return compared("T", typed)


# Numbers --------------------------------------------------------------------------------------------------------------


def at_layer_4(activation: str, typed: dict[str, float]) -> dict[str, float]:
    """Decimals typed as they are, so that nothing but rounding of the machine is left."""
    kernel = float(1 / of(activation, A_2))
    at = {l: 4, K: kernel, lambda_b: 0.5, lambda_W: 0.7}
    found = {name: float(solved(name, activation).subs(at)) for name in typed}
    for name, number in typed.items():
        assert abs(found[name] / number - 1) < 1e-13, (activation, name, found[name], number)
    return found


@row("pdlt/linear_values", witness="tests/flow/test_flow_closed_forms.py: exact flows; " + DEPTH)
def linear_values() -> dict[str, float]:
    typed = {"Theta": 4.8, "V": 6, "F": 7.2, "B": 20.16, "D": 8.4, "A": 13.72, "Q": 8.4, "S": 20.16, "T": 11.76}
    return at_layer_4("linear", typed)


@row("pdlt/relu_values", witness="tests/flow/test_flow_closed_forms.py: exact flows; " + DEPTH)
def relu_values() -> dict[str, float]:
    typed = {"Theta": 4.8, "V": 60, "F": 28.8, "B": 40.32, "D": 56.4, "A": 71.26, "Q": 16.8, "S": 20.16, "T": 11.76}
    return at_layer_4("relu", typed)


# Growth ---------------------------------------------------------------------------------------------------------------


def grows(typed: sp.Expr, ratio: Any, what: str) -> dict[str, sp.Expr]:
    """The leading power of the depth in a ratio of the engine's laws, for each pair of slopes."""
    shown = {}
    for activation in SLOPES:
        laws = rg.criticality(activation).laws
        found = plain(ratio({name: laws[name].leading for name in ("K", "Theta", "V", "B", "F")}))
        found = sp.cancel(found.subs(sp.Symbol("k", positive=True), K) / n)
        equal(found, of(activation, typed), f"{what} of {activation}")
        shown[f"{what}, {activation}"] = found
    return shown


@row("pdlt/scale_invariant_ratio_V", witness=PRODUCT)
def ratio_V() -> Any:
    typed = 3 * rho * l / n - l / n
    return grows(typed, lambda of: of["V"] / of["K"] ** 2, "V/(n K²)")


@row("pdlt/scale_invariant_ratio_B", witness=DEPTH)
def ratio_B() -> Any:
    typed = rho * l / (3 * n)
    return grows(typed, lambda of: of["B"] / of["Theta"] ** 2, "B/(n Θ²)")


@row("pdlt/scale_invariant_ratio_F", witness=DEPTH)
def ratio_F() -> Any:
    typed = rho * l / (2 * n)
    return grows(typed, lambda of: of["F"] / (of["K"] * of["Theta"]), "F/(n K Θ)")


if __name__ == "__main__":
    check_rows(globals())
