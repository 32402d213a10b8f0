"""rg.sample: draw real networks and measure their tensors at every layer, each with its standard error."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np

from rgflow.checks import whole
from rgflow.errors import AccuracyError, InputError
from rgflow.labelled import dataset
from rgflow.network import Network
from rgflow.network.describe import described
from rgflow.network.inputs import Given, given
from rgflow.progress import progress_bar
from rgflow.sampling import statistics
from rgflow.sampling.draw import Array
from rgflow.sampling.estimators import pair_index
from rgflow.sampling.first import FirstLayer, first_layer
from rgflow.sampling.names import SAMPLE_ARGUMENTS, validated_names
from rgflow.sampling.plan import Plan
from rgflow.sampling.run import all_batches
from rgflow.seeds import seed_sequence, seed_text
from rgflow.threads import single_products

if TYPE_CHECKING:
    import xarray

CONVENTIONS = (
    "PDLT (arXiv:2106.10165); a tensor of level k is fan_in^(k-1) times the cumulant, all orders in 1/n included; "
    "NAME_se is one standard error of NAME"
)
_LARGEST_PIECE = 2**25 - 2**16  # bytes, never touched; glibc learns from no larger one


def sample(
    net: Network,
    inputs: Any = None,
    *,
    first_kernel: Any = None,
    tensors: Iterable[Any] | str = ("K", "V"),
    networks: int = 10_000,
    seed: Any = None,
    kinks: str = "error",
    progress: bool = False,
    memory: int = 2**28,
    threads: int = 1,
    route: str = "auto",
) -> xarray.Dataset:
    r"""Tensors of real networks: mean over random draws of all parameters, and standard error, at every layer.

    .. math:: X^{(\ell)} = n_{\ell-1}^{k-1}\, \kappa_k^{(\ell)}

    for a tensor of level k at layer l, all orders in 1/n included (totals): K and Theta (k = 1); V, A, B, D, F, P, Q,
    R, S, T and U (k = 2); V6 (k = 3); of z^l itself for different neurons, whatever kind of layer it is. The outermost
    parameters of layer l are averaged exactly, those below and inside it are drawn. K, V and V6 alone draw neurons from
    their exact conditional law, Gaussian or that of a random frame, O(n) a network. In dense networks, and those that
    normalise without a skip, Theta, A, B, D and F need no more: they are averaged exactly over all that neurons leave
    open of the weights (A and B of more than three inputs, or behind a norm, with vectors sent back through it).
    Otherwise, and for P..U, the exact tangent kernel of drawn weights is carried, O(n^3), for P..U with its derivatives
    along random directions (exact differentiation, no finite differences).

    Parameters
    ----------
    net : Network
        An :class:`rgflow.MLP`, or layers of any kind that a file of :mod:`rgflow.sampling.kinds` draws.
    inputs : array (N, n_0) or (n_0,)
        The law of layer 1 depends on them through x.x'/n_0 only; equal inputs are one. Give these or ``first_kernel``.
    first_kernel : number or array (N, N)
        K of layer 1; it implies x.x'/n_0 = (first_kernel - C_b)/C_W.
    tensors : names
        Letters, jets in any spelling ("1 2|3 4" is V), or Tensors.
    networks : int
        At least 100 (150 for V6): standard errors come from the spread of at least 50 batches. Memory does not grow
        with their number.
    seed : int, SeedSequence, Generator or None
        The same seed gives the same numbers whatever ``memory`` and ``threads`` are. A Generator advances.
    kinks : "error" or "almost_everywhere"
        What to do when a tensor holds derivatives of sigma that do not exist at a kink.
    progress : bool
        Show a bar.
    memory : int
        Bytes for the networks in work.
    threads : int
        Batches, or groups of them, in work at a time. What draws no weights uses no more threads than there are
        chunks of several hundred networks: thousands of networks gain by two of them, a thousand run on one.
    route : "auto" or "weights"
        "weights" draws all weights, whatever is asked for: slow, and a second witness.

    Returns
    -------
    xarray.Dataset
        Variables NAME and NAME_se with dims ``layer`` (1..L) and ``sample0``, ``sample1``, ... in the order of PDLT's
        sample arguments (absent for one input); coordinates fan_in = n_{l-1} and the hyperparameters; attrs kind
        "totals", networks, batches, seed as text, kinks, conventions, the network as JSON. Layer 1 is exact, with
        standard error 0. Unbiased: no truncation.

    Raises
    ------
    InputError
        For values outside their domain, a kernel that is not positive semidefinite, coefficients such as
        ``K_1``, tensors that are not sampled, a route nobody knows, a layer with fewer different neurons than a
        cumulant joins, norms of so few neurons, without epsilon, that an average does not exist, and kinds of layers
        that nobody draws.
    UnknownName
        For a tensor nobody knows.
    KinkError
        For P..U of a kinked activation (P and Q of one input in a dense network with sigma = 0 at its kinks are
        measured), unless ``kinks="almost_everywhere"``.
    AccuracyError
        When a network overflows, or a norm without epsilon meets neurons that are all alike.

    Source: the definitions of PDLT (arXiv:2106.10165), sections 2.2, 4, 8, 11 and its last chapter.

    >>> from rgflow.network import MLP
    >>> ds = sample(MLP([3, 20, 20, 1], "relu", C_W=2.0), first_kernel=1.0, networks=2000, seed=1)
    >>> ds.V.dims, ds.attrs["kind"], bool(abs(ds.K[2] - 1) < 5 * ds.K_se[2])
    (('layer',), 'totals', True)
    """
    if not isinstance(net, Network):
        raise InputError(f"net is {net!r}; give an MLP or a Network")
    shown = given(net, inputs, first_kernel)
    plan = Plan(net, len(shown.overlap), validated_names(tensors), route)
    first = first_layer(net, shown, plan.names)
    plan.check_kinks(kinks)
    networks = whole("networks", networks, 1)
    sizes = plan.batches(networks)
    memory, threads = whole("memory", memory, 1), min(whole("threads", threads, 1), len(sizes))
    chunk = plan.chunk(memory, threads, sizes[0])
    threads = plan.useful(threads, chunk, networks)
    # The C library returns the arrays of a chunk to the system at every turn, and their pages must be made anew, until
    # it has seen a larger piece come and go.
    np.empty(min(_LARGEST_PIECE, memory), dtype=np.uint8)
    sequence = seed_sequence(seed)
    combined = {name: statistics.Combination(networks) for name in plan.names}
    if net.depth > 1:
        with (
            single_products(),
            progress_bar(progress, "sampling networks", networks) as advance,
            closing(all_batches(plan, first, sequence, sizes, chunk, threads, advance)) as estimates,
        ):
            for size, estimate in zip(sizes, estimates, strict=True):
                for name in plan.names:
                    combined[name].add(estimate[name], size)
    results = {name: _with_first_layer(name, plan, first, combined[name]) for name in plan.names}
    about = {"networks": networks, "batches": len(sizes), "seed": seed_text(sequence)}
    return _dataset(plan, shown, results, kinks, about)


def _with_first_layer(
    name: str, plan: Plan, first: FirstLayer, combined: statistics.Combination
) -> tuple[Array, Array]:
    """Value and standard error at layers 1..L, (L, M, ..., M) for M different inputs: layer 1 is exact."""
    arguments = SAMPLE_ARGUMENTS[name]
    shape = (plan.net.depth, *[plan.inputs] * arguments)
    value, error = np.zeros(shape), np.zeros(shape)
    exact = np.asarray(first.cumulant(name))[None]
    value[0] = _spell_out(exact, plan.inputs, arguments // 2)[0] if name in ("V", "V6") and exact.ndim > 1 else exact
    if plan.net.depth > 1:
        for full, short in zip((value, error), combined.result(), strict=True):
            full[1:] = short if short.shape == full[1:].shape else _spell_out(short, plan.inputs, arguments // 2)
        if not np.all(np.isfinite(value)):
            layer = 1 + int(np.argmax(~np.isfinite(value).reshape(len(value), -1).all(axis=1)))
            raise AccuracyError(
                f"{name} of {plan.net.activation.name!r} networks overflows at layer {layer}; "
                "lower C_W, the input or the depth"
            )
    return value, error


def _spell_out(values: Array, inputs: int, pairs: int) -> Array:
    """From unordered pairs of inputs (L, p, p, ...) to all sample arguments (L, N, N, N, N, ...)."""
    for k in range(pairs):
        values = np.take(values, pair_index(inputs), axis=1 + 2 * k)
    return values


def _dataset(
    plan: Plan, shown: Given, results: dict[str, tuple[Array, Array]], kinks: str, about: dict[str, Any]
) -> xarray.Dataset:
    variables: dict[str, Any] = {}
    for name, pair in results.items():
        for variable, array in zip((name, f"{name}_se"), pair, strict=True):
            full = shown.expand(array, SAMPLE_ARGUMENTS[name])
            variables[variable] = (("layer", *(f"sample{k}" for k in range(full.ndim - 1))), full)
    coordinates, attributes = described(plan.net, "totals", kinks, CONVENTIONS)
    return dataset(variables, coordinates, {**attributes, **about})
