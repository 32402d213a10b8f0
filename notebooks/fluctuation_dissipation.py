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
# # When has training at one learning rate done its work?
#
# Stochastic gradient descent with weight decay does not come to rest: it dwells in a noise ball. Whether it has arrived
# there can be read off two numbers that cost nothing to measure
# (S. Yaida, [arXiv:1810.00004](https://arxiv.org/abs/1810.00004)), and the same fluctuations tell how steep the loss
# is where training dwells. We measure them on scikit-learn's digits.
#
# Open this page in Jupyter (`.ipynb`) or run it as a script (`.py`). With the environment variable
# `RGFLOW_NOTEBOOK=full` runs are ten times as long; if `RGFLOW_MNIST` names files of MNIST, it trains on those.

# %%
import os

import matplotlib.pyplot as plt
import numpy as np
import torch

import rgflow as rg

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#777777"
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False})
torch.set_num_threads(1)
LONG = 10 if os.environ.get("RGFLOW_NOTEBOOK") == "full" else 1
data = rg.nn.mnist() if os.environ.get("RGFLOW_MNIST") else rg.nn.digits()
DECAY, BATCH = 0.1, 100


def perceptron(width=50):
    """Inputs - width - 10, at the critical point of ReLU."""
    net = rg.MLP([data.X.shape[1], width, 10], "relu", C_W=2.0)
    return rg.nn.build(net, seed=0, dtype=torch.float32)


# %% [markdown]
# ## 1. Two averages that meet
#
# One step is $\theta' = \theta - \eta g$, with $g$ the gradient of a mini-batch, weight decay included. If averages no
# longer change, then neither does $\langle|\theta|^2\rangle$, and from
# $|\theta'|^2 = |\theta|^2 - 2\eta\,\theta\cdot g + \eta^2 g^2$
#
# $$ O_L \equiv \langle\theta\cdot g\rangle = \tfrac{\eta}{2}\langle g^2\rangle \equiv O_R , $$
#
# whatever the noise and the shape of the loss. `FluctuationMonitor` hooks into the optimizer and averages both over the
# later half of the steps so far, in constant memory.

# %%
model = perceptron()
optimizer = torch.optim.SGD(model.parameters(), lr=0.2, weight_decay=DECAY)
monitor = rg.nn.FluctuationMonitor(optimizer)
history = rg.nn.fit(model, data, optimizer=optimizer, epochs=50 * LONG, batch=BATCH, monitors=[monitor], progress=False)
arrived = monitor.averages().sel(group="total")
print(f"O_L = {float(arrived['O_L']):.4f}({float(arrived['O_L_se']):.4f})")
print(f"O_R = {float(arrived['O_R']):.4f}({float(arrived['O_R_se']):.4f})")
print(f"test accuracy {float(history['test_accuracy'][-1]):.3f}")

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
left.plot(history["epoch"], history["O_L"], color=BLUE, label=r"$O_L=\langle\theta\cdot g\rangle$")
left.plot(history["epoch"], history["O_R"], color=ORANGE, ls="--", label=r"$O_R=\frac{\eta}{2}\langle g^2\rangle$")
left.set(xlabel="epoch", ylabel="the two averages", yscale="log")
left.legend()
right.fill_between(
    history["epoch"],
    history["FDR1"] - history["FDR1_se"],
    history["FDR1"] + history["FDR1_se"],
    color=BLUE,
    alpha=0.2,
    lw=0,
)
right.plot(history["epoch"], history["FDR1"], color=BLUE)
right.axhline(0.0, color=GREY, lw=0.8)
right.set(xlabel="epoch", ylabel=r"$O_L/O_R-1$", ylim=(-0.3, 0.6))
plt.show()

# %% [markdown]
# ## 2. What the ratio says, and what it does not
#
# Averaged over a window the difference of the two sides is nothing but the drift of $|\theta|^2$ from its beginning to
# its end, $(|\theta_{t_0}|^2-|\theta_t|^2)/2\eta(t-t_0)$. So a ratio near 1 is necessary for a stationary state, not
# sufficient, and it passes through 1 whenever the drift changes its sign: a rule that lowers the rate at
# $|O_L/O_R-1| < 0.01$ also fires by chance. The monitor's standard error, from pieces of the window, is large as long
# as that can happen, and `FluctuationScheduler` takes both rules.

# %%
rules = {"paper": {"X": 0.01, "Y": 0.1}, "error bar": {"X": 0.1, "Y": 0.5, "error_bar": 1.0}}
runs, drops = {}, {}
for name, rule in rules.items():
    model = perceptron()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2, weight_decay=DECAY)
    monitor = rg.nn.FluctuationMonitor(optimizer)
    scheduler = rg.nn.FluctuationScheduler(monitor, **rule)
    settings = {"epochs": 50 * LONG, "batch": BATCH, "monitors": [monitor], "schedulers": [scheduler]}
    runs[name] = rg.nn.fit(model, data, optimizer=optimizer, progress=False, **settings)
    drops[name] = [(drop["window"], drop["FDR1"]) for drop in scheduler.drops]
    print(f"{name}: {len(drops[name])} drops after windows of {[window for window, _ in drops[name]]} steps")

# %% [markdown]
# ## 3. The shape of the loss
#
# A second relation follows from the loss instead of $|\theta|^2$: with full-batch gradient $\nabla f$, Hessian $H$ and
# noise $C=\langle g g^T\rangle$,
#
# $$ G(\eta) \equiv \langle|\nabla f|^2\rangle = \tfrac{\eta}{2}\,\mathrm{Tr}(HC) + \text{third derivatives} , $$
#
# so that $G/O_R$ is the mean of $H$ weighted with the noise, and a $G$ that is not straight in $\eta$ tells of a
# surface that is not harmonic, or of noise that changes. `landscape` goes through the rates, from the largest to the
# smallest, with mini-batches that are drawn independently: noise that is shuffled cancels over an epoch, and $G$ would
# come out too small.

# %%
surface = rg.nn.landscape(
    perceptron(20),
    data,
    (0.4, 0.2, 0.1),
    epochs=[20 * LONG, 20 * LONG, 30 * LONG],
    batch=BATCH,
    weight_decay=DECAY,
    progress=False,
)
for rate in surface["rate"].values:
    row = surface.sel(rate=rate)
    print(f"rate {rate:.2f}: mean Hessian {float(row['hessian']):.2f}({float(row['hessian_se']):.2f})")

# %% [markdown]
# ## The picture and the check

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
for (name, run), colour in zip(runs.items(), (ORANGE, BLUE), strict=True):
    left.step(run["epoch"], run["learning_rate"], color=colour, where="mid", label=name)
left.set(xlabel="epoch", ylabel=r"learning rate $\eta$", ylim=(0, 0.21))
left.legend()
eta = np.linspace(0.0, 0.41, 50)
harmonic = float(surface["TrHC_0"]) * eta / 2
right.plot(eta, harmonic, color=GREY, ls="--", label="harmonic")
right.plot(eta, harmonic * (1 + float(surface["anharmonicity"]) * eta / 0.4), color=BLUE, lw=1, label="bent")
right.errorbar(surface["rate"], surface["G"], yerr=surface["G_se"], fmt="o", color=BLUE, capsize=2, label="measured")
right.set(
    xticks=(0, 0.1, 0.2, 0.3, 0.4),
    xlabel=r"learning rate $\eta$",
    ylabel=r"$G=\langle|\nabla f|^2\rangle$",
    xlim=(0, None),
    ylim=(0, None),
)
right.legend()
plt.show()

# %%
ratio, error = float(arrived["FDR1"]), float(arrived["FDR1_se"])
assert abs(ratio) < error < 0.2, "training at this rate became stationary"
assert float(history["FDR1"][4]) > 1, "at first it was not"
assert np.mean([window for window, _ in drops["error bar"]]) > np.mean([window for window, _ in drops["paper"]])
stiff = surface["hessian"] / surface["hessian_se"]
assert bool((stiff > 3).all()), "the surface is curved upwards"
print("ok")

# %% [markdown]
# Next: [Adding your own activation and layer](adding_your_own_activation_and_layer.py), if yours is not in the
# catalogue.
