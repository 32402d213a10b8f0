"""The reduced block x' = x + sigma(h), h = W x + b, at leading order.

A neuron keeps its own sigma(h_i), no average over others. At leading order only <x_i^2> matters, to which an odd sigma
adds <sigma(h)^2> as V sigma(h) of a branch with C_V = 1 does, since x and sigma(h) are uncorrelated.
"""

from rgflow.layers.affine import Affine, Source
from rgflow.layers.law import Law
from rgflow.layers.laws import laws
from rgflow.network.kinds.reduced import Reduced


@laws.register
def _(layer: Reduced) -> tuple[Law, ...]:
    hidden = Affine("reduced: hidden", sources=(Source(linear=True),))
    return (hidden, Affine("reduced", (), (Source("", ""),), carry=("", 2), limit=0, odd=True))
