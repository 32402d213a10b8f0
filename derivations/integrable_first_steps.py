r"""Hajjar, Chizat, Giraud, "Training integrable parameterizations of deep neural networks in the infinite-width limit"
(arXiv:2110.15596), formula by formula.

Assumptions: L hidden layers, L + 1 weight layers of width m, one output, gradient descent; W^l = m^-a w^l, w^l_0 ~ m^-b
U, rate of w^l: eta m^-c. rgflow counts weight layers: theirs of L is its L + 1.

The way. A function sees the initial W, m^-(a+b), and the rate of W itself, m^-(2a+c). In the integrable parametrisation
(IP) layers average, W = U/m, so that signals of centred weights shrink by m^(-1/2) in every hidden layer, forwards and
backwards: h^l ~ m^(-(l-1)/2), dh^l ~ m^(-1-(L-l)/2). What the first step of a hidden layer adds to its own h is rate x
dh x <sigma sigma> of the layer below, m^((3-L)/2) of h itself: it grows with L = 2, stays with L = 3, vanishes from
L = 4 on, and so does everything after any number of steps. IP-LLR takes one step at rates for which it is of order one.

What IP-LLR and the maximal update parametrisation have in common is in integrable_and_maximal_update.py.

Engine: rg.family and its exponents.
"""

from fractions import Fraction
from functools import cache

import sympy as sp
from rows import check_rows, row

import rgflow as rg
from rgflow.scaling.families.family import Family
from rgflow.scaling.families.triple import ABC

DRAWN = "tests/scaling/test_families_trained.py: explicit networks in NumPy, widths 128 to 2048"
COUNTED = "tests/scaling/test_families.py: limits, gauges, Yang and Hu's theorem"
STEPS = "tests/nn/test_first_step.py: first steps of torch modules"
HALF = Fraction(1, 2)
GROUPS = ("input", "hidden", "output")
HIDDEN = (2, 3, 4, 5)  # L
m = sp.Symbol("m", positive=True)


@cache
def counted(L, name="ip", biases=False):
    """The engine's exponents for L hidden layers."""
    return rg.family(name, layers=L + 1).exponents(layers=L + 1, biases=biases)


def row_of(exponents):
    """Several exponents beside each other."""
    found = [sp.Rational(each.numerator, each.denominator) for each in exponents]
    return sp.Tuple(*found) if len(found) > 1 else found[0]


# Definitions ---------------------------------------------------------------------------------------------------------


def made(a, b, c):
    """A family with these exponents of input, hidden and output layers."""
    return Family("typed", {group: ABC(*map(Fraction, each)) for group, *each in zip(GROUPS, a, b, c, strict=True)})


def check_definition(name, typed):
    """The same initial weights, rates and, in the paper's gauge, a, b, c."""
    found, typed_family = rg.family(name), made(*typed)
    assert typed_family.effective.weights == found.effective.weights
    return typed_family.exponents(), found


def shown(family):
    """Powers of m of the initial W and of its rate."""
    return {f"{group}: W, rate": row_of([family.std_power(group), family.rate_power(group)]) for group in GROUPS}


@row("integrable_parameterizations/ntk_exponents", witness=COUNTED)
def ntk_exponents():
    """Signals and shares of the tangent kernel of order one in every layer, and lazy."""
    typed_a, typed_b, typed_c = (0, HALF, HALF), (0, 0, 0), (0, 0, 0)
    found, family = check_definition("ntk", (typed_a, typed_b, typed_c))
    assert set(found["preactivation"]) == set(found["share"]) == {0}
    assert found.regime == "lazy"
    return shown(family)


@row("integrable_parameterizations/mup_exponents", witness=COUNTED)
def mup_exponents():
    """Hidden signals of order one, and every layer's own update, read by moved layers, of order one."""
    typed_a, typed_b, typed_c = (-HALF, 0, HALF), (HALF, HALF, HALF), (0, 0, 0)
    found, family = check_definition("mup", (typed_a, typed_b, typed_c))
    assert set(found["preactivation"][:-1]) == set(found["own_moved"]) == {0}
    assert found.regime == "learns features"
    return shown(family)


@row("integrable_parameterizations/ip_exponents", witness=COUNTED)
def ip_exponents():
    """Averages over neurons; its rates are those of muP, gauge by gauge."""
    typed_a, typed_b, typed_c = (0, 1, 1), (0, 0, 0), (-1, -2, -1)
    _, family = check_definition("ip", (typed_a, typed_b, typed_c))
    rates = made(typed_a, typed_b, typed_c)
    assert all(rates.rate_power(group) == rg.family("mup").rate_power(group) for group in GROUPS)
    return shown(family)


@row("integrable_parameterizations/ip_llr_first_step", witness=STEPS)
def ip_llr_first_step():
    for L in HIDDEN:
        typed = [-Fraction(L + 1, 2), -Fraction(L + 2, 2), -Fraction(L + 1, 2)]
        found = rg.family("ip-llr", layers=L + 1).first
        assert [found[group] for group in GROUPS] == typed
        assert set(counted(L, "ip-llr").step(1, "own")) == {0}
    return {f"L = {L}: c": row_of(rg.family("ip-llr", layers=L + 1).first.values()) for L in HIDDEN}


@row("integrable_parameterizations/ip_llr_later", witness=STEPS)
def ip_llr_later():
    typed = [-1, -2, -1]
    for L in HIDDEN:
        family = rg.family("ip-llr", layers=L + 1)
        assert [family.weights[group].c for group in GROUPS] == typed
        assert all(family.rate_power(group) == rg.family("mup").rate_power(group) for group in GROUPS)
    return {"c": row_of(family.weights[group].c for group in GROUPS)}


@row("integrable_parameterizations/effective_rate", witness=COUNTED)
def effective_rate():
    """W = m^-a w and a step of w, with any a and c."""
    a, c, eta, slope = sp.symbols("a c eta slope", positive=True)
    W, w = m**-a * sp.Symbol("w"), sp.Symbol("w")
    change = sp.diff(W, w) * (-eta * m**-c) * slope * sp.diff(W, w)  # dW/dw x rate x dE/dW x dW/dw
    typed = 2 * a + c
    assert sp.simplify(change / (-eta * slope) / m**-typed) == 1
    for values in ((HALF, 0), (1, -2), (0, -1)):
        assert ABC(values[0], 0, values[1]).rate_power() == -typed.subs({a: values[0], c: values[1]})
    return sp.powsimp(change / (-slope))


@row("integrable_parameterizations/homogeneous_exponents", witness=STEPS)
def homogeneous_exponents():
    """sigma(t z) = t^p sigma(z), t > 0."""
    for p in (1, 2, 3):
        for L in (2, 3, 4):
            typed = -HALF * (1 + sum(p**k for k in range(L)))
            typed_hidden = typed - HALF
            found = rg.family("ip-llr", layers=L + 1, homogeneity=p).first
            assert found == {"input": typed, "hidden": typed_hidden, "output": typed}
    found = {p: rg.family("ip-llr", layers=5, homogeneity=p).first for p in (1, 2, 3)}
    return {f"p = {p}, L = 4: c": row_of(first.values()) for p, first in found.items()}


# The start and one step ----------------------------------------------------------------------------------------------


def check_layers(column, typed, places):
    """typed(L, l) for every layer of ``places(L)``; l counts from 1."""
    for L in HIDDEN:
        for l in places(L):
            assert counted(L)[column][l - 1] == typed(L, l), (L, l)
    return {f"L = {L}: powers of m": row_of(counted(L)[column][l - 1] for l in places(L)) for L in HIDDEN}


@row("integrable_parameterizations/forward_scale", witness=DRAWN)
def forward_scale():
    typed = lambda L, l: -Fraction(l - 1, 2)  # noqa: E731
    return check_layers("preactivation", typed, lambda L: range(1, L + 1))


@row("integrable_parameterizations/output_scale", witness=DRAWN)
def output_scale():
    typed = lambda L, l: -Fraction(L, 2)  # noqa: E731
    return check_layers("preactivation", typed, lambda L: [L + 1])


@row("integrable_parameterizations/backward_scale", witness=DRAWN)
def backward_scale():
    typed = lambda L, l: -1 - Fraction(L - l, 2)  # noqa: E731
    return check_layers("gradient", typed, lambda L: range(1, L + 1))


@row("integrable_parameterizations/naive_step_hidden", witness=DRAWN)
def naive_step_hidden():
    typed = lambda L, l: Fraction(3 - L, 2)  # noqa: E731
    return check_layers("own_relative", typed, lambda L: range(2, L + 1))


@row("integrable_parameterizations/naive_step_output", witness=DRAWN)
def naive_step_output():
    typed = lambda L, l: Fraction(2 - L, 2)  # noqa: E731
    return check_layers("own_relative", typed, lambda L: [L + 1])


@row("integrable_parameterizations/naive_step_first", witness=DRAWN)
def naive_step_first():
    typed = lambda L, l: -Fraction(L - 1, 2)  # noqa: E731
    return check_layers("own_relative", typed, lambda L: [1])


@row("integrable_parameterizations/four_layers", witness=DRAWN)
def four_layers():
    """What grows at the first step are the hidden layers' own updates, over h."""
    typed = {2: "grows", 3: "marginal", 4: "frozen", 5: "frozen"}
    words = {"learns features": "grows", "marginal": "marginal", "frozen": "frozen"}
    for L in HIDDEN:
        assert words[counted(L).regime] == typed[L]
    return {f"L = {L}": counted(L).regime for L in HIDDEN}


@row("integrable_parameterizations/trivial_learning", witness=DRAWN)
def trivial_learning():
    """Powers of m in f and in its changes after any number of steps: all below 0 with more than four weight layers."""
    typed = {3: "moves", 5: "f stays 0", 6: "f stays 0"}
    found = {}
    for layers in typed:
        exponents = counted(layers - 1)
        powers = [exponents["output"], *(exponents.step(k, "change")[-1] for k in range(1, len(exponents.history) + 1))]
        found[layers] = max(powers)
        assert typed[layers] == ("f stays 0" if found[layers] < 0 else "moves")
    return {f"{layers} weight layers: largest power of m in f": value for layers, value in found.items()}


@row("integrable_parameterizations/bias_exponents", witness=STEPS)
def bias_exponents():
    """Unscaled biases: with them signals are of order one, dh as before; c makes own first updates of order one.

    Biases: m^-c dh. Weights: m^-(2a+c) dh times a sum over the m neurons below, in the first layer over inputs.
    """
    family = rg.family("ip")
    for L in HIDDEN:
        found = counted(L, biases=True)
        groups = ["input", *["hidden"] * (L - 1), "output"]
        sums = [0, *[1] * L]
        weights = [
            d - 2 * family.weights[g].a + more for g, d, more in zip(groups, found["gradient"], sums, strict=True)
        ]
        typed_first, typed_last, typed_last_bias = -Fraction(L + 1, 2), -1, 0
        typed_hidden = [-Fraction(L - l + 4, 2) for l in range(2, L + 1)]
        typed_biases = [-Fraction(L - l + 2, 2) for l in range(1, L + 1)]
        assert weights == [typed_first, *typed_hidden, typed_last]
        assert [*found["gradient"]] == [*typed_biases, typed_last_bias]
        assert set(found["preactivation"]) == {0}
    typed_later, typed_later_biases = [-1, -2, -1], [-1, 0]
    assert [family.weights[group].c for group in GROUPS] == typed_later
    assert [family.biases["hidden"].c, family.biases["output"].c] == typed_later_biases
    return {f"L = {L}, c of weights": row_of(weights), "c of biases": row_of(found["gradient"])}


if __name__ == "__main__":
    check_rows(globals())
