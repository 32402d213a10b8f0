"""The lines of a tensor where one step in one time does not close: layers with a carry, or with several weights."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from rgflow.algebra.jets import Jet
from rgflow.algebra.linked import Linked
from rgflow.algebra.response import FLUCTUATION, MEAN, SHIFT, Answer, Entry, Line, alone, joint
from rgflow.algebra.tensor import Tensor
from rgflow.derive.response import mean, response, shift
from rgflow.errors import OrderError
from rgflow.layers import Law


def linked(tensor: Tensor, samples: str, rules: tuple[Law, ...]) -> Linked:
    """The lines of a tensor for the laws of one layer; OrderError as :func:`check_linked`."""
    check_linked(tensor, rules)
    return _linked(tensor, samples, rules)


def check_linked(tensor: Tensor, rules: Iterable[Law]) -> None:
    """OrderError beyond K, Theta, their first corrections and cumulants of two entries at leading order."""
    for law in rules:
        limit = 1 if law.order is None else law.order
        if tensor.cost > limit:
            raise OrderError(
                f"{tensor.name} is of order {tensor.cost} in 1/n, and linked lines of {law.name} layers are known to "
                f"order {limit}; ask a tensor of that order, or sample the network"
            )


@lru_cache(maxsize=512)
def _linked(tensor: Tensor, samples: str, rules: tuple[Law, ...]) -> Linked:
    entries = entries_of(
        tensor, tuple(range(1, 2 * tensor.level + 1)) if samples == "many" else (0,) * 2 * tensor.level
    )
    kind = FLUCTUATION if len(entries) == 2 else SHIFT if tensor.order else MEAN
    lines = [line for entry in _followed(kind, entries, rules) for line in _lines(kind, entry, rules)]
    carries = rules[-1].carry is not None
    scales = tuple(law.scale for law in rules if law.scale)
    return Linked(tensor, samples, rules[-1].name, tuple(law.name for law in rules), tuple(lines), carries, scales)


def entries_of(tensor: Tensor, samples: tuple[int, ...]) -> tuple[Entry, ...]:
    """The entries of a tensor with the given samples as its arguments."""
    return tuple((Jet(samples[a.sample - 1], a.edges), Jet(samples[b.sample - 1], b.edges)) for a, b in tensor.pairs)


def _followed(kind: str, entries: tuple[Entry, ...], rules: tuple[Law, ...]) -> list[Entry]:
    """The entries and, for fluctuations and shifts, all that they answer to, but for other samples."""
    found = [*(joint(*entries) if kind == FLUCTUATION else map(alone, entries))]
    found = list({_directions(entry): entry for entry in reversed(found)}.values())[::-1]
    known = {_directions(entry) for entry in found}
    for entry in found:
        for law in rules:
            for answer in _answers(kind, entry, law):
                if len(answer.entries) == 1 and answer.noise is None and _directions(answer.entries[0]) not in known:
                    known.add(_directions(answer.entries[0]))
                    found.append(answer.entries[0])
    return found


def _directions(entry: Entry) -> Entry:
    """An entry without its samples; its directions keep their names, by which it is tied to the other entry."""
    one, other = (Jet(0, jet.edges) for jet in entry)
    return (one, other) if (-len(one.edges), one) <= (-len(other.edges), other) else (other, one)


def _lines(kind: str, entry: Entry, rules: tuple[Law, ...]) -> list[Line]:
    return [
        Line(
            kind,
            entry,
            stage,
            law.constants(*entry) if kind == MEAN else (),
            _answers(kind, entry, law),
        )
        for stage, law in enumerate(rules)
    ]


def _answers(kind: str, entry: Entry, law: Law) -> tuple[Answer, ...]:
    return {MEAN: mean, FLUCTUATION: response, SHIFT: shift}[kind](entry, law)
