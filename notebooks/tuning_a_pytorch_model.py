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
# # Tuning a PyTorch model
#
# For a reader who has a deep module that does not train. How far a layer moves when a layer below it is moved, the
# partial Jacobian $\mathcal{J}^{\ell_0,\ell} = \frac{1}{n_\ell}\sum_{ij}(\partial z^\ell_j/\partial z^{\ell_0}_i)^2$,
# decides whether gradients arrive at the bottom ([arXiv:2111.12143](https://arxiv.org/abs/2111.12143)). We measure it
# beside the theory, see it fail in two networks of fifty layers, and let measured Jacobians of neighbouring blocks
# scale their weights until every one of them is critical, as AutoInit does
# ([arXiv:2206.13568](https://arxiv.org/abs/2206.13568)).
#
# Open this page in Jupyter (`.ipynb`) or run it as a script (`.py`). The environment variable `RGFLOW_NOTEBOOK=full`
# takes wider networks, more learning rates and trains longer.

# %%
import copy
import os
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

import rgflow as rg

FULL = os.environ.get("RGFLOW_NOTEBOOK") == "full"
WIDTH, EPOCHS, NETWORKS = (128, 12, 400) if FULL else (60, 8, 24)
RATES = np.geomspace(1e-3, 1e-1, 9) if FULL else [0.001, 0.01]
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#777777"  # safe for colour-blind readers
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False})
torch.set_num_threads(1)

data = rg.nn.digits()
batch = data.X[:48]

# %% [markdown]
# ## 1. Measured and predicted
#
# Random unit vectors $v$ at a module's output, pulled back through the model: the mean of $|J^T v|^2$ is
# $\mathcal{J}$. Here for models that rgflow built, with a norm, with a skip connection, with both and with neither, so
# that the theory with its first correction in 1/width can stand beside them. Points have two standard errors over
# networks.


# %%
def network(layer, count=4, width=48):
    return rg.Network([rg.Dense(), *[layer] * count, rg.Dense()], [64] + [width] * (count + 2), "tanh")


layers = {
    "dense": rg.Dense(C_W=1.5),
    "LayerNorm": rg.LayerNorm(C_W=1.5),
    "skip 0.8": rg.Residual(skip=0.8, C_W=1.5),
    "LayerNorm, skip 0.8": rg.LayerNorm(skip=0.8, C_W=1.5),
}
measured = {
    name: rg.nn.partial_jacobians(network(layer), batch[:1], networks=NETWORKS, projections=4, seed=8)
    for name, layer in layers.items()
}
fig, axis = plt.subplots(figsize=(6.5, 3.6), layout="constrained")
for (name, ds), colour in zip(measured.items(), (GREY, GREEN, ORANGE, BLUE), strict=True):
    axis.semilogy(ds.layer, ds.J_theory, color=colour, label=name)
    axis.errorbar(ds.layer, ds.J, 2 * ds.J_se, fmt="o", ms=3, color=colour)
    away = np.abs(ds.J - ds.J_theory)[1:] - ds.J_theory_error[1:]
    print(f"{name}: at most {float((away / ds.J_se[1:]).max()):.1f} standard errors from theory")
    assert (away < 4 * ds.J_se[1:]).all()
axis.set(xlabel="layer", ylabel=r"$\mathcal{J}^{1,\ell}$", title=r"lines: theory, $\mathcal{J}+\mathcal{J}_1/n$")
axis.legend()
plt.show()

# %% [markdown]
# ## 2. Two modules that do not train
#
# Ordinary `nn.Sequential` chains, fifty weight layers deep. One was drawn with weights too large for tanh, the other
# with weights too small for ReLU.


# %%
def chain(activation, C_W, seed):
    """Linear layers with weights of variance C_W / fan-in, an activation between them."""
    sizes = [64, *[WIDTH] * 49, 10]
    draws = torch.Generator().manual_seed(seed)
    made = []
    for fan_in, width in pairwise(sizes):
        linear = nn.Linear(fan_in, width)
        nn.init.normal_(linear.weight, std=(C_W / fan_in) ** 0.5, generator=draws)
        nn.init.zeros_(linear.bias)
        made += [linear, activation()]
    return nn.Sequential(*made[:-1])


models = {"tanh, C_W = 3": chain(nn.Tanh, 3.0, seed=2), "relu, C_W = 0.5": chain(nn.ReLU, 0.5, seed=2)}
for name, model in models.items():
    ds = rg.nn.partial_jacobians(model, batch, seed=0)
    print(f"{name}: J from the first to the last layer {float(ds.J[-1]):.2g}, ln J per layer", end=" ")
    print(f"{float(np.log(ds.chi_J[:-1]).mean()):+.2f}")

# %% [markdown]
# ## 3. Tuned
#
# `rg.nn.tune` multiplies the weights of each block by a number of its own, found from that block's measured Jacobian,
# and says what it did. It knows nothing of tanh or ReLU, and would take convolutions and norms as well.

# %%
tuned = {name: copy.deepcopy(model) for name, model in models.items()}
done = {name: rg.nn.tune(model, batch, seed=0, tolerance=0.05) for name, model in tuned.items()}
print("\n".join(str(done["tanh, C_W = 3"]).splitlines()[:7]))

# %% [markdown]
# The same learning rates before and after. At chance the loss is $\ln 10$. (In ten
# epochs the tanh network as drawn begins to learn at one of the smallest rates; tuned, it is far ahead by then, at
# rates twenty times larger.)


# %%
def losses(model):
    """Test loss after training with each rate; infinite where it was not finite."""
    found = []
    for rate in RATES:
        one = copy.deepcopy(model)
        optimizer = torch.optim.SGD(one.parameters(), lr=float(rate))
        history = rg.nn.fit(one, data, optimizer=optimizer, epochs=EPOCHS, batch=64, seed=0, progress=False)
        last = float(history["test_loss"][-1])
        found.append(last if np.isfinite(last) else np.inf)
    return found


before = {name: losses(model) for name, model in models.items()}
after = {name: losses(model) for name, model in tuned.items()}

# %%
fig, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
for (name, result), colour in zip(done.items(), (BLUE, ORANGE), strict=True):
    table = result.table
    axes[0].plot(table.layer, table.log_J_before, color=colour, ls="--", lw=1.2)
    axes[0].errorbar(table.layer, table.log_J, 2 * table.log_J_se, fmt="o", ms=2.5, color=colour, label=name)
    axes[1].semilogx(RATES, before[name], color=colour, ls="--", lw=1.2, marker="x", ms=4)
    axes[1].semilogx(RATES, after[name], "o-", ms=4, color=colour, label=name)
axes[0].set(xlabel="layer", ylabel=r"$\ln\,\mathcal{J}^{\ell-1,\ell}$", title="dashed: as drawn, points: tuned")
axes[1].axhline(np.log(10), color=GREY, lw=1)
axes[1].annotate("chance", (RATES[-1], np.log(10)), xytext=(-38, 6), textcoords="offset points", fontsize=9, color=GREY)
axes[1].set(xlabel="learning rate", ylabel=f"test loss after {EPOCHS} epochs", ylim=(0, 2.8))
axes[1].set_title("dashed: as drawn, points: tuned")
axes[0].legend()
plt.show()

for name, result in done.items():
    best = min(before[name]), min(after[name])
    print(f"{name}: best loss {best[0]:.2f} as drawn, {best[1]:.2f} tuned")
    assert (np.abs(result.table.log_J[1:]) < 0.05 + 3 * result.table.log_J_se[1:]).all()
    assert best[1] < min(best[0], np.log(10)) - 0.12

# %% [markdown]
# Next: [Learning rates that transfer](learning_rates_that_transfer.py), from a narrow module to a wide one, from a
# shallow one to a deep one.
