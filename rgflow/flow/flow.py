"""``flow``: the tensors of a network, layer by layer."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from rgflow.algebra import Tensor
from rgflow.brackets.kinks import check_kinks, check_written
from rgflow.checks import whole
from rgflow.derive.derive import check_closure, closures
from rgflow.derive.linked import check_linked
from rgflow.errors import InputError, OrderError
from rgflow.flow.chosen import flow_chosen
from rgflow.flow.dataset import coefficients
from rgflow.flow.inputs import check_first, start
from rgflow.flow.leading import pairwise, run_pairs
from rgflow.flow.orders import MOST_MEASURED, check_size, measures, requested
from rgflow.flow.stages import highest_written, run_stages
from rgflow.layers import forgets
from rgflow.layers.stages import Stage, stages
from rgflow.network import Network
from rgflow.threads import cores

if TYPE_CHECKING:
    import xarray


def flow(
    net: Network,
    inputs: Any = None,
    *,
    first_kernel: Any = None,
    tensors: str | Iterable[str | Tensor] = ("K", "V", "Theta"),
    order: int = 1,
    kinks: str = "error",
    closure: str = "full",
    at: Any = None,
    progress: bool = False,
    threads: int | None = 1,
) -> xarray.Dataset:
    r"""Flow the coefficient tensors of a network's ensemble through its layers.

    .. math:: \kappa_k^{(\ell)} = n_{\ell-1}^{1-k} \sum_q X_q^{(\ell)}\, n_{\ell-1}^{-q}

    with X_q of layer l+1 a polynomial in the tensors and the Gaussian brackets of layer l, derived by
    :func:`rgflow.derive`; where neurons keep their past, of all layers up to l (:class:`rgflow.algebra.Linked`). The
    first layer is Gaussian, or as its weights are.

    Parameters
    ----------
    net : MLP or Network
        The network.
    inputs : array (N, n_0) or (n_0,)
        Inputs. Tensors with N^4 components are offered for N <= 32 different inputs (10 where the activation has
        kinks), those of order 2 and layers with a past for N <= 4, K and Theta for any N (:func:`rgflow.gram` keeps
        the last layer alone, or writes to disk); for more, see ``at``.
    first_kernel : float or array (N, N)
        Instead of inputs: the kernel K of layer 1, which implies x.x'/n_0 = (first_kernel - C_b) / C_W.
    tensors : names
        Each comes with every correction X_q with k - 1 + q <= order; a name with a suffix ("K_1") is that one alone,
        and so is a Tensor object.
    order : int
        Total order in 1/n: 0 gives K and Theta, 1 adds K_1, Theta_1 and the four-point letters, 2 the next.
    kinks : "error" or "almost_everywhere"
        What written second derivatives of an activation with a kink mean; see :mod:`rgflow.brackets.kinks`.
    closure : "full" or "book"
        For layers whose neurons keep their past: "full", with all of it; "book", PDLT's recursion in one time, by name
        only.
    at : sequence of tuples of sample indices, optional
        Only these components, of any number of inputs: pairs for K_1 and Theta_1, quadruples for four-point tensors.
        Each set of inputs that a tuple names flows for itself. Results have dims ``layer`` and ``component``, with
        the indices in the coordinates ``sample0``, ``sample1``, .., and ``numerical_error`` for each.
    progress : bool
        Show a bar while the averages between layers are found; with several inputs and a past they take longest.
    threads : int or None
        Threads for the averages and rows of several inputs; None: as many as there are processors.

    Returns
    -------
    xarray.Dataset
        Dims ``layer`` (1..L) and ``sample0``, ``sample1``, .. (absent for one input). Variables: the coefficients;
        ``numerical_error`` (coefficient, layer), absolute, of quadrature and rounding, the largest over samples;
        ``expansion_ratio`` (letter, layer), the size of the next order relative to the last, with the layer up to which
        it stays below 1/2 in ``trusted_layers`` (letter). ``attrs["brackets"]`` tells how the Gaussian averages were
        found: "closed form", "quadrature" or "both"; ``attrs["closure"]`` which closure was asked. Truncation error:
        O(n^-(order+1)).

    Raises
    ------
    InputError, OrderError, UnknownName, KinkError, AccuracyError
        OrderError also beyond the order to which the law of a layer holds.

    >>> from rgflow.network import MLP
    >>> net = MLP.uniform(n_in=3, width=100, depth=4, activation="relu", C_W=2.0)
    >>> ds = flow(net, first_kernel=1.0, tensors=["K", "V"])
    >>> ds["V"].values.round(9).tolist()
    [0.0, 5.0, 10.0, 15.0]
    """
    if not isinstance(net, Network):
        raise InputError(f"{net!r} is not a network; give rgflow.MLP(...) or rgflow.Network(...)")
    wanted = requested(tensors, order)
    threads = whole("threads", cores() if threads is None else threads, 1)
    if at is not None:
        through = stages(net)
        needed = [*wanted, *measures(wanted, order)]
        _check_laws(order, wanted, needed, through)
        check_closure(closure)
        return flow_chosen(
            net, inputs, first_kernel, wanted, needed, at, through, order, kinks, progress=progress, threads=threads
        )
    begin = start(net, inputs, first_kernel)
    samples = "one" if len(begin.overlap) == 1 else "many"
    few = len(begin.overlap) <= MOST_MEASURED
    needed = [*wanted, *(measures(wanted, order) if few else ())]
    through = stages(net)
    _check_laws(order, wanted, needed, through)
    check_first(net, through[0].law, begin.overlap)
    rules = tuple(stage.law for stage in through)
    book = check_closure(closure) == "book" and not any(law.norm for law in rules)
    if len(rules) == net.depth and (book or all(map(forgets, rules))):
        systems = closures(needed, samples, rules[1:] or rules)
        for system in systems.values():
            check_kinks(system, net.activation, kinks)
        if pairwise(needed, begin.overlap, through):
            history = run_pairs(net, through, begin.overlap, progress)
        else:
            from rgflow.flow.run import run  # loads Numba

            history = run(net, systems, rules, begin, progress, threads, wanted)
    else:
        _check_linked(net, closure, needed, len(begin.overlap), kinks, through)
        go = run_pairs if pairwise(needed, begin.overlap, through) else partial(run_stages, tensors=needed)
        history = go(net, through, overlap=begin.overlap, progress=progress)
    found = coefficients(net, history.values, history.errors, wanted, begin, order, kinks)
    found.attrs.update(brackets=history.brackets, closure=closure)
    return found


def _check_laws(order: int, wanted: tuple[Tensor, ...], needed: list[Tensor], through: tuple[Stage, ...]) -> None:
    """Refuse an order beyond that of a layer's law, in terms of what was asked."""
    for stage in through:
        limit = stage.law.order
        beyond = [] if limit is None else [tensor for tensor in needed if tensor.cost > limit]
        if beyond:
            alone = "" if all(tensor.cost > (limit or 0) for tensor in wanted) else " and name tensors of that order"
            remedy = f"pass order={limit}" + (", tensors=['K', 'Theta']" if limit == 0 else alone)
            raise OrderError(
                f"order={order} needs {beyond[0].name}, and the law of {stage.law.name} layers (layer {stage.layer}) "
                f"is known to order {limit} in 1/n; {remedy}, or sample the network"
            )


def _check_linked(
    net: Network, closure: str, needed: list[Tensor], inputs: int, kinks: str, through: tuple[Stage, ...]
) -> None:
    """Refuse what lines with memory do not give: the book's closure of a branch, many inputs, kinks."""
    if check_closure(closure) == "book":
        several = next(stage.description for stage in through if not stage.last or stage.law.norm)
        raise InputError(f"{several!r} has no recursion in one time; take closure='full'")
    check_size(needed, inputs, memory=True)
    for tensor in needed:
        check_linked(tensor, (stage.law for stage in through))
        if tensor.cost:
            check_written(tensor.name, highest_written(tensor, through), inputs == 1, net.activation, kinks)
