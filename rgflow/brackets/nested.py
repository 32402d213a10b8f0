r"""Nested contraction of a Gaussian average of a product of one-input functions.

.. math:: E[h_1 .. h_d] = \sum_{t_1} w h_1(z_1) \sum_{t_2} w h_2(z_2) ... ,\qquad z = \mu + L t

All wanted products of the distinct one-input functions come out of one pass over the grid: at each axis only the
distinct *suffixes* (h_k, .., h_d) are carried. Three chains run side by side: the value, the absolute integral, and
the error (that of this axis' rule, plus the error of the inner axes averaged with absolute weights).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rgflow.brackets.leibniz import Polynomial, evaluate, highest_order
from rgflow.brackets.rules import Rule
from rgflow.brackets.table import Table, tabulate

Array = NDArray[np.float64]
BUDGET = 1 << 16  # grid points evaluated at a time: small enough for the cache, large enough for NumPy


@dataclass(frozen=True)
class Plan:
    """Which products are wanted, arranged by axis.

    functions[k] : the distinct one-input functions of axis k
    own[k], inner[k] : for each suffix at axis k, the index of its function and of its suffix at axis k + 1
    """

    functions: tuple[tuple[Polynomial, ...], ...]
    own: tuple[tuple[int, ...], ...]
    inner: tuple[tuple[int, ...], ...]


def plan(products: Sequence[tuple[Polynomial, ...]]) -> Plan:
    """Arrange products of d one-input functions; the rows of the result keep their order."""
    size = len(products[0])
    functions: list[tuple[Polynomial, ...]] = []
    own: list[tuple[int, ...]] = []
    inner: list[tuple[int, ...]] = []
    wanted: list[tuple[Polynomial, ...]] = list(products)
    for _ in range(size):
        heads = list(dict.fromkeys(row[0] for row in wanted))
        tails = list(dict.fromkeys(row[1:] for row in wanted))
        functions.append(tuple(heads))
        place_head = {head: i for i, head in enumerate(heads)}
        place_tail = {tail: i for i, tail in enumerate(tails)}
        own.append(tuple(place_head[row[0]] for row in wanted))
        inner.append(tuple(place_tail[row[1:]] for row in wanted))
        wanted = tails
    return Plan(tuple(functions), tuple(own), tuple(inner))


def contract(
    derivatives: Callable[[Array, int], Array],
    L: Array,
    mean: Array,
    work: Plan,
    rules: Sequence[Rule],
    extrapolate: bool,
    width: Array | None = None,
) -> tuple[Array, Array, Array]:
    """Values, errors and absolute integrals of all products of the plan.

    Parameters
    ----------
    derivatives : callable
        (z, order) -> (order + 1, *z.shape)
    L : (G, d, d), lower triangular
    mean : (G, d)
    rules : one per axis
    width : (G,), optional
        With it, for three and more inputs the innermost average, a smooth function of one number (the mean of the last
        input given the others), is tabulated in cells of about this width instead of being done at every outer node.

    Returns
    -------
    three arrays (M, G)
    """
    size = L.shape[1]
    orders = [highest_order(functions) for functions in work.functions]

    def level(k: int, offsets: list[Array]) -> tuple[Array, Array, Array]:
        rule = rules[k]
        t, w = rule.nodes(offsets)
        z = offsets[0][..., None, None] + L[:, k, k][:, None, None, None] * t
        h = evaluate(work.functions[k], derivatives(z, orders[k]))
        if k == size - 1:
            h *= w
            value, error, absolute = rule.sums(h, extrapolate)
            pick = list(work.own[k])
            return value[pick], error[pick], absolute[pick]
        shape = z.shape
        later = [
            (offset[..., None, None] + L[:, j, k][:, None, None, None] * t).reshape(shape[0], -1)
            for j, offset in enumerate(offsets[1:], k + 1)
        ]
        if k == size - 2 and table is not None:
            value, error, absolute = table(later[0])
            return gather(k, rule, h, w, value, error, absolute)
        inside = 1
        for rule_inside in rules[k + 1 : size - 1 if table is not None else size]:
            inside *= rule_inside.size
        chunk = max(1, BUDGET // (shape[0] * inside))
        parts = [
            level(k + 1, [offset[:, start : start + chunk] for offset in later])
            for start in range(0, later[0].shape[1], chunk)
        ]
        value, error, absolute = (np.concatenate([part[i] for part in parts], axis=-1) for i in range(3))
        return gather(k, rule, h, w, value, error, absolute)

    def gather(
        k: int, rule: Rule, h: Array, w: Array, value: Array, error: Array, absolute: Array
    ) -> tuple[Array, Array, Array]:
        shape = h.shape[1:]
        out = np.empty((3, len(work.own[k]), *shape[:2]))
        for row, (mine, rest) in enumerate(zip(work.own[k], work.inner[k], strict=True)):
            weighted = h[mine] * w
            out[0, row], own_error, _ = rule.sums(weighted * value[rest].reshape(shape), extrapolate)
            weighted = np.abs(weighted)
            out[1, row] = own_error + (weighted * error[rest].reshape(shape)).sum(axis=(-1, -2))
            out[2, row] = (weighted * absolute[rest].reshape(shape)).sum(axis=(-1, -2))
        return out[0], out[1], out[2]

    table: Table | None = None
    if width is not None and size > 2:
        outer = math.prod(rule.size for rule in rules[:-1])
        reach = np.abs(L[:, -1, :-1]) @ np.array([rule.cut for rule in rules[:-1]])
        table = tabulate(lambda last: level(size - 1, [last]), mean[:, -1], reach, width, outer)
    value, error, absolute = level(0, [mean[:, k : k + 1] for k in range(size)])
    return value[..., 0], error[..., 0], absolute[..., 0]
