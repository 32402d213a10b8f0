"""What a request needs drawn, how much memory a network takes, and how the networks are cut into batches and chunks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from rgflow.checks import kinks_rule
from rgflow.errors import InputError, KinkError
from rgflow.network import Dense, Network
from rgflow.sampling.alone import alone
from rgflow.sampling.backward import probes
from rgflow.sampling.estimators import LETTERS
from rgflow.sampling.jets import Directions, subsets
from rgflow.sampling.statistics import MINIMUM_BATCHES, batch_sizes

# Inputs up to which products of tangent kernels are averaged exactly, N^9 a network; more are probed.
_AVERAGED = 3
# "auto" draws no more than a request needs, "weights" all weights.
ROUTES = ("auto", "weights")
_OF_NEURONS = {"K", "V", "V6"}
_OF_TANGENT_KERNEL = {"Theta", "A", "B", "D", "F"}
# Tangent directions drawn for each network: ddNTK letters hold two; more lower the variance no faster than they cost.
_POOL = 2
# Stages that a layer has at most, for the estimate of its memory.
_STAGES = 4
# A chunk that stays in the processor's cache is faster than a large one; without matrices there is less to stay there.
_CACHE, _CACHE_OF_NEURONS = 2**21, 2**22
# Many operations on small arrays are worth more than that, and threads wait for each other between any two of them.
_LARGER_CACHE, _LARGE_CACHE = 2**23, 2**24
# Integers up to here are floats: weights and progress stay exact.
_MOST = 2**53


def check_networks(networks: int, names: Collection[str]) -> None:
    """Refuse too few networks for standard errors, or more than can be counted.

    Raises
    ------
    InputError
        For fewer than 100 networks (two for each of 50 batches), or 150 with V6 (three), and for more than 2^53.
    """
    if networks > _MOST:
        raise InputError(f"networks is {networks}; beyond {_MOST} (2^53) their number itself is rounded")
    least = MINIMUM_BATCHES * (3 if "V6" in names else 2)
    if networks < least:
        raise InputError(
            f"networks is {networks}; standard errors come from {MINIMUM_BATCHES} batches and need at least "
            f"{least} networks for {', '.join(names)}"
        )


@dataclass(frozen=True)
class Plan:
    """A validated request for networks; ``inputs`` counts those that differ."""

    net: Network
    inputs: int
    names: tuple[str, ...]
    route: str = "auto"

    def __post_init__(self) -> None:
        if self.route not in ROUTES:
            raise InputError(f"route is {self.route!r}; it is one of {', '.join(map(repr, ROUTES))}")

    @property
    def letters(self) -> tuple[str, ...]:
        """The letters measured by jets."""
        return tuple(name for name in self.names if name in LETTERS)

    @property
    def collapsed(self) -> bool:
        """Whether neurons, and what they say of the weights, are all that is drawn: single matrices, no derivatives."""
        single = type(self.net.layers[0]) is Dense and all(map(alone, self.net.layers[1:]))
        return self.route == "auto" and single and set(self.names) <= _OF_NEURONS | _OF_TANGENT_KERNEL

    @property
    def tangent(self) -> bool:
        """Whether tangent kernels are measured."""
        return not set(self.names) <= _OF_NEURONS

    @property
    def squares(self) -> str:
        """How letters quadratic in the tangent kernel are measured without weights, if any is: averaged or probed."""
        if not self.collapsed or not {"A", "B"} & set(self.names):
            return ""
        return "averaged" if self.independent and self.inputs <= _AVERAGED else "probed"

    @property
    def explicit(self) -> bool:
        """Whether weights are drawn; otherwise neurons come from their exact conditional Gaussian, O(n) a network."""
        return self.route == "weights" or (self.tangent and not self.collapsed)

    @property
    def pool(self) -> int:
        """Number of tangent directions drawn for each network."""
        return _POOL if self.letters else 0

    @property
    def _measured(self) -> set[str]:
        """The letters whose jets are needed: orthogonal weights mix S, T and U."""
        mixed = {"S", "T", "U"}
        return set(self.names) | (mixed if mixed & set(self.names) and not self.independent else set())

    @property
    def sets(self) -> list[Directions]:
        """The sets of directions along which neurons are differentiated."""
        return subsets(self.pool, 2 if {"R", "S"} & self._measured else 1)

    @property
    def sides(self) -> list[tuple[Directions, Directions]]:
        """The (A, B) of the tangent kernel's jets M[A|B]."""
        most = 2 if "R" in self.names else 1
        sides: list[tuple[Directions, Directions]] = [(chosen, ()) for chosen in self.sets if len(chosen) <= most]
        if {"T", "U"} & self._measured:
            sides += [((f,), (g,)) for f, g in combinations(range(self.pool), 2)]
        return sides

    @property
    def order(self) -> int:
        """The highest derivative of sigma used."""
        return 1 + max(len(chosen) for chosen in self.sets) if self.explicit else 0

    @property
    def moments(self) -> tuple[str, ...]:
        """The per-network numbers that are kept: G and Hbar for pairs of inputs, whole tensors for the others."""
        wanted = set(self.names)
        kept = [name for name in ("B", "F") if name in wanted] + list(self.letters)
        if wanted & {"K", "V", "V6", "D"}:
            kept.append("G")
        if wanted & {"Theta", "A", "D"}:
            kept.append("Hbar")
        if not (self.independent or self.collapsed):
            within = {"V2": {"V", "V6"}, "V3": {"V6"}, "D2": {"D"}, "A2": {"A"}}
            kept += [moment for moment, letters in within.items() if wanted & letters]
        if self.collapsed and "A" in wanted:
            kept.append("A2")
        return tuple(kept)

    @property
    def independent(self) -> bool:
        """Whether the neurons of a layer are known to be independent given those below; no harm in not knowing."""
        return all(type(layer) is Dense for layer in self.net.layers[1:])

    def entries(self, moment: str) -> tuple[int, ...]:
        """Shape of one per-network number at one layer."""
        pairs = {"G": 1, "Hbar": 1, "V2": 2, "D2": 2, "A2": 2, "V3": 3}
        if moment in pairs:
            return (self.inputs * (self.inputs + 1) // 2,) * pairs[moment]
        return (self.inputs,) * 4

    def check_kinks(self, kinks: str) -> None:
        """Refuse tensors whose definition meets a derivative of sigma at a kink.

        Raises
        ------
        KinkError
            For a kinked sigma and P..U, and for a discontinuous one and anything that holds sigma'. P and Q of one
            input with sigma = 0 at its kinks are measured in dense networks: there sigma'' stands beside a sigma that
            vanishes with it.
        """
        sigma = self.net.activation
        if kinks_rule(kinks) == "almost_everywhere" or not sigma.kinks:
            return
        allowed = set(_OF_NEURONS)
        if sigma.continuous:
            allowed |= _OF_TANGENT_KERNEL
            vanishes = self.inputs == 1 and self.independent
            if vanishes and all(float(sigma.derivatives(np.array([c]), 0)[0, 0]) == 0 for c in sigma.kinks):
                allowed |= {"P", "Q"}
        refused = [name for name in self.names if name not in allowed]
        if refused:
            raise KinkError(
                f"{', '.join(refused)} of {sigma.name!r} hold derivatives of sigma that do not exist at its kink(s) "
                f"{', '.join(map(str, sigma.kinks))}; kinks='almost_everywhere' measures them as automatic "
                "differentiation does, with derivatives of the branches only"
            )

    def record_bytes(self) -> int:
        """Bytes kept of one network until its batch is complete."""
        per_layer = 0
        for moment in self.moments:
            entries = 1
            for size in self.entries(moment):
                entries *= size
            per_layer += entries
        return 8 * per_layer * (self.net.depth - 1)

    def working_bytes(self) -> int:
        """Bytes that one network needs at most while it is propagated and measured."""
        if self.collapsed:
            return self._working_bytes_of_neurons()
        if not self.independent:
            return self._working_bytes_of_stages()
        rows = self.inputs * (6 + 6 * len(self.sets))
        most = 0
        hidden = self.net.widths[1:-1]
        for n, following in zip(hidden, (*hidden[1:], 0), strict=False):
            floats = rows * (n + following)
            if self.explicit:
                floats += n * following * (1 + 2 * self.pool)
                floats += (3 * len(self.sides) + 2) * self.inputs**2 * max(n, following) ** 2
            most = max(most, floats)
        return 8 * (most + 4 * self.inputs**4)

    def _working_bytes_of_neurons(self) -> int:
        """The same where no weights are drawn."""
        hidden, N = self.net.widths[1:-1], self.inputs
        n = max(hidden, default=1)
        foretelling = n * 3 * (N + 1) * (N + 2) // 2
        if not self.tangent:
            return 8 * (n * 4 * N + foretelling + 6 * N**2)
        floats = n * (6 * N + 5 * N**2) + foretelling + 8 * N**4
        if not self.independent:
            # Norms: their columns and rows, and what these make of all rows.
            floats += n * (16 * N + 3 * N**2)
        if self.squares == "averaged":
            floats += n * (4 * N**3 + 2 * N**4) + 3 * N**8 + 8 * N**6 + 12 * N**4
        elif self.squares:
            vectors = probes(N) * N
            # Every layer is kept for the way back, with its random numbers.
            floats += sum(hidden) * (4 * N + vectors) + n * 4 * vectors + 8 * vectors**2 + 4 * N**4
        return 8 * floats

    def _working_bytes_of_stages(self) -> int:
        """The same where a layer has more stages than one; each with its neurons, weights and tangent kernels."""
        sizes = [value for layer in self.net.layers for value in vars(layer).values() if isinstance(value, int)]
        n = max([*self.net.widths, *sizes])
        floats = n * _STAGES * self.inputs * (6 + 6 * len(self.sets))
        if self.explicit:
            # Orthogonal ones are factorised, and there are kernels between any two stages.
            floats += n**2 * _STAGES * (3 + 2 * self.pool)
            floats += n**2 * (5 * _STAGES * len(self.sides) + 4) * self.inputs**2
        pairs = self.inputs**2
        return 8 * (floats + 8 * pairs**2 + (8 * pairs**3 if "V6" in self.names else 0))

    def batches(self, networks: int) -> Sequence[int]:
        """Sizes of the batches; InputError for a number of networks that :func:`check_networks` refuses."""
        check_networks(networks, self.names)
        return batch_sizes(networks, self.record_bytes())

    def chunk(self, memory: int, threads: int, batch: int) -> int:
        """Networks propagated at a time so that ``threads`` of them stay below ``memory`` bytes.

        Raises
        ------
        InputError
            When not even one network fits; the message names the least memory.
        """
        single = max(1, self.working_bytes())
        kept = 3 * self.record_bytes()
        room = memory // threads
        if room < single + kept * batch:
            least = threads * (single + kept * batch)
            raise InputError(f"memory is {memory} bytes; {threads} thread(s) need at least {least}")
        cache = self._cache(threads)
        together = min(room // 2, cache) // (single + kept)
        if together > batch:
            return together
        return max(1, min(batch, min(room - kept * batch, cache) // single))

    def _cache(self, threads: int) -> int:
        """Bytes of a chunk."""
        if not self.collapsed:
            return _CACHE if self.explicit else _CACHE_OF_NEURONS
        return _LARGE_CACHE if self.tangent or threads > 1 else _LARGER_CACHE

    def useful(self, threads: int, chunk: int, networks: int) -> int:
        """Threads that have a whole chunk each; small arrays would be handed from one to the other and be slower."""
        return max(1, min(threads, networks // chunk)) if self.collapsed else threads

    def group(self, chunk: int, sizes: Sequence[int], threads: int) -> int:
        """Batches drawn together; no more than leave every thread some."""
        fair = len(sizes) // (4 * threads)
        return max(1, min(chunk // sizes[0], fair))
