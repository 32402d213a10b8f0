"""The law of a layer: how its random metric is made from the neurons below.

Given the layer below, the jets of the new layer are independent from neuron to neuron, with the metric

    G_ab = constants_ab + (1/n_l) sum_j g_ab(z_j),

where g is the *integrand*, a function of the jets of one neuron. What a kind may add to a dense layer:

- a part of the integrand may be of z itself instead of sigma(z) (``linear``), and of a stage further below (``back``);
- a *carry*: the new neuron i keeps ``skip`` times the value of neuron i below, so that z'_a z'_b has the part
  skip^2 z_a z_b of its own neuron, which is no average;
- *intrinsic* cumulants: parameters that are not Gaussian, whose fourth cumulant joins two entries of the metric;
- a *norm*: what the weights read is divided by an average over the neurons, so that G is a smooth map of averages.

A layer with two weight matrices is two laws, one after the other.
"""

from __future__ import annotations

from collections.abc import Hashable
from fractions import Fraction
from typing import NamedTuple, Protocol

from rgflow.algebra.jets import Jet, Pair


class Norm(NamedTuple):
    """x -> (x - m)/sqrt(v + epsilon) over the neurons of one input.

    centred : with the mean m and the variance v; otherwise m = 0 and v is the mean square.
    inside : of z, before sigma acts; otherwise of sigma(z).
    """

    centred: bool
    inside: bool


class Part(NamedTuple):
    """hyperparameters * s_left s_right, averaged over the neurons of the stage ``back`` stages below.

    symbols : their product. linear : of z itself, s = z, instead of s = D_S sigma(z). own : of the new neuron's own
    value below (always linear), not averaged. scaled : divided by nu of its two samples, the root of the law's
    ``scale``. norm : s is normalised, or sigma of what is normalised, which fluctuates with the neurons.
    """

    symbols: tuple[str, ...]
    left: Jet
    right: Jet
    linear: bool = False
    own: bool = False
    back: int = 1
    scaled: bool = False
    norm: Norm | None = None


class Exchange(NamedTuple):
    """coefficient * hyperparameters * <s_a s_c> <s_b s_d>: a product of averages over neurons below."""

    coefficient: Fraction
    symbols: tuple[str, ...]
    pairs: tuple[Pair, Pair]


class Law(Hashable, Protocol):
    """What the derivation asks of a layer, or of one of its weight matrices."""

    @property
    def name(self) -> str:
        """The kind, as it is printed."""

    @property
    def order(self) -> int | None:
        """The largest total order in 1/n to which the law holds; None: every order."""

    @property
    def odd(self) -> bool:
        """Whether it holds for odd activations only."""

    @property
    def carry(self) -> tuple[str, int] | None:
        """(skip, stages back) if a neuron keeps its own past; "" for a skip of 1."""

    @property
    def norm(self) -> Norm | None:
        """How what its weights read is normalised."""

    @property
    def scale(self) -> str | None:
        """What a norm divides by at leading order, squared: OF_KERNEL, OF_SQUARE or OF_VARIANCE of the stage below."""

    def constants(self, a: Jet, b: Jet) -> tuple[str, ...]:
        """Hyperparameters that enter G_ab as they are."""

    def integrand(self, a: Jet, b: Jet) -> tuple[Part, ...]:
        """g_ab, and the own part of a carry, as a sum of parts."""

    def intrinsic(self, first: Pair, second: Pair) -> tuple[Exchange, ...]:
        """What parameters that are not Gaussian add to n times the cumulant of two entries, at leading order."""


def forgets(law: Law) -> bool:
    """Whether recursions from one layer to the next are all: neurons keep no past, and nothing is normalised."""
    return law.carry is None and law.norm is None
