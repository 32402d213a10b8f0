"""An activation function as data: its smooth pieces, what is known about them, and their derivatives."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from rgflow.activations.formula import Node, has_z, text
from rgflow.activations.growth import growth, oscillates, parity, symmetry
from rgflow.activations.pieces import split
from rgflow.activations.polynomials import polynomial, slope
from rgflow.activations.program import Array, Program
from rgflow.activations.taylor import program
from rgflow.errors import AccuracyError, FormulaError, InputError

if TYPE_CHECKING:
    import mpmath
    import sympy


@dataclass(frozen=True)
class Activation:
    """A function sigma(z), smooth between its kinks; made by :func:`rgflow.activation`.

    Two activations are equal when their kinks and the normal forms of their pieces are, whatever their names.

    Attributes
    ----------
    name : str
        ``"tanh"``, ``"leaky_relu(slope=0.1)"`` or the formula text.
    formula_text : str
        Text that :func:`rgflow.activation` reads back to an equal activation.
    kinks : tuple of float
        Points where sigma is not smooth, sorted; empty for a smooth one.
    pieces : tuple of formula trees
        len(kinks) + 1 smooth formulas in normal form, left to right.
    parity : int
        +1 even, -1 odd, 0 neither (or not seen from the formula).
    growth : float
        g >= 0 with abs(sigma(z)) <= C abs(z)^m exp(g abs(z)); 0 for polynomial growth.
    oscillating : bool
        Whether a sine or cosine occurs.
    formula : formula tree
        The formula as it was written, switches included.

    >>> from rgflow.activations import activation
    >>> activation("relu").kinks, activation("tanh").parity, activation("exp").growth
    ((0.0,), -1, 1.0)
    """

    name: str = field(compare=False)
    formula_text: str = field(compare=False, repr=False)
    kinks: tuple[float, ...] = field(repr=False)
    pieces: tuple[Node, ...] = field(repr=False)
    parity: int = field(compare=False, repr=False)
    growth: float = field(compare=False, repr=False)
    oscillating: bool = field(compare=False, repr=False)
    formula: Node = field(compare=False, repr=False)

    @classmethod
    def from_formula(cls, formula: Node, name: str | None = None) -> Activation:
        """The activation of a formula tree, checked to be real, finite and piecewise smooth.

        Raises
        ------
        FormulaError
            When it does not depend on z, is not real and finite on the line, has infinitely many kinks, or grows
            faster than every exponential.
        """
        shown = text(formula)
        if not has_z(formula):
            raise FormulaError(f"the formula {shown!r} does not depend on z")
        kinks, pieces = split(formula)
        if not kinks and not has_z(pieces[0]):
            raise FormulaError(f"the formula {shown!r} is a constant: {text(pieces[0])}")
        return cls(
            name=name or shown,
            formula_text=name or shown,
            kinks=kinks,
            pieces=pieces,
            parity=(0 if kinks else parity(formula)) or symmetry(kinks, pieces),
            growth=growth(pieces),
            oscillating=oscillates(pieces),
            formula=formula,
        )

    # What is known

    @property
    def polynomial(self) -> tuple[Fraction, ...] | None:
        """Coefficients, low to high, when sigma is a polynomial; else None.

        >>> from rgflow.activations import activation
        >>> activation("z^3 - z/2").polynomial
        (Fraction(0, 1), Fraction(-1, 2), Fraction(0, 1), Fraction(1, 1))
        """
        return self.piece_polynomials[0] if not self.kinks else None

    @property
    def piece_polynomials(self) -> tuple[tuple[Fraction, ...] | None, ...]:
        """The same for every piece: ``(() , (0, 1))`` for relu; () is the zero polynomial."""
        return tuple(polynomial(piece) for piece in self.pieces)

    @property
    def slopes(self) -> tuple[float, float] | None:
        """(a_-, a_+) if sigma is two lines through the origin, sigma(c z) = c sigma(z) for c > 0; else None.

        >>> from rgflow.activations import activation
        >>> activation("leaky_relu", slope=0.1).slopes, activation("tanh").slopes, activation("Max(z, 1)").slopes
        ((0.1, 1.0), None, None)
        """
        if self.kinks not in ((), (0.0,)):
            return None
        left, right = slope(self.pieces[0]), slope(self.pieces[-1])
        return None if left is None or right is None else (left, right)

    @property
    def smooth(self) -> bool:
        """Whether sigma has no kink."""
        return not self.kinks

    @property
    def continuous(self) -> bool:
        """Whether sigma has no jump (up to rounding)."""
        for i, kink in enumerate(self.kinks):
            left, right = (float(self.piece_derivatives(j, kink, 0)[0]) for j in (i, i + 1))
            if abs(left - right) > 1e-12 * (1.0 + abs(left) + abs(right)):
                return False
        return True

    @property
    def value_at_kinks(self) -> tuple[float, ...]:
        """sigma at every kink, from the right."""
        return tuple(float(self.piece_derivatives(i + 1, kink, 0)[0]) for i, kink in enumerate(self.kinks))

    # Numbers

    def __call__(self, z: ArrayLike) -> Array:
        """sigma(z), of the shape of z (at a kink: from the right).

        >>> from rgflow.activations import activation
        >>> activation("relu")([-1.0, 2.0])
        array([0., 2.])
        """
        out: Array = self.derivatives(z, 0)[0]
        return out

    def derivatives(self, z: ArrayLike, order: int) -> Array:
        """sigma and its written derivatives almost everywhere: d^k sigma / dz^k for k = 0..order.

        Parameters
        ----------
        z : array_like of float, any shape
        order : int
            Any order from 0.

        Returns
        -------
        ndarray of shape (order + 1, *z.shape)
            Named activations: relative accuracy of 1e-12 or better away from zeros, also in exponential tails. Other
            formulas: as their arithmetic allows, terms that cancel lose digits. At a kink, the branch on the right.

        Raises
        ------
        AccuracyError
            When the formula overflows to NaN at a finite z.

        >>> from rgflow.activations import activation
        >>> activation("z^2").derivatives(3.0, 3)
        array([9., 6., 2., 0.])
        """
        points = _points(z)
        order = _order(order)
        if not self.kinks:
            return self._run(program(self.pieces[0], order), points)
        where = np.searchsorted(np.array(self.kinks), points, side="right")
        out = np.empty((order + 1, *points.shape))
        for i, piece in enumerate(self.pieces):
            mask = where == i
            if np.any(mask):
                out[:, mask] = self._run(program(piece, order), points[mask])
        return out

    def piece_derivatives(self, piece_index: int, z: ArrayLike, order: int) -> Array:
        """The same for one smooth piece, also at the ends of its interval and (where its formula allows) beyond."""
        if not 0 <= piece_index < len(self.pieces):
            raise InputError(f"{self.name} has pieces 0..{len(self.pieces) - 1}, not {piece_index!r}")
        return self._run(program(self.pieces[piece_index], _order(order)), _points(z))

    def _run(self, steps: Program, points: Array) -> Array:
        out = steps.run(points)
        if np.isnan(out).any():
            bad = np.isnan(out).any(axis=0) & np.isfinite(points)
            if np.any(bad):
                raise AccuracyError(
                    f"{self.name} overflows inside at z = {points[bad].flat[0]:.6g}; write it with functions that "
                    "stay finite (tanh, sigmoid, softplus, erfc), or use a smaller kernel"
                )
        return out

    # Other forms

    def source(self, order: int, name: str = "derivatives") -> str:
        """Python source of ``{name}_p{i}(z, d)``, one function per smooth piece, filling d[0..order] for a scalar z.

        Straight-line code that needs ``import math`` only, for Numba or plain Python; the same text every time.

        >>> from rgflow.activations import activation
        >>> print(activation("z^2").source(2))
        def derivatives_p0(z, d):
            v1 = z*z
            v2 = 2.0*z
            d[0] = v1
            d[1] = v2
            d[2] = 2.0
        """
        if not name.isidentifier():
            raise InputError(f"name is {name!r}; it must be a Python identifier")
        order = _order(order)
        return "\n\n".join(program(piece, order).source(f"{name}_p{i}") for i, piece in enumerate(self.pieces))

    def sympy(self) -> sympy.Expr:
        """The formula in ``Symbol("z", real=True)``."""
        from rgflow.activations.convert import to_sympy

        return to_sympy(self.formula)

    def latex(self) -> str:
        """The formula in LaTeX.

        >>> from rgflow.activations import activation
        >>> activation("z*tanh(z)").latex()
        'z \\\\tanh{\\\\left(z \\\\right)}'
        """
        from sympy import latex

        return str(latex(self.sympy()))

    def mp_derivatives(self, z: mpmath.mpf | float, order: int, dps: int = 30) -> list[mpmath.mpf]:
        """An independent reference for :meth:`derivatives` at one point, to ``dps`` digits, through mpmath."""
        from rgflow.activations.reference import mp_derivatives

        return mp_derivatives(self.formula, z, _order(order), dps)


def _points(z: ArrayLike) -> Array:
    try:
        return np.asarray(z, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"z is {z!r}; give a number or an array of numbers") from None


def _order(order: Any) -> int:
    if isinstance(order, bool) or not hasattr(order, "__index__") or order.__index__() < 0:
        raise InputError(f"order is {order!r}; it counts derivatives and must be an integer of at least 0")
    return int(order.__index__())
