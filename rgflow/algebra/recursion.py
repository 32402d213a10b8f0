"""Recursion: one tensor of the new layer in terms of tensors and brackets of the layer below. System: several."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Protocol

from rgflow.algebra import symbolic, tex, text
from rgflow.algebra.tensor import Tensor
from rgflow.algebra.terms import SYMBOLS, Bracket, Term, Value
from rgflow.errors import InputError, UnknownName

if TYPE_CHECKING:
    import sympy


class History(Protocol):
    """What knows how a recursion was derived."""

    def steps(self, recursion: Recursion) -> Any:
        """The derivation of the recursion."""


@dataclass(frozen=True)
class Recursion:
    r"""The layer-to-layer recursion of one tensor, at one order in 1/n.

    .. math:: \kappa_k^{(\ell+1)} = n_\ell^{1-k} \sum_q X_q^{(\ell+1)} n_\ell^{-q}, \qquad
              X_q^{(\ell+1)} = \text{polynomial in the state of layer } \ell

    Attributes
    ----------
    tensor : Tensor
        What it is the recursion of: level k and order q. At layer l+1 the joint cumulant of k metric entries is
        n_l^{1-k} sum_q tensor_q n_l^{-q}; the recursion is exact at its order.
    samples : "one" or "many"
        One input, or a different sample in every argument (coinciding samples are a special case).
    layer : str
        The kind of layer, from whose integrand the recursion follows.
    terms : tuple of Term
        Tensors and brackets on the right belong to layer l, hyperparameters to layer l+1, r = n_l / n_{l-1}.
    history : History, optional
        How it was derived, from which :attr:`steps` are told; no part of its value.

    Two recursions are equal if their values are; they are hashable and picklable.
    """

    tensor: Tensor
    samples: str
    layer: str
    terms: tuple[Term, ...]
    history: History | None = field(default=None, compare=False, repr=False)

    @property
    def steps(self) -> Any:
        """Its derivation as data, six steps from the layer's law to this recursion, each checked when it is built.

        Returns
        -------
        Derivation
            See :class:`rgflow.derive.steps.Derivation`: a sequence of steps that prints itself as text, Markdown and
            LaTeX, with ``hypergraphs`` and ``diagrams`` that draw themselves as SVG and know the terms that they feed.

        Raises
        ------
        InputError
            If the recursion was made by hand or collapsed, or if its kind of layer has none.
        BrokenStep
            If the terms are not those that follow.
        """
        if self.history is None:
            raise InputError(
                f"this recursion of {self.name} was collapsed or made by hand, and has no steps; those of "
                f"rgflow.derive({self.name!r}, samples={self.samples!r}, layer=...) end in it"
            )
        return self.history.steps(self)

    @property
    def name(self) -> str:
        """The name that values of the tensor carry, as V_1."""
        return self.tensor.name

    @property
    def order(self) -> int:
        """q, the power of 1/n beyond the tensor's leading one."""
        return self.tensor.order

    @property
    def depends_on(self) -> tuple[str, ...]:
        """Names of the tensors of the layer below on which it depends (brackets depend on K)."""
        return tuple(sorted(t.name for t in self.tensors))

    @property
    def tensors(self) -> frozenset[Tensor]:
        """The tensors of the layer below on which it depends."""
        found = {t for term in self.terms for t in term.depends_on}
        if any(term.brackets for term in self.terms):
            found.add(Tensor.named("K"))
        return frozenset(found)

    @property
    def brackets(self) -> tuple[Bracket, ...]:
        """The different brackets, sorted."""
        return tuple(sorted({b for term in self.terms for b in term.brackets}))

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What the recursion rests on."""
        k, q = self.tensor.level, self.tensor.order
        symbols = dict.fromkeys([*SYMBOLS, *sorted(name for term in self.terms for name, _ in term.symbols)])
        entries = "the mean of a metric entry" if k == 1 else f"the joint cumulant of {k} metric entries"
        return (
            f"layer: {self.layer}; its law (constants, integrand, cumulants of its parameters) is the only input",
            f"{self.name} multiplies n_(l)^({1 - k - q}) in {entries} of layer l+1",
            "tensors and brackets on the right are those of layer l; brackets sit at the order-0 kernel K of layer l",
            f"{', '.join(symbols)} are those of layer l+1; r = n_l / n_(l-1)",
            "smooth activation, or one with kinks whose written derivatives exist almost everywhere",
        )

    def collapse(self) -> Recursion:
        """The recursion with all samples equal: the one-input recursion."""
        if self.samples == "one":
            return self
        collected: dict[Term, Fraction] = defaultdict(Fraction)
        for term in self.terms:
            brackets = tuple(sorted(Bracket(tuple(sorted((0, k) for k in b.orders)), b.pending) for b in term.brackets))
            tensors = sorted((v.tensor for v in term.tensors), key=lambda t: (t.level, t.order, t.structure))
            alike = Term(Fraction(1), term.symbols, term.r, tuple(map(Value, tensors)), brackets)
            collected[alike] += term.coefficient
        terms = [Term(c, t.symbols, t.r, t.tensors, t.brackets) for t, c in collected.items() if c]
        return Recursion(self.tensor, "one", self.layer, tuple(sorted(terms, key=term_order)))

    def latex(self) -> str:
        """The recursion as LaTeX (without delimiters)."""
        return tex.equation(self.tensor, self.terms, self.samples == "many")

    def to_sympy(self) -> sympy.Expr:
        """The right-hand side as a SymPy expression; see :mod:`rgflow.algebra.symbolic` for its symbols."""
        return symbolic.expression(self.terms, self.samples == "many")

    def __str__(self) -> str:
        return text.equation(self.tensor, self.terms, self.samples == "many")

    def __repr__(self) -> str:
        return f"<Recursion {self.name}: {len(self.terms)} terms, {self.samples} input{'s' * (self.samples == 'many')}>"

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"


def term_order(term: Term) -> tuple[object, ...]:
    """Constants and sources first, then transport: by power of r, tensors, brackets."""
    tensors = tuple((v.tensor.level, v.tensor.order, v.tensor.structure, v.indices) for v in term.tensors)
    return (term.r, bool(term.brackets), len(term.tensors), tensors, len(term.brackets), term.brackets, term.symbols)


@dataclass(frozen=True)
class System:
    """Recursions closed under their dependencies, each after those on which it depends.

    All of them read layer l and write layer l+1, so that a step may evaluate them in this order, or all at once.
    """

    recursions: tuple[Recursion, ...]

    @property
    def samples(self) -> str:
        """ "one" or "many"."""
        return self.recursions[0].samples

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the tensors, in order."""
        return tuple(rec.name for rec in self.recursions)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The tensors, in order."""
        return tuple(rec.tensor for rec in self.recursions)

    @property
    def brackets(self) -> tuple[Bracket, ...]:
        """The different brackets of all recursions, sorted."""
        return tuple(sorted({b for rec in self.recursions for b in rec.brackets}))

    def __getitem__(self, name: str | Tensor) -> Recursion:
        tensor = Tensor.named(name)
        for rec in self.recursions:
            if rec.tensor == tensor:
                return rec
        raise UnknownName("recursion of this system", tensor.name, self.names)

    def __iter__(self) -> Iterator[Recursion]:
        return iter(self.recursions)

    def __len__(self) -> int:
        return len(self.recursions)

    def latex(self) -> str:
        """All recursions, aligned."""
        rows = (rec.latex().replace(" = ", " &= ", 1) for rec in self.recursions)
        return "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"

    def __str__(self) -> str:
        return "\n".join(map(str, self.recursions))

    def __repr__(self) -> str:
        return f"<System of {len(self)} recursions: {', '.join(self.names)}>"


def check_samples(samples: object) -> str:
    """ "one" or "many", or InputError."""
    if samples not in ("one", "many"):
        raise InputError(
            f"samples is {samples!r}; give 'one' (one input) or 'many' (a different sample in every argument)"
        )
    return str(samples)
