"""Which coefficient tensors a request means: every correction X_q with k - 1 + q <= order."""

from __future__ import annotations

from collections.abc import Iterable

from rgflow.algebra import Tensor
from rgflow.algebra.tensor import split_order
from rgflow.errors import InputError, OrderError


def requested(names: str | Iterable[str | Tensor], order: int) -> tuple[Tensor, ...]:
    """The coefficients asked for, each once, in that order.

    A name such as "K" stands for K, K_1, .. up to the order; "K_1" for that coefficient alone.

    Raises OrderError for a tensor or coefficient beyond the order, InputError for an empty or wrong request.
    """
    if not isinstance(order, int) or isinstance(order, bool) or order < 0:
        raise InputError(f"order is {order!r}; it counts powers of 1/n and is an integer of at least 0")
    wanted = [names] if isinstance(names, (str, Tensor)) else list(names)
    if not wanted:
        raise InputError("tensors is empty; name at least one, such as 'K'")
    found: dict[Tensor, None] = {}
    for name in wanted:
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
