"""``derive`` and ``closure``: recursions by name, with everything they depend on."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from rgflow.algebra.recursion import Recursion, System, check_samples
from rgflow.algebra.tensor import Tensor, listed
from rgflow.derive.step import step
from rgflow.layers import Law, law
from rgflow.network import Dense


def derive(name: str | Tensor, samples: str = "one", layer: Dense | None = None) -> Recursion:
    """Derive the layer-to-layer recursion of a tensor from the definition of the layer.

    kappa(G_1..G_k)^{l+1} = sum over set partitions (law of total cumulance) of connected hypergraphs of cumulants of
    layer l, truncated at the tensor's order in 1/n; exact rational coefficients.

    Parameters
    ----------
    name : str or Tensor
        K, Theta, V, A, B, D, F, P, Q, R, S, T, U, V6 with an optional order, as in "V_1"; or the jets of any other
        forest-shaped cumulant, as in "1 2|3e 4f|5e 6f".
    samples : "one" or "many"
        One input (no indices, total derivatives), or a different sample in each argument.
    layer : a layer description, default ``Dense()``
        Only its kind matters: hyperparameters stay symbols.

    Returns
    -------
    Recursion
        Exact at its order: what is left out is O(1/n) relative to the last order that is asked.

    Raises
    ------
    UnknownName, InputError, NotForest

    Source: PDLT (arXiv:2106.10165) chapters 4, 8, 11 derive the leading letters by hand.

    >>> print(derive("V"))
    V' = C_W^2 <σσσσ> - C_W^2 <σσ>^2 + 1/4 r C_W^2 V <∂^2[σσ]>^2
    """
    return _derive(Tensor.named(name), check_samples(samples), law(Dense() if layer is None else layer))


@lru_cache(maxsize=4096)
def _derive(tensor: Tensor, samples: str, rule: Law) -> Recursion:
    return Recursion(tensor, samples, rule.name, step(tensor, samples, rule))


def closure(names: str | Tensor | Iterable[str | Tensor], samples: str = "one", layer: Dense | None = None) -> System:
    """The recursions of the named tensors with those of every tensor on which they depend, in an order that can be run.

    >>> closure(["V", "K_1"]).names
    ('K', 'V', 'K_1')
    """
    wanted = listed(names)
    check_samples(samples)
    rule = law(Dense() if layer is None else layer)
    waiting = [Tensor.named(name) for name in wanted]
    found: dict[Tensor, Recursion] = {}
    while waiting:
        tensor = waiting.pop()
        if tensor not in found:
            found[tensor] = _derive(tensor, samples, rule)
            waiting += [t for t in found[tensor].tensors if t not in found]
    return System(tuple(found[t] for t in _sorted(found)))


def _sorted(found: dict[Tensor, Recursion]) -> list[Tensor]:
    """Dependencies first; among equals by cost, level and name."""
    left = sorted(found, key=lambda t: (t.cost, t.level, t.order, len(t.letter), t.letter))
    done: list[Tensor] = []
    while left:
        for tensor in left:
            if all(t == tensor or t in done for t in found[tensor].tensors):
                break
        else:  # mutual dependencies: any order runs, since a step reads only the layer below
            tensor = left[0]
        left.remove(tensor)
        done.append(tensor)
    return done
