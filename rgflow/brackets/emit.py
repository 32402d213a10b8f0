"""Source of single-input brackets, in closed form where that serves, else by quadrature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rgflow.activations import Activation
from rgflow.brackets.emit_quadrature import bracket_name, breaks_at_zero, kinked_lines, smooth_lines
from rgflow.brackets.kernel_forms import Closed, Straight, closed_choice
from rgflow.brackets.smooth import Entry


def single_input_source(
    brackets: Sequence[Entry],
    activation: Activation,
    name: str = "brackets",
    forms: Mapping[Entry, Closed] | None = None,
) -> str:
    """Source text of the brackets of one input as functions of K.

    Law: <d^m/dz^m prod sigma^{(k)}>_K in closed form where that is as accurate as quadrature
    (:func:`rgflow.brackets.kernel_forms.closed_choice`). The others by the trapezoid rule in t, z = sqrt(K) c sinh t
    with c = 1/max(1, sqrt K) (z = sqrt(K) t for a sigma that oscillates or grows exponentially); for a kinked sigma
    Gauss-Legendre between the kinks plus the jumps.

    Parameters
    ----------
    brackets : sequence of (orders, pending)
    activation : Activation
    name : str
    forms : mapping from (sorted orders, pending) to Closed
        The closed forms to use, by default those of ``closed_choice``; {} for quadrature throughout.

    Returns
    -------
    str
        ``def brackets(K, n, growth_cut, out, scale)``: n nodes on each side of zero for a smooth sigma, n panels in
        each segment for a kinked one; growth_cut from :func:`growth_rate`; out (M, 2) receives the value and the
        coarser rule, whose difference is the error (none in closed form); scale (M,) the integral of the absolute
        values of its terms, or for a closed form their sum, 0 for a bracket that is exactly zero. Needs ``math``,
        ``numpy as np`` and, if any bracket is by quadrature, the functions of
        ``activation.source(derivative_order(...))`` for those that are.
    """
    entries = [_sorted(entry) for entry in brackets]
    known = closed_choice(activation, entries) if forms is None else forms
    rest = [(i, entry) for i, entry in enumerate(entries) if entry not in known]
    head, body = (kinked_lines if activation.kinks else smooth_lines)(rest, activation, name) if rest else ([], [])
    lines = [*_closed(entries, known, activation), *body] or ["    pass"]  # a law may need no bracket
    text = [*head, f"def {name}(K, n, growth_cut, out, scale):", *lines]
    return "\n".join(text) + "\n"


def _closed(entries: Sequence[Entry], known: Mapping[Entry, Closed], activation: Activation) -> list[str]:
    code = Straight()
    for i, entry in enumerate(entries):
        if entry in known:
            code.bracket(i, known[entry], bracket_name(entry), breaks_at_zero(activation, entry))
    return code.lines


def _sorted(entry: Entry) -> Entry:
    return tuple(sorted(entry[0])), entry[1]
