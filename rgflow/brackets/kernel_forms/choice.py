"""Closed form or quadrature: what a kernel uses for each bracket of one input."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from rgflow.activations import Activation
from rgflow.activations.formula import Add, Call, Mul, Node, Pow, has_z
from rgflow.brackets.emit_quadrature import breaks_at_zero
from rgflow.brackets.kernel_forms.piecewise import is_piecewise_polynomial, piecewise_average
from rgflow.brackets.kernel_forms.summands import Closed, total_operations
from rgflow.brackets.kernel_forms.translate import Unwritable, from_expression, from_laurent
from rgflow.brackets.kinked import kinked_averages
from rgflow.brackets.smooth import Entry, is_odd, smooth_averages
from rgflow.errors import NoClosedForm

# Closed forms are sums of these; SymPy is not loaded to find out that there is none for tanh.
READABLE = frozenset({"exp", "expm1", "sin", "cos", "sinh", "cosh", "erf", "erfc"})
GRID = np.geomspace(1e-8, 1e4, 25)
TOLERANCE = 1e-11  # of <|f|>: what quadrature aims at, and a wrong form misses
SUM_ROUNDING = 8 * np.finfo(float).eps  # the error of a closed form, relative to its size
# Quadrature states 16 epsilon of <|f|>; sizes up to this many times <|f|> give a bound at most eight times as wide.
MOST_CANCELLATION = 16.0
# Quadrature takes at least 49 nodes, with sigma, its derivatives and a product at each: a dozen operations.
MOST_OPERATIONS = 600


def closed_choice(activation: Activation, brackets: Sequence[Entry]) -> dict[Entry, Closed]:
    """The brackets (orders sorted, pending) for which a closed form is as accurate as quadrature, and faster.

    A form is taken where, on kernels from 1e-8 to 1e4, the sizes of its terms stay below 16 <|f|> and it equals
    quadrature to 1e-11 <|f|>; half powers of K of one sign, which lose nothing, are taken as they are.

    >>> from rgflow.activations import activation
    >>> closed_choice(activation("relu"), [((0, 0), 0)])[(0, 0), 0].text
    'K/2'
    """
    entries = tuple(sorted({(tuple(sorted(orders)), pending) for orders, pending in brackets}))
    return dict(_choice(activation, activation.parity, entries))


def needs_rules(activation: Activation) -> bool:
    """Whether :func:`closed_choice` must ask the rules of closed forms, and so load SymPy.

    >>> from rgflow.activations import activation
    >>> [needs_rules(activation(name)) for name in ("tanh", "relu", "gelu")]
    [False, False, True]
    """
    return not is_piecewise_polynomial(activation) and all(map(_readable, activation.pieces))


@lru_cache(maxsize=256)
def _choice(activation: Activation, parity: int, entries: tuple[Entry, ...]) -> tuple[tuple[Entry, Closed], ...]:
    """Equal activations may know their parity or not, as they are spelt."""
    found = {entry: form for entry in entries if (form := _form(activation, parity, entry)) is not None}
    doubtful = [
        e for e, form in found.items() if form.parts and not (form.one_signed and is_piecewise_polynomial(activation))
    ]
    refused = set() if not doubtful else _inaccurate(activation, [(e, found[e]) for e in doubtful])
    return tuple((entry, form) for entry, form in found.items() if entry not in refused)


@lru_cache(maxsize=4096)
def _form(activation: Activation, parity: int, entry: Entry) -> Closed | None:
    if parity and not activation.kinks and is_odd(activation, (entry,)):
        return Closed("0", ())
    if is_piecewise_polynomial(activation):
        return from_laurent(*piecewise_average(activation, *entry))
    if not needs_rules(activation):
        return None
    from rgflow.brackets.closed import closed_bracket

    try:
        form = from_expression(closed_bracket(activation, *entry))
    except (NoClosedForm, Unwritable):
        return None
    if form.diverges and not breaks_at_zero(activation, entry):
        return None
    return form if total_operations(form.parts) <= MOST_OPERATIONS else None


def _readable(node: Node) -> bool:
    """Whether the rules of closed forms may reach a formula; what they then say decides."""
    match node:
        case Add(args) | Mul(args):
            return all(map(_readable, args))
        case Pow(base, exponent):
            return not has_z(base) or (exponent.denominator == 1 and _readable(base))
        case Call(name, args):
            return not has_z(node) or (name in READABLE and all(map(_readable, args)))
    return True


def _inaccurate(activation: Activation, forms: Sequence[tuple[Entry, Closed]]) -> set[Entry]:
    """Those that cancel more than quadrature, or differ from it, on the kernels where quadrature has a number."""
    average = kinked_averages if activation.kinks else smooth_averages
    moments = [(entry,) for entry, _ in forms]
    with np.errstate(all="ignore"):
        values, errors, absolute = average(activation, GRID[:, None, None], moments, TOLERANCE)
        out = set()
        for m, (entry, form) in enumerate(forms):
            value, size = form.values(GRID)
            known = np.isfinite(values[:, m]) & np.isfinite(errors[:, m]) & (absolute[:, m] > 0)
            miss = np.abs(value - values[:, m])
            right = miss <= errors[:, m] + SUM_ROUNDING * size + TOLERANCE * absolute[:, m]
            good = (size <= MOST_CANCELLATION * absolute[:, m]) & right
            if not (good[known].all() and known.any()):
                out.add(entry)
    return out
