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
# # Adding your own activation and layer
#
# For a reader whose network is not in the catalogue. An activation is a formula: write it, and everything that rgflow
# knows of tanh it knows of yours. A layer is its definition: say which weights it has and what they read, and its
# recursions are derived. We do both, and hold each against a witness that does not know what rgflow made of it.
#
# Open this page in Jupyter (`.ipynb`) or run it as a script (`.py`). The environment variable `RGFLOW_NOTEBOOK=full`
# draws twenty times as many networks.

# %%
import os
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import sympy as sp

import rgflow as rg
from rgflow.extend import Affine, Layer, Routes, Source, Weights, laws, routes

NETWORKS = 40_000 if os.environ.get("RGFLOW_NOTEBOOK") == "full" else 2_000
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#777777"  # safe for colour-blind readers
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False})

# %% [markdown]
# ## 1. An activation is a formula
#
# Take *snake*, $\sigma(z) = z + \sin^2 z$, made for periodic data ([arXiv:2006.08195](https://arxiv.org/abs/2006.08195)).
# Its text is read by a parser that knows a list of functions, and nothing in it is ever run. What follows from the
# formula is found out: derivatives to any order, symmetry, kinks, growth.

# %%
snake = rg.activation("z + sin(z)^2")
print("parity", snake.parity, " kinks", snake.kinks, " growth", snake.growth)
print("sigma, sigma', sigma'' at 0.5:", snake.derivatives(0.5, 2))

# %% [markdown]
# A SymPy expression does as well, and is the same activation. What is no formula is refused:

# %%
z = sp.Symbol("z")
assert rg.activation(z + sp.sin(z) ** 2) == snake
for text in ("z + sinn(z)", "open('notes.txt')", "z.real"):
    try:
        rg.activation(text)
    except rg.FormulaError as error:
        print(error)

# %% [markdown]
# Wherever rgflow takes the name of an activation, it takes yours. Its Gaussian averages have closed forms, since sines
# are exponentials; its critical point is not at $K^*=0$, since $\sigma''(0)\neq0$:

# %%
print("K' =", rg.closed_form(rg.derive("K"), snake))
point = rg.criticality(snake)
print(point)

# %% [markdown]
# The witness is a network written by hand: weights, sines, averages. At the critical point the kernel stays where it
# is, while its fluctuations grow with depth.

# %%
WIDTH, DEPTH = 48, 8


def gaussian(C, z, rng):
    """W z with a matrix of variance C/n of its own for every network."""
    W = rng.standard_normal((len(z), WIDTH, z.shape[1])) * np.sqrt(C / z.shape[1])
    return (W @ z[:, :, None])[:, :, 0]


def moments(step, first_kernel, seed):
    """K and V of every layer with their standard errors, of networks of z^1 ~ N(0, first_kernel), z' = step(z)."""
    rng, n = np.random.default_rng(seed), WIDTH
    square, pair = np.empty((2, DEPTH, NETWORKS))  # of each network: averages of z_i^2, and of z_i^2 z_j^2 with i != j
    for some in np.split(np.arange(NETWORKS), NETWORKS // 500):
        z = np.sqrt(first_kernel) * rng.standard_normal((len(some), n))
        for layer in range(DEPTH):
            square[layer, some] = (z**2).mean(axis=1)
            pair[layer, some] = ((z**2).sum(axis=1) ** 2 - (z**4).sum(axis=1)) / (n * (n - 1))
            z = step(z, rng)
    K = square.mean(axis=1)
    V = n * (pair - K[:, None] * (2 * square - K[:, None]))  # V/n = E[z_i^2 z_j^2] - K^2, linear in how K was sampled
    return {
        letter: (values.mean(axis=1), values.std(axis=1, ddof=1) / np.sqrt(NETWORKS))
        for letter, values in (("K", square), ("V", V))
    }


def snake_step(z, rng):
    return gaussian(point.C_W, z + np.sin(z) ** 2, rng) + np.sqrt(point.C_b) * rng.standard_normal(z.shape)


own = rg.tune(rg.MLP.uniform(n_in=1, width=WIDTH, depth=DEPTH, n_out=WIDTH, activation=snake))
theory = rg.total(rg.flow(own, first_kernel=point.K_star, tensors=["K", "V"], order=2))
snakes = moments(snake_step, point.K_star, seed=1)


# %%
def compare(axes, theory, drawn, letter, colour, label):
    """A line of the theory with a band of the error that it leaves, dots of drawn networks with two standard errors."""
    value, error = theory[letter].values, theory[f"{letter}_error"].values
    found, spread = drawn[letter]
    axes.plot(theory["layer"], value, color=colour, label=label)
    axes.fill_between(theory["layer"], value - error, value + error, color=colour, alpha=0.15, lw=0)
    axes.errorbar(theory["layer"], found, 2 * spread, fmt="o", ms=4, capsize=2, color=colour)
    return np.abs(found - value) - error, spread


fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.5), layout="constrained")
apart = {("snake", "K"): compare(left, theory, snakes, "K", BLUE, "snake")}
apart["snake", "V"] = compare(right, theory, snakes, "V", BLUE, "snake")
left.set(xlabel=r"layer $\ell$", ylabel="kernel $K$", ylim=(0, 0.4))
right.set(xlabel=r"layer $\ell$", ylabel="four-point vertex $V$", title=f"width {WIDTH}")
plt.show()

# %% [markdown]
# ## 2. A layer is its definition
#
# Now a layer that rgflow does not have: beside the weights that read activated neurons it has a second matrix, a
# *bypass* that reads the neurons themselves,
#
# $$z'_i = b_i + \sum_j W_{ij}\,\sigma(z_j) + \sum_j U_{ij}\,z_j .$$
#
# Three short pieces make it a kind of layer. First the **description**: a frozen dataclass whose fields are
# hyperparameters, checked when it is made.


# %%
@dataclass(frozen=True)
class Bypass(Layer):
    """z' = b + W sigma(z) + U z, with W ~ N(0, C_W/n), U ~ N(0, C_U/n) and b ~ N(0, C_b)."""

    C_U: float = 0.5
    C_b: float = 0.0
    C_W: float = 0.5
    lambda_U: float = 1.0
    lambda_b: float = 1.0
    lambda_W: float = 1.0


print(Bypass(C_U=0.8))
try:
    Bypass(C_U=-1.0)
except rg.InputError as error:
    print(error)

# %% [markdown]
# Then its **law**: what the random metric of the new neurons is made of. Given the neurons below they are Gaussian with
# the covariance $C_b + \frac1n\sum_j\big(C_W\,\sigma(z_j)\sigma(z_j) + C_U\,z_jz_j\big)$, and with tangent directions
# accordingly. An `Affine` law knows this for any number of weight matrices; each `Source` names the variance and the
# learning rate of one. This is all the physics that there is:


# %%
@laws.register
def _(layer: Bypass):
    return (Affine("bypass", sources=(Source("C_W", "lambda_W"), Source("C_U", "lambda_U", linear=True))),)


for name in ("K", "Theta", "V", "K_1"):
    print(rg.derive(name, layer=Bypass()))

# %% [markdown]
# Nobody typed these lines. The kernel's can be read off the definition, and the vertex is worth a look: its source is
# the variance of $g = C_W\sigma\sigma + C_U zz$ over one neuron, its transport $\frac14 V\langle\partial^2g\rangle^2$.
#
# Last, how the layer is **drawn**, for `rg.sample`: which weights reach the output, and what they read. This knows
# nothing of the law.


# %%
@routes.register
def _(layer: Bypass, below, stages, width):
    reads = ((stages.activated(below), layer.C_W, layer.lambda_W), (below, layer.C_U, layer.lambda_U))
    return Routes([Weights(*each) for each in reads], layer.C_b, layer.lambda_b)


# %% [markdown]
# ## 3. Is it right?
#
# Three witnesses. **A limit that is known**: with $\sigma(z)=z$ the sum $W+U$ is one Gaussian matrix of variance
# $(C_W+C_U)/n$ and learning rate $(\lambda_W+\lambda_U)/n$, so a linear bypass is a linear dense layer. Every tensor
# must agree, to rounding:


# %%
def network(layer, activation, width=WIDTH, depth=DEPTH):
    """Layers of one kind between a dense first and last one."""
    return rg.Network([rg.Dense(), *[layer] * (depth - 1), rg.Dense()], [1, *[width] * depth, 1], activation)


def hidden(ds):
    """All layers but the last."""
    return ds.isel(layer=slice(0, -1))


LETTERS = ["K", "Theta", "V", "A", "B", "D", "F"]
two = rg.flow(network(Bypass(C_U=0.8, C_W=0.3, lambda_U=0.5, lambda_W=0.2), "z"), first_kernel=1.0, tensors=LETTERS)
one = rg.flow(network(rg.Dense(C_W=1.1, lambda_W=0.7), "z"), first_kernel=1.0, tensors=LETTERS)
difference = {name: float(abs(two[name] / one[name] - 1)[1:-1].max()) for name in LETTERS}
print({name: f"{value:.0e}" for name, value in difference.items()})

# %% [markdown]
# **Networks by hand**, one line of NumPy for a layer; and **networks sampled** by rgflow, which also measures tangent
# kernels. To see that a witness can say no, a layer that is easily mistaken for ours stands beside it: the residual
# layer with $\text{skip}=\sqrt{C_U}$, which keeps $z_i$ itself instead of a random mixture. Its kernel is the same.

# %%
bypass, residual = Bypass(C_U=0.5, C_W=0.5), rg.Residual(skip=np.sqrt(0.5), C_W=0.5)


def bypass_step(z, rng):
    return gaussian(bypass.C_W, np.tanh(z), rng) + gaussian(bypass.C_U, z, rng)


own = network(bypass, "tanh")
theory = hidden(rg.total(rg.flow(own, first_kernel=1.0, tensors=["K", "V"], order=2)))
drawn = moments(bypass_step, 1.0, seed=2)
skipping = hidden(rg.flow(network(residual, "tanh"), first_kernel=1.0, tensors=["K", "V"]))
tangent = hidden(rg.total(rg.flow(own, first_kernel=1.0, tensors=["Theta", "B"])))
nets = hidden(rg.sample(own, first_kernel=1.0, tensors=["Theta", "B"], networks=NETWORKS // 4, seed=3))
nets = {name: (nets[name].values, nets[f"{name}_se"].values) for name in ("Theta", "B")}

fig, panels = plt.subplots(1, 4, figsize=(12, 3.2), layout="constrained")
for axes, letter in zip(panels, ("K", "V", "Theta", "B"), strict=True):
    first = letter in ("K", "V")
    expected, found, colour = (theory, drawn, ORANGE) if first else (tangent, nets, GREEN)
    apart["bypass", letter] = compare(axes, expected, found, letter, colour, "bypass")
    if first:
        axes.plot(skipping["layer"], skipping[letter], color=GREY, ls="--", label="residual")
    axes.set(xlabel=r"layer $\ell$", title={"Theta": r"$\Theta$"}.get(letter, f"${letter}$"))
panels[1].legend()
plt.show()

# %% [markdown]
# Orange dots are drawn by hand, green ones by `rg.sample`.
#
# ## 4. What your layer does
#
# Now it is a kind like any other, in every function that asks for the law alone. Does a bypass tame fluctuations, as a
# skip does? For tanh it is critical at $C_W = 1 - C_U$, where $K'= K - 2C_WK^2+\dots$, so that $K\to1/(2C_W\ell)$. Here
# is the relative variance of the metric, $V/K^2$, over $\ell$ for three bypasses, and for residual layers of the same
# kernels:

# %%
STRENGTHS, LONG = (0.0, 0.5, 0.8), 2000
rates = {}
fig, axes = plt.subplots(figsize=(6.6, 3.8), layout="constrained")
for C_U, colour in zip(STRENGTHS, (BLUE, ORANGE, GREEN), strict=True):
    deep = network(Bypass(C_U=C_U, C_W=1 - C_U), "tanh", width=1, depth=LONG)
    ds = hidden(rg.flow(deep, first_kernel=1.0, tensors=["K", "V"]))
    layer = ds["layer"].values
    growth = (ds["V"] / ds["K"] ** 2).values / layer
    nu = float(rg.criticality("tanh", layer=rg.Residual(skip=np.sqrt(C_U))).vertex_growth)
    rates[C_U] = growth[-1], nu
    axes.semilogx(layer[1:], growth[1:], color=colour, label=f"bypass, $C_U$ = {C_U}")
    axes.axhline(nu, color=colour, ls=":")
axes.set(xlabel=r"layer $\ell$", ylabel=r"$V/(\ell K^2)$", title="dotted: limits of residual layers", ylim=(0, 1.3))
axes.legend(ncols=3, fontsize=8)
plt.show()

# %% [markdown]
# It does not. Whatever its strength, a bypass ends at $\nu=\frac23$, the number of the class $K^*=0$: the neurons of
# each layer are drawn anew, and only the metric is handed on. A skip keeps the neurons, and $\nu =
# \frac23(1-\text{skip}^4)$ ([Residual networks remember](residual_networks_remember.py)). One cannot tell from $K$.
#
# ## 5. To keep it
#
# A kind that lives in a notebook is forgotten with it; to read a saved Dataset of its networks, define it first. What
# else a kind may say of itself (a skip, a norm, weights that are not Gaussian, neurons inside a block), how to build it
# in PyTorch, and where its files go if it is to stay, is the recipe
# [Add a layer](../CONTRIBUTING.md#add-a-layer).
#
# ## 6. The check

# %%
assert all(value < 1e-12 for value in difference.values())
for name, (distance, spread) in apart.items():  # beyond the error of theory, in standard errors
    assert np.all(distance <= 4.5 * spread), name
vertex, spread = drawn["V"]
assert abs(float(skipping["K"][1]) - float(theory["K"][1])) < 1e-12  # a skip has the same kernel
assert abs(vertex[-1] - float(skipping["V"][-1])) > 5 * spread[-1]  # and is refused by its fluctuations
for C_U, (found, nu) in rates.items():
    assert abs(found * 3 / 2 - 1) < 0.03, C_U
    assert abs(nu - 2 / 3 * (1 - C_U**2)) < 1e-12
assert np.isclose(float(own.hyperparameter("C_U")[1]), 0.5)
print("all checks hold")

# %% [markdown]
# This was the last notebook; the first is [From a layer to its flow](from_a_layer_to_its_flow.py).
