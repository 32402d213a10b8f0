"""Layers that bring every input's neurons to mean square one."""

from __future__ import annotations

from dataclasses import dataclass

from rgflow.network.kinds.layer_norm import LayerNorm


@dataclass(frozen=True)
class RMSNorm(LayerNorm):
    r"""A layer with RMSNorm: :class:`LayerNorm` without the mean.

    .. math:: \mathrm{norm}(x) = x \Big/ \sqrt{\tfrac1n \textstyle\sum_i x_i^2 + \epsilon}

    Source: Zhang, Sennrich (arXiv:1910.07467).

    >>> RMSNorm(skip=1.0).centred
    False
    """

    centred = False
