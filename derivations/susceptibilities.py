r"""PDLT chapters 5 and 8: the numbers of one input that carry tensors from layer to layer: chi, h, j and psi.

Assumptions: one input, a smooth sigma, g(K) = <sigma sigma>_K.

The way. Integration by parts against the Gaussian of variance K says the same in three ways: a derivative by K is half
a second derivative by z, d<f>/dK = <f''>/2, and that is <f (z^2 - K)>/(2 K^2). With f = sigma^2,

    chi_parallel = C_W g' = (C_W/2) <d^2[s s]> = C_W <s's' + s s''> = C_W/(2 K^2) <s s (z^2 - K)>,

and with f = sigma'^2, chi_perp = C_W <s's'> and h = (1/2) d chi_perp/dK. Twice by parts, C_W g''/2 = (C_W/8) <d^4[s s]>
= j/(8 K^2), j the average with the fourth Hermite polynomial.

*Where they stand.* chi_parallel carries K_1 (and D, F, V), chi_perp carries Theta, C_W g''/2 makes K_1 from V, and 2 h
makes Theta_1 from D. What couples Theta to K is psi = d Theta'/dK at fixed Theta: of lambda_W g it has lambda_W g' =
lambda_W chi_parallel/C_W, of Theta chi_perp it has 2 h Theta. T has it as the sum of the averages of (s s')' and
(s' s'')', with lambda_W and with C_W Theta: d^2[s s]/2 = (s s')', d^2[s's']/2 = (s's'')'.

Engine: what stands in front of a letter in rg.derive of one input, in the notation of ``paper``, and in closed form for
the polynomial sigma = z + z^2/3 - z^3/5, all of whose averages are moments of a Gaussian.

Equation numbers: none of these has been seen.
"""

from typing import Any

import sympy as sp
from compare import average, coefficient, equal
from paper import C_W, E, Expression, Theta, dds, ds, lambda_W, normal, r, right_hand_side, s
from rows import check_rows, row

import rgflow as rg

z = sp.Symbol("z")
K, weight = sp.Symbol("K", positive=True), sp.Symbol("C_W", positive=True)
ACTIVATION = "z + z^2/3 - z^3/5"
sigma = z + z**2 / 3 - z**3 / 5
EXACT = "tests/oracles/exact_brackets.py: exact averages of polynomials, put into the formulas of tests/sources/pdlt.py"


def factor(name: str, letter: str) -> Expression:
    """What multiplies a letter in a derived recursion of one input."""
    atom = ("tensor", letter, ())
    terms = right_hand_side(rg.derive(name)).terms
    return Expression({tuple(x for x in m if x[0] != atom): c for m, c in terms.items() if (atom, 1) in m})


def same(name: str, letter: str, typed: Expression) -> None:
    """AssertionError unless the recursion has the typed expression, times r, in front of the letter."""
    left_over = normal(r * typed - factor(name, letter))
    assert not left_over, f"{letter} in {name}: typed - derived = {left_over}"


def mean(polynomial: sp.Expr) -> sp.Expr:
    return average(polynomial, z, K)


@row("pdlt/chi_parallel", witness=EXACT)
def chi_parallel() -> Any:
    derived = coefficient("K_1", "K_1", ACTIVATION)
    square, slope, bend = sigma**2, sp.diff(sigma, z), sp.diff(sigma, z, 2)
    typed_forms = (
        weight * sp.diff(mean(square), K),
        weight / (2 * K**2) * mean(square * (z**2 - K)),
        weight * mean(slope**2) + weight * mean(sigma * bend),
    )
    for form in typed_forms:
        equal(derived, form, "chi_parallel")
    typed = C_W * E(ds * ds) + C_W * E(s * dds)
    same("K_1", "K_1", typed)
    return rg.derive("K_1"), derived


@row("pdlt/chi_perpendicular", witness=EXACT)
def chi_perpendicular() -> Any:
    typed = C_W * E(ds * ds)
    assert normal(typed - factor("Theta", "Theta")) == {}
    return rg.derive("Theta")


@row("pdlt/h_of_K", witness=EXACT)
def h_of_K() -> Any:
    """Theta_1 has 2 h D."""
    slope = sp.diff(sigma, z)
    derived = coefficient("Theta_1", "D", ACTIVATION) / 2
    typed_forms = (
        sp.diff(coefficient("Theta", "Theta", ACTIVATION), K) / 2,
        weight / (4 * K**2) * mean(slope**2 * (z**2 - K)),
    )
    for form in typed_forms:
        equal(derived, form, "h")
    return rg.derive("Theta_1"), derived


@row("pdlt/j_of_K", witness=EXACT)
def j_of_K() -> Any:
    """K_1 has C_W g''/2 V."""
    u = z / sp.sqrt(K)
    derived = coefficient("K_1", "V", ACTIVATION)
    typed_j = weight * mean(sigma**2 * u**4) - 6 * weight * mean(sigma**2 * u**2) + 3 * weight * mean(sigma**2)
    typed_half_curvature = weight * sp.diff(mean(sigma**2), K, 2) / 2
    equal(derived, typed_j / (8 * K**2), "j/(8 K^2)")
    equal(derived, typed_half_curvature, "C_W g''/2")
    return rg.derive("K_1"), derived


@row("pdlt/psi_one_input", witness=EXACT)
def psi_one_input() -> Any:
    """D has chi_parallel psi V, and T has 2 chi_perp psi Q."""
    parallel, perpendicular = C_W * E(s * s, d=2) / 2, C_W * E(ds * ds)
    h = C_W * E(ds * ds, d=2) / 4
    typed = lambda_W / C_W * parallel + 2 * h * Theta
    typed_tilde = lambda_W * E(s * ds, d=1) + C_W * Theta * E(ds * dds, d=1)
    for psi in (typed, typed_tilde):
        same("D", "V", parallel * psi)
        same("T", "Q", 2 * perpendicular * psi)
    return rg.derive("D"), rg.derive("T")


if __name__ == "__main__":
    check_rows(globals())
