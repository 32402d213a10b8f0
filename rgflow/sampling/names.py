"""What a request may be called: a letter, its jets in any spelling, or a Tensor of the theory by its name.

The witness imports no theory, so it has its own table of jets (PDLT's definitions) and its own rule for when two texts
mean the same cumulant: entries may be permuted, their jets swapped, directions renamed, samples numbered at will.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import permutations, product
from typing import Any

from rgflow.errors import InputError, UnknownName

# Letter: its jets.
JETS = {
    "K": "1 2",
    "Theta": "1e 2e",
    "V": "1 2|3 4",
    "A": "1e 2e|3f 4f",
    "B": "1e 2f|3e 4f",
    "D": "1 2|3e 4e",
    "F": "1 2e|3 4e",
    "P": "1ef 4|2e 3f",
    "Q": "1ef 2e|3f 4",
    "R": "1efg 2e|3f 4g",
    "S": "1ef 2eg|3f 4g",
    "T": "1ef 2f|3g 4eg",
    "U": "1ef 2g|3eg 4f",
    "V6": "1 2|3 4|5 6",
}
# Value: number of sample arguments.
SAMPLE_ARGUMENTS = {letter: len(jets.replace("|", " ").split()) for letter, jets in JETS.items()}

_JETS = re.compile(r"\s*\d{1,3}[a-z]{0,8}\s+\d{1,3}[a-z]{0,8}\s*")
_MOST = max(jets.count("|") + 1 for jets in JETS.values())

Form = tuple[tuple[int, ...], ...]


def validated_names(tensors: Any) -> tuple[str, ...]:
    """The letters asked for, in order and once each.

    Raises
    ------
    UnknownName
        With the nearest known names.
    InputError
        For what is not a name or a list of names, an empty list, coefficients such as ``K_1``, and tensors that are
        not sampled.
    """
    if isinstance(_name(tensors), str):
        tensors = [tensors]
    if not isinstance(tensors, Iterable):
        raise InputError(f"tensors is {tensors!r}; give a name or a list of names")
    names = [_letter(_name(tensor)) for tensor in tensors]
    if not names:
        raise InputError(f"tensors is empty; ask for some of {', '.join(JETS)}")
    return tuple(dict.fromkeys(names))


def _name(tensor: Any) -> Any:
    """A Tensor of the theory is known by its name."""
    name = None if isinstance(tensor, Iterable) else getattr(tensor, "name", None)
    return name if isinstance(name, str) else tensor


def _letter(name: Any) -> str:
    if not isinstance(name, str):
        raise UnknownName("sampled tensor", name, JETS)
    if name in JETS:
        return name
    suffixed = re.fullmatch(r"(.+?)_\d{1,2}", name)
    base = suffixed[1] if suffixed else name
    if base in JETS:
        found = base
    else:
        inner = re.fullmatch(r"G\[(.*)\]", base)
        pairs = (inner[1] if inner else base).split("|")
        if not all(map(_JETS.fullmatch, pairs)):
            raise UnknownName("sampled tensor", name, JETS)
        found = _forms().get(_form("|".join(pairs)), "") if len(pairs) <= _MOST else ""
        if not found:
            raise InputError(f"{name!r} is not sampled; rg.sample measures {', '.join(JETS)}")
    if suffixed:
        raise InputError(
            f"{name!r} is one coefficient of the expansion in 1/n, but samples are totals: a sampled network holds "
            f"all orders at once; ask for {found!r} and compare it with the total of its coefficients"
        )
    return found


@lru_cache(maxsize=1)
def _forms() -> dict[Form, str]:
    return {_form(jets): letter for letter, jets in JETS.items()}


def _form(text: str) -> Form:
    """The same for every spelling: the smallest of all arrangements, directions numbered as they first occur.

    >>> _form("3g 4g|1 2") == _form("1 2|3e 4e"), _form("1 3e|2 4e") == _form("1 2|3e 4e")
    (True, False)
    """
    pairs = [[jet.lstrip("0123456789") for jet in pair.split()] for pair in text.split("|")]
    found = []
    for order in permutations(pairs):
        for swaps in product((1, -1), repeat=len(pairs)):
            jets = [jet for pair, step in zip(order, swaps, strict=True) for jet in pair[::step]]
            found.append(_numbered(jets))
    return min(found)


def _numbered(jets: list[str]) -> Form:
    """Directions numbered by the places where they occur."""
    places = {edge: [i for i, jet in enumerate(jets) for e in jet if e == edge] for edge in "".join(jets)}
    number = {edge: i for i, edge in enumerate(sorted(places, key=lambda edge: places[edge]))}
    return tuple(tuple(sorted(number[edge] for edge in jet)) for jet in jets)
