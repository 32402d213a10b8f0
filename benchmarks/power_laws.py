"""Power laws against flows of a hundred thousand layers: every tensor at criticality, for eight activations and more.

    python benchmarks/power_laws.py [benchmarks/results/power_laws.json]

Flows each activation at its recommended critical point, with the learning rates of its power laws and sizes lambda_b =
0.7, lambda_W = 1.3 that no symmetry relates, and keeps each tensor at layers that double. ``compare`` divides by the
derived leading power: what remains, less one, is the residual, which the derived correction must account for.
"""

from __future__ import annotations

import json
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import rgflow as rg
from rgflow.universality.laws import TABLE, power_laws
from rgflow.universality.onset import constants, critical_flow

NAMED = ("tanh", "sin", "erf", "relu", "leaky_relu", "linear", "gelu", "swish")
OWN = ("z - z^3*exp(-z^2)/2", "erf(z)+z/10", "tanh(z)+z^2*exp(-z^2)/4", "z - z^5*exp(-z^2)", "z + z^3*exp(-z^2)")
LAMBDA_B, LAMBDA_W = 0.7, 1.3
LAYERS = tuple(3 * 2**k for k in range(10, 16))  # 3072 .. 98304


@dataclass(frozen=True)
class Row:
    """One tensor: at each layer the residual flow/leading - 1, the correction, and the flow's own relative error.

    ``size`` is the sum of the absolute terms of the correction, which may cancel one another; ``steps`` the power of
    the depth by which it falls; ``whole`` all terms that are known, and ``exact`` whether these are all there are.
    """

    activation: str
    tensor: str
    exponent: float
    layers: np.ndarray
    flowed: np.ndarray
    leading: np.ndarray
    residual: np.ndarray
    correction: np.ndarray
    size: np.ndarray
    error: np.ndarray
    whole: np.ndarray
    steps: float
    exact: bool

    @property
    def rest(self) -> np.ndarray:
        """What the correction does not account for."""
        return self.residual - self.correction

    @property
    def unexplained(self) -> np.ndarray:
        """What all known terms together do not account for."""
        return self.flowed / self.whole - 1


def first_kernel(point: Any) -> float:
    """K* where the flow must start there, else 1."""
    return float(point.K_star) if point.universality_class == "half-stable" else 1.0


def measure(spec: str, layers: tuple[int, ...] = LAYERS) -> dict[str, Any]:
    """All tensors of the table at some layers, with the absolute numerical errors that the flow states."""
    point = rg.criticality(spec).point
    start = time.perf_counter()
    ds = critical_flow(point, layers[-1], TABLE, first_kernel(point), LAMBDA_B, LAMBDA_W)
    at = ds.sel(layer=list(layers))
    return {
        "layers": list(layers),
        "values": {name: at[name].values.tolist() for name in TABLE},
        "errors": {name: at["numerical_error"].sel(coefficient=name).values.tolist() for name in TABLE},
        "seconds": round(time.perf_counter() - start, 1),
    }


def numbers(point: Any) -> dict[str, float]:
    """What stands in the power laws besides l."""
    known = {"lambda_b": LAMBDA_B, "lambda_W": LAMBDA_W, "k": first_kernel(point)}
    if point.universality_class == "K*=0":
        known |= constants(point, first_kernel(point), LAMBDA_B, LAMBDA_W)
    return known


def evaluate(expression: Any, known: dict[str, float], layers: Any) -> np.ndarray:
    """A SymPy expression in l, at layers."""
    import sympy as sp

    from rgflow.universality.exponentials import l

    expression = sp.sympify(expression)
    put = expression.xreplace({s: sp.Float(known[s.name], 30) for s in expression.free_symbols - {l}})
    return np.asarray(sp.lambdify(l, put.evalf(30), "numpy")(layers.astype(float))) + np.zeros(len(layers))


def _without_unknown(expression: Any, known: dict[str, float]) -> Any:
    """The terms whose constants K and Theta determine; the others are far beyond the correction."""
    import sympy as sp

    names = {*known, "l"}
    return sp.Add(*(t for t in sp.Add.make_args(sp.expand(expression)) if {s.name for s in t.free_symbols} <= names))


def compare(spec: str, kept: dict[str, Any], names: tuple[str, ...] = TABLE) -> tuple[list[Row], list[str]]:
    """The laws of today against flowed numbers: a row for each tensor that does not vanish, and the names that do."""
    import sympy as sp

    found = rg.criticality(spec)
    known = numbers(found.point)
    layers = np.array(kept["layers"])
    rows, vanishing = [], []
    for name, law in power_laws(found.point, names).items():
        if law.vanishes:
            vanishing.append(name)
            continue
        flowed, leading = np.array(kept["values"][name]), law.at(layers, **known)
        terms = sp.Add.make_args(sp.expand(law.correction))
        parts = np.array([evaluate(term, known, layers) for term in terms])
        rows.append(
            Row(
                spec,
                name,
                float(law.exponent),
                layers,
                flowed,
                leading,
                flowed / leading - 1,
                parts.sum(axis=0),
                np.abs(parts).sum(axis=0),
                np.abs(np.array(kept["errors"][name]) / leading),
                evaluate(_without_unknown(law.expression, known), known, layers),
                float(found.p_0) if found.universality_class == "K*=0" else 1.0,
                found.universality_class != "K*=0",
            )
        )
    return rows, vanishing


def slope(row: Row) -> float:
    """d ln|X| / d ln l of the flow over the deepest doubling; no theory goes in."""
    return float(math.log(row.flowed[-1] / row.flowed[-2]) / math.log(row.layers[-1] / row.layers[-2]))


def main(path: str | None = None) -> None:
    """Flow everything, print the table, keep the numbers."""
    kept = {}
    for spec in (*NAMED, *OWN):
        kept[spec] = measure(spec)
        rows, vanishing = compare(spec, kept[spec])
        print(f"\n{spec}   ({kept[spec]['seconds']} s; exactly zero: {', '.join(vanishing) or 'none'})")
        print(f"{'':8} {'exponent':>9} {'slope':>9} {'residual':>10} {'correction':>10} {'rest':>9} {'all terms':>9}")
        for row in rows:
            values = (row.residual[-1], row.correction[-1], row.rest[-1], row.unexplained[-1])
            shown = " ".join(f"{value:10.1e}" for value in values)
            print(f"{row.tensor:8} {row.exponent:9.4f} {slope(row):9.4f} {shown}", flush=True)
        if path is not None:
            rates = {"lambda_b": LAMBDA_B, "lambda_W": LAMBDA_W}
            Path(path).write_text(json.dumps({"rates": rates, "activations": kept}, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:2])
