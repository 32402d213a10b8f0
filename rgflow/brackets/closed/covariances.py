r"""Covariances that closed averages are written in, tilted by Gaussian factors :math:`e^{-a_i z_i^2/2}`.

With D = diag(a): :math:`\Delta = \det(1+DK)` and :math:`\tilde K = K(1+DK)^{-1}`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, TypeAlias

import sympy as sp

from rgflow.brackets.closed.atoms import Constant, NoRule, plus, twice_square
from rgflow.brackets.closed.form import Powers, join, power
from rgflow.brackets.closed.symbols import entry

Decays: TypeAlias = tuple[Constant, ...]


class Covariance(ABC):
    """The covariance of some inputs, hashable."""

    size: int

    @abstractmethod
    def diagonal(self, i: int, halves: int) -> Powers:
        """K_ii^(halves/2)."""

    @abstractmethod
    def determinant(self, a: Decays, halves: int) -> Powers:
        """Delta^(halves/2)."""

    @abstractmethod
    def minor(self, i: int, j: int, a: Decays) -> Powers:
        """Delta times the tilted covariance of i and j."""

    @abstractmethod
    def conditional(self, i: int) -> Variance | None:
        """The variance of the other input when i is fixed; None if there is no other."""

    def tilted(self, i: int, j: int, a: Decays) -> Powers:
        """The tilted covariance."""
        return join(self.minor(i, j, a), self.determinant(a, -2))

    def wider(self, i: int, c: Constant, a: Decays) -> Powers:
        """Delta(a + 2c^2 e_i)^(-1/2), without its factor 2c^2 at c = oo."""
        if c == sp.oo:
            return frozenset((base, -halves // 2) for base, halves in self.minor(i, i, a))
        return self.determinant((*a[:i], plus(a[i], twice_square(c)), *a[i + 1 :]), -1)


class Variance(Covariance):
    """The covariance of one input: how powers of K and of 1 + aK are written."""

    size = 1

    @abstractmethod
    def own(self, halves: int) -> Powers:
        """K^(halves/2)."""

    @abstractmethod
    def plus(self, a: Constant, halves: int) -> Powers:
        """(1 + aK)^(halves/2)."""

    def diagonal(self, i: int, halves: int) -> Powers:
        """K^(halves/2)."""
        return self.own(halves)

    def determinant(self, a: Decays, halves: int) -> Powers:
        """(1 + aK)^(halves/2)."""
        return self.plus(a[0], halves)

    def minor(self, i: int, j: int, a: Decays) -> Powers:
        """K."""
        return self.own(2)

    def conditional(self, i: int) -> None:
        """There is no other input."""


class Single(Variance):
    """The variance that is one symbol.

    >>> sorted(Single(sp.Symbol("K", positive=True)).plus(sp.Integer(1), -1))
    [(K + 1, -1)]
    """

    def __init__(self, symbol: Any):
        self.symbol = symbol

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Single) and other.symbol == self.symbol

    def __hash__(self) -> int:
        return hash(self.symbol)

    def own(self, halves: int) -> Powers:
        """K^(halves/2)."""
        return power(self.symbol, halves)

    def plus(self, a: Constant, halves: int) -> Powers:
        """(1 + aK)^(halves/2)."""
        return power(1 + a * self.symbol, halves)


class Kernel(Covariance):
    """The covariance of d inputs as symbols K11, K12, ...; the same d, the same kernel.

    >>> K = Kernel(2)
    >>> K.determinant((sp.Integer(1), sp.Integer(1)), 2)
    frozenset({(-K12**2 + (K11 + 1)*(K22 + 1), 2)})
    """

    def __init__(self, size: int):
        self.size = size
        self.entries = [[entry(i, j) for j in range(1, size + 1)] for i in range(1, size + 1)]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Kernel) and other.size == self.size

    def __hash__(self) -> int:
        return hash(self.size)

    def diagonal(self, i: int, halves: int) -> Powers:
        """K_ii^(halves/2)."""
        return power(self.entries[i][i], halves)

    def determinant(self, a: Decays, halves: int) -> Powers:
        """Delta^(halves/2)."""
        support = [i for i, x in enumerate(a) if x != 0]
        if len(support) > 2:
            raise NoRule(f"Gaussian factors in {len(support)} inputs")
        out = sp.Mul(*(1 + a[i] * self.entries[i][i] for i in support))
        if len(support) == 2:
            i, j = support
            out -= a[i] * a[j] * self.entries[i][j] ** 2
        return power(out, halves)

    def minor(self, i: int, j: int, a: Decays) -> Powers:
        """Delta times the tilted covariance of i and j."""
        others = [k for k, x in enumerate(a) if x != 0 and k not in (i, j)]
        if any(x != 0 for x in a) and self.size > 2:
            raise NoRule(f"Gaussian factors with {self.size} inputs")
        own = self.entries[i][j]
        return power(own + a[others[0]] * self.rest if i == j and others else own, 2)

    @property
    def rest(self) -> Any:
        """K11 K22 - K12^2, of two inputs."""
        (one, mixed), (_, two) = self.entries
        return one * two - mixed**2

    def conditional(self, i: int) -> Conditional:
        """Of two inputs."""
        return Conditional(self, i)


class Conditional(Variance):
    """The variance det K / K_ii of one of two inputs when the other, i, is fixed."""

    def __init__(self, kernel: Kernel, fixed: int):
        self.kernel, self.fixed = kernel, fixed
        self.other = kernel.entries[fixed][fixed]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Conditional) and (other.kernel, other.fixed) == (self.kernel, self.fixed)

    def __hash__(self) -> int:
        return hash((self.kernel, self.fixed))

    def own(self, halves: int) -> Powers:
        """K^(halves/2)."""
        return join(power(self.kernel.rest, halves), power(self.other, -halves))

    def plus(self, a: Constant, halves: int) -> Powers:
        """(1 + aK)^(halves/2)."""
        return join(power(self.other + a * self.kernel.rest, halves), power(self.other, -halves)) if a != 0 else join()
