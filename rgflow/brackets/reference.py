r"""Brackets to many digits through mpmath: the witness of the tests, on a route of its own.

Derivatives of sigma come from SymPy, pending derivatives stay in Hermite form (with digits to spare), integrals are
Gauss-Legendre on panels in mpmath, and several inputs are expanded in their correlations (Mehler, Kibble, Slepian):

.. math:: \Big\langle \prod_u h_u(z_u) \Big\rangle = \sum_{n_{uv} \ge 0} \prod_{u<v} \frac{\rho_{uv}^{n_{uv}}}{n_{uv}!}
          \prod_u \langle h_u\, He_{N_u} \rangle_{K_{uu}}, \qquad N_u = \sum_v n_{uv}
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import combinations, pairwise
from typing import Any

from rgflow.activations import Activation
from rgflow.errors import AccuracyError, InputError

_SPARE = 12
_MOST_TERMS = 100_000


def reference(activation: Activation, kernel: Any, moment: Any, dps: int = 30) -> Any:
    """One bracket as an mpmath number with about ``dps`` digits.

    Parameters
    ----------
    kernel : (d, d), positive diagonal; every correlation below 1 in size (the series converges like its powers)
    moment : d entries (orders, pending), as for :func:`gaussian_moments`; written orders are branch derivatives

    Raises
    ------
    InputError
        For a kernel outside the domain.
    AccuracyError
        If the series in the correlations has not converged within its budget of terms.
    """
    from mpmath import mp

    size = len(kernel)
    with mp.workdps(dps + _SPARE):
        K = [[mp.mpf(float(entry)) for entry in row] for row in kernel]
        if any(K[u][u] <= 0 for u in range(size)):
            raise InputError(f"kernel {kernel!r}: the reference needs positive variances")
        rho = {(u, v): K[u][v] / mp.sqrt(K[u][u] * K[v][v]) for u, v in combinations(range(size), 2)}
        if any(abs(r) >= 1 for r in rho.values()):
            raise InputError(f"kernel {kernel!r}: the reference needs correlations below 1; merge collinear inputs")
        lost = sum(m * max(0.0, -0.5 * float(mp.log10(K[u][u]))) for u, (_, m) in enumerate(moment))
    digits = dps + _SPARE + int(lost) + 1
    with mp.workdps(digits):
        if size == 1:
            (orders, pending) = moment[0]
            value = _coefficient(activation, K[0][0], tuple(sorted(orders)), pending, 0, digits)
        else:
            value = _series(activation, K, rho, moment, digits, mp.mpf(10) ** (-dps - 2))
    with mp.workdps(dps):
        return +value


def _series(activation: Activation, K: Any, rho: Any, moment: Any, digits: int, precise: Any) -> Any:
    from mpmath import mp

    pairs = [pair for pair, r in rho.items() if r != 0]
    total, size, quiet, spent, order = mp.zero, mp.zero, 0, 0, 0
    factors: list[list[Any]] = [[] for _ in moment]  # <h_u He_N> for N = 0, 1, ...
    while quiet < 4 or order < 6:  # a symmetry may empty every other shell
        for u, (orders, pending) in enumerate(moment):
            factors[u].append(_coefficient(activation, K[u][u], tuple(sorted(orders)), pending, order, digits))
        shell = shell_size = mp.zero
        for powers in _compositions(order, len(pairs)):
            term = mp.one
            degree = [0] * len(K)
            for (u, v), n in zip(pairs, powers, strict=True):
                term *= rho[u, v] ** n / mp.factorial(n)
                degree[u] += n
                degree[v] += n
            for u, n in enumerate(degree):
                term *= factors[u][n]
            shell += term
            shell_size += abs(term)
            spent += 1
        total += shell
        size += shell_size
        quiet = quiet + 1 if shell_size <= precise * size else 0
        order += 1
        if not pairs:
            break
        if spent > _MOST_TERMS:
            raise AccuracyError(f"the series in the correlations {rho} needs more than {_MOST_TERMS} terms")
    return total


def _compositions(total: int, parts: int) -> Iterator[tuple[int, ...]]:
    if parts == 0:
        if total == 0:
            yield ()
        return
    if parts == 1:
        yield (total,)
        return
    for first in range(total + 1):
        for rest in _compositions(total - first, parts - 1):
            yield (first, *rest)


@lru_cache(maxsize=4096)
def _coefficient(
    activation: Activation, K: Any, orders: tuple[int, ...], pending: int, degree: int, digits: int
) -> Any:
    """<d^m f He_N> = <f He_{N+m}> / K^{m/2}, exact also for jumps."""
    from mpmath import mp

    weights, columns = _samples(activation, K, orders, digits), _hermite(activation, K, pending + degree, digits)
    return mp.fdot(weights, columns) / mp.sqrt(K) ** pending


@lru_cache(maxsize=64)
def _samples(activation: Activation, K: Any, orders: tuple[int, ...], digits: int) -> tuple[Any, ...]:
    """Weight times f at the nodes."""
    out = list(_grid(activation, K, digits)[1])
    for k in dict.fromkeys(orders):
        times = orders.count(k)
        for i, value in enumerate(_values(activation, K, k, digits)):
            out[i] *= value**times
    return tuple(out)


@lru_cache(maxsize=256)
def _values(activation: Activation, K: Any, order: int, digits: int) -> tuple[Any, ...]:
    """sigma^{(k)} at the nodes: most of the work, and shared by the brackets that hold it."""
    from mpmath import mp

    u, _, pieces = _grid(activation, K, digits)
    functions, root = _derivative(activation, order), mp.sqrt(K)
    return tuple(mp.mpmathify(functions[piece](root * node)) for node, piece in zip(u, pieces, strict=True))


@lru_cache(maxsize=256)
def _hermite(activation: Activation, K: Any, degree: int, digits: int) -> tuple[Any, ...]:
    """He_N at the nodes."""
    u = _grid(activation, K, digits)[0]
    if degree == 0:
        return (u[0] * 0 + 1,) * len(u)
    if degree == 1:
        return u
    one, two = _hermite(activation, K, degree - 1, digits), _hermite(activation, K, degree - 2, digits)
    return tuple(x * a - (degree - 1) * b for x, a, b in zip(u, one, two, strict=True))


@lru_cache(maxsize=64)
def _grid(activation: Activation, K: Any, digits: int) -> tuple[tuple[Any, ...], tuple[Any, ...], tuple[int, ...]]:
    """Nodes u = z/sqrt K, weights with the Gaussian density, and the piece of sigma each node lies on."""
    from mpmath import mp
    from mpmath.calculus.quadrature import GaussLegendre

    root = mp.sqrt(K)
    cut = mp.sqrt(2 * digits * mp.log(10)) + 6 + 10 * float(activation.growth) * root
    finest = min(mp.one, 1 / root) / 2
    edges = {-cut, mp.zero, cut}
    reach, width = mp.zero, finest
    while reach < cut:
        reach += width
        width = min(mp.one, 2 * width) if not activation.oscillating else min(mp.one, 2 / root)
        edges |= {min(reach, cut), -min(reach, cut)}
    kinks = [mp.mpf(c) / root for c in activation.kinks]
    edges |= {c for c in kinks if abs(c) < cut}
    sorted_edges = sorted(edges)
    rule = GaussLegendre(mp).calc_nodes(4 if digits < 60 else 5, mp.prec + 10)
    nodes, weights, pieces = [], [], []
    for a, b in pairwise(sorted_edges):
        middle, half = (a + b) / 2, (b - a) / 2
        piece = sum(c <= middle for c in kinks)
        for x, w in rule:
            u = middle + half * x
            nodes.append(u)
            weights.append(half * w * mp.exp(-u * u / 2) / mp.sqrt(2 * mp.pi))
            pieces.append(piece)
    return tuple(nodes), tuple(weights), tuple(pieces)


@lru_cache(maxsize=256)
def _derivative(activation: Activation, order: int) -> Sequence[Any]:
    """sigma^{(k)} of every piece as mpmath functions, differentiated by SymPy."""
    import sympy

    from rgflow.activations.convert import to_sympy

    z = sympy.Symbol("z", real=True)
    return tuple(
        sympy.lambdify([z], sympy.diff(to_sympy(piece), z, order), modules="mpmath", cse=True)
        for piece in activation.pieces
    )
