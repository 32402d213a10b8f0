r"""PDLT chapter 4: the first two layers, exactly at any width; hidden widths that differ; raised indices.

Assumptions: those of chapter 4 (and 8, 11, the last one, for the other letters).

The way. Layer 1 is linear in its Gaussian parameters, hence Gaussian: every fluctuation starts from nothing. So the
metric of layer 2, G_12 = C_b + (C_W/n_1) sum_j sigma_j1 sigma_j2, is an average over independent neurons: its mean is
exact, and n_1 times its covariance is that of one neuron. In the book's words: the mean of four
activations s = sigma(z) is

    <s_j1 s_j2 s_k3 s_k4>  =  <s_1 s_2 s_3 s_4>      j = k, n_1 choices
                              <s_1 s_2> <s_3 s_4>    j != k, n_1 (n_1 - 1) choices,

for the weights allow only these two pairs of neurons to be different. Every correction of K and V, at any power of 1/n,
lives on tensors of layer 1, which vanish: in the derived recursions of K_1, K_2 and V_1 every term has one.

*Widths.* A tensor of layer l comes with 1/n_{l-1} and is wanted with 1/n_l: every transported term has r = n_l/n_{l-1},
once, whatever the letter. Sources, Theta and K have none.

*Raised indices.* The book carries V with indices raised, one inverse kernel for each of the four, and with
the averages <sigma_1 sigma_2 (z_a z_b - K_ab)>. By parts, twice, <f (z_a z_b - K_ab)> = sum K_aa' K_bb' <d_a' d_b' f>:
every K takes one inverse away.

*One neuron alone.* Jets of four equal neurons pair in all three ways, (12)(34), (13)(24), (14)(23); the letters that
these pairs are named by are counted below.

Engine: rg.derive(..., samples="many"); rg.flow at layer 1, and at layer 3 of two inputs; rg.Tensor.named.

Equation numbers: (4.23), (4.28), (4.29), (4.37), (4.41), (4.40), (4.42), (4.43) have been seen in a public
formalisation, not in the book.
"""

from collections import Counter
from functools import cache
from typing import Any

import numpy as np
from paper import C_W, C_b, E, Equation, Expression, K, normal, right_hand_side, s
from rows import check_rows, row

import rgflow as rg

ALL = ("V", "A", "B", "D", "F", "P", "Q", "R", "S", "T", "U", "K_1", "Theta_1")
EXACT = "tests/oracles/polynomial_networks.py: exact rational moments of small networks with polynomial sigma"


def many(name: str) -> rg.Recursion:
    return rg.derive(name, samples="many")


def without_fluctuations(recursion: rg.Recursion, samples: tuple[int, ...]) -> Expression:
    """The right-hand side behind a layer where every tensor but K and Theta vanishes."""
    terms = right_hand_side(recursion, samples).terms
    found = {m: c for m, c in terms.items() if all(atom[0] != "tensor" or atom[1] == "Theta" for atom, _ in m)}
    return Expression(found)


@row("pdlt/first_layer_gaussian", witness="tests/oracles/polynomial_networks.py: exact moments of small networks")
def first_layer_gaussian() -> dict[str, Any]:
    """Moments of one neuron of layer 1, totals of the flow to 1/n^2, are those of N(0, K)."""
    x, b, w, n = np.array([0.3, -1.1, 0.7]), 0.2, 1.3, 3
    typed_K = b + w * (x @ x) / n
    typed = {2: typed_K, 4: 3 * typed_K**2, 6: 15 * typed_K**3}
    net = rg.MLP([n, 8, 1], "tanh", C_b=b, C_W=w)
    ds = rg.flow(net, inputs=x, tensors=["K", "V", "V6"], order=2).isel(layer=0)
    total = {name: float(ds[name]) for name in ("K", "K_1", "K_2", "V", "V_1", "V6")}
    kernel = total["K"] + total["K_1"] / n + total["K_2"] / n**2
    four, six = total["V"] / n + total["V_1"] / n**2, total["V6"] / n**2
    found = {2: kernel, 4: 3 * (kernel**2 + four), 6: 15 * (kernel**3 + 3 * kernel * four + six)}
    for power, moment in typed.items():
        assert abs(found[power] / moment - 1) < 1e-13, (power, found[power], moment)
    return {f"layer 1, {name}": value for name, value in total.items()}


@row("pdlt/four_activations_first_layer", witness=EXACT)
def four_activations_first_layer() -> tuple[rg.Recursion, ...]:
    """E[G_12 G_34], from K' and V' behind a Gaussian layer, and from the sum over pairs of neurons; n^2 times each."""
    n = Expression.atom("symbol", "n", ())
    typed_same = E(s(1) * s(2) * s(3) * s(4))
    typed_different = E(s(1) * s(2)) * E(s(3) * s(4))
    pairs = n * typed_same + n * (n - 1) * typed_different
    biases = n**2 * (C_b**2 + C_b * C_W * (E(s(1) * s(2)) + E(s(3) * s(4))))
    K_12, K_34 = (right_hand_side(many("K"), samples) for samples in ((1, 2), (3, 4)))
    derived = n**2 * K_12 * K_34 + n * without_fluctuations(many("V"), (1, 2, 3, 4))
    left_over = normal(biases + C_W**2 * pairs - derived)
    assert left_over == {}, left_over
    return many("K"), many("V")


@row("pdlt/second_layer_two_point", witness=EXACT)
def second_layer_two_point() -> tuple[Any, ...]:
    typed = C_b + C_W * E(s(1) * s(2))
    typed_corrections = {"K_1": 0, "K_2": 0}
    for name, correction in typed_corrections.items():
        left_over = normal(without_fluctuations(many(name), (1, 2)) - 10 * correction)
        assert left_over == {}, left_over
    return Equation(K[1, 2], typed, "PDLT (4.37), (4.41)"), many("K_1")


@row("pdlt/second_layer_connected_four_point", witness=EXACT)
def second_layer_connected_four_point() -> tuple[Any, ...]:
    samples = (1, 2, 3, 4)
    typed = C_W**2 * E(s(1) * s(2) * s(3) * s(4)) - C_W**2 * E(s(1) * s(2)) * E(s(3) * s(4))
    left_over = normal(typed - without_fluctuations(many("V"), samples))
    assert left_over == {}, left_over
    typed_correction = 0
    left_over = normal(without_fluctuations(many("V_1"), samples) - 10 * typed_correction)
    assert left_over == {}, left_over
    return (many("V"),)


@row(
    "pdlt/unequal_widths",
    witness="tests/oracles/product_law.py, tests/oracles/polynomial_networks.py: widths that differ",
)
def unequal_widths() -> tuple[rg.Recursion, ...]:
    """The power of n_l/n_{l-1} in every term of every letter."""
    typed = {"source": 0, "transport": 1}
    for name in ALL:
        for term in many(name).terms:
            fluctuating = [v for v in term.tensors if v.tensor.cost > 0]
            assert len(fluctuating) <= 1
            assert term.r == typed["transport" if fluctuating else "source"], (name, term)
    return many("V"), many("B")


@cache
def two_inputs() -> tuple[np.ndarray, np.ndarray, np.ndarray, float, float]:
    """K and V of layer 2, V of layer 3, widths 5 and 8 behind them, from a flow with polynomial sigma."""
    net = rg.MLP([2, 5, 8, 1], "z + z^2/3 - z^3/5", C_b=0.1, C_W=1.3)
    ds = rg.flow(net, first_kernel=[[1.0, 0.3], [0.3, 0.7]], tensors=["K", "V"])
    return ds["K"].values[1], ds["V"].values[1], ds["V"].values[2], 1.3, 8 / 5


@row("pdlt/stein_form", witness="tests/sources/pdlt_many.py: the same recursions, typed by another hand")
def stein_form() -> rg.Recursion:
    """The book's form, with raised indices, by Gauss-Hermite (exact for a polynomial), is V of the flow."""
    kernel, below, above, weight, r = two_inputs()
    nodes, weights = np.polynomial.hermite_e.hermegauss(12)
    grid = np.stack(np.meshgrid(nodes, nodes), -1).reshape(-1, 2)
    w = np.outer(weights, weights).ravel() / (2 * np.pi)
    z = grid @ np.linalg.cholesky(kernel).T
    pairs = np.einsum("xa,xb->xab", *2 * [z + z**2 / 3 - z**3 / 5])
    mean = np.einsum("x,xab->ab", w, pairs)
    inverse = np.linalg.inv(kernel)
    raised = np.einsum("ae,bf,cg,dh,efgh->abcd", *4 * [inverse], below)
    beside = np.einsum("x,xab,xcd->abcd", w, pairs, np.einsum("xa,xb->xab", z, z) - kernel)
    typed = (
        weight**2 * np.einsum("x,xab,xcd->abcd", w, pairs, pairs)
        - weight**2 * np.einsum("ab,cd->abcd", mean, mean)
        + r * weight**2 / 4 * np.einsum("efgh,abef,cdgh->abcd", raised, beside, beside)
    )
    # quadratures of the flow keep twelve digits
    assert np.abs(typed / above - 1).max() < 1e-11, np.abs(typed / above - 1).max()
    return many("V")


@row("pdlt/coincident_neurons", witness="tests/sampling/test_definitions.py: cumulants of networks by definition")
def coincident_neurons() -> dict[str, Any]:
    """Four jets of one neuron: how often each letter is met in their three pairings."""
    typed = {"z z z z": {"V": 3}, "H H": {"A": 1, "B": 2}, "z z H": {"D": 1, "F": 2}}
    jets = {"z z z z": ("1", "2", "3", "4"), "H H": ("1e", "2e", "3f", "4f"), "z z H": ("1", "2", "3e", "4e")}
    found = {}
    for name, (a, b, c, d) in jets.items():
        pairings = (f"{a} {b}|{c} {d}", f"{a} {c}|{b} {d}", f"{a} {d}|{b} {c}")
        found[name] = dict(Counter(rg.Tensor.named(pairing).letter for pairing in pairings))
    assert found == typed, found
    return {
        name: " + ".join(f"{times} {x}".removeprefix("1 ") for x, times in sorted(f.items()))
        for name, f in found.items()
    }


if __name__ == "__main__":
    check_rows(globals())
