"""What the papers' depths could not settle, by a continuous flow in ln l that goes on to 1e12 blocks.

x(l + 1/2) of the flow dx/dl = f(l, x) follows the recurrence to relative order l^-2, from 1e5 blocks on.
"""

import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from sources.yang_schoenholz import C_TANH

import rgflow as rg
from rgflow.scaling import variation, variation_phases
from rgflow.scaling.tables import CELL, FINEST, tables_of

pytestmark = pytest.mark.slow
START = 100_000
TABLES = tables_of(rg.activation("tanh"))


def single(q):
    return np.exp(TABLES.read(np.log([q]))[:, 0])


def apart(q, s):
    """V - W at kernel q and q - lambda = s."""
    place = [0.5 * math.log(x) / CELL - FINEST for x in (q - s / 2, s / 2)]
    cell = [math.floor(x) for x in place]
    TABLES.fill_apart(*cell)
    at = [2 * (x - k) - 1 for x, k in zip(place, cell, strict=True)]
    return math.exp(np.polynomial.chebyshev.chebval2d(*at, TABLES.apart[cell[0], cell[1]]))


def continued(slope, first, decades):
    logs = math.log(10) * np.asarray(decades, float)
    found = solve_ivp(
        slope, (math.log(START + 0.5), logs[-1]), first, method="DOP853", rtol=1e-10, atol=1e-12, t_eval=logs
    )
    return np.exp(logs), found.y


def test_power_law_at_the_edge():
    """(.2, .6, .4), W_t = 0: the slope of ln chi is .412/sqrt(1 + 1.5 l^-.2), seen to 1e12; c_p tends to 5/3."""
    p0 = float(variation("tanh", START, beta_W=0.2, beta_V=0.6, beta_a=0.4)["p"][-1])

    def rates(t, y):
        l = math.exp(t)
        V, slope = single(l**-0.2 * y[0] + 1)
        return l * (l**-0.6 * V + l**-0.4), l * math.log1p(l**-0.8 * slope)

    depths, (p, _) = continued(lambda t, y: rates(t, y), [p0, 0.0], [6, 8, 10, 12])
    slopes = [rates(math.log(l), [x])[1] for l, x in zip(depths, p, strict=True)]
    power = float(variation_phases("tanh", beta_W=0.2, beta_V=0.6, beta_a=0.4)["chi"].exponent)
    assert power == pytest.approx(C_TANH * math.sqrt(0.6))
    second = 1.5 * depths**-0.2
    # what follows the two terms of p is l^-2/5 of it
    np.testing.assert_allclose(slopes, power / np.sqrt(1 + second), rtol=2 * depths[0] ** -0.4)
    np.testing.assert_allclose(p / depths**0.6, (1 + second) / 0.6, rtol=2 * depths[0] ** -0.4)
    assert abs(slopes[-1] / power - 1) < 0.004 < 0.04 < abs(slopes[0] / power - 1)


@pytest.mark.parametrize("C_a", [1.0, 0.5])
def test_two_powers_that_nearly_cancel(C_a):
    """e - e* = a l^-delta + b l^-1/2: the rest without b falls as l^-delta to four digits from 1e8 to 1e12."""
    ds = variation("tanh", START, C_a=C_a, gamma0=0.0)
    found = variation_phases("tanh", C_a=C_a).e
    limit, delta = float(found.limit), -float(found.approach.power)

    def rates(t, y):
        l, q = math.exp(t), y[0] + 1
        return l * (single(q)[0] + C_a), l * apart(q, y[1])

    depths, (p, s) = continued(rates, [float(ds["p"][-1]), float(ds["s"][-1])], [8, 9, 10, 11, 12])
    distance = 1 - s / p - limit
    kappa = 2 * math.sqrt(2 / math.pi) / (1 + C_a) ** 1.5
    rest = distance - limit * kappa / (2 * delta - 1) * depths**-0.5
    slopes = np.diff(np.log(rest)) / np.diff(np.log(depths))
    np.testing.assert_allclose(slopes, -delta, rtol=1e-3)
    plain = np.diff(np.log(distance)) / np.diff(np.log(depths))
    assert (np.abs(plain + delta) > 0.02).all()  # control: without b another exponent is seen even at 1e12
