r"""How initial variances and learning rates scale with width: Yaida, "Meta-principled family of hyperparameter scaling
strategies" (arXiv:2210.04909); Hajjar, Chizat, Giraud, "Training integrable parameterizations of deep neural networks
in the infinite-width limit" (arXiv:2110.15596); Yang and Hu (arXiv:2011.14522) for the notation.

Definition. W = n^-a w, w_0 ~ n^-b U, the rate of w is eta n^-c, in groups of layers input, hidden, output. A function
sees the initial W ~ n^-(a+b) and the rate n^-(2a+c) of W itself: the gauge (a + t, b - t, c - 2t) is free. In the
engine's normalisation

    C_W = fan-in n^(-2(a+b)),        lambda_W = fan-in n^-(2a+c),        fan-in = n, in the first layer n_0 = O(1).

Power counting. A product adds exponents, a sum takes the largest, and an average of relu(z)^p, ... goes with the
power of K that its degree says. What is counted are the derived terms, for instance

    K' = C_W <ss>      Theta' = lambda_W <ss> + C_W Theta <s's'>      J' = C_W J <s's'>

and those of A, B (spread of the NTK), P, Q (dNTK with an output), R, S, T, U (ddNTK), and the five cumulants of three
entries that make the square of the dNTK: K and Theta have level k = 1, letters k = 2, and level k carries n^(1-k).

The one-parameter family, 0 <= s <= 1, from the neural tangent (s = 0) to the maximal update (s = 1) parametrisation:

    hidden: C_W ~ 1, lambda_W ~ n^s      input: the same      output: C_W ~ n^-s, lambda_W ~ 1.

It is f_s = n^(-s/2) f_0 with all rates times n^s. Every layer has a share of order one of Theta, and

    z^L ~ n^(-s/2),  Theta ~ 1,  (Delta Theta)^2 ~ 1/n,  E[dH z] ~ 1/n,  dH ~ n^(s/2 - 1),  ddH ~ n^(s - 1).

In depth, at criticality and with rates that keep Theta of order one, dH and ddH carry one power of L: the change of
the NTK while outputs move by order one is gamma = L/n^(1-s), and L ~ n^(1-s) keeps it.

Integrable parametrisation (IP), L weight layers: a = 0, 1, .., 1, b = 0, c = -1, -2, .., -2, -1. C_W of a hidden
layer is 1/n, so that for sigma(t z) = t^p sigma(z)

    K^1 ~ 1,   K^(l+1) ~ n^-1 (K^l)^p,   J^(L-1) ~ n^-1 (K^(L-1))^(p-1), ...

For p = 1: z^l ~ n^(-(l-1)/2), df/dz^l ~ n^(-1 - (L-1-l)/2). What the first step of a hidden layer puts into its own z
is lambda_W <ss> df/dz: over |z| it goes like n^((4-L)/2). It grows with three weight layers, stays with four,
vanishes with five: the start is then a stationary point of an infinite network.

A large first step (IP-LLR). After it all signals shall be of order one: lambda_W <s(z_0) s(z_1)> df/dz ~ 1 with z_1
of order one and <s(z_0) s(z_1)> ~ (K^(l-1))^(p/2), since relu keeps its mean sign. Solved for c,

    c_1 = c_L = -1/2 (1 + sum_{k=0}^{L-2} p^k),        c_l = c_1 - 1/2   (1 < l < L).

The product rate x backward signal x input is then that of the maximal update parametrisation in every layer.

Engine: rg.closure, rg.derive("J"), rg.criticality; rg.family. The formulas of the two papers, one by one, are in
one_parameter_family.py and integrable_first_steps.py.
"""

from fractions import Fraction

import sympy as sp

import rgflow as rg
from rgflow.scaling.families.depth import depth_powers

s = sp.Symbol("s")
HALF = Fraction(1, 2)
GROUPS = ("input", "hidden", "output")

# The one-parameter family, typed: powers of n at the start, and powers of L at criticality.
WIDTH = {"output": -s / 2, "NTK": 0, "NTK spread": -HALF, "dNTK output": -1, "dNTK": s / 2 - 1, "ddNTK": s - 1}
DEPTH = {"output": 0, "NTK": 0, "NTK spread": HALF, "dNTK output": 1, "dNTK": 1, "ddNTK": 1}
# Its init variance and rates, in the gauge a = 0: 2 x power of the deviation, power of the rate.
TABLE = {"input": (0, s), "hidden": (-1, s - 1), "output": (-1 - s, -1)}
# IP by number of weight layers, typed: power of hidden own updates over |z|, what becomes of it.
INTEGRABLE = {3: (HALF, "learns features"), 4: (0, "marginal"), 5: (-HALF, "frozen"), 7: (Fraction(-3, 2), "frozen")}


def equal(found: object, typed: object) -> bool:
    return sp.expand(sp.nsimplify(found) - sp.nsimplify(typed)) == 0


def recursions() -> None:
    """What is counted: the lines of K, Theta and J as above."""
    assert str(rg.derive("K")) == "K' = C_b + C_W <σσ>"
    assert str(rg.derive("Theta")) == "Theta' = lambda_b + lambda_W <σσ> + C_W Theta <σ'σ'>"
    assert str(rg.derive("J")) == "J' = C_W J <σ'σ'>"
    print("K, Theta, J: equal\n")


def one_parameter_family() -> None:
    family = rg.family("meta", s=s)
    for group, (variance, rate) in TABLE.items():
        assert equal(2 * family.std_power(group), variance)
        assert equal(family.rate_power(group), rate)
    for activation in ("relu", "tanh"):
        found = family.exponents(activation=activation)
        for name, power in WIDTH.items():
            assert equal(found[name], power), (name, found[name], power)
        assert found["share"] == (0, 0, 0, 0)
        assert equal(found.gamma, s - 1)
        assert depth_powers(activation) == DEPTH
        print(f"{activation}: {found.regime}")
    n, L = sp.symbols("n L", positive=True)
    assert sp.simplify(family.gamma(n, L) / (L / n ** (1 - s))) == 1
    print("the table of the one-parameter family and gamma = L/n^(1-s): equal\n")


def integrable() -> None:
    family = rg.family("ip")
    for layers, (power, regime) in INTEGRABLE.items():
        found = family.exponents(layers=layers)
        assert found["preactivation"][:-1] == tuple(-HALF * (l - 1) for l in range(1, layers))
        assert found["gradient"][:-1] == tuple(-1 - HALF * (layers - 1 - l) for l in range(1, layers))
        assert set(found["own_relative"][1:-1]) == {power} == {HALF * (4 - layers)}
        assert found.regime == regime
        print(f"IP, {layers} weight layers: own updates n^({power}), {regime}")
    print("equal to (3 - L)/2 of L hidden layers\n")


def large_first_step() -> None:
    for p in (1, 2, 3):
        for layers in (3, 4, 5):
            c = -HALF * (1 + sum(p**k for k in range(layers - 1)))
            found = rg.family("ip-llr", layers=layers, homogeneity=p)
            assert found.first == {"input": c, "hidden": c - HALF, "output": c}
        print(f"p = {p}, {layers} weight layers: c = {c}, {c - HALF}, {c}")
    for layers in (3, 4, 6):
        assert updates("ip-llr", layers) == updates("mup", layers)
        assert rg.family("ip-llr", layers=layers).exponents().learns_features
    print("c of the first step, and its updates beside those of muP: equal")


def updates(name: str, layers: int) -> list[Fraction]:
    """Powers of the first change of W: rate x df/dz x sigma(z) of the layer below."""
    family = rg.family(name, layers=layers)
    found = family.exponents(layers=layers)
    inputs = (0, *found["preactivation"][:-1])
    groups = ("input", *["hidden"] * (layers - 2), "output")
    return [family.rate_power(g, first=True) + d + x for g, d, x in zip(groups, found["gradient"], inputs, strict=True)]


if __name__ == "__main__":
    recursions()
    one_parameter_family()
    integrable()
    large_first_step()
