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
# # Universality classes
#
# For a reader with *The Principles of Deep Learning Theory* (PDLT,
# [arXiv:2106.10165](https://arxiv.org/abs/2106.10165)) open at chapters 5 and 9. An activation function enters a deep
# network through a few Gaussian averages, and of these only a few numbers survive the depth. We start from one
# average, find where networks are critical and to which class they belong, solve their tensors in depth, look at the
# phases around criticality, and choose learning rates; and at the end draw real networks.
#
# Open this page in Jupyter (`.ipynb`) or run it as a script (`.py`). The environment variable `RGFLOW_NOTEBOOK=full`
# draws ten times as many networks.

# %%
import os

import matplotlib.pyplot as plt
import numpy as np
import sympy as sp
from IPython.display import display

import rgflow as rg

NETWORKS = 150_000 if os.environ.get("RGFLOW_NOTEBOOK") == "full" else 15_000
BLUE, ORANGE, GREEN, PINK, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#777777"  # safe for colour-blind readers
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False})

# %% [markdown]
# ## 1. One average
#
# At infinite width the kernel obeys $K' = C_b + C_W\langle\sigma\sigma\rangle_K$. Where the average has a closed form
# rgflow writes it down:

# %%
kernel = rg.derive("K")
print(kernel)
for name in ("relu", "sin", "erf", "gelu"):
    print(f"{name}:  K' =", rg.closed_form(kernel, name))

# %% [markdown]
# ReLU's is a straight line through zero: at $C_W = 2$, $C_b = 0$ every kernel is a fixed point. The others are not;
# their small-$K$ series decides. With $C_b = 0$ and $C_W = 1/\sigma'(0)^2$ the first term is $K$ itself, and the sign
# of the second says whether a small kernel shrinks or grows:

# %%
K, C_W, C_b = sp.Symbol("K", positive=True), *sp.symbols("C_W C_b", nonnegative=True)
for name, critical in (("sin", 1), ("erf", sp.pi / 4), ("gelu", 4)):
    step = rg.closed_form(kernel, name).subs({C_b: 0, C_W: critical})
    print(f"{name}:  K' =", sp.series(step, K, 0, 4))

# %% [markdown]
# For sin and erf $K' = K - aK^2 + \dots$, so $K\to 1/(a\ell)$: the class $K^*=0$. For GELU the kernel runs away from
# zero, and we must look for a fixed point $K^* > 0$ at which both susceptibilities, $\chi_\parallel = \tfrac12
# C_W\langle\partial^2(\sigma\sigma)\rangle_K$ and $\chi_\perp = C_W\langle\sigma'\sigma'\rangle_K$, are one.
#
# ## 2. Critical points
#
# `rg.criticality` does all of this, for any activation, also one that no table has:

# %%
NAMES = (
    "linear", "relu", "leaky_relu", "tanh", "sin", "erf", "gelu", "swish",
    "z - z^3*exp(-z^2)/2", "z + z^3*exp(-z^2)",
)  # fmt: skip
found = {name: rg.criticality(name) for name in NAMES}
for name, one in found.items():
    growth = sp.nsimplify(one.vertex_growth) if one.vertex_growth.is_Rational else one.vertex_growth.n(7)
    print(f"{name:20} {one.universality_class:15} C_b = {one.C_b:<12.9g} C_W = {one.C_W:<12.9g} nu = {growth}")

# %% [markdown]
# $\nu$ is the rate at which fluctuations of the metric grow, $V/(nK^2)\to\nu\,\ell/n$: $2/3$ for *every* activation of
# the class $K^*=0$, whatever its formula. That is universality. The last two formulas differ in one sign, and belong to
# different classes; what is not recommended is listed, too:

# %%
print(found["z + z^3*exp(-z^2)"])

# %% [markdown]
# Some have no critical point at all:

# %%
try:
    rg.criticality("sigmoid")
except rg.NoCriticalPoint as error:
    print(error)

# %% [markdown]
# ## 3. Solving in depth
#
# At criticality every tensor can be followed to any layer by a formula: exact for scale-invariant activations and at a
# half-stable $K^*$, asymptotic where the kernel decays.

# %%
for name, activation in (("V", "relu"), ("B", "relu"), ("V", "gelu"), ("V", "tanh"), ("B", "tanh")):
    print(rg.solve(name, activation))
display(rg.solve("A", "relu"))

# %% [markdown]
# A solution can be compared with the flow that it claims to solve. An exact one must agree to the last digits; of an
# asymptotic one the remainder must shrink as the stated correction does:

# %%
exact, asymptotic = rg.solve("A", "relu").check(64), rg.solve("V", "tanh").check(2000)
print(exact, asymptotic, sep="\n\n")

# %% [markdown]
# The whole table of a class, with the learning rates of section 5:

# %%
for name, law in found["tanh"].laws.items():
    print(f"{name:8} ~ {law.leading}")

# %% [markdown]
# Here are the fluctuations of four activations, each divided by its own $\nu$. Three classes, one line:

# %%
L = 1000
layers = np.unique(np.geomspace(2, L, 200).astype(int))
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.7), layout="constrained")
shown = (("linear", BLUE, "-"), ("tanh", ORANGE, "-"), ("z - z^3*exp(-z^2)/2", PINK, "--"), ("gelu", GREEN, "-"))
collapsed = {}
for name, colour, style in shown:
    one = found[name]
    net = rg.MLP.uniform(n_in=1, width=1, depth=L, activation=name, C_b=one.C_b, C_W=one.C_W)
    ds = rg.flow(net, first_kernel=one.K_star or 1.0, tensors=["K", "V"], order=1)
    growth = (ds["V"] / ds["K"] ** 2).values[layers - 1]
    collapsed[name] = growth / (float(one.vertex_growth) * layers)
    left.loglog(layers, growth, color=colour, ls=style, label=name)
    right.semilogx(layers, collapsed[name], color=colour, ls=style)
left.set(xlabel=r"layer $\ell$", ylabel="$V/K^2$")
left.legend()
right.axhline(1, color=GREY, ls=":")
right.set(xlabel=r"layer $\ell$", ylabel=r"$V/(\nu\,\ell K^2)$", ylim=(0.4, 1.5))
plt.show()

# %% [markdown]
# ## 4. Phases
#
# Away from criticality nearby inputs come together (ordered) or part (chaotic), over $\xi_\perp$ layers. The line
# between is $\chi_\perp = 1$, and the critical point is where $\xi_\parallel$ is infinite, too.

# %%
diagram = rg.phase_diagram("tanh", C_W=np.linspace(0.5, 2.5, 61), C_b=np.linspace(0, 0.2, 41))
point = found["tanh"]
fig, axes = plt.subplots(figsize=(6, 4), layout="constrained")
depth = np.log10(np.clip(diagram["xi_perpendicular"], 1, 1000))
mesh = axes.pcolormesh(diagram["C_W"], diagram["C_b"], depth, cmap="viridis", shading="nearest", rasterized=True)
fig.colorbar(mesh, label=r"$\log_{10}\,\xi_\perp$ in layers, 3 or more is yellow")
axes.plot(diagram["critical_C_W"], diagram["critical_C_b"], color="white", lw=2)
axes.plot(point.C_W, point.C_b, "o", ms=10, mfc="white", mec="black", clip_on=False)
axes.annotate("critical point", (point.C_W, point.C_b), (-8, 8), textcoords="offset points", color="white", ha="right")
axes.text(0.75, 0.15, "ordered", color="white")
axes.text(2.2, 0.03, "chaotic", color="white")
axes.set(xlabel="$C_W$", ylabel="$C_b$")
plt.show()

# %%
for C_b_here, C_W_here in ((0.0, 1.0), (0.05, 1.2), (0.05, 2.2)):
    print(rg.correlation_lengths("tanh", C_b=C_b_here, C_W=C_W_here))

# %% [markdown]
# ## 5. Learning rates
#
# With the same $\lambda_b$, $\lambda_W$ in every layer the tangent kernel grows with depth, so that a network of
# another depth needs other learning rates; and where $K$ decays, early and late layers learn unequally. The
# equivalence principle (PDLT chapter 9) asks for equal shares:

# %%
for name in ("relu", "tanh", "gelu"):
    rates = rg.learning_rates(name, depth=4)
    print(f"{name:5} lambda_b {np.round(rates.lambda_b, 4)}  lambda_W {np.round(rates.lambda_W, 4)}")

# %%
DEPTHS = np.array([8, 16, 32, 64, 128, 256])
last = {}
fig, axes = plt.subplots(figsize=(6, 3.7), layout="constrained")
for name, colour in (("relu", BLUE), ("tanh", ORANGE), ("gelu", GREEN)):
    one = found[name]
    for equal in (True, False):
        values = []
        for depth in DEPTHS:
            net = rg.MLP.uniform(n_in=1, width=1, depth=int(depth), activation=name)
            net = rg.tune(net, learning_rates=equal)
            ds = rg.flow(net, first_kernel=one.K_star or 1.0, tensors=["Theta"], order=0)
            values.append(float(ds["Theta"][-1]))
        last[name, equal] = np.array(values)
        axes.loglog(DEPTHS, values, color=colour, ls="-" if equal else ":", marker="o", ms=4)
    axes.plot([], [], color=colour, marker="o", ms=4, label=name)
axes.plot([], [], color=GREY, label="equal shares")
axes.plot([], [], color=GREY, ls=":", label="the same rates in every layer")
axes.set(xlabel="depth $L$", ylabel=r"$\Theta$ of the last layer")
axes.legend(ncols=2)
plt.show()

# %% [markdown]
# ## 6. Real networks
#
# Does a formula that nobody has tabulated hold for networks that are drawn at random? Two user-defined activations, at
# their critical points, sampled at width 64, from a small kernel and from $K^*$; theory is the flow with its
# corrections, and the band what it leaves out.

# %%
WIDTH, DEPTH = 64, 12
fig, panels = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
sampled = {}
for axes, name, seed in zip(panels, ("z - z^3*exp(-z^2)/2", "z + z^3*exp(-z^2)"), (1, 2), strict=True):
    one = found[name]
    net = rg.tune(rg.MLP.uniform(n_in=WIDTH, width=WIDTH, depth=DEPTH, activation=name))
    start = one.K_star or 0.1
    theory = rg.total(rg.flow(net, first_kernel=start, tensors=["K", "V"], order=2))
    nets = rg.sample(net, first_kernel=start, tensors=["K", "V"], networks=NETWORKS, seed=seed)
    sampled[name] = theory, nets
    layer = theory["layer"]
    axes.plot(layer, theory["V"], color=BLUE, label="theory")
    low, high = theory["V"] - theory["V_error"], theory["V"] + theory["V_error"]
    axes.fill_between(layer, low, high, color=BLUE, alpha=0.15, lw=0)
    axes.errorbar(layer, nets["V"], 2 * nets["V_se"], fmt="o", ms=4, color=ORANGE, capsize=2, label="sampled networks")
    axes.set(xlabel=r"layer $\ell$", ylabel="four-point vertex $V$", title=f"{name}: {one.universality_class}")
    axes.legend()
plt.show()

# %% [markdown]
# ## 7. The check
#
# What was said above, as statements that fail if they are wrong.

# %%
assert {one.vertex_growth for one in found.values() if one.universality_class == "K*=0"} == {sp.Rational(2, 3)}
assert [found[name].vertex_growth for name in ("linear", "relu")] == [2, 5]
assert found["z + z^3*exp(-z^2)"].universality_class == "half-stable"
assert exact.passed
assert asymptotic.passed
for name, ratio in collapsed.items():
    before, after = abs(ratio[[100, -1]] - 1)
    assert after < 0.02, name  # at layer 1000 the leading law is good to two percent
    assert after < before / 3, name  # and it gets better, as ln l/l
assert diagram["phase"].sel(C_W=1.0, C_b=0.0, method="nearest") == 0
for name in ("relu", "tanh", "gelu"):
    equal, constant = last[name, True], last[name, False]
    assert abs(equal[-1] / equal[-2] - 1) < 0.05, name
    assert 1.8 < constant[-1] / constant[-2] < 2.2, name
for name, (theory, nets) in sampled.items():
    for letter in ("K", "V"):
        allowed = theory[f"{letter}_error"] + 5 * nets[f"{letter}_se"]
        assert bool((abs(nets[letter] - theory[letter]) <= allowed).all()), (name, letter)
print("all checks hold")

# %% [markdown]
# Next: [Residual networks remember](residual_networks_remember.py), where a skip connection changes all of this.
