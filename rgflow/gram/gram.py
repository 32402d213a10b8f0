"""``gram``: the kernel and the tangent kernel of any number of inputs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rgflow.algebra import Tensor
from rgflow.algebra.tensor import listed
from rgflow.brackets.moments import refuse_kinks
from rgflow.checks import kinks_rule, whole
from rgflow.errors import InputError, OrderError
from rgflow.gram.dataset import labelled
from rgflow.gram.inputs import Inputs, read
from rgflow.layers.stages import Stage, stages
from rgflow.memory import empties
from rgflow.network import Network
from rgflow.progress import progress_bar
from rgflow.threads import cores, hands, single_products

if TYPE_CHECKING:
    import os

    import xarray

Floats = NDArray[np.float64]
NAMES = ("K", "Theta")
BLOCK_IN_MEMORY, BLOCK_ON_DISK = 4096, 2048


def gram(
    net: Network,
    inputs: Any = None,
    *,
    others: Any = None,
    first_kernel: Any = None,
    tensors: str | Iterable[str] = NAMES,
    layers: str | int | Iterable[int] = "last",
    kinks: str = "error",
    path: str | os.PathLike[str] | None = None,
    block: int | None = None,
    threads: int | None = None,
    progress: bool = False,
) -> xarray.Dataset:
    r"""The Gram matrices K and Theta of a network's ensemble, at leading order, for any number of inputs.

    .. math:: K' = C_b + C_W \langle \sigma_a \sigma_b \rangle_K, \qquad
              \Theta' = \lambda_b + \lambda_W \langle \sigma_a \sigma_b \rangle_K
              + C_W \langle \sigma'_a \sigma'_b \rangle_K \Theta

    for dense layers, and the derived lines of every other kind. Each pair of inputs goes through all layers on its own.
    Averages over pairs are Hermite series in their correlation, whose coefficients belong to single inputs (smooth
    activations), angles (two slopes), or found by quadrature (other kinks; pairs so nearly parallel that 1024 terms do
    not suffice).

    Parameters
    ----------
    net : MLP or Network
    inputs : array (N, n_0) or (n_0,)
    others : array (M, n_0)
        A second set of inputs: the matrices are (N, M), as between test and training inputs.
    first_kernel : float or array (N, N)
        Instead of inputs: the kernel K of layer 1.
    tensors : "K", "Theta" or both
    layers : "last", "all", or numbers of layers
        What to keep; "last" has no dim ``layer``.
    kinks : "error" or "almost_everywhere"
        What sigma' of an activation with a jump means, which Theta needs.
    path : name ending in ".zarr"
        Write the result there block by block, and return it unread. A call that was interrupted goes on where it
        stopped when it is made again; a different one is refused.
    block : int
        Side of the blocks, 2048 on disk.
    threads : int
        All cores if not given. Results do not depend on it.
    progress : bool
        Show a bar.

    Returns
    -------
    xarray.Dataset
        Of kind "coefficients" and order 0: K, Theta with dims (layer), ``sample0``, ``sample1``, and
        ``numerical_error`` (coefficient, layer), absolute: a bound, to first order, on what quadrature, truncated
        series and rounding do through all layers, the largest over samples. Truncation error: O(1/n).

    Raises
    ------
    InputError
        For inputs, layers or names outside their domain; for a ``path`` that holds something else.
    AccuracyError
        For a flow that runs away, naming the layer.
    StoreError
        If the store cannot be written.

    >>> from rgflow.network import MLP
    >>> net = MLP.uniform(n_in=2, width=100, depth=3, activation="relu", C_W=2.0)
    >>> gram(net, [[1.0, 0.0], [0.0, 1.0]])["K"].values.round(6).tolist()
    [[1.0, 0.493731], [0.493731, 1.0]]
    """
    if not isinstance(net, Network):
        raise InputError(f"{net!r} is not a network; give rgflow.MLP(...) or rgflow.Network(...)")
    names = _names(tensors)
    chosen, alone = _layers(net, layers)
    if "Theta" in names and kinks_rule(kinks) == "error":
        refuse_kinks(net.activation, (((1,), 0), ((1,), 0)))
    side = None if block is None else whole("block", block, 1)
    workers = None if threads is None else whole("threads", threads, 1)
    with single_products():
        given = read(net, inputs, others, first_kernel)
        if path is not None:
            from rgflow.gram.stored import stored

            return stored(net, given, names, chosen, alone, path, side or BLOCK_ON_DISK, workers, progress)
        found = matrices(net, stages(net), given, chosen, names, side or BLOCK_IN_MEMORY, workers, progress)
    values = {"K": found.K, "Theta": found.Theta}
    return labelled(net, {name: values[name] for name in names}, found.errors, chosen, alone)


class Matrices(NamedTuple):
    """K, Theta (layers, N, M) and errors (layers, 2); Theta is (layers, 0, 0) if it was not wanted."""

    K: Floats
    Theta: Floats
    errors: Floats


def matrices(
    net: Network,
    through: Sequence[Stage],
    given: Inputs,
    layers: Sequence[int],
    names: Sequence[str] = NAMES,
    side: int = BLOCK_IN_MEMORY,
    threads: int | None = None,
    progress: bool = False,
) -> Matrices:
    """Both matrices at the layers, in memory."""
    from rgflow.gram.pairs import overlaps, prepared  # loads Numba
    from rgflow.gram.tables import blocks

    n, m = (part.stop - part.start for part in (given.rows, given.columns))
    wanted = empties(1 + ("Theta" in names), (len(layers), n, m))
    K, Theta = wanted[0], wanted[1] if len(wanted) > 1 else np.empty((len(layers), 0, 0))
    errors = np.zeros((len(layers), 2))
    listed_blocks = list(blocks(given, side))
    with hands(threads or cores()) as start:
        begun = overlaps(given, listed_blocks[0], K[0], start)  # while inputs alone go through all stages
        pairs = prepared(net, through, given, layers, "Theta" in names)
        work = sum(pairs.work(each) for each in listed_blocks)
        with progress_bar(progress, "pairs of inputs", work) as advance:
            for each in listed_blocks:
                errors = np.maximum(errors, pairs.block(each, K, Theta, advance, start, begun))
                begun = []
                if given.square and not each.square:
                    here, there = each.local(given)
                    for matrix in (K, Theta)[: 1 + pairs.tangent]:
                        for k in range(len(layers)):
                            matrix[k, there, here] = matrix[k, here, there].T
    return Matrices(K, Theta, np.maximum(errors, pairs.diagonal_errors()))


def _names(tensors: str | Iterable[str]) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(listed(tensors)))
    for name in found:
        if Tensor.named(name).cost or str(name) not in NAMES:
            raise OrderError(f"gram gives K and Theta, not {name!r}; ask rgflow.flow for tensors of order 1/n")
    return tuple(str(name) for name in found)


def _layers(net: Network, layers: Any) -> tuple[tuple[int, ...], bool]:
    """The layers to keep, rising, and whether the last one alone was asked, without a dim."""
    if isinstance(layers, str):
        if layers not in ("last", "all"):
            raise InputError(f"layers is {layers!r}; it is 'last', 'all' or numbers of layers 1..{net.depth}")
        return ((net.depth,), True) if layers == "last" else (tuple(range(1, net.depth + 1)), False)
    numbers = [layers] if not isinstance(layers, Iterable) else list(layers)
    found = tuple(whole("layers", number, 1) for number in numbers)
    if not found or max(found) > net.depth or list(found) != sorted(set(found)):
        raise InputError(f"layers is {layers!r}; give different layers 1..{net.depth}, rising")
    return found, False
