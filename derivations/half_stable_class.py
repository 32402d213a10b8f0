r"""PDLT chapter 5: the half-stable class, SWISH and GELU: critical points, what curves the flow there, in numbers.

Assumptions: one input, equal widths; sigma smooth.

The way. chi_parallel - chi_perp = C_W <sigma sigma''>, so that both are one where <sigma sigma''> vanishes, at K*, and
C_W = 1/<s's'>; the fixed point then asks for C_b = K* - C_W <s s>. There D = K - K* becomes D + (C_W g''/2) D^2 + ...:
attracted from the side on which the curvature pushes back. A law D = -1/((C_W g''/2) l) and chi_perp = 1 + 2 h D would
make p_perp = 2 h/(C_W g''/2): far too large for any depth, so that flows should start at K* itself.

*Numbers from flows.* Started at K*, behind a Gaussian first layer, lambda_W = 0 and lambda_b = 1 in layer 1 alone (so
that Theta stays 1): V of layer 2 is its source; K_1 of layer 3 is (C_W g''/2) V of layer 2 (chapter 4); B of layer 2 is
C_W^2 <s'^4>; and D of layer 3 is twice that of layer 2, which is the source, and 2 h V of layer 2 (chapter 8).

Engine: rg.criticality, rg.flow, rg.closed_form for gelu. Averages with sigma'' are found here, by the trapezoid rule,
which for analytic functions under a Gaussian converges faster than any power.

Sources: PDLT chapter 5 (equation numbers not seen); the digits were computed apart from this package.
"""

from functools import cache
from typing import Any

import numpy as np
import sympy as sp
from compare import equal
from rows import check_rows, row

import rgflow as rg

BOTH = ("swish", "gelu")
POINTS = "tests/universality/test_points.py: critical points, from averages taken there"
NUMBERS = "tests/sources/critical_points.py; tests/universality/test_points.py"


@cache
def point(activation: str) -> dict[str, float]:
    return {name: float(value) for name, value in rg.criticality(activation).point.values.items()}


@cache
def averages(activation: str, K: float) -> dict[str, float]:
    """<s s>, <s's'> and <s s''>."""
    x, step = np.linspace(-14, 14, 4001, retstep=True)
    weights = np.exp(-(x**2) / 2) * step / np.sqrt(2 * np.pi)
    s, ds, dds = rg.activation(activation).derivatives(np.sqrt(K) * x, 2)
    return {"g": float(weights @ s**2), "slopes": float(weights @ ds**2), "bend": float(weights @ (s * dds))}


@row("pdlt/half_stable_tuning", witness=POINTS)
def half_stable_tuning() -> dict[str, float]:
    shown = {}
    for activation in BOTH:
        found = point(activation)
        K = found["K_star"]
        at = averages(activation, K)
        typed_bend = 0
        typed_weight = 1 / at["slopes"]
        typed_bias = K - found["C_W"] * at["g"]
        assert abs(at["bend"] - typed_bend) < 1e-13, (activation, at["bend"])
        assert abs(found["C_W"] - typed_weight) < 1e-13, activation
        assert abs(found["C_b"] - typed_bias) < 1e-13 * K, activation  # a difference of numbers of the size of K
        shown |= {f"{name}, {activation}": value for name, value in found.items()}
    return shown


def digits(found: dict[str, float], typed: dict[str, float], last: dict[str, float]) -> dict[str, float]:
    """AssertionError unless each number is the typed one, rounded: half a unit of the last digit that is stated."""
    for name, number in typed.items():
        assert abs(found[name] - number) <= 0.5001 * last[name], (name, found[name], number)
    return {name: found[name] for name in typed}


def exactly(activation: str) -> dict[str, Any]:
    """The point to fourteen digits, as it is shown."""
    return {name: sp.N(value, 14) for name, value in rg.criticality(activation).point.values.items()}


@row("pdlt/swish_critical_point", witness=NUMBERS)
def swish_critical_point() -> dict[str, Any]:
    typed = {"K_star": 14.3201736180, "C_W": 1.98800467827, "C_b": 0.555143170722}
    digits(point("swish"), typed, {"K_star": 1e-10, "C_W": 1e-11, "C_b": 1e-12})
    return exactly("swish")


@row("pdlt/gelu_critical_point", witness=NUMBERS)
def gelu_critical_point() -> dict[str, Any]:
    typed_exact = sp.Rational(3, 2) + sp.sqrt(17) / 2
    typed = {"K_star": 3.56155281281, "C_W": 1.98305825744, "C_b": 0.172922390756}
    found = rg.criticality("gelu").point.values
    equal(found["K_star"], typed_exact, "K* of gelu")
    digits(point("gelu"), typed, {"K_star": 1e-11, "C_W": 1e-11, "C_b": 1e-12})
    return {"K_star, exactly": found["K_star"], **exactly("gelu")}


@cache
def at_criticality(activation: str) -> dict[str, float]:
    """What three layers say, see the text above; r = 1."""
    found = point(activation)
    given = {"C_b": found["C_b"], "C_W": found["C_W"], "lambda_b": [1.0, 0.0, 0.0], "lambda_W": 0.0}
    net = rg.MLP.uniform(n_in=1, width=1, depth=3, activation=activation, **given)
    ds = rg.flow(net, first_kernel=found["K_star"], tensors=["K", "V", "B", "D", "Theta"])
    V, B, D, K_1 = (ds[name].values for name in ("V", "B", "D", "K_1"))
    return {
        "C_W g''/2": float(K_1[2] / V[1]),
        "h": float((D[2] - 2 * D[1]) / (2 * V[1])),
        "nu": float(V[1] / found["K_star"] ** 2),
        "C_W^2 <σ'^4>": float(B[1]),
    }


@row("pdlt/swish_coefficients_at_criticality", witness=NUMBERS)
def swish_coefficients() -> dict[str, float]:
    typed = {"C_W g''/2": 2.8498e-6, "h": 8.66514e-4, "nu": 4.923187, "C_W^2 <σ'^4>": 2.043909}
    last = {"C_W g''/2": 1e-10, "h": 1e-9, "nu": 1e-6, "C_W^2 <σ'^4>": 1e-6}
    return digits(at_criticality("swish"), typed, last)


@row("pdlt/gelu_coefficients_at_criticality", witness=NUMBERS)
def gelu_coefficients() -> dict[str, float]:
    typed = {"C_W g''/2": -1.43626e-4, "h": 4.66677e-3, "nu": 4.904226, "C_W^2 <σ'^4>": 2.059463}
    last = {"C_W g''/2": 1e-9, "h": 1e-8, "nu": 1e-6, "C_W^2 <σ'^4>": 1e-6}
    return digits(at_criticality("gelu"), typed, last)


@cache
def after(activation: str, distance: float) -> float:
    """K' - K* of a kernel at K* + distance."""
    found = point(activation)
    net = rg.MLP([1, 1, 1], activation, C_b=found["C_b"], C_W=found["C_W"])
    ds = rg.flow(net, first_kernel=found["K_star"] + distance, tensors="K", order=0)
    return float(ds["K"][1]) - found["K_star"]


@row("pdlt/half_stable_flow", witness="tests/universality/test_points.py: stability by iteration")
def half_stable_flow() -> dict[str, Any]:
    """Odd and even in the distance D; then on which side kernels come back.

    What is left is the cubic term, odd, and the quartic one, even: at D and D/2 they are an eighth and a sixteenth.
    """
    typed_side = {"swish": "below", "gelu": "above"}
    shown = {}
    for activation, side in typed_side.items():
        curvature = at_criticality(activation)["C_W g''/2"]

        def typed(D: float, curvature: float = curvature) -> float:
            return D + curvature * D**2

        left_over = []
        for D in (0.4, 0.2):
            up, down = after(activation, D) - typed(D), after(activation, -D) - typed(-D)
            left_over.append((abs(up + down), abs(up - down)))
        rounding = 1e-13 * point(activation)["K_star"]
        (even, odd), (even_half, odd_half) = left_over
        assert even_half <= even / 8 + rounding, (activation, even, even_half)
        assert odd_half <= odd / 4 + rounding, (activation, odd, odd_half)
        nearer = {name: abs(after(activation, D)) < abs(D) for name, D in (("below", -0.2), ("above", 0.2))}
        assert [name for name, comes in nearer.items() if comes] == [side], activation
        shown[f"C_W g''/2, {activation}"] = curvature
        shown[f"{activation} is attracted"] = f"from {side}"
    return shown


@row("pdlt/half_stable_formal_exponent", witness=NUMBERS)
def half_stable_formal_exponent() -> dict[str, float]:
    typed = {"swish": 608, "gelu": -65}
    found = {name: 2 * at_criticality(name)["h"] / at_criticality(name)["C_W g''/2"] for name in typed}
    return digits(found, typed, dict.fromkeys(typed, 1.0))


if __name__ == "__main__":
    check_rows(globals())
