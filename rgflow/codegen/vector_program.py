"""A program of real arithmetic in the vocabulary of :class:`VectorMath`: no calls, no branches."""

from __future__ import annotations

import math

from rgflow.activations.program import Program, Ref, Step, Term, Value
from rgflow.codegen.vector_math import VectorMath


def derivatives(code: VectorMath, program: Program, z: str) -> list[str]:
    """Lines from the variable ``z`` to the outputs of a program; returns their names (or numbers).

    >>> from rgflow.activations import activation
    >>> from rgflow.activations.taylor import program
    >>> code = VectorMath()
    >>> derivatives(code, program(activation("z^2").pieces[0], 2), "z"), code.lines
    (['y0', 'y1', '2.0'], ['y0 = z*z', 'y1 = 2.0*z'])
    """
    names = [z]
    for step in program.steps[1:]:
        names.append(code.put(_sum(step.terms, names)) if step.kind == "sum" else _call(code, program, step, names))
    return [_text(value, names) for value in program.outputs]


def _call(code: VectorMath, program: Program, step: Step, names: list[str]) -> str:
    args = [_text(arg, names) for arg in step.args]
    if step.kind == "tanh":
        return code.tanh(_double(code, program, step.args[0], names))
    return str(getattr(code, step.kind)(*args))


def _double(code: VectorMath, program: Program, value: Value, names: list[str]) -> str:
    """2x: tanh(x) and its derivatives share exp(-abs(2x)), also where x is itself a multiple."""
    if not isinstance(value, Ref):
        return code.put(repr(2.0 * value))
    step = program.steps[value.index]
    scale, base = 2.0, value
    if step.kind == "sum" and len(step.terms) == 1 and len(step.terms[0][1]) == 1:
        scale, base = 2.0 * step.terms[0][0], step.terms[0][1][0]
    return names[base.index] if scale == 1.0 else code.put(f"{scale!r}*{names[base.index]}")


def _text(value: Value, names: list[str]) -> str:
    if isinstance(value, Ref):
        return names[value.index]
    if math.isfinite(value):
        return repr(value)
    return "math.nan" if math.isnan(value) else "math.inf" if value > 0 else "(-math.inf)"


def _sum(terms: tuple[Term, ...], names: list[str]) -> str:
    out = ""
    for coefficient, key in terms:
        sign = "-" if coefficient < 0 else "+"
        factors = [names[ref.index] for ref in key]
        if not factors or abs(coefficient) != 1.0:
            factors.insert(0, _text(abs(coefficient), names))
        body = "*".join(factors)
        out += f" {sign} {body}" if out else ("-" if sign == "-" else "") + body
    return out
