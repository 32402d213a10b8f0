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
# # LayerNorm and partial Jacobians
#
# For a reader with Doshi, He and Gromov's paper ([arXiv:2111.12143](https://arxiv.org/abs/2111.12143)) at hand. How far
# does one layer move when another one, far below, is moved? The answer says whether a deep network can be trained. We
# derive it, see what a norm does to it, before and after the activation, and go beyond infinite width, where the norm
# itself fluctuates.
#
# Open this page in Jupyter (`.ipynb`) or run it as a script (`.py`). The environment variable `RGFLOW_NOTEBOOK=full`
# draws wider networks, and more of them.

# %%
import os

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import display
from sympy import lambdify

import rgflow as rg

FULL = os.environ.get("RGFLOW_NOTEBOOK") == "full"
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#777777"  # safe for colour-blind readers
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False})


def network(layer, activation, layers, width):
    """Equal layers between a dense first and last one."""
    return rg.Network([rg.Dense(), *[layer] * layers, rg.Dense()], [width] * (layers + 2) + [1], activation)


# %% [markdown]
# ## 1. A tangent kernel of one layer
#
# $\mathcal{J}^{\ell_0,\ell} = E\,\frac{1}{n_\ell}\sum_{ij}\big(\partial z^{\ell}_j/\partial z^{\ell_0}_i\big)^2$ is
# what the neural tangent kernel would be if nothing but $z^{\ell_0}$ were moved, in one random direction. So
# nothing new has to be derived by hand:

# %%
for layer in (rg.Dense(), rg.Residual(), rg.Branch()):
    print(rg.derive("J", layer=layer))
print("relu:", rg.closed_form(rg.derive("J"), "relu"))

# %% [markdown]
# The factor of one layer is $\chi_J$. Where it tends to 1 the network is critical, and
# $\mathcal{J} \sim \ell^{-\zeta}$; elsewhere it grows or falls exponentially, and with a skip of 1 and a bounded
# activation in between:

# %%
for name, layer, what in (
    ("tanh", None, "critical"),
    ("relu", None, "critical"),
    ("tanh", rg.Dense(C_W=1.5), "C_W = 1.5"),
    ("relu", rg.Residual(skip=1.0, C_W=1.0), "C_W = 1, skip 1"),
    ("erf", rg.Residual(skip=1.0, C_W=1.0), "C_W = 1, skip 1"),
):
    law = rg.jacobian_law(name, layer)
    print(f"{name}, {what}: {law} ({law.regime})")

# %% [markdown]
# ## 2. A norm
#
# `LayerNorm` takes the mean over the neurons of an input away and divides by the root of their variance, before the
# activation or after it.

# %%
for place in ("before", "after"):
    print(f"-- {place}")
    print(rg.derive("K", layer=rg.LayerNorm(place=place)))
    print(str(rg.derive("J", layer=rg.LayerNorm(place=place))).splitlines()[-2])
display(rg.derive("J", layer=rg.LayerNorm(place="after")))

# %% [markdown]
# Before it, the weights read $\langle\sigma\sigma\rangle$ at a kernel of 1, whatever the layer below was. So
# criticality is a line, $C_b = c\,C_W$, and the same for every skip. After it, that holds only for scale-invariant
# activations.

# %%
for place in ("before", "after"):
    for name in ("relu", "gelu", "erf"):
        print(f"{place:6s} {name:5s} {rg.critical_line(name, rg.LayerNorm(place=place, skip=0.5))}")

# %% [markdown]
# Without biases relu shows which placement is the more stable one. With the norm before it every $C_W$ is critical;
# with the norm after it Jacobians grow by the same factor in every layer, whatever $C_W$.

# %%
before, after = rg.LayerNorm(C_W=2.0), rg.LayerNorm(C_W=2.0, place="after")
for layer in (before, after):
    law = rg.jacobian_law("relu", layer)
    print(f"{layer.place:6s} {law}   correlation length {law.xi_J:.4g} layers")

LAYERS, WIDTH, NETWORKS = (16, 192, 200) if FULL else (16, 128, 100)
flows = {
    layer.place: rg.partial_jacobian(network(layer, "relu", LAYERS, WIDTH), first_kernel=1.0)
    for layer in (before, after)
}
drawn = {
    layer.place: rg.sample_jacobian(network(layer, "relu", 8, WIDTH), first_kernel=1.0, networks=NETWORKS, seed=7)
    for layer in (before, after)
}
fig, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
for place, colour in (("before", BLUE), ("after", ORANGE)):
    theory, nets = flows[place].isel(layer=slice(0, -1)), drawn[place].isel(layer=slice(0, -1))
    axes[0].plot(theory.layer, theory.J, color=colour, label=f"norm {place} relu")
    axes[0].errorbar(nets.layer, nets.J, 3 * nets.J_se, fmt="o", ms=3, color=colour)
axes[0].set(
    yscale="log",
    xlabel="layer",
    ylabel=r"$\mathcal{J}^{1,\ell}$",
    title=f"points: {NETWORKS} networks of width {WIDTH}, 3 s.e.",
)
axes[0].legend()

line = rg.critical_line("erf", rg.LayerNorm())
C_W, C_b = np.meshgrid(np.linspace(0.02, 4, 120), np.linspace(0, 1, 120))
chi = lambdify(sorted(line.chi_J.free_symbols, key=str), line.chi_J)(C_W, C_b)  # symbols in the order C_W, C_b
levels = axes[1].contourf(C_W, C_b, chi, levels=np.linspace(0.4, 1.6, 13), cmap="RdBu_r", extend="both")
axes[1].plot(C_W[0], float(line.slope) * C_W[0], color="black", label=r"$\chi_J = 1$")
axes[1].set(xlabel=r"$C_W$", ylabel=r"$C_b$", ylim=(0, 0.6), title="erf, norm before it")
axes[1].legend()
fig.colorbar(levels, ax=axes[1], label=r"$\chi_J$ of deep networks")
plt.show()

# %% [markdown]
# ## 3. Everywhere critical
#
# With a skip of 1 a kernel behind a norm grows like the depth, and every layer adds less to what is there: $\chi_J - 1$
# falls like $1/\ell$, for every $C_W$ and $C_b$. No choice of variances makes such a network explode.

# %%
fig, axis = plt.subplots(figsize=(6, 3.6), layout="constrained")
for name, colour in (("relu", BLUE), ("erf", ORANGE), ("gelu", GREEN)):
    layer = rg.LayerNorm(skip=1.0, C_W=1.0)
    law = rg.jacobian_law(name, layer)
    J = rg.partial_jacobian(network(layer, name, 100, 100), first_kernel=1.0)["J"].isel(layer=slice(1, -1))
    axis.loglog(J.layer, J, color=colour, label=rf"{name}: $\zeta$ = {float(law.zeta):.4f}")
    grown = np.log(float(J[-1] / J[48])) / np.log(float(J.layer[-1] / J.layer[48]))
    print(f"{name}: {law}, slope between layers 50 and 101 {grown:.3f}")
    assert abs(grown + float(law.zeta)) < 0.03
axis.set(xlabel="layer", ylabel=r"$\mathcal{J}^{1,\ell}$", title="LayerNorm before the activation, skip 1")
axis.legend()
plt.show()

# %% [markdown]
# ## 4. The norm fluctuates
#
# At width $n$ the variance over neurons is not its mean. It fluctuates with the very neurons that it divides, and what
# comes out lies on a sphere. The line of the metric's fluctuation says so: the noise of $\sigma^2$, less the part of it
# that a change of length would make.

# %%
print(rg.derive("V", layer=rg.RMSNorm()))

# %% [markdown]
# For $\sigma = z^2$ the sphere can be done by hand: $E[y^4] = 3n/(n+2)$, so that $K_1 = -6\,C_W$, and $V = 24\,C_W^2$.
# Without the norm $V$ would be $96\,C_W^2$ and more, from layer to layer.

# %%
square = network(rg.RMSNorm(C_b=0.3, C_W=0.7), "z^2", 2, 64)
found = rg.flow(square, first_kernel=2.0, tensors=["K", "V"])
print(found["K_1"].values[1:3], -6 * 0.7, found["V"].values[1:3], 24 * 0.7**2)
assert np.allclose(found["K_1"][1:3], -6 * 0.7)
assert np.allclose(found["V"][1:3], 24 * 0.7**2)

# %% [markdown]
# And real networks: gelu between norms and skips, the four-point vertex at two widths. $2V_{2n} - V_n$ removes the next
# order. With a norm after the activation there is nothing left to fluctuate for one input.

# %%
fig, axis = plt.subplots(figsize=(6, 3.6), layout="constrained")
for (layer, label), colour in zip(
    (
        (rg.Residual(skip=0.8, C_W=1.2, C_b=0.1), "no norm"),
        (rg.RMSNorm(skip=0.8, C_W=1.2, C_b=0.1), "RMSNorm before"),
        (rg.LayerNorm(skip=0.8, C_W=1.2, C_b=0.1), "LayerNorm before"),
        (rg.LayerNorm(skip=0.8, C_W=1.2, C_b=0.1, place="after"), "LayerNorm after"),
    ),
    (GREY, GREEN, BLUE, ORANGE),
    strict=True,
):
    theory = rg.flow(network(layer, "gelu", 4, 32), first_kernel=1.0, tensors=["K", "V"]).isel(layer=slice(0, -1))
    nets = [
        rg.sample(
            network(layer, "gelu", 4, n),
            first_kernel=1.0,
            tensors=["K", "V"],
            networks=60_000 if FULL else 4_000,
            seed=n,
        )
        for n in (32, 64)
    ]
    unit = theory["K"].values ** 2
    vertex = (2 * nets[1]["V"] - nets[0]["V"]).values[:-1] / unit
    error = np.hypot(2 * nets[1]["V_se"], nets[0]["V_se"]).values[:-1] / unit
    axis.plot(theory.layer, theory["V"] / unit, color=colour, label=label)
    axis.errorbar(theory.layer, vertex, 2 * error, fmt="o", ms=3, color=colour)
    assert (
        np.abs(vertex - theory["V"].values / unit)[1:] < 4 * error[1:] + 0.05 * theory["V"].values[1:] / unit[1:]
    ).all()
axis.set(xlabel="layer", ylabel="$V/K^2$", title="how much the kernel varies between networks", xticks=range(1, 6))
axis.legend()
plt.show()

# %% [markdown]
# Next: [A transformer at initialisation](a_transformer_at_initialisation.py), where norms and skips meet attention.
