# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     notebook_metadata_filter: -jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Taming gradients with width and variance
#
# For a reader with Yang and Schoenholz's *Mean Field Residual Networks: On the Edge of Chaos*
# ([arXiv:1712.08969](https://arxiv.org/abs/1712.08969)) and its sequel on layerwise width and variance variation at
# hand. A residual network passes its input on, and so its signals never die; but they and the gradients grow with
# depth. How fast depends on the activation, and on how variances and widths change from block to block. We read the
# recurrences off the definition of a block, follow them to hundreds of thousands of blocks, classify the growth, and
# tame it in two ways; at the end real networks are drawn.
#
# Open this page in Jupyter (`.ipynb`) or run it as a script (`.py`). The environment variable `RGFLOW_NOTEBOOK=full`
# draws wider networks, and more of them.

# %%
import os
from functools import partial
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import sympy as sp
from matplotlib.colors import BoundaryNorm, ListedColormap

import rgflow as rg

WIDTH, NETWORKS = (256, 100) if os.environ.get("RGFLOW_NOTEBOOK") == "full" else (128, 40)
BLUE, ORANGE, GREEN, PINK, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#777777"  # safe for colour-blind readers
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False})

# %% [markdown]
# ## 1. A block
#
# $x'_i = x_i + \sum_k V_{ik}\,\sigma(h_k) + a_i$ with $h_k = \sum_j W_{kj} x_j + b_k$. The kernel $p = \langle
# x_1^2\rangle$ passes through the hidden kernel $q = \langle h_1^2\rangle$, and the tangent kernel $\Theta$ knows all
# gradients: how much of it comes from block $l$ says how large they are there.

# %%
for name in ("K", "Theta"):
    print(rg.derive(name, layer=rg.Branch()), end="\n\n")

# %% [markdown]
# Iterated over 100 blocks, everything of order one: the gradient that arrives at the bottom is a thousand times
# larger than what was sent down for tanh, and $10^{17}$ times for ReLU.

# %%
plain = {name: rg.variation(name, 100, gamma0=0.3) for name in ("tanh", "relu")}
for name, ds in plain.items():
    p, chi, e = (float(ds[letter][at]) for letter, at in (("p", -1), ("chi", 0), ("e", -1)))
    print(f"{name}: p = {p:.4g}, chi(0)/chi(100) = {chi:.4g}, e = {e:.4f}")

# %% [markdown]
# ## 2. How fast?
#
# At large $q$ tanh is a step, and $\langle\sigma'\sigma'\rangle$ falls as $q^{-1/2}$; so its gradients grow as
# $\exp(A\sqrt l)$. ReLU looks the same at every scale: exponential growth. `rg.variation_phases` balances the
# recurrences' terms and gives exponents and coefficients as formulas:

# %%
symbols = dict.fromkeys(("C_W", "C_V", "C_a", "C_b"), "symbolic")
for name in ("tanh", "relu", "relu(z)^(3/4)"):
    print(rg.variation_phases(name, **symbols), end="\n\n")

# %% [markdown]
# Do flows agree? Divide the logarithm of the gradient by what it should be. (A power of $l$ is also there, which
# falls away as $\ln l/\sqrt l$; a difference between $l/2$ and $l$ does better.)

# %%
L = 20_000
deep = rg.variation("tanh", L)["log_chi"].values
layers = np.geomspace(8, L, 200).astype(int)
law = rg.variation_phases("tanh")["chi"]
A, half = float(law.coefficient), float(law.exponent)
total = (deep[0] - deep[layers]) / (A * layers**half)
differences = (deep[layers // 2] - deep[layers]) / (A * (layers**half - (layers // 2) ** half))
fig, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
axes.semilogx(layers, total, color=BLUE, label="from the input")
axes.semilogx(layers, differences, color=ORANGE, label="between $l/2$ and $l$")
axes.axhline(1, color=GREY, ls=":")
axes.set(xlabel=r"block $\ell$", ylabel=r"$\ln\chi$ / predicted", ylim=(0.75, 1.05))
axes.legend()
plt.show()

# %% [markdown]
# ## 3. Let variances fall
#
# With $\sigma_\bullet^2\,l^{-\beta_\bullet}$ at block $l$ there is a phase diagram. Here is that of ReLU along two
# paths of the paper: the *zig* lets $\beta_w = \beta_b$ grow from 0 to 2, the *zag* then $\beta_a$. Powers are
# symbols; every regime comes with its conditions, and the lines between them are regimes of their own.

# %%
x, y = sp.symbols("x y", nonnegative=True)
zigzag = rg.variation_phases("relu", beta_W=x, beta_b=x, beta_V=0, beta_a=y)
for case in zigzag.cases:
    print(f"{case.condition:24} p: {case.regime['p']:22} chi_V: {case.laws['chi_V']}")

# %%
grid = np.linspace(0, 2, 81)
diagram = zigzag.diagram("p", x=grid, y=grid)
names = diagram["regime_p"].attrs["flag_meanings"].split()
colours = ListedColormap(["#f7f4ef", "#dfe7d5", "#bcd9cf", "#8cc0c9", "#4f8fba", "#2f4b8a"])
fig, axes = plt.subplots(figsize=(6.6, 4), layout="constrained")
norm = BoundaryNorm(np.arange(len(names) + 1) - 0.5, len(names))
mesh = axes.pcolormesh(grid, grid, diagram["regime_p"].values.T, cmap=colours, norm=norm, rasterized=True)
bar = fig.colorbar(mesh)
bar.set_ticks(range(len(names)), labels=[name.replace("_", " ") for name in names])
axes.plot([0, 2], [0, 0], color=ORANGE, lw=4, clip_on=False, label="zig")
axes.plot([2, 2], [0, 2], color=PINK, lw=4, clip_on=False, label="zag")
axes.set(xlabel=r"$\beta_w = \beta_b$", ylabel=r"$\beta_a$", title=r"ReLU, $\beta_v = 0$: how $p$ grows")
axes.legend(loc="upper left")
plt.show()

# %% [markdown]
# How much decay does a depth need? The mildest that keeps the gradient ratio within 10:

# %%
milder = rg.suggest_variation("tanh", 100, tolerance=10)
print(milder)

# %% [markdown]
# ## 4. Or let the width fall
#
# A block that changes the width has a random projection in the place of the identity; from $n$ to $n/2$ neurons it
# halves what comes back. For tanh the gradient rises $e^A \approx 2.12$ times between squares of whole numbers, so
# halve there:

# %%
narrower = rg.suggest_variation("tanh", 100, how="width", start=16, rise=2.11)
print(narrower)
tamed = rg.variation("tanh", 100, widths=narrower.widths)
decayed = rg.variation("tanh", 100, **dict.fromkeys(("beta_W", "beta_V", "beta_a", "beta_b"), milder.beta))

# %% [markdown]
# ## 5. Real networks
#
# Sixty blocks drawn at random, forward and back, with and without halved widths, against the theory of infinite width.
# One network is not the mean: bars are two standard errors over networks.


# %%
def explicit(widths, seed):
    """p and chi of one network of tanh blocks, all variances one, in plain NumPy."""
    rng = np.random.default_rng(seed)
    normal = partial(rng.standard_normal, dtype=np.float32)
    signal = normal(widths[0])
    signal *= np.sqrt(widths[0] / (signal @ signal))
    kept, p = [], [1.0]
    for n, m in pairwise(widths):
        W, V = normal((m, n)) / np.float32(np.sqrt(n)), normal((m, m)) / np.float32(np.sqrt(m))
        P = None if n == m else normal((m, n)) / np.float32(np.sqrt(n))
        h = W @ signal + normal(m)
        signal = (signal if P is None else P @ signal) + V @ np.tanh(h) + normal(m)
        kept.append((W, V, P, h))
        p.append(np.mean(signal**2))
    back = normal(widths[-1])
    chi = [np.mean(back**2)]
    for W, V, P, h in reversed(kept):
        back = (back if P is None else P.T @ back) + W.T @ ((V.T @ back) * (1 - np.tanh(h) ** 2))
        chi.append(np.mean(back**2))
    return np.array(p), np.array(chi[::-1])


DEPTH = 60
schedules = {
    "constant": [WIDTH] * (DEPTH + 1),
    "halved": [2 * WIDTH >> sum(l >= at for at in (16, 25, 36)) for l in range(DEPTH + 1)],
}
found = {}
for label, widths in schedules.items():
    drawn = [explicit(widths, (3, seed)) for seed in range(NETWORKS)]
    p, chi = (np.array(values) for values in zip(*drawn, strict=True))
    found[label] = p, chi / chi[:, -1].mean()

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
for label, ds, colour in (
    ("constant", plain["tanh"], BLUE),
    ("width halved", tamed, ORANGE),
    ("variances fall", decayed, GREEN),
):
    left.semilogy(ds["layer"], ds["chi"], color=colour, label=label)
left.set(xlabel=r"block $\ell$", ylabel=r"$\chi^{(\ell)}/\chi^{(100)}$", title="tanh, 100 blocks, theory")
left.legend()
within = {}
for (label, (p, chi)), colour in zip(found.items(), (BLUE, ORANGE), strict=True):
    theory = rg.variation("tanh", DEPTH, widths=schedules[label])
    at = np.arange(0, DEPTH + 1, 5)
    error = chi.std(axis=0, ddof=1) / np.sqrt(NETWORKS)
    right.semilogy(theory["layer"], theory["chi"], color=colour, label=label)
    right.errorbar(at, chi.mean(axis=0)[at], 2 * error[at], fmt="o", ms=4, color=colour, capsize=2)
    p_error = p.std(axis=0, ddof=1) / np.sqrt(NETWORKS)
    within[label] = np.abs(p.mean(axis=0) - theory["p"].values)[1:] / p_error[1:]
right.set(xlabel=r"block $\ell$", ylabel=r"$\chi^{(\ell)}/\chi^{(60)}$", title=f"tanh, 60 blocks, {NETWORKS} networks")
right.legend()
plt.show()

# %% [markdown]
# ## 6. The check
#
# What was said above, as statements that fail if they are wrong.

# %%
assert abs(float(plain["tanh"]["chi"][0]) - 997.8) < 0.1
assert abs(float(tamed["chi"][0]) - 15.59) < 0.01
assert float(decayed["chi"][0]) <= 10
assert abs(differences[-1] - 1) < 0.002  # at 20 000 blocks
assert abs(differences[-1] - 1) < abs(total[-1] - 1)
assert zigzag.at(x=0.5, y=0).regime["p"] == "stretched exponential"
assert zigzag.at(x=2, y=1).regime["p"] == "logarithmic"
assert float(tamed["p"][-1]) == float(plain["tanh"]["p"][-1])
for label, distances in within.items():
    assert distances.max() < 4, label  # in standard errors; blocks are correlated
print("all checks hold")

# %% [markdown]
# Next: [LayerNorm and partial Jacobians](layernorm_and_partial_jacobians.py): the same gradients layer by layer, and
# what a norm does to them.
