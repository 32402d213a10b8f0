"""Typed errors: each names the object, the offending value and the remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

# What others call some of our names.
_ALSO_CALLED = {"ntk": "Theta", "nngp": "K", "kernel": "K"}


class RgflowError(Exception):
    """Base of every error that rgflow raises on purpose."""


class InputError(RgflowError, ValueError):
    """A value outside its domain: wrong shape, NaN, zero width, negative variance."""


class UnknownName(RgflowError, KeyError):
    """A name that nothing carries; the message suggests the nearest known ones."""

    def __init__(self, kind: str, name: object, known: Iterable[str]):
        known = sorted(known)
        near = _nearest(str(name), known)
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"known: {', '.join(known)}"
        self.message = f"unknown {kind} {name!r}; {hint}"
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuilt, (type(self), self.message)


def _nearest(name: str, known: list[str]) -> list[str]:
    """Up to three known names like this one, whatever the case of its letters, or the one that also goes by it."""
    name = name.strip().casefold()
    other = _ALSO_CALLED.get(name)
    if other in known:
        return [other]
    folded: dict[str, list[str]] = {}
    for one in known:
        folded.setdefault(one.casefold(), []).append(one)
    close = [name] if name in folded else difflib.get_close_matches(name, folded, n=3)
    return [one for match in close for one in folded[match]][:3]


def _rebuilt(kind: type[UnknownName], message: str) -> UnknownName:
    """An UnknownName that crossed a process boundary."""
    error = kind.__new__(kind, message)
    error.message = message
    return error


class FormulaError(RgflowError, ValueError):
    """A formula text outside the whitelist of functions, or outside the grammar."""


class KinkError(RgflowError):
    """A bracket with a written second derivative of an activation that has a kink."""


class NotForest(RgflowError, ValueError):
    """A cumulant whose directions do not join its jets in a forest (a trace of a Hessian, say)."""


class OrderError(RgflowError, ValueError):
    """An order in 1/n that was not asked for, or that rgflow cannot evaluate."""


class AccuracyError(RgflowError, ArithmeticError):
    """A number that cannot be given to a useful accuracy (divergence, overflow, nearly equal inputs at a kink)."""


class BrokenStep(RgflowError, ArithmeticError):
    """A step of a derivation whose two sides are not equal: the recursion or the engine has been changed."""


class NoClosedForm(RgflowError):
    """A Gaussian average or a solution in depth that has no closed form, or none that the rules find."""


class NoCriticalPoint(RgflowError):
    """An activation that no choice of C_b and C_W makes critical; the message says why."""


class StoreError(RgflowError, OSError):
    """A file or a cache directory that cannot be read or written."""


class DomainWarning(UserWarning):
    """A number was given although an expansion is near or beyond the end of its domain; the message says how far."""


class MissingExtra(RgflowError, ImportError):
    """Something that needs an optional package which is not installed."""

    def __init__(self, what: str, extra: str):
        super().__init__(f'{what} needs the extra {extra!r}: pip install "rgflow[{extra}]"')
