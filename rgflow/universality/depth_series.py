"""Every tensor as a series in the depth, at the critical point of the class K* = 0.

With K a series in powers and logarithms of l, each tensor solves a linear difference equation whose coefficients, the
brackets, are series in K: X(l + 1) = T(l) X(l) + S(l), S from the tensors before it. The terms of the derived
recursions are all that goes in.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from rgflow.algebra import System, Tensor
from rgflow.algebra.terms import Bracket, Term
from rgflow.errors import NoClosedForm
from rgflow.universality.logarithms import LogSeries, as_domain, binomial_shift, is_zero, solve_difference
from rgflow.universality.vanishing import Rates, VanishingKernel


class DepthSeries:
    """Series in the depth of every tensor of a closed System, to a relative order in K.

    Parameters
    ----------
    flow : VanishingKernel
    system : System, of one input
    rates : (x_b - q, x_W - q) and q = the power of l that each learning rate brings, in the domain
    relative : int
        Powers of K that are kept beyond the first.
    absent : names of learning rates that are zero
    """

    def __init__(
        self,
        flow: VanishingKernel,
        system: System,
        rates: Rates,
        relative: int,
        absent: frozenset[str] = frozenset(),
    ):
        from sympy.polys.rings import ring

        self.flow, self.rates = flow, rates
        names = ["lambda_b", "lambda_W", *(f"c_{name}" for name in system.names)]
        self.ring, *generators = ring(names, flow.numbers.domain)
        self.lambda_b, self.lambda_W = (
            self.ring.zero if name in absent else generators[i] for i, name in enumerate(names[:2])
        )
        self.constants = dict(zip(system.names, generators[2:], strict=True))
        self.relative = relative
        self.found: dict[Tensor, LogSeries] = {}
        self._powers: list[LogSeries] = []
        self._brackets: dict[Bracket, LogSeries] = {}
        self._kernel()
        for recursion in system:
            if recursion.name != "K":
                self.found[recursion.tensor] = self._solve(recursion.tensor, recursion.terms)

    def _kernel(self) -> None:
        """K = u^{-1/m} with u' - u = K'^{-m} - K^{-m} = -m a_m + g_1 K + g_2 K^2 + ..., by iteration."""
        flow, ring, domain = self.flow, self.ring, self.flow.numbers.domain
        m, a = flow.flatness
        step = Fraction(1, m)
        self.floor = -step * (self.relative + 1)
        rate = -domain(m) * a
        root, inverse = ring.one / flow.numbers.root(rate, m), ring.one / rate
        ratio = flow.step(m + self.relative + 2)[1:]  # K'/K
        growth = _power(ratio, -m, domain)[m:]
        still = LogSeries.monomial(ring.one, 0, 2 * self.floor)
        u = LogSeries.monomial(ring.one * rate, 1, 1 - step)
        while True:
            kernel = u.power(-step, root, inverse)
            power, total = still, LogSeries({}, Fraction(-len(growth), m))
            for c in growth:
                total = total + power.scaled(ring.one * c)
                power = power * kernel
            before, u = u, solve_difference(still, total, self.constants["K"], flow.numbers.rational)
            if u.cut >= before.cut:
                break
        self.found[Tensor.named("K")] = u.power(-step, root, inverse)
        self._powers = [LogSeries.monomial(ring.one, 0, self.floor)]

    def kernel_power(self, j: int) -> LogSeries:
        """K^j."""
        while len(self._powers) <= j:
            self._powers.append(self._powers[-1] * self.found[Tensor.named("K")])
        return self._powers[j]

    def bracket(self, bracket: Bracket) -> LogSeries:
        """A bracket of sigma/sigma'(0) as a series in the depth."""
        if bracket not in self._brackets:
            m = self.flow.flatness[0]
            count = m + self.relative
            coefficients = self.flow.series(bracket.orders, bracket.pending, count)
            cut = Fraction(-count, m)
            total = LogSeries({}, cut)
            for j, c in enumerate(coefficients):
                if not is_zero(self.flow.numbers.domain, c):
                    total = total + self.kernel_power(j).scaled(self.ring.one * c).truncated(cut)
            self._brackets[bracket] = total
        return self._brackets[bracket]

    def _solve(self, tensor: Tensor, terms: Sequence[Term]) -> LogSeries:
        none = LogSeries({}, self.floor - 2)
        transport = source = none
        for term in terms:
            own = sum(value.tensor == tensor for value in term.tensors)
            if own > 1:
                raise NoClosedForm(f"the recursion of {tensor.name} is not linear in {tensor.name}; flow instead")
            product = self._product(tensor, term)
            if own:
                transport = product if transport is none else transport + product
            else:
                source = product if source is none else source + product
        return solve_difference(transport, source, self.constants[tensor.name], self.flow.numbers.rational)

    def _product(self, tensor: Tensor, term: Term) -> LogSeries:
        """A term without its own tensor, after X = l^{q d} X~ for every tensor with d directions.

        The learning rates are those of the new layer l + 1, like the left-hand side; the tensors on the right bring
        (l/(l + 1))^{q d} with them. sigma/sigma'(0) stands for sigma: C_W becomes 1 - skip^2, lambda_W sigma'(0)^2
        lambda_W; skip comes in even powers, narrowing is 1.
        """
        ring, floor = self.ring, self.floor - 2
        product = LogSeries.monomial(ring.one * as_domain(ring, term.coefficient), 0, floor)
        for name, power in term.symbols:
            if name == "C_b" or (name == "skip" and self.flow.kept == 0):
                return LogSeries({}, floor)
            if name in ("lambda_b", "lambda_W"):
                rate = self.lambda_b if name == "lambda_b" else self.lambda_W
                lag = self.rates.bias if name == "lambda_b" else self.rates.weight
                later = binomial_shift(ring, as_domain(ring, lag), floor)
                for _ in range(power):
                    product = product * later.raised(lag).scaled(rate)
            if self.flow.kept != 0 and name in ("C_W", "skip"):
                left = self.flow.left
                number = left**power if name == "C_W" else (ring.domain.one - left) ** (power // 2)
                product = product.scaled(ring.one * number)
        for value in term.tensors:
            if value.tensor != tensor:
                product = product * self.found[value.tensor]
        for bracket in term.brackets:
            product = product * self.bracket(bracket)
        carried = sum(directions(value.tensor) for value in term.tensors)
        return product * binomial_shift(ring, -self.rates.q * ring.domain(carried), floor)


def directions(tensor: Tensor) -> int:
    """The number of tangent directions, each of which brings one learning rate."""
    return sum(len(jet.edges) for pair in tensor.pairs for jet in pair) // 2


def _power(series: Sequence[Any], exponent: int, domain: Any) -> list[Any]:
    """(1 + s_1 x + s_2 x^2 + ...)^exponent by J. C. P. Miller's recurrence."""
    out = [domain.one]
    for n in range(1, len(series)):
        terms = ((domain(exponent * k - (n - k)) * series[k] * out[n - k]) for k in range(1, n + 1))
        out.append(sum(terms, domain.zero) / domain(n))
    return out
