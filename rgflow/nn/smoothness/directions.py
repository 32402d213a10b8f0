"""Random directions v with E[v v^T] = 1, and what their fourth moment makes of the noise of v^T A v.

Every kind here is symmetric under permutations and sign flips of the coordinates, so that

    E[v_i v_j v_k v_l] = a (d_ij d_kl + d_ik d_jl + d_il d_jk) + b d_ijkl,
    Var(v^T A v) = (a - 1) (Tr A)^2 + 2 a Tr A^2 + b sum_i A_ii^2        for a symmetric A.

The two numbers follow from moments of one or two coordinates: a = E[v_1^2 v_2^2], 3 a + b = E[v_1^4].
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from rgflow.errors import InputError, UnknownName
from rgflow.seeds import seed_sequence

Tensor = torch.Tensor


class Kind(NamedTuple):
    """How a direction is made of independent normal numbers, and a, b of its fourth moment in C dimensions."""

    made: Callable[[Tensor], Tensor]
    moments: Callable[[int], tuple[float, float]]


def _sphere(g: Tensor) -> Tensor:
    size: Tensor = torch.linalg.vector_norm(g, dim=-1, keepdim=True)
    found: Tensor = g * math.sqrt(g.shape[-1]) / size
    return found


KINDS = {
    # |v|^2 = C always: E|v|^4 = C^2 = a C (C + 2)
    "sphere": Kind(_sphere, lambda C: (C / (C + 2), 0.0)),
    # coordinates +-1: E[v_1^2 v_2^2] = E[v_1^4] = 1
    "rademacher": Kind(lambda g: torch.where(g < 0, -1.0, 1.0).to(g), lambda C: (1.0, -2.0)),
    # E[v_1^4] = 3
    "gaussian": Kind(lambda g: g, lambda C: (1.0, 0.0)),
}
ORTHONORMAL = "orthonormal"
"""Directions of the sphere at right angles to one another: several of them are better than independent ones."""


def known_directions(name: Any) -> str:
    """The name of a kind of directions; UnknownName otherwise."""
    if not isinstance(name, str) or name not in (*KINDS, ORTHONORMAL):
        raise UnknownName("kind of directions", name, (*KINDS, ORTHONORMAL))
    return name


def generator(seed: Any, call: int = 0) -> torch.Generator:
    """A generator on the CPU, of a seed as rgflow takes it and the number of the call: the same on every device."""
    sequence = seed_sequence(seed)
    child = type(sequence)(sequence.entropy, spawn_key=(*sequence.spawn_key, call))
    return torch.Generator().manual_seed(int(child.generate_state(1, "uint64")[0] >> 1))


def draw(kind: str, count: int, samples: int, outputs: int, source: torch.Generator) -> Tensor:
    """``count`` directions for every sample, (count, samples, outputs), float64 on the CPU; E[v v^T] = 1.

    Raises InputError for more orthonormal directions than there are outputs.
    """
    normal = torch.randn(count, samples, outputs, generator=source, dtype=torch.float64)
    if kind != ORTHONORMAL:
        return KINDS[kind].made(normal)
    if count > outputs:
        raise InputError(f"{count} orthonormal directions among {outputs} outputs; take at most {outputs}, or 'exact'")
    # columns of a Haar matrix: QR of normal numbers, with the signs that make R's diagonal positive
    q, r = torch.linalg.qr(normal.permute(1, 2, 0))
    signs = torch.where(torch.diagonal(r, dim1=-2, dim2=-1) < 0, -1.0, 1.0).to(q)
    frames: Tensor = (q * signs[:, None, :]).permute(2, 0, 1)
    return frames * math.sqrt(outputs)


def variance(A: Tensor, projections: int, kind: str) -> Tensor:
    """Variance of the mean of v^T A v over ``projections`` directions; A (..., C, C) symmetric."""
    C = A.shape[-1]
    trace = torch.diagonal(A, dim1=-2, dim2=-1).sum(-1)
    square = (A * A).sum((-2, -1))
    a, b = KINDS["sphere" if kind == ORTHONORMAL else kind].moments(C)
    one = (a - 1) * trace**2 + 2 * a * square
    if b:
        one = one + b * (torch.diagonal(A, dim1=-2, dim2=-1) ** 2).sum(-1)
    if kind == ORTHONORMAL:
        # n (Tr P A) with a random projector P of rank n: what is left of C - 1 independent directions
        if projections > C:
            raise InputError(f"{projections} orthonormal directions among {C} outputs; take at most {C}")
        one = one * ((C - projections) / max(C - 1, 1))
    found: Tensor = one.clamp_min(0) / projections  # rounding must not leave a variance below zero
    return found
