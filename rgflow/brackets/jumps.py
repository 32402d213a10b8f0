r"""A product of derivatives of a kinked sigma as a distribution.

.. math:: \partial^m f = f^{(m)}\big|_{\rm branches} + \sum_c \sum_{j<m} [f^{(j)}]_c\, \delta^{(m-1-j)}(z-c)
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from rgflow.activations import Activation
from rgflow.brackets.leibniz import Polynomial, evaluate, leibniz

_ROUNDING = 1e-13


@lru_cache(maxsize=4096)
def branch_function(activation: Activation, orders: tuple[int, ...], level: int) -> Polynomial:
    """The branchwise derivative f^{(level)} of f = prod sigma^{(k)}, without the products that vanish everywhere."""
    terms = leibniz(tuple(sorted(orders)), level)
    top = vanishing_order(activation)
    return tuple((c, product) for c, product in terms if not product or product[-1] < top)


@lru_cache(maxsize=256)
def vanishing_order(activation: Activation) -> int:
    """The order from which every branch derivative is zero (pieces that are polynomials), else a number beyond use."""
    pieces = activation.piece_polynomials
    return 10_000 if any(piece is None for piece in pieces) else max(len(piece or ()) for piece in pieces)


@lru_cache(maxsize=4096)
def jump(activation: Activation, orders: tuple[int, ...], level: int, place: int) -> float:
    """[f^{(level)}]_c = f(c+) - f(c-) of the branch derivatives at the kink number ``place``.

    >>> from rgflow.activations import activation
    >>> jump(activation("relu"), (0,), 1, 0)
    1.0
    """
    terms = branch_function(activation, orders, level)
    if not terms:
        return 0.0
    order = max((k for _, product in terms for k in product), default=0)
    c = np.array([activation.kinks[place]])
    left, right = (
        float(evaluate((terms,), activation.piece_derivatives(place + side, c, order))[0, 0]) for side in (0, 1)
    )
    return right - left if abs(right - left) > _ROUNDING * (abs(left) + abs(right)) else 0.0
