r"""Phase diagrams: where inputs that differ a little come together in a deep network, and where they part.

.. math:: \chi_\perp(K^*) < 1 \text{ ordered}, \qquad \chi_\perp(K^*) > 1 \text{ chaotic}, \qquad
    C_W = 1/\langle\sigma'\sigma'\rangle_K,\ C_b = K - C_W \langle\sigma\sigma\rangle_K \text{ critical}

Source: arXiv:1611.01232; PDLT (arXiv:2106.10165), chapters 3 and 5.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rgflow.activations import Activation
from rgflow.activations import activation as find_activation
from rgflow.errors import InputError
from rgflow.universality.fixed_points import fixed_points, not_negative
from rgflow.universality.kernel_table import Array, averages, averages_table, far_slopes, half_square
from rgflow.version import __version__

if TYPE_CHECKING:
    import xarray

CONVENTIONS = (
    "K_star: fixed point of K' = C_b + C_W <s s>_K reached from first_kernel, 0 and inf included; chi_parallel = "
    "C_W d<s s>/dK and chi_perpendicular = C_W <s's'> there; lengths 1/|ln |chi|| in layers, positive in both phases"
)
MEANINGS = {
    "K_star": ("fixed point of the kernel", "1"),
    "chi_parallel": ("factor per layer of small differences in the norm of inputs", "1"),
    "chi_perpendicular": ("factor per layer of small differences in the direction of inputs", "1"),
    "xi_parallel": ("depth scale of differences in the norm of inputs", "layers"),
    "xi_perpendicular": ("depth scale of differences in the direction of inputs", "layers"),
}
_PATIENCE = 2.0  # seconds before a bar is shown
_AT_ONCE = 2048
_FINE, _FROM = 6001, 1e-5  # kernels on which critical lines are looked for; below, a straight line to K = 0
_MOST = 200  # points of one piece of a line


def phase_diagram(
    activation: Any, *, C_b: Any = None, C_W: Any = None, first_kernel: float = 1.0, progress: bool = False
) -> xarray.Dataset:
    r"""Fixed point, susceptibilities, depth scales and phase of infinitely wide networks over a grid (C_b, C_W).

    .. math:: \chi_\perp(K^*) < 1 \text{ ordered}, \qquad \chi_\perp(K^*) > 1 \text{ chaotic}, \qquad
              \xi = 1 / |\ln |\chi||

    Parameters
    ----------
    activation : Activation, name, formula or SymPy expression
    C_b, C_W : increasing arrays (I,), (J,), finite and not negative
        Without them, a window around the critical point, or what comes nearest to one.
    first_kernel : float
        The kernel of layer 1; with several fixed points it decides.
    progress : bool
        Show a bar on standard error if this takes more than two seconds.

    Returns
    -------
    xarray.Dataset
        Dims ``C_b``, ``C_W``: K_star, chi_parallel, chi_perpendicular, xi_parallel, xi_perpendicular, and phase: -1
        ordered, 0 critical (chi_perpendicular = 1 within its numerical error), 1 chaotic. Dim ``line``: critical_C_W,
        critical_C_b, critical_K, the curve chi_perpendicular(K*) = 1 where its fixed point attracts, inside the window,
        in pieces divided by NaN; critical_reached is 1 where flows from first_kernel end at that fixed point. Phases
        also meet where an attracting fixed point disappears: there chi jumps, and no line is drawn. Truncation error
        O(1/n).

    Raises
    ------
    InputError, UnknownName, FormulaError, KinkError, AccuracyError
        As :func:`rgflow.universality.fixed_points.fixed_points`.

    >>> ds = phase_diagram("relu", C_W=[1.0, 2.0, 3.0], C_b=[0.0, 0.5])
    >>> ds["phase"].values.tolist()
    [[-1, 0, 1], [-1, 0, 1]]
    """
    import xarray

    act = find_activation(activation)
    first = not_negative("first_kernel", first_kernel)
    if first.ndim:
        raise InputError(f"first_kernel has shape {first.shape}; give one number")
    window = _window(act) if C_W is None or C_b is None else None
    w = _axis("C_W", C_W) if window is None or C_W is not None else window[0]
    b = _axis("C_b", C_b) if window is None or C_b is not None else window[1]
    found = _grid(act, b, w, float(first), progress)
    dims = ("C_b", "C_W")
    data: dict[str, Any] = {
        name: (dims, found[name], {"long_name": meaning, "units": units}) for name, (meaning, units) in MEANINGS.items()
    }
    data["phase"] = (
        dims,
        found["phase"].astype(np.int8),
        {
            "long_name": "phase of small differences between inputs",
            "flag_values": np.array([-1, 0, 1], np.int8),
            "flag_meanings": "ordered critical chaotic",
        },
    )
    line = critical_line(act, C_b=(b[0], b[-1]), C_W=(w[0], w[-1]), first_kernel=float(first))
    meanings = ("C_W on the critical line", "C_b on the critical line", "its fixed point", "1 where flows end there")
    names = ("critical_C_W", "critical_C_b", "critical_K", "critical_reached")
    for name, values, meaning in zip(names, line, meanings, strict=True):
        data[name] = ("line", values.astype(np.int8) if name == names[-1] else values, {"long_name": meaning})
    coords = {
        "C_b": ("C_b", b, {"long_name": "variance of the biases"}),
        "C_W": ("C_W", w, {"long_name": "variance of the weights, times n"}),
    }
    attrs = {
        "kind": "phase diagram",
        "activation": act.formula_text,
        "first_kernel": float(first),
        "conventions": CONVENTIONS,
        "rgflow_version": __version__,
    }
    return xarray.Dataset(data, coords, attrs)


def _axis(name: str, values: Any) -> Array:
    array = not_negative(name, values)
    if array.ndim != 1 or not (np.diff(array) > 0).all():
        raise InputError(f"{name} has shape {array.shape}; give increasing values, an array (N,)")
    return array


def _grid(act: Activation, b: Array, w: Array, first: float, progress: bool) -> dict[str, Array]:
    C_b, C_W = (x.ravel() for x in np.meshgrid(b, w, indexing="ij"))
    parts = []
    for piece in _shown(range(0, C_b.size, _AT_ONCE), progress):
        here = slice(piece, piece + _AT_ONCE)
        found = fixed_points(act, C_b=C_b[here], C_W=C_W[here], first_kernel=first)
        parts.append([getattr(found, name) for name in (*MEANINGS, "phase")])
    arrays = (np.concatenate(x).reshape(b.size, w.size) for x in zip(*parts, strict=True))
    return dict(zip((*MEANINGS, "phase"), arrays, strict=True))


def _shown(pieces: range, progress: bool) -> Iterator[int]:
    """The pieces, with a bar on standard error for those who wait."""
    begun = time.monotonic()
    with ExitStack() as stack:
        bar: Any = None
        for done, piece in enumerate(pieces):
            if progress and bar is None and time.monotonic() - begun > _PATIENCE:
                from rich.console import Console
                from rich.progress import Progress

                console = Console(file=sys.stderr)
                bar = stack.enter_context(Progress(console=console, transient=True, disable=not console.is_terminal))
                task = bar.add_task("phase diagram", total=len(pieces))
            if bar is not None:
                bar.update(task, completed=done)
            yield piece


# The critical line ----------------------------------------------------------------------------------------------------


def critical_line(
    act: Activation, *, C_b: tuple[float, float], C_W: tuple[float, float], first_kernel: float
) -> tuple[Array, Array, Array, NDArray[np.bool_]]:
    """C_W, C_b, K and whether flows from first_kernel end there, in pieces divided by NaN, within a window.

    To K = inf belongs the line C_W = 1/A_2 of activations that tend to straight lines, as far as flows grow for ever.
    """
    pieces = [_far_line(act, C_W, C_b, first_kernel)]
    if half_square(act) is None:
        K, ratio = _kernels(act)
        w, b = _point(act, K)
        # half-stable points, where chi_parallel = 1, belong to it
        kept = (ratio <= 1 + 1e-9) & _within(w, C_W) & _within(b, C_b)
        reached = np.zeros(K.size, bool)
        if kept.any():
            ends = fixed_points(act, C_b=b[kept], C_W=w[kept], first_kernel=first_kernel)
            # its error twice: b and w are rounded as F is
            reached[kept] = np.abs(ends.K_star - K[kept]) <= 2 * ends.error
        runs = np.split(np.arange(K.size), np.flatnonzero(np.diff(kept | (2 * reached))) + 1)
        pieces += [_thinned(w[i], b[i], K[i], reached[i], C_W, C_b) for i in _joined(runs, kept, w, b)]
    gap = np.full((4, 1), np.nan)
    columns = [column for piece in pieces if piece.size for column in (gap, piece)][1:]
    line = np.concatenate(columns, axis=1) if columns else np.zeros((4, 0))
    return line[0], line[1], line[2], line[3] == 1


def _joined(runs: list[NDArray[np.intp]], kept: NDArray[np.bool_], w: Array, b: Array) -> list[NDArray[np.intp]]:
    """Runs on the line; one that follows another begins where that ended, so that no gap is seen; none is a point."""
    found = [run for run in runs if run.size and kept[run[0]]]
    found = [run if run[0] == 0 or not kept[run[0] - 1] else np.concatenate([run[:1] - 1, run]) for run in found]
    longer = [np.ptp(w[run]) > 1e-9 * w[run[0]] or np.ptp(b[run]) > 1e-9 * w[run[0]] for run in found]
    return [run for run, long in zip(found, longer, strict=True) if long]


def _kernels(act: Activation) -> tuple[Array, Array]:
    """Kernels to look at, 0 and half-stable ones included, and chi_parallel/chi_perp there."""
    table = averages_table(act)
    K = np.geomspace(_FROM, table.K[-1], _FINE)

    def tilt(K: Array) -> Array:
        values = table.read(K)[0]
        return np.asarray(values[1] - values[2])

    change = np.flatnonzero(np.diff(np.sign(tilt(K))) != 0)
    left, right = K[change], K[change + 1]
    for _ in range(60):
        middle = (left + right) / 2
        same = np.sign(tilt(middle)) == np.sign(tilt(left))
        left, right = np.where(same, middle, left), np.where(same, right, middle)
    K = np.sort(np.concatenate([K, (left + right) / 2]))
    values, _ = averages(act, K)
    seen = values[2] > 1e-100  # it underflows at small kernels where sigma is flat about 0
    K, ratio = K[seen], values[1, seen] / values[2, seen]
    g, slope, perp, bend = table.at_zero
    if g == 0 and slope == perp > 0:
        K, ratio = np.append(0.0, K), np.append(1.0 if bend <= 0 else np.inf, ratio)
    return K, ratio


def _point(act: Activation, K: Array) -> tuple[Array, Array]:
    """C_W and C_b of the critical line at kernels K."""
    values = np.array(averages_table(act).at_zero[:3])[:, None] * np.ones(K.size)
    values[:, K > 0] = averages(act, K[K > 0])[0]
    C_W = 1 / values[2]
    return C_W, K - C_W * values[0]


def _within(values: Array, window: tuple[float, float]) -> NDArray[np.bool_]:
    return np.asarray((values >= window[0]) & (values <= window[1]))


def _thinned(
    w: Array, b: Array, K: Array, reached: NDArray[np.bool_], C_W: tuple[float, float], C_b: tuple[float, float]
) -> Array:
    """A piece (4, P) with points at even distances in the window; its ends stay."""
    spans = (max(C_W[1] - C_W[0], 1e-300), max(C_b[1] - C_b[0], 1e-300))
    length = np.append(0.0, np.cumsum(np.hypot(np.diff(w) / spans[0], np.diff(b) / spans[1])))
    chosen = np.unique(np.searchsorted(length, np.linspace(0, length[-1], _MOST)).clip(0, w.size - 1))
    chosen = np.unique(np.append(chosen, [0, w.size - 1]))
    return np.array([w[chosen], b[chosen], K[chosen], reached[chosen]])


def _far_line(act: Activation, C_W: tuple[float, float], C_b: tuple[float, float], first_kernel: float) -> Array:
    """The line of K* = inf, as far as flows get there; K itself for lines through 0 and C_b = 0."""
    A = half_square(act)
    A = A if A is not None else far_slopes(act)
    if not A or not _within(np.array(1 / A), C_W):
        return np.zeros((4, 0))
    b = np.unique(np.linspace(*C_b, 101))
    found = fixed_points(act, C_b=b, C_W=1 / A, first_kernel=first_kernel)
    on = found.phase == 0
    return np.array([np.full(on.sum(), 1 / A), b[on], found.K_star[on], np.ones(on.sum())])


def _window(act: Activation) -> tuple[Array, Array]:
    """C_W and C_b around the critical point, which is on the grid; or around what comes nearest to one."""
    A = half_square(act)
    least, most = 0.5, 1.5
    tends = A if A is not None else far_slopes(act)
    C_W, C_b = 1 / tends if tends else 1.0, 0.0
    if A is None:
        K, ratio = _kernels(act)
        w, b = _point(act, K)
        half = np.flatnonzero((np.abs(ratio - 1) <= 1e-9) & (b >= 0) & (K > 0))
        if K.size and K[0] == 0 and np.isfinite(ratio[0]):
            C_W, most = float(w[0]), 2.0
        elif 0 < half.size < 8:  # more: g' = <s's'> at every K
            C_W, C_b, least, most = float(w[half[0]]), float(b[half[0]]), 0.75, 1.25
        elif not tends:
            C_W = float(_point(act, np.ones(1))[0][0])
    steps = round(120 / (most - least))
    columns = np.arange(round(least * steps), round(most * steps) + 1) / steps
    return C_W * columns, max(2 * C_b, 0.15 * C_W) * np.arange(81) / 80
