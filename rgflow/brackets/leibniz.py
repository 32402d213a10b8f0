"""Pending derivatives of a product of derivatives of sigma, by Leibniz' rule."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Polynomial = tuple[tuple[int, tuple[int, ...]], ...]


@cache
def leibniz(orders: tuple[int, ...], pending: int) -> Polynomial:
    """d^m/dz^m [sigma^{(k_1)} ... sigma^{(k_w)}] as a sum of products of derivatives of sigma.

    Parameters
    ----------
    orders : tuple of int
        k_1 ... k_w, the written orders.
    pending : int
        m, the number of total derivatives.

    Returns
    -------
    tuple of (coefficient, sorted orders), one for each product, sorted.

    >>> leibniz((0, 0), 2)
    ((2, (0, 2)), (2, (1, 1)))
    >>> leibniz((), 1)
    ()
    """
    terms = {tuple(sorted(orders)): 1}
    for _ in range(pending):
        following: dict[tuple[int, ...], int] = {}
        for product, coefficient in terms.items():
            for place, order in enumerate(product):
                raised = tuple(sorted((*product[:place], order + 1, *product[place + 1 :])))
                following[raised] = following.get(raised, 0) + coefficient
        terms = following
    return tuple((coefficient, product) for product, coefficient in sorted(terms.items()))


def highest_order(polynomials: tuple[Polynomial, ...]) -> int:
    """The highest derivative of sigma that the polynomials contain."""
    return max((order for p in polynomials for _, product in p for order in product), default=0)


def evaluate(polynomials: tuple[Polynomial, ...], derivatives: Array) -> Array:
    """Values of the polynomials in d[k] = sigma^{(k)}(z).

    Parameters
    ----------
    derivatives : (order + 1, *shape)

    Returns
    -------
    (len(polynomials), *shape)
    """
    shape = derivatives.shape[1:]
    products: dict[tuple[int, ...], Array] = {}

    def product_of(orders: tuple[int, ...]) -> Array:
        if len(orders) < 2:
            return derivatives[orders[0]] if orders else np.ones(shape)
        if orders not in products:
            products[orders] = product_of(orders[:-1]) * derivatives[orders[-1]]
        return products[orders]

    out = np.empty((len(polynomials), *shape))
    for row, polynomial in zip(out, polynomials, strict=True):
        if not polynomial:
            row[...] = 0.0
        for number, (coefficient, orders) in enumerate(polynomial):
            term = product_of(orders) if coefficient == 1 else coefficient * product_of(orders)
            if number:
                row += term
            else:
                row[...] = term
    return out
