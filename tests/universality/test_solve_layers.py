"""Solutions in depth where layers are not dense: against flows with memory, typed sums, and refusals."""

import math
import runpy
from pathlib import Path

import numpy as np
import pytest
import sympy as sp

import rgflow as rg

FOLDER = Path(__file__).parents[2] / "derivations"
R = rg.Residual


def g(c):
    return 2 / math.pi * ((1 + 2 * c * c) * math.asin(c) + 3 * c * math.sqrt(1 - c * c))


def typed(skip, k):
    odd = sum(g(skip ** abs(i - j)) for i in range(k) for j in range(k))
    return 2 * (1 - skip**4) * k + (1 - skip**2) ** 2 * odd


@pytest.mark.parametrize("skip", [0.5, 0.8, 0.95, -0.6])
def test_vertex_of_relu_is_a_finite_sum(skip):
    """For a number and for a symbol, at several depths; without layers after the first it vanishes."""
    one = rg.solve("V", "relu", layer=R(skip=skip))
    symbol = rg.solve("V", "relu", layer=R(), skip="symbolic")
    assert (one.kind, one.free, symbol.free) == ("exact", ("k",), ("k", "skip"))
    for k in (0, 1, 2, 7, 30):
        expected = 4 * typed(skip, k)
        assert one.at(k + 1, k=2.0) == pytest.approx(expected, rel=1e-13)
        assert symbol.at(k + 1, k=2.0, skip=skip) == pytest.approx(expected, rel=1e-12)
    book = rg.solve("V", "relu", layer=R(skip=skip), closure="book")
    assert abs(book.at(8, k=2.0) / (4 * typed(skip, 7)) - 1) > 0.1  # control


@pytest.mark.parametrize(
    ("name", "activation", "options"),
    [
        ("V", "relu", {"layer": R(skip=0.8)}),
        ("V", "relu", {"layer": R(), "skip": "symbolic"}),
        ("V", "relu", {"layer": R(skip=0.8), "closure": "book"}),
        ("A", "relu", {"layer": R(skip=0.8), "closure": "book"}),
        ("V", "linear", {"layer": R(skip=0.8)}),
        ("A", "linear", {"layer": R(skip=-0.8), "C_b": 0.1, "C_W": 0.3, "first_kernel": 1}),
        ("Q", "linear", {"layer": R(skip=0.6)}),
        ("Theta_1", "linear", {"layer": R(skip=0.6), "C_W": 0.7}),
        ("D", "Abs(z)", {"layer": R(skip=0.6)}),
        ("F", "Abs(z)", {"layer": R(skip=0.6)}),
        ("V", "linear", {"layer": R(), "skip": "symbolic", "C_W": "symbolic", "first_kernel": 1}),
        ("K", "relu", {"layer": R(skip=1.2), "C_b": 0.1, "C_W": 0.7}),
        ("Theta", "relu", {"layer": R(skip=0.8), "C_b": 0.1, "C_W": 0.7}),
        ("Theta", "gelu", {"layer": R(skip=0.8)}),
        ("V", "gelu", {"layer": R(skip=0.8), "closure": "book"}),
        ("B", "gelu", {"layer": R(skip=0.0)}),
        ("V", "relu", {"layer": rg.Orthogonal()}),
        ("A", "leaky_relu", {"layer": rg.Orthogonal()}),
        ("V", "linear", {"layer": rg.Orthogonal(), "C_W": 0.5}),
    ],
)
def test_exact_solutions_are_those_of_a_flow(name, activation, options):
    check = rg.solve(name, activation, **options).check(6)
    assert check.passed, str(check)


@pytest.mark.parametrize(
    ("name", "options", "depth"),
    [
        ("K", {"layer": R(skip=0.6)}, 1500),
        ("K", {"layer": R(), "skip": "symbolic"}, 1500),
        ("V", {"layer": rg.Orthogonal()}, 3000),
    ],
)
def test_asymptotic_solutions_are_those_of_a_flow(name, options, depth):
    check = rg.solve(name, "tanh", **options).check(depth)
    assert check.passed, str(check)


def test_amplitudes_as_functions_of_the_skip_strength():
    """K = 1/(a (1 - skip^2) l), V/K^2 = (2/3)(1 - skip^4) l, linear V/k^2 = 2 (1 - skip^4)(l - 1)."""
    l, skip, k = (
        sp.Symbol("l", integer=True, positive=True),
        sp.Symbol("skip", real=True),
        sp.Symbol("k", positive=True),
    )
    for name, a in (("erf", 2),):
        K, V = (rg.solve(x, name, layer=R(), skip="symbolic").expression for x in ("K", "V"))
        assert sp.simplify(K * a * (1 - skip**2) * l - 1) == 0, name
        assert sp.simplify(V / K**2 - sp.Rational(2, 3) * (1 - skip**4) * l) == 0, name
    V = rg.solve("V", "linear", layer=R(), skip="symbolic")
    assert sp.simplify(V.expression - 2 * (1 - skip**4) * k**2 * (l - 1)) == 0
    assert V.at(5, k=1, skip=-0.5) == pytest.approx(7.5)
    half = rg.solve("V", "linear", layer=R(), skip=sp.Rational(1, 2))
    assert half == rg.solve("V", "linear", layer=R(skip=0.5))


def test_what_it_says():
    found = rg.solve("V", "relu", layer=R(skip=0.5), closure="book")
    assert "residual layer" in str(found)
    assert "the book's closure" in str(found)
    assert any("do not remember" in text for text in found.assumptions)
    full = rg.solve("V", "relu", layer=R(skip=0.5))
    assert "book" not in str(full)
    assert any("remember all their past" in text for text in full.assumptions)
    assert r"\sum" in full.latex()
    assert rg.solve("V", "relu", layer=rg.Dense(C_W=9.0)) == rg.solve("V", "relu")


@pytest.mark.parametrize(
    ("error", "match", "arguments", "options"),
    [
        (rg.NoClosedForm, "only V is solved", ("A", "relu"), {"layer": R(skip=0.8)}),
        (rg.NoClosedForm, "at the critical C_b and C_W", ("V", "relu"), {"layer": R(skip=0.8), "C_W": 0.5}),
        (rg.NoClosedForm, "not solved with all", ("V", "gelu"), {"layer": R(skip=0.8)}),
        (rg.NoClosedForm, "neurons remember", ("U", "tanh"), {"layer": R(skip=0.8)}),
        (rg.NoClosedForm, "neurons remember", ("V", "z - z^2/5 - z^3/3*exp(-z^2)"), {"layer": R(skip=0.8)}),
        (rg.NoClosedForm, "needs .skip. < 1", ("Theta", "relu"), {"layer": R(skip=1.2), "C_W": 0.5}),
        (rg.NoClosedForm, "several weight matrices", ("V", "tanh"), {"layer": rg.Branch()}),
        (rg.NoClosedForm, "at its critical C_W", ("K", "tanh"), {"layer": R(skip=0.8), "C_W": 1.0}),
        (rg.NoCriticalPoint, "grows in every layer", ("K", "relu"), {"layer": R(skip=1.0)}),
        (rg.NoCriticalPoint, "would need C_b", ("V", "gelu"), {"layer": rg.Orthogonal()}),
        (rg.OrderError, "beyond|order", ("V_1", "linear"), {"layer": R(skip=0.5)}),
        (rg.InputError, "dense layer has none", ("V", "tanh"), {"skip": 0.5}),
        (rg.InputError, "closure", ("V", "tanh"), {"closure": "short"}),
        (rg.InputError, "skip is", ("V", "tanh"), {"layer": R(), "skip": "strong"}),
        (rg.InputError, "skip is", ("V", "tanh"), {"layer": R(), "skip": float("nan")}),
        (rg.InputError, "means something else", ("V", "relu"), {"layer": R(), "skip": sp.Symbol("l")}),
        (rg.InputError, "not a layer", ("V", "tanh"), {"layer": "residual"}),
    ],
)
def test_refusals(error, match, arguments, options):
    with pytest.raises(error, match=match):
        rg.solve(*arguments, **options)


def test_control_sampled_growth_and_another_formula(monkeypatch):
    """The derivation notices the published growth in place of the one with memory."""
    monkeypatch.syspath_prepend(FOLDER)
    script = runpy.run_path(str(FOLDER / "appendix_b_residual.py"))
    names = script["relu"].__globals__
    right = names["with_memory"]
    for wrong in (lambda s, k, slopes=(0.0, 1.0): script_published(s, k), lambda *x: right(*x) * (1 + 1e-9)):
        monkeypatch.setitem(names, "with_memory", wrong)
        with pytest.raises(AssertionError):
            script["relu"]()


def script_published(skip, k):
    return (1 - skip**2) * (5 * (1 - skip**2) + 4 * skip**2) * k


def test_sums_are_evaluated_term_by_term():
    from rgflow.universality.evaluation import evaluate
    from rgflow.universality.exponentials import l

    d = sp.Symbol("d", integer=True, positive=True)
    expression = sp.Sum((l - d) * sp.Rational(1, 2) ** d, (d, 1, l - 2)) / l
    for layer in (1, 2, 3, 10):
        by_hand = sum((layer - i) * 0.5**i for i in range(1, layer - 1)) / layer
        np.testing.assert_allclose(evaluate(expression, [layer], {}), by_hand, rtol=1e-15)
