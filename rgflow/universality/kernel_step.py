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

from rgflow.algebra import Recursion, Tensor
from rgflow.algebra.jets import Jet
from rgflow.derive import derive
from rgflow.errors import NoCriticalPoint
from rgflow.layers import Law, laws
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
    def odd(self) -> bool:
        """Whether its law holds for odd activations only."""
        return laws(self.layer)[0].odd

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

    Raises NoCriticalPoint for a layer whose recursions are of another form, or hold other hyperparameters: what follows
    from a kernel step takes them by these names.

    >>> from rgflow.network.kinds.residual import Residual
    >>> found = kernel_step(Residual(skip=0.5))
    >>> found.added, found.kept, found.weight, found.carried
    ((('C_b', 1),), (('skip', 2),), (('C_W', 1),), 1/4)
    """
    return _kernel_step(Dense() if layer is None else layer)


# Terms as (hyperparameters, tensors, orders of brackets), and the part that each is.
_BIAS, _WEIGHT, _SKIP = (("C_b", 1),), (("C_W", 1),), (("skip", 2),)
_KERNEL_PARTS = {
    (_BIAS, (), ()): "added",
    (_SKIP, (KERNEL,), ()): "kept",
    (_WEIGHT, (KERNEL,), ()): "kept",
    (_WEIGHT, (), ((0, 0),)): "weight",
}
_TANGENT_PARTS = {
    (_SKIP, (TANGENT,), ()): "kept",
    (_WEIGHT, (TANGENT,), ()): "kept",
    (_WEIGHT, (TANGENT,), ((1, 1),)): "weight",
    ((("lambda_b", 1),), (), ()): "rate of biases",
    ((("lambda_W", 1),), (), ((0, 0),)): "rate of weights",
    ((("lambda_W", 1),), (KERNEL,), ()): "rate of weights",
}
_FORMS: tuple[Any, ...] = ((_WEIGHT, None, None), (_WEIGHT, _SKIP, ("skip", 1)), (None, _WEIGHT, None))  # (w, a, carry)
_NAMES = frozenset({"C_b", "C_W", "lambda_b", "lambda_W", "skip"})


@lru_cache(maxsize=256)
def _kernel_step(layer: Layer) -> KernelStep:
    rules = laws(layer)
    if any(law.norm is not None for law in rules):
        raise NoCriticalPoint(
            f"{type(layer).__name__} layers have no critical points but lines, since a norm fixes what the weights "
            "read: rgflow.critical_line gives them, and rgflow.jacobian_law what happens on and beside them"
        )
    if len(rules) > 1:
        raise NoCriticalPoint(
            f"critical points of {type(layer).__name__} layers are not solved: their kernel passes several weight "
            "matrices, and what is carried along adds to it in every block; rgflow.variation follows it through depth"
        )
    recursions = derive("K", layer=layer), derive("Theta", layer=layer)
    kernel, tangent = _parts(recursions[0], _KERNEL_PARTS), _parts(recursions[1], _TANGENT_PARTS)
    alike = all(kernel.get(part) == tangent.get(part) for part in ("kept", "weight"))
    form = kernel.get("weight"), kernel.get("kept"), rules[0].carry
    if form not in _FORMS or not alike or not _usual(layer, rules[0]):
        raise NoCriticalPoint(
            f"{layer!r} has no critical point that is known: its recursions are {recursions[0]} and {recursions[1]}, "
            "and points are known for laws with K' = C_b + C_W <ss> + skip^2 K or K' = C_b + C_W K, rates lambda_b "
            "and lambda_W, no other hyperparameters, and with a skip Gaussian weights; flow instead"
        )
    return KernelStep(layer, kernel.get("added"), kernel.get("kept"), kernel.get("weight"))


def _parts(recursion: Any, known: Mapping[Any, str]) -> dict[str, Product]:
    """The hyperparameters of each part of a recursion; nothing if it has others, or one twice."""
    assert isinstance(recursion, Recursion)
    found: dict[str, Product] = {}
    for term in recursion.terms:
        brackets = tuple(bracket.orders for bracket in term.brackets)
        part = known.get((term.symbols, tuple(value.tensor for value in term.tensors), brackets))
        plain = term.coefficient == 1 and not any(bracket.pending for bracket in term.brackets)
        if part is None or part in found or not plain:
            return {}
        found[part] = term.symbols
    return found


def _usual(layer: Layer, law: Law) -> bool:
    """Whether a law holds nothing that the recursions of K and Theta do not show, but for weights without a skip."""
    z = Jet(0)
    near = all(part.back == 1 for part in law.integrand(z, z)) and law.norm is None
    return near and _NAMES.issuperset(layer.hyperparameters()) and not (law.carry and law.intrinsic((z, z), (z, z)))
