r"""Asymptotic solutions: a tensor far from the input, at the critical point of the class K* = 0.

.. math:: X(\ell) = x_0\, \ell^{e} (1 + \text{correction} + \dots), \qquad
          \text{correction} = \ell^{-1/m} \times \text{a polynomial in} \ln \ell.

The amplitude x_0, the exponent e and the logarithms follow from sigma alone. In the correction stand c_K and c_Theta,
which the layers near the input determine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from rgflow.activations import Activation
from rgflow.algebra import Tensor
from rgflow.derive import closure
from rgflow.errors import NoClosedForm
from rgflow.network import Layer
from rgflow.universality.depth_series import DepthSeries, directions
from rgflow.universality.kernel_step import kernel_step
from rgflow.universality.logarithms import LogSeries
from rgflow.universality.vanishing import VanishingKernel, rates_of, vanishing_kernel

ATTEMPTS = (1, 2, 4)  # multiples of m + 2: powers of K kept until the leading term and the next are known


@lru_cache(maxsize=64)
def depth_series(
    activation: Activation,
    names: tuple[str, ...],
    rates: str,
    absent: frozenset[str] = frozenset(),
    layer: Layer | None = None,
    kept: Any = 0,
) -> DepthSeries:
    """The series of the named tensors and all they depend on, far enough for their leading terms and corrections.

    ``absent`` names the learning rates that are zero.
    """
    flow = vanishing_kernel(activation, kept)
    system = closure(names, layer=layer, closure="book")
    least = flow.flatness[0] + 2
    for attempt in ATTEMPTS:
        found = DepthSeries(flow, system, rates_of(flow, rates), attempt * least, absent)
        if all(_enough(found.found[Tensor.named(name)], flow) for name in names):
            return found
    raise NoClosedForm(
        f"{', '.join(names)} of {activation.name}: no two powers of the depth are found up to relative order "
        f"K^{ATTEMPTS[-1] * least}, the tensor vanishes or its terms cancel; flow instead"
    )


def _enough(series: LogSeries, flow: VanishingKernel) -> bool:
    """Whether the leading term and all of the next power of the depth that is present are known."""
    lead = series.leading
    return lead is not None and lead[0] - series.cut > flow.p_0 and any(e < lead[0] for e, _ in series.terms)


class Expansion:
    """The known terms of one tensor as SymPy expressions in l, lambda_b, lambda_W and the constants c.

    Attributes
    ----------
    leading : the first term
    correction : all terms of the next power of the depth, relative to the first
    known : all terms that are known
    exponent, logarithms : of the first term
    beyond : the size of what follows the correction, in words
    """

    def __init__(self, series: DepthSeries, name: str):
        import sympy as sp

        from rgflow.universality.exponentials import l

        tensor = Tensor.named(name)
        found, flow = series.found[tensor], series.flow
        assert found.leading is not None
        self.shift = flow.number(series.rates.q) * directions(tensor)
        put = _symbols(series)

        def term(place: Any) -> Any:
            (e, j), c = place, found.terms[place]
            power = sp.Rational(e.numerator, e.denominator) + self.shift
            return flow.numbers.polynomial(c).xreplace(put) * l**power * sp.log(l) ** j

        first = found.leading
        step = max((e for e, _ in found.terms if e < first[0]), default=None)
        self.logarithms = first[1]
        self.exponent = sp.Rational(first[0].numerator, first[0].denominator) + self.shift
        self.leading = term(first)
        self.amplitude = sp.factor_terms(self.leading / (l**self.exponent * sp.log(l) ** self.logarithms))
        following = [p for p in sorted(found.terms, reverse=True) if p != first and p[0] in (first[0], step)]
        base = flow.numbers.polynomial(found.terms[first]).xreplace(put)
        self.correction = sp.Add(
            *(
                sp.cancel(flow.numbers.polynomial(found.terms[p]).xreplace(put) / base)
                * l ** sp.Rational((p[0] - first[0]).numerator, (p[0] - first[0]).denominator)
                * sp.log(l) ** (p[1] - first[1])
                for p in following
            )
        )
        self.known = sp.Add(*(term(p) for p in sorted(found.terms, reverse=True)))
        following = [p for p in found.terms if step is not None and p[0] < step]
        self.beyond = _size(max(following, default=(found.cut, None)), first)


def _size(place: tuple[Any, int | None], first: Any) -> str:
    """The size of a term relative to the first, as O(ln(l)^2/l)."""
    power = first[0] - place[0]
    down = "l" if power == 1 else f"l^{power}" if power.denominator == 1 else f"l^({power})"
    if place[1] is None:
        return f"O(1/{down}) relative, up to logarithms"
    logs = {0: "1", 1: "ln(l)"}.get(place[1], f"ln(l)^{place[1]}")
    return f"O({logs}/{down}) relative"


def _symbols(series: DepthSeries) -> Mapping[Any, Any]:
    """From the ring's generators to our symbols: lambda_W comes with sigma'(0)^2."""
    import sympy as sp

    plain = {sp.Symbol(str(s)): sp.Symbol(str(s), real=True) for s in series.ring.symbols}
    rate = sp.Symbol("lambda_W", nonnegative=True)
    return plain | {
        sp.Symbol("lambda_b"): sp.Symbol("lambda_b", nonnegative=True),
        sp.Symbol("lambda_W"): series.flow.slope**2 * rate,
    }


def expansions(
    activation: Activation,
    names: Sequence[str],
    rates: str = "equal",
    absent: frozenset[str] = frozenset(),
    layer: Layer | None = None,
    kept: Any = None,
) -> dict[str, Expansion]:
    """The expansion of each named tensor; they share one calculation.

    Parameters
    ----------
    absent : names of learning rates that are zero
    layer : Layer
        Dense if None. With a skip: by the recursions in one time.
    kept : skip^2 as a SymPy number or symbol, if it is not the layer's own

    Raises NoClosedForm when a tensor has no power law: the class is another, or the layers near the input set its
    leading term.
    """
    own = kernel_step(layer).carried if kept is None else kept
    series = depth_series(activation, tuple(names), rates, absent, layer, own)
    found = {name: Expansion(series, name) for name in names}
    for name, expansion in found.items():
        free = sorted(str(s) for s in expansion.leading.free_symbols if str(s).startswith("c_"))
        if free:
            raise NoClosedForm(
                f"the leading term of {name} for {activation.name} depends on the layers near the input ({free[0]}); "
                "flow instead"
            )
    return found
