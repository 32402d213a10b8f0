"""Tensors of partial Jacobians: those of the tangent kernel when one hidden layer alone is moved, by their own letters.

J     (1/n_l) sum_ij (dz^l_j/dz^{l0}_i)^2, mean over networks: the Theta of such a network; J_1 its correction
V_J   n_{l-1} times its variance over networks, at leading order: the A
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from rgflow.algebra.linked import Linked
from rgflow.algebra.tensor import Tensor, split_order
from rgflow.algebra.terms import Term, Value

# Letter: the tensor of the tangent kernel that it is, and its meaning.
LETTERS_OF_PARTIAL: dict[str, tuple[str, str]] = {
    "J": ("Theta", "partial Jacobian norm with respect to a layer below, mean"),
    "V_J": ("A", "partial Jacobian norm with respect to a layer below, fluctuation"),
}
_OWN = {full: letter for letter, (full, _) in LETTERS_OF_PARTIAL.items()}


@dataclass(frozen=True)
class Partial(Tensor):
    """A tensor with directions, all of which move one hidden layer.

    >>> Partial(Tensor.named("Theta").structure, 1).name, Partial(Tensor.named("F").structure).name
    ('J_1', 'F_J')
    """

    @property
    def letter(self) -> str:
        """J, V_J, or the letter of the tangent kernel's tensor with the suffix _J."""
        return _own(super().letter)

    @property
    def full(self) -> Tensor:
        """The tensor of a network in which everything is trained."""
        return Tensor(self.structure, self.order)


def partial_named(name: object) -> Partial | None:
    """The tensor of a name such as "J", "J_1" or "V_J"; None if it is another.

    >>> partial_named("J_1").name, partial_named("Theta")
    ('J_1', None)
    """
    if isinstance(name, Partial):
        return name
    if not isinstance(name, str):
        return None
    base, order = split_order(name)
    known = LETTERS_OF_PARTIAL.get(base)
    return None if known is None else Partial(Tensor.named(known[0]).structure, order)


def tensor_named(name: str | Tensor) -> Tensor:
    """The tensor of any name, of partial Jacobians or not; UnknownName for another.

    >>> tensor_named("V_J").letter, tensor_named("V_1").letter
    ('V_J', 'V')
    """
    return partial_named(name) or Tensor.named(name)


def relabelled(terms: Iterable[Term]) -> tuple[Term, ...]:
    """Terms whose tensors with directions are those of partial Jacobians."""
    return tuple(replace(term, tensors=tuple(map(_relabelled, term.tensors))) for term in terms)


def _relabelled(value: Value) -> Value:
    return Value(own(value.tensor), value.indices)


def own(tensor: Tensor) -> Tensor:
    """A tensor that has directions as that of partial Jacobians, any other as it is.

    >>> own(Tensor.named("Theta_1")).name, own(Tensor.named("V")).name
    ('J_1', 'V')
    """
    directed = any(edges for pair in tensor.structure for edges in pair)
    return Partial(tensor.structure, tensor.order) if directed else tensor


@dataclass(frozen=True, repr=False)
class LinkedPartial(Linked):
    """Linked lines of a tensor of partial Jacobians."""

    def latex(self) -> str:
        """The lines as LaTeX, aligned (without delimiters)."""
        return re.sub(r"\\Theta|(?<![A-Za-z{\\])[ABDF](?![A-Za-z])", lambda found: _tex(found[0]), super().latex())

    def __str__(self) -> str:
        return re.sub(r"\b(?:Theta|[ABDF])(?![A-Za-z])", lambda found: _own(found[0]), super().__str__())


def _own(letter: str) -> str:
    return _OWN.get(letter, f"{letter}_J")


def _tex(letter: str) -> str:
    own = _own("Theta" if letter == r"\Theta" else letter)
    return "{" + own + "}" if "_" in own else own
