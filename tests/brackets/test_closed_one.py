"""Closed forms of one input against quadrature, 24 digits of another route, exact rationals and formulas by hand."""

from __future__ import annotations

from fractions import Fraction

import mpmath
import numpy as np
import pytest
import sympy as sp
from oracles.exact_brackets import PolynomialBrackets, ScaleInvariantBrackets

from rgflow.activations import activation
from rgflow.brackets import gaussian_moments, reference
from rgflow.brackets.closed import atoms, closed_bracket, integrals
from rgflow.brackets.closed.erf_moments import W
from rgflow.brackets.kinked import kinked_averages
from rgflow.brackets.smooth import smooth_averages
from rgflow.errors import InputError, NoClosedForm

K = sp.Symbol("K", positive=True)
KERNELS = (1e-3, 0.1, 1.0, 30.0)
# those of all letters with K_1, Theta_1, V_1, K_2; odd ones for activations without parity; more pending derivatives
BRACKETS = [
    ((0, 0), 0), ((0, 0), 2), ((0, 0), 4), ((0, 0), 8), ((1, 1), 0), ((1, 1), 2), ((0, 1), 1), ((0, 2), 0),
    ((1, 2), 1), ((2, 2), 0), ((1, 3), 0), ((0, 0, 0, 0), 0), ((0, 0, 0, 0), 4), ((0, 0, 1, 1), 0),
    ((0, 1, 1, 2), 0), ((1, 1, 1, 1), 0), ((1, 1, 2, 2), 0), ((0,) * 6, 0), ((0,), 0), ((0, 1), 2),
]  # fmt: skip
NAMES = [
    "linear", "monomial", "z^3 - z/2", "relu", "Max(z, 0) + Min(z, 0)/4", "abs(z)", "sin", "cos", "exp", "gaussian",
    "zgaussian", "erf", "probit", "gelu", "erf(z) + z/10", "z*erf(z/3)/3 + z*exp(-z^2/3)", "z - z^3*exp(-z^2)/2",
    "z + z^3*exp(-z^2)", "sin(2*z)*exp(-z^2/2)", "sinh(z)/3", "cos(z + 1)", "Max(z, 1/16)", "Max(-1, Min(z, 1))",
    "Max(z, 0) + Min(expm1(z), 0)", "relu(z)*erf(z)", "exp(-abs(z))", "relu(z)*sin(z)",
]  # fmt: skip


def number(form: sp.Expr, kernel: float, digits: int) -> mpmath.mpf:
    """The value of a closed form at the exact binary fraction ``kernel``."""
    found = form.evalf(digits, subs={K: sp.Rational(kernel)})
    with mpmath.workdps(digits):
        return found._to_mpmath(mpmath.mp.prec)


def compare_with_reference(name: str, kernel: float, brackets: list) -> int:
    """Relative agreement to 1e-20; returns the number of brackets that are not zero."""
    sigma = activation(name)
    compared = 0
    for orders, pending in brackets:
        form = closed_bracket(sigma, orders, pending)
        if form == 0:
            continue
        # where a product oscillates fast, the reference takes enough nodes only when more digits are asked for
        exact = reference(sigma, [[kernel]], ((orders, pending),), dps=50 if sigma.oscillating and kernel > 1 else 24)
        with mpmath.workdps(30):
            miss = abs(number(form, kernel, 26) - exact)
            assert miss <= 1e-20 * abs(exact) + 1e-34, (name, orders, pending, kernel)  # (1 - K) at K = 1 is zero
        compared += 1
    return compared


@pytest.mark.parametrize("name", NAMES[1::4])
def test_equals_the_reference(name: str) -> None:
    """One kernel and two of the brackets for every fourth activation, in turn; the slow test takes all."""
    place = NAMES.index(name)
    turn = place % (3 if activation(name).oscillating else 4)
    compare_with_reference(name, KERNELS[turn], BRACKETS[place % 10 :: 10])


@pytest.mark.slow
def test_equals_the_reference_everywhere() -> None:
    pairs = {k: sum(compare_with_reference(name, k, BRACKETS) for name in NAMES) for k in KERNELS}
    assert min(pairs.values()) >= 150


def test_equals_quadrature() -> None:
    """At least 300 pairs (activation, product) that do not vanish, each at one of the four kernels, in turn."""
    assert sum(compare_with_quadrature(name, [NAMES.index(name)]) for name in NAMES) >= 300


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_equals_quadrature_everywhere(name: str) -> None:
    assert compare_with_quadrature(name, [0, 1, 2, 3]) >= 8


def compare_with_quadrature(name: str, turns: list[int]) -> int:
    """Agreement to 1e-11 of <|f|>, zero where quadrature is zero, at the kernels that start so far from the bracket's.

    Returns the number of brackets that are not zero.
    """
    sigma = activation(name)
    kernels = np.array(KERNELS)[:, None, None]
    # six exponentials at K = 30 overflow in quadrature, not in the closed form: those the reference compares
    brackets = [entry for entry in BRACKETS if len(entry[0]) * sigma.growth < 6]
    moments = [(entry,) for entry in brackets]
    values, _ = gaussian_moments(sigma, kernels, moments, kinks="almost_everywhere")
    with np.errstate(all="ignore"):
        absolute = (kinked_averages if sigma.kinks else smooth_averages)(sigma, kernels, moments, 1e-11)[2]
    compared = 0
    for m, (orders, pending) in enumerate(brackets):
        form = closed_bracket(sigma, orders, pending)
        compared += form != 0
        for g in [(m + turn) % len(KERNELS) for turn in turns]:
            miss = abs(float(number(form, KERNELS[g], 17)) - values[g, m])
            assert miss <= 1e-11 * absolute[g, m], (name, orders, pending, KERNELS[g])
    return compared


# Witnesses that share nothing with quadrature -------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [(0, Fraction(-1, 2), 0, 1), (1, 0, 1), (Fraction(1, 3), 1, 1, 0, 2)])
def test_polynomials_exactly(sigma: tuple[Fraction, ...]) -> None:
    text = " + ".join(f"({c})*z^{i}" for i, c in enumerate(sigma) if i) + f" + {sigma[0]}"
    kernel = Fraction(3, 7)
    exact = PolynomialBrackets.single(sigma, kernel)
    for orders, pending in BRACKETS:
        found = closed_bracket(activation(text), orders, pending).subs(K, sp.Rational(3, 7))
        assert Fraction(int(found.p), int(found.q)) == exact.one(orders, pending), (orders, pending)


@pytest.mark.parametrize(
    ("name", "slopes"), [("relu", (1, 0)), ("leaky_relu", (1, Fraction(1, 100))), ("abs(z)", (1, -1))]
)
def test_scale_invariant_exactly(name: str, slopes: tuple[Fraction, Fraction]) -> None:
    exact = ScaleInvariantBrackets(slopes, Fraction(5, 3))
    for orders, pending in BRACKETS:
        if (orders.count(0) + pending) % 2 == 0:
            found = closed_bracket(activation(name), orders, pending).subs(K, sp.Rational(5, 3))
            assert Fraction(int(found.p), int(found.q)) == exact.one(orders, pending), (orders, pending)


BY_HAND = {
    # Williams 1996; Poole et al. 2016
    ("erf", (0, 0), 0): 2 / sp.pi * sp.asin(2 * K / (1 + 2 * K)),
    ("erf", (1, 1), 0): 4 / (sp.pi * sp.sqrt(1 + 4 * K)),
    ("probit", (0, 0), 0): 2 / sp.pi * sp.asin(K / (1 + K)),
    # Cho and Saul 2009, equal inputs
    ("relu", (0, 0), 0): K / 2,
    ("relu", (0, 0, 0, 0), 0): 3 * K**2 / 2,
    ("relu", (0,), 0): sp.sqrt(K / (2 * sp.pi)),
    ("relu", (1,), 1): 1 / sp.sqrt(2 * sp.pi * K),
    ("sin", (0, 0), 0): (1 - sp.exp(-2 * K)) / 2,
    ("sin", (0, 0, 0, 0), 0): (3 - 4 * sp.exp(-2 * K) + sp.exp(-8 * K)) / 8,
    ("exp", (0, 1), 1): 2 * sp.exp(2 * K),
    ("gaussian", (0, 0), 0): 1 / sp.sqrt(1 + 2 * K),
    ("zgaussian", (0, 0), 0): K / (1 + 2 * K) ** sp.Rational(3, 2),
    ("gelu", (0, 0), 0): K / 4 + K / (2 * sp.pi) * sp.asin(K / (1 + K)) + K**2 / (sp.pi * (1 + K) * sp.sqrt(1 + 2 * K)),
    ("gelu", (0,), 0): K / sp.sqrt(2 * sp.pi * (1 + K)),
    ("erf", (0, 0, 0, 0), 0): W(4, K),
}  # fmt: skip


@pytest.mark.parametrize("key", BY_HAND, ids=str)
def test_formulas_by_hand(key: tuple[str, tuple[int, ...], int]) -> None:
    name, orders, pending = key
    assert sp.simplify(closed_bracket(activation(name), orders, pending) - BY_HAND[key]) == 0


def test_pending_derivatives_are_derivatives_in_the_kernel() -> None:
    """<d^2 f> = 2 d<f>/dK, for smooth and kinked sigma and through W."""
    for name in ("gelu", "erf", "Max(z, 1/4)", "Max(z, 0) + Min(expm1(z), 0)", "relu(z)*erf(z)", "cos(z + 1)"):
        for orders in ((0, 0), (0, 0, 0, 0), (0, 0, 1, 1)):
            below, above = (closed_bracket(activation(name), orders, m) for m in (0, 2))
            difference = (2 * below.diff(K) - above).subs(K, sp.Rational(7, 10))
            assert abs(difference.evalf(25)) < 1e-22, (name, orders)


def test_parity_gives_exact_zeros() -> None:
    for name in ("erf", "sin", "zgaussian", "z^3 - z/2"):
        assert closed_bracket(activation(name), (0,)) == 0
        assert closed_bracket(activation(name), (0, 1)) == 0
        assert closed_bracket(activation(name), (0, 0), 3) == 0


def test_cancellation_keeps_its_digits() -> None:
    """<sin^4> at K = 1e-3 is 3e-6 of its terms; <gelu gelu> has none that cancel."""
    found = float(closed_bracket(activation("sin"), (0, 0, 0, 0)).evalf(17, subs={K: sp.Rational(1, 1000)}))
    series = 3e-6 - 10e-9 + 21e-12 - 34e-15 + (2047 / 45) * 1e-18  # z^4 - 2 z^6/3 + ..., term by term
    assert found == pytest.approx(series, rel=1e-14)
    assert str(closed_bracket(activation("gelu"), (0, 0))).count("-") == 0


def test_readable_forms() -> None:
    """Like terms are one fraction, common factors cancel, phases are one cosine."""
    assert str(closed_bracket(activation("gelu"), (1, 1))) == (
        "K*(5*K + 3)/(2*pi*(K + 1)*(2*K + 1)**(3/2)) + asin(K/(K + 1))/(2*pi) + 1/4"
    )
    assert str(closed_bracket(activation("z^3 - z/2"), (0, 0))) == "K*(60*K**2 - 12*K + 1)/4"
    assert str(closed_bracket(activation("cos(z + 1)"), (0, 0))) == "1/2 + exp(-2*K)*cos(2)/2"


def test_control_a_wrong_rule_fails_the_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: with a wrong slope of erf in the integration by parts the comparison above fails."""
    monkeypatch.setattr(integrals, "slope", lambda c: (atoms.slope(c)[0] * 2, atoms.slope(c)[1]))
    fresh(integrals.integral)
    with pytest.raises(AssertionError, match="gelu"):
        compare_with_reference("gelu", 1.0, [((0, 0), 0)])
    monkeypatch.undo()
    fresh(integrals.integral)
    assert compare_with_reference("gelu", 1.0, [((0, 0), 0)]) == 1


def fresh(*caches: object) -> None:
    """Forget what was computed."""
    from rgflow.brackets.closed import bracket

    for cache in (*caches, bracket._one, bracket._many):
        cache.cache_clear()  # type: ignore[attr-defined]


# Refusals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "orders", "reason"), [
    ("tanh", (0, 0), r"tanh\(z\) is not a sum"),
    ("swish", (0,), r"is not a sum of z\^m"),
    ("sigmoid", (1,), "is not a sum"),
    ("softplus", (0, 0), "is not a sum"),
    ("gelu_tanh", (0, 0), "is not a sum"),
    ("1/(1 + z^2)", (0, 0), "divides by a function"),
    ("erf(z + 1)", (0,), "shifted"),
    ("erf(z^2)", (0,), "not a polynomial of degree 1"),
    ("sin(z^2)", (0,), "not a polynomial of degree 1"),
    ("erf(z)*erf(2*z)", (0, 0), "no arcsine and no W_2m"),
    ("erf(z)*cos(z)", (0, 0), r"erf\(z\)\^2 meets"),
    ("Max(z, sqrt(2))", (0,), "not a short fraction"),
    ("Max(erf(z), z/2 - 1/4)", (0,), "not a short fraction"),
    ("Max(erf(z), z - 1) - Max(0, z - 1/2)*erf(z)", (0,), "kink"),
    ("relu(z)*erf(z)^3", (0, 1), "no arcsine"),
])  # fmt: skip
def test_refusals_say_why(name: str, orders: tuple[int, ...], reason: str) -> None:
    """The message names the activation, the bracket, what is in the way, and where its numbers are."""
    sigma = activation(name)
    with pytest.raises(NoClosedForm, match=reason) as caught:
        closed_bracket(sigma, orders)
    assert sigma.name in str(caught.value)
    assert str(caught.value).startswith("<s")
    assert "gaussian_moments" in str(caught.value)


@pytest.mark.parametrize("bad", [((-1,), 0), ((0,), -1), ((0.5,), 0), (0, 0), ((True,), 0), ((0,), 1.5)])
def test_bad_orders(bad: tuple) -> None:
    with pytest.raises(InputError):
        closed_bracket(activation("relu"), *bad)


def test_orders_come_in_any_order() -> None:
    assert closed_bracket(activation("gelu"), [2, 0]) is closed_bracket(activation("gelu"), (0, 2))
    assert closed_bracket(activation("relu"), ()) == 1
    assert closed_bracket(activation("relu"), (), 2) == 0
