"""What a recursion remembers of its making, so that its steps can be told when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from rgflow.algebra.partial import Partial
from rgflow.algebra.recursion import Recursion
from rgflow.layers import Law

if TYPE_CHECKING:
    from rgflow.derive.steps import Derivation

EAGER = 2  # orders in 1/n to which steps are built at once with many inputs; beyond, values take seconds to minutes


@dataclass(frozen=True)
class Derived:
    """The law from which a recursion was derived."""

    law: Law

    def steps(self, recursion: Recursion) -> Derivation:
        """The derivation of the recursion.

        All steps are built, and so checked, at once; beyond order 1/n^2 (1/n^3 with one input) each when it is read.

        Raises
        ------
        BrokenStep
            If two sides of a step differ.
        """
        found = _derivation(recursion, self.law)
        if recursion.tensor.cost <= EAGER + (recursion.samples == "one"):
            tuple(found)
        return found


@lru_cache(maxsize=64)
def _derivation(recursion: Recursion, law: Law) -> Derivation:
    # Loaded when steps are asked for, which few programs do
    from rgflow.derive.steps import Derivation
    from rgflow.derive.steps.build import Material

    partial = isinstance(recursion.tensor, Partial)
    tensor = recursion.tensor.full if isinstance(recursion.tensor, Partial) else recursion.tensor
    return Derivation(recursion, Material(tensor, recursion.samples == "many", law, partial))
