"""Derived power laws against flows a hundred thousand layers deep, against the book, and against a second iteration."""

import importlib.util
import json
import math
import re
import sys
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import sympy as sp
from sources.pdlt_depth import scale_invariant, vanishing_fixed_point
from sources.pdlt_one import Parameters, first_layer, step

import rgflow as rg
from rgflow.algebra import System
from rgflow.universality import asymptotic, depth_series, laws, onset, vanishing
from rgflow.universality.exponentials import l
from rgflow.universality.laws import TABLE, power_laws

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
specification = importlib.util.spec_from_file_location("power_laws", BENCHMARKS / "power_laws.py")
plan = sys.modules["power_laws"] = importlib.util.module_from_spec(specification)
specification.loader.exec_module(plan)
KEPT = json.loads((BENCHMARKS / "results" / "power_laws.json").read_text())["activations"]

LEANING, FLAT = "tanh(z)+z^2*exp(-z^2)/4", "z - z^5*exp(-z^2)"
QUICK = ("tanh", "sin", "relu", "leaky_relu", "linear", "gelu")


def confirm(rows):
    """What is claimed of every tensor that does not vanish."""
    for row in rows:
        late = np.abs(row.correction) < 0.005
        if late.any():  # the amplitude, within 1 % wherever the correction is below 0.5 %
            assert np.all(np.abs(row.residual[late]) < 0.01), row.tensor
        else:  # or of the last two, extrapolated in the power of the depth by which the correction falls
            assert row.steps < 1, f"{row.tensor}: the correction never falls below 0.5 %"
            before, after = 1 + row.residual[-2:]
            assert abs((2**row.steps * after - before) / (2**row.steps - 1) - 1) < 0.01, row.tensor
        # the exponent: the ends of the last doubling, each off by its correction
        allowed = np.sum(np.abs(row.correction[-2:])) / math.log(2) + 1e-4
        assert plan.slope(row) == pytest.approx(row.exponent, abs=allowed), row.tensor
        follow(row)
        if row.exact:
            assert np.all(np.abs(row.unexplained) <= row.error + 1e-13), row.tensor


def follow(row):
    """The residual is the correction: what remains falls as the square of the correction, up to logarithms.

    Divided by that square the remainder is a polynomial in ln l. Its differences grow from one doubling to the next by
    a factor (1 + ln 2/ln l)^4 = 1.3 even if the fifth power decides; a term that is wrong in the correction doubles
    them. The bound is the geometric middle of the two. Where the correction falls as 1/sqrt(l) only, such a term makes
    the quotient grow fourfold over the last sixteenfold depth, where the polynomial grows by less than two.
    """
    scale = row.layers ** (2 * row.steps)
    polynomial, noise = row.rest * scale, 2 * (row.error + 1e-12) * scale
    if row.steps == 1:
        differences = np.abs(np.diff(polynomial))
        growth = (1 + math.log(2) / math.log(row.layers[-3])) ** 4
        assert differences[-1] <= math.sqrt(2 * growth) * differences[-2] + noise[-1], row.tensor
        assert abs(row.rest[-1]) <= 0.01 * row.size[-1] + row.error[-1], row.tensor
    else:
        assert abs(polynomial[-1]) <= 2 * np.max(np.abs(polynomial[:2])) + noise[-1], row.tensor


@cache
def rows_of(spec):
    return plan.compare(spec, KEPT[spec])


def test_everything_was_kept():
    assert set(KEPT) == {*plan.NAMED, *plan.OWN}
    assert all(kept["layers"] == list(plan.LAYERS) and set(kept["values"]) == set(TABLE) for kept in KEPT.values())


@pytest.mark.parametrize(
    "spec", [pytest.param(s, marks=() if s in QUICK else pytest.mark.slow) for s in (*plan.NAMED, *plan.OWN)]
)
def test_kept_flows(spec):
    """Today's laws against the numbers of the deep flows, at lambda_b = 0.7, lambda_W = 1.3."""
    rows, vanishing_ones = rows_of(spec)
    confirm(rows)
    straight = rg.criticality(spec).universality_class == "scale-invariant"
    assert vanishing_ones == (["P", "R", "U", "K_1", "Theta_1"] if straight else [])
    for name in vanishing_ones:  # exact zeros, also in the flow
        assert np.all(np.abs(KEPT[spec]["values"][name]) <= np.array(KEPT[spec]["errors"][name])), name
        law = rg.criticality(spec).laws[name]
        assert law.expression == 0
        assert rg.criticality(spec).exponents[name] is None


def test_flow_of_today():
    """The first of the kept layers, flowed again."""
    spec, layers = "sin", plan.LAYERS[:1]
    now = plan.measure(spec, layers)
    for name in TABLE:
        then, error = KEPT[spec]["values"][name][0], KEPT[spec]["errors"][name][0]
        assert now["values"][name][0] == pytest.approx(then, rel=1e-12, abs=error + now["errors"][name][0]), name


@pytest.mark.slow
@pytest.mark.parametrize("spec", [*plan.NAMED, *plan.OWN])
def test_deep_flows_again(spec):
    """The whole plan: about a minute for each activation."""
    now = plan.measure(spec)
    rows, _ = plan.compare(spec, now)
    confirm(rows)
    for name in TABLE:
        then, error = np.array(KEPT[spec]["values"][name]), np.array(KEPT[spec]["errors"][name])
        assert np.all(np.abs(now["values"][name] - then) <= error + now["errors"][name] + 1e-12 * np.abs(then)), name


# The book -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "a_1", "slope"), [("tanh", -2, 1), ("sin", -1, 1), ("erf", -2, 2 / sp.sqrt(sp.pi))])
def test_the_book_s_amplitudes(name, a_1, slope):
    """Symbolically, in lambda_b and lambda_W; sigma/sigma'(0) has the rate lambda_W sigma'(0)^2."""
    found = rg.criticality(name)
    lambda_b, lambda_W = sp.symbols("lambda_b lambda_W", nonnegative=True)
    typed = vanishing_fixed_point(sp.Integer(a_1), lambda_b, lambda_W * slope**2)
    Theta = typed["Theta"](l, None)
    for letter, formula in typed.items():
        expected = sp.nsimplify(formula(l, Theta), rational=True)
        assert sp.simplify(found.laws[letter].leading - expected) == 0, letter


def test_scale_invariant_solutions_are_the_book_s():
    """All of the polynomial, for two slopes that no catalogue contains: a_+ = 1, a_- = 3/10."""
    found = rg.criticality("Max(z,0) + 3/10*Min(z,0)")
    lambda_b, lambda_W = sp.symbols("lambda_b lambda_W", nonnegative=True)
    A_2, A_4 = (1 + sp.Rational(9, 100)) / 2, (1 + sp.Rational(81, 10000)) / 2
    k = next(s for s in found.amplitudes["V"].free_symbols if s.name == "k")
    for letter, formula in scale_invariant(l, A_2, A_4, k, lambda_b, lambda_W).items():
        assert sp.simplify(found.laws[letter].expression - formula) == 0, letter


@pytest.mark.parametrize(
    "name", ["tanh", "sin", "erf", "atan(z)", "z - z^3*exp(-z^2)/2", "erf(z)+z/10", LEANING, "sigmoid(z)-1/2"]
)
def test_vertex_growth_where_the_kernel_decays(name):
    assert rg.criticality(name).vertex_growth == sp.Rational(2, 3)


def test_vertex_growth_of_a_flatter_activation():
    """K ~ l^{-1/2} and <s^4> - <s^2>^2 -> 2 K^2: V' = 2 K^2 + (1 - 3/l) V, that is V/K^2 -> 2/3 l once more."""
    assert float(rg.criticality(FLAT).vertex_growth) == pytest.approx(2 / 3, rel=1e-15)


@pytest.mark.parametrize(("plus", "minus"), [(1, 0), (1, 1), (1, "3/10"), (2, "-1/2")])
def test_vertex_growth_where_every_kernel_is_fixed(plus, minus):
    """3 A_4/A_2^2 - 1, from the two slopes."""
    plus, minus = Fraction(plus), Fraction(minus)
    A_2, A_4 = (plus**2 + minus**2) / 2, (plus**4 + minus**4) / 2
    text = f"({plus})*Max(z,0) + ({minus})*Min(z,0)" if minus else f"({plus})*Max(z,0)"
    expected = 3 * A_4 / A_2**2 - 1
    assert rg.criticality(text).vertex_growth == sp.Rational(expected.numerator, expected.denominator)


@pytest.mark.parametrize(("name", "nu"), [("gelu", 4.904226), ("swish", 4.923187)])
def test_vertex_growth_at_half_stable_points(name, nu):
    """C_W^2 (<s^4> - <s^2>^2)/K*^2, six decimals typed from the book's numbers."""
    assert float(rg.criticality(name).vertex_growth) == pytest.approx(nu, abs=5e-7)


# A second iteration ---------------------------------------------------------------------------------------------------


class Series:
    """Averages as sums over powers of the kernel, from Taylor coefficients of sigma typed here; no rgflow."""

    TERMS = 18

    def __init__(self, coefficients):
        self.coefficients = coefficients  # of z^k, Fractions
        self.table = {}
        self.kernel = 0.0

    def sums(self, orders, pending):
        length = pending + 2 * self.TERMS
        product = [Fraction(1)] + [Fraction(0)] * (length - 1)
        for k in orders:
            factor = [c * math.perm(n, k) for n, c in enumerate(self.coefficients)][k:][:length]
            assert len(factor) == length
            product = [sum(product[i] * factor[n - i] for i in range(n + 1)) for n in range(length)]
        # <z^{2j}> = (2j - 1)!! K^j after `pending` derivatives
        moments = [math.perm(pending + 2 * j, pending) * math.prod(range(1, 2 * j, 2)) for j in range(self.TERMS)]
        return np.array([float(product[pending + 2 * j] * moments[j]) for j in range(self.TERMS)][::-1])

    def __call__(self, orders, pending):
        key = tuple(orders), pending
        if key not in self.table:
            self.table[key] = self.sums(*key).tolist()
        value = 0.0
        for c in self.table[key]:
            value = value * self.kernel + c
        return value


def tanh_coefficients(length):
    """From y' = 1 - y^2."""
    y = [Fraction(0)]
    for n in range(length - 1):
        y.append(((n == 0) - sum(y[i] * y[n - i] for i in range(n + 1))) / Fraction(n + 1))
    return y


def leaning_coefficients(length):
    """tanh(z) + z^2 exp(-z^2)/4."""
    y = tanh_coefficients(length)
    for n in range((length - 1) // 2):
        y[2 * n + 2] += Fraction((-1) ** n, 4 * math.factorial(n))
    return y


def iterate(coefficients, p_perpendicular, layers, first_kernel):
    """The book's recursions, typed in tests/sources, for layers 1 .. layers[-1]; the states at the layers asked for."""
    E = Series(coefficients(2 * Series.TERMS + 12))

    def rates(layer):
        return Parameters(0.0, 1.0, 0.7 * layer**-p_perpendicular, 1.3 * layer ** (1 - p_perpendicular))

    state, kept = first_layer(first_kernel, rates(1)), []
    for layer in range(1, layers[-1] + 1):
        if layer in layers:
            kept.append(state)
        E.kernel = state["K"]
        state = step(E, state, rates(layer + 1))
    return kept


def second_iteration(spec, coefficients, p_perpendicular, layers):
    """Rows as from a flow, with c_K and c_Theta from this iteration's own K and Theta at a quarter of the depth."""
    kept = iterate(coefficients, p_perpendicular, layers, 0.02)
    point = rg.criticality(spec).point
    known = {"lambda_b": 0.7, "lambda_W": 1.3}
    found = power_laws(point)
    early = len(layers) // 2
    for name in ("K", "Theta"):
        open_one = next(s for s in found[name].expression.free_symbols if s.name == f"c_{name}")
        at = found[name].expression.subs(l, layers[early])
        at = at.xreplace({s: sp.Float(known[s.name]) for s in at.free_symbols if s.name in known})
        known[open_one.name] = float(sp.nsolve(at - kept[early][name], open_one, 100 if name == "K" else 0))
    rows = {}
    for name in TABLE:
        values = np.array([float(state[name]) for state in kept])
        at = np.array(layers)
        law = found[name]
        rows[name] = (values / plan.evaluate(law.leading, known, at) - 1, plan.evaluate(law.correction, known, at))
    return rows


def check_second_iteration(spec, coefficients, p_perpendicular, layers):
    for name, (residual, correction) in second_iteration(spec, coefficients, p_perpendicular, layers).items():
        rest = np.abs(residual - correction)
        if abs(correction[-1]) < 0.005:
            assert abs(residual[-1]) < 0.01, name
        # what remains falls nearly as 1/l^2 over the last doubling: at most a factor 2^-1.3, were it 1/l it were 2^-1
        assert rest[-1] < 2**-1.3 * rest[-2] or rest[-1] < 1e-6, name


def test_second_iteration():
    check_second_iteration("tanh", tanh_coefficients, 1, (2000, 4000, 8000))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spec", "coefficients", "p"), [("tanh", tanh_coefficients, 1), (LEANING, leaning_coefficients, 28 / 29)]
)
def test_second_iteration_of_thirty_thousand_layers(spec, coefficients, p):
    check_second_iteration(spec, coefficients, p, (7500, 15000, 30000))


# What is asked for ----------------------------------------------------------------------------------------------------


def test_tables_of_a_criticality():
    found = rg.criticality("tanh")
    assert tuple(found.laws) == TABLE
    assert found.exponents == {
        "K": -1, "Theta": 0, "V": -1, "A": 1, "B": 1, "D": 0, "F": 0, "P": 1, "Q": 1, "R": 2, "S": 2, "T": 2, "U": 0,
        "K_1": 0, "Theta_1": 1,
    }  # fmt: skip
    assert found.amplitudes["K_1"] == sp.Rational(-1, 6)
    law = found.laws["V"]
    assert (law.name, law.vanishes, law.logarithms) == ("V", False, 0)
    assert law.leading == law.amplitude / l
    assert "relative" in law.beyond


@pytest.mark.parametrize("name", ["tanh", "relu"])
def test_onset_is_where_the_power_law_sets_in(name):
    """A flow leaves the tolerance for the last time where the correction does, up to what follows the correction.

    If that is at most a part r of the correction, the residual is (1 - r) to (1 + r) times the correction, and the flow
    crosses the tolerance t between the layers where the correction crosses t/(1 - r) and t/(1 + r). r is the flow's
    own, from half of the stated layer to twice that.
    """
    found, tolerance = rg.criticality(name), 0.051  # no correction of ReLU, which are fractions of l, is equal to it
    first = plan.first_kernel(found.point)
    stated = found.onset(tolerance=tolerance, first_kernel=first)
    assert set(stated) == set(TABLE)
    names = ("K", "V", "Theta", "B", "F")
    ds = onset.critical_flow(found.point, 4096, names, first)
    known = {"lambda_b": 1.0, "lambda_W": 1.0, "k": first}
    known |= onset.constants(found.point, first) if name == "tanh" else {}
    layers = ds["layer"].values[1:]
    for letter in names:
        law = found.laws[letter]
        off = ds[letter].values[1:] / law.at(layers, **known) - 1
        correction = plan.evaluate(law.correction, known, layers)
        late = layers[np.abs(off) > tolerance]
        measured = int(late[-1]) + 1 if late.size else 2
        if law.correction == 0:
            assert stated[letter] == measured == 2
            continue
        assert stated[letter] == layers[np.abs(correction) >= tolerance][-1] + 1, letter
        near = (layers >= stated[letter] / 2) & (layers <= 2 * stated[letter])
        r = float(np.max(np.abs(off / correction - 1)[near]))
        assert r < 0.5, letter
        early, at_last = (onset.onset(found.point, {letter: law}, tolerance / (1 + x), first) for x in (-r, r))
        assert early[letter] <= measured <= at_last[letter], letter


@pytest.mark.parametrize("wrong", [{"tolerance": 0}, {"tolerance": 1.0}, {"tolerance": "x"}, {"first_kernel": -1.0}])
def test_onset_refuses(wrong):
    with pytest.raises(rg.InputError):
        rg.criticality("sin").onset(**wrong)


def test_onset_of_a_kernel_that_is_zero():
    """Where every input is zero the kernel stays zero and no power law sets in."""
    with pytest.raises(rg.InputError):
        rg.criticality("sin").onset(first_kernel=0.0)


def test_onset_is_a_layer_or_none():
    """V = 5 k^2 (l - 1) is within 1e-6 of its leading power beyond layer 1e6, within 1e-10 not below 1e9 layers."""
    found = rg.criticality("relu")
    assert found.onset(tolerance=1e-6)["V"] == 10**6 + 1
    late = found.onset(tolerance=1e-10)
    assert late["V"] is None
    assert late["K"] == 2  # K is what the law says at every layer


def test_what_is_kept_cannot_be_changed():
    """Laws and constants are kept for the next who asks: they are read only."""
    point = rg.criticality("sin").point
    for kept in (power_laws(point), rg.criticality("relu").laws, rg.criticality("gelu").laws, onset.constants(point)):
        with pytest.raises(TypeError):
            kept["K"] = None


def test_a_law_gives_numbers_and_text():
    """V of ReLU is 5 k^2 l (1 - 1/l), K of tanh 1/(2 l)."""
    law = rg.criticality("relu").laws["V"]
    assert law.at(4, k=2) == law.at(4, first_kernel=2) == 80
    np.testing.assert_array_equal(law.at([1, 10], k=1, lambda_b=7), [5, 50])
    np.testing.assert_array_equal(law.correction_at(np.array([2, 4])), [-0.5, -0.25])
    assert str(law) == "V(l) ~ 5 k^2 l   then O(1/l) relative"
    assert law.latex() == r"V^{(\ell)} \simeq 5 k^{2} \ell"
    assert rg.criticality("relu").laws["P"].latex() == r"P^{(\ell)} = 0"
    of_tanh = rg.criticality("tanh").laws["K"]  # (5/12 ln l - c_K/2)/l
    assert of_tanh.correction_at(100, c_K=-3) == pytest.approx((5 / 12 * math.log(100) + 1.5) / 100, rel=1e-14)
    for call in (lambda: law.at(4), lambda: law.at(1.5, k=1), lambda: law.at(0, k=1), lambda: law.at(4, k=-1)):
        with pytest.raises(rg.InputError):
            call()
    with pytest.raises(rg.InputError, match="same"):
        law.at(4, k=1, first_kernel=1)
    with pytest.raises(rg.UnknownName):
        law.at(4, k=1, C_b=1)


@pytest.mark.parametrize(
    ("name", "words"),
    [("tanh", "x_b = -p_perp"), ("gelu", r"fixed point K\*"), ("relu", "kink"), ("linear", "same in every")],
)
def test_assumptions(name, words):
    found = rg.criticality(name).assumptions
    assert any("widths are equal" in line for line in found)
    assert any(re.search(words, line) for line in found)
    assert any("kink" in line for line in found) == (name == "relu")


def test_real_coefficients_hold_no_rounding():
    """The laws of an activation whose numbers are real to fifty digits: no term that is zero but for rounding."""
    for law in rg.criticality(FLAT).laws.values():
        numbers = [abs(x) for x in sp.expand(law.amplitude).atoms(sp.Float)]
        assert min(numbers, default=1) > 1e-30, law.name


def test_half_stable_points_of_kinked_activations():
    """z min(1, max(0, z/6 + 1/2)): its written second derivatives jump at -3 and 3, and no formula is claimed."""
    with pytest.raises(rg.NoClosedForm, match="kink away from 0"):
        _ = rg.criticality("z*Max(0,Min(1,z/6+1/2))").laws


# Controls -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def fresh():
    """Laws that are derived again, and forgotten afterwards."""
    caches = (asymptotic.depth_series, laws.power_laws, onset.constants, vanishing.vanishing_kernel)
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


def some_laws(names=("K", "Theta", "V", "F")):
    return plan.compare("sin", KEPT["sin"], names)[0]


def test_undamaged_laws_pass(fresh):
    confirm(some_laws())


def test_a_lost_logarithm_is_noticed(fresh, monkeypatch):
    """Control: at resonance no logarithm is put in."""
    real = depth_series.solve_difference

    def damaged(transport, source, constant, rational):
        found = real(transport, source, constant, rational)
        return replace(found, terms={(e, j): c for (e, j), c in found.terms.items() if j == 0})

    monkeypatch.setattr(depth_series, "solve_difference", damaged)
    with pytest.raises(AssertionError):
        confirm(some_laws(("K", "V")))


@pytest.mark.parametrize("order", [3, 5])
def test_a_wrong_taylor_coefficient_is_noticed(fresh, monkeypatch, order):
    """Control: sigma''' sets the amplitude, the fifth derivative only the logarithm of the correction."""
    real = vanishing.derivatives_at_zero

    def damaged(activation, length):
        found = list(real(activation, length))
        if length >= order:
            found[order] = found[order] * sp.Rational(1001, 1000)
        return tuple(found)

    monkeypatch.setattr(vanishing, "derivatives_at_zero", damaged)
    with pytest.raises(AssertionError):
        confirm(some_laws(("K", "V")))


@pytest.mark.parametrize("name", ["V", "F", "Theta"])
def test_a_lost_term_is_noticed(fresh, monkeypatch, name):
    """Control: the last term of the first kind, the source or the rate, is missing from one recursion."""
    real = asymptotic.closure

    def damaged(names, **options):
        system = real(names, **options)
        kept = [replace(rec, terms=rec.terms[1:]) if rec.name == name else rec for rec in system.recursions]
        return System(tuple(kept))

    monkeypatch.setattr(asymptotic, "closure", damaged)
    with pytest.raises((AssertionError, rg.NoClosedForm)):
        confirm(some_laws())


def test_a_wrong_rate_is_noticed(fresh, monkeypatch):
    """Control: the law is for lambda_W that falls as 1/l, the flow has it constant."""
    real = asymptotic.rates_of
    monkeypatch.setattr(asymptotic, "rates_of", lambda flow, kind: replace(real(flow, kind), weight=Fraction(-1)))
    with pytest.raises((AssertionError, rg.NoClosedForm)):
        confirm(some_laws(("K", "Theta")))
