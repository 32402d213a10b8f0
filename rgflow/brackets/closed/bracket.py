"""Brackets of one, two and more inputs as SymPy expressions of the kernel, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import sympy as sp

from rgflow.activations import Activation
from rgflow.brackets.closed.atoms import NoRule
from rgflow.brackets.closed.covariances import Kernel, Single
from rgflow.brackets.closed.distributions import distribution
from rgflow.brackets.closed.form import as_expression
from rgflow.brackets.closed.many import joint_average
from rgflow.brackets.closed.one import average
from rgflow.brackets.closed.symbols import K, entry
from rgflow.checks import whole
from rgflow.errors import InputError, NoClosedForm

Part = tuple[tuple[int, ...], int]


def closed_bracket(activation: Activation, orders: Sequence[int], pending: int = 0) -> Any:
    r"""A bracket of one input in closed form.

    .. math:: \Big\langle \partial^m \prod_i \sigma^{(k_i)}(z) \Big\rangle_K

    Parameters
    ----------
    activation : Activation
        Its pieces must be sums of z^m exp(-a z^2/2 + b z) prod erf(c z), b complex for sines and cosines.
    orders : sequence of int >= 0
        The written derivatives k_i; at a kink those of the branches.
    pending : int >= 0
        m; pending derivatives act as distributions.

    Returns
    -------
    sympy.Expr
        Exact, in ``Symbol("K", positive=True)``, up to the functions :class:`W` of order 4 and more.

    Raises
    ------
    NoClosedForm
        Naming the activation, the bracket, what the rules lack, and where its numbers are.
    InputError
        For orders that are no counts.

    >>> from rgflow.activations import activation
    >>> closed_bracket(activation("gelu"), (0, 0))
    K**2/(pi*(K + 1)*sqrt(2*K + 1)) + K*asin(K/(K + 1))/(2*pi) + K/4
    >>> closed_bracket(activation("relu"), (0, 0), 2)
    1
    """
    return _one(activation, *_checked((orders, pending)))


def closed_bracket_two(activation: Activation, one: Part, two: Part) -> Any:
    r"""A bracket of two inputs, < d_1^m f(z_1) d_2^n g(z_2) >, f and g products of written derivatives of sigma.

    Parameters
    ----------
    one, two : (orders, pending)
        Written and pending derivatives of each input.

    Returns
    -------
    sympy.Expr
        In ``Symbol("K11", positive=True)``, ``Symbol("K12", real=True)`` and ``Symbol("K22", positive=True)``.

    Raises
    ------
    NoClosedForm
        As for :func:`closed_bracket`; also for four error functions that are not all of one input.

    >>> from rgflow.activations import activation
    >>> closed_bracket_two(activation("erf"), ((0,), 0), ((0,), 0))
    2*asin(2*K12/(sqrt(2*K11 + 1)*sqrt(2*K22 + 1)))/pi
    """
    return closed_bracket_many(activation, (one, two))


def closed_bracket_many(activation: Activation, parts: Sequence[Part]) -> Any:
    """A bracket of d inputs, one (orders, pending) for each, in the symbols K11, K12, ..., Kdd.

    From three inputs on for polynomials, exponentials, sines and cosines only.

    >>> from rgflow.activations import activation
    >>> closed_bracket_many(activation("linear"), (((0,), 0), ((0, 0), 1), ((), 0)))
    2*K12
    """
    checked = tuple(map(_checked, parts))
    if not 1 <= len(checked) <= 9:
        raise InputError(f"parts has {len(checked)} entries; give one (orders, pending) for each of 1 to 9 inputs")
    return _many(activation, checked)


def name_of(parts: Sequence[Part]) -> str:
    """A bracket in plain text.

    >>> name_of((((0, 1), 2), ((0,), 0)))
    "<d1^2[s(z1) s'(z1)] s(z2)>"
    """
    shown = []
    for u, (orders, pending) in enumerate(parts, 1):
        z = "z" if len(parts) == 1 else f"z{u}"
        primes = ("s", "s'", "s''", "s'''")
        written = " ".join(f"{primes[k] if k < 4 else f's^({k})'}({z})" for k in orders) or "1"
        act = f"d{u if len(parts) > 1 else ''}" + (f"^{pending}" if pending > 1 else "")
        shown += [f"{act}[{written}]"] if pending else [written] if orders else []
    return f"<{' '.join(shown)}>"


@lru_cache(maxsize=4096)
def _one(activation: Activation, orders: tuple[int, ...], pending: int) -> Any:
    return _reasoned(
        activation,
        ((orders, pending),),
        lambda: as_expression(average(distribution(activation, orders, pending), Single(K)), K),
    )


@lru_cache(maxsize=4096)
def _many(activation: Activation, parts: tuple[Part, ...]) -> Any:
    def found() -> Any:
        live = [u for u, (orders, _) in enumerate(parts) if orders]
        if any(pending and not orders for orders, pending in parts):
            return sp.Integer(0)
        if len(live) == 1:
            return _one(activation, *parts[live[0]]).subs(K, entry(live[0] + 1, live[0] + 1))
        functions = [distribution(activation, *part) for part in parts]
        return as_expression(joint_average(functions, Kernel(len(parts))))

    return _reasoned(activation, parts, found)


def _reasoned(activation: Activation, parts: Sequence[Part], found: Callable[[], Any]) -> Any:
    try:
        return found()
    except NoRule as error:
        raise NoClosedForm(
            f"{name_of(parts)} of {activation.name} has no closed form within reach of the rules: {error}; "
            "rgflow.brackets.gaussian_moments and rg.flow give its numbers"
        ) from None


def _checked(part: tuple[Sequence[int], int]) -> Part:
    try:
        orders, pending = part
        listed = list(orders)
    except (TypeError, ValueError):
        raise InputError(f"{part!r} is no (orders, pending), such as ((0, 1), 2)") from None
    return tuple(sorted(whole("an order", k, 0) for k in listed)), whole("pending", pending, 0)
