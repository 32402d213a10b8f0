"""``derive`` and ``closure``: recursions by name, with everything they depend on."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import overload

from rgflow.algebra.linked import Linked
from rgflow.algebra.partial import LinkedPartial, Partial, partial_named, relabelled
from rgflow.algebra.recursion import Recursion, System, check_samples
from rgflow.algebra.tensor import Tensor, listed
from rgflow.derive.history import Derived
from rgflow.derive.linked import linked
from rgflow.derive.step import step
from rgflow.errors import InputError, OrderError
from rgflow.layers import Law, laws
from rgflow.layers.probed import Probed
from rgflow.network import Dense, Layer


@overload
def derive(
    name: str | Tensor, samples: str = "one", layer: Dense | None = None, closure: str = "full"
) -> Recursion: ...


@overload
def derive(
    name: str | Tensor, samples: str = "one", layer: Layer | None = None, closure: str = "full"
) -> Recursion | Linked: ...


def derive(
    name: str | Tensor, samples: str = "one", layer: Layer | None = None, closure: str = "full"
) -> Recursion | Linked:
    r"""Derive the layer-to-layer recursion of a tensor from the definition of the layer.

    .. math:: \kappa(G_1, \dots, G_k)^{(\ell+1)} = \sum_{\pi} \prod_{B \in \pi} n_\ell^{1-|B|}\;
              \kappa\big( c_B(\hat G) : B \in \pi \big)

    The law of total cumulance, over set partitions of the entries of the metric. Each of its terms is a sum of
    connected hypergraphs of cumulants of layer l, truncated at the tensor's order in 1/n; exact rational coefficients.

    Parameters
    ----------
    name : str or Tensor
        K, Theta, V, A, B, D, F, P, Q, R, S, T, U, V6 with an optional order, as in "V_1"; or the jets of any other
        forest-shaped cumulant, as in "1 2|3e 4f|5e 6f". J, J_1 and V_J are those of partial Jacobians
        (:mod:`rgflow.algebra.partial`), above the layer that is moved.
    samples : "one" or "many"
        One input (no indices, total derivatives), or a different sample in each argument.
    layer : a layer description, default ``Dense()``
        Only its kind matters: hyperparameters stay symbols.
    closure : "full" or "book"
        For a layer whose neurons keep their past. "full": the recursion links every two layers, since a neuron
        remembers all its past (:class:`rgflow.algebra.Linked`). "book": the recursion in one time of PDLT's appendix B,
        in which the past is Gaussian but for its cumulants; wrong for V of a ReLU and for K_1, right for linear layers.

    Returns
    -------
    Recursion or Linked
        Exact at its order: what is left out is O(1/n) relative to the last order that is asked. Linked lines for a
        layer with two weight matrices, and beyond K and Theta for one with a skip.

    Raises
    ------
    UnknownName, InputError, NotForest
    OrderError
        Beyond the order to which the layer's law holds.

    Source: PDLT (arXiv:2106.10165) chapters 4, 8, 11 derive the leading letters by hand.

    >>> print(derive("V"))
    V' = C_W^2 <σσσσ> - C_W^2 <σσ>^2 + 1/4 r C_W^2 V <∂^2[σσ]>^2
    """
    rules = laws(Dense() if layer is None else layer)
    check_samples(samples)
    if (partial := partial_named(name)) is not None:
        return _partial(partial, samples, rules, closure)
    return _derived(Tensor.named(name), samples, rules, closure)


def _derived(tensor: Tensor, samples: str, rules: tuple[Law, ...], closure: str) -> Recursion | Linked:
    full = check_closure(closure) == "full" and (len(rules) > 1 or (rules[0].carry and tensor.cost))
    if full or any(law.norm for law in rules):
        return linked(tensor, samples, rules)
    return _derive(tensor, samples, _single(rules, tensor))


def _partial(tensor: Partial, samples: str, rules: tuple[Law, ...], closure: str) -> Recursion | Linked:
    """A tensor of partial Jacobians: that of a network which trains nothing, under its own letters."""
    found = _derived(tensor.full, samples, tuple(map(Probed, rules)), closure)
    if isinstance(found, Linked):
        return LinkedPartial(tensor, samples, found.layer, found.stages, found.lines, found.carries, found.scales)
    return Recursion(tensor, samples, found.layer, relabelled(found.terms), found.history)


def _single(rules: tuple[Law, ...], tensor: Tensor) -> Law:
    if len(rules) > 1:
        raise InputError(
            f"{tensor.name} of a {rules[-1].name} layer: it has {len(rules)} weight matrices and takes more than one "
            "step; take closure='full', whose lines hold both"
        )
    return rules[0]


@lru_cache(maxsize=4096)
def _derive(tensor: Tensor, samples: str, law: Law) -> Recursion:
    check_order(tensor, law)
    name = f"{law.name}, its past taken as Gaussian (in one time)" if law.carry and tensor.cost else law.name
    return Recursion(tensor, samples, name, step(tensor, samples, law), Derived(law))


def check_order(tensor: Tensor, law: Law) -> None:
    """OrderError for a tensor beyond the order to which a law holds."""
    if law.order is not None and tensor.cost > law.order:
        raise OrderError(
            f"{tensor.name} is of order {tensor.cost} in 1/n, and the law of {law.name} layers is known to order "
            f"{law.order}; ask a tensor of that order, or sample the network"
        )


def check_closure(closure: object) -> str:
    """ "full" or "book", or InputError."""
    if closure not in ("full", "book"):
        raise InputError(
            f"closure is {closure!r}; it is 'full' (neurons remember all their past) or 'book' (PDLT's, in one time)"
        )
    return str(closure)


def closure(
    names: str | Tensor | Iterable[str | Tensor],
    samples: str = "one",
    layer: Layer | None = None,
    closure: str = "full",
) -> System:
    """The recursions of the named tensors with those of every tensor on which they depend, in an order that can be run.

    A layer whose neurons keep their past has such recursions, beyond K and Theta, in the book's closure only:
    InputError unless ``closure="book"``; see :func:`derive`.

    Parameters
    ----------
    names : name or names of tensors
    samples, layer, closure :
        As for :func:`derive`.

    Returns
    -------
    System

    Raises
    ------
    UnknownName, InputError, NotForest, OrderError
        InputError also for a layer with several weight matrices.

    >>> closure(["V", "K_1"]).names
    ('K', 'V', 'K_1')
    """
    wanted = listed(names)
    tensors = [Tensor.named(name) for name in wanted]
    law = _single(laws(Dense() if layer is None else layer), tensors[0])
    beyond = [tensor.name for tensor in tensors if tensor.cost]
    if law.norm:
        raise InputError(
            f"{law.name} layers have no recursion in one time, for a norm divides; take derive() or flow()"
        )
    if check_closure(closure) == "full" and law.carry and beyond:
        raise InputError(
            f"{beyond[0]} of {law.name} layers has no recursion from one layer to the next, since neurons keep their "
            "past: derive() gives its lines, flow() follows them; closure='book' takes the past as Gaussian"
        )
    return closures(wanted, samples, [law])[law]


def closures(names: str | Tensor | Iterable[str | Tensor], samples: str, rules: Iterable[Law]) -> dict[Law, System]:
    """For each law the recursions of the same tensors: the named ones and all on which any of them depends."""
    wanted = listed(names)
    check_samples(samples)
    different = tuple(dict.fromkeys(rules))
    waiting = [Tensor.named(name) for name in wanted]
    found: dict[Tensor, tuple[Recursion, ...]] = {}
    while waiting:
        tensor = waiting.pop()
        if tensor not in found:
            found[tensor] = tuple(_derive(tensor, samples, law) for law in different)
            waiting += [t for rec in found[tensor] for t in rec.tensors if t not in found]
    ordered = _sorted({tensor: frozenset(t for rec in recs for t in rec.tensors) for tensor, recs in found.items()})
    return {law: System(tuple(found[t][i] for t in ordered)) for i, law in enumerate(different)}


def _sorted(depends_on: dict[Tensor, frozenset[Tensor]]) -> list[Tensor]:
    """Dependencies first; among equals by cost, level and name."""
    left = sorted(depends_on, key=lambda t: (t.cost, t.level, t.order, len(t.letter), t.letter))
    done: list[Tensor] = []
    while left:
        for tensor in left:
            if all(t == tensor or t in done for t in depends_on[tensor]):
                break
        else:  # mutual dependencies: any order runs, since a step reads only the layer below
            tensor = left[0]
        left.remove(tensor)
        done.append(tensor)
    return done
