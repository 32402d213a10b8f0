r"""The averages that drive a block, as functions of logarithms, so that no kernel over- or underflows.

.. math:: V(q) = \langle\sigma\sigma\rangle_q, \qquad \dot V(q) = \langle\sigma'\sigma'\rangle_q, \qquad
    D(a, b) = \tfrac12 E[(\sigma(A + B) - \sigma(A - B))^2],\ A \sim N(0, a^2),\ B \sim N(0, b^2)

D is V - W for two inputs of equal norm q = a^2 + b^2 and correlation c = (a^2 - b^2)/q, without the cancellation of the
difference when c is near 1. All three are tabulated in cells, Chebyshev polynomials in logarithms, and only where they
are wanted; outside of the tables, and everywhere for powers, they are exact powers of q.

Each table has a *witness*, made by coarser rules: fewer nodes, fewer coefficients, single averages moved by the error
that their quadrature states, small a and b cut off earlier. A flow through both says how far to trust it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rgflow.activations import Activation
from rgflow.brackets import gaussian_moments
from rgflow.errors import AccuracyError
from rgflow.scaling.homogeneous import Homogeneous

Array = NDArray[np.float64]
DEGREE = 16  # nodes of a cell
CELL = np.log(2.0)  # its width in log q, log a, log b
LEAST, MOST = -40, 200  # cells of the table of V, from q = 2^LEAST to 2^MOST
FINEST, WIDEST = -17, 60  # cells of b, and of a: 2^FINEST to 2^WIDEST; of b/a of a power: 2^-WIDEST to 2^WIDEST
_BRACKETS = ((((0, 0), 0),), (((1, 1), 0),))
_SAID = ("<s s>", "<s' s'>")
_NODES = {False: (12, 10), True: (10, 8)}  # Gauss-Legendre nodes of a panel of B, and of A; of the witness fewer
_ANGLES = {False: 161, True: 121}  # of the double-exponential rule
_DROPPED = 2  # coefficients that the witness leaves out
TINY = 1e-300
_REACH = 9.0  # standard deviations


@dataclass(eq=False)
class Tables:
    """Tables of one activation, filled cell by cell when asked.

    Attributes
    ----------
    witness : bool
        Whether by the coarser rules.
    floor : float
        a and b below 2^floor are not resolved: D is even in a, and proportional to b^2.
    single : (cells, 2, DEGREE)
        Chebyshev coefficients of log V and log V', NaN where not filled.
    apart : (cells of a, cells of b, DEGREE, DEGREE)
        Those of log D; for a power one row, of log D(q = 1) in log(b/a).
    degree : float
        Of a power; NaN for an activation.
    logs : (2,)
        log c and log c' of a power.
    origin : (2,)
        log V and log V' at q = 0, of an activation.
    """

    sigma: Activation | Homogeneous
    witness: bool = False
    floor: float = field(init=False)
    single: Array = field(init=False, repr=False)
    apart: Array = field(init=False, repr=False)
    degree: float = field(init=False)
    logs: Array = field(init=False)
    origin: Array = field(init=False)
    _panels: dict[tuple[int, int], Array] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        power = isinstance(self.sigma, Homogeneous)
        self.floor = FINEST + 0.5 * self.witness  # what is left out is of the order of its square: twice as much
        rows = 1 if power else WIDEST - FINEST
        self.single = np.full((MOST - LEAST, 2, DEGREE), np.nan)
        self.apart = np.full((rows, (WIDEST - FINEST) if not power else 2 * WIDEST, DEGREE, DEGREE), np.nan)
        self.degree, self.logs = np.nan, np.zeros(2)
        if isinstance(self.sigma, Homogeneous):
            self.degree = float(self.sigma.degree)
            self.logs = np.log([float(self.sigma.square()), float(self.sigma.slope())])
            self.origin = np.full(2, -np.inf)
            return
        beside = self.sigma.derivatives(np.array([-TINY, TINY]), 1)  # a kink at 0 has two slopes
        with np.errstate(divide="ignore"):
            self.origin = np.log(np.mean(beside**2, axis=1))

    # One input

    def read(self, log_q: Array) -> Array:
        """log V and log V' at kernels, (2, P)."""
        log_q = np.asarray(log_q, float)
        if not np.isnan(self.degree):
            falling = (self.degree - 1) * log_q if self.degree != 1 else np.zeros_like(log_q)
            return np.stack([self.logs[0] + self.degree * log_q, self.logs[1] + falling])
        none = np.isneginf(log_q)
        log_q = np.where(none, 0.0, log_q)
        place = np.clip(log_q / CELL, LEAST, MOST - 1e-9)
        cells = np.floor(place).astype(int) - LEAST
        for cell in np.unique(cells):
            self.fill_single(int(cell))
        t = 2 * (place - LEAST - cells) - 1
        basis = _chebyshev(t)
        values = np.einsum("pkd,pd->kp", self.single[cells], basis)
        beyond = log_q - np.clip(log_q, LEAST * CELL, MOST * CELL)
        if beyond.any():  # a tail that is not known spoils only what lies beyond
            values = values + np.where(beyond != 0, self.tails(beyond > 0) * beyond, 0.0)
        return np.asarray(np.where(none, self.origin[:, None], values))

    def tails(self, above: NDArray[np.bool_]) -> Array:
        """Exponents of q beyond the table, those at its ends: (2, P); NaN where there is no table so far."""
        ends = np.zeros((2, 2))
        for side, cell in enumerate((0, MOST - LEAST - 1)):
            try:
                self.fill_single(cell)
            except AccuracyError:  # an oscillation, or sigma that underflows: kernels there are refused
                ends[side] = np.nan
                continue
            t = np.array([-1.0, 1.0])
            values = self.single[cell] @ _chebyshev(t).T
            ends[side] = (values[:, 1] - values[:, 0]) / CELL
        # the exponents of a power law are halves and whole numbers; the ends have reached it
        return np.asarray(np.where(above, np.round(2 * ends[1][:, None]) / 2, np.round(2 * ends[0][:, None]) / 2))

    def fill_single(self, cell: int) -> None:
        """Compute a cell of the table of V and V'."""
        if not np.isnan(self.single[cell, 0, 0]):
            return
        assert isinstance(self.sigma, Activation)
        kernels = np.exp(CELL * (cell + LEAST + (1 + _nodes()) / 2))
        try:
            values, errors = gaussian_moments(self.sigma, kernels[:, None, None], _BRACKETS, tolerance=1e-14)
        except AccuracyError as error:
            text = str(error)
            for bracket, name in zip(_BRACKETS, _SAID, strict=True):
                text = text.replace(f"the bracket {bracket}", name)
            raise AccuracyError(text) from None
        if not (values > 0).all():
            name = _SAID[int(np.argwhere(~(values > 0))[0][1])]
            raise AccuracyError(f"{name} of {self.sigma.name} is not positive at K = {kernels[0]:.3g}")
        if self.witness:
            values = values + errors
        self.single[cell] = (_transform(self.witness) @ np.log(values)).T

    # Two inputs

    def fill_apart(self, row: int, column: int) -> None:
        """Compute a cell of the table of D."""
        if not np.isnan(self.apart[row, column, 0, 0]):
            return
        if isinstance(self.sigma, Homogeneous):
            ratio = np.exp(CELL * (column - WIDEST + (1 + _nodes()) / 2))
            values = np.log(power_apart(self.sigma, ratio, _ANGLES[self.witness]))
            self.apart[row, column] = 0.0
            self.apart[row, column, 0] = _transform(self.witness) @ values
            return
        a = np.exp(CELL * (row + FINEST + (1 + _nodes()) / 2))
        b = np.exp(CELL * (column + FINEST + (1 + _nodes()) / 2))
        found = np.zeros((DEGREE, DEGREE))
        top = int(np.ceil(np.log2(_REACH * b[-1])))
        bottom = int(np.floor(np.log2(b[0]))) - 14
        nodes, weights = np.polynomial.legendre.leggauss(_NODES[self.witness][0])
        for panel in range(bottom, top):
            low = 2.0**panel
            B = low * (1 + (1 + nodes) / 2)
            H = self._panel(row, panel, a, B)
            w = low / 2 * weights[:, None] * np.exp(-0.5 * (B[:, None] / b) ** 2) / b * np.sqrt(2 / np.pi)
            found += H @ w
        low = 2.0**bottom  # below, H is proportional to B^2
        B = low * (1 + nodes) / 2
        w = low / 2 * weights[:, None] * np.exp(-0.5 * (B[:, None] / b) ** 2) / b * np.sqrt(2 / np.pi)
        found += (self._panel(row, bottom, a, low * (1 + (1 + nodes) / 2))[:, :1] / (low * (3 + nodes[0]) / 2) ** 2) * (
            B**2 @ w
        )
        transform = _transform(self.witness)
        self.apart[row, column] = transform @ np.log(found) @ transform.T

    def _panel(self, row: int, panel: int, a: Array, B: Array) -> Array:
        key = row, panel
        if key not in self._panels:
            assert isinstance(self.sigma, Activation)
            scale = 1.0
            if panel < FINEST:  # differences would cancel; they are proportional to B there
                scale = 4.0 ** (panel - FINEST)
                B = B / np.sqrt(scale)
            self._panels[key] = scale * np.stack(
                [_differences(self.sigma, float(x), B, _NODES[self.witness][1]) for x in a]
            )
        return self._panels[key]


def _differences(act: Activation, a: float, B: Array, count: int) -> Array:
    """(1/2) E[(sigma(A + B) - sigma(A - B))^2] over A at each B > 0, in panels that are fine near kinks and 0."""
    steps = [0.0]
    while steps[-1] < 2 * _REACH * a + 2 * float(B.max()):
        steps.append(steps[-1] + max(0.5, steps[-1] / 2))
    offsets = np.concatenate([-np.array(steps[:0:-1]), steps])
    centres = np.array(sorted({0.0, *act.kinks}))
    at = np.concatenate([c + s * B[:, None] for c in centres for s in (-1, 1)], axis=1)  # (P, C)
    own = np.broadcast_to(a * np.arange(-_REACH, _REACH + 1), (B.size, int(2 * _REACH) + 1))  # where the density varies
    edges = np.concatenate([(at[:, :, None] + offsets).reshape(B.size, -1), own], axis=1)
    edges = np.clip(edges, -_REACH * a, _REACH * a)
    edges = np.sort(edges, axis=1)
    used = np.flatnonzero((np.diff(edges, axis=1) > 0).any(axis=0))
    left, right = edges[:, used], edges[:, used + 1]
    nodes, weights = np.polynomial.legendre.leggauss(count)
    half = (right - left)[..., None] / 2
    A = (left + right)[..., None] / 2 + half * nodes
    density = np.exp(-0.5 * (A / a) ** 2) / (a * np.sqrt(2 * np.pi))
    apart = act(A + B[:, None, None]) - act(A - B[:, None, None])
    return np.asarray(0.5 * (half * weights * density * apart**2).sum(axis=(1, 2)))


def power_apart(power: Homogeneous, ratio: Array, points: int = _ANGLES[False]) -> Array:
    """D at a^2 + b^2 = 1, b/a = tan(theta/2): an integral over the angle of the two inputs, times a radial one.

    u = r cos(phi - theta/2), u' = r cos(phi + theta/2); pieces between zeros of the cosines, each by the
    double-exponential rule, which does not mind powers at the ends.
    """
    from scipy.special import gamma

    degree, left, right = float(power.degree), float(power.left), float(power.right)
    h = 2 * np.arctan(ratio) / 2  # theta/2
    t = np.linspace(-4.0, 4.0, points)
    x = 1 / (1 + np.exp(np.pi * np.sinh(-t)))  # (0, 1), double exponential
    rest = 1 / (1 + np.exp(np.pi * np.sinh(t)))  # 1 - x, without cancellation
    weight = np.pi * np.cosh(t) * x * rest * (t[1] - t[0])
    total = np.zeros(ratio.size)

    def value(cosine: Array) -> Array:
        side = np.where(cosine > 0, right, left)
        return np.asarray(side * np.abs(cosine) ** degree)

    # zeros of cos(phi - h), cos(phi + h): phi = +-pi/2 + h, +-pi/2 - h
    for centre in (-np.pi / 2, np.pi / 2):
        # between centre - h and centre + h: distances from the ends, exactly
        width = 2 * h[:, None]
        one, two = width * x, width * rest  # phi - (centre - h), (centre + h) - phi
        sign = 1.0 if centre < 0 else -1.0
        # cos(phi + h) = sign sin(one), cos(phi - h) = -sign sin(two)
        total += 0.5 * ((value(sign * np.sin(one)) - value(-sign * np.sin(two))) ** 2 * weight).sum(1) * width[:, 0]
    for start in (-np.pi / 2, np.pi / 2):
        # between start + h and start + pi - h
        width = np.pi - 2 * h[:, None]
        one, two = width * x, width * rest
        sign = 1.0 if start < 0 else -1.0
        # cos(phi - h) = sign sin(one), cos(phi + h) = sign sin(two); their difference without cancellation
        first, second = np.sin(one), np.sin(two)
        side = right if sign > 0 else left
        # sin(one) - sin(two) = 2 cos((one + two)/2) sin((one - two)/2); one - two = 2 (phi - middle)
        spread = 2 * np.cos(width / 2) * np.sin((one - two) / 2)
        change = _power_difference(first, second, spread, degree)
        total += 0.5 * ((side * change) ** 2 * weight).sum(1) * width[:, 0]
    radial = 2**degree * gamma(degree + 1)  # int r^{2 degree + 1} exp(-r^2/2) dr
    return np.asarray(total * radial / (2 * np.pi))


def _power_difference(first: Array, second: Array, spread: Array, degree: float) -> Array:
    """first^degree - second^degree, their difference ``spread`` being known."""
    if degree == 1:
        return spread
    return np.asarray(second**degree * np.expm1(degree * np.log1p(np.maximum(spread / second, -1 + 1e-16))))


def _nodes() -> Array:
    return np.asarray(np.cos(np.pi * (np.arange(DEGREE) + 0.5) / DEGREE))


def _transform(witness: bool) -> Array:
    """Values at the nodes to Chebyshev coefficients, of a witness without the last ones."""
    angle = np.pi * (np.arange(DEGREE) + 0.5) / DEGREE
    matrix = 2 / DEGREE * np.cos(np.outer(np.arange(DEGREE), angle))
    matrix[0] /= 2
    if witness:
        matrix[-_DROPPED:] = 0
    return np.asarray(matrix)


def _chebyshev(t: Array) -> Array:
    """T_0..T_{DEGREE-1} at t, (P, DEGREE)."""
    return np.asarray(np.cos(np.arange(DEGREE) * np.arccos(np.clip(t, -1, 1))[:, None]))


@lru_cache(maxsize=16)
def tables_of(sigma: Activation | Homogeneous, witness: bool = False) -> Tables:
    """The tables of an activation, the same for all who ask: what one has filled the next finds."""
    return Tables(sigma, witness)


__all__ = ["CELL", "DEGREE", "Tables", "tables_of"]
