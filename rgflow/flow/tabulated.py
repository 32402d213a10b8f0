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
from rgflow.codegen.lanes import BEYOND, LANES, MISSING, room, run
from rgflow.codegen.table import Table
from rgflow.flow.inputs import entering
from rgflow.layers.laws import value
from rgflow.network import Network

Array = NDArray[np.float64]
SHARE = 256 * LANES
_KERNEL, _TANGENT = Tensor.named("K"), Tensor.named("Theta")


class Tabulated:
    """The rows of a System at P points.

    Attributes
    ----------
    tensors : tuple of Tensor
        Those of the table, K first: the kernel looks there.
    place : {tensor: its place}
    points : {hyperparameter: (P,)}
    overlap : (P,)
        x.x/n_0.
    products : list
        Powers of swept hyperparameters that multiply rows, each once.
    """

    def __init__(self, net: Network, table: Table, points: dict[str, Array], overlap: Array):
        self.net, self.table, self.points, self.overlap = net, table, points, overlap
        self.tensors = (_KERNEL, *(t for t in table.tensors if t != _KERNEL))
        self.place = {tensor: i for i, tensor in enumerate(self.tensors)}
        self.entries = tuple((shape.orders, shape.pending) for shape in table.shapes)
        self.rows, self.products, self.scale = self._lower()

    def first(self, part: slice = slice(None)) -> Array:
        """Tensors at layer 1, (T, points): a Gaussian first layer has K and Theta alone."""
        overlap = self.overlap[part]
        with np.errstate(over="ignore", invalid="ignore"):
            kernel, tangent = entering(self.net.layers[0], overlap, {name: x[part] for name, x in self.points.items()})
        found = np.zeros((len(self.tensors), overlap.size))
        found[0] = kernel
        if _TANGENT in self.place:
            found[self.place[_TANGENT]] = tangent
        return found

    def monomials(self, part: slice) -> Array:
        """Products of swept hyperparameters, (Q, points)."""
        found = np.empty((len(self.products), self.overlap[part].size))
        for row, swept in zip(found, self.products, strict=True):
            row[:] = 1.0
            with np.errstate(over="ignore", invalid="ignore"):  # the kernel sees what is not finite
                for name, power in swept:
                    row *= self.points[name][part] ** power
        return found

    def row(self, wanted: Tensor | Entry) -> int:
        """The place of a tensor, or of a bracket (orders, pending) after the tensors."""
        return self.place[wanted] if isinstance(wanted, Tensor) else len(self.tensors) + self.entries.index(wanted)

    def at(self, chosen: Any) -> Tabulated:
        """The same at some of the points."""
        points = {name: x[chosen] for name, x in self.points.items()}
        return Tabulated(self.net, self.table, points, self.overlap[chosen])

    def flow(
        self, wanted: Sequence[Tensor | Entry], kept: list[int], errors: bool, threads: int
    ) -> tuple[Array, Array, NDArray[np.int64], str]:
        """Values and errors (S, W, P) of tensors and of brackets of the layer below, status, and why averages fail."""
        known = tables(self.net.activation, self.entries)
        extent = [self._range(part) for part in self._shares()]
        _grow(known, np.concatenate(extent))
        out, doubts, status, missing = self._run(known, wanted, kept, errors, threads)
        while (lost := status == MISSING).any():
            # whole blocks again: the last digits of a point depend on the neighbours with which it shares polynomials
            chosen = np.flatnonzero(np.isin(np.arange(lost.size) // LANES, np.flatnonzero(lost) // LANES))
            if not _grow(known, missing[lost]):
                status[lost] = BEYOND
                return out, doubts, status, f"K leaves {LEAST:.0e} to {MOST:.0e}"
            found = self.at(chosen)._run(known, wanted, kept, errors, threads)
            out[:, :, chosen], status[chosen], missing[chosen] = found[0], found[2], found[3]
            if errors:
                doubts[:, :, chosen] = found[1]
        return out, doubts, status, known.reason

    def _shares(self) -> list[slice]:
        """Whole blocks of points, as many as stay in the cache while they are prepared and flowed."""
        return [slice(start, start + SHARE) for start in range(0, self.overlap.size, SHARE)]

    def _range(self, part: slice) -> Array:
        """The least and the largest kernel of layer 1 that tables can hold, if there are any."""
        kernels = self.first(part)[0]
        if not (kernels.min() >= LEAST and kernels.max() <= MOST):
            kernels = kernels[(kernels >= LEAST) & (kernels <= MOST)]
        return np.array([kernels.min(), kernels.max()]) if kernels.size else np.zeros(0)

    def _run(
        self, known: Tables, wanted: Sequence[Tensor | Entry], kept: list[int], errors: bool, threads: int
    ) -> tuple[Array, Array, NDArray[np.int64], Array]:
        count = self.overlap.size
        keep = np.full(self.net.depth, -1, np.int64)
        for slot, layer in enumerate(kept):
            keep[layer - 1] = slot
        places = np.array([self.row(each) for each in wanted], np.int64)
        out = np.empty((len(kept), len(wanted), count))
        doubts = np.empty((len(kept) if errors else 0, len(wanted), count))
        status, missing = np.empty(count, np.int64), np.empty(count)
        data = (self.rows, self.scale, keep, places, known.arrays(), out, doubts, status, missing)

        def go(part: slice) -> None:
            space = room(len(self.tensors), len(self.entries), len(self.products), self.rows[-1])
            run(part.start, self.first(part), self.monomials(part), *data, space)

        if threads == 1:
            for part in self._shares():
                go(part)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(go, self._shares()))
        return out, doubts, status, missing

    def _lower(self) -> tuple[tuple[Any, ...], list[Any], Array]:
        """Rows as the kernel of lanes takes them, products of swept hyperparameters, and the rest (L - 1, R)."""
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
        with np.errstate(over="ignore"):
            scale = [self._fixed(i, fixed) for i in range(1, self.net.depth)]
        return rows, list(products), np.array(scale).reshape(-1, len(fixed))

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
