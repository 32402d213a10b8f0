r"""PDLT chapter 9: the equivalence principle: learning rates that give every layer its share of the tangent kernel.

Assumptions: infinite width, one input, C_b and C_W critical; lambda_b and lambda_W chosen layer by layer.

The way. Theta' = lambda_b + lambda_W <s s> + chi_perp Theta (chapter 8) is linear in the learning rates, so Theta at
the last layer is a sum over layers,

    Theta^(L) = sum_l (lambda_b^(l) + lambda_W^(l) g^(l-1)) prod_{l' = l .. L-1} chi_perp^(l'),

g the mean square of what layer l reads. At criticality K ~ l^-p_0, hence g ~ l^-p_0, and chi_perp = 1 - p_perp/l, so
that the product is (l/L)^p_perp. Each layer's share is the same, and the sum of order one at any depth, if

    lambda_b^(l) = lambda_b l^-p_perp L^(p_perp - 1),     lambda_W^(l) = lambda_W l^(p_0 - p_perp) L^(p_perp - 1):

scale-invariant, and half-stable from K* on (p_0 = p_perp = 0): both divided by L; K* = 0 with odd sigma (p_0 = p_perp =
1): lambda_b/l, and lambda_W as it is. Weights carry their 1/n_{l-1} besides.

Engine: rg.learning_rates; rg.flow with these rates. The product of chi_perp is Theta of a flow that learns in layer 1
alone, since nothing is added later.

Sources: PDLT chapter 9 (equation numbers not seen). The four ratios for tanh at L = 1000 were computed apart from this
package; which layers they compare follows from their size.
"""

from functools import cache
from typing import Any

import numpy as np
import sympy as sp
from rows import check_rows, row

import rgflow as rg

DEPTHS = (128, 256)
# tanh, L = 1000, first kernel 1: largest over smallest share of biases and of weights, beyond the layers 50 and 100
RATIOS = {50: (1.0323, 1.0064), 100: (1.0175, 1.0030)}


def schedule(activation: str, depth: int) -> tuple[np.ndarray, np.ndarray]:
    """The formulas above, typed; the exponents by class."""
    found = rg.criticality(activation)
    p_0, p_perp = (1, 1) if found.universality_class == "K*=0" else (0, 0)
    l = np.arange(1.0, depth + 1)
    return l**-p_perp * depth ** (p_perp - 1.0), l ** (p_0 - p_perp) * depth ** (p_perp - 1.0)


def shares(activation: str, depth: int, constant: bool = False) -> tuple[np.ndarray, np.ndarray, float]:
    """What each layer's biases and weights add to Theta of the last layer, and that Theta from a flow of its own."""
    found = rg.criticality(activation)
    start = {"C_b": found.C_b, "C_W": found.C_W}
    rates = {"lambda_b": [1.0] * depth, "lambda_W": [1.0] * depth} if constant else rg.learning_rates(activation, depth)

    def flow(**rates) -> tuple[np.ndarray, np.ndarray]:
        net = rg.MLP.uniform(n_in=1, width=1, depth=depth, activation=activation, **start, **rates)
        ds = rg.flow(net, first_kernel=found.K_star or 1.0, tensors=["K", "Theta"], order=0)
        return ds["K"].values, ds["Theta"].values

    kernel, product = flow(lambda_b=[1.0] + [0.0] * (depth - 1), lambda_W=0.0)
    g = (kernel - found.C_b) / found.C_W
    bias = np.array(rates["lambda_b"]) * product[-1] / product
    weight = np.array(rates["lambda_W"]) * g * product[-1] / product
    return bias, weight, flow(**rates)[1][-1]


@cache
def thousand() -> tuple[np.ndarray, np.ndarray, float]:
    return shares("tanh", 1000)


def spread(values: np.ndarray) -> float:
    return values.max() / values.min()


def sum_over_layers() -> None:
    """The derived recursion is linear in the rates, with these coefficients."""
    step = rg.derive("Theta").to_sympy()
    symbols = {s.name: s for s in step.free_symbols}
    bracket = sp.Function("Bracket")
    square, slopes = bracket(sp.Tuple(0, 0), sp.Integer(0)), bracket(sp.Tuple(1, 1), sp.Integer(0))
    lambda_b, lambda_W, C_W, Theta = (symbols[name] for name in ("lambda_b", "lambda_W", "C_W", "Theta"))
    assert sp.expand(step - (lambda_b + lambda_W * square + C_W * slopes * Theta)) == 0
    print(f"{rg.derive('Theta')}\n    equal to PDLT chapter 8; linear in lambda_b, lambda_W and Theta\n")


def check(activation: str) -> None:
    thetas, early = [], 20
    for depth in DEPTHS:
        rates = rg.learning_rates(activation, depth)
        typed = schedule(activation, depth)
        np.testing.assert_allclose([rates["lambda_b"], rates["lambda_W"]], typed, rtol=1e-12)
        bias, weight, theta = shares(activation, depth)
        assert abs(bias.sum() + weight.sum() - theta) < 1e-11 * theta, "Theta is the sum over layers"
        assert max(spread(bias[early:]), spread(weight[early:])) < 1.1
        thetas.append(theta)
    assert abs(thetas[1] / thetas[0] - 1) < 0.05
    print(f"{activation}: equal shares, Theta = {thetas[0]:.4f} at L = {DEPTHS[0]}, {thetas[1]:.4f} at {DEPTHS[1]}")


def limits() -> None:
    """Theta far from the input, with unit rates: lambda_b + lambda_W/a (K* = 0), lambda_b + lambda_W A_2 K (others)."""
    for activation, typed in (("tanh", 1 + 1 / 2), ("sin", 2.0), ("relu", 1 + 1 / 2), ("linear", 2.0)):
        assert abs(shares(activation, 2000)[2] / typed - 1) < 0.005, activation
        print(f"{activation}: Theta equal to {typed}, but for ln^2 l/l")


def constant_rates() -> None:
    """Control: with the same rates in every layer Theta grows with depth, and with K* = 0 the shares differ."""
    for activation, alike in (("relu", True), ("tanh", False)):
        grown = [shares(activation, depth, constant=True) for depth in DEPTHS]
        assert 1.8 < grown[1][2] / grown[0][2] < 2.2
        assert (spread(grown[1][0][20:]) < 1.5) == alike
        print(f"{activation}, constant rates: Theta grows, shares are {'equal' if alike else 'not equal'}")


def thousand_layers() -> None:
    bias, weight, _ = thousand()
    for beyond, typed in RATIOS.items():
        found = spread(bias[beyond:]), spread(weight[beyond:])
        assert np.abs(np.array(found) - typed).max() < 1e-4, found
        print(f"tanh, L = 1000, beyond layer {beyond}: shares equal up to {found[0]:.4f} and {found[1]:.4f}")


# Rows of the book -----------------------------------------------------------------------------------------------------

EQUAL = "tests/universality/test_learning_rates.py: shares of every layer, summed up"
DEPTH, BIAS, WEIGHT = 64, 0.3, 0.8  # L, and what stands for lambda_b, lambda_W
CLASSES = ("relu", "gelu", "tanh", "sin(z) + z^2/4")  # p_perp = 0, 0, 1, 12/13


@cache
def carried(activation: str) -> tuple[np.ndarray, np.ndarray]:
    """Flows: what becomes of a layer's own part of Theta up to the last one, and <s s> of what it reads."""
    found = rg.criticality(activation)
    given = {"C_b": found.C_b, "C_W": found.C_W, "lambda_b": [1.0] + [0.0] * (DEPTH - 1), "lambda_W": 0.0}
    net = rg.MLP.uniform(n_in=1, width=1, depth=DEPTH, activation=activation, **given)
    ds = rg.flow(net, first_kernel=found.K_star or 1.0, tensors=["K", "Theta"], order=0)
    return ds["Theta"].values[-1] / ds["Theta"].values, (ds["K"].values - found.C_b) / found.C_W


def compared(activation: str, name: str, typed: np.ndarray) -> dict[str, list[float]]:
    """The engine's rates of all layers are the typed ones; and with them deep layers have equal shares of Theta.

    The engine states the same powers: that they are right is seen in shares, equal from layer L/2 to L but
    for what ln l/l changes between them.
    """
    found = rg.learning_rates(activation, DEPTH, lambda_b=BIAS, lambda_W=WEIGHT)[name]
    np.testing.assert_allclose(found, np.zeros(DEPTH) + typed, rtol=1e-13)
    later, g = carried(activation)
    deep = ((np.zeros(DEPTH) + typed) * later * (g if name == "lambda_W" else 1.0))[DEPTH // 2 - 1 :]
    allowed = np.log(DEPTH / 2) / (DEPTH / 2) - np.log(DEPTH) / DEPTH
    assert spread(deep) < 1 + allowed, (activation, name, spread(deep))
    return {f"{name} of layers 1, 2, 3 and {DEPTH}, {activation}": [*found[:3], found[-1]]}


def exponents(activation: str) -> tuple[float, float]:
    """p_0 and p_perp."""
    found = rg.criticality(activation)
    return float(found.p_0), float(found.p_perpendicular)


@row("pdlt/equivalence_bias_rate", witness=EQUAL)
def equivalence_bias_rate() -> dict[str, Any]:
    l, L = np.arange(1.0, DEPTH + 1), DEPTH
    shown = {}
    for activation in CLASSES:
        _, p = exponents(activation)
        typed = BIAS * l**-p * L ** (p - 1)
        shown |= compared(activation, "lambda_b", typed)
    return shown


@row("pdlt/equivalence_weight_rate", witness=EQUAL)
def equivalence_weight_rate() -> dict[str, Any]:
    l, L = np.arange(1.0, DEPTH + 1), DEPTH
    shown = {}
    for activation in CLASSES:
        p_0, p = exponents(activation)
        typed = WEIGHT * L ** (p - 1) * l ** (p_0 - p)
        shown |= compared(activation, "lambda_W", typed)
    return shown


@row("pdlt/equivalence_scale_invariant", witness=EQUAL)
def equivalence_scale_invariant() -> dict[str, Any]:
    typed_bias, typed_weight = BIAS / DEPTH, WEIGHT / DEPTH
    assert rg.criticality("relu").universality_class == "scale-invariant"
    return compared("relu", "lambda_b", typed_bias) | compared("relu", "lambda_W", typed_weight)


@row("pdlt/equivalence_k_star_zero", witness=EQUAL)
def equivalence_k_star_zero() -> dict[str, Any]:
    l = np.arange(1.0, DEPTH + 1)
    typed_bias, typed_weight = BIAS / l, WEIGHT
    assert rg.criticality("tanh").universality_class == "K*=0"
    return compared("tanh", "lambda_b", typed_bias) | compared("tanh", "lambda_W", typed_weight)


@row("pdlt/equivalence_half_stable", witness=EQUAL)
def equivalence_half_stable() -> dict[str, Any]:
    typed_bias, typed_weight = BIAS / DEPTH, WEIGHT / DEPTH
    assert rg.criticality("swish").universality_class == "half-stable"
    return compared("swish", "lambda_b", typed_bias) | compared("swish", "lambda_W", typed_weight)


@row(
    "pdlt/equivalence_flatness",
    witness="tests/universality/test_learning_rates.py: the same spread, from averages taken there",
)
def equivalence_flatness() -> dict[str, float]:
    """Four decimals are typed: half a unit of the last, of ratios less one."""
    typed = {
        "biases, l > 50": 1.0323,
        "weights, l > 50": 1.0064,
        "biases, l > 100": 1.0175,
        "weights, l > 100": 1.0030,
    }
    bias, weight, _ = thousand()
    shown = {}
    for name, number in typed.items():
        of, beyond = (bias if "biases" in name else weight), int(name.rpartition(" ")[2])
        shown[name] = spread(of[beyond:])
        assert abs(shown[name] - number) < 0.5e-4, (name, shown[name])
    return shown


if __name__ == "__main__":
    sum_over_layers()
    for activation in ("tanh", "sin", "relu", "gelu"):
        check(activation)
    constant_rates()
    limits()
    thousand_layers()
    check_rows(globals())
