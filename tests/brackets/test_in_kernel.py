"""Tables of brackets in K: against quadrature, closed forms and thirty digits, over the whole range of kernels."""

import mpmath
import numpy as np
import pytest

from rgflow.activations import activation
from rgflow.brackets import gaussian_moments
from rgflow.brackets.in_kernel import DEGREE, KNOWN, UNKNOWN, Tables, tables

PLAIN = (((0, 0), 0), ((0, 0), 2), ((1, 1), 0), ((0, 0, 0, 0), 0))


def read(found: Tables, K: float) -> tuple[np.ndarray, np.ndarray]:
    """Values and errors at one kernel, in plain Python: what the kernel of lanes does."""
    shift, low, centre, inverse, state, coefficient, doubt, _ = found.arrays()
    cell = (int(np.float64(K).view(np.int64)) >> shift) - low
    assert state[cell] == KNOWN
    u = (K - centre[cell]) * inverse[cell]
    return coefficient[cell] @ u ** np.arange(DEGREE + 1), doubt[cell]


WIDE, NARROW = (1e-3, 20.0), (0.3, 3.0)
KERNELS = {name: WIDE for name in ("tanh", "gelu", "relu", "sin", "softplus", "erf", "z^3 - z")}
KERNELS |= {"Max(z, 1/2)": NARROW, "exp": NARROW}


@pytest.mark.parametrize("name", KERNELS)
def test_the_error_is_stated(name):
    """At kernels where nothing was measured the distance from quadrature is within both errors."""
    act = activation(name)
    found = Tables(act, PLAIN)
    kernels = np.exp(np.random.default_rng(1).uniform(*np.log(KERNELS[name]), 300))
    found.grow(kernels.min(), kernels.max())
    moments = [((orders, pending),) for orders, pending in PLAIN]
    values, errors = gaussian_moments(act, kernels[:, None, None], moments, "almost_everywhere", 1e-14)
    for K, value, error in zip(kernels, values, errors, strict=True):
        ours, doubt = read(found, K)
        assert (np.abs(ours - value) <= doubt + error).all(), K
        assert (doubt <= 1e-11 * np.maximum(np.abs(value), np.abs(values).max(axis=0) * 1e-2)).all(), K


def test_thirty_digits():
    """<tanh tanh> and <tanh' tanh'> by mpmath, from a tiny kernel to a large one."""
    found = Tables(activation("tanh"), PLAIN)
    found.grow(1e-9, 300.0)
    mpmath.mp.dps = 30
    for K in (3e-9, 0.07, 1.0, 9.5, 250.0):
        density = lambda z, K=K: mpmath.exp(-z * z / (2 * K)) / mpmath.sqrt(2 * mpmath.pi * K)  # noqa: E731
        end = 12 * mpmath.sqrt(K)
        breaks = [-end, -1, 0, 1, end] if end > 1 else [-end, 0, end]
        squared = mpmath.quad(lambda z: mpmath.tanh(z) ** 2 * density(z), breaks)  # noqa: B023
        slopes = mpmath.quad(lambda z: mpmath.sech(z) ** 4 * density(z), breaks)  # noqa: B023
        ours, doubt = read(found, K)
        for place, exact in ((0, squared), (2, slopes)):
            assert abs(ours[place] - float(exact)) <= doubt[place]
            assert doubt[place] <= 1e-12 * float(exact)


def test_zero_and_kinks():
    smooth = tables(activation("cos"), PLAIN)
    assert smooth.zero.tolist() == [1.0, -2.0, 0.0, 1.0]
    assert np.isnan(tables(activation("relu"), PLAIN).zero).tolist() == [False, True, True, False]


def test_where_there_is_no_average():
    """<exp^2> = e^{2K} overflows beyond K = 354: no cell is made there, the reason is told, and those below serve."""
    found = Tables(activation("exp"), PLAIN)
    found.grow(1.0, 2000.0)
    assert UNKNOWN in found.state
    assert "exp" in found.reason
    assert read(found, 2.0)[0][0] == pytest.approx(np.exp(4.0), rel=1e-10)


def test_growing_keeps_what_is_there():
    found = Tables(activation("tanh"), PLAIN)
    found.grow(1.0, 2.0)
    before = read(found, 1.3)[0]
    found.grow(1e-6, 1e-5)
    found.grow(50.0, 80.0)
    assert (read(found, 1.3)[0] == before).all()
    assert read(found, 3e-6)[0][0] == pytest.approx(3e-6, rel=1e-5)


def test_control_a_lower_degree_is_seen():
    """Negative control: without its last powers a cell misses by more than its error."""
    found = Tables(activation("tanh"), PLAIN)
    found.grow(1.0, 4.0)
    exact = gaussian_moments(activation("tanh"), [[[2.4]]], [(((0, 0), 0),)])[0][0, 0]
    value, doubt = read(found, 2.4)
    assert abs(value[0] - exact) <= doubt[0]
    found.coefficient[..., 4:] = 0.0
    assert abs(read(found, 2.4)[0][0] - exact) > doubt[0]


@pytest.mark.parametrize("least", [1e-7, 1e-4, 6.8e-4])
def test_what_vanishes_below_does_not_bar_what_is_above(least):
    """Brackets beyond a kink at 1 are of size e^{-1/2K}: their digits go at K = 7e-4, and those of K = 1 do not."""
    found = Tables(activation("Max(z - 1, 0)"), PLAIN)
    found.grow(least, 10.0)
    unknown = found.centre[found.state == UNKNOWN]
    assert ((unknown > 7.5e-4) & (unknown < 1.3e-3)).all()  # e^{-1/2K} varies too fast within a cell
    moments = [((orders, pending),) for orders, pending in PLAIN]
    for K in (least, 7e-4, 0.01, 1.0, 9.0):
        values, errors = gaussian_moments(found.activation, [[[K]]], moments, "almost_everywhere", 1e-14)
        ours, doubt = read(found, K)
        assert (np.abs(ours - values[0]) <= doubt + errors[0]).all()


def test_where_averages_end_they_end():
    """Beyond the first kernel that overflows nothing is tried, and what is below is still made when it is asked for."""
    found = Tables(activation("exp"), PLAIN)
    found.grow(300.0, 1e6)
    found.grow(1e-3, 2e-3)
    assert read(found, 1.5e-3)[0][0] == pytest.approx(np.exp(3e-3), rel=1e-10)
    with pytest.raises(AssertionError):
        read(found, 1e6)
