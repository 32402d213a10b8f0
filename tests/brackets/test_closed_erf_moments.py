"""W_2m: definition, differential equation, limits, precision, and its life as a SymPy function."""

from __future__ import annotations

import pickle

import mpmath
import numpy as np
import pytest
import sympy as sp
from mpmath import mp

from rgflow.activations import activation
from rgflow.brackets.closed import W, closed_bracket, erf_moment
from rgflow.errors import InputError

x = sp.Symbol("x", positive=True)
POINTS = (1e-12, 1e-6, 1e-3, 0.1, 1.0, 30.0, 1e3, 1e6)


def by_definition(order: int, point: float) -> mpmath.mpf:
    """E erf(sqrt(x) g)^{2m} by Gauss-Legendre in v = u/scale, the variable that the integrand knows at each x."""
    root = mp.sqrt(point)
    knots = sorted({v for v in [0, *(k / root for k in (0.5, 1, 2, 4, 8)), *range(1, 21)] if v <= 20})
    size = mp.erf(root) ** order  # mpmath's target is absolute

    def integrand(u: mpmath.mpf) -> mpmath.mpf:
        return mp.exp(-u * u / 2) * mp.erf(root * u) ** order / size

    return mp.sqrt(2 / mp.pi) * mp.quad(integrand, knots) * size


@pytest.mark.parametrize("order", [4, *(pytest.param(order, marks=pytest.mark.slow) for order in (6, 10))])
def test_definition(order: int) -> None:
    """To 30 digits, and in doubles to 1e-14, from x = 1e-12 to 1e6."""
    for point in POINTS[order % 3 :: 3]:
        with mp.workdps(40):
            exact = by_definition(order, point)
            precise = W(order, sp.Rational(point)).evalf(30)._to_mpmath(mp.prec)
            assert abs(precise / exact - 1) < 1e-28, point
            assert abs(float(erf_moment(order, point)) / exact - 1) < 1e-14, point


@pytest.mark.parametrize("order", [2, 4, 6, pytest.param(8, marks=pytest.mark.slow)])
def test_derivative_is_the_derivative(order: int) -> None:
    """The differential equation against central differences of the values."""
    derivative = W(order, x).diff(x)
    for point in (sp.Rational(1, 100), sp.Integer(1), sp.Integer(30)):
        step = point * sp.Rational(1, 10**9)
        numeric = (W(order, point + step) - W(order, point - step)).evalf(22) / (2 * step)
        assert abs(numeric / derivative.evalf(22, subs={x: point}) - 1) < 1e-17, point


def test_fourth_moment_is_an_integral_of_an_arcsine() -> None:
    """A route of its own: the equation integrated from 0, W_4' = (48/pi^2) asin(2t/(1+6t))/((1+2t) sqrt(1+4t))."""
    with mp.workdps(30):
        for point in (0.1, 1.0, 30.0):

            def slope(t: mpmath.mpf) -> mpmath.mpf:
                return mp.asin(2 * t / (1 + 6 * t)) / ((1 + 2 * t) * mp.sqrt(1 + 4 * t))

            exact = 48 / mp.pi**2 * mp.quad(slope, [0, *(v for v in (0.1, 0.3, 1, 3, 10, 30) if v <= point)])
            assert abs(W(4, sp.Rational(point)).evalf(25)._to_mpmath(100) / exact - 1) < 1e-24


@pytest.mark.parametrize("order", [4, 6, 8])
def test_limits(order: int) -> None:
    """(2m-1)!! (4x/pi)^m at small x; 1 - O(1/sqrt x) at large x; growing in x, falling in m."""
    small = 1e-9
    leading = float(sp.factorial2(order - 1)) * (4 * small / np.pi) ** (order // 2)
    assert float(erf_moment(order, small)) == pytest.approx(leading, rel=1e-7)
    gap = 1 - erf_moment(order, [1e8, 1e10])
    assert gap[0] / gap[1] == pytest.approx(10, rel=1e-5)
    values = erf_moment(order, np.geomspace(1e-12, 1e6, 50))
    assert (np.diff(values) > 0).all()
    assert (erf_moment(order + 2, np.geomspace(1e-12, 1e6, 50)) < values).all()


def test_what_is_elementary() -> None:
    assert W(0, x) == 1
    assert W(2, x) == closed_bracket(activation("erf"), (0, 0)).subs(sp.Symbol("K", positive=True), x)
    assert W(4, 0) == 0
    assert W(4, sp.oo) == 1
    np.testing.assert_allclose(erf_moment(2, [0.3, 7.0]), [float(W(2, v)) for v in (0.3, 7.0)], rtol=1e-14)
    assert erf_moment(4, [[0.0, np.inf]]).tolist() == [[0.0, 1.0]]
    assert erf_moment(0, 3.0) == 1


def test_any_precision() -> None:
    long, short = W(6, sp.Rational(1, 3)).evalf(120), W(6, sp.Rational(1, 3)).evalf(60)
    assert abs(long - short) < sp.Float("1e-59", 120)
    assert isinstance(W(4, 0.5), sp.Float)
    assert W(4, x).evalf() == W(4, x)
    assert W(4, x).is_nonnegative


def test_lambdify_with_numpy_and_mpmath() -> None:
    form = W(4, x / 2) + sp.asin(x / (1 + x))
    points = np.array([0.1, 1.0, 2.0])
    found = sp.lambdify(x, form, "numpy")(points)
    np.testing.assert_allclose(found, [float(form.subs(x, sp.Rational(p))) for p in points.tolist()], rtol=1e-14)
    assert isinstance(sp.lambdify(x, W(4, x), "numpy")(0.5), float)
    with mp.workdps(40):
        precise = sp.lambdify(x, W(4, x), "mpmath")(mp.mpf(1) / 3)
        assert abs(precise - W(4, sp.Rational(1, 3)).evalf(40)._to_mpmath(150)) < mp.mpf("1e-38")


def test_prints_and_pickles() -> None:
    assert sp.latex(W(4, x) ** 2) == r"W_{4}^{2}\left(x\right)"
    assert str(W(4, x)) == "W(4, x)"
    assert pickle.loads(pickle.dumps(W(4, x))) == W(4, x)


@pytest.mark.parametrize("order", [3, -2, x])
def test_bad_order(order: object) -> None:
    with pytest.raises(InputError):
        W(order, x)


def test_bad_points() -> None:
    for bad in (-1.0, np.nan):
        with pytest.raises(InputError):
            erf_moment(4, bad)
    for order in (3, -2, 2.5):
        with pytest.raises(InputError):
            erf_moment(order, 1.0)
    with pytest.raises(InputError):
        W(4, -1).evalf()


def test_control_a_wrong_equation_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: with the factor 4m(2m+1) the comparison with the definition fails."""
    right = W.fdiff
    monkeypatch.setattr(W, "fdiff", lambda self, i=2: right(self, i) * (self.args[0] + 1) / (self.args[0] - 1))
    with pytest.raises(AssertionError):
        test_derivative_is_the_derivative(6)
