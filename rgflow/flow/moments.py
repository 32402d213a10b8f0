"""Which Gaussian moments the brackets of a table need at N inputs, and where their values go.

A bracket's factors may sit on equal samples: then they form one function of one variable. Each bracket with each
choice of samples and each distribution of its derivatives over the different samples is one moment; moments are
evaluated together for all sets of d different samples.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rgflow.activations import Activation
from rgflow.algebra import Bracket
from rgflow.algebra.partitions import set_partitions
from rgflow.brackets.together import moments_together
from rgflow.errors import OrderError

MOST_VALUES = 2**26  # 512 MiB
Moment = tuple[tuple[tuple[int, ...], int], ...]


@dataclass(frozen=True)
class Plan:
    """The moments of a table at N inputs.

    Attributes
    ----------
    offsets : array
        Where the block of each bracket shape starts.
    size : int
        Number of bracket values.
    groups : tuple of (subsets, moments, places, rows, columns)
        For d = 1, 2, ..: the sets of d samples (G, d), the moments (M), and where value [row, column] of the (G, M)
        result goes.
    """

    offsets: NDArray[np.int64]
    size: int
    groups: tuple[tuple[Any, tuple[Moment, ...], Any, Any, Any], ...]

    def evaluate(self, activation: Activation, kernels: Any, threads: int = 1, doubts: Any = None) -> tuple[Any, Any]:
        """Values and errors of all brackets at kernels (B, N, N), (B, size); written derivatives are the branches'.

        At one kernel (N, N) they are (size,). ``doubts`` are the errors of the kernels, which are carried along.
        """
        if kernels.ndim == 2:
            values, errors = self.evaluate(activation, kernels[None], threads, None if doubts is None else doubts[None])
            return values[0], errors[0]
        values, errors = np.zeros((2, len(kernels), self.size))
        for subsets, moments, places, rows, columns in self.groups:
            found, uncertain = moments_together(
                activation, kernels, subsets, list(moments), threads=threads, doubts=doubts
            )
            values[:, places] = found[:, rows, columns]
            errors[:, places] = uncertain[:, rows, columns]
        return values, errors


@lru_cache(maxsize=32)
def plan(shapes: tuple[Bracket, ...], samples: int) -> Plan:
    """Plan the moments of bracket shapes at N inputs."""
    size = sum(samples ** len(s.factors) * (s.pending + 1) ** len(s.factors) for s in shapes)
    if size > MOST_VALUES:
        raise OrderError(
            f"the brackets of this flow with {samples} different inputs would fill {size * 8 / 2**30:.1f} GiB; "
            "ask a lower order, fewer tensors or fewer inputs"
        )
    offsets = [0]
    numbers: dict[int, dict[Moment, int]] = defaultdict(dict)
    targets: dict[int, list[tuple[Any, Any, int]]] = defaultdict(list)
    subsets: dict[int, Any] = {}
    for shape in shapes:
        width, base = len(shape.factors), shape.pending + 1
        for blocks in set_partitions(width):
            d = len(blocks)
            if d > samples:
                continue
            if d not in subsets:
                subsets[d] = _subsets(samples, d)
            for order in permutations(range(d)):  # block i sits on the order[i]-th smallest sample of the subset
                place = np.zeros(len(subsets[d]), np.int64)
                for factor in range(width):
                    block = next(i for i, members in enumerate(blocks) if factor in members)
                    place = place * samples + subsets[d][:, order[block]]
                for spread in _spreads(shape.pending, d):
                    counts = sum(number * base ** blocks[i][0] for i, number in enumerate(spread))
                    local: list[Any] = [None] * d
                    for i, members in enumerate(blocks):
                        orders = tuple(sorted(shape.factors[f][1] for f in members))
                        local[order[i]] = (orders, spread[i])
                    column = numbers[d].setdefault(tuple(local), len(numbers[d]))
                    targets[d].append((offsets[-1] + place * base**width + counts, np.arange(len(place)), column))
        offsets.append(offsets[-1] + samples**width * base**width)
    groups = []
    for d in sorted(targets):
        places = np.concatenate([p for p, _, _ in targets[d]])
        rows = np.concatenate([r for _, r, _ in targets[d]])
        columns = np.concatenate([np.full(len(p), c) for p, _, c in targets[d]])
        groups.append((subsets[d], tuple(numbers[d]), places, rows, columns))
    return Plan(np.array(offsets[:-1], np.int64), offsets[-1], tuple(groups))


def _subsets(samples: int, d: int) -> NDArray[np.int64]:
    return np.array(list(combinations(range(samples), d)), np.int64).reshape(-1, d)


def _spreads(total: int, parts: int) -> list[tuple[int, ...]]:
    """All ways to spread ``total`` derivatives over ``parts`` different samples."""
    if parts == 1:
        return [(total,)]
    return [(first, *rest) for first in range(total + 1) for rest in _spreads(total - first, parts - 1)]
