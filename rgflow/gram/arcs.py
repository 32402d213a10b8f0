"""Averages over one input that are closed, of erf (Williams 1997) and gelu (Tsuchida et al. 2021, arXiv:2002.08517).

The kernels of pairs (:func:`rgflow.gram.kernels.arcs`) at K_ab = K_aa = K_bb, as arctangents, which keep their digits
where an arcsine nears its end, and Gaussian moments of s'' and s''', which are polynomials times a Gaussian.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rgflow.activations import Activation
from rgflow.activations import activation as activation_named

Floats = NDArray[np.float64]


@lru_cache(maxsize=1)
def arcs() -> tuple[Activation, Activation]:
    """Smooth activations whose averages over pairs are closed: erf and gelu."""
    return activation_named("erf"), activation_named("gelu")


class Arc(NamedTuple):
    """At kernels K (N,): <s s>, <s' s'>, d<s s>/dK, and the norm of each input in ``kernels.arcs``.

    second, third : the largest of <s''^2> and <s'''^2>
    """

    square: Floats
    slope: Floats
    answer: Floats
    norm: Floats
    second: float
    third: float


def closed(activation: Activation, K: Floats) -> Arc:
    """All averages over one input of erf or gelu."""
    return (_erf if activation == arcs()[0] else _gelu)(K)


def _erf(K: Any) -> Arc:
    double = 1 + 2 * K
    root = np.sqrt(1 + 4 * K)
    slope = 4 / np.pi / root
    v = K / root**2  # of z under the Gaussian times s'^2
    return Arc(
        2 / np.pi * np.arctan(2 * K / root),
        slope,
        slope / double,
        np.sqrt(2 / double),
        float((4 * v * slope).max()),
        float(((4 - 16 * v + 48 * v * v) * slope).max()),
    )


def _gelu(K: Any) -> Arc:
    root = np.sqrt(1 + 2 * K)
    norm = 1 / (1 + K)
    angle = np.arctan(K / root)
    share = K * norm / root
    v = K / root**2  # of z under the Gaussian times phi^2
    weight = 1 / (2 * np.pi * root)
    return Arc(
        K / 4 + (2 * K * share + K * angle) / (2 * np.pi),
        0.25 + (angle + K / root * (1 + 2 * (1 - K) * norm + 2 * K * v * norm)) / (2 * np.pi),
        0.25 + (angle + share * (5 - 2 * K * norm - 2 * v)) / (2 * np.pi),
        np.sqrt(norm),
        float(((4 - 4 * v + 3 * v * v) * weight).max()),
        float(((16 * v - 24 * v * v + 15 * v**3) * weight).max()),
    )
