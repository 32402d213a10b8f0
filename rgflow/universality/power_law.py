"""One power law: its amplitude, exponent and correction, as formulas and as numbers; and several by name."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from rgflow.algebra import Tensor
from rgflow.algebra.tex import tensor_tex
from rgflow.errors import NoClosedForm
from rgflow.universality.evaluation import at_layers, checked_values
from rgflow.universality.printing import latex_of, shortened, size_of, text_of

_SYMBOLS, _CONSTANTS = ("lambda_b", "lambda_W", "k"), ("c_K", "c_Theta")


@dataclass(frozen=True)
class PowerLaw:
    r"""X(l) = amplitude l^exponent ln(l)^logarithms (1 + correction + ...).

    Attributes
    ----------
    name : str
    amplitude : sympy.Expr
        In lambda_b, lambda_W and k (the kernel of layer 1, where every kernel is fixed). Zero if X vanishes exactly.
    exponent : sympy.Expr
    logarithms : int
    correction : sympy.Expr
        The next power of the depth, relative, with its logarithms; it may contain c_K, c_Theta, which the layers near
        the input determine. None if it is not known.
    beyond : str
        The size of what follows the correction.
    expression : sympy.Expr
        All that is known, in l; everything where the solution is exact.

    >>> from rgflow.activations import activation
    >>> from rgflow.universality.laws import power_laws
    >>> from rgflow.universality.points import recommended
    >>> law = power_laws(recommended(activation("tanh")), ("K",))["K"]
    >>> print(law)
    K(l) ~ 1/(2 l)   then O(ln(l)/l) relative
    >>> law.at(100)
    0.005
    >>> law.latex()
    'K^{(\\ell)} \\simeq \\frac{1}{2 \\ell}'
    """

    name: str
    amplitude: Any
    exponent: Any
    logarithms: int
    correction: Any
    beyond: str
    expression: Any = field(repr=False)

    @property
    def vanishes(self) -> bool:
        """Whether X is exactly zero."""
        return bool(self.amplitude == 0)

    @property
    def leading(self) -> Any:
        """amplitude l^exponent ln(l)^logarithms."""
        import sympy as sp

        from rgflow.universality.exponentials import l

        return self.amplitude * l**self.exponent * sp.log(l) ** self.logarithms

    def at(self, l: Any, **values: Any) -> Any:
        """The leading power at a layer, as a float, or at an array of layers.

        Parameters
        ----------
        l : int, or array of int
        **values
            lambda_b, lambda_W and k (or first_kernel), as far as the amplitude contains them; others may be given.

        Raises InputError for a symbol without a value, UnknownName for what is none of a power law.
        """
        return self._at(self.leading, l, values)

    def correction_at(self, l: Any, **values: Any) -> Any:
        """The correction at a layer or an array of layers; with c_K, c_Theta where it contains them."""
        if self.correction is None:
            raise NoClosedForm(f"the correction of {self.name} is not known: it is {self.beyond}; flow instead")
        return self._at(self.correction, l, values)

    def determined_by(self, values: Collection[str]) -> bool:
        """Whether the correction is known, and no constant in it but those named."""
        if self.correction is None:
            return False
        return {s.name for s in self.correction.free_symbols} <= {"l", *values}

    def _at(self, expression: Any, l: Any, values: Mapping[str, Any]) -> Any:
        needed = sorted(s.name for s in expression.free_symbols if s.name != "l")
        known = {*_SYMBOLS, *_CONSTANTS, *needed}
        given = checked_values(values, name=self.name, known=known, needed=needed, signed=known - set(_SYMBOLS))
        return at_layers(expression, l, given, name=self.name)

    @property
    def following(self) -> str:
        """The size of the correction, or of what is beyond if that is not known."""
        return self.beyond if self.correction is None else size_of(self.correction)

    def latex(self) -> str:
        """The leading power as LaTeX (without delimiters)."""
        sign = "=" if self.correction == 0 else r"\simeq"
        left = tensor_tex(Tensor.named(self.name), (), r"(\ell)")
        return f"{left} {sign} {latex_of(shortened(self.leading))}"

    def __str__(self) -> str:
        sign, then = ("=", "exactly") if self.correction == 0 else ("~", f"then {self.following}")
        return f"{self.name}(l) {sign} {text_of(shortened(self.leading))}   {then}"


class Laws(Mapping[str, PowerLaw]):
    """Power laws by name; asking for one that is not known raises NoClosedForm with the reason.

    Attributes
    ----------
    refused : mapping of names to reasons
    """

    def __init__(self, known: Mapping[str, PowerLaw], refused: Mapping[str, str]):
        self._known, self.refused = dict(known), MappingProxyType(dict(refused))

    def __getitem__(self, name: str) -> PowerLaw:
        if name in self.refused:
            raise NoClosedForm(self.refused[name])
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, name: object) -> bool:
        return name in self._known
