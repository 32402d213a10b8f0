r"""PDLT: tanh networks in numbers: first corrections of a small one, and how finite networks approach their tensors.

Assumptions: one input, equal widths; tanh.

The way. The four numbers are the recursions of chapters 4 and 8 run to layer 4 at C_b = 0.1, C_W = 4, for x^2 = 1: the
kernel starts at 4.1. Their learning rates are not stated; D and the correction of Theta are linear in them, and the two
numbers give lambda_b = 0.5, lambda_W = 0.7, those of the neighbouring tables. Three of the numbers are then those of
the flow, rounded. The fourth, 0.9616, is what Gauss-Hermite quadrature with 160 nodes gives, derivatives of the
expansion written as Hermite polynomials; with 240 nodes and more, and in the flow, it is 0.9621: tanh has poles at
+- i pi/2, and at K = 4 the last digit needs more nodes than that.

A tensor of a network of width n is X + X_1/n + O(1/n^2): relative to X its distance falls with the slope -1, and X_1 is
not zero for any of the thirteen tensors of tanh. Networks of three widths that were drawn are compared with that.

Engine: rg.flow to order 1 and to order 2; rg.closure for the recursions, evaluated here with a quadrature that is not
the engine's.

Sources: PDLT (equation numbers not seen); the numbers were computed apart from this package.
"""

import json
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from rows import check_rows, row
from scipy import stats

import rgflow as rg

HYPER = {"C_b": 0.1, "C_W": 4.0, "lambda_b": 0.5, "lambda_W": 0.7}
FOUR = ("K_1", "Theta_1", "V", "D")
SAMPLED = Path(__file__).parents[1] / "benchmarks" / "results" / "real_networks.json"
LETTERS = ("A", "B", "D", "F", "P", "Q", "R", "S", "T", "U", "V")


@cache
def flowed() -> dict[str, float]:
    net = rg.MLP.uniform(n_in=1, width=24, depth=4, activation="tanh", **HYPER)
    ds = rg.flow(net, first_kernel=4.1, tensors=["K", "Theta", "V", "D"])
    return {name: float(ds[name][-1]) for name in FOUR}


@cache
def gauss_hermite(nodes: int) -> dict[str, float]:
    """The derived recursions from layer 1 to 4, <d^m f> = <He_m(z/sqrt(K)) f> K^{-m/2} summed over a Hermite grid."""
    x, w = np.polynomial.hermite_e.hermegauss(nodes)
    w = w / w.sum()
    system = rg.closure(FOUR)
    state = dict.fromkeys(system.names, 0.0) | HYPER | {"K": 4.1, "Theta": 0.5 + 0.7, "r": 1.0}
    for _ in range(3):
        sigma = rg.activation("tanh").derivatives(np.sqrt(state["K"]) * x, 2)
        new = {}
        for recursion in system:
            total = 0.0
            for term in recursion.terms:
                value = float(term.coefficient) * prod(state[name] ** power for name, power in term.symbols)
                value *= prod(state[v.tensor.name] for v in term.tensors)
                for bracket in term.brackets:
                    hermite = np.polynomial.hermite_e.hermeval(x, np.eye(bracket.pending + 1)[-1])
                    written = prod(sigma[order] for order in bracket.orders)
                    value *= (w @ (hermite * written)) / state["K"] ** (bracket.pending / 2)
                total += value
            new[recursion.name] = total
        state |= new
    return {name: float(state[name]) for name in FOUR}


@row(
    "pdlt/pdlt_tanh_cumulants", witness="tests/sources/pdlt_one.py: the recursions of one input, typed by another hand"
)
def tanh_cumulants() -> dict[str, float]:
    """Each to half a unit of its last digit."""
    typed = {"K_1": -0.1820, "V": 2.124, "D": -8.68}
    typed_with_160_nodes = {"Theta_1": 0.9616}
    last = {"K_1": 1e-4, "V": 1e-3, "D": 1e-2, "Theta_1": 1e-4}
    coarse, fine = gauss_hermite(160), gauss_hermite(320)
    for numbers, found in ((typed, flowed()), (typed_with_160_nodes, coarse)):
        for name, number in numbers.items():
            assert abs(found[name] - number) <= 0.5 * last[name], (name, found[name], number)
    # the flow is what the quadrature goes to: of its error at 320 nodes little is left
    for name in FOUR:
        assert abs(fine[name] - flowed()[name]) <= 0.05 * abs(coarse[name] - flowed()[name]) + 1e-9, name
    return flowed() | {"Theta_1, 160 nodes": coarse["Theta_1"]}


@cache
def next_orders() -> dict[str, tuple[float, float]]:
    """(X, X_1) at layer 4 of the sampled networks; for G^{1} and H^{1}, (K_1, K_2) and (Theta_1, Theta_2)."""
    net = rg.MLP.uniform(n_in=1, width=16, depth=4, activation="tanh", C_b=0.1, C_W=1.5)
    ds = rg.flow(net, first_kernel=1.0, tensors=["K", "Theta", *LETTERS], order=2)
    names = {name: (name, f"{name}_1") for name in LETTERS} | {x: (f"{x}_1", f"{x}_2") for x in ("K", "Theta")}
    return {name: tuple(float(ds[x][-1]) for x in pair) for name, pair in names.items()} | {
        f"leading {x}": (float(ds[x][-1]), 0.0) for x in ("K", "Theta")
    }


def sampled(letter: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Widths, E_n/X and its standard error, of networks that were drawn; of K and Theta what is beyond, times n."""
    kept = json.loads(SAMPLED.read_text(encoding="utf-8"))
    (one,) = (x for x in kept["rows"] if (x["sigma"], x["inputs"], x["tensor"], x["q"]) == ("tanh", 1, letter, 1))
    n, mean, error = (np.array(x, float) for x in (kept["widths"], one["sampled"], one["standard_error"]))
    if letter in ("K", "Theta"):
        mean, error = (mean - next_orders()[f"leading {letter}"][0]) * n, error * n
    leading = next_orders()[letter][0]
    return n, mean / leading, error / abs(leading)


@row(
    "pdlt/deviation_falls_as_one_over_n",
    witness="benchmarks/results/real_networks.json: sampled networks, drawn by tests/real_networks.py",
)
def deviation_falls() -> dict[str, Any]:
    """All thirteen at widths 16, 32, 64: E_n/X - 1 = (X_1/X) n^p + b n^2p with X_1 of the engine and one b a tensor.

    Least squares with the errors of the samples, two degrees of freedom a tensor; at p = -1.1 they are hopeless.
    """
    typed = -1
    total, shown = 0.0, {}
    for letter in ("K", "Theta", *LETTERS):
        n, mean, error = sampled(letter)
        leading, following = next_orders()[letter]
        left, shape = mean - 1 - following / leading * n ** float(typed), n ** (2.0 * typed)
        b = np.sum(left * shape / error**2) / np.sum(shape**2 / error**2)
        total += np.sum(((left - b * shape) / error) ** 2)
        shown[f"{letter}: n times the deviation"] = following / leading
    assert stats.chi2.sf(total, 2 * len(shown)) > 1e-3, total
    return shown


if __name__ == "__main__":
    check_rows(globals())
