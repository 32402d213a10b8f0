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
# # A transformer at initialisation
#
# For a reader with Dinan, Yaida and Zhang's *Effective Theory of Transformers at Initialization*
# ([arXiv:2304.02034](https://arxiv.org/abs/2304.02034)) at hand. A small vision transformer looks at a handwritten
# digit. We follow its kernel and its tangent kernel from block to block, draw real ones to compare, and ask how
# variances and learning rates should scale with width (the paper) and with depth (our own answer).
#
# Open this page in Jupyter (`.ipynb`) or run it as a script (`.py`).

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import rgflow as rg

BLUE, ORANGE, GREEN, PINK, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#777777"  # safe for colour-blind readers
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False})

# %% [markdown]
# ## 1. Tokens
#
# An image of 8 x 8 pixels is cut into 16 patches of 2 x 2. Each is a token $t$: a vector of four numbers, mapped to
# $n$ channels by the same weights for all patches, plus an embedding of its position.

# %%
image = load_digits().images[0] / 8 - 1
patches = image.reshape(4, 2, 4, 2).swapaxes(1, 2).reshape(16, 4)
vit = rg.Transformer(width=64, heads=4, blocks=3, n_in=4, positions=16, C_PE=0.2, n_out=4)
print(f"{sum(vit.parameters.values())} parameters:", vit.parameters)

# %% [markdown]
# ## 2. Kernels
#
# A block adds to the kernel $G_{tu} = E[z_t z_u]$ of the residual stream. With $F$ that of $s = \mathrm{LayerNorm}(z)$
#
# $$G' = G + C_U C_V \sum_{t'u'} \langle\Omega_{tt'}\Omega_{uu'}\rangle F_{t'u'}\quad\text{(attention)},\qquad
# G' = G + C_X \langle\sigma\sigma\rangle_{C_W F}\quad\text{(MLP)}$$
#
# where the rows of $\Omega$ are softmaxes of Gaussian logits. Averages over them are drawn, and come with an error.

# %%
flow = rg.transformer_flow(vit, patches, draws=2**12)
print(f"largest error of K: {float(flow.K_error.max()):.1e}, of Theta: {float(flow.Theta_error.max()):.1e}")
fig, axes = plt.subplots(1, 4, figsize=(11, 2.9), layout="constrained")
axes[0].imshow(image, cmap="Greys")
axes[0].set(title="the digit", xticks=[], yticks=[])
for ax, block in zip(axes[1:], (0, 1, 6), strict=True):
    root = np.sqrt(np.diag(flow.K[block]))
    drawn = ax.imshow(flow.K[block] / np.outer(root, root), vmin=-0.5, vmax=1, cmap="viridis")
    ax.set(title=f"correlations, block {block}", xticks=[], yticks=[])
for ax in axes:
    ax.spines[:].set_visible(False)
fig.colorbar(drawn, ax=axes, shrink=0.8)
plt.show()

# %% [markdown]
# Attention averages tokens, and the stream forgets what distinguishes them: correlations grow block by block.
#
# ## 3. The tangent kernel, and real networks
#
# $\Theta$ sums squared gradients, weighted with learning rates, over all parameters: which group moves the output? Here
# are the theory and 40 drawn transformers of width 64, whose gradients are taken by hand-written reverse mode. What
# remains between them is of order H/n.

# %%
networks = rg.sample_transformer(vit, patches[:6], networks=40, seed=1, neurons=4)
theory = rg.transformer_flow(vit, patches[:6], draws=2**12)
groups = vit.groups
tokens = 6
share = {
    name: np.einsum("gtt->g", ds.Theta_by_group.values[-1]) / tokens
    for name, ds in (("theory", theory), ("networks", networks))
}
error = np.einsum("gtt->g", networks.Theta_by_group_se.values[-1]) / tokens
fig, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
place = np.arange(len(groups))
ax.bar(place, share["theory"], color=BLUE, alpha=0.6, label="theory")
ax.errorbar(place, share["networks"], 2 * error, fmt="o", ms=4, capsize=3, color=ORANGE, label="40 networks, n = 64")
ax.set(xticks=place, xticklabels=groups, ylabel=r"$\Theta$ of the group", title="every group at order one")
ax.legend()
plt.show()

# %% [markdown]
# ## 4. Width
#
# For $\Theta$ of every group to stay at order one at any width, its weights take variances $C/\text{fan-in}$ and SGD
# rates $\Lambda/\text{fan-in}$; AdamW divides gradients by their size, and wants $\lambda|g|$:

# %%
scaling = rg.transformer_scaling(vit.changed(width=768, heads=12, blocks=12))
print(scaling)
print(f"\nan AdamW rate of 20 is {scaling.learning_rates('adamw', 20.0)['Q']:.2g} for Q, K, V and U")

# %% [markdown]
# The paper's ViT-B/16 trained best at 20 in these units, and at $10^{-3}$ in the usual ones: the same rate for
# matrices, and one 768 times larger for embeddings.
#
# ## 5. Depth
#
# Every pair of blocks adds the same amount to the kernel, so that G grows linearly. Not in the paper, but derived here:
# if $C_U$, $C_X$, $\Lambda_U$, $\Lambda_X$ are divided by the number of blocks, the stream and every group's $\Theta$
# tend to limits.

# %%
depths = (2, 4, 8, 16)
few = patches[[2, 5, 9]]
found = {}
for name, change in (("plain", lambda net: net), ("scaled", rg.deep_transformer)):
    flows = [rg.transformer_flow(change(vit.changed(blocks=depth)), few, draws=2**7) for depth in depths]
    kernel = [float(ds.K[-2, 0, 0]) for ds in flows]
    theta = np.array([np.einsum("gtt->g", ds.Theta_by_group.values[-1]) / 3 for ds in flows])
    found[name] = kernel, theta
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
shown = {"PE": GREY, "Q": GREEN, "V": BLUE, "X": ORANGE}
for name, style in (("plain", "--"), ("scaled", "-")):
    kernel, theta = found[name]
    left.loglog(depths, kernel, style, marker="o", ms=4, color=PINK, label=name)
    for group, colour in shown.items():
        label = group if name == "scaled" else None
        right.loglog(depths, theta[:, groups.index(group)], style, marker="o", ms=4, color=colour, label=label)
left.set(xlabel="pairs of blocks", ylabel="$G_{tt}$ of the last stream")
left.legend()
right.set(xlabel="pairs of blocks", ylabel=r"$\Theta$ of a group", title="dashed: without the scaling in depth")
right.set_ylim(bottom=0.02)  # room for the legend
right.legend(ncols=4, loc="lower center")
for ax in (left, right):
    ax.set_xticks(depths, labels=map(str, depths))
    ax.minorticks_off()
plt.show()

# %% [markdown]
# ## 6. The check
#
# What was said above, as statements that fail if they are wrong.


# %%
def slope(values):
    return np.polyfit(np.log(depths), np.log(values), 1)[0]


trained = [i for i, group in enumerate(groups) if group != "bhead"]
remainder = 1 / 16  # H/n, of the largest
assert np.all(np.abs(share["networks"] - share["theory"]) < 4 * error + remainder * share["theory"].max())
assert abs(scaling.learning_rates("adamw", 20.0)["Q"] / 9.40e-4 - 1) < 5e-4
assert abs(scaling["PE"].adamw / scaling["Q"].adamw / 768 - 1) < 1e-12
kernels = found["scaled"][1][:, trained]
assert np.all(np.abs(kernels[-1] / kernels[-2] - 1) < 0.05)  # from 8 to 16 pairs: corrections fall like 1/depth
assert slope(found["scaled"][0]) < 0.01
assert slope(found["plain"][0]) > 0.7
assert slope(found["plain"][1][:, groups.index("V")]) > 0.4
print("all checks hold")

# %% [markdown]
# Next: [How deep should it be?](how_deep_should_it_be.py), back among perceptrons, and into training.
