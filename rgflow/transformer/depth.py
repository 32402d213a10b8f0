r"""How a transformer must change with the number of its blocks B, so that stream and tangent kernels stay as they are.

This scaling is rgflow's own: Dinan, Yaida and Zhang leave the depth alone, so that K grows like B.

Derivation. Every block adds to kernel and tangent kernel of the stream what its branch gives, a sum of monomials in
hyperparameters (:meth:`rgflow.transformer.Chain.composed`), each times an average of order one:

.. math:: K' = K + \sum_m C_m\, \langle\ldots\rangle, \qquad
          \Theta' = \Theta + \sum_m \Lambda_m C_m\, \langle\ldots\rangle + \sum_m C_m\, \langle\ldots\rangle\, \Theta

After B blocks sums of them are B times as large, and products of B factors 1 + C_m grow as exp(B C_m). Both are of
order one, and not less, if every monomial is proportional to 1/B. The first C_m would allow any matrix of a branch to
carry it; arguments of softmax and sigma stay of order one only if it is the last, U or X. Then every learning rate
follows.
"""

from __future__ import annotations

from fractions import Fraction

from rgflow.errors import InputError
from rgflow.network.transformer import Transformer
from rgflow.transformer.blocks import transformer_chain
from rgflow.transformer.stages import NAMES, Weights

PER_BLOCK = Fraction(-1)  # the exponent of B that every monomial of a branch must have


def depth_exponents(net: Transformer) -> dict[str, Fraction]:
    """Exponents of B of the variances and learning rates of all blocks, by name; what is not in it stays.

    >>> net = Transformer(width=8, heads=2, blocks=1, n_in=3, positions=4)
    >>> print({name: str(power) for name, power in depth_exponents(net).items() if power})
    {'C_U': '-1', 'Lambda_U': '-1', 'C_X': '-1', 'Lambda_X': '-1'}
    """
    found: dict[str, Fraction] = {}
    for kind in dict.fromkeys(net.blocks):
        found |= _of_branch(net, kind)
    return found


def deep_transformer(net: Transformer) -> Transformer:
    """The same transformer with variances and learning rates of its blocks scaled by powers of their number.

    For B blocks C_U, C_X, Lambda_U and Lambda_X are divided by B. K and the tangent kernel of every group of parameters
    then tend to limits as B grows, with corrections O(1/B). This scaling is rgflow's own (see the module).

    >>> net = Transformer(width=8, heads=2, blocks=4, n_in=3, positions=4, C_X=2.0)
    >>> deep_transformer(net).C_X
    0.25
    """
    if not isinstance(net, Transformer):
        raise InputError(f"net is {net!r}; give a Transformer")
    number = max(len(net.blocks), 1)
    return net.changed(
        **{name: net.value(name) * float(number) ** float(power) for name, power in depth_exponents(net).items()}
    )


def _of_branch(net: Transformer, kind: str) -> dict[str, Fraction]:
    """Solve for the exponents: only the variance of the last weights and the learning rates may move."""
    made = transformer_chain(net, kind)
    branch = made.stages[-2]
    monomials = [share.symbols for name in NAMES for share in made.composed(name, branch.name)]
    weights = [stage.group for stage in made.stages if isinstance(stage, Weights)]
    exponents = {f"C_{group}": Fraction(0) for group in weights[:-1]}
    todo = set(monomials)
    while todo:
        solved = [symbols for symbols in todo if sum(name not in exponents for name in symbols) <= 1]
        if not solved:
            raise ValueError(f"the exponents of {kind} blocks are not determined")
        for symbols in sorted(solved):
            todo.discard(symbols)
            rest = PER_BLOCK - sum((exponents[name] for name in symbols if name in exponents), Fraction(0))
            unknown = [name for name in symbols if name not in exponents]
            if unknown:
                exponents[unknown[0]] = rest
            elif rest:
                raise ValueError(f"the exponents of {kind} blocks contradict each other at {symbols}")
    return {f"{letter}_{group}": exponents[f"{letter}_{group}"] for group in weights for letter in ("C", "Lambda")}
