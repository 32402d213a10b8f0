"""``sweep``: flows or samples of networks over a grid of hyperparameters."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import closing
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any

from rgflow.algebra import Tensor
from rgflow.checks import whole
from rgflow.errors import InputError, RgflowError
from rgflow.network import Network
from rgflow.progress import progress_bar
from rgflow.sweeps.asked import request as requested
from rgflow.sweeps.compute import Found, batched
from rgflow.sweeps.layout import Block, Variable, blocks, cut, default_points, physical_memory, variables
from rgflow.sweeps.opening import open_store
from rgflow.sweeps.request import Request
from rgflow.sweeps.result import assembled, attributes, failures, frame
from rgflow.sweeps.status import Reasons, first
from rgflow.sweeps.store import Store
from rgflow.sweeps.work import work, workers

if TYPE_CHECKING:
    import xarray


def sweep(
    net: Network,
    inputs: Any = None,
    *,
    first_kernel: Any = None,
    tensors: str | Iterable[str | Tensor] = ("K", "V", "Theta"),
    order: int = 1,
    kinks: str = "error",
    closure: str = "full",
    layers: Any = "all",
    method: str = "auto",
    errors: str = "all",
    path: str | os.PathLike[str] | None = None,
    chunk: int | None = None,
    threads: int | None = None,
    executor: Any = None,
    progress: bool = False,
    networks: int | None = None,
    seed: Any = None,
    **axes: Any,
) -> xarray.Dataset:
    """:func:`rgflow.flow`, or with ``networks=`` :func:`rgflow.sample`, over a grid: the same, with more dims.

    Parameters
    ----------
    net : MLP or Network
        What the axes change.
    inputs, first_kernel : as for :func:`rgflow.flow`
        A one-dimensional ``first_kernel`` is an axis, the last.
    tensors, order, kinks, closure : as for :func:`rgflow.flow`
    layers : "all", "last" or a list of layers
        What to keep of every network; without the dim ``layer`` for "last".
    method : "auto", "tabulated" or "quadrature"
        How the Gaussian averages of one input are found where many points are flowed together; "auto" is "tabulated".
    errors : "all" or "sampled"
        Where many points are flowed together, numerical errors of all, or of one block of points in sixteen, NaN
        elsewhere: they take longer than the values.
    path : NAME.zarr, optional
        Where chunks are written as they are finished. After an interrupt, a kill or a full disk the same call goes on
        and computes the rest; a finished sweep is read. The result is read from there as its values are used.
    chunk : int, optional
        Points computed at once, on one worker; by default at most a million numbers, and less than a second of work
        where points are flowed together. It does not change the result.
    threads : int, optional
        Threads of this process; default: one for every processor.
    executor : dask.distributed.Client or concurrent.futures.Executor, optional
        Who computes the chunks instead; this process writes them.
    progress : bool
        Show a bar of points.
    networks : int, optional
        Draw that many networks at every point.
    seed : int, SeedSequence, Generator or None
        Of samples: point number i takes the child number i, whatever ``chunk``, ``threads`` and ``executor`` are.
    **axes : arrays of one dimension, or numbers
        ``C_b``, ``C_W``, ``lambda_b``, ``lambda_W`` and other hyperparameters, one value for all layers that have it;
        ``depth`` (results at the last layer: a dim instead of ``layer``); ``width`` of all hidden layers; parameters of
        a named activation (``slope``, ``beta``, ``degree``). Every combination is a point. A number is no dim.

    Returns
    -------
    xarray.Dataset
        Variables of a flow, with dims ``layer``, the axes in the order given, ``sample0``, ...: coefficients,
        ``numerical_error`` (coefficient, layer, axes), ``expansion_ratio`` (letter, layer, axes); or NAME and NAME_se
        of samples. ``status`` (axes) is 0 where all is well; elsewhere numbers are NaN, ``flag_meanings`` names the
        codes, and an attribute of each name tells of the first such point. :func:`rgflow.total`, :func:`rgflow.save`
        and :func:`rgflow.load` take it. Truncation error: O(n^-(order+1)).

    Raises
    ------
    InputError, OrderError, UnknownName, KinkError, AccuracyError
        For arguments that are wrong whatever the point, and the error of the first point if all fail.
    StoreError
        If ``path`` holds something else or another sweep, is written by another process, or cannot be written.

    >>> import numpy as np
    >>> from rgflow.network import MLP
    >>> net = MLP.uniform(n_in=3, width=100, depth=4, activation="relu")
    >>> ds = sweep(net, first_kernel=1.0, layers="last", C_W=np.array([1.0, 2.0]), C_b=np.array([0.0, 0.5, 1.0]))
    >>> ds.K.dims, ds.K.sel(C_W=2.0).values.round(9).tolist()
    (('C_W', 'C_b'), [1.0, 2.5, 4.0])
    """
    asked = requested(
        net,
        inputs,
        first_kernel,
        axes,
        tensors=tensors,
        order=order,
        kinks=kinks,
        closure=closure,
        layers=layers,
        method=method,
        errors=errors,
        networks=networks,
        seed=seed,
    )
    count = workers(threads, executor)
    points = None if chunk is None else whole("chunk", chunk, 1)
    if method == "tabulated" and not batched(asked):
        raise InputError(
            "method='tabulated' is of flows of one input through layers of one kind without a past; this sweep goes "
            "point by point: take method='auto'"
        )

    def block() -> tuple[int, ...]:
        return cut(asked.shape, points or default_points(asked, batched(asked), count))

    if path is None:
        return _in_memory(asked, block(), threads, executor, progress)
    return _on_disk(asked, path, seed is not None, block(), threads, executor, progress)


def _in_memory(
    asked: Request, block: tuple[int, ...], threads: int | None, executor: Any, progress: bool
) -> xarray.Dataset:
    wanted = variables(asked)
    _fits(wanted, asked)
    arrays = {variable.name: variable.whole() for variable in wanted}
    failed: list[Reasons] = []

    def keep(block: Block, found: Found) -> None:
        for variable, place, values in _parts(asked, wanted, block, found):
            arrays[variable.name][place] = values
        failed.append(found.reasons)

    with progress_bar(progress, "sweep", asked.points) as advance:
        work(asked, blocks(asked.shape, block), _counting(keep, advance), threads, executor)
    ds = assembled(frame(asked, asked.told()), asked, arrays, wanted)
    return _told(ds, first(failed))


def _fits(wanted: tuple[Variable, ...], asked: Request) -> None:
    """InputError for a result that this machine has no memory for, before any of it is taken."""
    needed = sum(prod(variable.sizes) * int(variable.dtype[1:]) for variable in wanted)
    if needed > (there := physical_memory()):
        raise InputError(
            f"the result of {asked.points} points takes {needed / 1e9:.3g} GB, and this machine has {there / 1e9:.3g} "
            "GB; give path='NAME.zarr' to keep it on disk, layers='last', fewer tensors or fewer values"
        )


def _on_disk(
    asked: Request,
    path: str | os.PathLike[str],
    fixed_seed: bool,
    block: tuple[int, ...],
    threads: int | None,
    executor: Any,
    progress: bool,
) -> xarray.Dataset:
    from rgflow.files import opened

    wanted = variables(asked)
    told = asked.told()
    steps = {axis.name: step for axis, step in zip(asked.grid, block, strict=True)}

    def empty() -> Any:
        chunks = [tuple(steps.get(dim, size) for dim, size in zip(v.dims, v.sizes, strict=True)) for v in wanted]
        described = [(v, chunk, attributes(asked, v)) for v, chunk in zip(wanted, chunks, strict=True)]
        return frame(asked, told), described

    with closing(open_store(path, told, fixed_seed, lambda: block, empty)) as store:
        if not store.finished:
            _go_on(asked, store, wanted, threads, executor, progress)
    return opened(path)


def _go_on(
    asked: Request, store: Store, wanted: tuple[Variable, ...], threads: int | None, executor: Any, progress: bool
) -> None:
    if asked.sampled:
        asked = asked.seeded(**store.told["seed"])
    failed = store.done()

    def keep(block: Block, found: Found) -> None:
        store.write(block, list(_parts(asked, wanted, block, found)), found.reasons)
        failed[block.number] = found.reasons

    every = partial(blocks, asked.shape, store.block)  # millions of blocks are not kept
    with progress_bar(progress, "sweep", asked.points) as advance:
        advance(sum(block.size for block in every() if block.number in failed))
        finished = frozenset(failed)
        rest = (block for block in every() if block.number not in finished)
        work(asked, rest, _counting(keep, advance), threads, executor)
    reasons = first(failed.values())
    if reasons and store.all_failed():
        raise _earliest(reasons)
    store.finish(failures(reasons))


def _parts(asked: Request, wanted: tuple[Variable, ...], block: Block, found: Found) -> Iterable[Any]:
    for variable in wanted:
        yield variable, block.place(asked, variable), block.arranged(asked, variable, found.arrays[variable.name])


def _counting(keep: Callable[[Block, Found], None], advance: Callable[[int], None]) -> Callable[[Block, Found], None]:
    def counted(block: Block, found: Found) -> None:
        keep(block, found)
        advance(block.size)

    return counted


def _told(ds: xarray.Dataset, reasons: Reasons) -> xarray.Dataset:
    """The words of failures in the attributes of ``status``; the error of the first point if all failed."""
    if reasons and bool((ds["status"] != 0).all()):
        raise _earliest(reasons)
    ds["status"].attrs.update(failures(reasons))
    return ds


def _earliest(reasons: Reasons) -> RgflowError:
    return min(reasons.values(), key=lambda reason: reason.point).raised()
