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
    search = _Search(tuple(dict.fromkeys(laws)))
    for entries in wanted:
        if len(entries) == 1:
            search.want_shift(entries[0])
            continue
        p, q = entries
        search.want_pair(p, q)
        for past, other in pasts(p, q):
            search.want_noise(past, other)
    return search.closed()


def pasts(p: Entry, q: Entry) -> tuple[Ask, Ask]:
    """z z of one neuron with the metric of the other: what makes a cumulant of G one of z."""
    return (Neuron(jets=p), q), (Neuron(jets=q), p)


class _Search:
    """What is wanted, each once, and what is still to be followed through the lines."""

    def __init__(self, laws: tuple[Law, ...]):
        self.laws = laws
        self.pairs: dict[Joint, None] = {}
        self.noises: dict[Ask, None] = {}
        self.shifts: dict[Entry, None] = {}
        self.waiting: list[Callable[[], None]] = []

    def closed(self) -> Needs:
        """Follow all that waits, and all that this brings."""
        while self.waiting:
            self.waiting.pop()()
        return Needs(tuple(self.pairs), tuple(self.noises), tuple(self.shifts))

    def want_pair(self, p: Entry, q: Entry) -> None:
        if (key := joint(p, q)) not in self.pairs:
            self.pairs[key] = None
            self.waiting.append(lambda: self._follow_pair(*key))

    def want_noise(self, f: Neuron, q: Entry) -> None:
        if (key := ask(f, q)) not in self.noises:
            self.noises[key] = None
            self.waiting.append(lambda: self._follow_noise(*key))

    def want_shift(self, entry: Entry) -> None:
        if (key := alone(entry)) not in self.shifts:
            self.shifts[key] = None
            self.waiting.append(lambda: self._follow_shift(key))

    def _follow_pair(self, p: Entry, q: Entry) -> None:
        self.want_pair(q, p)
        for law in self.laws:
            for answer in response(p, law):
                if answer.noise is None:
                    self.want_pair(answer.entries[0], q)
                else:
                    self.want_noise(answer.noise, q)

    def _follow_noise(self, f: Neuron, q: Entry) -> None:
        for law in self.laws:
            for answer in response(q, law):
                if answer.noise is None:
                    self.want_noise(f, answer.entries[0])

    def _follow_shift(self, entry: Entry) -> None:
        for law in self.laws:
            for answer in shift(entry, law):
                if len(answer.noises) == 2:
                    continue  # of the same neurons: an average
                if answer.noises:
                    self.want_noise(answer.noises[0], answer.entries[0])
                elif len(answer.entries) == 2:
                    self.want_pair(*answer.entries)
                else:
                    self.want_shift(answer.entries[0])
