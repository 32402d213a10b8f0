"""Trusted values: every symbol, tensor component, jet and coefficient of sigma has a number from the hash of its name.

Whoever evaluates an expression of them meets the same numbers, so that two forms of it can be compared exactly. They
are integers (r is a fraction), since averages of polynomials over Gaussians with integer covariance are integers.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from hashlib import sha256
from itertools import permutations

from rgflow.algebra.jets import Edges, Jet, Pair

R = Fraction(3, 2)
"""The width ratio n_l / n_{l-1}."""


@lru_cache(maxsize=1 << 16)
def trusted(name: str) -> int:
    """The number of a name, from 1 to 97, of either sign.

    >>> trusted("C_W") == trusted("C_W"), trusted("") != 0
    (True, True)
    """
    digest = sha256(name.encode()).digest()
    size = 1 + int.from_bytes(digest[2:6]) % 97
    return -size if digest[1] % 2 else size


def symbol(names: Sequence[str]) -> int:
    """The product of hyperparameters."""
    value = 1
    for name in names:
        value *= trusted(name)
    return value


@lru_cache(maxsize=64)
def sigma(degree: int) -> tuple[int, ...]:
    """The coefficients of the activation, low to high: a polynomial without zeros among them."""
    return tuple(trusted(f"sigma {power}") for power in range(degree + 1))


@lru_cache(maxsize=1 << 16)
def cumulant(pairs: tuple[Pair, ...], order: int) -> int:
    """kappa^{[order]} of metric entries: one number for all ways to write them, 0 if a direction occurs once.

    Entries may be permuted, their jets swapped, directions renamed.
    """
    edges = sorted(e for pair in pairs for jet in pair for e in jet.edges)
    if edges[::2] != edges[1::2]:
        return 0
    different = edges[::2]
    forms = (_written(pairs, dict(zip(different, names, strict=True))) for names in permutations(range(len(different))))
    return trusted(f"kappa {order} {min(forms)}")


def _written(pairs: tuple[Pair, ...], names: dict[int, int]) -> tuple[tuple[tuple[int, Edges], ...], ...]:
    """The entries with other names for their directions, sorted."""
    return tuple(
        sorted(
            tuple(sorted((jet.sample, tuple(sorted(names[e] for e in jet.edges))) for jet in pair)) for pair in pairs
        )
    )


def covariance(one: Jet, other: Jet) -> int:
    """That of two jets of a neuron: K of plain ones, Theta along one direction, 0 for all others of a forest."""
    if one.edges != other.edges or len(one.edges) > 1:
        return 0
    return cumulant(((one, other),), 0)
