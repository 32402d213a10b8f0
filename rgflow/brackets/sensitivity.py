r"""How much averages may change when the covariance moves: a bound from one-input integrals.

.. math:: \frac{\partial E[\prod_u h_u]}{\partial K_{uv}} = E[h_u' h_v' \cdots],\qquad
          \frac{\partial E[\prod_u h_u]}{\partial K_{uu}} = \tfrac12 E[h_u'' \cdots],\qquad
          E\Big|\prod_u f_u\Big| \le \prod_u E[|f_u|^d]^{1/d}

The same inequality bounds what rounding does.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

from rgflow.activations import Activation
from rgflow.brackets.leibniz import Polynomial, evaluate, highest_order, leibniz
from rgflow.brackets.moments import Moment
from rgflow.brackets.smooth import Entry

Array = NDArray[np.float64]
_NODES = np.linspace(-9.0, 9.0, 181)


def sensitivity(
    activation: Activation, kernels: Array, doubts: Array, subsets: NDArray[np.int64], moments: Sequence[Moment]
) -> Array:
    """Bounds (B, S, M) on the change of moments of a smooth sigma when each entry of K (B, N, N) moves by its doubt."""
    size = subsets.shape[1]
    raised: dict[tuple[Entry, int], int] = {}
    for moment in moments:
        for orders, pending in moment:
            for more in range(3):
                raised.setdefault(((orders, pending), more), len(raised))
    own = np.einsum("bii->bi", kernels)
    norms = _norms(activation, own, tuple(leibniz(orders, pending + more) for (orders, pending), more in raised), size)
    out = np.zeros((len(kernels), len(subsets), len(moments)))
    for m, moment in enumerate(moments):
        for u, v in combinations_with_replacement(range(size), 2):
            moved = doubts[:, subsets[:, u], subsets[:, v]] * (0.5 if u == v else 1.0)
            for w, entry in enumerate(moment):
                moved = moved * norms[raised[entry, (w == u) + (w == v)]][:, subsets[:, w]]
            out[..., m] += moved
    return out


def rounding_size(
    activation: Activation, kernels: Array, subsets: NDArray[np.int64], moments: Sequence[Moment]
) -> Array:
    """Bounds (B, S, M) on the averages of all terms of moments before they cancel, times the number of factors.

    A derivative of sigma counts as its value and its size near the centre: tables are read to such accuracy.
    """
    size = subsets.shape[1]
    entries = list(dict.fromkeys(entry for moment in moments for entry in moment))
    functions = tuple(leibniz(*entry) for entry in entries)
    norms = dict(
        zip(entries, _norms(activation, np.einsum("bii->bi", kernels), functions, size, rough=True), strict=True)
    )
    out = np.ones((len(kernels), len(subsets), len(moments)))
    for m, moment in enumerate(moments):
        for w, entry in enumerate(moment):
            out[..., m] *= norms[entry][:, subsets[:, w]]
        out[..., m] *= sum(len(orders) for orders, _ in moment)
    return out


def _norms(
    activation: Activation, variances: Array, functions: tuple[Polynomial, ...], power: int, rough: bool = False
) -> Array:
    """E[|f|^power]^(1/power) of each function at each variance, (functions, *variances.shape)."""
    w = np.exp(-0.5 * _NODES**2)
    w /= w.sum()
    scale = np.sqrt(variances)[..., None]
    with np.errstate(all="ignore"):
        derivatives = activation.derivatives(scale * _NODES, highest_order(functions))
        if rough:
            derivatives = np.abs(derivatives)
            derivatives += derivatives[..., np.abs(_NODES) < 1].max(axis=-1, keepdims=True)
        values = np.abs(evaluate(functions, derivatives))
        largest = np.maximum(values.max(axis=-1, keepdims=True), 1e-300)  # powers of large values overflow
        return np.asarray(largest[..., 0] * ((values / largest) ** power @ w) ** (1 / power))
