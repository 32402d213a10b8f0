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
# # How deep should it be?
#
# For a reader of *The Principles of Deep Learning Theory* (PDLT,
# [arXiv:2106.10165](https://arxiv.org/abs/2106.10165)). Its first appendix gives a number, the best depth over width
# $r^*$ of a network, from the information that output neurons share. We derive it, ask what kind of number it is, and
# then train networks of a fixed number of parameters to see where the best depth lies. It is not $r^*$; depth over
# width is the *scale* on which they get worse.
#
# Open this page in Jupyter (`.ipynb`) or run it as a script (`.py`).

# %%
import json
import math
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import rgflow as rg

BLUE, ORANGE, GREEN, PINK, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#777777"
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False})

# %% [markdown]
# ## 1. One scale
#
# Fluctuations of a critical network grow with its depth $\ell$ and fall with its width $n$, and everything measured in
# its own size depends on $\ell/n$. The metric, $V/(nK^2)\to\nu\,\ell/n$, the tangent kernel, and its change in
# training ($P$, $Q$), with learning rates that give every layer an equal share:

# %%
WIDTHS = (32, 128, 512)
curves = {}
fig, panels = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
for n, colour in zip(WIDTHS, (ORANGE, GREEN, BLUE), strict=True):
    net = rg.tune(rg.MLP.uniform(n_in=1, width=n, depth=n // 2, activation="tanh"), learning_rates=True)
    ds = rg.flow(net, first_kernel=1.0, tensors=["K", "Theta", "V", "A", "B", "P", "Q"])
    ratio = ds["layer"] / n
    curves[n] = {
        r"$V/(nK^2)$": ds["V"] / (n * ds["K"] ** 2),
        r"$(A+2B)/(n\Theta^2)$": (ds["A"] + 2 * ds["B"]) / (n * ds["Theta"] ** 2),
        r"$-P/(n\Theta^2)$": -ds["P"] / (n * ds["Theta"] ** 2),
    }
    for axes, (name, values) in zip(panels, curves[n].items(), strict=True):
        axes.plot(ratio, values, color=colour, label=f"width {n}")
        axes.set(xlabel=r"$\ell/n$", title=name)
panels[0].legend()
plt.show()

# %% [markdown]
# The wider the network, the more layers, and the same curve. Its slope $\nu$ is fixed by the activation; it is derived
# from the recursion of $V$, not fitted.

# %%
for name in ("linear", "relu", "tanh", "sin", "gelu", "swish"):
    found = rg.aspect_ratio(name, n_out=10)
    nu, ratio = float(found.nu), found.best_ratio
    print(f"{name:7s} {found.universality_class:16s} nu = {nu:.6g}   r* for 10 outputs = {ratio:.4g}")

# %% [markdown]
# ## 2. What outputs know of each other
#
# Given all layers below the last, outputs are independent Gaussians, but with one common variance $G$, which differs
# from network to network. So they share information: one that is large says that $G$ is large. For two groups of $n_1$
# and $n_2$ outputs, with $v=V/(nK^2)$ the relative variance of $G$,
#
# $$I(n_1;n_2) = \frac{n_1n_2}{8}\Big[v^2-\frac{20+3n_{out}}{6}v^3+O(v^4)\Big].$$
#
# The first two terms have a maximum at $v^*=4/(20+3n_{out})$, and PDLT calls $r^*=v^*/\nu$ optimal: some information
# among the outputs, but not a network ruled by chance. Is there such a maximum? Let us draw networks. For ReLU that is
# quick: a layer multiplies $G$ by $\tfrac2n\sum_j\max(0,g_j)^2$ with fresh Gaussian $g_j$. The information of the
# drawn mixture is a one-dimensional integral over $|z|^2$.

# %%
N_OUT, WIDTH, NETWORKS = 10, 64, 6000
relu = rg.aspect_ratio("relu", N_OUT)
rng = np.random.default_rng(0)


def negentropy(G, m):
    """Of m neurons with a variance drawn from G, relative to the Gaussian of variance 1."""
    y = np.linspace(-40 / m, math.log(40.0 * (m + 4)), 260)

    def density(G):
        values = np.zeros_like(y)
        for part in np.array_split(G, max(1, len(G) // 500)):
            log = m / 2 * (y - np.log(2 * part[:, None])) - np.exp(y) / (2 * part[:, None]) - math.lgamma(m / 2)
            values += np.exp(log).sum(axis=0)
        return values / len(G)

    p, phi = density(G), density(np.ones(1))
    sure = (p > 0) & (phi > 0)
    ratio = np.log(np.where(sure, p, 1.0) / np.where(sure, phi, 1.0))
    return np.sum(np.where(sure, p * ratio, 0.0) - p + phi) * (y[1] - y[0])


def shared(G):
    """I(5; 5), with a standard error from ten batches."""
    parts = [negentropy(part, N_OUT) - 2 * negentropy(part, N_OUT // 2) for part in np.split(G, 10)]
    return np.mean(parts), np.std(parts, ddof=1) / math.sqrt(10)


DEPTHS = (2, 3, 4, 6)
G, drawn = np.ones(NETWORKS), {}
for layer in range(2, DEPTHS[-1] + 1):
    G = G * 2 / WIDTH * sum(np.maximum(0, rng.standard_normal(NETWORKS)) ** 2 for _ in range(WIDTH))
    if layer in DEPTHS:
        drawn[layer] = shared(G)

# %% [markdown]
# The line that PDLT maximises, and the information of a scale mixture without truncation (with the same $v$, and a
# gamma or a log-normal law of $G$: $V$ fixes how wide the law is, not its shape):

# %%
fluctuation = np.linspace(0.0, 0.5, 60)
series = np.array([relu.series(v / 5) for v in fluctuation])
mixtures = {law: np.array([relu.mixture(v / 5, law) for v in fluctuation]) for law in ("gamma", "log-normal")}
exact_v = {layer: (1 + 5 / WIDTH) ** (layer - 1) - 1 for layer in DEPTHS}
fig, axes = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
axes.plot(fluctuation, series, color=BLUE, label="series through $v^3$")
for law, dash in (("gamma", "-"), ("log-normal", "--")):
    axes.plot(fluctuation, mixtures[law], color=PINK, ls=dash, label=f"scale mixture, {law}")
axes.errorbar(
    [exact_v[layer] for layer in DEPTHS],
    [drawn[layer][0] for layer in DEPTHS],
    [2 * drawn[layer][1] for layer in DEPTHS],
    fmt="o", ms=4, color="black", capsize=2, label="drawn ReLU networks, width 64",
)  # fmt: skip
axes.axvline(float(relu.best_fluctuation), color=GREY, ls=":", label=r"$v^*$")
axes.set(xlabel=r"$v = V/(nK^2)$", ylabel="$I(5;5)$ (nats)", ylim=(-0.02, 0.17))
axes.legend()
plt.show()

# %% [markdown]
# Networks follow the mixture (with depth that of the log-normal law, for their $G$ is a product of many factors), and
# the mixture has no maximum: what turns the series round is its truncation. At $v^*$ the second term is two thirds of
# the first. So $r^*$ is a statement about where the expansion in $1/n$ ends, and that it is: the depth at which
# corrections are as large as what they correct, up to a number. Take it as a scale.
#
# ## 3. A depth for a width
#
# With this in mind:

# %%
for name, width in (("tanh", 128), ("relu", 512)):
    print(f"{name}: {rg.aspect_ratio(name, n_out=10).recommend(width)}\n")

# %% [markdown]
# ## 4. What a skip does to it
#
# Residual connections tame fluctuations. For tanh $\nu=\tfrac23(1-\text{skip}^4)$; for ReLU the neurons' memory
# matters, and $r^*$ falls before it rises:

# %%
strengths = np.linspace(0, 0.95, 20)
best, book = {}, []
for name in ("tanh", "relu"):
    found = [rg.aspect_ratio(name, N_OUT, layer=rg.Residual(skip=s)) for s in strengths]
    best[name] = np.array([each.best_ratio for each in found])
    if name == "relu":
        book = np.array([float(each.best_fluctuation / each.nu_book) for each in found])
fig, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
axes.semilogy(strengths, best["tanh"], color=GREEN, label="tanh")
axes.semilogy(strengths, best["relu"], color=BLUE, label="relu")
axes.semilogy(strengths, book, color=BLUE, ls="--", lw=1, label="relu, without memory (book)")
axes.set(xlabel="skip", ylabel="$r^*$, ten outputs")
axes.set_yticks([0.01, 0.03, 0.1, 0.3], labels=["0.01", "0.03", "0.1", "0.3"])
axes.set_yticks([], minor=True)
axes.legend()
plt.show()

# %% [markdown]
# ## 5. Real training
#
# Networks of 10 000 and of 40 000 parameters, from two layers to twenty-four, trained on 500 of scikit-learn's digits
# and tested on the other 1297: by gradient descent with the theory's learning rates, and by Adam. Means and standard
# errors over five networks; `benchmarks/depth_of_digits.py` did it (ten minutes), this page reads its results.

# %%
results = Path("../benchmarks/results/depth_of_digits.json")  # beside this folder in the repository
rows = json.loads(results.read_text(encoding="utf-8"))["rows"]
COLOURS = {("tanh", 10_000): ORANGE, ("tanh", 40_000): GREEN, ("relu", 10_000): PINK, ("relu", 40_000): BLUE}
ratio_of = {name: rg.aspect_ratio(name, n_out=10).best_ratio for name in ("tanh", "relu")}
nu_of = {name: float(rg.aspect_ratio(name).nu) for name in ("tanh", "relu")}


def chosen(activation, method, parameters):
    return [r for r in rows if (r["activation"], r["method"], r["parameters"]) == (activation, method, parameters)]


KEYS = {
    "test_error": "squared error, test digits",
    "train_error": "squared error, training",
    "accuracy": "accuracy, test digits",
}
fig, panels = plt.subplots(3, 2, figsize=(10, 8.6), sharex="col", sharey="row", layout="constrained")
for column, method in enumerate(("descent", "adam")):
    for (activation, parameters), colour in COLOURS.items():
        row = chosen(activation, method, parameters)
        x = [r["depth"] / r["width"] for r in row]
        for axes, key in zip(panels[:, column], KEYS, strict=True):
            y, e = np.transpose([r[key] for r in row])
            label = f"{activation}, {parameters // 1000}k"
            axes.errorbar(x, y, e, marker="o", ms=3, color=colour, label=label)
    for axes in panels[:, column]:
        axes.set_xscale("log")
        for name, dash in (("tanh", "--"), ("relu", ":")):
            axes.axvline(ratio_of[name], color=GREY, ls=dash, lw=1)
    panels[0, column].set(title={"descent": "gradient descent", "adam": "Adam"}[method])
    panels[2, column].set(xlabel="depth / width")
for axes, text in zip(panels[:, 0], KEYS.values(), strict=True):
    axes.set(ylabel=text)
panels[1, 0].axhline(0.9, color=GREY, lw=0.8)
panels[1, 1].axhline(0.9, color=GREY, lw=0.8)
panels[2, 0].legend(fontsize=9, loc="lower left")
plt.show()

# %% [markdown]
# (Dashed: $r^*$ of tanh; dotted: of ReLU; the line at 0.9: outputs that are all 0.) Which depth is best, and what is
# not worse by more than two standard errors:

# %%
print("                          by squared error            by accuracy")
optimum = {}
for activation, method, parameters in sorted({(r["activation"], r["method"], r["parameters"]) for r in rows}):
    row, cells = chosen(activation, method, parameters), []
    for key, sign in (("test_error", 1), ("accuracy", -1)):
        top = min(row, key=lambda r, key=key, sign=sign: sign * r[key][0])
        near = [r for r in row if sign * (r[key][0] - top[key][0]) <= 2 * np.hypot(r[key][1], top[key][1])]
        optimum[activation, method, parameters, key] = top["ratio"]
        depths = ", ".join(str(r["depth"]) for r in near)
        cells.append(f"L/n = {top['ratio']:.3f} ({top['ratio'] / ratio_of[activation]:4.1f} r*; L = {depths})")
    print(f"{activation} {method:8s}{parameters:6d}   " + "   ".join(f"{cell:38s}" for cell in cells))

# %% [markdown]
# What we see, and what we do not:
#
# - **Depth over width is the scale on which they get worse.** Tanh networks fit their training digits at every depth.
#   Where their accuracy falls, small and large ones are one curve in $L/n$, and not in $L$. But their $\nu L/n$ stays
#   below 1, and they lose little.
# - **Deep ReLU networks that have been trained generalise badly**: those with 40 000 parameters under Adam end with
#   training errors of at most 0.044, and their accuracy falls from 0.91 at four layers to 0.50 at twenty-four, where
#   $\nu L/n=3$. This one series is all we have beyond $\nu L/n=1$. Others there were hardly trained: gradient descent
#   with 10 000 parameters ends at 0.71 to 0.78 in training from twelve layers on, where a network that says nothing
#   has 0.9. That is a matter of steps and of step size; it says nothing on generalisation.
# - **$r^*$ is not the best depth.** By squared error the best tanh networks are 1.7 to 3.7 times as deep as $r^*$, the
#   best ReLU networks 2 to 15 times; by accuracy depth hardly helps on this task: two to six layers are best.
# - **Depth does other things.** The kernel of tanh falls as $1/\ell$, so deep networks start from smaller outputs,
#   which alone lowers the squared error; critical ReLU networks lose the angle between inputs at infinite width
#   already. None of this is in $r^*$, which knows the fluctuations at one input only.
#
# ## 6. The check

# %%
for name in curves[WIDTHS[0]]:  # one curve for every width, at l/n = 1/2
    last = [float(curves[n][name][-1]) for n in WIDTHS]
    assert abs(last[1] / last[2] - 1) < 0.1, name
assert abs(ratio_of["tanh"] - 0.12) < 1e-12
assert abs(ratio_of["relu"] - 0.016) < 1e-12
for layer in DEPTHS:  # drawn networks follow the mixture, between its two laws or near them, and not the series
    value, error = drawn[layer]
    low, high = sorted(relu.mixture(exact_v[layer] / 5, law) for law in mixtures)
    assert low - 4.5 * error - 0.05 * low < value < high + 4.5 * error + 0.05 * high, layer
deepest = DEPTHS[-1]
assert drawn[deepest][0] > drawn[2][0] > relu.series(exact_v[2] / 5) > relu.series(exact_v[deepest] / 5)
assert all(np.all(np.diff(values) > 0) for values in mixtures.values())
assert np.all(np.diff(best["tanh"]) > 0)
assert best["relu"][10] < best["relu"][0] < best["relu"][-1]
for method in ("descent", "adam"):
    for parameters in (10_000, 40_000):
        by_error = {name: optimum[name, method, parameters, "test_error"] for name in ("tanh", "relu")}
        assert by_error["tanh"] > 1.5 * by_error["relu"]
        assert all(by_error[name] > ratio_of[name] for name in by_error)
trained = {r["depth"]: r for r in chosen("relu", "adam", 40_000)}  # they fit, and get worse
assert max(r["train_error"][0] for r in trained.values()) < 0.05
assert nu_of["relu"] * trained[24]["ratio"] > 1
assert trained[24]["accuracy"][0] < trained[4]["accuracy"][0] - 5 * trained[24]["accuracy"][1]
assert max(r["train_error"][0] for r in rows if r["activation"] == "tanh") < 0.07
assert nu_of["tanh"] * max(r["ratio"] for r in rows if r["activation"] == "tanh") < 1
assert min(r["train_error"][0] for r in chosen("relu", "descent", 10_000) if r["depth"] >= 12) > 0.7  # these do not
print("all checks hold")

# %% [markdown]
# Next: [Bayes beyond Gaussian processes](bayes_beyond_gaussian_processes.py): what a finite network makes of data by
# inference.
