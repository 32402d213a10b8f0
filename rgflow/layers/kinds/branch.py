"""The branch x' = x + V sigma(h) + a, h = W x + b: two weight matrices, two laws."""

from rgflow.layers.affine import Affine, Source
from rgflow.layers.law import Law
from rgflow.layers.laws import laws
from rgflow.network.kinds.branch import Branch


@laws.register
def _(layer: Branch) -> tuple[Law, ...]:
    hidden = Affine("branch: hidden", sources=(Source(linear=True),))
    return (hidden, Affine("branch", ("C_a", "lambda_a"), (Source("C_V", "lambda_V"),), carry=("", 2)))
