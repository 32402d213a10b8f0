r"""The moments of an error function: the one family of transcendents that erf and GELU leave over.

.. math:: W_{2m}(x) = \mathbb{E}\,\operatorname{erf}(\sqrt x\, g)^{2m}, \quad g \sim N(0, 1), \qquad
          W_2(x) = \tfrac{2}{\pi} \arcsin \tfrac{2x}{1+2x}

.. math:: W_{2m}'(x) = \frac{4m(2m-1)}{\pi} \frac{1}{(1+2x)\sqrt{1+4x}}\, W_{2m-2}\Big(\frac{x}{1+4x}\Big)

The derivative is half the average of the second derivative of erf(z)^{2m}, by parts. From m = 2 on they are integrals
that no elementary function is; both evaluations below are the trapezoid rule in t, u = c sinh t, c = 1/max(1, sqrt x),
which converges like exp(-pi^2/(2h)): the integrand is positive, so that the relative accuracy holds at every x.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike, NDArray

from rgflow.checks import whole
from rgflow.errors import InputError

_STEP = 0.1
_CUT = 8.7  # exp(-8.7^2/2) < 1e-16


class W(sp.Function):
    """W(2m, x) = E[erf(sqrt(x) g)^(2m)] as a SymPy function: it evaluates to any precision and differentiates.

    Parameters
    ----------
    order : even integer 2m >= 0
    x : number or expression, x >= 0

    Raises
    ------
    InputError
        For an order that is no even number.

    >>> x = sp.Symbol("x", positive=True)
    >>> W(2, x), W(4, 0), W(4, x).diff(x)
    (2*asin(2*x/(2*x + 1))/pi, 0, 48*asin(2*x/((4*x + 1)*(2*x/(4*x + 1) + 1)))/(pi**2*(2*x + 1)*sqrt(4*x + 1)))
    >>> W(4, sp.Integer(1)).evalf(20)
    0.33663673484650836645
    >>> sp.latex(W(4, x))
    'W_{4}\\\\left(x\\\\right)'
    """

    nargs = 2

    @classmethod
    def eval(cls, order: Any, x: Any) -> Any:
        """What is elementary: W_0 = 1, W_2, and the values at 0 and infinity."""
        if not order.is_Integer or order < 0 or order % 2:
            raise InputError(f"order is {order}; W(2m, x) needs an even integer of at least 0")
        if order == 0 or x == sp.oo:
            return sp.Integer(1)
        if x == 0:
            return sp.Integer(0)
        if order == 2:
            return 2 * sp.asin(2 * x / (1 + 2 * x)) / sp.pi
        return cls(order, x, evaluate=False)._eval_evalf(x._prec) if x.is_Float else None

    def fdiff(self, argindex: int = 2) -> Any:
        """dW/dx, by the equation above."""
        if argindex != 2:
            raise sp.ArgumentIndexError(self, argindex)
        order, x = self.args
        return 2 * order * (order - 1) / sp.pi * W(order - 2, x / (1 + 4 * x)) / ((1 + 2 * x) * sp.sqrt(1 + 4 * x))

    def _eval_evalf(self, prec: int) -> Any:
        order, x = self.args
        if not x.is_number:
            return None
        found = _precise(int(order), x._to_mpmath(prec + 10), prec + 10)
        return sp.Float._new(found._mpf_, prec)

    def _eval_is_extended_nonnegative(self) -> Any:
        return self.args[1].is_extended_nonnegative

    def _eval_is_finite(self) -> bool:
        return True

    def _latex(self, printer: Any, exp: str | None = None) -> str:
        raised = f"^{{{exp}}}" if exp else ""
        return f"W_{{{self.args[0]}}}{raised}\\left({printer._print(self.args[1])}\\right)"

    @staticmethod
    def _imp_(order: Any, x: Any) -> Any:
        """The number that a lambdified expression calls for: mpmath for its own numbers, else NumPy."""
        if hasattr(x, "_mpf_"):
            from mpmath import mp

            with mp.workprec(mp.prec + 10):
                found = _precise(int(order), x, mp.prec)
            return +found
        found = erf_moment(int(order), x)
        return found if found.ndim else float(found)


def erf_moment(order: int, x: ArrayLike) -> NDArray[np.float64]:
    """W_{order}(x) in double precision, to 1e-14 relative, of the shape of x.

    Parameters
    ----------
    order : even int >= 0
    x : array_like of float >= 0, any shape; infinity is allowed

    Raises
    ------
    InputError
        For an odd or negative order, a negative x or NaN.

    >>> erf_moment(4, [0.0, 1.0]).round(12).tolist()
    [0.0, 0.336636734847]
    """
    from scipy.special import erf

    if whole("order", order, 0) % 2:
        raise InputError(f"order is {order!r}; it must be even")
    points = np.asarray(x, dtype=np.float64)
    if not (points >= 0).all():
        raise InputError(f"x is {points[~(points >= 0)].flat[0]}; W_{order}(x) needs x >= 0")
    if order == 0:
        return np.ones(points.shape)
    flat = points.reshape(-1, 1)
    root = np.sqrt(np.minimum(flat, 1e300))
    stretch = np.maximum(1.0, root)
    # beyond its peak at sqrt(2m) the integrand falls faster than a Gaussian
    last = np.arcsinh((_CUT + np.sqrt(order)) * stretch.max(initial=1.0))
    t = _STEP * np.arange(1, int(last / _STEP) + 2)
    u = np.sinh(t) / stretch
    density = np.cosh(t) / stretch * np.exp(-0.5 * u * u)
    sums = (density * erf(root * u) ** order).sum(axis=1)
    out = np.where(np.isinf(flat[:, 0]), 1.0, np.sqrt(2 / np.pi) * _STEP * sums)
    return out.reshape(points.shape)


@lru_cache(maxsize=256)
def _precise(order: int, x: Any, precision: int) -> Any:
    """W_{order}(x) to ``precision`` bits: the step is halved until the rule has converged."""
    from mpmath import mp

    if not x >= 0:
        raise InputError(f"x is {x}; W_{order}(x) needs x >= 0")
    with mp.workprec(precision + 15):
        root = mp.sqrt(x)
        stretch = max(mp.one, root)
        last = mp.asinh((mp.sqrt(2 * mp.log(2) * (precision + 5)) + mp.sqrt(order)) * stretch)

        def term(t: Any) -> Any:
            u = mp.sinh(t) / stretch
            return mp.cosh(t) * mp.exp(-u * u / 2) * mp.erf(root * u) ** order

        h = mp.pi**2 / (2 * mp.log(2) * (precision + 5))
        total = h * mp.fsum(term(h * k) for k in range(1, int(last / h) + 2))
        enough = mp.mpf(2) ** (-0.6 * precision)  # halving the step squares the error
        while True:
            middle = h * mp.fsum(term(h * (k + mp.mpf(1) / 2)) for k in range(int(last / h) + 2))
            total, h, change = (total + middle) / 2, h / 2, abs(total - middle) / 2
            if change <= enough * total:
                return mp.sqrt(2 / mp.pi) * total / stretch
