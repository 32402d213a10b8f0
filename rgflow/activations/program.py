"""Straight-line programs of real arithmetic: built once, run on arrays or printed as Python source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Ref:
    """The value of an earlier step; step 0 is z."""

    index: int


Value: TypeAlias = float | Ref
Term: TypeAlias = tuple[float, tuple[Ref, ...]]
Z_REF = Ref(0)


@dataclass(frozen=True, slots=True)
class Step:
    """One assignment: a sum of products ("sum"), or a function of earlier values by its name in PRIMITIVES."""

    kind: str
    terms: tuple[Term, ...] = ()
    args: tuple[Value, ...] = ()


def _erf(u: Array) -> Any:
    from scipy.special import erf  # loaded when used: scipy costs more than the rest of this room

    return erf(u)


def _erfc(u: Array) -> Any:
    from scipy.special import erfc

    return erfc(u)


# name: (text for scalars, function for arrays). Scalar exponentials that can overflow return inf, as arrays do.
PRIMITIVES: dict[str, tuple[str, Callable[..., Any]]] = {
    "div": ("{0}/{1}", np.divide),
    "exp": ("math.exp({0}) if {0} < 709.782712893384 else math.inf", np.exp),
    "gauss": ("math.exp(-{0}*{0})", lambda u: np.exp(-u * u)),
    "decay": ("math.exp(-abs({0}))", lambda u: np.exp(-np.abs(u))),
    "expm1": ("math.expm1({0}) if {0} < 709.782712893384 else math.inf", np.expm1),
    "log": ("math.log({0})", np.log),
    "log1p": ("math.log1p({0})", np.log1p),
    "tanh": ("math.tanh({0})", np.tanh),
    "rise": ("(1.0 if {0} >= 0.0 else {1})/(1.0 + {1})", lambda u, e: np.where(u >= 0, 1.0, e) / (1.0 + e)),
    "bump": ("{0}/((1.0 + {0})*(1.0 + {0}))", lambda e: e / ((1.0 + e) * (1.0 + e))),
    "ramp": ("({0} if {0} > 0.0 else 0.0) + math.log1p({1})", lambda u, e: np.maximum(u, 0.0) + np.log1p(e)),
    "sech": ("2.0*{0}/(1.0 + {0}*{0})", lambda e: 2.0 * e / (1.0 + e * e)),
    "sin": ("math.sin({0})", np.sin),
    "cos": ("math.cos({0})", np.cos),
    "sinh": (
        "math.sinh({0}) if abs({0}) < 710.4758600739439 else ({0}/abs({0}))*math.inf",
        np.sinh,
    ),
    "cosh": ("math.cosh({0}) if abs({0}) < 710.4758600739439 else math.inf", np.cosh),
    "atan": ("math.atan({0})", np.arctan),
    "asinh": ("math.asinh({0})", np.arcsinh),
    "erf": ("math.erf({0})", _erf),
    "erfc": ("math.erfc({0})", _erfc),
    "sqrt": ("math.sqrt({0})", np.sqrt),
    "pow": ("math.pow({0}, {1})", np.power),
}

BLOCK = 1 << 14  # points evaluated together: every intermediate stays in the processor's cache


class Builder:
    """Collects steps, with constants folded and equal steps shared."""

    def __init__(self) -> None:
        self.steps: list[Step] = [Step("z")]
        self._known: dict[Step, Ref] = {}

    def _emit(self, step: Step) -> Ref:
        if step not in self._known:
            self.steps.append(step)
            self._known[step] = Ref(len(self.steps) - 1)
        return self._known[step]

    def total(self, terms: Sequence[tuple[float, Sequence[Value]]]) -> Value:
        """Sum of coefficient * product of values."""
        constant = 0.0
        collected: dict[tuple[Ref, ...], float] = {}
        for coefficient, factors in terms:
            refs = []
            for factor in factors:
                scale, ref = self._scaled(factor)
                coefficient *= scale
                refs += [ref] if ref else []
            if coefficient == 0.0:
                continue
            if not refs:
                constant += coefficient
                continue
            key = tuple(sorted(refs, key=lambda ref: ref.index))
            collected[key] = collected.get(key, 0.0) + coefficient
        collected = {key: value for key, value in collected.items() if value}
        if not collected:
            return constant
        if not constant and len(collected) == 1:
            ((key, value),) = collected.items()
            if value == 1.0 and len(key) == 1:
                return key[0]
        listed: list[Term] = [(value, key) for key, value in collected.items()]
        return self._emit(Step("sum", (*listed, (constant, ())) if constant else tuple(listed)))

    def _scaled(self, value: Value) -> tuple[float, Ref | None]:
        """A value as a number times an earlier value, so that chains of factors are multiplied out here."""
        if not isinstance(value, Ref):
            return value, None
        step = self.steps[value.index]
        if step.kind == "sum" and len(step.terms) == 1 and len(step.terms[0][1]) == 1:
            return step.terms[0][0], step.terms[0][1][0]
        return 1.0, value

    def call(self, name: str, *args: Value) -> Value:
        """A primitive of earlier values; folded when all of them are constants."""
        if not any(isinstance(arg, Ref) for arg in args):
            with np.errstate(all="ignore"):
                return float(PRIMITIVES[name][1](*(np.float64(arg) for arg in args if not isinstance(arg, Ref))))
        return self._emit(Step(name, args=args))

    def divide(self, a: Value, b: Value) -> Value:
        """a/b."""
        if isinstance(b, Ref):
            return 0.0 if a == 0.0 else self.call("div", a, b)
        return self.total([(1.0 / b, [a])])


@dataclass(frozen=True)
class Program:
    """Steps that lead from z to a list of outputs; steps without effect on them are dropped.

    ``run(z)`` returns the outputs as an array of shape (len(outputs), *z.shape).
    """

    steps: tuple[Step, ...]
    outputs: tuple[Value, ...]

    @classmethod
    def of(cls, builder: Builder, outputs: Sequence[Value]) -> Program:
        """The part of what was built that the outputs need, renumbered."""
        needed = {0}
        stack = [value.index for value in outputs if isinstance(value, Ref)]
        while stack:
            index = stack.pop()
            if index not in needed:
                needed.add(index)
                stack.extend(_uses(builder.steps[index]))
        order = {old: new for new, old in enumerate(sorted(needed))}

        def moved(value: Value) -> Value:
            return Ref(order[value.index]) if isinstance(value, Ref) else value

        steps = [
            Step(
                step.kind,
                tuple((c, tuple(Ref(order[ref.index]) for ref in key)) for c, key in step.terms),
                tuple(moved(arg) for arg in step.args),
            )
            for step in (builder.steps[old] for old in sorted(needed))
        ]
        return cls(tuple(steps), tuple(moved(value) for value in outputs))

    def run(self, z: Array) -> Array:
        """The outputs at every z, in blocks; overflow gives inf, and inf - inf NaN, without warnings."""
        flat = np.ascontiguousarray(z, dtype=np.float64).reshape(-1)
        out = np.empty((len(self.outputs), flat.size))
        with np.errstate(all="ignore"):
            for start in range(0, flat.size, BLOCK):
                self._block(flat[start : start + BLOCK], out[:, start : start + BLOCK])
        return out.reshape((len(self.outputs), *np.shape(z)))

    def _block(self, z: Array, out: Array) -> None:
        values: list[Any] = [z]
        for step in self.steps[1:]:
            if step.kind == "sum":
                values.append(_sum(step.terms, values))
            else:
                args = [values[arg.index] if isinstance(arg, Ref) else arg for arg in step.args]
                values.append(PRIMITIVES[step.kind][1](*args))
        for row, value in zip(out, self.outputs, strict=True):
            row[...] = values[value.index] if isinstance(value, Ref) else value

    def source(self, name: str) -> str:
        """Python source of ``def name(z, d)``: scalar z, fills d[0], d[1], ...; needs only ``import math``."""
        lines = [f"def {name}(z, d):"]
        for index, step in enumerate(self.steps[1:], start=1):
            if step.kind == "sum":
                body = _sum_text(step.terms)
            else:
                body = PRIMITIVES[step.kind][0].format(*map(_value_text, step.args))
            lines.append(f"    v{index} = {body}")
        lines += [f"    d[{k}] = {_value_text(value)}" for k, value in enumerate(self.outputs)]
        return "\n".join(lines) + "\n"


def _uses(step: Step) -> list[int]:
    found = [ref.index for _, key in step.terms for ref in key]
    return found + [arg.index for arg in step.args if isinstance(arg, Ref)]


def _sum(terms: tuple[Term, ...], values: list[Any]) -> Any:
    out: Any = None
    for coefficient, key in terms:
        if not key:
            out = out + coefficient
            continue
        part = values[key[0].index]
        for ref in key[1:]:
            part = part * values[ref.index]
        if out is None:
            out = part if coefficient == 1.0 else coefficient * part
        elif coefficient == -1.0:
            out = out - part
        else:
            out = out + (part if coefficient == 1.0 else coefficient * part)
    return out


def _value_text(value: Value) -> str:
    if isinstance(value, Ref):
        return f"v{value.index}" if value.index else "z"
    if np.isfinite(value):
        return repr(value)
    return "math.nan" if value != value else "math.inf" if value > 0 else "(-math.inf)"


def _sum_text(terms: tuple[Term, ...]) -> str:
    out = ""
    for coefficient, key in terms:
        sign = "-" if coefficient < 0 else "+"
        factors = [_value_text(ref) for ref in key]
        if not factors or abs(coefficient) != 1.0:
            factors.insert(0, _value_text(abs(coefficient)))
        body = "*".join(factors)
        out += f" {sign} {body}" if out else ("-" if sign == "-" else "") + body
    return out
