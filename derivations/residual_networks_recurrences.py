r"""Yang and Schoenholz, residual networks in mean field: the recurrences of a block, and what widths change in them.
"Mean Field Residual Networks: On the Edge of Chaos" (arXiv:1712.08969), "Deep Mean Field Theory" (2018), theorems C.2
and C.3.

Assumptions: infinite width; x' = x + V sigma(W x + b) + a (full) or x + sigma(W x + b) with odd sigma (reduced), a
random projection of variance 1/Nu in place of x where the width changes from Nu to N; M hidden neurons; sigma_w^2 =
C_W, sigma_v^2 = C_V, sigma_a^2 = C_a, sigma_b^2 = C_b; backward weights independent of forward ones.

Forward. Given the layer below, h is Gaussian with q = C_W p + C_b, and x' adds C_V V(q) + C_a; the same for two inputs
with lambda, gamma and W(q, lambda) = <s_1 s_2>. No width occurs.

Backward. Squared gradients are derivatives of the tangent kernel, Theta' = Theta + C_V <s's'> (lambda_b + lambda_W p +
C_W Theta) + lambda_V <ss> + lambda_a: 1 + C_V C_W <s's'> for the layer below, p C_V <s's'>, <ss>, .. for the
parameters. Theta shares a rate among all entries that one neuron sees: a neuron above is fed by one row of V and one
entry of a, but by all M rows of W and entries of b, while there are N neurons above; the mean square of one entry is
chi dTheta'/dlambda for a and v, and N/M times that for b and w, N/Nu times for a neuron below a projection. From layer
to layer N/Nu multiplies, and telescopes; N/M does not go on.

Fisher information. Its largest eigenvalue is no smaller than its largest diagonal entry, its smallest no larger than
the smallest, so that its condition number exceeds the ratio of gradients; of relu this grows as e^{cL}, c = ln(1 + C_V
C_W/2).

Engine: rg.derive of rg.Branch, rg.Projection and rg.Reduced for the lines; rg.variation of a network of five blocks of
erf, whose averages are typed, with varying widths and variances, and each typed line compared at every block.

Sources: arXiv:1712.08969; 2018, appendix C.
"""

import math
from functools import cache
from typing import Any

import numpy as np
import sympy as sp
from rows import check_rows, row

import rgflow as rg

TYPED_AGAIN = "tests/sources/yang_schoenholz.py: the recurrences typed in plain Python"
SAMPLED = "tests/scaling/test_variation_sampled.py: gradients of sampled networks"
KINDS = {"full": rg.Branch(), "reduced": rg.Reduced()}
# C_W, C_V, C_a, C_b, N and M of the blocks; the input has 60 neurons
BLOCKS = ((1.3, 0.8, 0.5, 0.2, 60, 40), (0.7, 1.1, 0.1, 0.4, 30, 25), (1.9, 0.6, 0.3, 0.0, 30, 50), (1, 1, 1, 1, 75, 9))


@cache
def blocks(kind: str = "full") -> list[dict[str, float]]:
    """Of every block what the engine has for it: below (u), inside, and above."""
    layers: list[Any] = []
    width = 60
    for w, v, a, b, n, m in BLOCKS:
        if kind == "reduced":
            layers.append(rg.Reduced(C_W=w, C_b=b))
        else:
            form = rg.Branch if n == width else rg.Projection
            layers.append(form(C_W=w, C_V=v, C_a=a, C_b=b, hidden=m))
            width = n
    widths = [60, *(n if kind == "full" else 60 for *_, n, _ in BLOCKS)]
    ds = rg.variation(rg.Network([rg.Linear(), *layers, rg.Linear()], [3, *widths, 1], "erf"), p0=1.1, gamma0=0.3)
    found = []
    for l, (w, v, a, b, _, m) in enumerate(BLOCKS, start=1):
        here = {name: float(ds[name][l]) for name in ds.data_vars if ds[name].dims == ("layer",)}
        below = {f"{name}u": float(ds[name][l - 1]) for name in ("p", "gamma", "chi")}
        found.append({**here, **below, "w": w, "v": v, "a": a, "b": b, "N": widths[l], "Nu": widths[l - 1], "M": m})
    return found


def V(q: float) -> float:
    """<ss> of erf."""
    return 2 / math.pi * math.asin(2 * q / (1 + 2 * q))


def V_slope(q: float) -> float:
    """<s's'> of erf."""
    return 4 / (math.pi * math.sqrt(1 + 4 * q))


def W(q: float, overlap: float) -> float:
    """<s_1 s_2> of erf, for equal norms."""
    return 2 / math.pi * math.asin(2 * overlap / (1 + 2 * q))


def same(found: float, typed: float) -> None:
    """To the accuracy of tables of averages, which is 1e-13 for a flow of four blocks."""
    assert abs(found / typed - 1) < 1e-11, (found, typed)


# What the flow runs, and what the book shows: h is the kernel behind W, <..>_h an average at it
LINES = {
    (rg.Branch(), "K", "one"): ("K_h' = C_b + C_W K", "K' = C_a + K + C_V <σσ>_h"),
    (rg.Branch(), "K", "many"): ("K[1,2]_h' = C_b + C_W K[1,2]", "K[1,2]' = C_a + K[1,2] + C_V <σ1σ2>_h"),
    (rg.Branch(), "J", "one"): ("J_h' = C_W J", "J' = J + C_V J_h <σ'σ'>_h"),
    (rg.Projection(), "J", "one"): ("J_h' = C_W J", "J' = C_V J_h <σ'σ'>_h + C_P J"),
    (rg.Branch(), "Theta", "one"): (
        "Theta_h' = lambda_b + C_W Theta + lambda_W K",
        "Theta' = lambda_a + Theta + C_V Theta_h <σ'σ'>_h + lambda_V <σσ>_h",
    ),
    (rg.Reduced(), "K", "one"): ("K_h' = C_b + C_W K", "K' = K + <σσ>_h"),
    (rg.Reduced(), "K", "many"): ("K[1,2]_h' = C_b + C_W K[1,2]", "K[1,2]' = K[1,2] + <σ1σ2>_h"),
    (rg.Reduced(), "J", "one"): ("J_h' = C_W J", "J' = J + J_h <σ'σ'>_h"),
    (rg.Reduced(), "Theta", "one"): (
        "Theta_h' = lambda_b + C_W Theta + lambda_W K",
        "Theta' = Theta + Theta_h <σ'σ'>_h",
    ),
}


def shown(tensor: str, layer: Any, samples: str = "one") -> object:
    """A derived line, after it has been found equal to the typed one."""
    found = rg.derive(tensor, layer=layer, samples=samples)
    assert str(found) == "\n".join(LINES[layer, tensor, samples]), found
    return found


@row("width_and_variance_variation/q", witness=TYPED_AGAIN)
def q() -> object:
    for x in blocks():
        typed = x["w"] * x["pu"] + x["b"]
        same(x["q"], typed)
    return shown("K", layer=rg.Branch())


@row("width_and_variance_variation/p", witness=TYPED_AGAIN)
def p() -> object:
    for x in blocks():
        typed = x["pu"] + x["v"] * V(x["q"]) + x["a"]
        same(x["p"], typed)
    return shown("K", layer=rg.Branch())


@row("width_and_variance_variation/lambda", witness=TYPED_AGAIN)
def overlap_inside() -> object:
    for x in blocks():
        typed = x["w"] * x["gammau"] + x["b"]
        same(x["lambda"], typed)
    return shown("K", layer=rg.Branch(), samples="many")


@row("width_and_variance_variation/gamma", witness=TYPED_AGAIN)
def gamma() -> object:
    for x in blocks():
        typed = x["gammau"] + x["v"] * W(x["q"], x["lambda"]) + x["a"]
        same(x["gamma"], typed)
    return shown("K", layer=rg.Branch(), samples="many")


@row("width_and_variance_variation/chi", witness=SAMPLED)
def chi() -> object:
    """The blocks that keep their width."""
    for x in blocks():
        if x["N"] == x["Nu"]:
            typed = x["chi"] + x["chi"] * x["v"] * x["w"] * V_slope(x["q"])
            same(x["chiu"], typed)
    return shown("J", layer=rg.Branch())


@row("width_and_variance_variation/chi_projection", witness=SAMPLED)
def chi_projection() -> object:
    """All, those that project among them."""
    for x in blocks():
        typed = x["chi"] * x["N"] / x["Nu"] + x["chi"] * x["N"] / x["Nu"] * x["v"] * x["w"] * V_slope(x["q"])
        same(x["chiu"], typed)
    return shown("J", layer=rg.Projection())


@row("width_and_variance_variation/chi_a", witness=SAMPLED)
def chi_a() -> object:
    for x in blocks():
        typed = x["chi"]
        same(x["chi_a"], typed)
    return shown("Theta", layer=rg.Branch())


@row("width_and_variance_variation/chi_v", witness=SAMPLED)
def chi_v() -> object:
    for x in blocks():
        typed = x["chi"] * V(x["q"])
        same(x["chi_V"], typed)
    return shown("Theta", layer=rg.Branch())


@row("width_and_variance_variation/chi_b", witness=SAMPLED)
def chi_b() -> object:
    for x in blocks():
        typed = x["N"] / x["M"] * x["v"] * x["chi"] * V_slope(x["q"])
        same(x["chi_b"], typed)
    return shown("Theta", layer=rg.Branch())


@row("width_and_variance_variation/chi_w", witness=SAMPLED)
def chi_w() -> object:
    for x in blocks():
        typed = x["N"] / x["M"] * x["v"] * x["chi"] * V_slope(x["q"]) * x["pu"]
        same(x["chi_W"], typed)
    return shown("Theta", layer=rg.Branch())


@row("width_and_variance_variation/reduced_p", witness=TYPED_AGAIN)
def reduced_p() -> object:
    for x in blocks("reduced"):
        typed = x["pu"] + V(x["q"])
        same(x["p"], typed)
    return shown("K", layer=rg.Reduced())


@row("width_and_variance_variation/reduced_gamma", witness=TYPED_AGAIN)
def reduced_gamma() -> object:
    for x in blocks("reduced"):
        typed = x["gammau"] + W(x["q"], x["lambda"])
        same(x["gamma"], typed)
    return shown("K", layer=rg.Reduced(), samples="many")


@row("width_and_variance_variation/reduced_chi", witness=SAMPLED)
def reduced_chi() -> object:
    for x in blocks("reduced"):
        typed = x["chi"] + x["chi"] * x["w"] * V_slope(x["q"])
        same(x["chiu"], typed)
    return shown("J", layer=rg.Reduced())


@row("width_and_variance_variation/reduced_chi_b", witness=SAMPLED)
def reduced_chi_b() -> object:
    for x in blocks("reduced"):
        typed = x["chi"] * V_slope(x["q"])
        same(x["chi_b"], typed)
    return shown("Theta", layer=rg.Reduced())


@row("width_and_variance_variation/reduced_chi_w", witness=SAMPLED)
def reduced_chi_w() -> object:
    for x in blocks("reduced"):
        typed = x["chi"] * V_slope(x["q"]) * x["pu"]
        same(x["chi_W"], typed)
    return shown("Theta", layer=rg.Reduced())


@row("width_and_variance_variation/metric_expressivity", witness=TYPED_AGAIN)
def metric_expressivity() -> object:
    """The engine follows s by itself, without the difference."""
    for x in blocks():
        typed = x["p"] - x["gamma"]
        same(x["s"], typed)
    return {f"s behind block {l}": x["s"] for l, x in enumerate(blocks(), start=1)}


@row("width_and_variance_variation/width_factors", witness=SAMPLED)
def width_factors() -> dict[str, float]:
    """Beside a network of constant width with M = N: p, chi of the input and chi_b of every block, as ratios."""
    one = rg.variation("erf", 3, widths=60)
    net = [rg.Linear(), *[rg.Projection(C_a=1.0, C_b=1.0, hidden=m) for m in (40, 25, 90)], rg.Linear()]
    varied = rg.variation(rg.Network(net, [3, 60, 30, 20, 45, 1], "erf"))
    ratio = {name: (varied[name] / one[name]).values for name in ("p", "chi", "chi_b")}
    typed = {"p": [1, 1, 1], "chi": [45 / 60, 45 / 30, 45 / 20], "chi_b": [45 / 40, 45 / 25, 45 / 90]}
    for name, numbers in typed.items():
        found = ratio[name][:3] if name == "chi" else ratio[name][1:]
        np.testing.assert_allclose(found, numbers, rtol=1e-11)
    return {f"{name}, widths 60, 30, 20, 45": ratio[name][name == "chi_b" :] for name in ("p", "chi", "chi_b")}


@row("width_and_variance_variation/fisher_condition", witness="tests/scaling/test_variation_phases.py: B^l typed")
def fisher_condition() -> dict[str, object]:
    """c of relu; and the inequality, for Gram matrices of gradients of which some are larger."""
    C_W, C_V = sp.symbols("C_W C_V", positive=True)
    law = rg.variation_phases("relu", C_W=C_W, C_V=C_V)["chi"]
    typed = sp.log(1 + C_V * C_W / 2)
    assert sp.simplify(sp.log(law.expression.subs(sp.Symbol("l", positive=True), 1)) - typed) == 0
    for seed in range(5):
        gradients = np.random.default_rng(seed).standard_normal((200, 12)) * 1.5 ** np.arange(12)
        fisher = gradients.T @ gradients
        diagonal = np.diag(fisher)
        assert np.linalg.cond(fisher) >= diagonal.max() / diagonal.min()
    return {"ratio of gradients of relu": law}


if __name__ == "__main__":
    check_rows(globals())
