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
# # Residual networks remember
#
# For a reader who knows the recursions of dense networks (*The Principles of Deep Learning Theory*, PDLT,
# [arXiv:2106.10165](https://arxiv.org/abs/2106.10165), chapters 4 and 8) and has its appendix B at hand. There a
# residual layer is treated as a dense one: each layer knows only the one below. Sampled networks disagree. We look
# for the reason, find that a neuron remembers its own past, and put that memory into the theory.
#
# Open this page in Jupyter (`.ipynb`) or run it as a script (`.py`). The environment variable `RGFLOW_NOTEBOOK=full`
# draws ten times as many networks.

# %%
import os

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import display

import rgflow as rg

MANY = 10 if os.environ.get("RGFLOW_NOTEBOOK") == "full" else 1
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#777777"  # safe for colour-blind readers
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False})


def network(activation, skip, layers, width, **values):
    """A dense first and last layer, and residual ones between them."""
    dense, residual = rg.Dense(**values), rg.Residual(skip=skip, **values)
    return rg.Network([dense, *[residual] * layers, dense], [width] * (layers + 2) + [1], activation)


# %% [markdown]
# ## 1. A layer with a skip
#
# $z^{(\ell+1)}_i = b_i + \sum_j W_{ij}\,\sigma(z^{(\ell)}_j) + \text{skip}\, z^{(\ell)}_i$. The skip is on
# preactivations, and keeps the width. At infinite width little changes:

# %%
for name in ("K", "Theta"):
    print(rg.derive(name, layer=rg.Residual()))

# %% [markdown]
# Both susceptibilities gain $\text{skip}^2$, so a residual network is critical with weights that leave room for it:

# %%
for name in ("relu", "tanh"):
    for skip in (0.0, 0.5, 0.9):
        print(f"{name} with skip {skip}: C_W = {rg.criticality(name, layer=rg.Residual(skip=skip)).C_W:.4g}")

# %% [markdown]
# ## 2. One layer at a time
#
# Next the fluctuations, as the book has them. Give the neurons of layer $\ell$ a random metric with the cumulant $V$,
# let them be independent Gaussians otherwise, and take one step:

# %%
for name in ("V", "K_1"):
    print(rg.derive(name, layer=rg.Residual(), closure="book"))
display(rg.derive("V", layer=rg.Residual(), closure="book"))

# %% [markdown]
# The third term of $V'$ is new: $\text{skip}\,z_i$ of a neuron is correlated with $\sigma(z_i)^2$, which is part of the
# metric of all others. rgflow has this closure by its name only, `closure="book"`, for this reason:
#
# ## 3. Real networks disagree
#
# ReLU first, at its critical point with skip 0.8. In units of $K^2$ the book's $V$ grows by the same amount in every
# layer. Networks are sampled at two widths, and $2V_{2n} - V_n$ removes their next order in $1/n$.

# %%
SKIP, LAYERS, N = 0.8, 6, 64
relu = {n: network("relu", SKIP, LAYERS, n, C_W=2 * (1 - SKIP**2)) for n in (N, 2 * N)}
one_time = rg.flow(relu[N], first_kernel=1.0, tensors=["K", "V"], closure="book")
drawn = {
    n: rg.sample(net, first_kernel=1.0, tensors=["K", "V"], networks=8_000 * MANY * N // n, seed=n)
    for n, net in relu.items()
}
# in units of K^2; at the last layer K is not 1, for it has no skip
unit = (one_time["K"] ** 2).values
vertex = (2 * drawn[2 * N]["V"] - drawn[N]["V"]).values / unit
vertex_error = np.hypot(2 * drawn[2 * N]["V_se"], drawn[N]["V_se"]).values / unit
print("layer   book   sampled")
for layer in range(2, LAYERS + 2):
    book = float(one_time["V"][layer - 1]) / unit[layer - 1]
    print(f"{layer:5d} {book:6.2f}   {vertex[layer - 1]:6.2f} +- {vertex_error[layer - 1]:.2f}")

# %% [markdown]
# It is right once, at the first residual layer, and then falls behind. A smooth odd activation is better off, but not
# safe: the shift $K_1$ of a tanh network, as the dense last layer reads it, at width 32.

# %%
TANH = {"C_W": 1.5, "C_b": 0.05}
SKIPS = (0.5, 0.7, 0.9, 1.0)
START = 2.0  # the first kernel
shift, shift_error = [], []
for seed, skip in enumerate(SKIPS):
    net = network("tanh", skip, 4, 32, **TANH)
    nets = rg.sample(net, first_kernel=START, tensors="K", networks=25_000 * MANY, seed=seed)
    limit = rg.flow(net, first_kernel=START, tensors="K", order=0)
    shift.append(32 * float(nets["K"][-1] - limit["K"][-1]))
    shift_error.append(32 * float(nets["K_se"][-1]))
    book = rg.flow(net, first_kernel=START, tensors="K", closure="book")
    print(
        f"skip {skip}: K_1 by the book {float(book['K_1'][-1]):.3f}, sampled {shift[-1]:.3f} +- {shift_error[-1]:.3f}"
    )

# %% [markdown]
# ## 4. What a neuron remembers
#
# The metric of a layer is an average over $n$ neurons; it fluctuates because they are finitely many. In a dense network
# the next layer has neurons of its own, drawn anew. Along a skip they are the *same* neurons: what $\sigma(z_j)^2$
# exceeded its mean by in one layer it exceeds it by, in part, in the next. Let us see that in a network drawn by hand,
# with nothing but NumPy: the covariance over neurons of $\sigma(z)^2$ at the first layer and at a later one.

# %%
rng = np.random.default_rng(0)
width, later = 500, 8
remembered = np.zeros((12 * MANY, later + 1))
for row in remembered:
    z = rng.normal(size=width)
    first = np.maximum(z, 0) ** 2
    for d in range(later + 1):
        now = np.maximum(z, 0) ** 2
        row[d] = np.mean((first - first.mean()) * (now - now.mean()))
        W = rng.normal(size=(width, width)) * np.sqrt(2 * (1 - SKIP**2) / width)
        z = W @ np.maximum(z, 0) + SKIP * z
seen, seen_error = remembered.mean(axis=0), remembered.std(axis=0, ddof=1) / np.sqrt(len(remembered))

# %% [markdown]
# Two layers $d$ apart, $z$ and $z'$ of one neuron are Gaussian with correlation $c = \text{skip}^d$. With ReLU,
# $\sigma(z)^2 = \tfrac12(z^2 + z|z|)$, and the covariance has a part from $z^2$ and an odd one from $z|z|$:
#
# $$\tfrac14\Big[\,2c^2 + \tfrac2\pi\big((1+2c^2)\arcsin c + 3c\sqrt{1-c^2}\big)\Big]$$
#
# A closure in one time hands on $K$, $V$ and so $z^2$. Of $z|z|$ it knows nothing once the layer is done: there is no
# tensor among the cumulants of the metric that would carry $\langle z_i^2\, z_k|z_k|\rangle$. (Within the layer, zero
# layers apart, it has the whole covariance: its first term.) **Odd correlators travel along the skip.**

# %%
c = SKIP ** np.linspace(0, later, 200)
even = 2 * c**2 / 4
odd = (2 / np.pi) * ((1 + 2 * c**2) * np.arcsin(c) + 3 * c * np.sqrt(1 - c**2)) / 4
fig, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
distance = np.linspace(0, later, 200)
axes.plot(distance, even + odd, color=BLUE, label="$z^2$ and $z|z|$")
axes.plot(distance, even, color=ORANGE, ls="--", label="$z^2$ alone")
axes.errorbar(range(later + 1), seen, 2 * seen_error, fmt="o", ms=4, color="black", capsize=2, label="drawn network")
axes.set(xlabel="layers apart", ylabel=r"covariance of $\sigma(z)^2$ with itself", ylim=(0, None))
axes.legend()
plt.show()

# %% [markdown]
# ## 5. Two times
#
# So the layers have to be linked. What rgflow derives for a layer with a skip is not one recursion but the lines from
# which it follows:

# %%
print(rg.derive("V", layer=rg.Residual()))

# %% [markdown]
# Read from below. $\delta G$, the fluctuation of the metric of a new neuron, is a sum of what its own past carries
# (skip²), of the **noise** $\eta[\sigma\sigma]$ of the finitely many neurons below ($\eta[f]$ is the average of
# $f-\langle f\rangle$ over them), and of the **response** to the metric of the layer below, $\chi_\parallel$ in the
# guise of $\tfrac12 C_W\langle\partial^2[\sigma\sigma]\rangle$. The middle line is the memory: the noises of *any two*
# layers are correlated, through Gaussian averages of one neuron at two depths, $\langle z^\ell z^m\rangle =
# \text{skip}^{\ell-m} K^m$. The first line puts $V$ together: fluctuations of the metric, and of the neuron itself with
# the metric of the others. $K_1$ asks for one thing more, the noise of the curvature:

# %%
print(rg.derive("K_1", layer=rg.Residual()))

# %% [markdown]
# With skip = 0 noises of different layers are independent, and all this is the dense recursion again. `rg.flow` follows
# the lines through all pairs of layers, by default:

# %%
full = rg.flow(relu[N], first_kernel=1.0, tensors=["K", "V"])
everywhere = np.array([0.0, *np.linspace(0.1, 1.0, 10)])
theory = {
    closure: np.array(
        [
            float(
                rg.flow(network("tanh", s, 4, 32, **TANH), first_kernel=START, tensors="K", closure=closure)["K_1"][-1]
            )
            for s in everywhere
        ]
    )
    for closure in ("full", "book")
}
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
inner = slice(0, LAYERS + 1)
layers = full["layer"].values[inner]
left.plot(layers, (full["V"] / unit)[inner], color=BLUE, label="with memory")
left.plot(layers, (one_time["V"] / unit)[inner], color=ORANGE, ls="--", label="one layer at a time (book)")
left.errorbar(layers, vertex[inner], 2 * vertex_error[inner], fmt="o", ms=4, color="black", capsize=2, label="sampled")
left.set(xlabel=r"layer $\ell$", ylabel="$V/K^2$", title=f"ReLU, skip = {SKIP}")
left.legend()
right.plot(everywhere, theory["full"], color=BLUE)
right.plot(everywhere, theory["book"], color=ORANGE, ls="--")
right.errorbar(SKIPS, shift, 2 * np.array(shift_error), fmt="o", ms=4, color="black", capsize=2)
right.set(xlabel="skip", ylabel="$K_1$ of the last layer", title="tanh, four residual layers")
plt.show()

# %% [markdown]
# ## 6. What the skip is good for
#
# The same lines exist for tangent kernels. Here are the relative fluctuations of the metric, $V/(nK^2)$, and of the
# tangent kernel, $A/(n\Theta^2)$ and $B/(n\Theta^2)$, of critical tanh networks, dense and residual:

# %%
DEPTH, WIDTH = 24, 64
SIZES = {"V": "K", "A": "Theta", "B": "Theta"}
tamed = {}
fig, panels = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
for skip, colour in ((0.0, ORANGE), (0.5, GREEN), (0.9, BLUE)):
    net = network("tanh", skip, DEPTH - 1, WIDTH, C_W=1 - skip**2)
    ds = rg.flow(net, first_kernel=0.5, tensors=["K", "Theta", *SIZES]).isel(layer=slice(0, DEPTH))
    for axes, (letter, of) in zip(panels, SIZES.items(), strict=True):
        tamed[skip, letter] = (ds[letter] / (WIDTH * ds[of] ** 2)).values
        axes.plot(ds["layer"], tamed[skip, letter], color=colour, label="dense" if skip == 0 else f"skip {skip}")
        axes.set(xlabel=r"layer $\ell$", title=rf"${letter}/n{'K' if of == 'K' else chr(92) + 'Theta'}^2$")
panels[0].legend()
plt.show()

# %% [markdown]
# $V/(nK^2)\to\nu\,\ell/n$, and the depth over width that the book finds best for one output is $r^* = 4/(23\,\nu)$.
# For tanh $\nu = \tfrac23(1-\text{skip}^4)$: the stronger the skip, the deeper the network. For ReLU the book's $\nu$
# falls at once, too. With memory it first *rises*: up to skip 0.7 a residual ReLU network fluctuates more than a dense
# one.

# %%
strengths = np.linspace(0, 0.95, 13)
growth = {
    name: np.array([float(rg.criticality(name, layer=rg.Residual(skip=s)).vertex_growth) for s in strengths])
    for name in ("tanh", "relu")
}
book_growth = np.array(
    [rg.solve("V", "relu", layer=rg.Residual(skip=s), closure="book").at(2, k=1.0) for s in strengths], dtype=float
)
fig, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
for name, colour in (("tanh", GREEN), ("relu", BLUE)):
    axes.semilogy(strengths, 4 / (23 * growth[name]), color=colour, label=name)
axes.semilogy(strengths, 4 / (23 * book_growth), color=ORANGE, ls="--", label="relu, one layer at a time (book)")
axes.set(xlabel="skip", ylabel="$r^*$: best depth / width, one output")
axes.set_yticks([0.03, 0.1, 0.3, 1], labels=["0.03", "0.1", "0.3", "1"])
axes.set_yticks([], minor=True)
axes.legend()
plt.show()

# %% [markdown]
# ## 7. Branches remember, too, and it does no harm
#
# The mean-field papers put two weight matrices into a block, $x' = x + V\sigma(h) + a$ with $h = Wx + b$. Its neurons
# $x_i$ keep all of their past (the skip is 1). Here are its lines, with `h` for what is inside the block:

# %%
print(rg.derive("V", layer=rg.Branch()))

# %% [markdown]
# The noise of the remembering neurons is $\eta[z\,z]$, with no activation: what the block reads of $x$ is quadratic.
# For a Gaussian neuron $x^2$ of one layer is known from $x^2$ of another up to what is independent, nothing odd
# travels, and $V$ with $K$ is all there is to hand on. The activation acts on $h$, and these neurons are drawn anew in
# every block. So one layer at a time must be right here. By hand: $X = \tfrac1n\sum x^2$ has $n\langle\delta X\,\delta
# X\rangle = V + 2K^2$, and so has a neuron's own square with it; the block answers to $X$ with $g = \tfrac12 C_W C_V
# \langle\partial^2[\sigma\sigma]\rangle_h$, and adds the noise of its own neurons:
#
# $$V' = V + (2g + g^2)(V + 2K^2) + C_V^2\big(\langle\sigma^4\rangle_h - \langle\sigma\sigma\rangle_h^2\big)$$
#
# For $\sigma = \sin$ the averages are exponentials, and the recursion takes five lines:

# %%
C_V, C_W, C_b, BLOCKS = 0.5, 1.5, 0.1, 10
K, V, by_hand = 0.8, 0.0, [0.0]
for _ in range(BLOCKS):
    h = C_b + C_W * K
    squares, fourth = (1 - np.exp(-2 * h)) / 2, (3 - 4 * np.exp(-2 * h) + np.exp(-8 * h)) / 8
    g = C_W * C_V * np.exp(-2 * h)  # half of C_W C_V times 2 exp(-2 h)
    V += (2 * g + g**2) * (V + 2 * K**2) + C_V**2 * (fourth - squares**2)
    K += C_V * squares
    by_hand.append(V)
block = rg.Branch(C_V=C_V, C_W=C_W, C_b=C_b)
net = rg.Network([rg.Linear(), *[block] * BLOCKS, rg.Linear()], [16] * (BLOCKS + 2) + [1], "sin")
branches = rg.flow(net, first_kernel=0.8, tensors=["K", "V"])
fig, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
axes.plot(branches["layer"][: BLOCKS + 1], branches["V"][: BLOCKS + 1], color=BLUE, label="two times")
axes.plot(branches["layer"][: BLOCKS + 1], by_hand, "o", ms=5, color=ORANGE, label="one layer at a time, by hand")
axes.set(xlabel=r"layer $\ell$", ylabel="$V$", title="blocks of two weight matrices, sin")
axes.legend()
plt.show()

# %% [markdown]
# ## 8. The check
#
# What was said above, as statements that fail if they are wrong.

# %%
last = LAYERS  # the last residual layer, counted from 0
assert np.all(np.abs(vertex[inner] - (full["V"].values / unit)[inner]) <= 4.5 * vertex_error[inner] + 1e-12)
assert vertex[last] - one_time["V"].values[last] > 5 * vertex_error[last]  # sampled networks reject one time
assert abs(vertex[1] - one_time["V"].values[1]) < 4.5 * vertex_error[1]  # which is right at the first residual layer
for skip, value, error in zip(SKIPS, shift, shift_error, strict=True):
    known, book = (np.interp(skip, everywhere, theory[closure]) for closure in ("full", "book"))
    assert abs(value - known) < 4.5 * error, skip
    assert skip < 1 or abs(value - book) > 5 * error  # the stronger the skip, the worse the book
assert abs(theory["full"][0] / theory["book"][0] - 1) < 1e-10  # without a skip there is nothing to remember
exact = np.interp(range(later + 1), distance, even + odd)
assert np.all(np.abs(seen - exact) < 4.5 * seen_error + 0.01)
for letter in SIZES:
    assert tamed[0.9, letter][-1] < tamed[0.5, letter][-1] < tamed[0.0, letter][-1], letter
assert np.allclose(growth["tanh"], 2 / 3 * (1 - strengths**4), rtol=1e-12)
assert np.all(growth["relu"][(strengths > 0) & (strengths <= 0.7)] > 5)
assert np.all(np.diff(book_growth) < 0)
np.testing.assert_allclose(branches["V"].values[: BLOCKS + 1], by_hand, rtol=1e-12, atol=1e-14)
print("all checks hold")

# %% [markdown]
# Next: [Taming gradients with width and variance](taming_gradients.py), where widths and variances change from block to
# block.
