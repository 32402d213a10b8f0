"""The dense layer z' = b + W sigma(z)."""

from rgflow.layers.affine import Affine
from rgflow.layers.law import Law
from rgflow.layers.laws import laws
from rgflow.network.kinds.dense import Dense


@laws.register
def _(layer: Dense) -> tuple[Law, ...]:
    return (Affine("dense"),)
