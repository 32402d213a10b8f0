"""How a formula becomes a sum of atoms, or the part of it that is none."""

from __future__ import annotations

from fractions import Fraction

import sympy as sp

from rgflow.activations.convert import to_sympy
from rgflow.activations.formula import Add, Call, Mul, Node, Pow, Z, has_z, text
from rgflow.brackets.closed.atoms import (
    NIL,
    ONE,
    TWO,
    Atom,
    Constant,
    NoRule,
    collect,
    numbers,
    product,
    rational,
    split,
    total,
)


def read(node: Node) -> dict[Atom, Fraction]:
    """A smooth formula as a sum of atoms.

    Raises
    ------
    NoRule
        Naming the part that is none: a function such as tanh, an inverse, erf of something else than c z.

    >>> from rgflow.activations import activation
    >>> read(activation("z*exp(-z^2/2)/3").pieces[0])
    {Atom(power=1, decay=1, rate=0, erfs=(), constant=1): Fraction(1, 3)}
    """
    if not has_z(node):
        return {Atom(constant=u): q for u, q in numbers(to_sympy(node)).items()}
    match node:
        case Z():
            return {Atom(power=1): Fraction(1)}
        case Add(args):
            return total(*map(read, args))
        case Mul(args):
            out: dict[Atom, Fraction] = {Atom(): Fraction(1)}
            for arg in args:
                out = product(out, read(arg))
            return out
        case Pow(base, exponent) if exponent.denominator == 1:
            return _power(read(base), int(exponent), node)
        case Call(name, (u,)) if name in _CALLS:
            return _CALLS[name](u)
    raise NoRule(f"{text(node)} is not a sum of z^m exp(-a z^2/2 + b z) times error functions of c z")


def _power(base: dict[Atom, Fraction], exponent: int, node: Node) -> dict[Atom, Fraction]:
    if exponent < 0:
        if len(base) != 1 or any(atom.power or atom.erfs for atom in base):
            raise NoRule(f"{text(node)} divides by a function")
        ((_, a, b, _, u), q) = next(iter(base.items()))
        r, v = split(1 / u)
        base, exponent = {Atom(0, -a, -b, (), v): r / q}, -exponent
    out: dict[Atom, Fraction] = {Atom(): Fraction(1)}
    for _ in range(exponent):
        out = product(out, base)
    return out


def _polynomial(u: Node, degree: int, name: str) -> list[Constant]:
    """Coefficients, low to high, of an argument that is a polynomial of at most the degree."""
    out = [NIL] * (degree + 1)
    for atom, q in read(u).items():
        if atom._replace(power=0, constant=ONE) != Atom() or atom.power > degree:
            raise NoRule(f"{name}({text(u)}) has an argument that is not a polynomial of degree {degree}")
        out[atom.power] += rational(q) * atom.constant
    return out


def _exp(u: Node, sign: int = 1) -> dict[Atom, Fraction]:
    shift, b, a = (sign * c for c in _polynomial(u, 2, "exp"))
    q, v = split(sp.exp(shift))
    return {Atom(0, sp.expand(-2 * a), sp.expand(b), (), v): q}


def _hyperbolic(u: Node, sign: int) -> dict[Atom, Fraction]:
    half = Fraction(1, 2)
    return total(_exp(u), _exp(u, -1), weights=(half, sign * half))


def _wave(u: Node, sine: bool) -> dict[Atom, Fraction]:
    """cos(wz + p) and sin(wz + p) as two exponentials."""
    phase, w = _polynomial(u, 1, "sin" if sine else "cos")
    terms: list[tuple[Atom, Fraction]] = []
    for sign in (1, -1):
        constant = sp.exp(sign * sp.I * phase) / (2 * sign * sp.I if sine else TWO)
        terms += [(Atom(0, NIL, sp.expand(sign * sp.I * w), (), v), q) for v, q in numbers(constant).items()]
    return collect(terms)


def _erf(u: Node) -> dict[Atom, Fraction]:
    shift, c = _polynomial(u, 1, "erf")
    if shift != 0:
        raise NoRule(f"erf({text(u)}) is shifted; only erf(c z) is averaged in closed form")
    sign = 1 if c.is_positive else -1
    return {Atom(erfs=((sign * c, 1),)): Fraction(sign)}


def _erfc(u: Node) -> dict[Atom, Fraction]:
    return total({Atom(): Fraction(1)}, _erf(u), weights=(1, -1))


def _expm1(u: Node) -> dict[Atom, Fraction]:
    return total(_exp(u), {Atom(): Fraction(1)}, weights=(1, -1))


_CALLS = {
    "exp": _exp,
    "expm1": _expm1,
    "sinh": lambda u: _hyperbolic(u, -1),
    "cosh": lambda u: _hyperbolic(u, 1),
    "sin": lambda u: _wave(u, True),
    "cos": lambda u: _wave(u, False),
    "erf": _erf,
    "erfc": _erfc,
}
