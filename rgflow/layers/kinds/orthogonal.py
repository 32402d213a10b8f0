"""The layer with orthogonal weights: dense, with the fourth cumulant of Haar matrices.

For an n_{l+1} x n_l block with orthonormal rows or columns, scaled to Var W_ij = C_W / n_l, the jets of different
neurons are not independent given the layer below. At leading order in 1/n, with m = max(n_l, n_{l+1}),

    kappa_2[ab|cd] gains  -C_W^2 (n_l/m) (<s_a s_c> <s_b s_d> + <s_a s_d> <s_b s_c>) / n_l :

an orthogonal matrix keeps norms. Tangent directions stay Gaussian, so that there is no such term with lambda_W.

Source: Weingarten calculus; Day, Kahn, Roberts (arXiv:2310.07765).
"""

from dataclasses import dataclass
from fractions import Fraction

from rgflow.algebra.jets import Pair
from rgflow.layers.affine import Affine
from rgflow.layers.law import Exchange, Law
from rgflow.layers.laws import laws
from rgflow.network.kinds.orthogonal import Orthogonal


@dataclass(frozen=True)
class Haar(Affine):
    """The law of a layer with orthogonal weights; ``narrowing`` is n_l / max(n_l, n_{l+1})."""

    def intrinsic(self, first: Pair, second: Pair) -> tuple[Exchange, ...]:
        (a, b), (c, d) = first, second
        symbols = ("C_W", "C_W", "narrowing")
        return tuple(Exchange(Fraction(-1), symbols, pairs) for pairs in (((a, c), (b, d)), ((a, d), (b, c))))


@laws.register
def _(layer: Orthogonal) -> tuple[Law, ...]:
    return (Haar("orthogonal", ("", "lambda_b"), limit=1),)
