"""``compiled``: the kernel behind a flow, with its source to read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rgflow.activations import Activation, activation
from rgflow.algebra import Tensor
from rgflow.brackets.kinks import check_kinks
from rgflow.derive import closure as closed
from rgflow.network import Layer

if TYPE_CHECKING:
    from rgflow.codegen import Kernel


def compiled(
    names: str | Tensor | Iterable[str | Tensor],
    sigma: str | Activation,
    *,
    samples: str = "one",
    kinks: str = "error",
    jit: bool = True,
    layer: Layer | None = None,
    closure: str = "full",
) -> Kernel:
    """The compiled kernel of the named tensors and all they depend on.

    Parameters
    ----------
    names : names of tensors
        As for :func:`rgflow.closure`.
    sigma : str or Activation
        The activation whose brackets the kernel evaluates (with many inputs brackets are handed to it).
    samples : "one" or "many"
    kinks : "error" or "almost_everywhere"
    jit : bool
        False gives the same program as plain Python.
    layer : a layer description, default ``Dense()``
    closure : "full" or "book"
        Both as for :func:`rgflow.closure`.

    Returns
    -------
    Kernel
        ``.source`` is the whole generated module, ``.path`` the file where it stands, ``.methods`` says of each bracket
        (orders, pending) of one input whether it is in closed form.

    Raises
    ------
    UnknownName, InputError, OrderError, KinkError

    >>> print(compiled("V", "tanh").source.splitlines()[0])
    \"\"\"rgflow kernel: K, V; one input, sigma(z) = tanh.
    >>> compiled("V", "erf").methods
    {((0, 0), 0): 'closed form', ((0, 0), 2): 'closed form', ((0, 0, 0, 0), 0): 'quadrature'}
    """
    system = closed(names, samples, layer, closure)
    chosen = activation(sigma)
    check_kinks(system, chosen, kinks)
    from rgflow.codegen import kernel

    return kernel(system, chosen, jit)
