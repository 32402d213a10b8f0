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
# # From a layer to its flow
#
# For a reader with *The Principles of Deep Learning Theory* (PDLT,
# [arXiv:2106.10165](https://arxiv.org/abs/2106.10165)) open at chapters 4 and 8. We start from the definition of one
# layer, let rgflow derive how the statistics of a random network pass through it, read the program that this becomes,
# flow a tanh network through its depth, ask how far to believe it, and finally draw real networks and look whether
# they agree.
#
# Open this page in Jupyter (`.ipynb`) or run it as a script (`.py`). The environment variable `RGFLOW_NOTEBOOK=full`
# draws twenty times as many networks.

# %%
import os

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import display

import rgflow as rg

NETWORKS = 20_000 if os.environ.get("RGFLOW_NOTEBOOK") == "full" else 1_000
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#999999"  # safe for colour-blind readers
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False})

# %% [markdown]
# ## 1. A layer
#
# A dense layer is $z^{(\ell+1)}_i = b_i + \sum_j W_{ij}\,\sigma(z^{(\ell)}_j)$ with $b\sim N(0, C_b)$ and $W\sim N(0,
# C_W/n_\ell)$; training moves the parameters with the learning-rate tensor $\lambda_b$, $\lambda_W/n_\ell$. To rgflow
# this is a description without physics. (The defaults of $C_b$ and $C_W$ are the critical point of tanh.)

# %%
print(rg.Dense(C_b=0.0, C_W=1.0, lambda_b=1.0, lambda_W=1.0))

# %% [markdown]
# ## 2. What it does to a distribution
#
# **Kernel and tangent kernel.** The covariance of preactivations $K$ and the mean neural tangent kernel $\Theta$
# close among themselves at infinite width (PDLT chapters 4 and 8). One line each: a prime on the left marks the new
# layer, `<...>` is an average over a Gaussian $z$ of variance $K$, a prime inside it is a derivative of $\sigma$.

# %%
print(rg.derive("K"))
print(rg.derive("Theta"))

# %% [markdown]
# **The four-point vertex.** At finite width the layer below is a sample of $n_\ell$ neurons, so the metric that it
# hands on fluctuates. The variance of the metric times $n_\ell$ is $V$; it has a source (the fluctuation of a single
# neuron) and a transport term (the fluctuation that is already there), with $r = n_\ell/n_{\ell-1}$.

# %%
vertex = rg.derive("V")
print(vertex)
display(vertex)  # as in the book

# %% [markdown]
# `<∂^2[σσ]>` is the susceptibility in disguise: $\tfrac12 C_W\langle\partial^2(\sigma\sigma)\rangle_K =
# \chi_\parallel$, so the transport term is $\chi_\parallel^2 V$ for equal widths.
#
# With **many inputs** every argument may sit on its own sample, and the derivatives are summed over the samples in
# their bracket:

# %%
display(rg.derive("V", samples="many"))

# %% [markdown]
# A recursion knows what it rests on, and collapses to the one-input recursion when all samples are equal:

# %%
print(*vertex.assumptions, sep="\n")
assert rg.derive("V", samples="many").collapse() == vertex

# %% [markdown]
# **Corrections.** The same derivation continues in $1/n$. $K_1$ is the first shift of the kernel (PDLT calls it
# $G^{\{1\}}$): fluctuations feed back on the mean.

# %%
print(rg.derive("K_1"))
for name in ("V_1", "A", "A_1", "V6"):
    found = rg.derive(name)
    print(f"{name}: {len(found.terms)} terms, from {', '.join(found.depends_on)}")

# %% [markdown]
# ## 3. The program
#
# A *closure* gathers a tensor and all on which it depends; compiled for an activation it becomes a module that one
# can read. The equations stand in it as comments. Here are its head and its equations:

# %%
source = rg.compiled(["V", "K_1"], "tanh").source
lines = source.splitlines()
first = next(i for i, line in enumerate(lines) if "Equations" in line)
print("\n".join(line[:116] for line in [*lines[:6], "...", *lines[first : first + 16], "..."]))

# %% [markdown]
# ## 4. Through the depth
#
# Width 128, 32 layers, one input with $K^{(1)} = 1$. For tanh at criticality theory predicts power laws, $K \to
# 1/2\ell$ and $V/K^2 \to \tfrac23\ell$ (PDLT chapter 5): the fluctuations of the metric, $V/nK^2$, grow like depth
# over width.

# %%
net = rg.MLP.uniform(n_in=128, width=128, depth=32, activation="tanh")
ds = rg.flow(net, first_kernel=1.0, tensors=["K", "V", "Theta", "A", "B"], order=1)
display(ds)

# %%
layer, n = ds["layer"], net.widths[1]
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
left.loglog(layer, ds["K"], color=BLUE, label="$K$, infinite width")
left.loglog(layer, ds["K"] + ds["K_1"] / n, color=ORANGE, ls="--", label="$K + K_1/n$")
left.loglog(layer, 1 / (2 * layer), color=GREY, ls=":", label=r"$1/2\ell$")
left.set(xlabel=r"layer $\ell$", ylabel="kernel")
left.legend()
right.plot(layer, ds["V"] / (n * ds["K"] ** 2), color=BLUE, label="$V/nK^2$")
right.plot(layer, 2 * layer / (3 * n), color=GREY, ls=":", label=r"$\frac{2}{3}\,\ell/n$")
right.set(xlabel=r"layer $\ell$", ylabel="relative variance of the metric")
right.legend()
plt.show()

# %% [markdown]
# ## 5. How far to believe it
#
# The ratio of successive orders is part of every result: `expansion_ratio`, and `trusted_layers`, the depth up to
# which it stays below one half. The narrower the network, the sooner the expansion ends, always at the same depth
# over width.

# %%
fig, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
trusted = {}
for width, colour in ((16, ORANGE), (32, GREEN), (128, BLUE)):
    narrow = rg.MLP.uniform(n_in=width, width=width, depth=32, activation="tanh")
    found = rg.flow(narrow, first_kernel=1.0, tensors=["K", "V", "Theta", "A", "B"], order=1)
    trusted[width] = int(found["trusted_layers"].sel(letter="K"))
    ratio = found["expansion_ratio"].sel(letter="K")
    axes.plot(found["layer"], ratio, color=colour)
    axes.annotate(f"width {width}", (32, float(ratio[-1])), (4, -3), textcoords="offset points", color=colour)
axes.axhspan(0.5, axes.get_ylim()[1], color=GREY, alpha=0.2, lw=0)
axes.set(xlabel=r"layer $\ell$", ylabel="next order / last order", ylim=(0, 1.3), xlim=(1, 32))
axes.text(1.6, 0.53, "beyond trust", color="#555555")
plt.show()
print("trusted layers by width:", trusted)

# %% [markdown]
# ## 6. Real networks
#
# Now the witness: networks drawn with NumPy and measured, with no theory in them. Two inputs of unit norm and overlap
# one half; width 32, so that corrections show. Samples are *totals*, all orders together, and so are compared with
# `rg.total`.

# %%
kernel = np.array([[1.0, 0.5], [0.5, 1.0]])
small = rg.MLP.uniform(n_in=32, width=32, depth=8, activation="tanh")
expansion = rg.flow(small, first_kernel=kernel, tensors=["K", "Theta", "V", "A", "B"], order=1)
theory = rg.total(expansion)
nets = rg.sample(small, first_kernel=kernel, tensors=["K", "Theta", "V", "A", "B"], networks=NETWORKS, seed=1)
# the neurons alone, without their tangent kernels, are much cheaper to draw
more = rg.sample(small, first_kernel=kernel, tensors=["K", "V"], networks=30 * NETWORKS, seed=2)

# %% [markdown]
# The shift of the kernel, $n(K_{\text{sampled}} - K)$, beside $K_1$; and the vertex, with the band that theory leaves
# for its next order. Dots are sampled networks with two standard errors.

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
components = (((0, 0), BLUE, "equal inputs"), ((0, 1), ORANGE, "different inputs"))
for pair, colour, label in components:
    at = dict(zip(("sample0", "sample1"), pair, strict=True))
    width = expansion["fan_in"]
    shift, spread = width * (more["K"] - expansion["K"]).isel(at), width * more["K_se"].isel(at)
    left.plot(expansion["layer"], expansion["K_1"].isel(at), color=colour, label=f"$K_1$, {label}")
    left.errorbar(expansion["layer"], shift, 2 * spread, fmt="o", ms=4, color=colour, capsize=2)

    at |= dict(zip(("sample2", "sample3"), pair, strict=True))
    value, error = theory["V"].isel(at), theory["V_error"].isel(at)
    right.plot(theory["layer"], value, color=colour, label=f"$V$, {label}")
    right.fill_between(theory["layer"], value - error, value + error, color=colour, alpha=0.15, lw=0)
    right.errorbar(more["layer"], more["V"].isel(at), 2 * more["V_se"].isel(at), fmt="o", ms=4, color=colour, capsize=2)
left.set(xlabel=r"layer $\ell$", ylabel=r"$n\,(K_{\mathrm{sampled}} - K)$")
right.set(xlabel=r"layer $\ell$", ylabel="four-point vertex")
left.legend()
right.legend()
plt.show()

# %% [markdown]
# One order more. With one input and `order=2` theory knows $K_2$ and $V_1$; here is each partial sum at the last layer,
# and how far it stands from the sampled networks:

# %%
two = rg.flow(small, first_kernel=1.0, tensors=["K", "V"], order=2).isel(layer=-1)
first_sample = more.isel(dict.fromkeys(("sample0", "sample1", "sample2", "sample3"), 0)).isel(layer=-1)
away = {}
for letter, names in (("K", ("K", "K_1", "K_2")), ("V", ("V", "V_1"))):
    sampled, error = float(first_sample[letter]), float(first_sample[f"{letter}_se"])
    sums = np.cumsum([float(two[name] / two["fan_in"] ** q) for q, name in enumerate(names)])
    away[letter] = (sums - sampled) / error
    print(f"{letter} sampled: {sampled:.5f} +- {error:.5f}")
    for name, value, distance in zip(names, sums, away[letter], strict=True):
        print(f"  up to {name:3s}: {value:.5f}  {distance:+6.1f} standard errors away")

# %% [markdown]
# ## 7. The check
#
# Each statement above that can fail, fails here if it is wrong: sampled networks agree with theory within its own
# error and five standard errors; infinite width does not; and quadrature is nowhere near being
# the limit.

# %%
for name in ("K", "Theta", "V", "A", "B"):
    allowed = theory[f"{name}_error"] + 5 * nets[f"{name}_se"]
    assert bool((abs(nets[name] - theory[name]) <= allowed).all()), name

for letter in ("K", "V"):
    assert abs(away[letter][0]) > abs(away[letter][-1]), letter
assert abs(away["K"][0]) > 5  # sampled networks reject infinite width
assert float(ds["numerical_error"].sel(coefficient="K").max()) < 1e-12
assert trusted[16] < trusted[32] < trusted[128] == net.depth
print("all checks hold")

# %% [markdown]
# Next: [Deriving the four-point vertex](deriving_the_four_point_vertex.py), where one line of this page is taken apart,
# step by step.
