"""Names of summed indices: what text, LaTeX and SymPy share when they print a term."""

from __future__ import annotations

from dataclasses import dataclass

from rgflow.algebra.terms import Term


@dataclass(frozen=True)
class Layout:
    """A term's indices by name: beta_1, beta_2, ... for those that are summed.

    Attributes
    ----------
    indices : tuple of tuples of int
        For each tensor its indices: a positive sample, or -j for beta_j.
    acting : tuple of tuples of int
        For each bracket the numbers j of the derivatives d/dz_{beta_j} that act on it.
    """

    indices: tuple[tuple[int, ...], ...]
    acting: tuple[tuple[int, ...], ...]


def layout(term: Term) -> Layout:
    """Number the summed indices of a term from left to right."""
    acting: list[list[int]] = [[] for _ in term.brackets]
    indices = []
    count = 0
    for value in term.tensors:
        row = []
        for index in value.indices:
            if index < 0:
                count += 1
                acting[-index - 1].append(count)
                row.append(-count)
            else:
                row.append(index)
        indices.append(tuple(row))
    return Layout(tuple(indices), tuple(map(tuple, acting)))
