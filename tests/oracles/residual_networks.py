r"""Exact moments of finite residual networks with one input and a polynomial activation.

z^{t+1}_i = skip z^t_i + y_i, y_i ~ N(0, G) independent given the past, G = C_b + C_W (1/n) sum_j sigma(z^t_j)^2, so
that a power of a neuron is

    E[z_i^a] = sum over k of binom(a, 2 k) (2 k - 1)!! skip^{a - 2 k} z_i^{a - 2 k} G^k,

and a factor (1/n) sum_j s(z_j) meets each of the m neurons that already occur with weight 1/n and a new one with weight
1 - m/n. By symmetry only the exponents matter: moments of one layer are finite sums of moments of the layer below, with
coefficients polynomial in 1/n. A branch has hidden neurons of its own: G = C_a + C_V (1/M) sum_k sigma(h_k)^2 with
h_k ~ N(0, C_b + C_W (1/n) sum_j x_j^2). Nothing is expanded but these polynomials; no cumulants, no Gaussian closure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cache
from math import comb

from oracles.series import Series, add, multiply, power, scale

Exponents = tuple[int, ...]
Polynomial = dict[Exponents, Series]
ORDER = 1  # powers of 1/n that are kept


def coefficients(
    sigma: Sequence[Fraction], first_kernel: Fraction, layers: Sequence[Mapping[str, Fraction]], vertex: bool = True
) -> dict[str, Fraction]:
    """K, K_1 and (if ``vertex``) V of z after residual layers or branches of width n, on a first layer of width n.

    Each layer maps C_b, C_W and skip to numbers; a branch C_a, C_V, C_b, C_W, and ``multiple`` with M = multiple * n.
    """
    moment = _moments(tuple(sigma), first_kernel, tuple(tuple(sorted(layer.items())) for layer in layers))
    second = moment((2,))
    found = {"K": _at(second, 0), "K_1": _at(second, 1)}
    if vertex:
        joint = add(moment((2, 2)), scale(-1, multiply(second, second, ORDER)))
        assert _at(joint, 0) == 0
        found["V"] = _at(joint, 1)
    return found


def _at(series: Series, power_of_n: int) -> Fraction:
    return Fraction(series[power_of_n]) if len(series) > power_of_n else Fraction(0)


def _moments(sigma, first_kernel, layers):
    """E[prod z_i^{a_i}] after all layers, as a function of the exponents."""
    if not layers:

        def first(exponents: Exponents) -> Series:
            value = Fraction(1)
            for a in exponents:
                value *= 0 if a % 2 else _odd_factorial(a) * first_kernel ** (a // 2)
            return (value,)

        return first
    below = _moments(sigma, first_kernel, layers[:-1])
    layer = dict(layers[-1])
    square = power([Fraction(c) for c in sigma], 2)

    @cache
    def moment(exponents: Exponents) -> Series:
        total: Polynomial = defaultdict(lambda: (Fraction(0),))
        for left, variance, weight in _split(exponents, layer.get("skip", Fraction(1))):
            for found, series in _times_variance({left: (weight,)}, variance, layer, square).items():
                total[found] = add(total[found], series)
        return add(*(multiply(series, below(found), ORDER) for found, series in total.items()))

    return moment


def _split(exponents: Exponents, skip: Fraction):
    """Each neuron's power of skip z + y, averaged over y: exponents of z, the power of G, the weight."""
    if not exponents:
        yield (), 0, Fraction(1)
        return
    a = exponents[0]
    for left, variance, weight in _split(exponents[1:], skip):
        for k in range(a // 2 + 1):
            rest = a - 2 * k
            factor = comb(a, 2 * k) * _odd_factorial(2 * k) * skip**rest
            if factor:
                yield _sorted((rest, *left)), variance + k, weight * factor


def _times_variance(start: Polynomial, times: int, layer, square: Series) -> Polynomial:
    """The polynomial times G^times, in terms of the layer below."""
    if "C_V" not in layer:
        return _times_affine(start, times, layer["C_b"], layer["C_W"], square)
    # sum over the number q of factors with an average over hidden neurons, themselves Gaussian given the layer below
    total: Polynomial = defaultdict(lambda: (Fraction(0),))
    for q in range(times + 1):
        weight = comb(times, q) * layer["C_a"] ** (times - q) * layer["C_V"] ** q
        for powers, series in _hidden(q, square, layer["multiple"]).items():
            scaled = {key: multiply(scale(weight, value), series, ORDER) for key, value in start.items()}
            inner = _times_affine(scaled, powers, layer["C_b"], layer["C_W"], (Fraction(0), Fraction(0), Fraction(1)))
            for key, value in inner.items():
                total[key] = add(total[key], value)
    return total


def _hidden(q: int, square: Series, multiple: Fraction) -> dict[int, Series]:
    """E[((1/M) sum_k sigma(h_k)^2)^q] with h ~ N(0, g): {power of g: polynomial in 1/n}."""
    found: Polynomial = {(): (Fraction(1),)}
    for _ in range(q):
        found = _times_average(found, square, Fraction(1, 1) / multiple)
    out: dict[int, Series] = defaultdict(lambda: (Fraction(0),))
    for exponents, series in found.items():
        if all(a % 2 == 0 for a in exponents):
            weight = Fraction(1)
            for a in exponents:
                weight *= _odd_factorial(a)
            out[sum(exponents) // 2] = add(out[sum(exponents) // 2], scale(weight, series))
    return out


def _times_affine(start: Polynomial, times: int, constant: Fraction, slope: Fraction, s: Series) -> Polynomial:
    """The polynomial times (constant + slope (1/n) sum_j s(z_j))^times."""
    found = dict(start)
    for _ in range(times):
        averaged = _times_average(found, s, Fraction(1))
        found = {
            key: add(scale(constant, found.get(key, (Fraction(0),))), scale(slope, averaged.get(key, (Fraction(0),))))
            for key in {*found, *averaged}
        }
    return found


def _times_average(start: Polynomial, s: Series, inverse: Fraction) -> Polynomial:
    """The polynomial times (1/N) sum_j s(z_j), 1/N = inverse/n: neurons that occur, or a new one."""
    total: Polynomial = defaultdict(lambda: (Fraction(0),))
    for exponents, series in start.items():
        known = len(exponents)
        new = multiply(series, (Fraction(1), -known * inverse), ORDER)
        old = multiply(series, (Fraction(0), inverse), ORDER)
        for d, coefficient in enumerate(s):
            if not coefficient:
                continue
            fresh = (*exponents, d)
            total[_sorted(fresh)] = add(total[_sorted(fresh)], scale(coefficient, new))
            for i in range(known):
                met = (*exponents[:i], exponents[i] + d, *exponents[i + 1 :])
                total[_sorted(met)] = add(total[_sorted(met)], scale(coefficient, old))
    return {key: series for key, series in total.items() if any(series)}


def _sorted(exponents: Exponents) -> Exponents:
    """In order; a neuron with exponent 0 is one that does not occur."""
    return tuple(sorted((a for a in exponents if a), reverse=True))


def _odd_factorial(a: int) -> int:
    """(a - 1)!! for even a."""
    return 1 if a <= 0 else (a - 1) * _odd_factorial(a - 2)
