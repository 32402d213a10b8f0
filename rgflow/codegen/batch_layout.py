"""Where a block of points keeps what: rows of LANES numbers in one array, at places known when the text is written."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from rgflow.activations import Activation
from rgflow.brackets.jumps import branch_function
from rgflow.brackets.leibniz import Polynomial
from rgflow.brackets.smooth import Entry, is_odd
from rgflow.codegen.source import Forms, specifications
from rgflow.codegen.table import Table

LANES = 64  # points of a block: enough that short loops over lanes are worth vector instructions


@dataclass(frozen=True)
class Layout:
    """Which row of ``work`` holds what.

    sqrt(K); moving nodes: c, begin and length of a piece in t; state; new state; hyperparameters and r; sums of the
    products, then of their absolute values; brackets, then their sizes; ones.
    """

    table: Table
    activation: Activation
    forms: Forms

    @cached_property
    def entries(self) -> list[Entry]:
        """The brackets, orders sorted."""
        return [(tuple(sorted(orders)), pending) for orders, pending in specifications(self.table)]

    @cached_property
    def summed(self) -> tuple[Entry, ...]:
        """Those that are found by quadrature and do not vanish."""
        rest = {e for e in self.entries if e not in self.forms}
        if self.activation.kinks:
            return tuple(sorted(rest))
        return tuple(sorted(e for e in rest if not is_odd(self.activation, (e,))))

    @cached_property
    def products(self) -> list[tuple[int, ...]]:
        """The products of derivatives in them."""
        return sorted({product for entry in self.summed for _, product in self.polynomial(entry)})

    def polynomial(self, entry: Entry) -> Polynomial:
        return branch_function(self.activation, *entry)

    @property
    def state(self) -> int:
        return 4

    @property
    def new(self) -> int:
        return self.state + len(self.table.tensors)

    @property
    def hyper(self) -> int:
        return self.new + len(self.table.tensors)

    @property
    def sums(self) -> int:
        return self.hyper + len(self.table.symbols) + 1

    @property
    def sizes(self) -> int:
        return self.sums + len(self.products)

    @property
    def brackets(self) -> int:
        return self.sizes + len(self.products)

    @property
    def bracket_sizes(self) -> int:
        return self.brackets + len(self.entries)

    @property
    def one(self) -> int:
        return self.bracket_sizes + len(self.entries)

    @property
    def rows(self) -> int:
        return self.one + 1

    @property
    def kernel(self) -> int:
        names = [tensor.name for tensor in self.table.tensors]
        return self.state + names.index("K")


def at(row: int) -> str:
    """A row's number in this lane."""
    return f"work[{row * LANES} + p]"
