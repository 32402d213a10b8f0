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
# # Bayes beyond Gaussian processes
#
# An infinitely wide random network is a Gaussian process: its prior is Gaussian, its outputs do not know of each other,
# and no data change its kernel. A network of width $n$ is none of these. At first order in $1/n$ it is a Gaussian
# process *whose kernel is random*, and everything follows from that: a prior with tails, outputs that share their
# kernel, and a posterior in which the data choose among kernels. That is the simplest form of feature learning. For
# readers of Yaida's *Non-Gaussian processes and neural networks at finite widths*
# ([arXiv:1910.00019](https://arxiv.org/abs/1910.00019)) and chapters 4 and 6 of *The Principles of Deep Learning
# Theory*.
#
# Open this page in Jupyter (`.ipynb`) or run it as a script (`.py`).

# %%
import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import rgflow as rg

BLUE, ORANGE, GREEN, PINK, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#777777"  # safe for colour-blind readers
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False})

# %% [markdown]
# ## 1. A prior with tails
#
# The outputs of a ReLU network of one hidden layer of 40 neurons, at one input. Their excess kurtosis is $3V/(nK^2)$,
# here $15/n$, and squares of two different outputs are correlated: a network that is large in one output is large in
# the others.

# %%
net = rg.MLP([2, 40, 2], "relu", C_W=2.0)
before = rg.prior(net, [1.0, 0.5])
print(f"excess kurtosis {before.kurtosis()[0]:.3f}, correlation of squares {before.correlation()[0, 0]:.4f}")


# %% [markdown]
# Beside it real networks, in NumPy, with all their weights.


# %%
def outputs(net, x, networks, seed):
    rng = np.random.default_rng(seed)
    hidden = rng.standard_normal((networks, net.widths[1], 2)) @ x * np.sqrt(net.layers[0].C_W / 2)
    top = rng.standard_normal((networks, net.widths[2], net.widths[1])) * np.sqrt(net.layers[1].C_W / net.widths[1])
    return (top @ np.maximum(hidden, 0)[:, :, None])[:, :, 0]


real = outputs(net, np.array([1.0, 0.5]), 60_000, seed=1)
size = np.sqrt(before.kernel[0, 0])
edges = np.linspace(-4.5, 4.5, 46) * size
middle = (edges[1:] + edges[:-1]) / 2
counts = np.histogram(real, edges)[0]
gauss = np.exp(-((middle / size) ** 2) / 2) / np.sqrt(2 * np.pi) / size
with warnings.catch_warnings():  # at the ends the term of order 1/n is as large as the density itself
    warnings.simplefilter("ignore", rg.DomainWarning)
    finite = before.density(middle[:, None, None])
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
width = edges[1] - edges[0]
left.errorbar(
    middle / size,
    counts / real.size / width / gauss,
    2 * np.sqrt(counts + 1) / real.size / width / gauss,
    fmt="o",
    ms=3,
    color=GREY,
    label="networks",
)
left.plot(middle / size, finite / gauss, color=ORANGE, label="order $1/n$")
left.axhline(1, color=BLUE, label="infinite width")
left.set(xlabel=r"$z/\sqrt{K}$", ylabel="density / Gaussian", ylim=(0.5, 3), title="one output")
left.legend()
large = np.abs(real[:, 0]) / size
bins = np.linspace(0, 3, 11)
place = np.digitize(large, bins) - 1
others = np.array([np.mean(real[place == b, 1] ** 2) for b in range(10)]) / size**2
spread = np.array([np.std(real[place == b, 1] ** 2) / np.sqrt((place == b).sum()) for b in range(10)]) / size**2
centre = (bins[1:] + bins[:-1]) / 2
v = before.cumulant([0, 0, 1, 1], [0] * 4) / before.kernel[0, 0] ** 2
right.errorbar(centre, others, 2 * spread, fmt="o", ms=3, color=GREY)
right.plot(centre, 1 + v / 2 * (centre**2 - 1), color=ORANGE)
right.axhline(1, color=BLUE)
right.set(xlabel=r"$|z_1|/\sqrt{K}$", ylabel=r"$E[z_2^2\,|\,z_1]/K$", title="the other output")
plt.show()

# %% [markdown]
# ## 2. A posterior whose outputs talk
#
# Five points, two functions to learn at once, a network of two hidden layers of 30. Given the data, the kernel has
# moved towards kernels under which the targets are likely, and what one output does is evidence about the other.

# %%
rng = np.random.default_rng(3)
x = np.array([-1.6, -0.9, -0.2, 0.6, 1.5])
y = np.stack([np.sin(2 * x), 0.5 * x**2 - 0.6], axis=1)
line = np.linspace(-2.4, 2.4, 49)


def lifted(values):
    return np.stack([values, np.ones_like(values)], axis=1) * np.sqrt(2)


small = rg.MLP([2, 30, 30, 2], "tanh", C_b=0.05, C_W=[2.0, 1.8, 1.8])
after = rg.posterior(small, (lifted(x), y), lifted(line), noise=0.05, modes="sampled", draws=2**13, seed=1)
measures = dict(zip(after["doubt"].values.tolist(), after["measure"].values.round(3).tolist(), strict=True))
print(f"trusted: {bool(after['trusted'])}, {measures}")

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
diagonal = np.arange(len(line))
for output, colour in ((0, BLUE), (1, GREEN)):
    mean = after["mean"].values[:, output]
    deviation = np.sqrt(after["covariance"].values[diagonal, diagonal, output, output])
    left.fill_between(line, mean - deviation, mean + deviation, color=colour, alpha=0.15)
    left.plot(line, after["mean_infinite"].values[:, output], color=colour, ls=":")
    left.plot(line, mean, color=colour)
    left.plot(x, y[:, output], "o", color=colour)
left.set(xlabel="$x$", ylabel="outputs", title="dotted: infinite width")
coupling = after["covariance"].values[diagonal, diagonal, 0, 1]
error = after["covariance_se"].values[diagonal, diagonal, 0, 1]
both = np.sqrt(np.prod([after["covariance"].values[diagonal, diagonal, o, o] for o in (0, 1)], axis=0))
right.fill_between(line, (coupling - 2 * error) / both, (coupling + 2 * error) / both, color=ORANGE, alpha=0.3)
right.plot(line, coupling / both, color=ORANGE)
right.axhline(0, color=GREY, lw=0.8)
right.set(xlabel="$x$", ylabel="correlation of the two outputs", title="zero at infinite width")
plt.show()

# %% [markdown]
# ## 3. Digits, and where the expansion ends
#
# Fifty images, ten outputs, one hidden layer of ReLU. The shift of the mean is linear in $1/n$, so that one posterior
# tells all widths. Its squared error against the labels of other images falls as $1/n$ rises from zero, to a minimum,
# and then the expansion breaks: a parabola must. `rg.posterior` does not wait for that. Its flag rises where the data
# would move the kernel by half of itself (`strain`), long before.

# %%
digits = load_digits()
order = np.random.default_rng(0).permutation(len(digits.data))
images = digits.data / np.linalg.norm(digits.data, axis=1, keepdims=True) * 8
labels = np.eye(10)[digits.target] - 0.1
train, test = order[:50], order[50:350]
wide = rg.MLP([64, 400, 10], "relu", C_W=[1.0, 2.0])
learnt = rg.posterior(
    wide,
    (images[train], labels[train]),
    (images[test], labels[test]),
    0.01,
    modes="sampled",
    draws=2**15,
    seed=0,
    covariance="each",
)
assert bool(learnt["trusted"])
inverse = np.linspace(0, 0.04, 81)
means = learnt["mean_infinite"].values + 400 * inverse[:, None, None] * learnt["mean_shift"].values
noise = (400 * inverse) ** 2 * np.square(learnt["mean_se"].values).mean()  # of sampling, which adds to the error
mse = np.square(means - learnt["answers"].values).mean(axis=(1, 2)) - noise
right_answers = (means.argmax(axis=2) == learnt["answers"].values.argmax(axis=1)).mean(axis=1)
flag = float((learnt["limit"] / learnt["measure"]).min()) / 400
best, breakdown = inverse[mse.argmin()], inverse[np.flatnonzero(mse <= mse[0])[-1]]
print(f"flag at 1/n = {flag:.4f}, least error at {best:.4f}, as bad as infinite width at {breakdown:.4f}")

# %% [markdown]
# Beyond the flag a posterior comes with a warning and its reasons:

# %%
narrow = rg.MLP([64, 30, 10], "relu", C_W=[1.0, 2.0])
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    doubtful = rg.posterior(
        narrow, (images[train], labels[train]), images[test[:5]], 0.01, modes="sampled", draws=1024, seed=0
    )
print(caught[-1].category.__name__, "|", doubtful.attrs["doubts"])

# %%
fig, axes = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
axes.axvspan(flag, inverse[-1], color=PINK, alpha=0.12, label="flag up: not to be trusted")
axes.plot(inverse, mse, color=ORANGE, label="mean squared error")
axes.axhline(mse[0], color=BLUE, ls=":", label="infinite width")
axes.set(xlabel="$1/n$", ylabel="mean squared error", title="50 digits, one subset", xlim=(0, inverse[-1]))
other = axes.twinx()
other.plot(inverse, right_answers, color=GREY, lw=0.9)
other.set_ylabel("accuracy (grey)")
axes.legend(loc="upper left", bbox_to_anchor=(0, -0.16), ncols=3, fontsize="small")
plt.show()

# %% [markdown]
# ## 4. The check
#
# What was said above, as statements that fail if they are wrong.

# %%
assert abs(before.kurtosis()[0] - 15 / 40) < 1e-9
fourth = real / size
sampled, error = np.mean(fourth[:, 0] ** 2 * fourth[:, 1] ** 2), np.std(fourth[:, 0] ** 2 * fourth[:, 1] ** 2)
assert abs(sampled - 1 - v) < 4.5 * error / np.sqrt(len(real))  # one hidden layer: exact
assert sampled - 1 > 6 * error / np.sqrt(len(real))
assert np.abs(coupling / both).max() > 0.02
assert bool(after["trusted"])
assert flag < best < breakdown
assert mse.min() < 0.9 * mse[0]
assert caught[-1].category is rg.DomainWarning
print("all checks hold")

# %% [markdown]
# Next: [What training does at finite width](what_training_does.py): what gradient descent makes of them.
