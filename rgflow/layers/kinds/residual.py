"""The residual layer z' = b + W sigma(z) + skip z: a dense layer whose neurons keep their past."""

from rgflow.layers.affine import Affine
from rgflow.layers.law import Law
from rgflow.layers.laws import laws
from rgflow.network.kinds.residual import Residual


@laws.register
def _(layer: Residual) -> tuple[Law, ...]:
    return (Affine("residual", carry=("skip", 1)),)
