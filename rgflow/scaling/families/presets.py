"""The definitions of the families: exponents a, b, c by group, as the papers state them.

Only definitions are typed here. The exponents of the large first step of IP-LLR are solved for
(:mod:`rgflow.scaling.families.first_rates`).
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from rgflow.checks import whole
from rgflow.errors import InputError
from rgflow.scaling.families.first_rates import by_group, rectified
from rgflow.scaling.families.triple import ABC, GROUPS, exact, tidy

HALF = Fraction(1, 2)
PRESETS = {
    "ntk": "neural tangent: lazy at infinite width",
    "standard": "one rate for all weights, variance 1/fan-in",
    "mup": "maximal update: every layer learns features",
    "ip": "integrable: averages 1/n over neurons in every layer, the rates of mean-field limits",
    "ip-llr": "integrable with a first step large enough to leave its stationary start",
    "hybrid": "maximal update that forgets the initial hidden weights after the first step",
    "meta": "one-parameter family from neural tangent (s = 0) to maximal update (s = 1)",
}


def preset(name: str, s: Any, layers: int | None, optimizer: str, homogeneity: int) -> dict[str, Any]:
    """The fields of a Family."""
    if (s is None) == (name == "meta"):
        raise InputError(
            "the family 'meta' needs s, a number from 0 to 1 or a SymPy symbol" if s is None else f"{name!r} has no s"
        )
    p = whole("homogeneity", homogeneity, 1)
    if name in ("ip", "ip-llr") and optimizer != "sgd":
        raise InputError(f"{name!r} is defined for gradient descent; its rates for {optimizer!r} are not known")
    if name == "ip":
        return _integrable()
    if name == "ip-llr":
        return _large_first_step(layers, p)
    if name == "standard":
        return {"weights": _groups((0, 0, 0), (0, HALF, 0), (0, HALF, 0)), "optimizer": optimizer}
    along = {"ntk": Fraction(0), "mup": Fraction(1), "hybrid": Fraction(1)}
    found = _between(along[name] if name in along else _in_range(s), optimizer)
    return found | ({"forget": -HALF} if name == "hybrid" else {})


def _groups(*values: tuple[Any, Any, Any]) -> dict[str, ABC]:
    return {group: ABC(*map(tidy, value)) for group, value in zip(GROUPS, values, strict=True)}


def _in_range(s: Any) -> Any:
    value = exact("s", s)
    if isinstance(value, Fraction) and not 0 <= value <= 1:
        raise InputError(f"s is {s!r}; it must be from 0 (neural tangent) to 1 (maximal update), or a SymPy symbol")
    if not isinstance(value, Fraction) and not value.is_Symbol:
        raise InputError(f"s is {s!r}; give a number from 0 to 1 or a symbol")
    return value


def _between(s: Any, optimizer: str) -> dict[str, Any]:
    """On the straight line from neural tangent to maximal update."""
    half = s * HALF if isinstance(s, Fraction) else s / 2
    c = (Fraction(0),) * 3 if optimizer == "sgd" else (HALF, Fraction(1), HALF)
    moves = -s if optimizer == "sgd" else HALF - half
    return {
        "weights": _groups((-half, half, c[0]), (HALF - half, half, c[1]), (HALF, half, c[2])),
        "biases": _groups((0, 0, moves), (0, 0, moves), (0, half, 0)),
        "optimizer": optimizer,
    }


def _integrable() -> dict[str, Any]:
    return {
        "weights": _groups((0, 0, -1), (1, 0, -2), (1, 0, -1)),
        "biases": _groups((0, 0, -1), (0, 0, -1), (0, 0, 0)),
    }


def _large_first_step(layers: int | None, homogeneity: int) -> dict[str, Any]:
    if layers is None:
        raise InputError("'ip-llr' needs layers, the number of weight layers: its first step depends on it")
    found = _integrable()
    return found | {"first": by_group(found["weights"], whole("layers", layers, 2), rectified(homogeneity))}
