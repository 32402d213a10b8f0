r"""``transformer_scaling``: initial widths of weights and learning-rate factors of every group, for SGD and AdamW.

Derivation. A weight matrix y = W x reads fan-in entries of order one, so that by the law of an affine layer

.. math:: K = C_G\, \tfrac{1}{\text{fan-in}} \sum_j x_j x'_j,\qquad
          \Theta_G = \lambda_G \sum_j x_j x'_j = \Lambda_G\, \tfrac{1}{\text{fan-in}} \sum_j x_j x'_j

are of order one for variances C/fan-in and SGD factors lambda_G = Lambda_G/fan-in. What a group below the head adds to
the output is transported by C_head; if that is divided by n^s, lambda_G must be multiplied by n^s. AdamW divides each
gradient by its size |g|. From Theta_G = lambda_G |grad_G z|^2, of order one, and |g|^2 = |grad_G z|^2/#, with # entries
of a tensor that a token reaches,

.. math:: |g| \sim (\lambda_G \#)^{-1/2}, \qquad \tilde\lambda_G = \lambda_G |g| \sim (\lambda_G/\#)^{1/2}.

In depth (rgflow's own, :mod:`rgflow.transformer.depth`) the copies of a group in B blocks share Theta_G, so that |g| is
smaller by B^(1/2).

Source: Dinan, Yaida and Zhang, arXiv:2304.02034, sections 2.1 and 3.2, footnotes 8 and 26.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import sqrt
from numbers import Real
from typing import Any

from rgflow.checks import positive
from rgflow.errors import InputError, UnknownName
from rgflow.network.transformer import BLOCKS, Transformer
from rgflow.transformer.blocks import transformer_chain
from rgflow.transformer.depth import depth_exponents
from rgflow.transformer.powers import Power

OPTIMIZERS = ("sgd", "adamw")
_HALF = Fraction(1, 2)


@dataclass(frozen=True)
class GroupScaling:
    """Of one group of parameters: a law in the sizes for each of its numbers.

    Attributes
    ----------
    group : str
    std : float
        Standard deviation of the initial weights.
    sgd, adamw : float
        Factors of a common learning rate.
    std_law, sgd_law, adamw_law : Power
        How they scale; the numbers are these at the sizes of the transformer, times sqrt(C_G) and Lambda_G.
    """

    group: str
    std: float
    sgd: float
    adamw: float
    std_law: Power
    sgd_law: Power
    adamw_law: Power


@dataclass(frozen=True)
class TransformerScaling:
    """What an exporter needs: for every group of parameters its initial width and its learning rates.

    Attributes
    ----------
    net : Transformer
        As given.
    s : Fraction
        The exponent of the family: 0 neural-tangent, 1 maximal-update.
    depth : bool
        Whether the scaling with the number of blocks, rgflow's own, is included.
    groups : tuple of GroupScaling
    rescale : float
        The factor n^(-(1+s)/2) of a tied head; 1 without one.
    scaled : Transformer
        The transformer whose variances and learning-rate tensor these are; of a tied head only for s = 0.

    >>> net = Transformer(width=1024, heads=16, blocks=12, n_in=768, positions=196)
    >>> print(transformer_scaling(net)["Q"].adamw_law)
    n^(-3/2)
    """

    net: Transformer
    s: Fraction
    depth: bool
    groups: tuple[GroupScaling, ...]
    rescale: float

    def __getitem__(self, group: str) -> GroupScaling:
        """The numbers of a group; UnknownName for one that the transformer does not have."""
        for found in self.groups:
            if found.group == group:
                return found
        raise UnknownName("parameter group of this Transformer", group, self.net.groups)

    def learning_rates(self, optimizer: str, rate: float) -> dict[str, float]:
        """The learning rate of every group for a common ``rate``: "sgd" or "adamw"."""
        if optimizer not in OPTIMIZERS:
            raise UnknownName("optimizer", optimizer, OPTIMIZERS)
        rate = positive("rate", rate)
        return {found.group: rate * float(getattr(found, optimizer)) for found in self.groups}

    def weight_decays(self, optimizer: str, decay: float) -> dict[str, float]:
        """The weight decay of every group: learning rate times weight decay is the same for all, and for all widths."""
        decay = positive("decay", decay)
        return {group: decay / factor for group, factor in self.learning_rates(optimizer, 1.0).items() if factor}

    @property
    def scaled(self) -> Transformer:
        if self.net.tied and self.s:
            raise InputError(
                f"a tied head with s = {self.s} is rescaled by n^(-(1+s)/2), which is no variance; take s=0"
            )
        changes: dict[str, float] = {}
        for found in self.groups:
            fan_in = self.net.fan_in(found.group)
            changes |= {f"C_{found.group}": found.std**2 * fan_in, f"Lambda_{found.group}": found.sgd * fan_in}
        return self.net.changed(**changes)

    def __str__(self) -> str:
        rows: list[tuple[str, ...]] = [("group", "std", "SGD", "AdamW")]
        for found in self.groups:
            laws = (f"{value:.4g} ~ {law}" for value, law in _pairs(found))
            rows.append((found.group, *laws))
        wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, wide, strict=True)).rstrip() for row in rows]
        about = f"s = {self.s}" + (f"; B = {len(self.net.blocks)} blocks, scaling in depth of rgflow" * self.depth)
        return "\n".join([about, *lines])


def transformer_scaling(net: Transformer, s: Any = 0, depth: bool = False) -> TransformerScaling:
    """Initial standard deviations and learning-rate factors of every group of parameters.

    Parameters
    ----------
    net : Transformer
        Its C_G and Lambda_G are the numbers of order one in front.
    s : number, 0 to 1
        The variance of the head is C_head/n^(1 + s); learning rates of all other groups grow by n^s (SGD) and n^(s/2)
        (AdamW). 0: neural-tangent scaling; 1: maximal-update scaling.
    depth : bool
        Also scale with the number of blocks B, so that K and the tangent kernel of every group do not depend on it:
        rgflow's own scaling (:func:`rgflow.deep_transformer`).

    Returns
    -------
    TransformerScaling
        Numbers and laws; ``str`` is a table of them.

    Raises InputError for what is no Transformer and for s outside of 0..1.

    Source: arXiv:2304.02034, equations (1.25) to (1.33), (1.99) to (1.116), footnotes 8 and 26; the depth is ours.
    """
    if not isinstance(net, Transformer):
        raise InputError(f"net is {net!r}; give a Transformer")
    if not isinstance(depth, bool):
        raise InputError(f"depth is {depth!r}; it must be True or False")
    family = _family(s)
    width = Power.of("n")
    in_depth = depth_exponents(net) if depth else {}
    found = []
    for group in net.groups:
        below = _transported(net, group)
        fan_in, size = _fan_in(group), _size(group)
        variance = fan_in**-1 * Power.of("B") ** in_depth.get(f"C_{group}", Fraction(0))
        rate = fan_in**-1 * Power.of("B") ** in_depth.get(f"Lambda_{group}", Fraction(0))
        if group == "head":
            variance *= width**-family
        if below:
            rate *= width**family
        copies = Power.of("B") if depth and any(group in own for own in BLOCKS.values()) else Power()
        adamw = (rate / (size * copies)) ** _HALF
        scale = net.value(f"Lambda_{group}")
        found.append(
            GroupScaling(
                group,
                sqrt(net.value(f"C_{group}") * variance.value(net)),
                scale * rate.value(net),
                scale * adamw.value(net),
                variance**_HALF,
                rate,
                adamw,
            )
        )
    rescale = (width ** (-(1 + family) * _HALF)).value(net) if net.tied else 1.0
    return TransformerScaling(net, family, depth, tuple(found), rescale)


def _family(s: Any) -> Fraction:
    if isinstance(s, bool) or not isinstance(s, Real) or not 0 <= float(s) <= 1:
        raise InputError(f"s is {s!r}; it must be a number from 0 (neural-tangent) to 1 (maximal-update)")
    return Fraction(float(s)).limit_denominator(10**6)


def _transported(net: Transformer, group: str) -> bool:
    """Whether a group reaches the output through the head: all but those that the head's own rule trains, and WE."""
    own = {share.group for share in transformer_chain(net, "head").composed("Theta")}
    return group not in own or group == "WE"


def _fan_in(group: str) -> Power:
    """Entries of order one that a neuron of the group sums; one for embeddings, which are read one by one."""
    n, M = Power.of("n"), Power.of("M")
    special = {"patch": Power.of("n_patch"), "WE": Power(), "PE": Power(), "X": M * n, "bhead": Power()}
    return special.get(group, n)


def _size(group: str) -> Power:
    """Entries of a tensor that a token reaches: one column of an embedding, all of a matrix."""
    n, M, out = Power.of("n"), Power.of("M"), Power.of("n_out")
    special = {"patch": n * Power.of("n_patch"), "WE": n, "PE": n, "W": M * n**2, "X": M * n**2}
    special |= {"head": n * out, "bhead": out}
    return special.get(group, n**2)


def _pairs(found: GroupScaling) -> tuple[tuple[float, Power], ...]:
    return (found.std, found.std_law), (found.sgd, found.sgd_law), (found.adamw, found.adamw_law)
