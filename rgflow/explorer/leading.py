"""K, Theta and both susceptibilities of one input, fast enough to follow a slider: for every kind of layer.

The lines of the mean and of the response are those that the engine derives from the law of a layer; here they are only
read, with the Gaussian averages from polynomials in ln K that miss 1e-11 of them at most. :func:`rgflow.flow` gives the
same numbers with an error of its own for each, up to a hundred times slower where layers have norms or branches;
``tests/explorer`` compares the two.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rgflow.activations import Activation, activation
from rgflow.algebra.jets import Jet
from rgflow.algebra.response import OF_KERNEL, OF_VARIANCE, Answer, Entry
from rgflow.brackets import gaussian_moments
from rgflow.brackets.moments import sized_moments
from rgflow.derive.response import mean, response
from rgflow.errors import AccuracyError, KinkError
from rgflow.flow.inputs import entering, start
from rgflow.layers.law import Law
from rgflow.layers.stages import Stage, stages
from rgflow.network import Network

PLAIN: Entry = (Jet(1), Jet(1))
TANGENT: Entry = (Jet(1, (0,)), Jet(1, (0,)))
SQUARE, SLOPE, TILT, MEAN, BEND = ((0, 0), 0), ((1, 1), 0), ((0, 0), 2), ((0,), 0), ((0,), 2)
LEAST, FAR, TINY = 1e-290, 1e15, 1e-15  # kernels: far ones run away, and of tiny ones only the first power counts
GOOD = 1e-11  # of the average of the absolute integrand: what a polynomial may miss
AVERAGES = (SQUARE, SLOPE, TILT, MEAN, BEND)


@dataclass(frozen=True)
class Leading:
    """What one input does, layer by layer.

    Attributes
    ----------
    K, Theta : list of float
        At the layers 1, 2, .. as far as they are finite.
    chi_parallel, chi_perpendicular : list of float
        Of the step from each layer to the next: one fewer, or as many where the flow stopped.
    stopped : str
        Why it ends before the last layer, or nothing.
    """

    K: list[float]
    Theta: list[float]
    chi_parallel: list[float]
    chi_perpendicular: list[float]
    stopped: str = ""


@dataclass(frozen=True)
class _Term:
    """number * averages * K^kernels * Theta^thetas / nu^norms of the stage ``back`` below."""

    symbols: tuple[str, ...]
    coefficient: float
    averages: tuple[int, ...]
    kernels: int
    thetas: int
    norms: int
    back: int


@dataclass(frozen=True)
class _Lines:
    constants: tuple[tuple[str, ...], tuple[str, ...]]
    kernel: tuple[_Term, ...]
    tangent: tuple[_Term, ...]
    response: tuple[_Term, ...]


def leading(net: Network, first_kernel: float) -> Leading:
    """Flow one input whose kernel of layer 1 is given.

    Raises
    ------
    InputError
        As :func:`rgflow.flow`.
    KinkError
        For an activation that jumps.

    >>> from rgflow.network import MLP
    >>> found = leading(MLP.uniform(n_in=8, width=8, depth=3, activation="relu", C_W=2.0), 1.0)
    >>> [round(value, 9) for value in found.chi_perpendicular]
    [1.0, 1.0]
    """
    if not net.activation.continuous:
        raise KinkError(
            f"{net.activation.name} jumps, and the average of its squared derivative is infinite; join its pieces"
        )
    overlap = start(net, first_kernel=first_kernel).overlap
    through = stages(net)
    return _Run(net.activation, through).flow(overlap)


class _Run:
    def __init__(self, activation: Activation, through: tuple[Stage, ...]):
        self.through = through
        self.read = reader(activation)
        self.K: list[float] = []
        self.Theta: list[float] = []
        self.seen: list[tuple[float, ...]] = []  # averages at each stage
        self.numbers: dict[tuple[Any, Law, int, int], Any] = {}

    def flow(self, overlap: Any) -> Leading:
        first = self.through[0]
        K, Theta = (float(value[0, 0]) for value in entering(first.description, overlap))
        self._add(K, Theta)
        found = Leading([K], [Theta], [], [])
        moved = {0: (1.0, 1.0)}  # stage: how much K and Theta there move with those of the layer below
        for t, stage in enumerate(self.through[1:], start=1):
            try:
                K, Theta, *changes = self._stage(t, stage, moved)
            except (AccuracyError, OverflowError, ZeroDivisionError) as error:
                return replace(found, stopped=_stopped(stage, self.read.activation, error))
            if not (math.isfinite(K) and math.isfinite(Theta)):
                return replace(found, stopped=_stopped(stage, self.read.activation, None))
            moved[t] = (changes[0], changes[1])
            self._add(K, Theta)
            if stage.last:
                found.K.append(K)
                found.Theta.append(Theta)
                found.chi_parallel.append(changes[0])
                found.chi_perpendicular.append(changes[1])
                moved = {t: (1.0, 1.0)}
        return found

    def _add(self, K: float, Theta: float) -> None:
        self.K.append(K)
        self.Theta.append(Theta)
        self.seen.append(())

    def _averages(self, t: int) -> tuple[float, ...]:
        if not self.seen[t]:
            self.seen[t] = self.read(self.K[t])
        return self.seen[t]

    def _stage(self, t: int, stage: Stage, moved: dict[int, tuple[float, float]]) -> tuple[float, float, float, float]:
        """K and Theta of a stage, and how they move with those of the layer below."""
        (constant, rate), *lines = self._numbers(stage)
        nu = self._nu(t, stage)
        values = []
        for terms in lines:
            total = move = 0.0
            for number, term in terms:
                below = t - term.back
                value = number
                for place in term.averages:
                    value *= self._averages(below)[place]
                if term.kernels:
                    value *= self.K[below] ** term.kernels
                if term.norms:
                    value /= nu**term.norms
                if term.thetas:
                    move += value * moved[below][1] if below in moved else 0.0
                    value *= self.Theta[below]
                total += value
                if terms is lines[2] and below in moved:
                    move += value * moved[below][0]
            values.append((total, move))
        return constant + values[0][0], rate + values[1][0], values[2][1], values[1][1]

    def _numbers(self, stage: Stage) -> Any:
        """The lines with the hyperparameters of a stage put in, the same for equal neighbours."""
        key = (stage.description, stage.law, stage.fan_in, stage.width)
        if key not in self.numbers:
            lines = _lines(stage.law)
            put = [
                [(term.coefficient * stage.product(term.symbols), term) for term in terms]
                for terms in (lines.kernel, lines.tangent, lines.response)
            ]
            constants = tuple(float(sum(map(stage.value, names))) for names in lines.constants)
            self.numbers[key] = (constants, *put)
        return self.numbers[key]

    def _nu(self, t: int, stage: Stage) -> float:
        """What the norm of a stage divides by."""
        if stage.law.scale is None:
            return 1.0
        if stage.law.scale == OF_KERNEL:
            square = self.K[t - 1]
        else:
            averages = self._averages(t - 1)
            square = averages[0] - (averages[3] ** 2 if stage.law.scale == OF_VARIANCE else 0.0)
        found = square + stage.value("epsilon")
        if found <= 0:
            raise AccuracyError("its norm divides by nothing")
        return math.sqrt(found)


def _stopped(stage: Stage, activation: Activation, error: Exception | None) -> str:
    if isinstance(error, AccuracyError):
        return f"the flow ends at layer {stage.layer - 1}: {error}"
    return (
        f"the flow of {activation.name} runs away: the kernel is not finite at layer {stage.layer}; "
        "choose smaller weights, a smaller skip, or fewer layers"
    )


class Reader:
    """The averages of one activation at a kernel: polynomials in ln K, an octave of K each, made when first needed.

    Octaves whose polynomial misses what quadrature finds between its nodes are read by quadrature.
    """

    def __init__(self, activation: Activation):
        self.activation = activation
        self.octaves: dict[int, Array | None] = {}
        self.at_one: tuple[float, ...] = ()
        self.ends: tuple[tuple[float, ...], ...] = ()

    def __call__(self, K: float) -> tuple[float, ...]:
        if self.activation.slopes is not None and K > 0:
            return self._two_lines(K)
        if K > FAR:
            raise AccuracyError(f"the kernel is {K:.2g} there and runs away")
        if 0 < K < TINY and 0.0 not in self.activation.kinks:
            return self._straight(K)
        return self._in_octave(K) if K >= LEAST else self._by_quadrature(K)

    def _two_lines(self, K: float) -> tuple[float, ...]:
        """sigma(s z) = s sigma(z) for s > 0: every average is a power of K times that at K = 1."""
        if not self.at_one:
            self.at_one = self._by_quadrature(1.0)
        root = math.sqrt(K)
        square, slope, tilt, mean_, bend = self.at_one
        return square * K, slope, tilt, mean_ * root, bend / root

    def _straight(self, K: float) -> tuple[float, ...]:
        """Averages of smooth functions are straight lines in K at kernels whose square is nothing beside them."""
        if not self.ends:
            self.ends = (self._by_quadrature(0.0), self._by_quadrature(TINY))
        share = K / TINY
        return tuple(a + share * (b - a) for a, b in zip(*self.ends, strict=True))

    def _in_octave(self, K: float) -> tuple[float, ...]:
        front, octave = math.frexp(K)  # front from 1/2 to 1
        if octave not in self.octaves:
            self.octaves[octave] = self._fitted(octave)
        coefficients = self.octaves[octave]
        if coefficients is None:
            return self._by_quadrature(K)
        t = 2 * math.log2(2 * front) - 1
        return tuple((coefficients @ np.cos(_DEGREES * math.acos(min(1.0, max(-1.0, t))))).tolist())

    def _fitted(self, octave: int) -> Array | None:
        """Chebyshev coefficients (averages, DEGREE + 1) over an octave; None if they are not good enough."""
        nodes = 2.0 ** (octave - 1 + (np.concatenate([_NODES, _BETWEEN]) + 1) / 2)
        try:
            found = sized_moments(self.activation, nodes[:, None, None], _MOMENTS, "almost_everywhere")
        except AccuracyError:
            return None  # some part of it may be known
        values, errors, sizes = found
        at_nodes, between = values[: len(_NODES)], values[len(_NODES) :]
        coefficients: Array = (_TO_CHEBYSHEV @ at_nodes).T
        missed = np.abs((coefficients @ np.cos(_DEGREES[:, None] * np.arccos(_BETWEEN))).T - between)
        good = (missed + errors.max(axis=0) <= GOOD * sizes.max(axis=0)).all()  # never of what is not finite
        return coefficients if good else None

    def _by_quadrature(self, K: float) -> tuple[float, ...]:
        values, errors = gaussian_moments(self.activation, [[[K]]], _MOMENTS, "almost_everywhere")
        if not np.isfinite(values).all() or (errors > 1e-6 * np.abs(values).max() + 1e-300).any():
            raise AccuracyError(f"averages of {self.activation.name} are not known well at the kernel {K:.3g}")
        return tuple(values[0].tolist())


Array = NDArray[np.float64]
DEGREE = 20
_DEGREES = np.arange(DEGREE + 1)
_NODES = np.cos(np.pi * (_DEGREES + 0.5) / (DEGREE + 1))
_BETWEEN = np.cos(np.pi * np.array([0.02, 2.0, 7.0, 10.0, 15.0, DEGREE + 0.98]) / (DEGREE + 1))
_TO_CHEBYSHEV = np.cos(np.pi * np.outer(_DEGREES, _DEGREES + 0.5) / (DEGREE + 1)) * (2.0 / (DEGREE + 1))
_TO_CHEBYSHEV[0] /= 2.0
_MOMENTS = [(entry,) for entry in AVERAGES]


def reader(sigma: Activation) -> Reader:
    """That of an activation, the same in every call of a process."""
    return _reader(sigma.formula_text)


@lru_cache(maxsize=64)
def _reader(formula: str) -> Reader:
    return Reader(activation(formula))


@lru_cache(maxsize=64)
def _lines(law: Law) -> _Lines:
    """The lines of K, Theta and of the response of K, of one input."""
    constants = (law.constants(*PLAIN), law.constants(*TANGENT))
    answers = (answer for answer in response(PLAIN, law) if answer.entries and not answer.noises)
    return _Lines(constants, *(_terms(line) for line in (mean(PLAIN, law), mean(TANGENT, law), answers)))


def _terms(answers: Iterable[Answer]) -> tuple[_Term, ...]:
    return tuple(
        _Term(
            answer.symbols,
            float(answer.coefficient),
            tuple(AVERAGES.index((bracket.orders, bracket.pending)) for bracket in answer.brackets),
            len(answer.kernels),
            len(answer.thetas),
            len(answer.norms),
            answer.back,
        )
        for answer in answers
    )
