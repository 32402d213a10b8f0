"""Which cumulants a flow with memory needs: closed under the lines of every law that occurs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rgflow.algebra.response import Ask, Entry, Joint, Neuron, alone, ask, joint
from rgflow.derive.response import response, shift
from rgflow.layers import Law


@dataclass(frozen=True)
class Needs:
    """Pairs of entries, noises with entries, and entries whose mean shifts."""

    pairs: tuple[Joint, ...]
    noises: tuple[Ask, ...]
    shifts: tuple[Entry, ...]


def needs(wanted: Iterable[tuple[Entry, ...]], laws: Iterable[Law]) -> Needs:
    """All that means of one entry at next order, and cumulants of two, need under these laws."""
    rules = tuple(dict.fromkeys(laws))
    pairs: dict[Joint, None] = {}
    noises: dict[Ask, None] = {}
    shifts: dict[Entry, None] = {}
    waiting: list[Callable[[], None]] = []

    def want_pair(p: Entry, q: Entry) -> None:
        if (key := joint(p, q)) not in pairs:
            pairs[key] = None
            waiting.append(lambda: follow_pair(*key))

    def want_noise(f: Neuron, q: Entry) -> None:
        if (key := ask(f, q)) not in noises:
            noises[key] = None
            waiting.append(lambda: follow_noise(*key))

    def want_shift(entry: Entry) -> None:
        if (key := alone(entry)) not in shifts:
            shifts[key] = None
            waiting.append(lambda: follow_shift(key))

    def follow_pair(p: Entry, q: Entry) -> None:
        want_pair(q, p)
        for law in rules:
            for answer in response(p, law):
                if answer.noise is None:
                    want_pair(answer.entries[0], q)
                else:
                    want_noise(answer.noise, q)

    def follow_noise(f: Neuron, q: Entry) -> None:
        for law in rules:
            for answer in response(q, law):
                if answer.noise is None:
                    want_noise(f, answer.entries[0])

    def follow_shift(entry: Entry) -> None:
        for law in rules:
            for answer in shift(entry, law):
                if answer.noise is not None:
                    want_noise(answer.noise, answer.entries[0])
                elif len(answer.entries) == 2:
                    want_pair(*answer.entries)
                else:
                    want_shift(answer.entries[0])

    for entries in wanted:
        if len(entries) == 1:
            want_shift(entries[0])
            continue
        p, q = entries
        want_pair(p, q)
        for past, other in pasts(p, q):
            want_noise(past, other)
    while waiting:
        waiting.pop()()
    return Needs(tuple(pairs), tuple(noises), tuple(shifts))


def pasts(p: Entry, q: Entry) -> tuple[Ask, Ask]:
    """z z of one neuron with the metric of the other: what makes a cumulant of G one of z."""
    return (Neuron(jets=p), q), (Neuron(jets=q), p)
