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
# # The NTK and its fluctuations
#
# For a reader with *The Principles of Deep Learning Theory* (PDLT,
# [arXiv:2106.10165](https://arxiv.org/abs/2106.10165)) open at chapters 7, 8 and 11. The neural tangent kernel (NTK)
# says how fast a network learns. At infinite width it is a number, the same for every network and at every time. At
# width $n$ it differs from network to network, it knows how loudly its network speaks, and one step of learning
# changes it; its variance, its correlations and its changes are of order $1/n$. We derive each of the three, and
# compare with networks drawn, and trained for one step, in plain NumPy.
#
# Open this page in Jupyter (`.ipynb`) or run it as a script (`.py`). The environment variable `RGFLOW_NOTEBOOK=full`
# draws twenty times as many networks.

# %%
import os
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import display

import rgflow as rg

NETWORKS = 80_000 if os.environ.get("RGFLOW_NOTEBOOK") == "full" else 4_000
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#777777"  # safe for colour-blind readers
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False})

# %% [markdown]
# ## 1. One step of gradient descent
#
# A step moves the parameters by $d\theta_\mu = -\eta\,\lambda_{\mu\nu}\,\partial L/\partial\theta_\nu$, with
# $\lambda_b$ for a bias and $\lambda_W/n$ for a weight. To first order in $\eta$ the outputs $z_i$ then move by
# $dz_i = -\eta\sum_j \widehat H_{ij}\,\partial L/\partial z_j$, where
#
# $$\widehat H_{ij} = \sum_{\mu\nu}\lambda_{\mu\nu}\,
# \frac{\partial z_i}{\partial\theta_\mu}\frac{\partial z_j}{\partial\theta_\nu}$$
#
# is the NTK. It has a hat since it is made of random parameters. Its mean is $\Theta\,\delta_{ij}$, and passes from
# layer to layer like this ($'$ on the left is the new layer, $\langle\cdot\rangle$ a Gaussian average with kernel $K$):

# %%
print(rg.derive("Theta"))

# %% [markdown]
# Read from the left: what the new layer's biases learn, what its weights learn, and what all layers below learn,
# handed on by $\chi_\perp = C_W\langle\sigma'\sigma'\rangle$. At criticality $\chi_\perp\to1$, nothing is lost on the
# way, and $\Theta$ grows with depth.
#
# ## 2. It differs from network to network
#
# Write $\widehat H_{ij} = \Theta\,\delta_{ij} + \Delta H_{ij}$. The covariance of $\Delta H$ has two parts, for there
# are two ways to pair the neurons:
#
# $$E[\Delta H_{i_1i_2}\,\Delta H_{i_3i_4}] = \tfrac1n\big(\delta_{12}\delta_{34}\,A
# + \delta_{13}\delta_{24}\,B + \delta_{14}\delta_{23}\,B\big)$$
#
# $A$: all outputs of a network learn faster together. $B$: learning one output disturbs another. For one output the
# variance is $(A+2B)/n$; between two outputs, where the mean is zero, it is $B/n$.

# %%
print(rg.derive("B"))
display(rg.derive("B"))
print("A:", len(rg.derive("A").terms), "terms, from", ", ".join(rg.derive("A").depends_on))

# %% [markdown]
# $B$ needs nothing but the mean NTK: a source from the neurons of one layer, and what is already there, multiplied by
# $\chi_\perp^2$. $A$ also hears of the fluctuations of the preactivations ($V$) and of their correlation with the NTK
# ($D$). For ReLU every step is solved in closed form; $k$ is the first kernel:

# %%
for name in ("Theta", "A", "B"):
    print(rg.solve(name, "relu"))

# %% [markdown]
# Through the depth of a critical tanh network, beside networks sampled by rgflow. Left: the mean, and one standard
# deviation of $\widehat H$ either way. Right: that deviation in units of the mean grows like
# $\sqrt{\text{depth}/\text{width}}$; at width 16 the next order shows.

# %%
DEPTH = 12


def spread(ds):
    """Standard deviation of the NTK of one output, from A and B; zero at the first layer, where A = B = 0."""
    return np.sqrt((ds["A"] + 2 * ds["B"]) / ds["fan_in"])


fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
relative = {}
for width, colour in ((16, ORANGE), (64, BLUE), (256, GREEN)):
    net = rg.MLP.uniform(n_in=1, width=width, depth=DEPTH, activation="tanh")
    ds = rg.flow(net, first_kernel=1.0, tensors=["Theta", "A", "B"], order=1)
    relative[width] = spread(ds) / ds["Theta"]
    right.plot(ds["layer"], relative[width], color=colour, label=f"width {width}")
    if width == 64:
        left.plot(ds["layer"], ds["Theta"], color=colour, label=r"$\Theta$, width 64")
        left.fill_between(
            ds["layer"], ds["Theta"] - spread(ds), ds["Theta"] + spread(ds), color=colour, alpha=0.15, lw=0
        )
    if width < 256:
        nets = rg.sample(net, first_kernel=1.0, tensors=["Theta", "A", "B"], networks=1000, seed=width)
        error = np.hypot(nets["A_se"], 2 * nets["B_se"])[1:] / (2 * nets["fan_in"] * spread(nets))[1:]
        right.errorbar(
            nets["layer"][1:], (spread(nets) / nets["Theta"])[1:], 2 * error / nets["Theta"][1:],
            fmt="o", ms=4, capsize=2, color=colour,
        )  # fmt: skip
left.set(xlabel=r"layer $\ell$", ylabel="tangent kernel", ylim=(0, None))
left.legend(loc="upper left")
right.set(
    xlabel=r"layer $\ell$", ylabel=r"$\sqrt{(A+2B)/n}\;/\;\Theta$", title="dots: sampled networks, two standard errors"
)
right.legend(loc="upper left")
plt.show()

# %% [markdown]
# ## 3. From first principles
#
# So far all came from rgflow. Here is a witness that knows nothing of it: networks with all their weights,
# drawn in NumPy, their NTK summed parameter by parameter with backpropagation. There are two outputs; a step of
# gradient descent can be taken on the loss $\frac12 z_1^2$ of the first.


# %%
TANH = np.tanh, lambda z: 1 / np.cosh(z) ** 2, 1.0  # sigma, sigma', and C_W at criticality, where C_b = 0
RELU = lambda z: np.maximum(z, 0), lambda z: 1.0 * (z > 0), 2.0
PORTION = 250  # networks at a time


def gradients(parameters, x, activation):
    """Outputs z, and for each layer what it reads and the derivatives of both outputs with respect to its z."""
    sigma, slope, _ = activation
    reads, slopes = [np.broadcast_to(x, (len(parameters[0][0]), len(x)))], []
    for W, b in parameters:
        z = (W @ reads[-1][:, :, None])[:, :, 0] + b
        reads.append(sigma(z))
        slopes.append(slope(z))
    back = [np.broadcast_to(np.eye(2), (len(z), 2, 2))]
    for (W, _), below in zip(parameters[:0:-1], slopes[-2::-1], strict=True):
        back.append(back[-1] @ W * below[:, None, :])
    return z, list(zip(reads[:-1], back[::-1], strict=True))


def tangent_kernel(parameters, x, activation):
    """z of shape (networks, 2) and the NTK of shape (networks, 2, 2), with lambda_b = lambda_W = 1."""
    z, layers = gradients(parameters, x, activation)
    return z, sum((d @ d.swapaxes(1, 2)) * (1 + (s**2).mean(axis=1))[:, None, None] for s, d in layers)


def after_a_step(parameters, x, activation, eta):
    """The parameters after one step of gradient descent on the loss of the first output, z_1^2 / 2."""
    z, layers = gradients(parameters, x, activation)
    push = -eta * z[:, :1]
    return [
        (W + (push * d[:, 0])[:, :, None] * (s / s.shape[1])[:, None, :], b + push * d[:, 0])
        for (W, b), (s, d) in zip(parameters, layers, strict=True)
    ]


def drawn(activation, depth, width, networks, seed, eta=0.0):
    """Outputs, NTK, and, if eta is not 0, how fast a step changes the NTK of the first output."""
    rng, found, sizes = np.random.default_rng(seed), [], [len(x), *[width] * (depth - 1), 2]
    for _ in range(networks // PORTION):
        parameters = [
            (rng.standard_normal((PORTION, m, n)) * np.sqrt(activation[2] / n), np.zeros((PORTION, m)))
            for n, m in pairwise(sizes)
        ]
        z, H = tangent_kernel(parameters, x, activation)
        moved = after_a_step(parameters, x, activation, eta) if eta else None
        change = (tangent_kernel(moved, x, activation)[1] - H)[:, 0, 0] / eta if moved else np.zeros(len(H))
        found.append((z, H, change))
    return [np.concatenate(parts) for parts in zip(*found, strict=True)]


x = np.array([1.0, -1.0, 1.0, 1.0, -1.0])  # x.x/n_0 = 1
WIDTHS = (16, 32, 64)
networks = {n: drawn(TANH, 4, n, NETWORKS * 32 // n, seed=n, eta=1e-3) for n in WIDTHS}
letters = {}
for n in WIDTHS:
    net = rg.MLP([len(x), n, n, n, 2], "tanh")
    letters[n] = rg.flow(net, inputs=x, tensors=["Theta", "A", "B", "P", "Q"], order=1).isel(layer=-1)

# %% [markdown]
# The NTK of one output, and between the two, at four layers. Dashed: Gaussians whose variances are $(A+2B)/n$ and
# $B/n$ (only these are predicted; the sampled distributions have tails to the right, of the next order).

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
for n, colour in ((16, ORANGE), (64, BLUE)):
    ds, H = letters[n], networks[n][1]
    mean, own, mixed = float(ds["Theta"] + ds["Theta_1"] / n), float(spread(ds)), float(np.sqrt(ds["B"] / n))
    for axes, values, centre, size in ((left, H[:, 0, 0], mean, own), (right, H[:, 0, 1], 0.0, mixed)):
        reach = 4 * size * np.sqrt(n / 16)  # the same for both widths
        edges = np.linspace(centre - reach, centre + reach, 49)
        axes.hist(values, edges, density=True, color=colour, alpha=0.35, label=f"width {n}")
        line = np.linspace(centre - 4 * size, centre + 4 * size, 200)
        bell = np.exp(-((line - centre) ** 2) / (2 * size**2)) / np.sqrt(2 * np.pi) / size
        axes.plot(line, bell, color=colour, ls="--")
left.set(xlabel=r"$\widehat H_{11}$", ylabel="density", title="one output")
right.set(xlabel=r"$\widehat H_{12}$", title="between two outputs")
left.legend()
plt.show()

# %% [markdown]
# ## 4. It knows how loudly its network speaks
#
# $\widehat H$ and the outputs are made of the same parameters, so they are correlated:
#
# $$E[z_{i_1}z_{i_2}\,\Delta H_{i_3i_4}] = \tfrac1n\big(\delta_{12}\delta_{34}\,D
# + \delta_{13}\delta_{24}\,F+\delta_{14}\delta_{23}\,F\big)$$
#
# At order $1/n$ the mean NTK of those networks whose first output is $z$ is then a parabola,
# $\Theta + \frac{D+2F}{2nK}\big(\frac{z^2}{K}-1\big)$, and the same with $D$ alone for the NTK of the *other* output.
# For tanh the two are small, since large preactivations saturate. Nothing saturates in a ReLU network, and $D$ and $F$
# grow like the square of the depth:

# %%
for name in ("D", "F"):
    print(rg.solve(name, "relu"))
n, depth = 64, 3
relu = rg.flow(rg.MLP([len(x), n, n, 2], "relu", C_W=2.0), inputs=x, tensors=["K", "Theta", "D", "F"]).isel(layer=-1)
K, D, F = (float(relu[name]) for name in ("K", "D", "F"))
mean = float(relu["Theta"] + relu["Theta_1"] / n)
z, H, _ = drawn(RELU, depth, n, 2 * NETWORKS, seed=1)
size = np.abs(z[:, 0]) / np.sqrt(K)
edges = np.linspace(0, 2, 9)
centre, place = (edges[1:] + edges[:-1]) / 2, np.digitize(size, edges) - 1
line = np.linspace(0, 2, 100)
fig, axes = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
binned = {}
for which, bend, colour, label in ((0, D + 2 * F, BLUE, r"$\widehat H_{11}$"), (1, D, ORANGE, r"$\widehat H_{22}$")):
    values = [H[place == b, which, which] for b in range(8)]
    average = np.array([part.mean() for part in values])
    error = np.array([part.std(ddof=1) / np.sqrt(len(part)) for part in values])
    predicted = [mean + bend / (2 * n * K) * (np.mean(size[place == b] ** 2) - 1) for b in range(8)]
    binned[which] = average, error, np.array(predicted)
    axes.plot(line, mean + bend / (2 * n * K) * (line**2 - 1), color=colour, label=label)
    axes.errorbar(centre, average, 2 * error, fmt="o", ms=4, capsize=2, color=colour)
axes.axhline(float(relu["Theta"]), color=GREY, ls=":", label=r"$\Theta$, infinite width")
axes.set(xlabel=r"$|z_1|/\sqrt{K}$", ylabel="mean tangent kernel", title=f"ReLU, three layers, width {n}")
axes.legend()
plt.show()

# %% [markdown]
# Networks that speak loudly learn fast, in all their outputs.

# %% [markdown]
# ## 5. It moves
#
# An infinitely wide network keeps its NTK while it learns; then its features do not move, and learning is regression
# with a fixed kernel. At width $n$ the NTK has a differential, $\widehat{dH}_{012} =
# \sum\lambda\lambda\,\partial^2z_0\,\partial z_1\,\partial z_2$, which is odd in the outputs and so has no mean, but is
# correlated with them (PDLT chapter 11):
#
# $$E[\widehat{dH}_{i_0i_1i_2}\,z_{i_3}] = \tfrac1n\big(\delta_{03}\delta_{12}\,P + \delta_{01}\delta_{23}\,Q
# + \delta_{02}\delta_{13}\,Q\big)$$

# %%
print(rg.derive("P"))
print(rg.derive("Q"))

# %% [markdown]
# A step on the loss $\frac12(z_1-y)^2$ of one output changes its NTK by $-2\eta\,\widehat{dH}_{111}(z_1-y)$, on average
# by $-\frac{2\eta}n(P+2Q)$, whatever $y$ is. For tanh $P$ and $Q$ are negative: shrinking the output moves neurons out
# of saturation, and the NTK grows. Here is $n$ times the rate of change in drawn networks that took a step, at three
# widths. At $1/n = 0$ stands the theory; the next order is too small to be seen here.

# %%
rate, rate_error = (np.zeros(len(WIDTHS)) for _ in range(2))
for at, n in enumerate(WIDTHS):
    change = n * networks[n][2]
    rate[at], rate_error[at] = change.mean(), change.std(ddof=1) / np.sqrt(len(change))
predicted = -2 * float(letters[64]["P"] + 2 * letters[64]["Q"])
inverse = 1 / np.array(WIDTHS)
fig, axes = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
axes.errorbar(inverse, rate, 2 * rate_error, fmt="o", ms=5, capsize=2, color=ORANGE, label="one step, drawn networks")
axes.plot(0, predicted, "D", ms=8, color=BLUE, clip_on=False, zorder=3, label="$-2(P+2Q)$")
axes.axhline(predicted, color=BLUE, ls=":")
axes.axhline(0, color=GREY, lw=0.8)
axes.text(inverse[0], 0.15, "a kernel that stands still", color=GREY, ha="right", va="bottom")
axes.set(xlabel="$1/n$", ylabel=r"$n\,\times$ change of the NTK $/\,\eta$", xlim=(0, None), ylim=(-0.4, None))
axes.legend(loc="center right")
plt.show()

# %% [markdown]
# ## 6. The check
#
# What was said above, as statements that fail if they are wrong. Twice an average at width 64 less that at width 32 has
# no term of the next order in $1/n$, and must be the theory's leading one, within five standard errors and two percent
# for the order after that. And each is seen: zero, which is infinite width, is excluded.

# %%
seen = {  # from outputs, NTK and its change, at width n
    "A + 2B": (lambda n, z, H, change: n * (H[:, 0, 0] - H[:, 0, 0].mean()) ** 2, ("A", "B", "B")),
    "B": (lambda n, z, H, change: n * H[:, 0, 1] ** 2, ("B",)),
    "P + 2Q": (lambda n, z, H, change: -n / 2 * change, ("P", "Q", "Q")),
}
for name, (observed, parts) in seen.items():
    values = [observed(n, *networks[n]) for n in WIDTHS[1:]]
    errors = [each.std(ddof=1) / np.sqrt(len(each)) for each in values]
    found, error = 2 * values[1].mean() - values[0].mean(), np.hypot(2 * errors[1], errors[0])
    known = sum(float(letters[64][part]) for part in parts)
    print(f"{name:7} theory {known:+.3f}, networks {found:+.3f} +- {error:.3f}")
    assert abs(found - known) < 5 * error + 0.02 * abs(known), name
    assert abs(found) > 5 * error, name
for average, error, expected in binned.values():
    assert np.all(np.abs(average - expected) < 5 * error + 0.03 * mean)  # the next order of a ReLU network
for which in (0, 1):
    loud, soft = H[size > 1.2, which, which], H[size < 0.6, which, which]
    error = np.hypot(loud.std(ddof=1) / np.sqrt(len(loud)), soft.std(ddof=1) / np.sqrt(len(soft)))
    assert loud.mean() - soft.mean() > 5 * error
for name, value in (("D", D), ("F", F)):
    assert np.isclose(value, float(rg.solve(name, "relu").at(depth, k=2.0, lambda_b=1, lambda_W=1)))  # C_W x.x/n_0 = 2
growing = [float(curve[-1]) for curve in relative.values()]
assert np.allclose(np.divide(growing[:-1], growing[1:]), 2, rtol=1e-6)  # like 1/sqrt(n)
print("all checks hold")

# %% [markdown]
# Next: [Universality classes](universality_classes.py), where powers of the depth come from.
