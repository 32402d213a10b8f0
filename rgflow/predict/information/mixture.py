r"""Information of a scale mixture without truncation: p(z) = <N(z; 0, G)> over a law of G, in one radius.

.. math:: J_m = \int_0^\infty \Big(p \ln\frac p\varphi - p + \varphi\Big)\, d\ln x, \qquad x = |z|^2 / \langle G\rangle

with the densities of ln x; the integrand is nowhere negative, so that no digits are lost where p is nearly Gaussian.
Both integrals are trapezoid rules on analytic functions that vanish at their ends; the error is the difference to the
rule of half the nodes. Which law G has is not fixed by V: the cumulants of G beyond the second decide, at v^4 and on.
Two are offered, each with <G> = 1 and Var G = v:

- "gamma": <xi^3> = 2 v^2;
- "log-normal": <xi^3> = 3 v^2 + v^3. A scale-invariant network of depth L and width n, at L/n fixed, tends to it: its
  metric is a product of L independent factors (then v = e^{nu L/n} - 1).
"""

from __future__ import annotations

import math
import sys
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rgflow.checks import not_negative, whole
from rgflow.errors import AccuracyError, InputError

LAWS = ("gamma", "log-normal")
SPREAD = 9.0  # widths of the Gaussian that are integrated over: e^{-40} is left out
WIDEST = 4.0  # the largest v: beyond, the tails of the mixture no longer fit into the radii
MOST = 10**6  # neurons
ACCURATE = 1e-6  # relative
SMALL = 0.1  # t below which e^t t - e^t + 1 is its series: sum of (k - 1) t^k/k!, to 1e-17 of the whole
TAYLOR = [(k - 1) / math.factorial(k) for k in range(12, 1, -1)] + [0.0, 0.0]


def neurons_of(name: str, value: Any) -> int:
    """A number of neurons whose density can still be integrated: from 1 to a million."""
    found = whole(name, value, 1)
    if found > MOST:
        raise InputError(f"{name} is {value if value < 10**20 else 'above 10^20'}; it must be at most {MOST}")
    return found


def mixture_negentropy(m: int, v: float, law: str = "gamma") -> tuple[float, float]:
    """(J_m, its numerical error) of m neurons with a common random variance of relative variance v, in nats.

    Raises
    ------
    InputError
        For m below 1, v that is negative or above 4, and laws that are not known.
    AccuracyError
        If quadrature does not reach six digits.

    >>> round(mixture_negentropy(2, 0.05)[0], 9)
    0.001087384
    """
    m = neurons_of("m", m)
    if law not in LAWS:
        raise InputError(f"law is {law!r}; it must be one of {', '.join(LAWS)}")
    v = not_negative("v", v)
    if v > WIDEST:
        raise InputError(f"v is {v:g}; of a mixture the relative variance must be at most {WIDEST:g}")
    if v == 0:
        return 0.0, 0.0
    return _negentropy(m, v, law)


def mixture_information(n_1: int, n_2: int, v: float, law: str = "gamma") -> tuple[float, float]:
    """(I(n_1; n_2), its numerical error): what two groups of neurons with a common random variance know of each other.

    >>> round(mixture_information(1, 1, 0.1)[0], 7)
    0.0009214
    """
    n_1, n_2 = neurons_of("n_1", n_1), neurons_of("n_2", n_2)
    parts = [mixture_negentropy(m, v, law) for m in (n_1 + n_2, n_1, n_2)]
    return parts[0][0] - parts[1][0] - parts[2][0], sum(error for _, error in parts)


@lru_cache(maxsize=4096)
def _negentropy(m: int, v: float, law: str) -> tuple[float, float]:
    fine, coarse = (_integral(m, v, law, nodes) for nodes in (1.0, 0.5))
    error = abs(fine - coarse) + 4 * sys.float_info.epsilon * math.sqrt(fine)
    if not error <= ACCURATE * fine:
        raise AccuracyError(f"the negentropy of {m} neurons at v = {v:g} has a relative error of {error / fine:.0e}")
    return fine, error


def _integral(m: int, v: float, law: str, nodes: float) -> float:
    log_G, weights = _law(v, law, m, nodes)
    top = max(float(log_G[-1]), 0.0)
    low, high = -80.0 / m + min(float(log_G[0]), 0.0), math.log(m + 100 + 14 * math.sqrt(m)) + top
    step = min(0.1, 0.35 / math.sqrt(m)) / nodes
    y = np.arange(low, high + step, step)
    x = np.exp(y)
    log_phi = m / 2 * (y - math.log(2)) - x / 2 - math.lgamma(m / 2)
    log_ratio = np.empty_like(x)
    for part in np.array_split(np.arange(x.size), max(1, x.size * log_G.size // 2**20)):
        exponent = -m / 2 * log_G + x[part, None] / 2 * -np.expm1(-log_G)
        most = exponent.max(axis=1)
        direct = np.log1p(np.expm1(np.minimum(exponent, 1.0)) @ weights)
        log_ratio[part] = np.where(most < 1, direct, np.log(np.exp(exponent - most[:, None]) @ weights) + most)
    near = np.abs(log_ratio) < 1
    t = np.where(near, log_ratio, 0.0)
    small = np.where(np.abs(t) < SMALL, np.polyval(TAYLOR, t), np.exp(t) * t - np.expm1(t))
    far = np.exp(log_phi + np.where(near, 0.0, log_ratio)) * (log_ratio - 1) + np.exp(log_phi)
    return float(np.sum(np.where(near, np.exp(log_phi) * small, far)) * step)


def _law(v: float, law: str, m: int, nodes: float) -> tuple[NDArray[np.float64], Any]:
    """ln G at nodes, and their weights, of sum 1 and mean G of 1."""
    if law == "log-normal":
        width = math.sqrt(math.log1p(v))
        step = min(width / 4, 0.35 / math.sqrt(m)) / nodes
        t = np.arange(-SPREAD * width, SPREAD * width + step, step) + width**2 / 2
        density = -((t + width**2 / 2) ** 2) / (2 * width**2)
    else:
        shape = 1 / v
        low = -(SPREAD**2 / 2 + 2) * v - SPREAD * math.sqrt(v)
        high = math.log1p(v * (SPREAD**2 / 2 + 2) + SPREAD * math.sqrt(v))
        step = min(math.sqrt(v) / 4, 0.15, 0.35 / math.sqrt(m)) / nodes
        t = np.arange(low, high + step, step)
        density = shape * (t - np.expm1(t))
    weights = np.exp(density - density.max())
    weights /= weights.sum()
    return t - math.log(float(weights @ np.exp(t))), weights
