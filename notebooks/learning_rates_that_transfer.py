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
# # Learning rates that transfer
#
# For people who train. A learning rate that was found on a narrow network is usually wrong for a wide one, and one of a
# shallow transformer for a deep one. *How* wrong follows from the flow: it says how initial variances and learning
# rates must go with width $n$ and depth $L$ so that a step moves every layer alike. We apply this to PyTorch modules,
# and look whether the best rate stays where it is.
#
# Needs PyTorch: `pip install "rgflow[torch]"`. Open this page in Jupyter (`.ipynb`) or run it as a script (`.py`).

# %%
import json
from itertools import pairwise
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
import xarray
from torch import nn

import rgflow as rg

torch.set_num_threads(1)
SHADES = ["#9fd3c7", "#2f6f9f", "#1d3a6e", "#140f38"]
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False})

# %% [markdown]
# ## 1. Families
#
# A parametrisation says for input, hidden and output weights how their standard deviation and their learning rate go
# with $n$. Between the neural-tangent limit ($s=0$), in which wide networks stop to learn features, and maximal update
# ($s=1$) lies a family, of which every member trains:

# %%
print(rg.family("mup", optimizer="adam"), end="\n\n")
print(rg.family("meta", s="1/2", optimizer="adam").with_depth("relu"))

# %% [markdown]
# What the tangent kernel changes during training is of order $\gamma=L/n^{1-s}$, derived from the flow of its
# differential. If networks of different widths are to learn alike, $\gamma$ must stay: at $s=1/2$ the depth grows like
# $\sqrt n$, at $s=1$ it may stay as it is. (The standard parametrisation, one rate for all, does not even keep the
# tangent kernel.)

# %%
widths = (64, 128, 256, 512)
for s in (0, "1/2", 1):
    family = rg.family("meta", s=s)
    print(f"s = {s!s:4s} layers at widths {widths}:", [round(family.match_depth(64, n, 3)) for n in widths])


# %% [markdown]
# ## 2. A module of one's own
#
# `rg.nn.parametrize` draws the parameters of a PyTorch module and groups them by learning rate, and says what it did:


# %%
def perceptron(width, layers=6):
    sizes = [64, *[width] * (layers - 1), 10]
    parts = []
    for n_in, n_out in pairwise(sizes):
        parts += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*parts[:-1])


wide = perceptron(256)
done = rg.nn.parametrize(
    wide, "mup", base_width=perceptron(64), learning_rate=0.01, optimizer="adam", activation="relu", seed=0
)
print(done)

# %% [markdown]
# ## 3. A small transfer
#
# Scikit-learn's digits, Adam, two epochs with rates that fall linearly to 0: widths 64 and 256, with one rate for all
# and in maximal update. Rates are those at width 64, where both are the same.

# %%
digits = rg.nn.digits()
BATCH, EPOCHS, POWERS = 128, 2, range(-11, -4)
STEPS = EPOCHS * (len(digits.X) // BATCH)


def trained(family, width, rate, seed):
    """The training loss of the last epoch."""
    model = perceptron(width)
    groups = rg.nn.parametrize(
        model, family, base_width=perceptron(64), learning_rate=rate, optimizer="adam",
        activation="relu", seed=seed,
    ).groups  # fmt: skip
    optimizer = torch.optim.Adam(groups)
    falling = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / STEPS)
    falling.every_step = True  # after each step, not after each epoch
    history = rg.nn.fit(
        model, digits, optimizer=optimizer, epochs=EPOCHS, batch=BATCH, seed=seed, schedulers=[falling], progress=False
    )
    return float(history["train_loss"][-1])


few = {"family": ["standard", "mup"], "width": [64, 256], "rate": [2.0**p for p in POWERS], "seed": [0]}
loss = [
    [[[trained(f, n, rate, seed) for seed in few["seed"]] for rate in few["rate"]] for n in few["width"]]
    for f in few["family"]
]
small = xarray.Dataset({"loss": (tuple(few), loss)}, few)


# %%
def draw(runs, panels, curves, title):
    """A panel for each way of scaling, a curve for each size; diamonds where the loss is lowest."""
    best = rg.best_rates(runs)
    fig, axes = plt.subplots(1, runs.sizes[panels], figsize=(3.6 * runs.sizes[panels], 3.4), sharey=True)
    for ax, name in zip(axes, runs[panels].values, strict=True):
        shades = SHADES if runs.sizes[curves] > 2 else SHADES[::3]
        for shade, size in zip(shades, runs[curves].values, strict=True):
            at = {panels: name, curves: size}
            mean = np.exp(np.log(runs["loss"].sel(at)).mean("seed"))
            ax.plot(runs["rate"], mean.where(np.isfinite(mean)), color=shade, label=f"{curves} {size}")
            here = best.sel(at)
            ax.plot(here["best"], here["loss"], "D", color=shade, mec="white", ms=7)
        moves = float(rg.rate_shift(best["best"].sel({panels: name}), curves))
        ax.set_xscale("log", base=2)
        ax.set(yscale="log", xlabel="learning rate", title=f"{name}: moves by a factor {moves:.2f}")
    lowest = float(best["loss"].min())
    axes[0].set(ylabel=title, ylim=(0.8 * lowest, 10 * lowest))
    axes[0].legend(fontsize=8)
    fig.tight_layout()
    plt.show()
    return best


_ = draw(small, "family", "width", "training loss, two epochs")

# %% [markdown]
# ## 4. Widths 64 to 512
#
# The same with four epochs, three seeds, rates in steps of $\sqrt 2$, and with $s=1/2$, whose depth grows from three
# layers to eight. `benchmarks/learning_rate_transfer.py` trained these 648 networks (ten minutes); this page reads its
# results. The best rate is the vertex of a parabola through five points.


# %%
def read(name, *dims):
    path = Path("../benchmarks/results") / name  # beside this folder in the repository
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    coords = {dim: sorted({row[dim] for row in rows}) for dim in dims}
    loss = np.full([len(values) for values in coords.values()], np.nan)
    for row in rows:  # a run that diverged has no loss
        value = np.inf if row["train_loss"] is None else row["train_loss"]
        loss[tuple(coords[dim].index(row[dim]) for dim in dims)] = value
    runs = xarray.Dataset({"loss": (dims, loss)}, coords).rename(log2_rate="rate")
    return runs.assign_coords(rate=2.0 ** runs["rate"])


with_width = read("learning_rate_transfer.json", "family", "width", "log2_rate", "seed")
by_width = draw(with_width, "family", "width", "training loss")

# %% [markdown]
# ## 5. Deep transformers
#
# The transformer paper ([arXiv:2304.02034](https://arxiv.org/abs/2304.02034)) has a learning rate for every group of
# parameters, which makes them independent of the width, and leaves the depth alone. In a plain transformer the stream
# grows with every block, and so does what a step changes. rgflow's own scaling in the number of blocks $B$ follows from
# asking that every block adds a share $1/B$ to kernel and tangent kernel:

# %%
net = rg.Transformer(width=32, heads=2, blocks=16, n_in=8, positions=8, n_out=10, pooling="mean")
scaling = rg.transformer_scaling(net, depth=True)
print(scaling)
model = rg.nn.build(scaling, seed=0)
groups = rg.nn.transformer_groups(model, 0.5)
print({group["name"]: f"{group['lr']:.1e}" for group in groups})
rows_of_pixels = digits.X[:1].unflatten(1, (8, 8))  # a picture is eight tokens
assert model(rows_of_pixels).shape == (1, 10)

# %% [markdown]
# Four blocks and sixteen, five seeds (`benchmarks/transformer_depth.py`); at four blocks both are the same network:

# %%
with_depth = read("transformer_depth.json", "scaled", "blocks", "log2_rate", "seed")
by_depth = draw(with_depth, "scaled", "blocks", "training loss")

# %% [markdown]
# What we see: with one rate for all the best learning rate falls with the width, nearly as $1/n$; in maximal update,
# and at $s=1/2$ if the depth grows as derived, it stays within the noise of a few seeds. The same with depth. What we
# do not see: that a rate which transfers is a better one. Tuned at its own width, the standard parametrisation learns
# as well. Nor that it is so at the end of long training, or for other tasks; these are short runs on a small one.

# %%
moved = rg.rate_shift(by_width["best"])
assert moved.sel(family="mup") <= 1.5
assert moved.sel(family="s = 1/2") <= 1.5
assert moved.sel(family="standard") >= 3
deeper = rg.rate_shift(by_depth["best"], "blocks")
assert deeper.sel(scaled="scaled") < 2 < deeper.sel(scaled="plain")
print({**moved.to_series().round(2).to_dict(), **deeper.to_series().round(2).to_dict()})

# %% [markdown]
# Next: [Smooth functions: the Jacobian before, while and after a network learns](jacobian_regularization.py).
