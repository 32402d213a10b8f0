r"""Dominant balance: how a block's recurrences grow with depth, term against term.

The recurrences come as :class:`rgflow.scaling.recurrences.Recurrences`. A kernel of a hidden stage is the largest of
its terms; the stream p' = p + sum of terms is one of

.. math:: p' - p = S, \qquad p' - p = r(l)\, p + S, \qquad p' - p = r(l)\, p^\alpha + S

according to <sigma sigma>_q ~ q^0, q, q^alpha at the kernels that it meets. Whether q goes to infinity, to a constant
or to 0 is assumed first and verified afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rgflow.activations import Activation
from rgflow.errors import NoClosedForm
from rgflow.scaling.growth.growth import Growth, Signs, fed_by_both, multiplied, summed, total
from rgflow.scaling.growth.tails import Tail, far, near
from rgflow.scaling.homogeneous import Homogeneous, formula
from rgflow.scaling.recurrences import Recurrences, Share
from rgflow.scaling.tables import tables_of

Values = Mapping[str, Growth | None]
"""Hyperparameters as monomials C l^-beta; None for 0."""
ITERATIONS, SETTLED = 500, 1e-14  # of q = f(<sigma sigma>_q): the tables are good to 1e-14


@dataclass(frozen=True)
class Balance:
    """What grows how.

    Attributes
    ----------
    p, q, chi : Growth
        Stream, hidden kernel, and the gradient chi^(0)/chi^(l) of neurons.
    gradients : dict of Growth
        chi_X^(1)/chi_X^(l) of every trained parameter X.
    tail : Tail or None
        The averages that hold: of large kernels, or of small ones; None where q tends to a constant.
    sources : tuple of (Share, Growth)
        The terms of p' - p.
    step : Growth or None
        What dTheta'/dTheta adds to 1 at layer l.
    from_stream : bool
        Whether q grows as p does, not as what is added to it: then c tends to e.
    """

    p: Growth
    q: Growth
    chi: Growth
    gradients: Mapping[str, Growth]
    tail: Tail | None
    sources: tuple[tuple[Share, Growth], ...]
    step: Growth | None
    from_stream: bool


def balance(rule: Recurrences, values: Values, sigma: Activation | Homogeneous, signs: Signs) -> Balance:
    """The growth of a chain of equal blocks.

    Raises NoClosedForm where no balance is found, or where it is of a kind that is not followed.
    """
    reasons = []
    for kernels in (1,) if isinstance(sigma, Homogeneous) else (1, 0, -1):  # q goes to infinity, to a constant, to zero
        try:
            found = _attempt(rule, values, sigma, signs, kernels)
        except NoClosedForm as error:
            reasons.append(str(error))
            continue
        if found is not None:
            return found
    raise NoClosedForm(
        f"no balance of the recurrences of {formula(sigma)}: {'; '.join(dict.fromkeys(reasons)) or 'none holds'}"
    )


def _attempt(
    rule: Recurrences, values: Values, sigma: Activation | Homogeneous, signs: Signs, kernels: int
) -> Balance | None:
    if rule.stages != 2:
        raise NoClosedForm("only blocks with one hidden layer have a balance")
    hidden = [(share, _coefficient(share, values)) for share in rule.kernel if share.stage == 1]
    stream = [(share, _coefficient(share, values)) for share in rule.kernel if share.stage == 2]
    kept = [share for share, c in stream if share.tensor and not share.symbols]
    if len(kept) != 1:
        raise NoClosedForm("the stream is not kept as it is: only blocks with an identity have a balance")
    added = [(share, c) for share, c in stream if share is not kept[0] and c is not None]
    if all(c is None for _, c in hidden):
        raise NoClosedForm("C_W and C_b are zero: nothing reaches the activation")
    hidden = [(share, c) for share, c in hidden if c is not None]
    tail = _tail(sigma, kernels)
    p = _stream(hidden, added, tail, signs, kernels)
    q = total([_times(c, p if share.tensor else None) for share, c in hidden], signs)
    if not isinstance(sigma, Homogeneous) and q.direction(signs) != kernels:
        return None
    if kernels == 0 and not isinstance(sigma, Homogeneous):
        p, q, tail = _settled(p, q, tail, sigma)
    square, slope = _square(q, tail), _slope(q, tail)
    steps = [x for x in _through(rule, values, slope)[0] if x is not None]
    step = total(steps, signs) if steps else None
    chi = multiplied(step, signs) if step is not None else Growth(None)  # the product of dTheta'/dTheta
    gradients = _gradients(rule, values, p, square, slope, chi, signs)
    direct = [_times(c, None) for share, c in hidden if not share.tensor]
    from_stream = all(part.compare(q, signs) < 0 for part in direct)
    sources = tuple((share, _times(c, square if share.orders else None)) for share, c in added)
    return Balance(p, q, chi, gradients, tail if kernels else None, sources, step, from_stream)


def _tail(sigma: Activation | Homogeneous, kernels: int) -> Tail:
    import sympy as sp

    if kernels == 0:  # what q tends to is known at the end only, its averages are some constants
        return Tail(sp.Symbol("V_q", positive=True), sp.Integer(0), sp.Symbol("dV_q", positive=True), sp.Integer(0))
    return far(sigma) if kernels > 0 else near(sigma)


def _settled(p: Growth, q: Growth, tail: Tail, sigma: Activation) -> tuple[Growth, Growth, Tail]:
    """The constant that q tends to, where it is the solution of q = f(V(q)) in numbers; else symbols stay."""
    import sympy as sp

    if q.amplitude is None or not q.amplitude.free_symbols <= {tail.square}:
        return p, q, tail
    tables = tables_of(sigma)
    value = sp.lambdify(tail.square, q.amplitude, "math")
    log_q = 0.0
    for _ in range(ITERATIONS):
        last, log_q = log_q, math.log(value(math.exp(tables.read(np.array([log_q]))[0, 0])))
        if abs(log_q - last) <= SETTLED:
            break
    else:
        raise NoClosedForm(
            f"the constant that the kernel of {formula(sigma)} tends to is not found: after {ITERATIONS} steps q = "
            f"f(<sigma sigma>_q) still moves by {abs(log_q - last):.1e} of itself; rgflow.variation follows it"
        )
    V, slope = (sp.Float(float(x), 15) for x in np.exp(tables.read(np.array([log_q]))[:, 0]))
    put = {tail.square: V, tail.slope: slope}
    return p.subs(put), q.subs(put), Tail(V, sp.Integer(0), slope, sp.Integer(0))


def _coefficient(share: Share, values: Values) -> Growth | None:
    """The product of the hyperparameters of a term; None if one of them is zero."""
    from sympy import Integer

    found = Growth(Integer(1))
    for name in share.symbols:
        if name.startswith("lambda_"):
            continue
        value = values.get(name)
        if value is None:
            return None
        found = found * value
    return found


def _times(coefficient: Growth | None, factor: Growth | None) -> Growth:
    assert coefficient is not None
    return coefficient if factor is None else coefficient * factor


def _square(q: Growth, tail: Tail) -> Growth:
    """<sigma sigma> at q."""
    return Growth(tail.square) if tail.degree == 0 else Growth(tail.square) * q**tail.degree


def _slope(q: Growth, tail: Tail) -> Growth:
    return Growth(tail.slope) if tail.fall == 0 else Growth(tail.slope) * q ** (-tail.fall)


# The stream -----------------------------------------------------------------------------------------------------------


def _stream(
    hidden: Sequence[tuple[Share, Growth | None]],
    added: Sequence[tuple[Share, Growth | None]],
    tail: Tail,
    signs: Signs,
    kernels: int,
) -> Growth:
    """p from p' - p = S + V(q), the leading V at the kernels assumed."""
    plain = [_times(c, None) for share, c in added if not share.orders]
    activated = [_times(c, None) for share, c in added if share.orders]
    if not activated:
        return summed(total(plain, signs), signs) if plain else Growth(None)
    (front,) = activated
    direct = [_times(c, None) for share, c in hidden if not share.tensor]
    through = [_times(c, None) for share, c in hidden if share.tensor]
    V = Growth(tail.square)
    if tail.degree < 0:  # such kernels are large, where what does not come from the stream is small
        return _power(front, V, [], through, plain, tail.degree, signs)
    if tail.degree == 0:
        return _with_start(summed(total([*plain, front * V], signs), signs), signs)
    if tail.degree == 1:
        sources = [*plain, *(front * V * b for b in direct)]
        rates = [front * V * w for w in through]
        if not rates:
            return _with_start(summed(total(sources, signs), signs), signs)
        return _linear(rates[0], total(sources, signs) if sources else None, signs)
    return _power(front, V, direct, through, plain, tail.degree, signs)


def _with_start(p: Growth, signs: Signs) -> Growth:
    """A sum that converges leaves the constant that was there."""
    return p if p.direction(signs) > 0 else Growth(None)


def _linear(rate: Growth, source: Growth | None, signs: Signs) -> Growth:
    """p' - p = r p + S: the product of 1 + r, or what the source sums to, times that product."""
    own = multiplied(rate, signs)
    if source is None or own.products:  # a product outgrows every power of the depth
        return own
    if own.direction(signs) == 0:
        return _with_start(summed(source, signs), signs)
    # own = l^R: p = l^R sum of S k^-R
    inside = source / Growth(1, own.power, own.logs)
    side = signs.sign(inside.power + 1)
    if side < 0:
        return own
    return Growth(1, own.power, own.logs) * summed(inside, signs)


def _power(
    front: Growth,
    V: Growth,
    direct: list[Growth],
    through: list[Growth],
    plain: list[Growth],
    degree: Any,
    signs: Signs,
) -> Growth:
    """p' - p = r p^alpha + S with alpha < 1; the larger of what r p^alpha and what S make of p alone."""
    candidates = []
    sources = [*plain, *(front * V * b**degree for b in direct)]
    if sources:
        candidates.append(_with_start(summed(total(sources, signs), signs), signs))
    if through:
        # p^(1 - alpha) = (1 - alpha) sum of r
        inside = summed(front * V * through[0] ** degree, signs)
        if inside.direction(signs) > 0:
            grown = Growth((1 - degree) * inside.amplitude, inside.power, inside.logs) ** (1 / (1 - degree))
            candidates.append(grown)
    best = total(candidates, signs) if candidates else Growth(None)
    alike = [c for c in candidates if c.compare(best, signs) == 0]
    if len(alike) > 1 and best.direction(signs) > 0 and degree < 0:
        return Growth(fed_by_both(candidates, degree, signs), candidates[1].power, candidates[1].logs)
    if len(alike) > 1 and best.direction(signs) > 0:
        return Growth(None, best.power, best.logs)  # both feed it: its amplitude solves an equation of degree 1/alpha
    return best


# Gradients ------------------------------------------------------------------------------------------------------------


def _through(rule: Recurrences, values: Values, slope: Growth) -> dict[int, list[Growth | None]]:
    """dTheta_2/dTheta_stage, as sums; that of stage 0 without the identity."""
    found: dict[int, list[Growth | None]] = {2: [Growth(1)], 1: [], 0: []}
    for share in sorted(rule.tangent, key=lambda x: -x.stage):
        if share.tensor != "Theta" or (share.stage == 2 and share.source == 0):
            continue
        c = _coefficient(share, values)
        for above in found[share.stage]:
            if c is not None and above is not None:
                found[share.source].append(above * _times(c, slope if share.orders else None))
    return found


def _gradients(
    rule: Recurrences, values: Values, p: Growth, square: Growth, slope: Growth, chi: Growth, signs: Signs
) -> dict[str, Growth]:
    """chi_X^(1)/chi_X^(l) = (chi^(0)/chi^(l)) / (dTheta'/dlambda_X at layer l), but for an amplitude."""
    through = _through(rule, values, slope)
    found = {}
    for share in rule.tangent:
        name = next((n for n in share.symbols if n.startswith("lambda_")), None)
        above = [x for x in through[share.stage] if x is not None]
        if name is None or not above:
            continue
        factor = total(above, signs)
        if share.orders:
            factor = factor * square
        if share.tensor == "K":
            factor = factor * p
        ratio = chi / factor
        found[name.removeprefix("lambda_")] = Growth(None, ratio.power, ratio.logs, ratio.products)
    return found
