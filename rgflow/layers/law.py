"""The law of a layer: how its random metric is made from averages over the neurons below.

Given the layer below, the jets of the new layer are independent from neuron to neuron, with the metric

    G_ab = Phi(constants_ab, m_ab),     m_ab = (1/n_l) sum_j g_ab(z_j),

where g is the *integrand*, a function of the jets of one neuron. For a dense layer Phi adds the two and the jets are
Gaussian; a kind that needs another Phi, or cumulants of its own, extends this protocol and the step that reads it.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

from rgflow.algebra.jets import Jet


class Law(Hashable, Protocol):
    """What the derivation asks of a layer."""

    @property
    def name(self) -> str:
        """The kind, as it is printed."""

    def constants(self, a: Jet, b: Jet) -> tuple[str, ...]:
        """Hyperparameters that enter G_ab as they are."""

    def integrand(self, a: Jet, b: Jet) -> tuple[tuple[str, Jet, Jet], ...]:
        """g_ab as a sum of (hyperparameter, c, d), each meaning hyperparameter * s_c s_d with s_c = D_S sigma(z)."""
