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
# # Deriving the four-point vertex
#
# At infinite width a random network is a Gaussian process. The first thing that finite width adds is the *four-point
# vertex* $V$, the variance of the metric over networks (PDLT, [arXiv:2106.10165](https://arxiv.org/abs/2106.10165),
# chapter 4). The book derives its recursion on several pages; here the engine does it in six steps, and we look over
# its shoulder: what is each diagram, which term does it give, and how would we notice a mistake?
#
# This file is a notebook in percent format: open it with Jupyter (through jupytext) or run it as a script. The
# environment variable `RGFLOW_NOTEBOOK=full` draws ten times as many networks.

# %%
import os
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import display

import rgflow as rg

NETWORKS = 200_000 if os.environ.get("RGFLOW_NOTEBOOK") == "full" else 20_000
BLUE, ORANGE = "#0072B2", "#D55E00"  # safe for colour-blind readers
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False})

# %% [markdown]
# ## 1. What is to be derived
#
# Given layer $\ell$, the neurons of the next one are independent Gaussians with the random metric
#
# $$\widehat G_{12} = C_b + \frac{1}{n_\ell}\sum_j g_{12}(z_j), \qquad g_{12} = C_W\,\sigma_1\sigma_2 ,$$
#
# an average over neurons. Its fluctuations from network to network, $n_\ell\,\kappa(\widehat G_{12}, \widehat G_{34})$,
# are $V_{(12)(34)}$. The answer first:

# %%
vertex = rg.derive("V", samples="many")
display(vertex)

# %% [markdown]
# ## 2. How it follows
#
# A recursion remembers how it was derived. In Jupyter its `steps` show themselves with their diagrams: discs are
# neurons with what is averaged over them, orange blobs are cumulants of the metric of layer $\ell$, and a double line
# is a leg that differentiates an average.

# %%
display(vertex.steps)

# %% [markdown]
# Three diagrams, three terms, one to one. The two without a blob are the *source*: even if the metric below did not
# fluctuate at all, an average over $n_\ell$ neurons does. The one with $\kappa_2$ is *transport*: a fluctuation that is
# already there, in both averages at once.
#
# ## 3. Diagrams and terms as data
#
# Nothing of this is typeset by hand. Each diagram knows its weight, its legs, and the terms that it feeds:

# %%
for graph in vertex.steps.hypergraphs:
    for diagram in graph.diagrams:
        ends = [edge.legs for edge in diagram.edges]
        print(f"{diagram.name}: weight {diagram.weight}, power of r {diagram.cost}, legs end on brackets {ends}")

# %%
for term, fed in vertex.steps.matching:
    print(f"{term.coefficient!s:>5}  =  " + " + ".join(f"{part} ({diagram.name})" for diagram, part in fed))

# %% [markdown]
# The coefficient $\tfrac14$ of transport is $\tfrac12\cdot\tfrac12$: one half for each leg, $D = \tfrac12\sum_{ab}
# \partial_a\partial_b$, as a Gaussian average differentiated by its covariance always has it.
#
# ## 4. What vanishes
#
# For tensors with parameter derivatives some diagrams give nothing, and say why. $F$ ties two neurons by one direction
# $e$, and an average that holds $e$ only once is zero:

# %%
mixed = rg.derive("F", samples="many").steps
for diagram in mixed.vanishing:
    print(f"{diagram.name}: {diagram} = 0, since {diagram.reason}")
print(mixed[4])

# %% [markdown]
# ## 5. How we would notice a mistake
#
# Every step is an equality, and each was compared in exact arithmetic when it was built: sums over neurons written
# out, moments of a fluctuating metric, diagrams differentiated leg by leg. A recursion with a wrong coefficient has
# no derivation:

# %%
last = vertex.terms[-1]
wrong = replace(vertex, terms=(*vertex.terms[:-1], replace(last, coefficient=2 * last.coefficient)))
try:
    refused = str(wrong.steps)
except rg.RgflowError as error:
    refused = f"{type(error).__name__}: {error}"
print(refused)

# %% [markdown]
# ## 6. One order further
#
# The correction $V_1$ has fifteen diagrams for fifteen terms, among them two blobs between the same discs, $V^2$:

# %%
correction = rg.derive("V_1", samples="many").steps
drawn = {diagram.name: diagram for graph in correction.hypergraphs for diagram in graph.diagrams}
twice = next(diagram for diagram in drawn.values() if [edge.legs for edge in diagram.edges] == [(0, 1), (0, 1)])
print(f"{len(drawn)} diagrams, {len(correction.recursion.terms)} terms; {twice.name}: {twice}")
display(twice)

# %% [markdown]
# ## 7. Born here or carried along
#
# With numbers the diagrams become a picture. In a tanh network of width 32 we split $V$ of each layer into what is
# born there (1a and 1b, which is all of $V$ in the second layer of a network that starts at this kernel) and what was
# carried along (2a), and compare their sum with networks that were really drawn.

# %%
net = rg.MLP.uniform(n_in=32, width=32, depth=16, activation="tanh")
theory = rg.flow(net, first_kernel=1.0, tensors=["K", "V"], order=2)
layer, K, V = (theory[name].values for name in ("layer", "K", "V"))
short = rg.MLP.uniform(n_in=32, width=32, depth=2, activation="tanh")
born = [0.0]
for kernel in K[:-1]:
    born.append(float(rg.flow(short, first_kernel=float(kernel), tensors=["V"], order=1)["V"][-1]))
born = np.array(born)
carried = V - born

total = rg.total(theory)
nets = rg.sample(net, first_kernel=1.0, tensors=["V"], networks=NETWORKS, seed=4)

# %% [markdown]
# The carried part takes over after some five layers: at criticality old fluctuations do not die out, and for tanh
# $V/K^2$ grows like the depth. Bars are the leading order; where the dots leave them, $V_1$ of section 6 is felt.

# %%
fig, axes = plt.subplots(figsize=(8, 4), layout="constrained")
width = net.widths[1]
scale = 1 / (width * K**2)
axes.bar(layer, born * scale, color=ORANGE, label="born in this layer (1a, 1b)")
axes.bar(layer, carried * scale, bottom=born * scale, color=BLUE, alpha=0.75, label="carried along (2a)")
sampled, error = nets["V"].values * scale, nets["V_se"].values * scale
axes.errorbar(
    layer, sampled, 2 * error, fmt="o", ms=4, color="black", capsize=2, label="sampled networks, two standard errors"
)
axes.plot(
    layer,
    total["V"].values * scale,
    color="black",
    lw=1,
    ls="--",
    label=r"$V + V_1/n$: with the fifteen diagrams of $V_1$",
)
axes.set(xlabel=r"layer $\ell$", ylabel=r"$V/nK^2$, relative variance of the metric")
axes.legend()
plt.show()

# %% [markdown]
# ## 8. The check
#
# Diagrams and terms match, the engine refuses what does not follow, the two parts have the signs they must have, and
# sampled networks agree with theory within its own error and five standard errors, while they reject the leading order
# alone.

# %%
for found in (vertex.steps, correction):
    assert all(step.left == step.right for step in found)
    assert all(sum(part for _, part in fed) == term.coefficient for term, fed in found.matching)
    assert all(len(fed) == 1 for _, fed in found.matching)
assert refused.startswith("BrokenStep")
assert (born >= 0).all()
assert (carried >= -1e-12).all()
allowed = total["V_error"].values + 5 * nets["V_se"].values
assert (np.abs(nets["V"].values - total["V"].values) <= allowed).all()
assert abs(sampled - V * scale)[-1] > 5 * error[-1]  # the leading order alone is rejected
print("all checks hold")

# %% [markdown]
# Next: [The NTK and its fluctuations](the_ntk_and_its_fluctuations.py).
