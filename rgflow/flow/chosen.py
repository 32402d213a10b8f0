"""Components at chosen sample indices, of any number of inputs: each needs only the inputs that it names.

V[a,b,c,d] of layer l + 1 holds averages and tensors at samples a, b, c, d alone, so that sets of up to four inputs flow
for themselves, many at a time.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rgflow.algebra import Tensor
from rgflow.brackets.kinks import check_kinks
from rgflow.derive.derive import closures
from rgflow.errors import InputError
from rgflow.flow.dataset import CONVENTIONS, attributes
from rgflow.flow.diagnostics import BOUND, expansion_ratios, trusted_layers
from rgflow.flow.history import History, checked
from rgflow.flow.inputs import check_first, start
from rgflow.flow.orders import check_size
from rgflow.flow.steps import steps
from rgflow.labelled import dataset
from rgflow.layers import forgets
from rgflow.layers.stages import Stage
from rgflow.network import Network
from rgflow.network.describe import described
from rgflow.network.inputs import finite
from rgflow.progress import progress_bar

if TYPE_CHECKING:
    import xarray

    from rgflow.layers import Law

SETS = 256  # sets of inputs that flow together


@dataclass(frozen=True, eq=False)
class Chosen:
    """What each set of inputs that flows for itself gives.

    overlaps : (G, n, n), x.x'/n_0 of G sets of n different inputs
    components : for each component its number among those asked, its set, and its samples within the set (T, 2 + k)
    """

    overlaps: Any
    components: NDArray[np.int64]


def flow_chosen(
    net: Network,
    inputs: Any,
    first_kernel: Any,
    wanted: tuple[Tensor, ...],
    needed: list[Tensor],
    at: Any,
    through: tuple[Stage, ...],
    order: int,
    kinks: str,
    progress: bool = False,
    threads: int = 1,
) -> xarray.Dataset:
    """The coefficients ``wanted`` at the sample indices ``at``, (T, k); see :func:`rgflow.flow`."""
    rules = tuple(stage.law for stage in through)
    if len(rules) != net.depth or not all(map(forgets, rules)):
        raise InputError(
            "at= is for layers without a past or a norm; flow each set of inputs for itself, and take its components"
        )
    indices = _indices(net, inputs, first_kernel, wanted, at)
    systems = closures(needed, "many", rules[1:] or rules)
    for system in systems.values():
        check_kinks(system, net.activation, kinks)
    groups = _sets(net, inputs, first_kernel, indices, through)
    check_size(needed, max(groups), kinked=bool(net.activation.kinks))
    shape = (net.depth, len(indices))
    values, errors = ({tensor: np.zeros(shape) for tensor in wanted} for _ in range(2))
    ratios: dict[str, Any] = {}
    fan_in = np.array(net.fan_in, np.float64)
    work = sum(-(-len(group.overlaps) // SETS) for group in groups.values())
    with progress_bar(progress, "sets of inputs", work) as advance:
        for group in groups.values():
            for first in range(0, len(group.overlaps), SETS):
                part = Chosen(group.overlaps[first : first + SETS], group.components)
                history = checked(net, _run(net, systems, rules, part, first, wanted, (values, errors), threads))
                for letter, ratio in expansion_ratios(history.values, fan_in).items():
                    ratios[letter] = np.maximum(ratio, ratios.get(letter, 0.0))
                advance(1)
    return _dataset(net, wanted, indices, values, errors, ratios, order, kinks)


def _indices(net: Network, inputs: Any, first_kernel: Any, wanted: tuple[Tensor, ...], at: Any) -> NDArray[np.int64]:
    """The index tuples, checked: as many indices as each tensor has, each of an input that exists."""
    if (inputs is None) == (first_kernel is None):
        raise InputError("give exactly one of inputs= (an array (N, n_0)) and first_kernel= (a number or N x N)")
    given = finite(
        "inputs" if first_kernel is None else "first_kernel", inputs if first_kernel is None else first_kernel
    )
    wide = net.widths[0] if first_kernel is None else len(np.atleast_1d(given))
    if given.ndim != 2 or given.shape[1] != wide:
        raise InputError(f"at= chooses among several inputs: an array (N, {wide}); found the shape {given.shape}")
    try:
        indices = np.array([tuple(row) for row in at])
    except (TypeError, ValueError):
        indices = np.zeros(0)
    if indices.ndim != 2 or indices.dtype.kind not in "iu" or not indices.size:
        raise InputError(f"at is {at!r}; give tuples of sample indices, as many in each as the tensors have")
    for tensor in wanted:
        if indices.shape[1] != 2 * tensor.level:
            raise InputError(
                f"at holds tuples of {indices.shape[1]} samples and {tensor.name} has {2 * tensor.level}; ask tensors "
                "with as many in one call, and others in another"
            )
    if indices.min() < 0 or indices.max() >= len(given):
        wrong = indices.min() if indices.min() < 0 else indices.max()
        raise InputError(f"at names sample {wrong}; there are {len(given)}, numbered from 0")
    return indices.astype(np.int64)


def _sets(
    net: Network, inputs: Any, first_kernel: Any, indices: NDArray[np.int64], through: tuple[Stage, ...]
) -> dict[int, Chosen]:
    """The sets of inputs that components name, by their number of different inputs."""
    numbers: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for number, row in enumerate(indices):
        numbers[tuple(sorted(set(row.tolist())))].append(number)
    overlaps: dict[int, list[Any]] = defaultdict(list)
    components: dict[int, list[Any]] = defaultdict(list)
    given = np.asarray(inputs if first_kernel is None else first_kernel, np.float64)
    for names, rows in numbers.items():
        some = list(names)
        begin = start(net, given[some]) if first_kernel is None else start(net, None, given[np.ix_(some, some)])
        check_first(net, through[0].law, begin.overlap)
        size = len(begin.overlap)
        local = begin.place[np.searchsorted(names, indices[rows])]
        own = np.full(len(rows), len(overlaps[size]))
        components[size].append(np.column_stack([rows, own, local]))
        overlaps[size].append(begin.overlap)
    return {size: Chosen(np.array(found), np.concatenate(components[size])) for size, found in sorted(overlaps.items())}


def _run(
    net: Network,
    systems: dict[Law, Any],
    rules: tuple[Law, ...],
    part: Chosen,
    first: int,
    wanted: tuple[Tensor, ...],
    out: tuple[dict[Tensor, Any], dict[Tensor, Any]],
    threads: int,
) -> History:
    """Flow some sets together, write what is asked of them into ``out``, and return all that they hold."""
    from rgflow.flow.many_inputs import EPSILON, layer
    from rgflow.flow.run import first_layer
    from rgflow.flow.state import Packed

    system = next(iter(systems.values()))
    state = Packed(system.tensors, part.overlaps.shape[-1])
    values = np.zeros((len(part.overlaps), len(state.work)))
    for row, overlap in zip(values, part.overlaps, strict=True):
        for tensor, block in first_layer(net, rules[0], overlap).items():
            if tensor in state.tensors:
                i = state.tensors.index(tensor)
                row[state.offsets[i] : state.offsets[i + 1]] = state.packed(i, block)
    history, doubts = [values], [2 * EPSILON * np.abs(values)]
    for step in steps(net, systems, rules):
        found, doubt = layer(net.activation, state, step, history[-1], doubts[-1], threads)
        history.append(found)
        doubts.append(doubt)
    own = part.components[:, 1] - first
    here = (own >= 0) & (own < len(part.overlaps))
    number, own, samples = part.components[here, 0], own[here], part.components[here, 2:]
    kept: dict[Tensor, Any] = {}
    for i, tensor in enumerate(state.tensors):
        span = slice(state.offsets[i], state.offsets[i + 1])
        kept[tensor] = np.array([found[:, span] for found in history])
        if tensor in wanted:
            place = np.ravel_multi_index(tuple(samples.T), (state.samples,) * samples.shape[1])
            slot = state.slots[state.starts[i] + place]
            for target, source in zip(out, (history, doubts), strict=True):
                target[tensor][:, number] = [found[own, slot] for found in source]
    return History(kept, {})


def _dataset(
    net: Network,
    wanted: tuple[Tensor, ...],
    indices: NDArray[np.int64],
    values: dict[Tensor, Any],
    errors: dict[Tensor, Any],
    ratios: dict[str, Any],
    order: int,
    kinks: str,
) -> xarray.Dataset:
    data: dict[str, Any] = {t.name: (("layer", "component"), values[t], attributes(t)) for t in wanted}
    data["numerical_error"] = (
        ("coefficient", "layer", "component"),
        np.array([errors[t] for t in wanted]),
        {"long_name": "bound or estimate of the error of quadrature and rounding, absolute"},
    )
    coords, attrs = described(net, "coefficients", kinks, CONVENTIONS)
    coords["coefficient"] = [t.name for t in wanted]
    coords |= {f"sample{i}": ("component", column) for i, column in enumerate(indices.T)}
    letters = list(dict.fromkeys(t.letter for t in wanted if t.letter in ratios))
    if letters:
        coords["letter"] = letters
        data["expansion_ratio"] = (
            ("letter", "layer"),
            np.array([ratios[letter] for letter in letters]),
            {"long_name": "size of the next order in 1/n relative to the last, the largest of all sets of inputs"},
        )
        data["trusted_layers"] = (
            ("letter",),
            np.array([trusted_layers(ratios[letter]) for letter in letters]),
            {"long_name": f"last layer up to which expansion_ratio stays below {BOUND}"},
        )
    return dataset(data, coords, {**attrs, "order": order, "brackets": "quadrature", "closure": "full"})
