"""Numbers of an elementary map: its shares of kernel and tangent kernel, evaluated in R replicas for A tokens.

Kernels are (R, A, A); tangent kernels have an axis for parameter groups in front, (G, R, A, A). R is 1 as long as
nothing was drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rgflow.errors import AccuracyError
from rgflow.network.transformer import Transformer
from rgflow.transformer.averages import token_averages
from rgflow.transformer.blocks import Chain
from rgflow.transformer.softmax import Softmax
from rgflow.transformer.stages import Factor, Product, Share, Stage

Array = NDArray[np.float64]


@dataclass(eq=False)
class Values:
    """Kernels and tangent kernels of the stages known so far, and averages of them.

    Attributes
    ----------
    net : Transformer
    allowed : (A, A) of bool, who attends to whom
    K, Theta : by stage
    draws, sequences : of the softmax averages
    worst : the largest error that an average over one or two Gaussian neurons states
    """

    net: Transformer
    allowed: NDArray[np.bool_]
    draws: int
    sequences: tuple[np.random.SeedSequence, ...]
    K: dict[str, Array] = field(default_factory=dict)
    Theta: dict[str, Array] = field(default_factory=dict)
    worst: float = 0.0
    _averages: dict[Factor, Array] = field(default_factory=dict)

    def through(self, chain: Chain) -> None:
        """Evaluate all stages of a chain."""
        stages = {stage.name: stage for stage in chain.stages}
        self._averages = {}
        for stage in chain.stages:
            if _is_pairs(stage):
                continue
            softmax = _softmax_stage(stage)
            made = self._mixed(stage, stages[softmax]) if softmax else self._plain(stage)
            self.K[stage.name], self.Theta[stage.name] = made

    def _plain(self, stage: Stage) -> tuple[Array, Array]:
        """Entry by entry: every factor is a matrix over pairs of tokens."""
        shares = stage.shares
        kernel = sum((self._share(share) for share in shares if share.tensor == "K"), np.zeros(1))
        tangent = np.zeros((len(self.net.groups), *kernel.shape))
        for share in shares:
            if share.tensor != "Theta":
                continue
            if share.group is None:
                tangent = tangent + self._share(share)
            elif share.group in self.net.groups:
                tangent = tangent.copy()
                tangent[self.net.groups.index(share.group)] += self._share(share)
        return self._broadcast(kernel), tangent

    def _broadcast(self, kernel: Array) -> Array:
        size = len(self.allowed)
        return np.broadcast_to(kernel, (*kernel.shape[:-2], size, size)) if kernel.ndim > 1 else kernel

    def _share(self, share: Share) -> Array:
        found: Array = np.ones((1, 1, 1))
        for name in share.symbols:
            found = found * self.net.value(name)
        for factor in share.factors:
            found = found * self._factor(factor)
        return found

    def _factor(self, factor: Factor) -> Array:
        if factor.what == "K":
            return self.K[factor.stage]
        if factor.what == "Theta":
            return self.Theta[factor.stage]
        if factor not in self._averages:
            if factor.what == "N":
                self._averages[factor] = _normaliser(self.K[factor.stage], self.net.eps)
            else:
                for what, array in zip(("<σσ>", "<σ'σ'>"), self._brackets(factor.stage), strict=True):
                    self._averages[Factor(what, factor.stage)] = array
        return self._averages[factor]

    def _brackets(self, stage: str) -> tuple[Array, Array]:
        """<σσ> and <σ'σ'> of all pairs of tokens."""
        square, slope, error = token_averages(self.net.activation, self.K[stage])
        self.worst = max(self.worst, error)
        return square, slope

    def _mixed(self, stage: Stage, logits: Stage) -> tuple[Array, Array]:
        """y = Omega v: shares with <ΩΩ> or <∂Ω∂Ω>, the tangent kernel of the logits opened into its own shares."""
        (q, k) = (argument.stage for argument in logits.arguments)  # type: ignore[union-attr]
        replicas = self._spread(q, k)
        groups = len(self.net.groups)
        squares: list[tuple[str, Array]] = []
        slopes: list[tuple[Array, Array]] = []  # what multiplies the rows' average, and what is contracted with it
        values: Array | None = None
        for share in stage.shares:
            *averages, last = share.factors
            inside = self._factor(last)
            if averages[0].what == "<ΩΩ>":
                squares.append((share.tensor, inside))
                continue
            values = inside
            for part in (part for part in logits.shares if part.tensor == "Theta"):
                rows, columns = (self._factor(factor) for factor in part.factors)
                slopes.append((rows, columns))
        between = np.concatenate([_listed(x, replicas) for _, x in squares])
        along = np.concatenate([_listed(columns, replicas) for _, columns in slopes])
        softmax = Softmax(
            np.broadcast_to(self.K[q], (replicas, *self.K[q].shape[-2:])),
            np.broadcast_to(self.K[k], (replicas, *self.K[k].shape[-2:])),
            self.allowed,
            self.draws,
            tuple(sequence.spawn(1)[0] for sequence in self.sequences),
        )
        assert values is not None
        square, slope = _without_zeros(softmax, between, along, _listed(values, replicas)[0])
        return self._collected(squares, square, slopes, slope, groups)

    def _collected(
        self,
        squares: list[tuple[str, Array]],
        square: Array,
        slopes: list[tuple[Array, Array]],
        slope: Array,
        groups: int,
    ) -> tuple[Array, Array]:
        """Add up what the shares of the mixing stage gave, in the order in which they were listed."""
        kernel = np.zeros(square.shape[1:])
        tangent = np.zeros((groups, *square.shape[1:]))
        for tensor, inside in squares:
            count = 1 if inside.ndim == 3 else groups
            if tensor == "K":
                kernel = kernel + square[:count].sum(axis=0)
            else:
                tangent = tangent + square[:count]
            square = square[count:]
        for rows, columns in slopes:
            count = 1 if columns.ndim == 3 else groups
            tangent = tangent + rows * slope[:count]
            slope = slope[count:]
        return kernel, tangent

    def _spread(self, q: str, k: str) -> int:
        """The number of replicas from here on: one, as long as nothing is drawn."""
        now = max(len(self.K[q]), len(self.K[k]))
        still = Softmax(self.K[q], self.K[k], self.allowed, self.draws, self.sequences).exact
        return now if still else len(self.sequences)


def _without_zeros(softmax: Softmax, between: Array, along: Array, values: Array) -> tuple[Array, Array]:
    """Groups whose tangent kernel still vanishes cost nothing."""
    first, second = np.zeros_like(between), np.zeros_like(along)
    some, others = between.any(axis=(1, 2, 3)), along.any(axis=(1, 2, 3))
    first[some], second[others] = softmax.averages(between[some], along[others], values)
    return first, second


def _listed(x: Array, replicas: int) -> Array:
    """(R, A, A) or (G, R, A, A) as a list of matrices in so many replicas."""
    found = x[None] if x.ndim == 3 else x
    return np.broadcast_to(found, (len(found), replicas, *found.shape[-2:]))


def _normaliser(kernel: Array, eps: float) -> Array:
    """N_ab = 1/sqrt((K_aa + eps)(K_bb + eps))."""
    diagonal = np.diagonal(kernel, axis1=-2, axis2=-1) + eps
    if not (diagonal > 0).all():
        raise AccuracyError("LayerNorm of a token whose kernel vanishes; give eps > 0, C_PE > 0 or other inputs")
    root = 1 / np.sqrt(diagonal)
    return np.asarray(root[..., :, None] * root[..., None, :])


def _softmax_stage(stage: Stage) -> str | None:
    """The stage of logits of a product with softmax rows."""
    if isinstance(stage, Product):
        found = [argument.stage for argument in stage.arguments if argument.function == "Ω"]
        return found[0] if found else None
    return None


def _is_pairs(stage: Stage) -> bool:
    """Logits: a product of two different stages, with indices of its own for each; opened where they are used."""
    return isinstance(stage, Product) and len(stage.arguments) == 2 and all(not a.function for a in stage.arguments)
