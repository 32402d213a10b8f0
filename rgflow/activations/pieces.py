"""Kinks of a formula and its smooth pieces between them; where a formula is not a smooth real function."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np

from rgflow.activations.formula import ONE, SWITCHES, ZERO, Call, Mul, Node, Num, Pow, add, children, has_z, text, walk
from rgflow.activations.normal import normal
from rgflow.activations.polynomials import polynomial
from rgflow.activations.program import Array
from rgflow.activations.taylor import program
from rgflow.activations.values import rebuilt, value_at, values
from rgflow.errors import FormulaError

MOST_KINKS = 32
LINE = 50.0  # a formula is checked to be smooth, real and finite for |z| up to here
MINUS, HALF = Num(Fraction(-1)), Num(Fraction(1, 2))


def split(formula: Node) -> tuple[tuple[float, ...], tuple[Node, ...]]:
    """Kinks, sorted, and the len(kinks) + 1 smooth pieces in normal form, left to right.

    Raises
    ------
    FormulaError
        When a piece is not real, finite and smooth inside its interval, naming the part and the point.

    >>> from rgflow.activations.parser import parse
    >>> split(parse("Max(z, 0)"))
    ((0.0,), (Num(value=Fraction(0, 1)), Z()))
    """
    kinks, raw = raw_pieces(formula)
    for piece, (low, high) in zip(raw, _intervals(kinks), strict=True):
        for part in walk(piece):
            _check(part, low, high)
    smooth = [normal(piece) for piece in raw]
    keep = [i for i in range(len(kinks)) if smooth[i] != smooth[i + 1]]
    kinks, pieces = tuple(kinks[i] for i in keep), (smooth[0], *(smooth[i + 1] for i in keep))
    for piece, (low, high) in zip(pieces, _intervals(kinks), strict=True):
        _check_finite(formula, piece, low, high)
    return kinks, pieces


def raw_pieces(formula: Node) -> tuple[tuple[float, ...], tuple[Node, ...]]:
    """Points where a switch changes its branch, and the formula between them, not normalised."""
    points: list[float] = []
    for part in walk(formula):
        if isinstance(part, Call) and part.name in SWITCHES:
            crossing = _crossing(part)
            for low, high in _intervals(points):
                points = _merged([*points, *_zeros(crossing, low, high)])
            if len(points) > MOST_KINKS:
                raise FormulaError(f"{text(formula)!r} has kinks at more than {MOST_KINKS} points, from {text(part)}")
    inside = (_inside(low, high) for low, high in _intervals(points))
    return tuple(points), tuple(resolved(formula, point) for point in inside)


def _crossing(switch: Call) -> Node:
    """What changes its sign where the switch changes its branch."""
    if len(switch.args) == 1:
        return switch.args[0]
    return add(switch.args[0], Mul((MINUS, switch.args[1])))


def resolved(node: Node, point: float) -> Node:
    """The formula with every switch replaced by the branch it takes at a point."""
    if not isinstance(node, Call) or node.name not in SWITCHES:
        parts = children(node)
        return rebuilt(node, tuple(resolved(part, point) for part in parts)) if parts else node
    args = tuple(resolved(arg, point) for arg in node.args)
    side = value_at(_crossing(Call(node.name, args)), point)
    if math.isnan(side):
        raise FormulaError(f"{text(node)} is not a real number at z = {point:.6g}")
    match node.name:
        case "Abs":
            return args[0] if side >= 0 else Mul((MINUS, args[0]))
        case "Max":
            return args[0] if side >= 0 else args[1]
        case "Min":
            return args[1] if side >= 0 else args[0]
        case "relu":
            return args[0] if side > 0 else ZERO
        case "Heaviside":
            return HALF if side == 0 else ONE if side > 0 else ZERO
    return ZERO if side == 0 else ONE if side > 0 else MINUS


def _intervals(points: Sequence[float]) -> Iterable[tuple[float, float]]:
    return pairwise([-math.inf, *points, math.inf])


def _inside(low: float, high: float) -> float:
    """A point within an interval at which no formula vanishes by accident of a round number."""
    if math.isinf(low) and math.isinf(high):
        return 0.4142135623
    if math.isinf(low) or math.isinf(high):
        return high - 0.7320508 if math.isinf(low) else low + 0.7320508
    return low + 0.4142135623 * (high - low)


# Zeros


def _grid(low: float, high: float) -> Array:
    """Points of an interval, its ends included: dense for |z| <= 50, geometric up to 1e6, one at infinity's place."""
    near = np.linspace(-LINE, LINE, 20001)
    far = np.geomspace(LINE, 1e6, 2001)[1:]
    points = np.concatenate([-far[::-1], near, far])
    points = points[(points > low) & (points < high)]
    if math.isfinite(low) and math.isfinite(high):
        points = np.union1d(points, np.linspace(low, high, 257))
    ends = [end for end in (low, high) if math.isfinite(end)]
    return np.union1d(points, np.array(ends)) if ends else points


def _zeros(crossing: Node, low: float, high: float) -> list[float]:
    """Points within (low, high) where a formula changes its sign."""
    branch = resolved(crossing, _inside(low, high))
    grid = _grid(low, high)
    roots = polynomial(branch)
    if roots is not None and len(roots) > 1:
        near = np.roots([float(c) for c in reversed(roots)])
        candidates = sorted(float(r.real) for r in near if low < r.real < high and abs(r.imag) <= 1e-6 * (1 + abs(r)))
        around = [r + s * (1e-4 + 1e-4 * abs(r)) for r in candidates for s in (-1, 1)]
        outer = [candidates[0] * 2 - 1e3, candidates[-1] * 2 + 1e3] if candidates else []
        grid = np.union1d(grid, np.array([x for x in (*around, *outer) if low < x < high]))
    found = values(branch, grid)
    live = np.flatnonzero(np.isfinite(found) & (found != 0) & (grid > low) & (grid < high))
    signs = np.sign(found[live])
    flips = np.flatnonzero(signs[1:] != signs[:-1])
    if flips.size > MOST_KINKS:
        raise FormulaError(f"{text(crossing)} changes its sign at more than {MOST_KINKS} points")
    return [_bisect(branch, grid[live[i]], grid[live[i + 1]]) for i in flips]


def _bisect(branch: Node, left: float, right: float) -> float:
    sign = value_at(branch, left) > 0
    while True:
        middle = 0.5 * (left + right)
        if not left < middle < right or right - left < 1e-300:
            break
        there = value_at(branch, middle)
        if there == 0:
            left = right = middle
            break
        if (there > 0) == sign:
            left = middle
        else:
            right = middle
    return _tidy(branch, right)


def _tidy(branch: Node, root: float) -> float:
    """The simplest number that is as good a zero as the one found: 0 instead of 1e-17."""
    size = abs(value_at(branch, root))
    spacing = abs(value_at(branch, root + 4e-16 * (1 + abs(root))) - value_at(branch, root - 4e-16 * (1 + abs(root))))
    for denominator in (1, 10, 100, 1000):
        simple = float(Fraction(root).limit_denominator(denominator))
        if abs(simple - root) < 1e-12 * (1 + abs(root)) and abs(value_at(branch, simple)) <= max(size, spacing):
            return simple + 0.0
    return root


def _merged(points: list[float]) -> list[float]:
    out: list[float] = []
    for point in sorted(points):
        if not out or point - out[-1] > 1e-12 * (1 + abs(point)):
            out.append(point)
    return out


# Is it a smooth real function?


def _check(part: Node, low: float, high: float) -> None:
    """Refuse a logarithm, root or inverse whose argument leaves its domain in the interval."""
    match part:
        case Call("log", (u,)):
            positive, argument = True, u
        case Call("log1p", (u,)):
            positive, argument = True, add(ONE, u)
        case Pow(base, exponent) if exponent < 0 or exponent.denominator != 1:
            if not has_z(base) and exponent > 0 and value_at(base, 0.0) == 0:
                return
            positive, argument = exponent.denominator != 1, base
        case _:
            return
    grid = _grid(low, high)
    grid = grid[np.abs(grid) <= LINE] if np.any(np.abs(grid) <= LINE) else grid
    found = values(argument, grid)
    if positive and np.any(~(found > 0)):
        _refuse(part, float(grid[_first(~(found > 0), grid)]), f"{text(argument)} is not positive there")
    if np.any(~np.isfinite(found) & np.isnan(found)):
        _refuse(part, float(grid[_first(np.isnan(found), grid)]), f"{text(argument)} is not a real number there")
    for sign in (1.0,) if positive else (1.0, -1.0):
        zero = _touches_zero(argument, sign, grid, found)
        if zero is not None:
            _refuse(part, zero, f"{text(argument)} vanishes there")


def _touches_zero(argument: Node, sign: float, grid: Array, found: Array) -> float | None:
    """A point of the grid's span where sign*argument <= 0, or touches 0 between two points of the grid."""
    side = sign * found
    if np.all(side < 0):
        return None
    if np.any(side <= 0):
        if np.all(side <= 0):
            return float(grid[_first(side == 0, grid)]) if np.any(side == 0) else None
        i = _first(side <= 0, grid)
        near = i if side[i] == 0 else None
        if near is not None:
            return float(grid[i])
        flips = np.flatnonzero(np.sign(side[1:]) != np.sign(side[:-1]))
        return _bisect(argument, float(grid[flips[0]]), float(grid[flips[0] + 1]))
    lows = np.flatnonzero((side[1:-1] <= side[:-2]) & (side[1:-1] < side[2:])) + 1
    for i in lows[np.argsort(side[lows])][:20]:
        point, least = _least(argument, sign, float(grid[i - 1]), float(grid[i + 1]))
        if least <= 1e-13 * max(float(side[i - 1]), float(side[i + 1])):
            return point
    return None


def _least(argument: Node, sign: float, left: float, right: float) -> tuple[float, float]:
    """The minimum of sign*argument in a bracket, by golden section."""
    ratio = 0.6180339887498949
    for _ in range(80):
        a, b = right - ratio * (right - left), left + ratio * (right - left)
        if sign * value_at(argument, a) < sign * value_at(argument, b):
            right = b
        else:
            left = a
    point = 0.5 * (left + right)
    return point, sign * value_at(argument, point)


def _check_finite(formula: Node, piece: Node, low: float, high: float) -> None:
    """Refuse NaN, and derivatives that are infinite at the end of a piece."""
    grid = _grid(low, high)
    grid = grid[(np.abs(grid) <= LINE) | np.isin(grid, [low, high])][::4]
    ends = np.array([end for end in (low, high) if math.isfinite(end)])
    points = np.union1d(grid, ends)
    found = program(piece, 3).run(points)
    bad = np.isnan(found).any(axis=0)
    if np.any(bad):
        _refuse(formula, float(points[_first(bad, points)]), "it or a derivative is not a real number there")


def _first(mask: Any, grid: Array) -> int:
    """The marked point nearest to the origin."""
    marked = np.flatnonzero(mask)
    return int(marked[np.argmin(np.abs(grid[marked]))])


def _refuse(part: Node, point: float, reason: str) -> None:
    raise FormulaError(f"{text(part)} is not smooth and finite at z = {point:.6g}: {reason}")
