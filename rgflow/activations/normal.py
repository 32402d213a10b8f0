"""Normal form of a smooth formula: equal spellings become equal trees, and cancelling ones become stable.

1 + erf(u) turns into erfc(-u), 1 + tanh(u) into 2 sigmoid(2u), 1/(1 + exp(-u)) into sigmoid(u), log(1 + exp(u)) into
softplus(u), and so on: the left-hand sides lose every digit of their exponential tails in floating point.
"""

from __future__ import annotations

import math
from fractions import Fraction

from rgflow.activations.formula import ONE, ZERO, Add, Call, Mul, Node, Num, Pi, Pow, has_z, number, text
from rgflow.activations.polynomials import from_polynomial, polynomial

HALF, MINUS = Fraction(1, 2), Fraction(-1)

_ODD = frozenset({"tanh", "erf", "sin", "sinh", "atan", "asinh"})
_EVEN = frozenset({"cos", "cosh", "sech"})
_AT_ZERO: dict[str, int | Fraction] = {"exp": 1, "cos": 1, "cosh": 1, "sech": 1, "erfc": 1, "sigmoid": HALF}
_AT_ZERO |= dict.fromkeys(("tanh", "erf", "sin", "sinh", "atan", "asinh", "expm1", "log1p"), 0)


def normal(node: Node) -> Node:
    """The normal form of a tree without switches (Abs, Max, ...).

    >>> from rgflow.activations.parser import parse
    >>> text(normal(parse("z*(1 + erf(z/sqrt(2)))/2")))
    'erfc(-sqrt(2)*z/2)*z/2'
    """
    shape = polynomial(node)
    return from_polynomial(shape) if shape is not None else _normal(node)


def _normal(node: Node) -> Node:
    match node:
        case Add(args):
            return total([_normal(arg) for arg in args])
        case Mul(args):
            return product([_normal(arg) for arg in args])
        case Pow(base, exponent):
            return raised(_normal(base), exponent)
        case Call(name, args):
            return called(name, _normal(args[0]))
    return node


# Sums


def total(terms: list[Node]) -> Node:
    """Sum of normal terms: like terms collected, cancelling pairs replaced by one stable function."""
    collected: dict[Node, Fraction] = {}
    for term in terms:
        for part in term.args if isinstance(term, Add) else (term,):
            value, rest = split_number(part)
            collected[rest] = collected.get(rest, Fraction(0)) + value
    collected = {rest: value for rest, value in collected.items() if value}
    for rest, value in collected.items():
        merged = _stable_pair(rest, value, collected)
        if merged is not None:
            return merged
    parts = [product([number(value), rest]) for rest, value in collected.items()]
    if len(parts) < 2:
        return parts[0] if parts else ZERO
    return Add(tuple(sorted(parts, key=_order)))


def _stable_pair(rest: Node, value: Fraction, collected: dict[Node, Fraction]) -> Node | None:
    """The sum with value*rest and a second term, R f(u) and R, merged into one; None when there is no such pair."""
    for factor in rest.args if isinstance(rest, Mul) else (rest,):
        inner, exponent = (factor.base, factor.exponent) if isinstance(factor, Pow) else (factor, Fraction(1))
        if not isinstance(inner, Call):
            continue
        (u,) = inner.args
        left = product([rest, raised(factor, MINUS)]) if rest != factor else ONE
        new, partner = None, left
        if left in collected:
            new = _pair(inner.name, exponent, u, value, collected[left])
        if new is None and factor == inner and inner.name == "exp":
            partner = product([left, called("exp", product([Num(MINUS), u]))])
            other = collected.get(partner, Fraction(0))
            if partner != rest and abs(other) == abs(value):
                new = product([number(2 * value), called("cosh" if other == value else "sinh", u)])
        if new is not None:
            remaining = [product([number(v), r]) for r, v in collected.items() if r not in (rest, partner)]
            return total([*remaining, product([left, new])])
    return None


def _pair(name: str, exponent: Fraction, u: Node, k: Fraction, c: Fraction) -> Node | None:
    """k f(u)**exponent + c as one function without cancellation, where there is one."""
    minus, double = product([Num(MINUS), u]), product([number(2), u])
    same, opposite = k == c, k == -c
    match name, exponent:
        case "erf", 1 if same or opposite:
            return product([number(c), called("erfc", minus if same else u)])
        case "erfc", 1 if opposite:
            return product([number(c), called("erf", u)])
        case "erfc", 1 if c == -2 * k:
            return product([number(-k), called("erfc", minus)])
        case "tanh", 1 if same or opposite:
            return product([number(2 * c), called("sigmoid", double if same else product([Num(MINUS), double]))])
        case "tanh", 2 if opposite:
            return product([number(c), raised(called("sech", u), Fraction(2))])
        case "sigmoid", 1 if opposite:
            return product([number(c), called("sigmoid", minus)])
        case "sigmoid", 1 if k == -2 * c:
            return product([number(-c), called("tanh", product([Num(HALF), u]))])
        case "exp", 1 if opposite:
            return product([number(k), called("expm1", u)])
    return None


# Products and powers


def product(factors: list[Node]) -> Node:
    """Product of normal factors: numbers in front, powers of one base collected, exponentials merged."""
    value, powers = Fraction(1), dict[Node, Fraction]()
    exponents: list[Node] = []
    for factor in factors:
        for part in factor.args if isinstance(factor, Mul) else (factor,):
            base, exponent = (part.base, part.exponent) if isinstance(part, Pow) else (part, Fraction(1))
            if isinstance(base, Num) and exponent == 1:
                value *= base.value
            elif isinstance(base, Call) and base.name == "exp":
                exponents.append(product([number(exponent), base.args[0]]))
            else:
                powers[base] = powers.get(base, Fraction(0)) + exponent
    if value == 0:
        return ZERO
    if exponents:
        merged = called("exp", total(exponents))
        powers[merged] = powers.get(merged, Fraction(0)) + 1
    _pair_factors(powers)
    flat: list[Node] = []
    for base, exponent in powers.items():
        new = raised(base, exponent)
        for part in new.args if isinstance(new, Mul) else (new,):
            if isinstance(part, Num):
                value *= part.value
            else:
                flat.append(part)
    if not flat:
        return number(value)
    if len(flat) == 1 and isinstance(flat[0], Add):
        return flat[0] if value == 1 else total([product([number(value), term]) for term in flat[0].args])
    front: list[Node] = [] if value == 1 else [number(value)]
    flat.sort(key=_order)
    return flat[0] if not front and len(flat) == 1 else Mul((*front, *flat))


def _pair_factors(powers: dict[Node, Fraction]) -> None:
    """exp(u) sigmoid(-u) = sigmoid(u), expm1(u) sigmoid(-u) = tanh(u/2) and sinh(u) sech(u) = tanh(u), in place."""
    for base in list(powers):
        if not isinstance(base, Call) or base not in powers:
            continue
        (u,) = base.args
        if base.name in ("exp", "expm1") and powers[base] == 1:
            other = called("sigmoid", product([Num(MINUS), u]))
            if powers.get(other, Fraction(0)) >= 1:
                del powers[base]
                _count(powers, other, MINUS)
                stable = called("sigmoid", u) if base.name == "exp" else Call("tanh", (product([Num(HALF), u]),))
                _count(powers, stable, Fraction(1))
        elif base.name == "sinh" and powers.get(other := Call("sech", (u,)), Fraction(0)) >= 1:
            shared = min(powers[base], powers[other])
            _count(powers, base, -shared)
            _count(powers, other, -shared)
            _count(powers, Call("tanh", (u,)), shared)


def _count(powers: dict[Node, Fraction], base: Node, change: Fraction) -> None:
    powers[base] = powers.get(base, Fraction(0)) + change
    if powers[base] == 0:
        del powers[base]


def raised(base: Node, exponent: Fraction) -> Node:
    """A rational power of a normal base."""
    if exponent == 0:
        return ONE
    if exponent == 1:
        return base
    whole = exponent.denominator == 1
    match base:
        case Num(value):
            return _number_power(value, exponent)
        case Pow(inner, p):
            return raised(inner, p * exponent)
        case Mul(args) if whole:
            return product([raised(arg, exponent) for arg in args])
        case Mul(args):
            positive = [arg for arg in args if _is_positive_constant(arg)]
            if positive:
                rest = product([arg for arg in args if arg not in positive])
                return product([*(raised(arg, exponent) for arg in positive), raised(rest, exponent)])
        case Call("exp", (u,)):
            return called("exp", product([number(exponent), u]))
        case Call("cosh", (u,)) if whole and exponent < 0:
            return raised(called("sech", u), -exponent)
        case Call("sech", (u,)) if whole and exponent < 0:
            return raised(called("cosh", u), -exponent)
        case Add((Num(c), other)) if whole and exponent < 0:
            k, rest = split_number(other)
            if k == c and isinstance(rest, Call) and rest.name == "exp":
                inverse = called("sigmoid", product([Num(MINUS), rest.args[0]]))
                return product([raised(number(c), exponent), raised(inverse, -exponent)])
    return Pow(base, exponent)


def _is_positive_constant(node: Node) -> bool:
    if isinstance(node, Num):
        return node.value > 0
    return isinstance(node, Pi) or (isinstance(node, Pow) and isinstance(node.base, Num | Pi))


def _number_power(value: Fraction, exponent: Fraction) -> Node:
    """Powers of a positive rational: roots of integers with exponents in (0, 1), the rest rational."""
    if exponent.denominator == 1:
        return number(value ** int(exponent))
    if value <= 0 or value == 1:
        return Num(value) if value in (0, 1) else Pow(Num(value), exponent)
    if value.denominator != 1:
        return product([_number_power(Fraction(value.numerator), exponent),
                        _number_power(Fraction(value.denominator), -exponent)])  # fmt: skip
    root = round(float(value) ** (1 / exponent.denominator))
    if root**exponent.denominator == value:
        return number(Fraction(root) ** exponent.numerator)
    whole = math.floor(exponent)
    front = number(value**whole)
    power = Pow(Num(value), exponent - whole)
    return power if front == ONE else Mul((front, power))


# Functions


def called(name: str, u: Node) -> Node:
    """A function of a normal argument: signs pulled out, special forms recognised."""
    if u == ZERO and name in _AT_ZERO:
        return number(_AT_ZERO[name])
    if name in _ODD and _negative(u):
        return product([Num(MINUS), called(name, product([Num(MINUS), u]))])
    if name in _EVEN and _negative(u):
        return called(name, product([Num(MINUS), u]))
    if name == "log":
        if u == ONE:
            return ZERO
        if isinstance(u, Call) and u.name == "exp":
            return u.args[0]
        if isinstance(u, Add) and isinstance(u.args[0], Num) and u.args[0] == ONE:
            return called("log1p", total(list(u.args[1:])))
    if name == "log1p" and isinstance(u, Call) and u.name == "exp":
        return Call("softplus", u.args)
    return Call(name, (u,))


def _negative(u: Node) -> bool:
    first = u.args[0] if isinstance(u, Add) else u
    return split_number(first)[0] < 0


def split_number(node: Node) -> tuple[Fraction, Node]:
    """The rational coefficient of a normal term, and the rest."""
    if isinstance(node, Num):
        return node.value, ONE
    if isinstance(node, Mul) and isinstance(node.args[0], Num):
        rest = node.args[1:]
        return node.args[0].value, rest[0] if len(rest) == 1 else Mul(rest)
    return Fraction(1), node


def _order(node: Node) -> tuple[int, str]:
    """Numbers and constants first, then by printed text: an order that no hash seed can change."""
    return (0 if isinstance(node, Num) else 1 if not has_z(node) else 2, text(split_number(node)[1]))
