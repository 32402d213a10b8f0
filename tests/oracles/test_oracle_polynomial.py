"""The exact moments of polynomial networks against nested Gaussian integrals and brute force."""

from fractions import Fraction

import pytest

from oracles.polynomial_networks import activation_moments, coefficients, moments, totals
from oracles.series import add, evaluate, multiply, scale
from oracles.tiny_networks import TinyNetwork, compose, plus, times

LINEAR = (0, 1)
SQUARE = (0, 0, 1)
MIXED = (0, 1, Fraction(1, 2))
SHIFTED = (Fraction(1, 3), 1, 0, Fraction(-1, 4))
C_B, C_W, K1 = Fraction(1, 5), Fraction(3, 4), Fraction(2, 3)


def nested(sigma, power, layers, g):
    """E[g_L^power] for width 1: g' = C_b + C_W sigma(z)^2, one polynomial in g folded into the next."""
    polynomial = (*[Fraction(0)] * power, Fraction(1))
    for _ in range(layers):
        m = activation_moments(sigma, len(polynomial) - 1)
        folded = (Fraction(0),)
        for k, value in enumerate(polynomial):
            term = (value,)
            # (C_b + C_W s)^k with s^j -> m_j(g), by Horner in the symbolic s
            binomial = [Fraction(1)]
            for _ in range(k):
                binomial = list(multiply(binomial, (C_B, C_W)))
            term = add(*[scale(value * b, m[j]) for j, b in enumerate(binomial)])
            folded = add(folded, term)
        polynomial = folded
    return evaluate(polynomial, g)


@pytest.mark.parametrize("sigma", [LINEAR, SQUARE, MIXED, SHIFTED])
def test_width_one_is_a_nested_gaussian_average(sigma):
    """Width 1 has no sum over neurons: an independent composition of polynomials, folded from the last layer down."""
    last = totals(sigma, K1, C_B, C_W, (1, 1), highest=3)[-1]
    m = [nested(sigma, k, 2, K1) for k in range(4)]
    assert last["K"] == m[1]
    assert last["V"] == m[2] - m[1] ** 2
    assert last["V6"] == m[3] - 3 * m[2] * m[1] + 2 * m[1] ** 3


@pytest.mark.parametrize(("sigma", "widths"), [(SQUARE, (2, 1)), (MIXED, (1, 2)), (MIXED, (2, 1))])
def test_brute_force(sigma, widths):
    """E[g^2] over every weight and bias of explicit networks, g = C_b + C_W (1/n) sum sigma(z_j)^2."""
    x, biases, weights = Fraction(3, 2), (0, Fraction(1, 3), Fraction(1, 7)), (C_W, Fraction(2, 3), Fraction(3, 2))
    net = TinyNetwork((1, *widths), sigma, ((x,),), biases[:2], weights[:2], (0, 0), (0, 0))
    g = {(): biases[2]}
    for j in range(widths[-1]):
        s = compose(sigma, net.z(j, 0))
        g = plus(g, times({(): weights[2] / widths[-1]}, times(s, s)))
    exact = totals(sigma, net.kernel(0, 0), biases, weights, widths, highest=2)[-1]
    assert exact["K"] == net.mean(g)
    assert exact["V"] == widths[-1] * (net.mean(times(g, g)) - net.mean(g) ** 2)


@pytest.mark.parametrize("n", [1, 2])
def test_brute_force_of_outputs(n):
    """E[z_0^2 z_1^2]: the conditional variance is what two outputs share (sigma mixed and cubic, one hidden layer)."""
    for sigma in (MIXED, SHIFTED):
        net = TinyNetwork((1, n, 2), sigma, ((Fraction(3, 2),),), (C_B, C_B), (C_W, C_W), (0, 0), (0, 0))
        exact = totals(sigma, net.kernel(0, 0), C_B, C_W, (n,), highest=2)[-1]
        left, right = times(net.z(0, 0), net.z(0, 0)), times(net.z(1, 0), net.z(1, 0))
        assert exact["V"] == n * (net.mean(times(left, right)) - net.mean(left) * net.mean(right))


@pytest.mark.parametrize("sigma", [SQUARE, MIXED])
@pytest.mark.parametrize("multiples", [(1, 1), (2, 3)])
def test_series_and_integers_agree(sigma, multiples):
    """The whole polynomials in 1/n, the truncated ones and the integer-width values are one function of n."""
    whole = moments(sigma, K1, C_B, C_W, multiples)
    cut = moments(sigma, K1, C_B, C_W, multiples, order=3)
    for row, short in zip(whole, cut, strict=True):
        for series, head in zip(row, short, strict=True):
            assert [*series, 0, 0, 0, 0][:4] == [*head, 0, 0, 0, 0][:4]
    for n in (1, 2, 5):
        exact = totals(sigma, K1, C_B, C_W, [w * n for w in multiples])[-1]
        assert exact["K"] == evaluate(whole[-1][1], Fraction(1, n))


def test_second_layer_by_hand():
    """V at layer 2 is the variance over one neuron, and has no corrections."""
    for sigma in (SQUARE, MIXED, SHIFTED):
        m = [evaluate(series, K1) for series in activation_moments(sigma, 3)]
        second = coefficients(sigma, K1, C_B, C_W, (3,), order=4)[1]
        assert second["K"] == C_B + C_W * m[1]
        assert second["V"] == C_W**2 * (m[2] - m[1] ** 2)
        assert second["V6"] == C_W**3 * (m[3] - 3 * m[2] * m[1] + 2 * m[1] ** 3)
        assert not any(second[name] for name in ("K_1", "K_2", "V_1", "V_2", "V6_1", "V6_2"))


def test_widths_rescale():
    """Coefficients in 1/n_{l-1} do not change when every width is doubled, and do when one is."""
    one = coefficients(MIXED, K1, C_B, C_W, (2, 3, 5))[-1]
    assert coefficients(MIXED, K1, C_B, C_W, (4, 6, 10))[-1] == one
    other = coefficients(MIXED, K1, C_B, C_W, (4, 3, 5))[-1]
    assert other["K"] == one["K"]
    assert all(other[name] != one[name] for name in ("K_1", "V", "V_1", "V6"))


def test_cubic_reaches_four_layers():
    """Layer 4 of the cubic needs the 27th moment of layer 2 for V6."""
    last = coefficients(SHIFTED, K1, C_B, C_W, (1, 2, 1))[-1]
    assert {"K", "K_2", "V", "V_1", "V6"} <= set(last)
