"""Exact solutions in depth for sigma with two slopes: rational iteration, closed forms of papers, oracles, flows."""

from dataclasses import replace
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
import sympy as sp
from exact_flow import flow_one
from oracles.deep_linear import DeepLinear
from oracles.exact_brackets import ScaleInvariantBrackets
from oracles.product_law import LINEAR, RELU, coefficients, growth
from sources.pdlt_depth import TEST_LAMBDA_B, TEST_LAMBDA_W, TEST_LAYER, TEST_VALUES, scale_invariant

from rgflow import MLP, Tensor, activation, closure, flow
from rgflow.algebra import System
from rgflow.errors import NoClosedForm
from rgflow.universality.averages import closed
from rgflow.universality.exact import SYMBOLS, K, homogeneous
from rgflow.universality.exponentials import Exponentials, l

LETTERS = ("K", "Theta", "V", "A", "B", "D", "F", "P", "Q", "R", "S", "T", "U")
CORRECTIONS = ("K_1", "Theta_1", "V_1", "V6")
NAMES = (*LETTERS, *CORRECTIONS)
ZEROS = ("P", "R", "U", "K_1", "Theta_1")
CASES = {"linear": (activation("linear"), LINEAR), "relu": (activation("relu"), RELU)}
CASES["leaky"] = (activation("Max(z, 0) + Min(z, 0)/3"), (1, Fraction(1, 3)))
RATES = {"lambda_b": sp.Rational(1, 2), "lambda_W": sp.Rational(7, 10)}
FIRST = sp.Rational(6, 5)


def rational(number):
    return Fraction(int(number.p), int(number.q))


def iterate(system, slope_pair, C_b, C_W, depth=6):
    """The recursions run with rational numbers from layer 1, {name: value} per layer."""
    hyper = {"C_b": C_b, "C_W": C_W, **{name: rational(value) for name, value in RATES.items()}}
    k = rational(FIRST)
    first = {"K": k, "Theta": hyper["lambda_b"] + hyper["lambda_W"] * (k - C_b) / C_W}
    brackets = cache(lambda kernel: ScaleInvariantBrackets(slope_pair, kernel))
    return flow_one(system, brackets, first, [hyper] * depth, [1] * (depth - 1))


def different(solved, states):
    """Names whose formula differs from the iteration at some layer."""
    return {
        name
        for layer, state in enumerate(states, start=1)
        for name, value in state.items()
        if solved[name].subs(l, layer) != sp.Rational(value.numerator, value.denominator)
    }


def system(names=NAMES):
    return closure(names)


# Rational iteration: the terms of the recursions, one layer after another --------------------------------------------

POINTS = [(0, None), (0, Fraction(3, 2)), (Fraction(1, 10), None), (Fraction(1, 7), Fraction(5, 3))]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("C_b", "C_W"), POINTS)
def test_rational_iteration(case, C_b, C_W):
    sigma, slope_pair = CASES[case]
    critical = 2 / sum(Fraction(a) ** 2 for a in slope_pair)
    at = {"C_b": Fraction(C_b), "C_W": critical if C_W is None else C_W}
    exactly = {name: sp.Rational(x.numerator, x.denominator) for name, x in at.items()}
    solved = homogeneous(system(), closed(sigma), exactly | RATES | {"k": FIRST})
    assert different(solved, iterate(system(), slope_pair, at["C_b"], at["C_W"])) == set()
    assert all(solved[name] == 0 for name in ZEROS)


@pytest.mark.parametrize("case", ["linear", "relu"])
def test_symbolic_hyperparameters(case):
    """C_b and C_W as symbols: one formula, the same numbers when they are put in."""
    sigma, slope_pair = CASES[case]
    C_b, C_W = Fraction(1, 7), Fraction(5, 3)
    solved = homogeneous(system(), closed(sigma), {})
    put = {SYMBOLS["C_b"]: sp.Rational(1, 7), SYMBOLS["C_W"]: sp.Rational(5, 3), SYMBOLS["k"]: FIRST}
    put |= {SYMBOLS[name]: value for name, value in RATES.items()}
    at_point = {name: x.subs(put) for name, x in solved.items()}
    assert different(at_point, iterate(system(), slope_pair, C_b, C_W)) == set()


def test_all_next_to_leading_letters():
    """Every letter with its first correction, ReLU at criticality."""
    names = [*LETTERS, *(f"{name}_1" for name in LETTERS), "K_2", "Theta_2"]
    rational_two = {"C_W": sp.Integer(2), "C_b": sp.S.Zero}
    solved = homogeneous(closure(names), closed(activation("relu")), rational_two | RATES | {"k": FIRST})
    assert different(solved, iterate(closure(names), RELU, Fraction(0), Fraction(2), depth=4)) == set()


# Papers and oracles --------------------------------------------------------------------------------------------------


def with_slopes(A_2, A_4):
    """Averages for slopes that stay symbols, from the moments of a half-line."""

    def average(orders, pending):
        degree = orders.count(0)
        if any(order > 1 for order in orders) or degree < pending:
            return sp.S.Zero
        moment = sp.ff(degree, pending) * sp.factorial2(degree - pending - 1)
        return {2: A_2, 4: A_4}[len(orders)] * moment * K ** sp.Rational(degree - pending, 2)

    return average


def test_scale_invariant_class_at_symbolic_slopes():
    A_2, A_4 = sp.symbols("A_2 A_4", positive=True)
    names = [*LETTERS, "K_1", "Theta_1"]
    solved = homogeneous(closure(names), with_slopes(A_2, A_4), {"C_b": sp.S.Zero, "C_W": 1 / A_2})
    typed = scale_invariant(l, A_2, A_4, SYMBOLS["k"], SYMBOLS["lambda_b"], SYMBOLS["lambda_W"])
    assert {name for name in names if sp.expand(solved[name] - typed[name]) != 0} == set()


@pytest.mark.parametrize("case", ["linear", "relu"])
def test_numbers_of_the_scale_invariant_class(case):
    sigma, _ = CASES[case]
    average = closed(sigma)
    kernel = sp.cancel(K / average((0, 0), 0))
    rates = {"lambda_b": TEST_LAMBDA_B, "lambda_W": TEST_LAMBDA_W}
    rates = {name: sp.Rational(x.numerator, x.denominator) for name, x in rates.items()}
    solved = homogeneous(system(), average, {"C_b": sp.S.Zero, "C_W": kernel, "k": kernel} | rates)
    found = {name: rational(solved[name].subs(l, TEST_LAYER)) for name in TEST_VALUES[case]}
    assert found == TEST_VALUES[case]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("C_W", [None, Fraction(3, 2)])
def test_product_law(case, C_W):
    """E[G^2]/E[G]^2 = prod (1 + c/n): V, V_1, V6, and no corrections of K, at criticality and off it."""
    sigma, slope_pair = CASES[case]
    weight = 2 / sum(Fraction(a) ** 2 for a in slope_pair) if C_W is None else C_W
    names = ("K", "K_1", "K_2", "V", "V_1", "V6")
    at = {"C_b": sp.S.Zero, "C_W": sp.Rational(weight.numerator, weight.denominator), "k": FIRST}
    solved = homogeneous(closure(names), closed(sigma), at)
    law = coefficients(slope_pair, rational(FIRST), weight, [1] * 5)
    for layer, state in enumerate(law, start=1):
        assert {name: rational(solved[name].subs(l, layer)) for name in names} == {name: state[name] for name in names}


def test_chapter_three_to_all_layers():
    """G4/G2^2 - 1 = (1 + c/n)^(l-1) - 1: V_q = c^{q+1} C(l-1, q+1) K^2 for every l at once, c = 2 and 5."""
    mu = SYMBOLS["C_W"]
    for sigma, slope_pair in (CASES["linear"], CASES["relu"]):
        average = closed(sigma)
        second = average((0, 0), 0) / K
        solved = homogeneous(closure("V_2"), average, {"C_b": sp.S.Zero})
        c = sp.Rational(*growth(slope_pair).as_integer_ratio())
        for q, name in enumerate(("V", "V_1", "V_2")):
            expected = c ** (q + 1) * sp.binomial(l - 1, q + 1).expand(func=True) * SYMBOLS["k"] ** 2
            assert sp.simplify(solved[name] / (mu * second) ** (2 * l - 2) - expected) == 0


@pytest.mark.parametrize(("C_b", "C_W"), [(0, 1), (Fraction(1, 10), 1), (Fraction(1, 7), Fraction(5, 3))])
def test_deep_linear_networks(C_b, C_W):
    """The exact map of one linear layer, which knows nothing of recursions; P and U first appear at 1/n^2."""
    depth, k = 5, rational(FIRST)
    hyper = {"C_b": Fraction(C_b), "C_W": Fraction(C_W)}
    rates = {name: rational(value) for name, value in RATES.items()}
    net = DeepLinear.uniform([[(k - hyper["C_b"]) / hyper["C_W"]]], depth, **hyper, **rates)
    names = [*NAMES, "K_2", *(f"{letter}_1" for letter in "ABDFPQRSTU")]
    at = {name: sp.Rational(x.numerator, x.denominator) for name, x in hyper.items()} | RATES | {"k": FIRST}
    solved = homogeneous(closure(names), closed(activation("linear")), at)
    wrong = set()
    for layer, row in enumerate(net.coefficients([1] * (depth - 1)), start=1):
        values = {name: next(iter(row[name].values())) for name in names}
        wrong |= {name for name in names if rational(solved[name].subs(l, layer)) != values[name]}
    assert wrong == set()
    assert solved["P_1"] != 0
    assert solved["U_1"] != 0


@pytest.mark.parametrize("case", ["linear", "relu"])
def test_flow_off_criticality(case):
    sigma, _ = CASES[case]
    net = MLP.uniform(n_in=5, width=5, depth=24, activation=sigma, C_b=0.25, C_W=1.75, lambda_b=0.5, lambda_W=0.75)
    ds = flow(net, first_kernel=1.5, tensors=[Tensor.named(name) for name in NAMES], order=2, kinks="almost_everywhere")
    at = {"C_b": sp.Rational(1, 4), "C_W": sp.Rational(7, 4), "k": sp.Rational(3, 2)}
    at |= {"lambda_b": sp.Rational(1, 2), "lambda_W": sp.Rational(3, 4)}
    solved = homogeneous(system(), closed(sigma), at)
    for name in NAMES:
        expected = [float(solved[name].subs(l, layer)) for layer in range(1, 25)]
        np.testing.assert_allclose(ds[name], expected, rtol=1e-10, atol=0, err_msg=name)


# Controls ------------------------------------------------------------------------------------------------------------


def test_a_dropped_term_is_seen():
    """Solve recursions of which one term is missing: the tensor and what depends on it differ from the iteration."""
    whole = closure(["V", "Theta", "D"])
    states = iterate(whole, RELU, Fraction(1, 7), Fraction(5, 3))
    at = {"C_b": sp.Rational(1, 7), "C_W": sp.Rational(5, 3), "k": FIRST} | RATES
    rest = tuple(replace(rec, terms=rec.terms[1:]) if rec.name == "V" else rec for rec in whole)
    solved = homogeneous(System(rest), closed(activation("relu")), at)
    assert different(solved, states) == {"V", "D"}


def test_a_missed_resonance_is_seen(monkeypatch):
    """At criticality every source resonates: without raising the degree V stays where it is."""

    def flat(self, first, power, source):
        return self.sum([(self.number(1), {(0, 0): first} if first else {}), (self.number(1), source)])

    monkeypatch.setattr(Exponentials, "solve", flat)
    whole = closure(["V", "Theta"])
    states = iterate(whole, RELU, Fraction(0), Fraction(2))
    solved = homogeneous(
        whole, closed(activation("relu")), {"C_b": sp.S.Zero, "C_W": sp.Integer(2), "k": FIRST} | RATES
    )
    assert different(solved, states) == {"V", "Theta"}


# The ring and the class ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mu", [sp.Integer(1), sp.Rational(3, 4), sp.Symbol("mu")])
def test_linear_recursions_over_exponential_polynomials(mu):
    """X(l+1) - mu^power X(l) = S(l) and X(1) = first, for sources that resonate and that do not."""
    domain = sp.QQ.frac_field(mu) if mu.free_symbols else sp.QQ
    k = sp.Symbol("k")
    ring = Exponentials([k], domain, mu)
    first = ring.number(k)
    source = {(p, j): ring.number(p + 1) + first * j for p in range(2) for j in range(1 if mu == 1 else 3)}
    for power in (0, 2, 3):
        x = ring.solve(first, power, source)
        left = ring.sum([(ring.number(1), ring.shift(x)), (ring.number(-1) * ring.power(power), x)])
        assert left == source
        assert sp.cancel(ring.expression(x).subs(l, 1) - k) == 0
    y = ring.product(source, source)
    for layer in range(1, 5):
        direct = ring.expression(source).subs(l, layer) ** 2
        assert sp.simplify(ring.expression(y).subs(l, layer) - direct) == 0


def test_which_activations_have_two_slopes():
    assert activation("linear").slopes == (1, 1)
    assert activation("relu").slopes == (0, 1)
    assert activation("Abs(z)").slopes == (-1, 1)
    assert activation("sqrt(2)*z").slopes == (2**0.5, 2**0.5)
    for text in ("tanh", "z + 1", "z^2", "Max(z, 1)", "Heaviside(z)", "sign(z)", "Max(z, 0)^2"):
        assert activation(text).slopes is None, text


def test_averages_that_are_no_powers_are_refused():
    with pytest.raises(NoClosedForm, match="no power of K"):
        homogeneous(closure("V"), closed(activation("sin")), {})
