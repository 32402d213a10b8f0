"""The module of a batch kernel, put together."""

from __future__ import annotations

from collections.abc import Sequence

from rgflow.codegen.batch_layers import at_source, rows_source, run_source, stop_source
from rgflow.codegen.batch_layout import LANES, Layout
from rgflow.codegen.batch_source import above_source, averages_source, sums_source

_OPTIONS = 'cache=True, nogil=True, error_model="numpy", fastmath={"contract"}'
_DECORATION = {
    False: f"@njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, {_OPTIONS})",  # called by the others only
    True: f"@njit({_OPTIONS})",
}


def module_source(layout: Layout, jit: bool) -> str:
    """The whole module."""
    pieces: Sequence[int] = range(len(layout.activation.pieces)) if layout.summed else ()
    names = ", ".join(t.name for t in layout.table.tensors)
    banner = [
        f'"""rgflow kernel for blocks of {LANES} points: {names}.',
        "",
        f"One input, sigma(z) = {layout.activation.formula_text}.",
        "Generated; edits are overwritten. rgflow/codegen/batch_source.py says what the rows of `work` are.",
        '"""',
        "",
        "import math",
        "",
        "import numpy as np",
        *(["from numba import njit"] if jit else []),
    ]
    functions = [
        *(sums_source(layout, piece, sized) for sized in (False, True) for piece in pieces),
        above_source(layout),
        *(averages_source(layout, sized) for sized in (False, True)),
        rows_source(layout),
        stop_source(layout),
        run_source(layout),
        at_source(layout),
    ]
    text = "\n\n\n".join(["\n".join(lines) for lines in [banner, *functions]]) + "\n"
    return "\n".join(_decorated(line) if jit else line for line in text.split("\n"))


def _decorated(line: str) -> str:
    if not line.startswith("def "):
        return line
    return f"{_DECORATION[line.startswith(('def run(', 'def brackets_at('))]}\n{line}"
