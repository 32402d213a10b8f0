"""The product law against direct sums over neurons and against polynomial networks."""

from fractions import Fraction
from math import factorial, prod

import pytest

from oracles import polynomial_networks
from oracles.product_law import LINEAR, RELU, coefficients, growth, mean_power, slope_moment, totals
from oracles.series import evaluate

LEAKY = (1, Fraction(1, 10))


@pytest.mark.parametrize("slopes", [RELU, LINEAR, LEAKY])
@pytest.mark.parametrize("widths", [(4, 4, 4), (2, 3, 5)])
def test_second_moment_is_a_product(slopes, widths):
    """E[g^2]/E[g]^2 - 1 = prod(1 + c/n) - 1, read from V."""
    last = totals(slopes, 3, (1, 2, Fraction(3, 4), 5), widths)[-1]
    ratio = last["V"] / widths[-1] / last["K"] ** 2
    assert 1 + ratio == prod(1 + growth(slopes) / n for n in widths)


@pytest.mark.parametrize("slopes", [RELU, LINEAR, LEAKY])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_power_of_the_mean(slopes, n):
    """The multinomial theorem over explicit neurons."""
    y = [
        Fraction(1),
        *(factorial(2 * p) / Fraction(2**p * factorial(p)) * slope_moment(slopes, 2 * p) for p in (1, 2, 3, 4)),
    ]

    def compositions(total, parts):
        if parts == 1:
            return [(total,)]
        return [(first, *rest) for first in range(total + 1) for rest in compositions(total - first, parts - 1)]

    for k in range(5):
        explicit = (
            sum(
                factorial(k) * prod((y[p] / factorial(p) for p in powers), start=Fraction(1))
                for powers in compositions(k, n)
            )
            / Fraction(n) ** k
        )
        assert evaluate(mean_power(slopes, k), Fraction(1, n)) == explicit


@pytest.mark.parametrize("multiples", [(1, 1, 1), (2, 3, 5)])
def test_linear_networks_both_ways(multiples):
    """Two oracles, one network: sigma(z) = z without biases."""
    both = [
        coefficients(LINEAR, Fraction(2, 3), Fraction(3, 4), multiples),
        polynomial_networks.coefficients((0, 1), Fraction(2, 3), 0, Fraction(3, 4), multiples),
    ]
    assert both[0] == both[1]


def test_relu_in_depth():
    """V = 5 K^2 (l - 1) at criticality, and the kernel has no corrections."""
    rows = coefficients(RELU, 2, 2, (1, 1, 1))
    assert [row["V"] for row in rows] == [0, 20, 40, 60]
    assert all(row["K"] == 2 and row["K_1"] == row["K_2"] == 0 for row in rows)
    # (1 + 5/n)^3 = 1 + 15/n + 75/n^2 + ..., so V_1 = 75 K^2
    assert rows[-1]["V_1"] == 300
