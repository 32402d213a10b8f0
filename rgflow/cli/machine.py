"""``--json``: the same results for programs, in one envelope.

Every document has the version of rgflow, the version of this scheme and the command; what follows belongs to the
command (see ``docs/terminal.md``). Numbers have all their digits; NaN and infinity are null; what is exact is a text
beside its value. Progress and warnings go to standard error.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import xarray

SCHEMA = 1
"""Grows when a key is renamed or left out, or a value gets another meaning; new keys may come without."""


def print_json(command: str, found: Mapping[str, Any]) -> None:
    """The document on standard output, in one line."""
    import typer

    typer.echo(document(command, found))


def document(command: str, found: Mapping[str, Any]) -> str:
    """The document.

    >>> document("flow", {"K": float("inf"), "C_W": 1 / 3}).partition("schema")[2]
    '": 1, "command": "flow", "K": null, "C_W": 0.3333333333333333}'
    """
    from rgflow.version import __version__

    envelope = {"rgflow": __version__, "schema": SCHEMA, "command": command}
    return json.dumps({**envelope, **plain(found)}, allow_nan=False)


def plain(value: Any) -> Any:
    """What JSON knows; TypeError for anything else.

    >>> plain({"x": (1, 0.1, float("nan"), None, True, Fraction(1, 3))})
    {'x': [1, 0.1, None, None, True, '1/3']}
    """
    if hasattr(value, "tolist"):  # arrays and numbers of NumPy
        value = value.tolist()
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (Fraction, Path)):
        return str(value)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, (Sequence, set, frozenset)):
        return [plain(each) for each in (sorted(value) if isinstance(value, (set, frozenset)) else value)]
    raise TypeError(f"{value!r} has no place in JSON")


def dataset(ds: xarray.Dataset) -> dict[str, Any]:
    """Dims, coordinates and variables with their attributes, as ``xarray.Dataset.from_dict`` reads them."""
    found: dict[str, Any] = plain(ds.to_dict())
    if isinstance(network := found["attrs"].get("network"), str):
        found["attrs"]["network"] = json.loads(network)
    return found


def formula(expression: Any) -> dict[str, Any]:
    """A SymPy expression as text, as LaTeX and, if it is a number, as a float."""
    from rgflow.universality.printing import latex_of, text_of

    value = float(expression) if expression.is_number and expression.is_real else None
    return {"text": text_of(expression), "latex": latex_of(expression), "value": plain(value)}
