"""The layer without activation z' = b + W z."""

from rgflow.layers.affine import Affine, Source
from rgflow.layers.law import Law
from rgflow.layers.laws import laws
from rgflow.network.kinds.linear import Linear


@laws.register
def _(layer: Linear) -> tuple[Law, ...]:
    return (Affine("linear", sources=(Source(linear=True),)),)
