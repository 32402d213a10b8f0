r"""Exact moments of finite networks with one input and a polynomial activation.

Given the layer below, a neuron of layer l+1 is Gaussian with the conditional variance

    g' = C_b + C_W (1/n_l) sum_j sigma(z_j)^2 ,      z_j ~ N(0, g) independent, g = g^l.

So E[sigma^{2p} | g] = m_p(g) is a polynomial, and with n_l independent neurons

    E[(sum_j sigma(z_j)^2)^k | g] = sum_b n_l (n_l - 1) ... (n_l - b + 1) B_{k,b}(m_1(g), m_2(g), ...)

where the partial Bell polynomial B_{k,b} sums over the partitions of k factors into b neurons. The moments E[g^j] of
one layer are therefore an exact linear image of those of the layer below; g^1 = first_kernel is not random. Nothing
is expanded but the falling factorial, a polynomial in 1/n_l.

Conventions: layer l = 1..L; n_l = multiples[l-1] * n for l = 1..L-1; the tensor of level k at layer l is
n_{l-1}^{k-1} kappa_k(g^l) (K, V, V6), its coefficients X, X_1, X_2, ... belong to the powers of 1/n_{l-1}.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import comb

from oracles.series import (
    CUMULANT_NAMES,
    Series,
    add,
    cumulants,
    evaluate,
    multiply,
    named_coefficients,
    power,
    scale,
)

Number = Fraction | int
Hyperparameter = Number | Sequence[Number]


def coefficients(
    sigma: Sequence[Number],
    first_kernel: Number,
    C_b: Hyperparameter,
    C_W: Hyperparameter,
    multiples: Sequence[int],
    highest: int = 3,
    order: int = 3,
) -> list[dict[str, Fraction]]:
    """Coefficients of K, V, V6, ... in 1/n_{l-1} at the layers l = 1..len(multiples) + 1.

    Parameters
    ----------
    sigma : coefficients of the polynomial activation, low to high
    first_kernel : variance of layer 1
    C_b, C_W : one number, or one per layer 1..L (that of layer 1 is not used)
    multiples : w_1..w_{L-1}, n_l = w_l n
    highest : highest level k of a cumulant
    order : highest power of 1/n kept: K_q for q <= order, V_q for q <= order - 1, V6_q for q <= order - 2

    >>> second = coefficients((0, 1), 1, 0, 1, (1,), highest=2, order=2)[1]
    >>> {name: int(value) for name, value in second.items()}
    {'K': 1, 'K_1': 0, 'K_2': 0, 'V': 2, 'V_1': 0}
    """
    table = moments(sigma, first_kernel, C_b, C_W, multiples, highest, order)
    widths = (1, *multiples)
    return [named_coefficients(cumulants(row, order), w, order) for row, w in zip(table, widths, strict=True)]


def totals(
    sigma: Sequence[Number],
    first_kernel: Number,
    C_b: Hyperparameter,
    C_W: Hyperparameter,
    widths: Sequence[int],
    highest: int = 3,
) -> list[dict[str, Fraction]]:
    """The exact values n_{l-1}^{k-1} kappa_k at the integer widths n_1..n_{L-1}, to all orders in 1/n."""

    def weight(layer: int, k: int, c: int) -> Series:
        n = widths[layer - 1]
        out = Fraction(1, n**c)
        for i in range(k - c):
            out *= 1 - Fraction(i, n)
        return (out,)

    table = _moments(sigma, first_kernel, C_b, C_W, len(widths) + 1, highest, weight, None)
    out = []
    for row, n in zip(table, (1, *widths), strict=True):
        kappas = cumulants(row)
        out.append({CUMULANT_NAMES.get(k, f"V{2 * k}"): n ** (k - 1) * kappa[0] for k, kappa in enumerate(kappas, 1)})
    return out


def moments(
    sigma: Sequence[Number],
    first_kernel: Number,
    C_b: Hyperparameter,
    C_W: Hyperparameter,
    multiples: Sequence[int],
    highest: int = 3,
    order: int | None = None,
) -> list[list[Series]]:
    """E[g^k], k = 0..highest, at every layer as polynomials in 1/n; order=None keeps every power: exact for every n."""

    def weight(layer: int, k: int, c: int) -> Series:
        out = (*[Fraction(0)] * c, Fraction(1, multiples[layer - 1] ** c))
        for i in range(k - c):
            out = multiply(out, (Fraction(1), Fraction(-i, multiples[layer - 1])), order)
        return out

    return _moments(sigma, first_kernel, C_b, C_W, len(multiples) + 1, highest, weight, order)


def activation_moments(sigma: Sequence[Number], highest: int) -> list[Series]:
    """m_p(g) = E[sigma(z)^{2p}], z ~ N(0, g), as polynomials in g, for p = 0..highest.

    >>> [int(c) for c in activation_moments((1, 1), 1)[1]]       # E[(1 + z)^2] = 1 + g
    [1, 1]
    """
    square = power([Fraction(c) for c in sigma], 2)
    out: list[Series] = []
    current: Series = (Fraction(1),)
    for _ in range(highest + 1):
        even, odd_factorial = [], 1
        for j, value in enumerate(current[::2]):
            odd_factorial *= max(2 * j - 1, 1)
            even.append(odd_factorial * value)
        out.append(tuple(even))
        current = multiply(current, square)
    return out


def partial_bell(m: Sequence[Series], highest: int, deepest: int) -> list[list[Series]]:
    """B[k][c] = B_{k,k-c}(m_1, m_2, ...): k factors shared among b = k - c different neurons; c <= deepest."""
    table: list[list[Series]] = [[(Fraction(1),)]]
    for k in range(1, highest + 1):
        row: list[Series] = []
        for c in range(min(k, deepest + 1)):
            # the neuron of factor k also takes i - 1 of the other k - 1 factors, which leaves c - (i - 1)
            terms = [
                scale(comb(k - 1, i - 1), multiply(m[i], table[k - i][c - i + 1]))
                for i in range(1, c + 2)
                if k >= i and c - i + 1 < len(table[k - i])
            ]
            row.append(add(*terms))
        table.append(row)
    return table


def _moments(
    sigma: Sequence[Number],
    first_kernel: Number,
    C_b: Hyperparameter,
    C_W: Hyperparameter,
    depth: int,
    highest: int,
    weight: Callable[[int, int, int], Series],
    order: int | None,
) -> list[list[Series]]:
    degree = len(sigma) - 1
    need = [max(highest, highest * degree ** (depth - layer)) for layer in range(1, depth + 1)]
    biases, weights = _per_layer(C_b, depth), _per_layer(C_W, depth)
    table: list[list[Series]] = [[(Fraction(first_kernel) ** k,) for k in range(need[0] + 1)]]
    for layer in range(1, depth):
        top = need[layer]
        deepest = top if order is None else min(order, top)
        m = activation_moments(sigma, min(deepest + 1, top))
        below = table[-1]
        if layer == 1:  # g is a number there: put it in before the powers are taken
            m = [(evaluate(term, Fraction(first_kernel)),) for term in m]
        bell = partial_bell(m, top, deepest)
        averages: list[Series] = []  # E[q^k], q the mean of sigma^2 over the neurons
        for k in range(top + 1):
            terms = [multiply(weight(layer, k, c), _expectation(term, below), order) for c, term in enumerate(bell[k])]
            averages.append(add(*terms))
        b, w = biases[layer], weights[layer]
        table.append(
            [add(*[scale(comb(k, j) * b ** (k - j) * w**j, averages[j]) for j in range(k + 1)]) for k in range(top + 1)]
        )
    return [row[: highest + 1] for row in table]


def _expectation(polynomial: Series, below: Sequence[Series]) -> Series:
    """E[polynomial(g)] from the moments of g."""
    return add(*[scale(value, below[j]) for j, value in enumerate(polynomial)])


def _per_layer(value: Hyperparameter, depth: int) -> list[Fraction]:
    if isinstance(value, Sequence):
        if len(value) != depth:
            raise ValueError(f"{len(value)} hyperparameters for {depth} layers")
        return [Fraction(v) for v in value]
    return [Fraction(value)] * depth
