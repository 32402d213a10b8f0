"""From a System to a table of rows: numbers only, for one generic kernel."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from rgflow.algebra import Bracket, System, Tensor, Term
from rgflow.algebra.terms import SYMBOLS
from rgflow.errors import OrderError

ROOM = 64  # indices of one term: the scratch arrays of the generic kernel


@dataclass(frozen=True)
class Table:
    """The rows of a System.

    Attributes
    ----------
    tensors : tuple of Tensor
        Targets and inputs, in the order of the System.
    shapes : tuple of Bracket
        The different brackets; with many inputs their samples are dropped and only the written orders count.
    arrays : tuple of NumPy arrays
        What :func:`rgflow.codegen.generic.step` calls ``tables``.
    """

    system: System
    tensors: tuple[Tensor, ...]
    shapes: tuple[Bracket, ...]

    @property
    def many(self) -> bool:
        """Whether tensors have sample indices."""
        return self.system.samples == "many"

    @property
    def symbols(self) -> tuple[str, ...]:
        """The hyperparameters of its rows: those of a dense layer, then others by name."""
        found = {name for rec in self.system for term in rec.terms for name, _ in term.symbols}
        return (*SYMBOLS, *sorted(found - set(SYMBOLS)))

    @property
    def arity(self) -> tuple[int, ...]:
        """Number of sample indices of each tensor (0 with one input)."""
        return tuple(2 * t.level if self.many else 0 for t in self.tensors)

    @cached_property
    def arrays(self) -> tuple[Any, ...]:
        """The table as arrays; see :class:`Rows` for their meaning."""
        return Rows(self).arrays()


def lower(system: System) -> Table:
    """The table of a System."""
    check_size(system)
    shapes = sorted({_shape(b) for rec in system for term in rec.terms for b in term.brackets})
    return Table(system, system.tensors, tuple(shapes))


def check_size(system: System) -> None:
    """Raise OrderError where a term has more indices than the kernel has room for."""
    for recursion in system:
        for term in recursion.terms:
            indices = [index for value in term.tensors for index in value.indices]
            if 2 * recursion.tensor.level > ROOM or sum(index < 0 for index in indices) > ROOM:
                raise OrderError(f"{recursion.name} has terms with more than {ROOM} indices; ask a lower order")


def _shape(bracket: Bracket) -> Bracket:
    """A bracket without its samples: factors in the order in which the term lists them."""
    return Bracket(tuple((0, order) for _, order in bracket.factors), bracket.pending)


class Rows:
    """Collects the rows of a table.

    For each row: coefficient, powers of the symbols and of r, values (tensor and its indices: an external
    position, or -(d+1) for sum d), brackets (shape and the external positions of its factors), and for each sum the
    bracket on which its derivative acts.
    """

    def __init__(self, table: Table):
        self.many = table.many
        self.arity = table.arity
        self.symbols = table.symbols
        self.tensors = {tensor: i for i, tensor in enumerate(table.tensors)}
        self.shapes = {shape: i for i, shape in enumerate(table.shapes)}
        self.coefficient: list[float] = []
        self.powers: list[list[int]] = []
        self.values: list[tuple[int, list[int]]] = []
        self.brackets: list[tuple[int, list[int]]] = []
        self.sums: list[int] = []
        self.starts: dict[str, list[int]] = {"row": [0], "value": [0], "bracket": [0], "sum": [0]}
        for recursion in table.system:
            for term in recursion.terms:
                self._add(term)
            self.starts["row"].append(len(self.coefficient))

    def _add(self, term: Term) -> None:
        self.coefficient.append(float(term.coefficient))
        symbols = dict(term.symbols)
        self.powers.append([symbols.get(name, 0) for name in self.symbols] + [term.r])
        for value in term.tensors:
            indices = []
            for index in value.indices:
                if index < 0:
                    self.sums.append(-index - 1)
                    indices.append(-(len(self.sums) - self.starts["sum"][-1]))
                else:
                    indices.append(index - 1)
            self.values.append((self.tensors[value.tensor], indices))
        for bracket in term.brackets:
            self.brackets.append((self.shapes[_shape(bracket)], [sample - 1 for sample, _ in bracket.factors]))
        self.starts["value"].append(len(self.values))
        self.starts["bracket"].append(len(self.brackets))
        self.starts["sum"].append(len(self.sums))

    def arrays(self) -> tuple[Any, ...]:
        """The arrays, in the order in which the kernel unpacks them."""
        whole = np.int64
        width = [len(shape.factors) if self.many else 0 for shape in self.shapes]
        base = [shape.pending + 1 for shape in self.shapes]
        return (
            np.array(self.arity, whole),
            np.array(self.starts["row"], whole),
            np.array(self.coefficient, np.float64),
            np.array(self.powers, whole).reshape(-1, len(self.symbols) + 1),
            np.array(self.starts["value"], whole),
            np.array([tensor for tensor, _ in self.values], whole),
            _padded(index for _, index in self.values),
            np.array(self.starts["bracket"], whole),
            np.array([shape for shape, _ in self.brackets], whole),
            _padded(factor for _, factor in self.brackets),
            np.array(self.starts["sum"], whole),
            np.array(self.sums, whole),
            np.array(width, whole),
            np.array(base, whole),
        )


def _padded(rows: Iterable[list[int]]) -> Any:
    listed = list(rows)
    width = max((len(row) for row in listed), default=0)
    return np.array([row + [0] * (width - len(row)) for row in listed], np.int64).reshape(len(listed), max(width, 0))
