"""The branch with a projection x' = P x + V sigma(h) + a, h = W x + b: the sum of two layers, nothing is kept."""

from rgflow.layers.affine import Affine, Source
from rgflow.layers.law import Law
from rgflow.layers.laws import laws
from rgflow.network.kinds.projection import Projection


@laws.register
def _(layer: Projection) -> tuple[Law, ...]:
    hidden = Affine("projection: hidden", sources=(Source(linear=True),))
    sources = (Source("C_V", "lambda_V"), Source("C_P", "lambda_P", linear=True, back=2))
    return (hidden, Affine("projection", ("C_a", "lambda_a"), sources))
