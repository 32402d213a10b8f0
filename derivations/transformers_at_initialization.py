r"""Dinan, Yaida and Zhang, "Effective Theory of Transformers at Initialization" (arXiv:2304.02034).

Assumptions: width n, heads H and channels C = n/H are large; pre-LayerNorm blocks; Gaussian weights, no biases but the
head's; tokens t, u of one or two inputs.

A block is a composition of elementary maps y = f(x_1, ..., x_m). With one tangent direction e the chain rule is
y_e = sum_i (d_i f) x_{i,e}, hence K^y = E[f f'] and Theta^y = sum_ij E[d_i f d_j f'] Theta^ij; and weights give the
metric of an affine layer, C <s s'> and, for the tangent kernel, Lambda <s s'> + C <ds ds'> Theta.

- LayerNorm is linear at leading order: s = z/sqrt(K + eps), F = K_s = N G.
- Logits l_tu = q_t.k_u/sqrt(C) are sums of C products, Gaussian with covariance K^q K^k; the product rule gives their
  tangent kernel Theta^q K^k + K^q Theta^k. The first correction is their excess kurtosis 6/C = 6 H/n.
- y_t = sum_u Omega_tu v_u is a product, of a function of the logits and of values: <Omega Omega> K^v for the kernel,
  <dOmega dOmega> Theta^l K^v + <Omega Omega> Theta^v for the tangent kernel.
- The skip path adds, since the last weights of the branch have mean zero.

Composed, these are the paper's recursions. Heads average to the mean of one head up to 1/H: behind one block exactly,
in what follows with corrections O(1/H) from LayerNorm and softmax, beside O(H/n).

The paper's formulas one by one are in transformer_recursions.py and transformer_learning_rates.py.
"""

from collections import Counter
from fractions import Fraction

import numpy as np

import rgflow as rg
from rgflow.transformer import transformer_chain

# Typed by hand: one line for each term, hyperparameters and then averages and kernels. M = <ΩΩ>, D = <∂Ω∂Ω> with the
# kernel of values inside; behind D stand queries, keys, values. K_s is F, Theta_s is N Theta.
MHSA = {
    "K": """
        K_z
        C_U C_V <ΩΩ>_l K_s
    """,
    "Theta": """
        Theta_z
        Lambda_U C_V <ΩΩ>_l K_s
        Lambda_V C_U <ΩΩ>_l K_s
        Lambda_K C_Q C_U C_V <∂Ω∂Ω>_l K_s K_s K_s
        Lambda_Q C_K C_U C_V <∂Ω∂Ω>_l K_s K_s K_s
        C_U C_V <ΩΩ>_l Theta_s
        C_U C_V C_Q C_K <∂Ω∂Ω>_l Theta_s K_s K_s
        C_U C_V C_Q C_K <∂Ω∂Ω>_l K_s Theta_s K_s
    """,
}
MLP = {
    "K": """
        K_z
        C_X <σσ>_w
    """,
    "Theta": """
        Theta_z
        Lambda_X <σσ>_w
        C_X Lambda_W <σ'σ'>_w K_s
        C_X C_W <σ'σ'>_w Theta_s
    """,
}
HEAD = {
    "K": """
        C_bhead
        C_head K_s
    """,
    "Theta": """
        Lambda_bhead
        Lambda_head K_s
        C_head Theta_s
    """,
}
EQUATIONS = {
    "attention": (MHSA, "(1.64), (1.65) and (1.122) to (1.190)"),
    "mlp": (MLP, "(1.77) and (1.98)"),
    "head": (HEAD, "(1.80)"),
}
# SGD (1.99) to (1.107) and AdamW (1.108) to (1.116): exponents of n.
EXPONENTS = {
    "patch": (0, Fraction(-1, 2)),
    "PE": (0, Fraction(-1, 2)),
    **dict.fromkeys(("Q", "K", "V", "U", "W", "X"), (-1, Fraction(-3, 2))),
    "head": (-1, -1),
    "bhead": (0, 0),
}


def typed(text):
    """Terms as hyperparameters in any order, and factors in theirs."""
    found = Counter()
    for line in text.split("\n"):
        words = line.split()
        symbols = [word for word in words if word.startswith(("C_", "Lambda_"))]
        if words:
            found[tuple(sorted(symbols)), tuple(word for word in words if word not in symbols)] += 1
    return found


def derived(chain, tensor):
    return Counter((tuple(sorted(share.symbols)), tuple(map(str, share.factors))) for share in chain.composed(tensor))


def recursions(net):
    for kind, (formulas, where) in EQUATIONS.items():
        chain = transformer_chain(net, kind)
        print(chain, end="\n\n")
        for tensor, text in formulas.items():
            assert derived(chain, tensor) == typed(text), (kind, tensor)
        print(*chain.lines(), f"equal to {where}, typed by hand\n", sep="\n")


def scalings(net):
    found = rg.transformer_scaling(net)
    print(found)
    for group, exponents in EXPONENTS.items():
        laws = found[group].sgd_law.exponent("n"), found[group].adamw_law.exponent("n")
        assert laws == exponents, group
    print("exponents of n equal to (1.99) to (1.116)\n")


def two_tokens(net):
    """One attention block of two tokens: a row of softmax is a sigmoid, and S a Gaussian integral in two dimensions."""
    x = np.array([[1.0, 0.5, -1.0], [0.3, 1.2, 0.4]])
    ds = rg.transformer_flow(net.changed(blocks=("attention",)), x)
    G = ds["K"].values[0]
    root = np.sqrt(np.diag(G) + net.eps)
    F = G / np.outer(root, root)
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    weights = weights / weights.sum()
    # Logits differ by delta_t, of covariance C_Q C_K F_tu (F_11 + F_22 - 2 F_12); here t = 1, u = 2.
    covariance = net.C_Q * net.C_K * (F[0, 0] + F[1, 1] - 2 * F[0, 1]) * F
    L = np.linalg.cholesky(covariance)
    d_1, d_2 = L[0, 0] * nodes[:, None], L[1, 0] * nodes[:, None] + L[1, 1] * nodes
    p, q = 1 / (1 + np.exp(-d_1)), 1 / (1 + np.exp(-d_2))
    S = p * q * F[0, 0] + (p * (1 - q) + (1 - p) * q) * F[0, 1] + (1 - p) * (1 - q) * F[1, 1]
    expected = G[0, 1] + net.C_U * net.C_V * weights @ S @ weights
    value, error = float(ds["K"][1, 0, 1]), float(ds["K_error"][1, 0, 1])
    assert abs(value - expected) < 4 * error < 1e-2
    print(f"G_12 behind an attention block: {value:.5f}({error:.5f}), equal to {expected:.5f} within its error\n")


def depth(net):
    """Ours: with C_U, C_X, Lambda_U, Lambda_X divided by the number of blocks, K and Theta tend to limits."""
    x = np.array([[1.0, 0.5, -1.0]])  # one token: nothing is drawn
    found = {}
    for blocks in (4, 16):
        here = net.changed(blocks=blocks)
        found[blocks] = [
            rg.transformer_flow(each, x)["K"].values[-2, 0, 0] for each in (here, rg.deep_transformer(here))
        ]
    plain = (found[16][0] - found[4][0]) / 12
    G = rg.transformer_flow(net, x)["K"].values
    assert abs(plain / (G[2, 0, 0] - G[0, 0, 0]) - 1) < 1e-4  # LayerNorm's eps
    print(
        f"without it K grows by {plain:.4f} in each pair of blocks; with it K = {found[4][1]:.4f}, {found[16][1]:.4f}"
    )
    assert abs(found[16][1] / found[4][1] - 1) < 1e-5
    print("equal at 4 and 16 pairs of blocks with the scaling of rgflow")


if __name__ == "__main__":
    transformer = rg.Transformer(width=64, heads=4, blocks=1, n_in=3, positions=4, C_Q=1.5, C_PE=0.2)
    recursions(transformer)
    scalings(transformer)
    two_tokens(transformer)
    depth(transformer)
