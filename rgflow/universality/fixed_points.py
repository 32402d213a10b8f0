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

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rgflow.activations import Activation
from rgflow.activations import activation as find_activation
from rgflow.errors import AccuracyError, InputError
from rgflow.universality.kernel_flow import EPS, flow_ends, root
from rgflow.universality.kernel_table import Array, Table, at_zero, averages, averages_table, far_slopes, half_square

PHASES = {-1: "ordered", 0: "critical", 1: "chaotic"}
_LINE = 1e-9  # g' that is constant to this at the end of the table is taken for constant beyond it
_CHUNK = 512  # hyperparameter points that are compared with the whole table at once


@dataclass(frozen=True, eq=False)
class FixedPoints:
    """Arrays of one shape: where the flow ends and what small differences do there.

    K_star (0 and inf are answers), its numerical ``error``; chi_parallel and chi_perpendicular at K_star, for
    K_star = inf their limits; lengths xi = 1/|ln |chi||, in layers, positive in both phases and inf where chi = 1
    within its error; phase -1 ordered (chi_perpendicular < 1), 0 critical, 1 chaotic (chi_perpendicular > 1).
    """

    K_star: Array
    error: Array
    chi_parallel: Array
    chi_perpendicular: Array
    xi_parallel: Array
    xi_perpendicular: Array
    phase: NDArray[np.int8]


@dataclass(frozen=True)
class CorrelationLengths:
    """One point (C_b, C_W): the fields of :class:`FixedPoints` as numbers, the phase as a word."""

    K_star: float
    chi_parallel: float
    chi_perpendicular: float
    xi_parallel: float
    xi_perpendicular: float
    phase: str


def correlation_lengths(activation: Any, *, C_b: float, C_W: float, first_kernel: float = 1.0) -> CorrelationLengths:
    r"""Depth scales of one network: differences between inputs go as :math:`e^{\pm\ell/\xi}`.

    .. math:: \xi_\parallel = 1 / |\ln |\chi_\parallel||, \qquad \xi_\perp = 1 / |\ln \chi_\perp|

    parallel for the size of an input, perp for its direction. Parameters and errors as :func:`fixed_points`, for
    numbers.

    >>> found = correlation_lengths("relu", C_b=0.1, C_W=1.5)
    >>> round(found.K_star, 12), found.chi_perpendicular, found.phase
    (0.4, 0.75, 'ordered')
    """
    found = fixed_points(activation, C_b=C_b, C_W=C_W, first_kernel=first_kernel)
    if found.K_star.ndim:
        shape = found.K_star.shape
        raise InputError(f"C_b, C_W and first_kernel have shape {shape}; give numbers, or use phase_diagram")
    return CorrelationLengths(
        float(found.K_star),
        float(found.chi_parallel),
        float(found.chi_perpendicular),
        float(found.xi_parallel),
        float(found.xi_perpendicular),
        PHASES[int(found.phase)],
    )


def fixed_points(activation: Any, *, C_b: Any, C_W: Any, first_kernel: Any = 1.0) -> FixedPoints:
    """The fixed point that a network started at ``first_kernel`` flows to, for arrays of hyperparameters.

    The way is that of the iteration K' = F(K), not a search for the nearest root: no root is jumped over, and one that
    the flow runs away from is found only if the flow starts on it. K_star = 0 needs C_b = 0 and sigma(0) = 0; it
    attracts if C_W sigma'(0)^2 < 1, or = 1 and g bends down. K_star = inf: F(K) > K up to the largest kernel that is
    looked at, 1e12 (1e6 if sigma oscillates, less where averages overflow). chi is then C_W A_2 if sigma tends to lines
    of slopes a+ and a-, A_2 = (a+^2 + a-^2)/2; exactly so, at every K, if it is two such lines through 0. Else it is
    that of the largest kernel, or inf if it still grows there.

    Parameters
    ----------
    activation : Activation, name, formula or SymPy expression
    C_b, C_W, first_kernel : arrays that broadcast, finite and not negative

    Returns
    -------
    FixedPoints
        Relative errors of K_star are some 1e-14 / |1 - chi_parallel|; see its ``error``.

    Raises
    ------
    InputError, UnknownName, FormulaError
    KinkError
        Sigma has a jump: chi_perpendicular is infinite.
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
    act = find_activation(activation)
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
    tolerance = np.full(chi.shape, 4 * EPS)
    still = np.abs(chi - 1) <= tolerance
    with np.errstate(divide="ignore", invalid="ignore"):
        K = np.where(chi < 1, b / (1 - chi), np.inf)
        K = np.where(still, np.where(b == 0, first, np.inf), K)
        K = np.where((b == 0) & (first == 0), 0.0, K)
        error = np.where(np.isfinite(K) & ~still, 4 * EPS * K * (1 + 1 / np.abs(1 - chi)), 0.0)
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

    ends = [flow_ends(table, exact, *(x[i : i + _CHUNK] for x in (b, w, first))) for i in range(0, b.size, _CHUNK)]
    lo, hi = (np.concatenate(x) for x in zip(*ends, strict=True))
    never = (b + w * table.at_zero[0] == 0) & (first == 0)  # left 0, be it stable or not
    small, far = hi <= table.K[0], np.isinf(lo) & ~never
    K = np.where(far, np.inf, np.where(small, _small(act, b, w, table.K[0]), hi))
    K[never] = 0.0
    _refuse_far(act, table, b, w, far)
    inner = np.flatnonzero(~small & ~far & ~never)
    K[inner], _ = root(table.read, b[inner], w[inner], lo[inner], hi[inner], np.sqrt(lo[inner] * hi[inner]))
    K[inner], left = root(exact, b[inner], w[inner], lo[inner], hi[inner], K[inner])
    values, errors = _at(act, table, K)
    with np.errstate(divide="ignore", invalid="ignore"):
        chi = w * values[1:]
        chi[:, w == 0] = 0.0
        rounding = 4 * EPS * K
        rounding[inner] += w[inner] * errors[0, inner] + left
        error = np.where(far | (K == 0), 0.0, np.minimum(rounding / np.abs(1 - chi[0]), K))
        # what the error of K* does to chi
        inside = table.K[0], table.K[-1]
        around = [table.read(np.clip(np.where(far, 1.0, K + sign * error), *inside))[0][1:] for sign in (-1, 1)]
        tolerance = w * (errors[1:] + np.abs(around[1] - around[0])) + 4 * EPS
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
    l = np.where(np.abs(l) <= 4 * EPS, 0.0, l)
    root = np.sqrt(np.maximum(l * l - 4 * q * c, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        K = np.where(l < 0, 2 * c / (root - l), (l + root) / (-2 * q))
    return np.clip(np.where(np.isnan(K), 0.0, K), 0.0, most)
