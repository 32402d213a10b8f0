"""Laws of a network in which nothing is trained but, if at all, a bias of unit rate: what partial Jacobians follow.

The partial Jacobian dz^l/dz^{l0} squared is the tangent kernel of one direction e that moves z^{l0} alone, with unit
covariance: z^{l0}_{i;e} = eps_i. A neuron that has a bias of its own with learning rate 1, beside parameters that all
have rate 0, gives just that, whatever kind the layer is: the bias need not exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rgflow.algebra.jets import Jet, Pair
from rgflow.layers.law import Exchange, Law, Norm, Part

UNIT = "unit"
"""The symbol of that rate; its value is 1."""


@dataclass(frozen=True)
class Probed:
    """A law with all its learning rates dropped, and with ``source`` a unit rate for what its neurons output.

    Whatever else a law says of itself, it says as before.
    """

    law: Law
    source: bool = False

    @property
    def name(self) -> str:
        """The kind, as it is printed."""
        return self.law.name

    @property
    def order(self) -> int | None:
        """The largest total order in 1/n to which the law holds; None: every order."""
        return self.law.order

    @property
    def odd(self) -> bool:
        """Whether it holds for odd activations only."""
        return self.law.odd

    @property
    def carry(self) -> tuple[str, int] | None:
        """(skip, stages back) if a neuron keeps its own past."""
        return self.law.carry

    @property
    def norm(self) -> Norm | None:
        """How what its weights read is normalised."""
        return self.law.norm

    @property
    def scale(self) -> str | None:
        """What a norm divides by."""
        return self.law.scale

    def constants(self, a: Jet, b: Jet) -> tuple[str, ...]:
        """Variances as they are; of rates the unit one alone."""
        if not a.edges and not b.edges:
            return self.law.constants(a, b)
        return (UNIT,) if self.source and a.edges == b.edges and len(a.edges) == 1 else ()

    def integrand(self, a: Jet, b: Jet) -> tuple[Part, ...]:
        """The parts that pass every direction on: a rate takes one away, for it belongs to the layer's own weights."""
        parts = self.law.integrand(a, b)
        return tuple(part for part in parts if (part.left.edges, part.right.edges) == (a.edges, b.edges))

    def intrinsic(self, first: Pair, second: Pair) -> tuple[Exchange, ...]:
        """Cumulants of parameters that are not Gaussian."""
        return self.law.intrinsic(first, second)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "law":  # asked for before there is a law, when it is unpickled or copied
            raise AttributeError(name)
        return getattr(self.law, name)
