"""Static functions, compiled by Numba once for all processes, wherever there is a place to keep what was compiled.

Numba keeps compiled code beside the file of a function or, where an installation is read-only, in the user's cache
directory, and gives up with an error if neither can be written; then we compile for the life of the process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


def static(*flags: str, inlined: bool = False) -> Callable[[Function], Function]:
    """The decorator: releases the interpreter's lock and divides as IEEE does, not as Python.

    Parameters
    ----------
    flags : names of LLVM's fast-math flags
        One by one, such as "contract", "reassoc", "nsz", "arcp"; never "nnan" or "ninf" where NaN marks what is lost.
    inlined : bool
        Of a part of another static function, into which it goes whole. A copy of its own could be another compilation
        than the one kept on disk, and give other last bits in the process that compiles than in all later ones.
    """
    from numba import njit

    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": set(flags), "forceinline": inlined}

    def decorate(function: Function) -> Function:
        try:
            compiled: Function = njit(cache=True, **options)(function)
        except RuntimeError as error:
            if "cannot cache" not in str(error):
                raise
            compiled = njit(**options)(function)
        return compiled

    return decorate
