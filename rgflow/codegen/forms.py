"""Closed forms that were found once: kept as numbers in the store, so that a warm start does not load SymPy.

A file holds the forms of some brackets of one activation, named by all they depend on, the text of the rules included.
What is read back is numbers and text of a few letters, checked before it is used; anything else is found anew.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import rgflow.brackets
from rgflow.activations import Activation
from rgflow.brackets import closed_choice, needs_rules
from rgflow.brackets.kernel_forms import Angle, Closed, ExponentialSum, HalfPowers, Part, Polynomial, Summand
from rgflow.brackets.smooth import Entry
from rgflow.codegen import store

_TEXT = re.compile(r"[0-9a-zA-Z+*/(), .-]*")  # it becomes a comment: one line, nothing but a formula


class _Unusable(Exception):
    """A file of other content than ours."""


def closed_forms(activation: Activation, brackets: Sequence[Entry]) -> dict[Entry, Closed]:
    """:func:`rgflow.brackets.closed_choice`, from the store where it stands there."""
    if not needs_rules(activation):
        return closed_choice(activation, brackets)
    name = _name(activation, sorted({(tuple(sorted(orders)), pending) for orders, pending in brackets}))
    content = store.recall(name)
    if content is not None:
        try:
            return _read(content)
        except (_Unusable, ValueError, TypeError, KeyError, IndexError, RecursionError):
            pass
    found = closed_choice(activation, brackets)
    store.remember(name, _written(found))
    return found


def _name(activation: Activation, entries: Sequence[Entry]) -> str:
    text = repr((activation.kinks, activation.pieces, activation.parity, entries, _rules()))
    return f"rgflow_forms_{hashlib.sha256(text.encode()).hexdigest()[:24]}.json"


@lru_cache(maxsize=1)
def _rules() -> str:
    """A fingerprint of the text of the brackets' room."""
    room = Path(str(rgflow.brackets.__file__)).parent
    sums = [hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(room.rglob("*.py"))]
    return hashlib.sha256("".join(sums).encode()).hexdigest()


# Writing --------------------------------------------------------------------------------------------------------------


def _written(forms: dict[Entry, Closed]) -> bytes:
    rows = [[entry, form.text, [_part_row(part) for part in form.parts]] for entry, form in forms.items()]
    return json.dumps({"sum": _checksum(rows), "forms": rows}, indent=0).encode()


def _part_row(part: Part) -> list[Any]:
    if isinstance(part, ExponentialSum):
        return ["exponentials", part.rate, part.plain, part.shifted]
    angle = part.angle and [part.angle.scale, part.angle.power, part.angle.below]
    return ["term", part.constant, part.numerator, part.powers, angle, part.rate]


def _checksum(rows: Any) -> str:
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


# Reading --------------------------------------------------------------------------------------------------------------


def _read(content: bytes) -> dict[Entry, Closed]:
    found = json.loads(content)
    if found["sum"] != _checksum(found["forms"]):
        raise _Unusable
    forms = {}
    for (orders, pending), text, parts in found["forms"]:
        if not isinstance(text, str) or not _TEXT.fullmatch(text):
            raise _Unusable
        forms[tuple(map(_whole, orders)), _whole(pending)] = Closed(text, tuple(map(_part, parts)))
    return forms


def _part(row: list[Any]) -> Part:
    match row:
        case ["exponentials", rate, plain, shifted]:
            return ExponentialSum(_number(rate), tuple((_whole(n), _number(c)) for n, c in plain), _polynomial(shifted))
        case ["term", constant, numerator, powers, angle, rate]:
            turned = angle and Angle(_number(angle[0]), _whole(angle[1]), _powers(angle[2]))
            return Summand(_number(constant), _polynomial(numerator), _powers(powers), turned, _number(rate))
    raise _Unusable


def _polynomial(row: list[Any]) -> Polynomial:
    if not row:
        raise _Unusable
    return tuple(map(_number, row))


def _powers(row: list[Any]) -> HalfPowers:
    return tuple((_polynomial(base), _whole(halves)) for base, halves in row)


def _number(value: Any) -> float:
    if not isinstance(value, float) or not math.isfinite(value):
        raise _Unusable
    return value


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise _Unusable
    return value
