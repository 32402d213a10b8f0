"""Which coefficient tensors a request means: every correction X_q with k - 1 + q <= order."""

from __future__ import annotations

from collections.abc import Iterable

from rgflow.algebra import Tensor
from rgflow.algebra.tensor import listed, split_order
from rgflow.checks import whole
from rgflow.errors import InputError, OrderError

MOST_INPUTS = 32  # different inputs with four-point tensors: N^4 components, of averages over up to four inputs
MOST_KINKED = 10  # the same where sigma has kinks, whose averages are nested sums
MOST_MEASURED = 10  # up to here a flow carries V, A and B besides, to measure its own expansion
MOST_BEYOND = 4  # the same with six-point tensors, and with two times in every average


def requested(names: str | Iterable[str | Tensor], order: int) -> tuple[Tensor, ...]:
    """The coefficients asked for, each once, in that order.

    A name such as "K" stands for K, K_1, .. up to the order; "K_1" for that coefficient alone.

    Raises OrderError for a tensor or coefficient beyond the order, InputError for an empty or wrong request.
    """
    order = whole("order", order, 0)
    found: dict[Tensor, None] = {}
    for name in listed(names):
        tensor = Tensor.named(name)
        if tensor.cost > order:
            raise OrderError(
                f"{tensor.name} is of order {tensor.cost} in 1/n but order={order} was asked; "
                f"ask order={tensor.cost} or more"
            )
        alone = isinstance(name, Tensor) or split_order(name)[0] != name
        for q in [tensor.order] if alone else range(order - tensor.level + 2):
            found[Tensor(tensor.structure, q)] = None
    return tuple(found)


def measures(wanted: tuple[Tensor, ...], order: int) -> tuple[Tensor, ...]:
    """What a flow of order 1 or more carries besides, to measure its own expansion: V, and with directions A and B."""
    if order == 0:
        return ()
    directions = any(edges for tensor in wanted for pair in tensor.structure for edges in pair)
    return tuple(Tensor.named(name) for name in ("K", "V", *(("Theta", "A", "B") if directions else ())))


def check_size(tensors: Iterable[Tensor], samples: int, memory: bool = False, kinked: bool = False) -> None:
    """InputError for tensors with N^4 components and more at too many different inputs.

    ``memory``: layers whose neurons keep their past, with averages at two depths. ``kinked``: whether sigma has kinks.
    """
    beyond = [t for t in tensors if t.cost > 0]
    few = memory or any(t.cost > 1 for t in beyond)
    most = MOST_BEYOND if few else MOST_KINKED if kinked else MOST_INPUTS
    if samples > most and beyond:
        largest = max(beyond, key=lambda t: t.level)
        raise InputError(
            f"{samples} different inputs: {largest.name}, which this flow needs, has N^{2 * largest.level} components "
            f"and is offered for N <= {most}{' where the activation has kinks' if kinked and not few else ''}; flow "
            "the inputs in groups, ask for the components at chosen samples (at=), or K and Theta at order 0"
        )
