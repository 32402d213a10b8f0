r"""Where the kernel of a very deep network ends, and over how many layers inputs forget each other.

.. math:: K' = F(K) = C_b + C_W g(K), \qquad g(K) = \langle\sigma\sigma\rangle_K, \qquad
    \chi_\parallel = F'(K) = \tfrac{1}{2} C_W \langle \partial^2[\sigma\sigma] \rangle_K, \qquad
    \chi_\perp = C_W \langle\sigma'\sigma'\rangle_K

Every flow ends, at a fixed point, at 0 or at infinity: d ln g / d ln K = (<z^2 s^2> / (K <s^2>) - 1) / 2 >= -1/2, so
that ln F never falls by more than half of what ln K rises. A cycle of two would need the whole; and a continuous map of
an interval without one has no other cycle either, and every orbit converges (Coppel 1955). In particular chi_parallel
>= -1/2 at every fixed point: no activation makes the kernel oscillate for ever.

Source: PDLT (arXiv:2106.10165), chapters 3 and 5; arXiv:1611.01232 for the depth scales.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rgflow.activations import Activation, activation
from rgflow.errors import AccuracyError, InputError
from rgflow.universality.kernel_table import Table, at_zero, averages, averages_table, far_slopes, half_square

Array = NDArray[np.float64]
Averages = Callable[[Array], tuple[Array, Array]]  # K -> values and errors (3, P) of g, g', <s's'>

PHASES = {-1: "ordered", 0: "critical", 1: "chaotic"}
_EPS = float(np.finfo(np.float64).eps)
_LINE = 1e-9  # g' that is constant to this at the end of the table is taken for constant beyond it
_CHUNK = 512  # hyperparameter points that are compared with the whole table at once
_TURNS = 256  # overshoots halve (see above): far fewer are ever needed


@dataclass(frozen=True, eq=False)
class FixedPoints:
    """Arrays of one shape: where the flow ends and what small differences do there.

    K_star (0 and inf are answers), its numerical ``error``; chi_parallel and chi_perp at K_star, for K_star = inf their
    limits; lengths xi = 1/|ln |chi||, in layers, positive in both phases and inf where chi = 1 within its error; phase
    -1 ordered (chi_perp < 1), 0 critical, 1 chaotic (chi_perp > 1).
    """

    K_star: Array
    error: Array
    chi_parallel: Array
    chi_perp: Array
    xi_parallel: Array
    xi_perp: Array
    phase: NDArray[np.int8]


@dataclass(frozen=True)
class CorrelationLengths:
    """One point (C_b, C_W): the fields of :class:`FixedPoints` as numbers, the phase as a word."""

    K_star: float
    chi_parallel: float
    chi_perp: float
    xi_parallel: float
    xi_perp: float
    phase: str


def correlation_lengths(sigma: Any, C_b: float, C_W: float, first_kernel: float = 1.0) -> CorrelationLengths:
    r"""Depth scales of one network: differences between inputs go as :math:`e^{\pm\ell/\xi}`.

    .. math:: \xi_\parallel = 1 / |\ln |\chi_\parallel||, \qquad \xi_\perp = 1 / |\ln \chi_\perp|

    parallel for the size of an input, perp for its direction. Parameters and errors as :func:`fixed_points`, for
    numbers.

    >>> found = correlation_lengths("relu", C_b=0.1, C_W=1.5)
    >>> round(found.K_star, 12), found.chi_perp, found.phase
    (0.4, 0.75, 'ordered')
    """
    found = fixed_points(sigma, C_b, C_W, first_kernel)
    if found.K_star.ndim:
        shape = found.K_star.shape
        raise InputError(f"C_b, C_W and first_kernel have shape {shape}; give numbers, or use phase_diagram")
    return CorrelationLengths(
        float(found.K_star),
        float(found.chi_parallel),
        float(found.chi_perp),
        float(found.xi_parallel),
        float(found.xi_perp),
        PHASES[int(found.phase)],
    )


def fixed_points(sigma: Any, C_b: Any, C_W: Any, first_kernel: Any = 1.0) -> FixedPoints:
    """The fixed point that a network started at ``first_kernel`` flows to, for arrays of hyperparameters.

    The way is that of the iteration K' = F(K), not a search for the nearest root: no root is jumped over, and one that
    the flow runs away from is found only if the flow starts on it. K_star = 0 needs C_b = 0 and sigma(0) = 0; it
    attracts if chi_perp(0) = C_W sigma'(0)^2 < 1, or = 1 and g bends down. K_star = inf: F(K) > K up to the largest
    kernel that is looked at, 1e12 (1e6 if sigma oscillates, less where averages overflow). chi is then C_W A_2 if
    sigma tends to lines of slopes a+ and a-, A_2 = (a+^2 + a-^2)/2; exactly so, at every K, if it is two such lines
    through 0. Else it is that of the largest kernel, or inf if it still grows there.

    Parameters
    ----------
    sigma : Activation, name, formula or SymPy expression
    C_b, C_W, first_kernel : arrays that broadcast, finite and not negative

    Returns
    -------
    FixedPoints
        Relative errors of K_star are some 1e-14 / |1 - chi_parallel|; see its ``error``.

    Raises
    ------
    InputError, UnknownName, FormulaError
    KinkError
        Sigma has a jump: chi_perp is infinite.
    AccuracyError
        ``first_kernel`` or a finite K_star beyond the kernels that averages are computed at.
    """
    named = {"C_b": C_b, "C_W": C_W, "first_kernel": first_kernel}
    checked = [not_negative(name, values) for name, values in named.items()]
    try:
        given = np.broadcast_arrays(*checked)
    except ValueError:
        shapes = ", ".join(f"{name} {values.shape}" for name, values in zip(named, checked, strict=True))
        raise InputError(f"the shapes {shapes} do not broadcast") from None
    shape = given[0].shape
    b, w, first = (np.array(x, np.float64).ravel() for x in given)
    act = activation(sigma)
    A_2 = half_square(act)
    found = _general(act, b, w, first) if A_2 is None else _homogeneous(A_2, b, w, first)
    K, error, parallel, perp, along, across = (x.reshape(shape) for x in found)
    phase = np.where(np.abs(perp - 1) <= across, 0, np.where(perp < 1, -1, 1)).astype(np.int8)
    return FixedPoints(K, error, parallel, perp, _length(parallel, along), _length(perp, across), phase)


def _length(chi: Array, tolerance: Array) -> Array:
    with np.errstate(divide="ignore"):
        return np.where(np.abs(np.abs(chi) - 1) <= tolerance, np.inf, 1 / np.abs(np.log(np.abs(chi))))


def not_negative(name: str, values: Any) -> Array:
    """Finite real numbers >= 0 as an array; InputError otherwise."""
    try:
        array = np.ma.asarray(values) if np.ma.isMaskedArray(values) else np.asarray(values)
    except ValueError as error:
        raise InputError(f"{name} is not an array of real numbers ({error})") from None
    if array.dtype.kind not in "fiu" or np.ma.is_masked(array) or array.size == 0:
        raise InputError(f"{name} is {values!r}; give real numbers, finite and not negative")
    numbers = np.asarray(array, np.float64)
    bad = ~(np.isfinite(numbers) & (numbers >= 0))
    if bad.any():
        raise InputError(f"{name} holds {float(numbers[bad].flat[0])!r}; give finite numbers that are not negative")
    return numbers


# Two lines through the origin -----------------------------------------------------------------------------------------


def _homogeneous(A: float, b: Array, w: Array, first: Array) -> tuple[Array, ...]:
    """K* = C_b/(1 - C_W A); at C_W A = 1 the kernel stays, if C_b = 0, or grows for ever."""
    chi = w * A
    tolerance = np.full(chi.shape, 4 * _EPS)
    still = np.abs(chi - 1) <= tolerance
    with np.errstate(divide="ignore", invalid="ignore"):
        K = np.where(chi < 1, b / (1 - chi), np.inf)
        K = np.where(still, np.where(b == 0, first, np.inf), K)
        K = np.where((b == 0) & (first == 0), 0.0, K)
        error = np.where(np.isfinite(K) & ~still, 4 * _EPS * K * (1 + 1 / np.abs(1 - chi)), 0.0)
    return K, error, chi, chi, tolerance, tolerance


# All others -----------------------------------------------------------------------------------------------------------


def _general(act: Activation, b: Array, w: Array, first: Array) -> tuple[Array, ...]:
    table = averages_table(act)
    if first.max() > table.K[-1]:
        raise AccuracyError(
            f"first_kernel {first.max():.6g} is beyond {table.K[-1]:.6g}, the largest kernel at which the averages of "
            f"{act.name} are computed; use a smaller one"
        )

    def exact(K: Array) -> tuple[Array, Array]:
        return averages(act, K)

    ends = [_ends(table, exact, *(x[i : i + _CHUNK] for x in (b, w, first))) for i in range(0, b.size, _CHUNK)]
    lo, hi = (np.concatenate(x) for x in zip(*ends, strict=True))
    never = (b + w * table.at_zero[0] == 0) & (first == 0)  # left 0, be it stable or not
    small, far = hi <= table.K[0], np.isinf(lo) & ~never
    K = np.where(far, np.inf, np.where(small, _small(act, b, w, table.K[0]), hi))
    K[never] = 0.0
    _refuse_far(act, table, b, w, far)
    inner = np.flatnonzero(~small & ~far & ~never)
    K[inner], _ = _solve(table.read, b[inner], w[inner], lo[inner], hi[inner], np.sqrt(lo[inner] * hi[inner]))
    K[inner], left = _solve(exact, b[inner], w[inner], lo[inner], hi[inner], K[inner])
    values, errors = _at(act, table, K)
    with np.errstate(divide="ignore", invalid="ignore"):
        chi = w * values[1:]
        chi[:, w == 0] = 0.0
        rounding = 4 * _EPS * K
        rounding[inner] += w[inner] * errors[0, inner] + left
        error = np.where(far | (K == 0), 0.0, np.minimum(rounding / np.abs(1 - chi[0]), K))
        # what the error of K* does to chi
        inside = table.K[0], table.K[-1]
        around = [table.read(np.clip(np.where(far, 1.0, K + sign * error), *inside))[0][1:] for sign in (-1, 1)]
        tolerance = w * (errors[1:] + np.abs(around[1] - around[0])) + 4 * _EPS
    return K, error, chi[0], chi[1], tolerance[0], tolerance[1]


def _refuse_far(act: Activation, table: Table, b: Array, w: Array, far: NDArray[np.bool_]) -> None:
    """A flow that leaves the table does not grow for ever if g grows no faster than a line, and C_W g' < 1."""
    end, g, slope = table.K[-1], table.values[0, -1], table.values[1, -1]
    lost = far & (w * slope < 1 - _LINE) & (end * slope <= (1 + _LINE) * g)
    if lost.any():
        n = int(np.argmax(lost))
        raise AccuracyError(
            f"C_b = {b[n]:.6g}, C_W = {w[n]:.6g} have a fixed point beyond {end:.6g}, the largest kernel at which the "
            f"averages of {act.name} are computed; use smaller ones"
        )


def _at(act: Activation, table: Table, K: Array) -> tuple[Array, Array]:
    """The same at K = 0 and inf, too, as limits; at 0 one of a kinked sigma from both sides."""
    values, errors = np.zeros((3, K.size)), np.zeros((3, K.size))
    inner = np.flatnonzero((K > 0) & np.isfinite(K))
    values[:, inner], errors[:, inner] = averages(act, K[inner])
    values[:, K == 0] = np.array(table.at_zero[:3])[:, None]
    if np.isinf(K).any():
        values[:, np.isinf(K)] = np.array([np.inf, *_far(act, table)])[:, None]
    return values, errors


def _far(act: Activation, table: Table) -> tuple[float, float]:
    """Limits of g' and <s's'> at K = inf, for sigma that lets K grow that far."""
    limit = far_slopes(act)
    if limit is not None:
        return limit, limit
    earlier = np.searchsorted(table.K, table.K[-1] / 16)
    last, before = table.values[1:, -1], table.values[1:, earlier]
    parallel, perp = (float(x) if x < 1.5 * y else np.inf for x, y in zip(last, before, strict=True))
    return parallel, perp


def _small(act: Activation, b: Array, w: Array, most: float) -> Array:
    """The fixed point below ``most``, 1e-12 in general, from F = C_b + C_W (g(0) + g'(0) K + g''(0) K^2/2)."""
    g, slope, _, bend = at_zero(act)
    c, l, q = b + w * g, w * slope - 1, w * bend
    l = np.where(np.abs(l) <= 4 * _EPS, 0.0, l)
    root = np.sqrt(np.maximum(l * l - 4 * q * c, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        K = np.where(l < 0, 2 * c / (root - l), (l + root) / (-2 * q))
    return np.clip(np.where(np.isnan(K), 0.0, K), 0.0, most)


# The flow -------------------------------------------------------------------------------------------------------------


def _ends(table: Table, exact: Averages, b: Array, w: Array, first: Array) -> tuple[Array, Array]:
    """Kernels lo <= K* <= hi where flows end: (0, K_0) for those below the table, (inf, inf) for those beyond it."""
    K = np.maximum(first, table.K[0])
    lo, hi = np.zeros(K.size), np.zeros(K.size)
    left = np.arange(K.size)
    for _ in range(_TURNS):
        distinct, place = np.unique(K[left], return_inverse=True)
        g = exact(distinct)[0][0][place]
        low, high, ends = _way(table, exact, b[left], w[left], K[left], g)
        lo[left[ends]], hi[left[ends]] = low[ends], high[ends]
        K[left] = np.maximum(b[left] + w[left] * g, table.K[0])
        left = left[~ends]
        if not left.size:
            return lo, hi
    raise AccuracyError(f"the flow with C_b = {b[left[0]]}, C_W = {w[left[0]]} has not settled after {_TURNS} layers")


def _way(
    table: Table, exact: Averages, b: Array, w: Array, K: Array, g: Array
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """From K in the direction of F(K) - K: the first root on the way, and whether the flow is sure to end there."""
    nodes, rows = table.K, np.arange(K.size)
    begin = b + w * g - K
    F = b[:, None] + w[:, None] * table.values[0]
    noise = w[:, None] * table.errors[0] + 4 * _EPS * nodes
    up = begin > 0
    sign = np.where(up, 1.0, -1.0)[:, None]
    ahead = sign * (F - nodes)  # positive as long as the flow goes on
    side = np.where(up[:, None], nodes > K[:, None], nodes < K[:, None])
    crossed = side & (ahead < -noise)
    stops = crossed.any(axis=1)
    at = np.where(up, np.argmax(crossed, axis=1), nodes.size - 1 - np.argmax(crossed[:, ::-1], axis=1))
    lo = np.where(up, np.maximum(nodes[np.maximum(at - 1, 0)], K), nodes[at])
    hi = np.where(up, nodes[at], np.minimum(nodes[np.minimum(at + 1, nodes.size - 1)], K))
    lo = np.where(stops, lo, np.where(up, np.inf, 0.0))
    hi = np.where(stops, hi, np.where(up, np.inf, nodes[0]))
    # the smallest noise is that of K itself: a start on a fixed point stays there
    nearest = np.minimum(np.searchsorted(nodes, K), nodes.size - 1)
    still = (np.abs(begin) <= noise[rows, nearest] * K / nodes[nearest]) & (nodes[0] < K)
    lo, hi = np.where(still, K, lo), np.where(still, K, hi)
    _touch(table, exact, b, w, K, ahead, side & ~still[:, None], noise, lo, hi)
    return lo, hi, still | _kept(table, F, ahead, up, K, b + w * g, lo, hi)


def _touch(
    table: Table,
    exact: Averages,
    b: Array,
    w: Array,
    K: Array,
    ahead: Array,
    side: NDArray[np.bool_],
    noise: Array,
    lo: Array,
    hi: Array,
) -> None:
    """Roots in pairs between two neighbouring nodes, where F only just touches the diagonal; changes lo and hi."""
    nodes = table.K
    up = lo >= K
    slope = np.where(up, 1.0, -1.0)[:, None] * (w[:, None] * table.values[1] - 1)
    width = np.diff(nodes)
    clear = ahead > noise  # where all is noise, so are the dips
    dips = clear[:, :-1] & clear[:, 1:] & (slope[:, :-1] < 0) & (slope[:, 1:] > 0) & (side[:, :-1] | side[:, 1:])
    # a convex function lies above its tangents
    dips &= ahead[:, :-1] + slope[:, :-1] * width <= noise[:, :-1]
    dips &= ahead[:, 1:] - slope[:, 1:] * width <= noise[:, 1:]
    row, j = np.nonzero(dips)
    if not row.size:
        return
    left, right = nodes[j].copy(), nodes[j + 1].copy()
    sign = np.where(up[row], 1.0, -1.0)
    for _ in range(50):
        middle = (left + right) / 2
        falls = sign * (w[row] * table.read(middle)[0][1] - 1) < 0
        left, right = np.where(falls, middle, left), np.where(falls, right, middle)
    bottom = (left + right) / 2
    depth = sign * (b[row] + w[row] * exact(bottom)[0][0] - bottom)
    met = (depth <= noise[row, j]) & _between(bottom, np.where(up, K, hi)[row], np.where(up, lo, K)[row])
    order = np.argsort(-np.abs(np.log(bottom / K[row])), kind="stable")
    for i in order[met[order]]:  # the nearest comes last and stays
        n = row[i]
        if up[n]:
            lo[n], hi[n] = max(nodes[j[i]], K[n]), bottom[i]
        else:
            lo[n], hi[n] = bottom[i], min(nodes[j[i] + 1], K[n])


def _kept(
    table: Table, F: Array, ahead: Array, up: NDArray[np.bool_], K: Array, following: Array, lo: Array, hi: Array
) -> NDArray[np.bool_]:
    """Whether an interval about the way with one fixed point in it is mapped into itself: then the flow ends there."""
    ends = np.isinf(lo) | (lo == 0)
    if (table.values[1] >= -table.errors[1]).all():
        return np.ones_like(ends)
    nodes, rise, start = table.K, up[:, None], K[:, None]
    way = _between(nodes, np.where(rise, start, hi[:, None]), np.where(rise, lo[:, None], start))
    most = np.maximum(np.where(way, F, 0.0).max(axis=1), np.maximum(following, hi))
    least = np.minimum(np.where(way, F, np.inf).min(axis=1), np.minimum(following, lo))
    beyond = _between(nodes, np.where(up, hi, least)[:, None], np.where(up, most, lo)[:, None])
    back = np.where(rise, start <= F, start >= F) & (ahead < 0)
    return np.asarray(ends | (back | ~beyond).all(axis=1))


def _between(x: Array, low: Array, high: Array) -> NDArray[np.bool_]:
    return np.asarray((low <= x) & (x <= high))


def _solve(of: Averages, b: Array, w: Array, lo: Array, hi: Array, K: Array) -> tuple[Array, Array]:
    """The root lo <= K <= hi, with F(lo) > lo and F(hi) < hi, by Newton's steps that stay inside; and |F(K) - K|."""
    lo, hi, K, left = lo.copy(), hi.copy(), K.copy(), np.zeros(K.size)
    active = np.arange(K.size)
    for _ in range(80):
        at, c, a = K[active], w[active], b[active]
        values, errors = of(at)
        gap = a + c * values[0] - at
        left[active] = np.abs(gap)
        lo[active] = np.where(gap > 0, at, lo[active])
        hi[active] = np.where(gap > 0, hi[active], at)
        with np.errstate(divide="ignore", invalid="ignore"):
            new = at - gap / (c * values[1] - 1)
        low, high = lo[active], hi[active]
        new = np.where((new >= low) & (new <= high), new, (low + high) / 2)
        settled = (np.abs(gap) <= c * errors[0] + 2 * _EPS * at) | (np.abs(new - at) <= 2 * _EPS * at)
        K[active] = np.where(settled, at, new)
        active = active[~settled]
        if not active.size:
            break
    return K, left
