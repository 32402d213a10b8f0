"""The PDLT letters of a tiny network as n_{L-1} times cumulants of its outputs, by brute force."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from oracles.tiny_networks import Polynomial, TinyNetwork, times

Samples = tuple[int, int, int, int]


def brute_tensor(net: TinyNetwork, name: str, samples: Samples) -> Fraction:
    """One letter at the last layer, exact at the widths of ``net`` (two outputs at least), samples in PDLT's order.

    The neurons 0 and 1 are chosen so that only the pairing that names the letter has its deltas.
    """
    a, b, c, d = samples
    mean, z = net.mean, net.z
    builders: dict[str, Callable[[], Fraction]] = {
        "V": lambda: _covariance(net, times(z(0, a), z(0, b)), times(z(1, c), z(1, d))),
        "D": lambda: _covariance(net, times(z(0, a), z(0, b)), net.ntk((1, 1), (c, d))),
        "A": lambda: _covariance(net, net.ntk((0, 0), (a, b)), net.ntk((1, 1), (c, d))),
        # F[1,3,2,4], B[1,3,2,4]: neurons 1 = 3 and 2 = 4
        "F": lambda: mean(times(times(z(0, a), z(1, c)), net.ntk((0, 1), (b, d)))),
        "B": lambda: mean(times(net.ntk((0, 1), (a, c)), net.ntk((0, 1), (b, d)))),
        "P": lambda: mean(times(net.dntk((0, 1, 1), (a, b, c)), z(0, d))),
        "Q": lambda: mean(times(net.dntk((0, 0, 1), (a, b, c)), z(1, d))),
        "R": lambda: mean(net.ddntk_1((0, 0, 1, 1), (a, b, c, d))),
        "S": lambda: mean(net.ddntk_2((0, 0, 1, 1), (a, b, c, d))),
        # T[1,3,4,2], U[1,4,2,3]
        "T": lambda: mean(net.ddntk_2((0, 1, 0, 1), (a, d, b, c))),
        "U": lambda: mean(net.ddntk_2((0, 1, 1, 0), (a, c, d, b))),
    }
    return net.widths[-2] * builders[name]()


def _covariance(net: TinyNetwork, left: Polynomial, right: Polynomial) -> Fraction:
    return net.mean(times(left, right)) - net.mean(left) * net.mean(right)
