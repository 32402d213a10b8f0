r"""A notation for typing the formulas of a paper, and a normal form in which they are compared with derived recursions.

Many inputs                                     One input
    Theta[1, 2], V[1, 2, b1, b2]                    Theta, V                    tensors of layer l
    s(1), ds(2), dds(0), ddds(0)                    s, ds, dds, ddds            sigma(z_1), sigma'(z_2), ...
    E(s(1) * s(2))                                  E(s * s)                    Gaussian average at the kernel K
    E(s(1) * ds(3), d=(b1,))                        E(s * ds, d=1)              < d/dz_{b1} [ ... ] >

An index b1, b2, ... is summed over the samples of the bracket on which its derivative acts; it stands once in a
``d=`` and once in a tensor. C_b, C_W, lambda_b, lambda_W belong to layer l+1, and r = n_l / n_{l-1}. ``E`` is linear:
what does not depend on z (hyperparameters, Theta) goes in front of the average.

The normal form carries out every sum over b1, b2, ... and every derivative (Leibniz' rule, smooth sigma), and writes
each tensor in one of its equal components. What is left is a polynomial with rational coefficients in
hyperparameters, tensor components and brackets <prod sigma^{(k)}(z_a)>: two formulas are equal as soon as these
polynomials are. Brackets that are related only by integration by parts against the kernel stay different: no term is
moved by hand.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from itertools import product
from typing import Any

import rgflow as rg

Factors = tuple[tuple[int, int], ...]  # (sample, order of the written derivative), sorted
# ("symbol", name, ()), ("tensor", name, indices), ("sigma", sample, order) or ("E", factors, derivatives)
Atom = tuple[str, Any, Any]
Monomial = tuple[tuple[Atom, int], ...]  # (atom, power), sorted


class Expression:
    """A polynomial in hyperparameters, tensors, sigmas and brackets, with rational coefficients."""

    def __init__(self, terms: dict[Monomial, Fraction]) -> None:
        self.terms = {monomial: c for monomial, c in terms.items() if c}

    @classmethod
    def of(cls, value: Expression | int | Fraction) -> Expression:
        return value if isinstance(value, Expression) else cls({(): Fraction(value)})

    @classmethod
    def atom(cls, *atom: object) -> Expression:
        return cls({((atom, 1),): Fraction(1)})  # type: ignore[dict-item]

    def __add__(self, other: Expression | int | Fraction) -> Expression:
        found = defaultdict(Fraction, self.terms)
        for monomial, c in Expression.of(other).terms.items():
            found[monomial] += c
        return Expression(found)

    def __mul__(self, other: Expression | int | Fraction) -> Expression:
        found: dict[Monomial, Fraction] = defaultdict(Fraction)
        for right, v in Expression.of(other).terms.items():
            for left, u in self.terms.items():
                found[_times(left, right)] += u * v
        return Expression(found)

    def __pow__(self, power: int) -> Expression:
        if power < 0:
            (monomial,) = self.terms  # only a single term can be inverted
            inverse = Expression({tuple((a, -p) for a, p in monomial): 1 / self.terms[monomial]})
            return inverse**-power
        result = Expression.of(1)
        for _ in range(power):
            result = result * self
        return result

    def __truediv__(self, other: Expression | int) -> Expression:
        return self * Expression.of(other) ** -1

    def __neg__(self) -> Expression:
        return self * -1

    def __sub__(self, other: Expression | int | Fraction) -> Expression:
        return self + -Expression.of(other)

    def __rsub__(self, other: int | Fraction) -> Expression:
        return -self + other

    __radd__ = __add__
    __rmul__ = __mul__


def _times(left: Monomial, right: Monomial) -> Monomial:
    powers: dict[Atom, int] = defaultdict(int)
    for atom, power in (*left, *right):
        powers[atom] += power
    return tuple(sorted(((a, p) for a, p in powers.items() if p), key=repr))


class Letter(Expression):
    """A tensor of layer l: ``V`` with one input, ``V[1, 2, 3, 4]`` with many."""

    def __init__(self, name: str) -> None:
        super().__init__(Expression.atom("tensor", name, ()).terms)
        self.name = name

    def __getitem__(self, samples: tuple[int, ...]) -> Expression:
        wanted = 2 * rg.Tensor.named(self.name).level
        if len(samples) != wanted:
            raise ValueError(f"{self.name} has {wanted} samples, not {samples}")
        return Expression.atom("tensor", self.name, tuple(samples))


class Sigma(Expression):
    """sigma^{(order)}: ``ds`` with one input, ``ds(2)`` at the sample 2 with many."""

    def __init__(self, order: int) -> None:
        super().__init__(Expression.atom("sigma", 0, order).terms)
        self.order = order

    def __call__(self, sample: int) -> Expression:
        return Expression.atom("sigma", sample, self.order)


C_b, C_W, lambda_b, lambda_W, r = (
    Expression.atom("symbol", name, ()) for name in ("C_b", "C_W", "lambda_b", "lambda_W", "r")
)
K, Theta, V, A, B, D, F, P, Q, R, S, T, U, K_1, Theta_1 = (
    Letter(name) for name in ("K", "Theta", "V", "A", "B", "D", "F", "P", "Q", "R", "S", "T", "U", "K_1", "Theta_1")
)
s, ds, dds, ddds = (Sigma(order) for order in range(4))
b1, b2, b3, b4 = -1, -2, -3, -4  # summed indices


def E(inside: Expression, d: tuple[int, ...] | int = ()) -> Expression:
    """< d/dz_{d_1} d/dz_{d_2} ... [inside] >_K; with one input ``d`` is the number of derivatives."""
    derivatives = (0,) * d if isinstance(d, int) else tuple(d)
    total = Expression({})
    for monomial, c in inside.terms.items():
        factors = tuple(sorted((a[1], a[2]) for a, power in monomial if a[0] == "sigma" for _ in range(power)))
        before = tuple((a, power) for a, power in monomial if a[0] != "sigma")
        total += Expression({before: c}) * Expression.atom("E", factors, tuple(sorted(derivatives)))
    return total


def Omega(i: int, j: int) -> Expression:
    """Omega_ij = lambda_W sigma_i sigma_j + C_W Theta_ij sigma'_i sigma'_j, the integrand of the NTK, contracted."""
    return lambda_W * s(i) * s(j) + C_W * Theta[i, j] * ds(i) * ds(j)


# Normal form ---------------------------------------------------------------------------------------------------------


def normal(expression: Expression) -> dict[Monomial, Fraction]:
    """The polynomial of an expression after all sums and derivatives are carried out.

    >>> normal(E(s * s, d=2)) == normal(2 * E(s * dds) + 2 * E(ds * ds))
    True
    >>> normal(V[1, 2, 3, 4] - V[4, 3, 1, 2])
    {}
    """
    found: dict[Monomial, Fraction] = defaultdict(Fraction)
    for monomial, c in expression.terms.items():
        for key, number in _without_sums(monomial):
            found[key] += c * number
    return {key: c for key, c in found.items() if c}


def _without_sums(monomial: Monomial) -> Iterator[tuple[Monomial, int]]:
    """Put every choice of samples for the summed indices into a monomial, and differentiate its brackets."""
    acting = {b: atom for atom, power in monomial if atom[0] == "E" for b in atom[2] if b < 0 for _ in range(power)}
    _check_indices(monomial)
    runs = [sorted({sample for sample, _ in atom[1]}) for atom in acting.values()]
    for choice in product(*runs):
        value = dict(zip(acting, choice, strict=True))
        done: list[tuple[Monomial, int]] = [((), 1)]
        for (kind, name, places), power in monomial:
            put = tuple(value.get(i, i) for i in places) if kind in ("tensor", "E") else places
            if kind == "E":
                pieces = tuple(_derivatives(name, tuple(sorted(put))).items())
                for _ in range(power):
                    done = [(_times(m, ((("E", f, ()), 1),)), u * v) for m, u in done for f, v in pieces]
            else:
                atom = (kind, name, _component(name, put) if kind == "tensor" else put)
                done = [(_times(m, ((atom, power),)), u) for m, u in done]
        yield from done


def _check_indices(monomial: Monomial) -> None:
    """A summed index stands once in a derivative and once in a tensor: anything else is a slip of the pen."""
    in_tensors: list[int] = []
    in_derivatives: list[int] = []
    for (kind, _, places), power in monomial:
        if kind in ("tensor", "E"):
            (in_tensors if kind == "tensor" else in_derivatives).extend([i for i in places if i < 0] * power)
        if kind == "sigma":
            raise ValueError("a sigma stands outside of every bracket")
    if sorted(in_tensors) != sorted(in_derivatives) or len(set(in_tensors)) != len(in_tensors):
        raise ValueError(f"summed indices {in_tensors} of tensors do not match {in_derivatives} of derivatives")


@cache
def _derivatives(factors: Factors, samples: tuple[int, ...]) -> dict[Factors, int]:
    """prod_a d/dz_a of a product of sigmas, by Leibniz' rule."""
    if not samples:
        return {factors: 1}
    found: dict[Factors, int] = defaultdict(int)
    for below, count in _derivatives(factors, samples[1:]).items():
        for i, (sample, order) in enumerate(below):
            if sample == samples[0]:
                found[tuple(sorted((*below[:i], (sample, order + 1), *below[i + 1 :])))] += count
    return found


@cache
def _component(name: str, samples: tuple[int, ...]) -> tuple[int, ...]:
    """The first of the components that are equal by the symmetries of the tensor."""
    if not samples:
        return ()
    return min(tuple(samples[i] for i in symmetry) for symmetry in rg.Tensor.named(name).symmetries)


# Comparison ----------------------------------------------------------------------------------------------------------


def right_hand_side(recursion: rg.Recursion, samples: tuple[int, ...] = ()) -> Expression:
    """A derived recursion in the notation of this module; ``samples`` are put for its arguments 1, 2, ..."""
    total = Expression({})
    for term in recursion.terms:
        value = Expression({(): term.coefficient}) * r**term.r
        for name, power in term.symbols:
            value *= Expression.atom("symbol", name, ()) ** power
        summed = 0
        acting: list[list[int]] = [[] for _ in term.brackets]
        for v in term.tensors:
            indices = []
            for index in v.indices:
                if index > 0:
                    indices.append(samples[index - 1])
                else:
                    summed -= 1
                    acting[-index - 1].append(summed)
                    indices.append(summed)
            value *= Expression.atom("tensor", v.tensor.name, tuple(indices))
        for bracket, betas in zip(term.brackets, acting, strict=True):
            factors = tuple(sorted((samples[a - 1] if samples else 0, k) for a, k in bracket.factors))
            derivatives = tuple(sorted(betas)) if samples else (0,) * bracket.pending
            value *= Expression.atom("E", factors, derivatives)
        total += value
    return total


class Equation:
    """A formula of the paper: a tensor of layer l+1 and what it is equal to.

    Parameters
    ----------
    left : Expression
        ``V[1, 2, 3, 4]`` (many inputs) or ``V`` (one input).
    right : Expression
    source : str
        Where the paper has it.
    """

    def __init__(self, left: Expression, right: Expression, source: str) -> None:
        (((_, name, samples), _),) = next(iter(left.terms))
        self.name, self.samples, self.right, self.source = str(name), samples, right, source

    def derived(self) -> rg.Recursion:
        """What the engine derives for the same tensor."""
        return rg.derive(self.name, samples="many" if self.samples else "one")

    def difference(self) -> dict[Monomial, Fraction]:
        """typed - derived in normal form: empty if they are equal."""
        return normal(self.right - right_hand_side(self.derived(), self.samples))

    def check(self) -> None:
        """AssertionError with the terms that differ, unless the derived recursion equals the typed formula exactly."""
        left_over = self.difference()
        assert not left_over, f"{self.name} ({self.source}): typed - derived = {left_over}"


def show(*equations: Equation) -> None:
    """Check equations and print each derived recursion as text and as LaTeX."""
    for equation in equations:
        equation.check()
        recursion = equation.derived()
        print(f"{recursion}\n\n    {recursion.latex()}\n")
        arguments = f"[{','.join(map(str, equation.samples))}]" if equation.samples else ", one input"
        print(f"equal to {equation.source}, typed by hand for {equation.name}{arguments}\n")
