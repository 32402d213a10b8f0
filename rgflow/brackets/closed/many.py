r"""Averages of products of distributions over two correlated Gaussian variables; without kinks over any number.

A delta function fixes its variable; its derivatives go by parts,

.. math:: \langle \delta^{(n)}(z_i)\, g \rangle = -\tfrac{1}{K_{ii}} \big[(n-1) \langle \delta^{(n-2)}(z_i)\, g \rangle
          + K_{12} \langle \delta^{(n-1)}(z_i)\, \partial g \rangle \big]
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import sympy as sp

from rgflow.brackets.closed.atoms import NIL, ONE, Atom, Constant, NoRule, Numbers, numbers, times
from rgflow.brackets.closed.covariances import Kernel
from rgflow.brackets.closed.distributions import Distribution
from rgflow.brackets.closed.form import NONE, Form, Powers, accumulate, join, power
from rgflow.brackets.closed.integrals import integral
from rgflow.brackets.closed.one import average, signed


def joint_average(functions: Sequence[Distribution], K: Kernel) -> Form:
    """< prod_u f_u(z_u) >_K."""
    if K.size > 2 and any(f.kinks for f in functions):
        raise NoRule(f"kinks with {K.size} inputs")
    smooth = [_atoms(f) for f in functions]
    out: Form = {}
    stack: list[tuple[int, tuple[Atom, ...], Fraction, Constant]] = [(0, (), Fraction(1), ONE)]
    while stack:
        u, chosen, q, v = stack.pop()
        if u < len(smooth):
            for atom, p in smooth[u].items():
                r, w = times(v, atom.constant)
                stack.append((u + 1, (*chosen, atom), q * p * r, w))
            continue
        columns = [tuple(getattr(atom, name) for atom in chosen) for name in ("power", "decay", "rate", "erfs")]
        accumulate(out, integral(K, *columns), {v: q})
    if any(any(f.deltas) for f in functions):
        _add_deltas(out, functions, K)
    return out


def _atoms(f: Distribution) -> dict[Atom, Fraction]:
    if f.kinks not in ((), (NIL,)):
        raise NoRule(f"with several inputs a kink must be at 0, not at {', '.join(map(str, f.kinks))}")
    found = signed(f)
    if any(not atom.decay.is_nonnegative for atom in found):
        raise NoRule("a Gaussian factor that grows")
    return found


def _add_deltas(out: Form, functions: Sequence[Distribution], K: Kernel) -> None:
    f, g = functions
    for j, weight in enumerate(f.deltas[0] if f.deltas else ()):
        _at_zero(out, K, 0, j, g, weight)
    for j, weight in enumerate(g.deltas[0] if g.deltas else ()):
        _at_zero(out, K, 1, j, f.smooth_part, weight)


def _at_zero(out: Form, K: Kernel, i: int, order: int, g: Distribution, weight: Numbers, powers: Powers = NONE) -> None:
    """Add weight * powers * < delta^{(order)}(z_i) g(z_other) >, by parts in z_i."""
    if not weight:
        return
    if order == 0:
        inner = average(g, K.conditional(i))
        density = numbers(1 / sp.sqrt(2 * sp.pi))
        spread = [(times(u, v), p * q) for u, p in weight.items() for v, q in density.items()]
        for (r, constant), q in spread:
            accumulate(out, inner, {constant: q * r}, join(powers, K.diagonal(i, -1)))
        return
    if order > 1:
        lower = {u: -(order - 1) * q for u, q in weight.items()}
        _at_zero(out, K, i, order - 2, g, lower, join(powers, K.diagonal(i, -2)))
    mixed = join(powers, K.diagonal(i, -2), power(K.entries[0][1], 2))
    _at_zero(out, K, i, order - 1, g.derivative(), {u: -q for u, q in weight.items()}, mixed)
