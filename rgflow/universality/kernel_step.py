r"""What one layer does to the kernel of a neuron, read off its derived recursions.

.. math:: K' = c + a K + w \langle\sigma\sigma\rangle_K, \qquad
          \chi_\parallel = a + \tfrac12 w \langle\partial^2[\sigma\sigma]\rangle, \qquad
          \chi_\perp = a + w \langle\sigma'\sigma'\rangle

For a dense layer a = 0; a residual one keeps a = skip^2, a linear one has no w. Whoever keeps a < 1 needs from sigma
what is left: (c, w) is critical if (c, w)/(1 - a) is critical for a dense layer, for then K' - K, and chi - 1 with it,
are 1 - a times those of the dense layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

from rgflow.algebra import Recursion, Tensor, Term
from rgflow.derive import derive
from rgflow.errors import NoCriticalPoint
from rgflow.layers import laws
from rgflow.network import Dense, Layer

Product = tuple[tuple[str, int], ...]
"""Hyperparameters with their powers."""

KERNEL, TANGENT = Tensor.named("K"), Tensor.named("Theta")


@dataclass(frozen=True)
class KernelStep:
    """c, a and w as products of hyperparameters; None where the recursion has no such term.

    Attributes
    ----------
    layer : Layer
    added, kept, weight : product of hyperparameters, or None
        c, a and w.
    """

    layer: Layer
    added: Product | None
    kept: Product | None
    weight: Product | None

    @property
    def kind(self) -> str:
        """The name of the law, as it is printed."""
        return laws(self.layer)[0].name

    @property
    def named(self) -> str:
        """The kind with its article."""
        return f"{'an' if self.kind[0] in 'aeiou' else 'a'} {self.kind}"

    @property
    def carries(self) -> bool:
        """Whether it is a kind with a skip."""
        return laws(self.layer)[0].carry is not None

    @property
    def remembers(self) -> bool:
        """Whether the neurons keep a part of their own past, so that cumulants depend on two layers at once."""
        return bool(self.carried != 0)

    @property
    def carried(self) -> Any:
        """a if it is a property of the layer (a carry), as an exact SymPy number; 0 without a carry."""
        import sympy as sp

        if not self.carries or self.kept is None:
            return sp.Integer(0)
        return product(self.kept, {name: exact(self.layer.value(name)) for name, _ in self.kept})

    def values(self, hyperparameters: Mapping[str, Any]) -> tuple[Any, Any, Any]:
        """(c, a, w) for given values of the hyperparameters."""
        added, kept, weight = (
            0 if part is None else product(part, hyperparameters) for part in (self.added, self.kept, self.weight)
        )
        return added, kept, weight


def product(part: Product, values: Mapping[str, Any]) -> Any:
    """The product of hyperparameters with given values."""
    found: Any = 1
    for name, power in part:
        found = found * values[name] ** power
    return found


def exact(value: float) -> Any:
    """The decimal that a float prints as, as a SymPy number."""
    import sympy as sp

    fraction = Fraction(str(float(value)))
    return sp.Rational(fraction.numerator, fraction.denominator)


def bare(layer: Layer | None = None) -> Layer:
    """The same kind of layer, with its skip strength if it has one and nothing else: dense if None.

    >>> from rgflow.network.kinds.residual import Residual
    >>> bare(Residual(skip=0.5, C_W=7.0)) == Residual(skip=0.5)
    True
    """
    if not isinstance(layer, Layer):
        if layer is not None:
            laws(layer)  # says what a layer is
        return Dense()
    kind: Any = type(layer)
    found: Layer = kind(skip=layer.value("skip")) if "skip" in layer.hyperparameters() else kind()
    return found


def kernel_step(layer: Layer | None = None) -> KernelStep:
    """c, a and w of a layer, from its derived recursions of K and Theta.

    Raises NoCriticalPoint for a layer whose recursion is of another form.

    >>> from rgflow.network.kinds.residual import Residual
    >>> found = kernel_step(Residual(skip=0.5))
    >>> found.added, found.kept, found.weight, found.carried
    ((('C_b', 1),), (('skip', 2),), (('C_W', 1),), 1/4)
    """
    return _kernel_step(Dense() if layer is None else layer)


@lru_cache(maxsize=256)
def _kernel_step(layer: Layer) -> KernelStep:
    if len(laws(layer)) > 1:
        raise NoCriticalPoint(
            f"{layer!r} has no critical point: every block adds to the kernel what its branch brings, so that no "
            "kernel is fixed; see rgflow.variation for what depth does there"
        )
    kernel = _collected(derive("K", layer=layer), KERNEL, {((0, 0),): "weight"})
    tangent = _collected(derive("Theta", layer=layer), TANGENT, {((1, 1),): "weight"}, others=True)
    if any(kernel.get(part) != tangent.get(part) for part in ("kept", "weight")):
        raise NoCriticalPoint(f"{layer!r} has no critical point: chi_perpendicular is not known for such a layer")
    return KernelStep(layer, kernel.get("added"), kernel.get("kept"), kernel.get("weight"))


def _collected(recursion: Any, own: Tensor, averages: Mapping[Any, str], others: bool = False) -> dict[str, Product]:
    """The terms of a recursion of K or Theta by what they hold; others: sources that do not hold Theta are skipped."""
    assert isinstance(recursion, Recursion)
    found: dict[str, Product] = {}
    for term in recursion.terms:
        part = _part(term, own, averages, others)
        if part is None:
            if others and all(value.tensor != own for value in term.tensors):
                continue
            raise NoCriticalPoint(f"the recursion {recursion} is not of the form K' = c + a K + w <ss>")
        if part in found or term.coefficient != 1:
            raise NoCriticalPoint(f"the recursion {recursion} is not of the form K' = c + a K + w <ss>")
        found[part] = term.symbols
    return found


def _part(term: Term, own: Tensor, averages: Mapping[Any, str], others: bool) -> str | None:
    tensors = tuple(value.tensor for value in term.tensors)
    brackets = tuple(bracket.orders for bracket in term.brackets if not bracket.pending)
    if len(brackets) != len(term.brackets):
        return None
    if not brackets and tensors == (own,):
        return "kept"
    if others:
        return averages.get(brackets) if tensors == (own,) else None
    if tensors:
        return None
    return averages.get(brackets) if brackets else "added"
