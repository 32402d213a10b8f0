"""The averages that drive a block, against 25 digits of mpmath, closed forms, and plain quadrature."""

import math
from fractions import Fraction

import mpmath as mp
import numpy as np
import pytest
from sources.yang_schoenholz import arc_cosine

import rgflow as rg
import rgflow.scaling.tables
from rgflow.brackets import gaussian_moments
from rgflow.errors import InputError, NoClosedForm
from rgflow.scaling.growth.tails import far, kink_loss, near, step_correlation, step_loss
from rgflow.scaling.homogeneous import Homogeneous, find
from rgflow.scaling.tables import CELL, FINEST, Tables, power_apart

NODES = np.cos(np.pi * (np.arange(16) + 0.5) / 16)
KERNELS = (1e-3, 0.37, 1.0, 17.3, 1e3, 3.3e4, 1e6)


def gaussian(f, q):
    """E[f(sqrt(q) z)] of an even f that varies on the scale 1, to 20 digits, in z itself."""
    with mp.workdps(25):
        s = mp.sqrt(q)
        points = sorted(
            {mp.mpf(0), *(mp.mpf(2) ** k for k in range(-3, 6) if 2**k < 20 * s), *(k * s for k in (1, 2, 4, 8, 20))}
        )
        inside = lambda z: f(z) * mp.exp(-z * z / (2 * q)) / mp.sqrt(2 * mp.pi * q)  # noqa: E731
        return float(2 * mp.quad(inside, points))


def test_tanh_at_small_and_large_kernels():
    """Interpolated from the table: rounding of the logarithms (1e-14) is all that is lost."""
    values = np.exp(Tables(rg.activation("tanh")).read(np.log(KERNELS)))
    for i, q in enumerate(KERNELS):
        assert values[0, i] == pytest.approx(gaussian(lambda z: mp.tanh(z) ** 2, q), rel=2e-14)
        assert values[1, i] == pytest.approx(gaussian(lambda z: mp.sech(z) ** 4, q), rel=2e-14)


def read_apart(tables, a, b):
    row, column = (math.floor(math.log(x) / CELL) - FINEST for x in (a, b))
    tables.fill_apart(row, column)
    at = [2 * (math.log(x) / CELL - FINEST - k) - 1 for x, k in ((a, row), (b, column))]
    return math.exp(np.polynomial.chebyshev.chebval2d(*at, tables.apart[row, column]))


@pytest.mark.parametrize(("name", "a", "b"), [("tanh", 0.7, 0.5), ("tanh", 10.0, 3.0), ("erf", 2.0, 2.0)])
def test_two_inputs(name, a, b):
    """V - W of the general quadrature, where it does not cancel."""
    act = rg.activation(name)
    q, overlap = a * a + b * b, a * a - b * b
    joint, _ = gaussian_moments(act, [[[q, overlap], [overlap, q]]], [(((0,), 0), ((0,), 0))], tolerance=1e-13)
    single = math.exp(Tables(act).read(np.log([q]))[0, 0])
    assert read_apart(Tables(act), a, b) == pytest.approx(single - joint[0, 0], rel=1e-11)


def test_two_inputs_of_erf_in_closed_form_when_they_nearly_coincide():
    """W = (2/pi) asin(2 lambda/(1 + 2 q)); the difference to 30 digits, of which ten would be lost in floats."""
    a, b = 3.0, 1e-4
    with mp.workdps(40):
        q, overlap = mp.mpf(a) ** 2 + mp.mpf(b) ** 2, mp.mpf(a) ** 2 - mp.mpf(b) ** 2
        expected = 2 / mp.pi * (mp.asin(2 * q / (1 + 2 * q)) - mp.asin(2 * overlap / (1 + 2 * q)))
    assert read_apart(Tables(rg.activation("erf")), a, b) == pytest.approx(float(expected), rel=1e-11)


@pytest.mark.parametrize(("name", "cell"), [("tanh", (17, 17)), ("gelu", (19, 12)), ("Max(z, 1)", (12, 19))])
def test_the_witness_is_further_from_a_finer_rule(name, cell, monkeypatch):
    """What a table loses is less than it is apart from its witness, also where a kink costs it four digits."""
    found = []
    for witness, nodes in ((False, None), (True, None), (False, (20, 20))):
        if nodes:
            monkeypatch.setitem(rgflow.scaling.tables._NODES, False, nodes)
        tables = Tables(rg.activation(name), witness)
        tables.fill_apart(*cell)
        found.append(np.polynomial.chebyshev.chebgrid2d(NODES, NODES, tables.apart[cell]))
    own, seen = np.abs(found[0] - found[2]).max(), np.abs(found[0] - found[1]).max()
    assert own < seen < 1e-8
    assert (seen > 1e-10) == (name == "Max(z, 1)")


def test_relu_apart_is_the_arc_cosine_kernel():
    ratio = np.array([0.1, 0.5, 1.0, 3.0])
    c = np.cos(2 * np.arctan(ratio))
    expected = [0.5 * (1 - arc_cosine(x)) for x in c]
    np.testing.assert_allclose(power_apart(find("relu"), ratio), expected, rtol=1e-13)
    close = np.array([1e-6])  # 1 - J_1 = (1 - c) - a (1 - c)^{3/2}, without cancellation
    delta = 2 * np.sin(np.arctan(close)) ** 2
    loss = 2 * math.sqrt(2) / (3 * math.pi)
    np.testing.assert_allclose(power_apart(find("relu"), close), 0.5 * delta * (1 - loss * np.sqrt(delta)), rtol=1e-10)
    assert float(kink_loss(find("relu"))) == pytest.approx(loss, rel=1e-15)
    assert kink_loss(find("linear")) == 0


@pytest.mark.parametrize("alpha", [Fraction(3, 5), Fraction(3, 4), Fraction(1)])
def test_powers(alpha):
    """c_alpha = 2^{alpha-1} Gamma(alpha + 1/2)/sqrt(pi) of the paper; c' = alpha^2 c_{alpha-1}."""
    power, x = Homogeneous(alpha), float(alpha)
    c = lambda y: 2 ** (y - 1) * math.gamma(y + 0.5) / math.sqrt(math.pi)  # noqa: E731
    assert float(power.square()) == pytest.approx(c(x), rel=1e-14)
    assert float(power.slope()) == pytest.approx(x * x * c(x - 1), rel=1e-14)
    assert c(x - 1) / c(x) == pytest.approx(1 / (2 * x - 1), rel=1e-13)
    # by the angle: D of opposite inputs is the square of one, 2 * c/2 each
    assert power_apart(power, np.array([1e8]))[0] == pytest.approx(c(x), rel=1e-6)


def test_powers_are_read_and_refused():
    assert find("relu(z)**0.75") == find("Max(z, 0)^(3/4)") == find("max(0,z)^0.75".replace("max", "Max"))
    assert find("relu") == find("relu(z)^1")
    for text in ("relu(z)^(1/2)", "relu(z)^(3/2)"):
        with pytest.raises(InputError, match="above 1/2"):
            find(text)
    with pytest.raises(InputError, match="not a number"):
        find("relu(z)^(3/0)")


def test_tails():
    import sympy as sp

    tanh = far(rg.activation("tanh"))
    assert (tanh.square, tanh.fall, tanh.limits) == (1, sp.Rational(1, 2), (0, 1))
    assert sp.simplify(tanh.correction + sp.sqrt(2 / sp.pi)) == 0
    assert sp.simplify(tanh.slope - sp.Rational(2, 3) * sp.sqrt(2 / sp.pi)) == 0
    q = 1e10
    values = np.exp(Tables(rg.activation("tanh")).read(np.log([q])))[:, 0]
    assert values[0] == pytest.approx(1 + float(tanh.correction) * q**-0.5, abs=1e-13)  # then q^{-3/2}
    assert values[1] == pytest.approx(float(tanh.slope) * q**-0.5, rel=1e-9)
    assert far(rg.activation("erf")).slope == 2 / sp.pi
    sigmoid = far(rg.activation("sigmoid"))
    assert (sigmoid.square, sigmoid.limits) == (sp.Rational(1, 2), (sp.Rational(1, 2), sp.Rational(1, 2)))
    assert float(sigmoid.slope) == pytest.approx(1 / 6 / math.sqrt(2 * math.pi), rel=1e-12)
    assert (far(rg.activation("gelu")).square, near(rg.activation("gelu")).square) == (
        sp.Rational(1, 2),
        sp.Rational(1, 4),
    )
    assert step_correlation().subs(sp.Symbol("c", real=True), sp.Rational(1, 2)) == sp.Rational(1, 3)
    assert step_loss() == 2 * sp.sqrt(2) / sp.pi  # w(1 - delta) = 1 - (2/pi) sqrt(2 delta)
    for name in ("exp", "z^2", "sin(z)"):
        with pytest.raises(NoClosedForm, match="lines nor"):
            far(rg.activation(name))
