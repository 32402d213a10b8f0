"""The symbols in which closed forms are written: K of one input, K11, K12, ... of several."""

from __future__ import annotations

from typing import Any

import sympy as sp

K: Any = sp.Symbol("K", positive=True)


def entry(a: int, b: int) -> Any:
    """The entry of the kernel at two samples, counted from 1.

    >>> entry(2, 1), entry(2, 2).is_positive, entry(1, 2).is_positive
    (K12, True, None)
    """
    return sp.Symbol(f"K{min(a, b)}{max(a, b)}", **({"positive": True} if a == b else {"real": True}))
