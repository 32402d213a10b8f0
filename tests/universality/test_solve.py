"""``solve``: what it returns, prints, checks and refuses."""

import pickle
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
from sources.pdlt_depth import vanishing_fixed_point

import rgflow as rg
from rgflow.errors import AccuracyError, InputError, KinkError, NoClosedForm, UnknownName
from rgflow.universality import Solution, solve
from rgflow.universality.constants import near_input
from rgflow.universality.exponentials import l


def test_what_it_prints():
    assert str(solve("V", "relu")) == "V(l) = 5 k^2 (l - 1)   exact, relu at C_b = 0, C_W = 2"
    assert solve("V", "relu").latex() == r"V^{(\ell)} = 5 k^{2} \left(\ell - 1\right)"
    assert solve("V", "relu")._repr_latex_().startswith("$")
    assert str(solve("P", "relu")) == "P(l) = 0   exact, relu at C_b = 0, C_W = 2"
    assert str(solve("Theta", "linear", C_b=0.1)).endswith("exact, linear at C_b = 1/10, C_W = 1")
    assert str(solve("V", "linear", first_kernel=2)).startswith("V(l) = 8 (l - 1)   exact")
    line = str(solve("V", "gelu"))
    assert line.startswith("V(l) = C_W^2 (l - 1) (-<σσ>^2 + <σσσσ>)   exact, gelu at C_b = 0.1729223908,")
    assert "K* = " in line
    assert " K = " not in line
    assert r"\langle \sigma\sigma \rangle_K^{2}" in solve("V", "gelu").latex()


def test_numbers():
    solution = solve("V", "relu")
    assert solution.at(4, k=2) == 60
    assert isinstance(solution.at(4, k=2), float)
    np.testing.assert_array_equal(solution.at([1, 2, 4], k=2), [0, 20, 60])
    assert solution.free == ("k",)
    assert solution.at(4, first_kernel=2) == 60
    assert solution.check(5, first_kernel=2) == solution.check(5, k=2) != solution.check(5)
    with pytest.raises(InputError, match="same"):
        solution.at(4, k=2, first_kernel=2)
    with pytest.raises(UnknownName):
        solve("V", "gelu").at(4, first_kernel=2)
    assert solution.exact
    assert solve("Theta", "linear").at(3, k=1, lambda_b=0.5, lambda_W=0.7) == pytest.approx(3.6, rel=1e-15)
    assert solve("V", "linear", C_W="symbolic").at(3, k=1, C_W=2.0) == 64
    assert solve("V", "gelu").free == ()


def test_a_float_is_the_decimal_it_prints_as():
    for given in (0.1, Fraction(1, 10), sp.Rational(1, 10), sp.Float(0.1), np.float64(0.1)):
        assert solve("K", "linear", C_b=given).parameters["C_b"] == sp.Rational(1, 10)
    assert solve("K", "linear", C_b=sp.sqrt(2)).parameters["C_b"] == sp.sqrt(2)


def test_cancellation_does_not_reach_the_numbers():
    """Next to criticality the exponentials cancel: a flow, stable there, is the witness."""
    near = solve("A", "relu", C_b=0.1, C_W=2.0000001)
    net = rg.MLP.uniform(1, 1, 6, activation="relu", C_b=0.1, C_W=2.0000001)
    ds = rg.flow(net, first_kernel=1.0, tensors=["A"])
    np.testing.assert_allclose(near.at(range_of(6), k=1, lambda_b=1, lambda_W=1), ds["A"], rtol=1e-12)


def range_of(depth):
    return np.arange(1, depth + 1)


@pytest.mark.parametrize(
    ("name", "sigma", "given"),
    [
        ("D", "relu", {}),
        ("D", "leaky_relu", {"C_b": 0.1, "C_W": 1.7}),
        ("D", "linear", {"C_b": "symbolic", "C_W": "symbolic"}),
        ("K_1", "relu", {"C_b": sp.Symbol("b", positive=True)}),
        ("K_1", "gelu", {}),
        ("K_1", "silu", {}),
    ],
)
def test_checks_pass(name, sigma, given):
    check = solve(name, sigma, **given).check(12, lambda_b=0.5)
    assert check.passed, str(check)
    assert check.raise_if_failed() is check
    assert max(map(abs, check.difference)) < 1e-9
    assert "passed" in str(check)


def test_a_wrong_formula_fails_its_check():
    right = solve("V", "relu")
    for wrong in (right.expression * (1 + sp.Rational(1, 10**12)), right.expression + 1, sp.S.Zero):
        check = replace(right, expression=wrong).check(12)
        assert not check.passed
        with pytest.raises(AccuracyError, match="FAILED"):
            check.raise_if_failed()
    zero = replace(solve("P", "relu"), expression=sp.Symbol("k", positive=True) * sp.Rational(1, 10**300))
    assert not zero.check(4).passed


def test_what_it_refuses():
    for wrong in (-1, "hello", float("nan"), float("inf"), True, [1], sp.Integer(-1), sp.I):
        with pytest.raises(InputError, match="C_b"):
            solve("V", "relu", C_b=wrong)
    for name in ("C_W", "first_kernel"):
        with pytest.raises(InputError, match="positive"):
            solve("V", "relu", **{name: 0})
    with pytest.raises(InputError, match="rates"):
        solve("V", "relu", rates="some")
    with pytest.raises(UnknownName):
        solve("VV", "relu")
    with pytest.raises(NoClosedForm, match="C_W"):
        solve("V", "gelu", C_W=2)
    with pytest.raises(NoClosedForm, match="first_kernel"):
        solve("V", "gelu", first_kernel=1)
    solution = solve("Theta", "linear")
    with pytest.raises(InputError, match=r"lambda_W.*lambda_W=\.\.\."):
        solution.at(3, k=1, lambda_b=1)
    with pytest.raises(UnknownName, match="C_b"):
        solution.at(3, k=1, lambda_b=1, lambda_W=1, C_b=1)
    with pytest.raises(InputError, match="critical"):
        solve("Theta", "relu", C_W="symbolic").at(2, k=1, lambda_b=1, lambda_W=1, C_W=2)
    with pytest.raises(InputError, match="layer"):
        solution.at(1.5, k=1, lambda_b=1, lambda_W=1)
    with pytest.raises(InputError, match="layer 1 on"):
        solution.at(0, k=1, lambda_b=1, lambda_W=1)
    with pytest.raises(InputError, match="not negative"):
        solution.at(2, k=-1, lambda_b=1, lambda_W=1)


def test_kinks_are_those_of_flows():
    with pytest.raises(KinkError, match=r"R holds|Q holds|S holds"):
        solve("R", "relu")
    almost = solve("R", "relu", kinks="almost_everywhere")
    assert almost.expression == 0
    assert any("kink" in line for line in almost.assumptions)
    assert solve("Q", "relu").expression == solve("Q", "relu", kinks="almost_everywhere").expression
    with pytest.raises(InputError, match="kinks"):
        solve("R", "relu", kinks="maybe")


def test_solutions_are_values():
    one, other = solve("V", "relu"), solve("V", "relu")
    assert one == other
    assert hash(one) == hash(other)
    assert one != solve("V", "relu", C_b=1)
    assert pickle.loads(pickle.dumps(one)) == one
    assert isinstance(one, Solution)


# Asymptotic solutions ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sigma", "a_1"), [("tanh", -2), ("sin", -1)])
def test_the_vanishing_kernel_as_typed_from_the_book(sigma, a_1):
    b, w = sp.Rational(1, 2), sp.Rational(3, 4)
    typed = vanishing_fixed_point(a_1, b, w)
    for name in ("K", "V", "B", "D", "P", "R", "S", "T", "U"):
        solution = solve(name, sigma, lambda_b=b, lambda_W=w)
        assert sp.simplify(solution.expression / typed[name](l, b + w / -a_1) - 1) == 0, name
        assert solution.kind == "asymptotic"
        assert solution.rates == (-1, 0)


def test_an_asymptotic_solution_checks_itself():
    solution = solve("Theta", "tanh")
    assert str(solution) == (
        "Theta(l) ~ (lambda_W + 2 lambda_b)/2   asymptotic (O(ln(l)^2/l) relative), tanh at C_b = 0, C_W = 1, "
        "learning rates lambda_b l^(-1), lambda_W"
    )
    check = solution.check(4096)
    assert check.passed, str(check)
    assert set(check.constants) == {"c_K", "c_Theta"}
    assert check.difference[-1] == pytest.approx(check.stated[-1], rel=0.01)
    growing = solve("Theta", "tanh", rates="constant")
    assert growing.rates == (0, 0)
    assert growing.check(4096).passed
    assert not replace(growing, rates=(-1, 0)).check(4096).passed
    assert r"\simeq" in growing.latex()


# The check of an asymptotic formula, on wrong ones --------------------------------------------------------------------


@pytest.mark.parametrize("name", ["K", "V", "D"])
def test_an_asymptotic_formula_follows_its_correction(name):
    check = solve(name, "tanh").check(2048)
    assert check.passed, str(check)
    remains = np.abs(np.subtract(check.difference, check.stated))
    assert np.all(remains < 0.02 * np.abs(check.stated))
    assert "correction" in str(check)


def test_what_is_allowed_decides():
    """Also where what remains changes its sign on the way: D of tanh does between layers 64 and 512."""
    right = solve("D", "tanh")
    check = right.check(512)
    assert check.passed, str(check)
    assert np.all(np.abs(np.subtract(check.difference, check.stated))[-2:] <= check.allowed[-2:])
    off = replace(right, correction=right.correction * sp.Rational(9, 10)).check(512)  # a tenth of it, which stays
    assert not off.passed
    assert np.any(np.abs(np.subtract(off.difference, off.stated))[-2:] > off.allowed[-2:])


def test_a_wrong_correction_fails():
    """Control: the coefficient of the logarithm is 5/12, from PDLT's a_1 = -2, a_2 = 17/3."""
    right = solve("K", "tanh")
    assert sp.simplify(right.correction - sp.Rational(5, 12) * sp.log(l) / l).free_symbols == {
        l,
        sp.Symbol("c_K", real=True),
    }
    for wrong in (sp.Rational(1, 2), -sp.Rational(5, 12), sp.Rational(1, 3)):
        off = right.correction + (wrong - sp.Rational(5, 12)) * sp.log(l) / l
        assert not replace(right, correction=off).check(2048).passed, wrong


def test_a_wrong_amplitude_or_exponent_fails():
    right = solve("V", "tanh")
    for factor in (1.01, 0.995, 1.001, 0.9995):
        assert not replace(right, expression=right.expression * sp.Rational(str(factor))).check(2048).passed, factor
    assert not replace(right, expression=right.expression / l ** sp.Rational(1, 20)).check(2048).passed


def test_constants_that_nothing_explains_are_refused():
    c_K = sp.Symbol("c_K", real=True)
    with pytest.raises(AccuracyError, match="power law at layer 10"):
        near_input({"K": (c_K**2 + 1) / l}, {"K": -1.0}, 10, {})


# Rates that vanish, symbols that mean something else -----------------------------------------------------------------


def test_without_biases_the_next_term_leads():
    """lambda_b = 0: Theta of tanh at constant lambda_W tends to lambda_W/2, which lambda_b l/2 hides otherwise."""
    solution = solve("Theta", "tanh", lambda_b=0, rates="constant")
    assert solution.expression == sp.Symbol("lambda_W", nonnegative=True) / 2
    assert solution.check(2048).passed
    with pytest.raises(InputError, match="leading term of A vanishes"):
        solve("A", "tanh").check(64, lambda_b=0)
    with pytest.raises(InputError, match="leading term of A vanishes"):
        solve("A", "tanh").at(64, lambda_b=0)


def test_a_flat_activation_is_not_called_exact():
    """z - z^7/1000 has p_0 = 1/3, and its next term comes three powers later."""
    law = rg.criticality("z - z^7/1000").laws["V"]
    assert law.correction != 0
    assert law.exponent == sp.Rational(1, 3)
    assert solve("V", "z - z^7/1000").check(4096).passed


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), sp.nan, sp.oo, 1e-320, 1e300, -1.0, True, sp.Symbol("l")])
def test_parameters_that_are_none(bad):
    with pytest.raises(InputError):
        solve("V", "relu", lambda_b=bad)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), sp.nan, sp.oo, -1.0, True, "1", sp.Symbol("l")])
def test_values_that_are_none(bad):
    with pytest.raises(InputError):
        solve("V", "relu").at(3, k=bad)
