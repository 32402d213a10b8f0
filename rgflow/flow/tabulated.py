"""A System run at many points by the kernel of lanes, from tables of brackets in K that grow where a flow goes."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rgflow.algebra import Tensor
from rgflow.brackets.in_kernel import LEAST, MOST, Tables, tables
from rgflow.brackets.smooth import Entry
from rgflow.codegen.lanes import BEYOND, LANES, MISSING, run
from rgflow.codegen.table import Table
from rgflow.flow.inputs import entering
from rgflow.layers.laws import value
from rgflow.network import Network

Array = NDArray[np.float64]
_KERNEL, _TANGENT = Tensor.named("K"), Tensor.named("Theta")


class Tabulated:
    """The rows of a System at P points.

    Attributes
    ----------
    tensors : tuple of Tensor
        Those of the table, K first: the kernel looks there.
    place : {tensor: its place}
    points : {hyperparameter: (P,)}
    """

    def __init__(self, net: Network, table: Table, points: dict[str, Array], count: int):
        self.net, self.table = net, table
        self.points = {name: np.broadcast_to(x, (count,)) for name, x in points.items()}
        self.tensors = (_KERNEL, *(t for t in table.tensors if t != _KERNEL))
        self.place = {tensor: i for i, tensor in enumerate(self.tensors)}
        self.entries = tuple((shape.orders, shape.pending) for shape in table.shapes)
        self.rows, self.monomials, self.scale = self._lower(count)

    def first(self, overlap: Array) -> Array:
        """Tensors at layer 1, (T, P): a Gaussian first layer has K and Theta alone."""
        found = np.zeros((len(self.tensors), self.monomials.shape[1]))
        with np.errstate(over="ignore"):
            kernel, tangent = entering(self.net.layers[0], overlap, self.points)
        found[0] = kernel
        if _TANGENT in self.place:
            found[self.place[_TANGENT]] = tangent
        return found

    def row(self, wanted: Tensor | Entry) -> int:
        """The place of a tensor, or of a bracket (orders, pending) after the tensors."""
        return self.place[wanted] if isinstance(wanted, Tensor) else len(self.tensors) + self.entries.index(wanted)

    def at(self, chosen: Any) -> Tabulated:
        """The same at some of the points."""
        return Tabulated(self.net, self.table, {name: x[chosen] for name, x in self.points.items()}, len(chosen))

    def flow(
        self, first: Array, wanted: Sequence[Tensor | Entry], kept: list[int], errors: bool, threads: int
    ) -> tuple[Array, Array, NDArray[np.int64], str]:
        """Values and errors (S, W, P) of tensors and of brackets of the layer below, status (P,), and why averages fail."""
        known = tables(self.net.activation, self.entries)
        keep = np.full(self.net.depth, -1, np.int64)
        for slot, layer in enumerate(kept):
            keep[layer - 1] = slot
        places = np.array([self.row(each) for each in wanted], np.int64)
        shape = (len(kept), len(wanted))
        _grow(known, first[0])
        out, doubts, status, missing = self._run(first, self.monomials, keep, places, known, shape, errors, threads)
        while (lost := status == MISSING).any():
            # whole blocks again: the last digits of a point depend on the neighbours with which it shares polynomials
            chosen = np.flatnonzero(np.isin(np.arange(lost.size) // LANES, np.flatnonzero(lost) // LANES))
            if not _grow(known, missing[lost]):
                status[lost] = BEYOND
                return out, doubts, status, f"K leaves {LEAST:.0e} to {MOST:.0e}"
            part, monomials = np.ascontiguousarray(first[:, chosen]), np.ascontiguousarray(self.monomials[:, chosen])
            found = self._run(part, monomials, keep, places, known, shape, errors, threads)
            out[:, :, chosen], status[chosen], missing[chosen] = found[0], found[2], found[3]
            if errors:
                doubts[:, :, chosen] = found[1]
        return out, doubts, status, known.reason

    def _run(
        self,
        first: Array,
        monomials: Array,
        keep: Any,
        places: Any,
        known: Tables,
        shape: tuple[int, int],
        errors: bool,
        threads: int,
    ) -> tuple[Array, Array, NDArray[np.int64], Array]:
        count = first.shape[1]
        out = np.empty((*shape, count))
        doubts = np.empty((shape[0] if errors else 0, shape[1], count))
        status, missing = np.empty(count, np.int64), np.empty(count)
        data = (first, monomials, self.rows, self.scale, keep, places, known.arrays(), out, doubts, status, missing)
        blocks = -(-count // LANES)
        share = max(1, -(-blocks // (4 * threads))) * LANES if threads > 1 else count
        starts = range(0, count, max(share, 1))
        if threads == 1 or len(starts) == 1:
            run(0, count, *data)
        else:
            with ThreadPoolExecutor(threads) as pool:
                for done in [pool.submit(run, start, min(start + share, count), *data) for start in starts]:
                    done.result()
        return out, doubts, status, missing

    def _lower(self, count: int) -> tuple[tuple[Any, ...], Array, Array]:
        """Rows as the kernel of lanes takes them, products of swept hyperparameters (Q, P), and the rest (L - 1, R)."""
        target, monomial, start, factor = [], [], [0], []
        products: dict[tuple[tuple[str, int], ...], int] = {}
        fixed = []
        for recursion in self.table.system:
            for term in recursion.terms:
                swept = tuple((name, power) for name, power in term.symbols if name in self.points)
                monomial.append(products.setdefault(swept, len(products)))
                fixed.append((float(term.coefficient), [s for s in term.symbols if s[0] not in self.points], term.r))
                target.append(self.place[recursion.tensor])
                factor += [self.place[v.tensor] for v in term.tensors]
                for bracket in term.brackets:
                    entry = (tuple(order for _, order in bracket.factors), bracket.pending)
                    factor.append(self.row(entry))
                start.append(len(factor))
        rows = tuple(np.array(x, np.int64) for x in (target, monomial, start, factor))
        values = np.empty((len(products), count))
        for swept, place in products.items():
            values[place] = 1.0
            for name, power in swept:
                with np.errstate(over="ignore"):  # the kernel sees what is not finite
                    values[place] *= self.points[name] ** power
        with np.errstate(over="ignore"):
            scale = [self._fixed(i, fixed) for i in range(1, self.net.depth)]
        return rows, values, np.array(scale).reshape(-1, len(fixed))

    def _fixed(self, i: int, rows: list[Any]) -> list[float]:
        """Coefficients of the rows at layer i + 1, without what is swept."""
        net = self.net
        ratio = net.widths[i] / net.widths[i - 1]
        found = []
        for coefficient, rest, power in rows:
            for name, exponent in rest:
                coefficient *= np.float64(value(net.layers[i], name, net.widths[i], net.widths[i + 1])) ** exponent
            found.append(coefficient * ratio**power)
        return found


def _grow(known: Tables, kernels: Array) -> bool:
    """Make room for these kernels; False if all of them are beyond any table."""
    if not kernels.size:
        return False
    inside = (
        kernels if kernels.min() >= LEAST and kernels.max() <= MOST else kernels[(kernels >= LEAST) & (kernels <= MOST)]
    )
    if inside.size:
        known.grow(float(inside.min()), float(inside.max()))
    return bool(inside.size)
