"""The lines of a tensor where one step in one time does not close: layers with a carry, or with several weights."""

from __future__ import annotations

from functools import lru_cache

from rgflow.algebra.jets import Jet
from rgflow.algebra.linked import Linked
from rgflow.algebra.response import FLUCTUATION, MEAN, SHIFT, Answer, Entry, Line, alone, joint
from rgflow.algebra.tensor import Tensor
from rgflow.derive.response import mean, response, shift
from rgflow.errors import InputError, OrderError
from rgflow.layers import Law


def linked(tensor: Tensor, samples: str, rules: tuple[Law, ...]) -> Linked:
    """The lines of a tensor for the laws of one layer.

    Raises
    ------
    OrderError
        Beyond K, Theta, their first corrections and the cumulants of two entries at leading order.
    InputError
        For several inputs.
    """
    limit = min([1, *(law.order for law in rules if law.order is not None)])
    if tensor.cost > limit:
        raise OrderError(
            f"{tensor.name} is of order {tensor.cost} in 1/n, and the lines of a {rules[-1].name} layer are known to "
            f"order {limit}: beyond, its neurons' past is not closed here; ask a tensor of that order, or sample"
        )
    if samples == "many":
        raise InputError(
            f"{tensor.name} of a {rules[-1].name} layer with several inputs: its lines are known for one input; "
            "take samples='one', or closure='book' for a layer with one weight matrix"
        )
    return _linked(tensor, rules)


@lru_cache(maxsize=512)
def _linked(tensor: Tensor, rules: tuple[Law, ...]) -> Linked:
    entries = [(a.edges, b.edges) for a, b in tensor.pairs]
    kind = FLUCTUATION if len(entries) == 2 else SHIFT if tensor.order else MEAN
    lines = [line for entry in _followed(kind, entries, rules) for line in _lines(kind, entry, rules)]
    carries = any(law.carry for law in rules)
    return Linked(tensor, rules[-1].name, tuple(law.name for law in rules), tuple(lines), carries)


def _followed(kind: str, entries: list[Entry], rules: tuple[Law, ...]) -> list[Entry]:
    """The entries and, for fluctuations and shifts, all that they answer to."""
    if kind == FLUCTUATION:
        entries = list(joint(*entries))
    else:
        entries = [alone(entry) for entry in entries]
    found = list(dict.fromkeys(entries))
    for entry in found:
        for law in rules:
            for answer in _answers(kind, entry, law):
                if len(answer.entries) == 1 and answer.noise is None and answer.entries[0] not in found:
                    found.append(answer.entries[0])
    return found


def _lines(kind: str, entry: Entry, rules: tuple[Law, ...]) -> list[Line]:
    return [
        Line(
            kind,
            entry,
            stage,
            law.constants(Jet(0, entry[0]), Jet(0, entry[1])) if kind == MEAN else (),
            _answers(kind, entry, law),
        )
        for stage, law in enumerate(rules)
    ]


def _answers(kind: str, entry: Entry, law: Law) -> tuple[Answer, ...]:
    return {MEAN: mean, FLUCTUATION: response, SHIFT: shift}[kind](entry, law)
