"""Derivatives of a formula as it is written, to many digits through mpmath: a witness that shares no recurrence.

mpmath differentiates numerically; the working precision is raised until two precisions agree to the digits asked for
(exponential tails lose as many digits as they lie below 1).
"""

from __future__ import annotations

import bisect
import functools
import itertools
import operator
from collections.abc import Callable
from typing import Any

import mpmath
from mpmath import mp

from rgflow.activations.formula import Add, Call, Mul, Node, Num, Pi, Pow, Z
from rgflow.activations.pieces import raw_pieces
from rgflow.errors import AccuracyError

SMALLEST = "1e-330"  # below the range of floats: agreement to this much is agreement
EXTRA_DIGITS = (0, 60, 360, 1000, 3000)  # tried in turn for values that lie that far below the largest part of f

_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "exp": mp.exp,
    "log": mp.log,
    "log1p": mp.log1p,
    "expm1": mp.expm1,
    "tanh": mp.tanh,
    "sech": mp.sech,
    "sigmoid": lambda u: 1 / (1 + mp.exp(-u)),
    "softplus": lambda u: mp.log1p(mp.exp(u)),
    "erf": mp.erf,
    "erfc": mp.erfc,
    "sin": mp.sin,
    "cos": mp.cos,
    "sinh": mp.sinh,
    "cosh": mp.cosh,
    "atan": mp.atan,
    "asinh": mp.asinh,
}


def mp_derivatives(formula: Node, z: Any, order: int, dps: int = 30) -> list[mpmath.mpf]:
    """Derivatives 0..order of a formula at one point, good to ``dps`` digits (at a kink: of the right branch).

    Raises
    ------
    AccuracyError
        When 3000 digits beyond those asked for do not suffice.
    """
    kinks, pieces = _cached_pieces(formula)
    with mp.workdps(dps + 10):
        point = mp.mpf(z)
    piece = pieces[bisect.bisect_right(kinks, point)]
    before = None
    for extra in EXTRA_DIGITS:
        found = _differences(piece, point, order + 1, dps, extra)
        if before is not None and all(_agree(a, b, dps) for a, b in zip(before, found, strict=True)):
            with mp.workdps(dps):
                noise = mp.mpf(10) ** -(dps + 20)  # of one-sided differences, times the next derivative
                return [+a if abs(a) > noise * abs(b) else mp.zero for a, b in itertools.pairwise(found)]
        before = found
    raise AccuracyError(f"the reference at z = {mp.nstr(point, 8)} needs more than {EXTRA_DIGITS[-1]} extra digits")


def _differences(piece: Node, point: Any, order: int, dps: int, extra: int) -> list[mpmath.mpf]:
    """Differences with step h = 10^-(dps + 25): order k cancels k log10(1/h) digits, carried in addition."""
    step = dps + 25
    digits = (order + 1) * step + dps + extra
    with mp.workdps(digits):
        found = [_value(piece, point)]
        h = mp.mpf(10) ** -step
    if order:
        with mp.workdps(digits // (order + 2) + 1):  # mpmath works with (order + 2) times this many digits
            found += list(mp.diffs(lambda x: _value(piece, x), point, order, h=h))[1:]
    return [mp.re(value) for value in found]


@functools.lru_cache(maxsize=64)
def _cached_pieces(formula: Node) -> tuple[tuple[float, ...], tuple[Node, ...]]:
    return raw_pieces(formula)


def _agree(a: mpmath.mpf, b: mpmath.mpf, dps: int) -> bool:
    with mp.workdps(dps + 10):
        return bool(abs(a - b) <= max(abs(b) * mp.mpf(10) ** -dps, mp.mpf(SMALLEST)))


def _value(node: Node, z: Any) -> Any:
    match node:
        case Num(value):
            return mp.mpf(value.numerator) / value.denominator
        case Pi():
            return +mp.pi
        case Z():
            return z
        case Add(args):
            return mp.fsum(_value(arg, z) for arg in args)
        case Mul(args):
            return functools.reduce(operator.mul, [_value(arg, z) for arg in args])
        case Pow(base, exponent):
            inner = _value(base, z)
            if exponent.denominator == 1:
                return inner ** int(exponent)
            return inner ** (mp.mpf(exponent.numerator) / exponent.denominator)
        case Call(name, args):
            return _FUNCTIONS[name](_value(args[0], z))
    raise AssertionError(node)
