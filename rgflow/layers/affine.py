"""Layers with Gaussian parameters: z' = bias + sum of weights times activated or plain values + skip z.

    G_ab = C_b [S_a = S_b = {}] + lambda_b [S_a = S_b = {e}] + sum over sources of (1/n) sum_j g_ab(z_j)
    g_ab = C_W s_a s_b + lambda_W sum_{e in S_a and S_b} s_{a-e} s_{b-e},       s_a = D_S sigma(z_alpha), or z_a itself

The C_W part averages over the weights; the lambda_W part over the tangent directions of the layer's own weights.
"""

from __future__ import annotations

from dataclasses import dataclass

from rgflow.algebra.jets import Jet, Pair
from rgflow.algebra.response import OF_SQUARE, OF_VARIANCE
from rgflow.layers.law import Exchange, Norm, Part


@dataclass(frozen=True)
class Source:
    """Weights that read a stage below: their variance, their learning rate, which stage, and what of it.

    An empty name stands for 1 (weight) or for 0 (rate: the weights are not trained).
    """

    weight: str = "C_W"
    rate: str = "lambda_W"
    linear: bool = False
    back: int = 1


@dataclass(frozen=True)
class Affine:
    """The law of a layer with Gaussian parameters (see :class:`rgflow.layers.law.Law`).

    Attributes
    ----------
    name : str
    bias : (str, str)
        Names of the variance and of the learning rate of biases; empty where there is none.
    sources : tuple of Source
        What the weights read: one for each matrix of this stage.
    carry : (str, int) or None
        Name of the skip strength, and how many stages back; None without a skip.
    limit : int or None
        The largest total order in 1/n to which the law holds, if a kind has one.
    odd : bool
        It holds for odd activations only.
    norm : Norm or None
        What all weights read is normalised, in this way.
    """

    name: str
    bias: tuple[str, ...] = ("C_b", "lambda_b")
    sources: tuple[Source, ...] = (Source(),)
    carry: tuple[str, int] | None = None
    limit: int | None = None
    odd: bool = False
    norm: Norm | None = None

    @property
    def order(self) -> int | None:
        """Every order; with a carry or a norm the first beyond the leading one."""
        return 1 if self.limit is None and (self.carry or self.norm) else self.limit

    @property
    def scale(self) -> str | None:
        """Behind sigma a norm divides by sizes of sigma; before it nothing is left to divide by (``Scaled``)."""
        if self.norm is None or self.norm.inside:
            return None
        return OF_VARIANCE if self.norm.centred else OF_SQUARE

    def constants(self, a: Jet, b: Jet) -> tuple[str, ...]:
        if a.edges != b.edges or len(a.edges) > 1:
            return ()
        return tuple(name for name in self.bias[len(a.edges) : len(a.edges) + 1] if name)

    def integrand(self, a: Jet, b: Jet) -> tuple[Part, ...]:
        parts = []
        if self.carry is not None:
            skip, back = self.carry
            parts.append(Part((skip, skip) if skip else (), a, b, linear=True, own=True, back=back))
        for source in self.sources:
            weight = (source.weight,) if source.weight else ()
            parts.append(Part(weight, a, b, source.linear, back=source.back, norm=self.norm))
            if source.rate:
                shared = [edge for edge in a.edges if edge in b.edges]
                parts += [
                    Part((source.rate,), a.without(e), b.without(e), source.linear, back=source.back, norm=self.norm)
                    for e in shared
                ]
        return tuple(parts)

    def intrinsic(self, first: Pair, second: Pair) -> tuple[Exchange, ...]:
        return ()
