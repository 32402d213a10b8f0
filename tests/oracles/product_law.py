r"""The exact product law of one input, C_b = 0 and sigma(z) = a_+ z (z > 0), a_- z (z < 0).

sigma is positively homogeneous, so g' = C_W g (1/n_l) sum_j y_j with y_j = sigma(u_j)^2, u_j ~ N(0, 1) independent of g
and of each other. Layers multiply:

    E[(g^l)^k] = K1^k prod_{m < l} C_W^k E[((1/n_m) sum_j y_j)^k] ,   E[y^p] = (2p-1)!! (a_+^{2p} + a_-^{2p}) / 2 ,
    E[g^2] / E[g]^2 = prod_{m < l} (1 + (3 A_4 / A_2^2 - 1) / n_m) .

K_1 = K_2 = ... = 0. ReLU is (1, 0), leaky ReLU (1, slope), linear (1, 1). Conventions are those of
:mod:`oracles.polynomial_networks`. Source: PDLT (arXiv:2106.10165) chapter 3 for linear networks; the rest follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from oracles.polynomial_networks import Hyperparameter, Number
from oracles.series import CUMULANT_NAMES, Series, add, cumulants, multiply, named_coefficients, scale

RELU = (1, 0)
LINEAR = (1, 1)


def slope_moment(slopes: tuple[Number, Number], degree: int) -> Fraction:
    """A_degree = (a_+^degree + a_-^degree) / 2.

    >>> slope_moment(RELU, 4)
    Fraction(1, 2)
    """
    return (Fraction(slopes[0]) ** degree + Fraction(slopes[1]) ** degree) / 2


def growth(slopes: tuple[Number, Number]) -> Fraction:
    """c in E[g^2]/E[g]^2 = prod(1 + c/n): 3 A_4 / A_2^2 - 1, so 5 for ReLU and 2 for linear networks.

    >>> int(growth(RELU)), int(growth(LINEAR))
    (5, 2)
    """
    return 3 * slope_moment(slopes, 4) / slope_moment(slopes, 2) ** 2 - 1


def mean_power(slopes: tuple[Number, Number], k: int) -> Series:
    """E[((1/n) sum_j y_j)^k] as a polynomial in 1/n.

    One neuron after another: the set partition of the k factors is grown by deciding which factors share the neuron of
    the last one; the b-th neuron can be chosen in n - b + 1 ways.
    """
    y, double_factorial = [Fraction(1)], 1
    for p in range(1, k + 1):
        double_factorial *= 2 * p - 1
        y.append(double_factorial * slope_moment(slopes, 2 * p))
    out: Series = (Fraction(0),)
    for blocks in _partitions(k):
        term: Series = (Fraction(1),)
        for i, size in enumerate(blocks):
            term = multiply(term, (y[size], -i * y[size]))
        out = add(out, (*[Fraction(0)] * (k - len(blocks)), *term))
    return out


def moments(
    slopes: tuple[Number, Number],
    first_kernel: Number,
    C_W: Hyperparameter,
    multiples: Sequence[int],
    highest: int = 3,
    order: int | None = None,
) -> list[list[Series]]:
    """E[g^k], k = 0..highest, at the layers 1..len(multiples) + 1 as polynomials in x = 1/n, n_l = multiples[l-1] n."""
    depth = len(multiples) + 1
    weights = C_W if isinstance(C_W, Sequence) else [C_W] * depth
    if len(weights) != depth:
        raise ValueError(f"{len(weights)} values of C_W for {depth} layers")
    row: list[Series] = [(Fraction(first_kernel) ** k,) for k in range(highest + 1)]
    table: list[list[Series]] = [list(row)]
    for w, c in zip(multiples, weights[1:], strict=True):
        factors = [_stretched(mean_power(slopes, k), w) for k in range(highest + 1)]
        row = [
            scale(Fraction(c) ** k, multiply(below, factor, order))
            for k, (below, factor) in enumerate(zip(row, factors, strict=True))
        ]
        table.append(list(row))
    return table


def coefficients(
    slopes: tuple[Number, Number],
    first_kernel: Number,
    C_W: Hyperparameter,
    multiples: Sequence[int],
    highest: int = 3,
    order: int = 3,
) -> list[dict[str, Fraction]]:
    """K, K_1, ..., V, V_1, ..., V6, ... in powers of 1/n_{l-1} at every layer.

    >>> second = coefficients(RELU, 1, 2, (1,), highest=2, order=2)[1]
    >>> {name: int(value) for name, value in second.items()}
    {'K': 1, 'K_1': 0, 'K_2': 0, 'V': 5, 'V_1': 0}
    """
    table = moments(slopes, first_kernel, C_W, multiples, highest, order)
    widths = (1, *multiples)
    return [named_coefficients(cumulants(row, order), w, order) for row, w in zip(table, widths, strict=True)]


def totals(
    slopes: tuple[Number, Number],
    first_kernel: Number,
    C_W: Hyperparameter,
    widths: Sequence[int],
    highest: int = 3,
) -> list[dict[str, Fraction]]:
    """n_{l-1}^{k-1} kappa_k at the integer widths n_1..n_{L-1}, to all orders."""
    # the polynomial in x = 1/n with n_l = widths[l-1] * n is exact, hence at n = 1
    table = moments(slopes, first_kernel, C_W, widths, highest)
    out = []
    for row, n in zip(table, (1, *widths), strict=True):
        values = [(sum(term, Fraction(0)),) for term in row]
        kappas = cumulants(values)
        out.append({CUMULANT_NAMES.get(k, f"V{2 * k}"): n ** (k - 1) * kappa[0] for k, kappa in enumerate(kappas, 1)})
    return out


def _stretched(series: Series, multiple: int) -> Series:
    """The series in 1/(multiple n) as one in 1/n."""
    return tuple(value / Fraction(multiple) ** p for p, value in enumerate(series))


def _partitions(k: int) -> list[tuple[int, ...]]:
    """The block sizes of every set partition of k things, with repetition."""
    grown: list[tuple[int, ...]] = [()]
    for _ in range(k):
        grown = [
            new
            for blocks in grown
            for new in (
                *[(*blocks[:i], size + 1, *blocks[i + 1 :]) for i, size in enumerate(blocks)],
                (*blocks, 1),
            )
        ]
    return grown
