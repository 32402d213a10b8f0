"""The dense layer z' = b + W sigma(z).

    G_ab = C_b [S_a = S_b = {}] + lambda_b [S_a = S_b = {e}] + (1/n) sum_j g_ab(z_j)
    g_ab = C_W s_a s_b + lambda_W sum_{e in S_a and S_b} s_{a-e} s_{b-e},          s_a = D_S sigma(z_alpha)

The C_W part averages over the weights; the lambda_W part over the tangent directions of the layer's own weights.
"""

from __future__ import annotations

from dataclasses import dataclass

from rgflow.algebra.jets import Jet


@dataclass(frozen=True)
class DenseLaw:
    """Constants and integrand of a dense layer (see :class:`rgflow.layers.law.Law`)."""

    name: str = "dense"

    def constants(self, a: Jet, b: Jet) -> tuple[str, ...]:
        if not a.edges and not b.edges:
            return ("C_b",)
        if a.edges == b.edges and len(a.edges) == 1:
            return ("lambda_b",)
        return ()

    def integrand(self, a: Jet, b: Jet) -> tuple[tuple[str, Jet, Jet], ...]:
        shared = [edge for edge in a.edges if edge in b.edges]
        return (("C_W", a, b), *(("lambda_W", a.without(e), b.without(e)) for e in shared))
