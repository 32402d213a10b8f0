"""The branch behind a gate x' = x + gate V sigma(h), h = W x + b: every average of a branch, times gate^2."""

from dataclasses import dataclass

from rgflow.algebra.jets import Jet
from rgflow.layers.affine import Affine, Source
from rgflow.layers.law import Law, Part
from rgflow.layers.laws import laws
from rgflow.network.kinds.gated import Gated


@dataclass(frozen=True)
class Gate(Affine):
    """An affine law whose weights, but not what is carried, pass a gate."""

    def integrand(self, a: Jet, b: Jet) -> tuple[Part, ...]:
        parts = super().integrand(a, b)
        return tuple(part if part.own else part._replace(symbols=("gate", "gate", *part.symbols)) for part in parts)


@laws.register
def _(layer: Gated) -> tuple[Law, ...]:
    hidden = Affine("gated: hidden", sources=(Source(linear=True),))
    return (hidden, Gate("gated", (), (Source("C_V", "lambda_V"),), carry=("", 2)))
