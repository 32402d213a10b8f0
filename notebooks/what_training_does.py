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
# # What training does at finite width
#
# For a reader with the last chapters of *The Principles of Deep Learning Theory*
# ([arXiv:2106.10165](https://arxiv.org/abs/2106.10165)) at hand. Draw many networks, train each by gradient descent on
# the same few examples, and ask for the mean and covariance of what they predict. At infinite width the tangent kernel
# (NTK) stands still and the answer is a linear algebra exercise. At order $1/n$ kernels differ from network to network,
# and they *learn*. `rg.trained` knows both.
#
# The loss is $\frac12\sum(z-y)^2$; a step is $\theta\to\theta-\eta\lambda\,\partial L/\partial\theta$.
#
# Open this page in Jupyter (`.ipynb`) or run it as a script (`.py`).

# %%
import json
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import rgflow as rg

BLUE, ORANGE, GREEN, PINK, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#777777"  # safe for colour-blind readers
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False})

# %% [markdown]
# ## 1. Infinite width: training is not Bayesian inference, unless only the last layer learns
#
# Inputs on a circle, four of them with targets. The posterior of the Gaussian process with kernel $K$ is what Bayes
# makes of them; training all layers ends elsewhere, with another mean and another spread. `rg.readout_only` freezes the
# hidden layers and lets the last one learn with $\lambda_b = C_b$, $\lambda_W = C_W$: then $\Theta = K$, and training
# *is* drawing from the posterior.


# %%
def circle(angle):
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)


wide = rg.MLP([2, 100, 100, 1], "tanh", C_b=0.1, C_W=1.5, lambda_b=0.2, lambda_W=1.0)
seen, told = np.array([0.5, 1.7, 3.0, 4.6]), np.array([1.0, -0.5, 0.5, -1.0])
angles = np.linspace(0, 2 * np.pi, 41)
everywhere = {
    "all layers": rg.trained(wide, (circle(seen), told), circle(angles), order=0),
    "last layer": rg.trained(rg.readout_only(wide), (circle(seen), told), circle(angles), order=0),
}
K = rg.flow(wide, circle(np.concatenate([seen, angles])), tensors=["K"], order=0)["K"].values[-1]
push = K[4:, :4] @ np.linalg.inv(K[:4, :4])
bayes = push @ told, K[4:, 4:] - push @ K[:4, 4:]

fig, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
for (label, ds), colour in zip(everywhere.items(), (BLUE, ORANGE), strict=True):
    mean = ds["mean"].values[:, 0]
    spread = np.sqrt(np.diagonal(ds["covariance"].values[:, :, 0, 0]).clip(0))
    axes.plot(angles, mean, color=colour, label=f"trained, {label}")
    axes.fill_between(angles, mean - spread, mean + spread, color=colour, alpha=0.15, lw=0)
axes.plot(angles, bayes[0], color="black", ls=":", label="posterior of the Gaussian process")
axes.plot(seen, told, "o", color="black", ms=5)
axes.set(xlabel="angle of the input", ylabel="prediction", title="infinitely wide tanh networks, three layers")
axes.legend(fontsize=8)
plt.show()

# %% [markdown]
# ## 2. Order 1/n, part by part
#
# Two inputs to learn, one to predict, one hidden layer of sin. (With targets of the test input too, the expected error
# is split; that comes in section 5.) Each part of the shift is carried by tensors of its own: corrections and
# fluctuations of the kernel (prior) and of the NTK, which need no learning of features, and the NTK's first and second
# differentials (dNTK, ddNTK), which are nothing else.

# %%
inputs = np.array([[1.0, 0.5], [-0.6, 1.2], [0.9, -0.8]])
data, question = (inputs[:2], [1.2, -0.7]), inputs[2:]


def sin_network(n):
    return rg.MLP([2, n, 1], "sin", C_b=0.2, C_W=1.2, lambda_b=0.3, lambda_W=0.5)


WIDTH = 100
rate = 0.2796274903  # 0.4/(largest eigenvalue of the NTK)
end = rg.trained(sin_network(WIDTH), data, question, learning_rate=rate)
print(f"infinite width {end['mean_infinite'].item():.5f}, order 1/n {end['mean_shift'].item():+.5f}")
for part in end["part"].values:
    mean, spread = (WIDTH * end[name].sel(part=part).item() for name in ("mean_shift_part", "covariance_shift_part"))
    print(f"  {part:16} n * shift of the mean {mean:+.4f}, of the variance {spread:+.4f}")

# %% [markdown]
# ## 3. Real networks
#
# `benchmarks/trained_ensembles.py` trains tens of thousands of networks of each width with plain NumPy that knows
# nothing of all this (a quarter of an hour); this page reads its results. The dashed line is infinite width. Narrow
# networks bend away from the line as $1/n^2$.

# %%
results = Path("../benchmarks/results/trained_ensembles.json")  # beside this folder in the repository
measured = json.loads(results.read_text(encoding="utf-8"))["ensembles"]["sin, one hidden layer"]
widths = np.array(measured["widths"])
within = {}
fig, panels = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
for axes, name, theory in zip(
    panels, ("mean", "covariance"), (end["mean_shift"].item(), end["covariance_shift"].item()), strict=True
):
    start = end[f"{name}_infinite"].item()
    found, error = (
        np.array([np.ravel(m[f"total {name}"][what])[0] for m in measured["measured"]]) for what in ("value", "error")
    )
    within[name] = widths * (found - start), widths * error, WIDTH * theory
    axes.axhline(start, color=GREY, ls="--")
    axes.plot([0, 1 / 28], [start, start + WIDTH * theory / 28], color=BLUE, label="order 1/n")
    axes.errorbar(1 / widths, found, 2 * error, fmt="o", color=ORANGE, ms=4, capsize=2, label="networks, 2 s.e.")
    axes.set(xlabel="1/n", title=f"{name if name == 'mean' else 'variance'} of the prediction")
    axes.legend()
plt.show()

# %% [markdown]
# ## 4. The algorithm matters
#
# At infinite width the end of training knows nothing of the learning rate. At order $1/n$ it does: the times at which
# gradients act on what earlier ones have changed differ between gradient flow and steps of gradient descent. Here large
# steps change the NTK five times as much. And training may stop early: the kernel has nearly its final form, and the
# infinitely wide network has learnt most of what it will, when the shift of the mean has yet to change its sign.

# %%
largest = float(end["eigenvalue"].max())
times = np.geomspace(0.5, 20, 8)
flows = [rg.trained(sin_network(WIDTH), data, question, time=t / largest) for t in times]
coarse = 1.5 / largest
counts = np.array([1, 3, 12])
steps = [rg.trained(sin_network(WIDTH), data, question, learning_rate=coarse, steps=int(T)) for T in counts]
flow_end, steps_end = (rg.trained(sin_network(WIDTH), data, question, learning_rate=eta) for eta in (None, coarse))

fig, panels = plt.subplots(1, 3, figsize=(11, 3.3), layout="constrained")
for axes, name, title in zip(
    panels,
    ("mean_infinite", "mean_shift", "ntk_change"),
    ("mean, infinite width", r"$n\times$ shift of the mean", r"$n\times$ change of the test NTK"),
    strict=True,
):
    scale = 1 if name == "mean_infinite" else WIDTH
    axes.semilogx(times, [scale * ds[name].item() for ds in flows], "o-", color=BLUE, ms=4, label="gradient flow")
    axes.semilogx(
        1.5 * counts, [scale * ds[name].item() for ds in steps], "s", color=ORANGE, ms=5, label="steps of 1.5"
    )
    for ds, colour in ((flow_end, BLUE), (steps_end, ORANGE)):
        axes.axhline(scale * ds[name].item(), color=colour, ls=":")
    axes.set(xlabel="time, in 1/(largest eigenvalue)", title=title)
panels[0].legend()
plt.show()
print(f"n * shift of the mean at the end: flow {WIDTH * flow_end['mean_shift'].item():+.5f},", end=" ")
print(f"steps of 1.5 {WIDTH * steps_end['mean_shift'].item():+.5f}")

# %% [markdown]
# ## 5. Representation learning
#
# Handwritten 3s and 8s, told as $\pm 2$; three images to learn from, the fourth, an 8, to predict. The NTK moves at
# order $1/n$. By how much does it come to look like the targets? Its alignment is
# $A = y^T\Theta y/(|\Theta|\,|y|^2)$.

# %%
digits = load_digits()
images = digits.data - digits.data.mean(axis=0)
chosen = np.concatenate([np.flatnonzero(digits.target == digit)[:2] for digit in (3, 8)])[[0, 2, 1, 3]]
x = images[chosen] / np.sqrt((images[chosen] ** 2).mean(axis=1, keepdims=True))
y = np.array([2.0, -2.0, 2.0, -2.0])
reader = rg.MLP([64, 200, 1], "tanh", C_b=0.1, C_W=1.5, lambda_b=0.2, lambda_W=1.0)
learnt = rg.trained(reader, (x[:3], y[:3]), (x, y))


def alignment(theta, count):
    theta, told = theta[:count, :count], y[:count]
    return told @ theta @ told / (np.linalg.norm(theta) * (told @ told))


before = learnt["ntk"].values + learnt["ntk_shift"].values
change = learnt["ntk_change"].values[:, :, 0, 0]
aligned = {n: [alignment(before + s * (change * 200 / n), 4) for s in (0, 1)] for n in (100, 200, 400)}
for n, (first, last) in aligned.items():
    print(f"n = {n}: alignment of all four {first:.4f} -> {last:.4f}")

fig, panels = plt.subplots(1, 3, figsize=(10, 3.1), layout="constrained")
shown = (r"$\Theta$ before", before), (r"$n\,\times$ its change", 200 * change), ("$y\\,y^T$", np.outer(y, y))
for axes, (title, matrix) in zip(panels, shown, strict=True):
    top = np.abs(matrix).max()
    axes.imshow(matrix, cmap="RdBu_r", vmin=-top, vmax=top)
    for (i, j), value in np.ndenumerate(matrix):
        axes.text(
            j,
            i,
            f"{value:.2f}",
            ha="center",
            va="center",
            fontsize=8,
            color="white" if abs(value) > 0.6 * top else "black",
        )
    axes.set_xticks(range(4), labels=["3", "8", "3", "8?"])
    axes.set_yticks(range(4), labels=["3", "8", "3", "8?"])
    axes.set_title(title)
plt.show()

# %% [markdown]
# The kernel shrinks where a 3 meets an 8, least between the 3s, and grows at the unseen image: it turns towards the
# targets, a little. What does it do to the error at the unseen 8? Expected squared error, split into bias, variance and
# what representation learning adds to both. Learning of features is not always a gain: here it costs.

# %%
inverse = np.linspace(0, 1 / 100, 50)
fig, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
parts = {}
for name, colour in zip(learnt["contribution"].values, (BLUE, GREEN, PINK), strict=True):
    row = {"contribution": name, "test": 3, "output": 0}
    parts[name] = 200 * learnt["error_shift"].sel(row).item()
    axes.plot(inverse, parts[name] * inverse, color=colour, label=name)
axes.plot(inverse, sum(parts.values()) * inverse, color="black", label="together")
axes.axhline(0, color=GREY, ls=":")
whole = float(learnt["error_infinite"].sel(test=3, output=0).sum())
axes.set(xlabel="1/n", ylabel="change of the squared error", title=f"error at infinite width: {whole:.3f}")
axes.legend()
plt.show()

# %% [markdown]
# ## 6. The least model that learns features
#
# $z = W\phi + \frac\epsilon2 WW\psi$ is quadratic in its weights: its features $\phi + \epsilon\psi W$ move. To first
# order in $\epsilon$ two kernels are all that matters: $k = \phi\phi$ and the meta-kernel
# $\mu = \epsilon\,\psi\phi\phi$, which is what the differential of the NTK is to a network.
# `rg.nearly_kernel_predict` sums the same trees. Here $\phi$ are sines and $\psi$ their products.

# %%
points = np.concatenate([[-1.2, -0.2, 0.9], np.linspace(-2, 2, 41)])
waves = np.arange(1, 6)
phi = np.stack([np.ones_like(points), *(np.sin(k * points + k) / k for k in waves)], axis=1)
psi = np.einsum("sj,sk->sjk", phi, phi)
wanted = np.array([0.5, -1.0, 1.0])
step = 0.5 / np.linalg.eigvalsh(phi[:3] @ phi[:3].T)[-1]
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
sizes = 0.1 / 2.0 ** np.arange(6)
residual = []
for epsilon in sizes:
    model = rg.QuadraticModel(phi, psi, epsilon)
    exact = model.predict(wanted, learning_rate=step)["prediction"].values[3:, 0]
    nearly = model.nearly_kernel(wanted, learning_rate=step)
    residual.append([np.abs(nearly[name].values[3:, 0] - exact).max() for name in ("prediction_kernel", "prediction")])
    if epsilon == sizes[0]:
        left.plot(points[3:], nearly["prediction_kernel"].values[3:, 0], color=GREY, label="kernel method")
        left.plot(points[3:], nearly["prediction"].values[3:, 0], color=BLUE, label="nearly-kernel")
        left.plot(points[3:], exact, color=ORANGE, ls=":", lw=2.5, label="gradient descent")
left.plot(points[:3], wanted, "o", color="black", ms=5)
left.set(xlabel="x", ylabel="prediction", title=rf"$\epsilon$ = {sizes[0]}")
left.legend()
residual = np.array(residual)
for column, (label, colour) in enumerate((("kernel method", GREY), ("nearly-kernel", BLUE))):
    right.loglog(sizes, residual[:, column], "o-", color=colour, ms=4, label=label)
right.set(xlabel=r"$\epsilon$", title="distance from gradient descent")
right.set_xticks([0.01, 0.1], labels=["0.01", "0.1"])
right.set_xticks([], minor=True)
right.legend()
plt.show()

# %% [markdown]
# ## 7. Where it stops
#
# Outside its domain a prediction is refused, or comes with a warning that says why.

# %%
refused = []
for net, options in (
    (sin_network(WIDTH), {"learning_rate": 2.1 / largest}),
    (rg.MLP([2, 100, 1], "relu", C_W=2.0), {"learning_rate": 0.1}),
    (sin_network(2), {"learning_rate": rate}),
):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", rg.DomainWarning)
            rg.trained(net, data, question, **options)
    except (rg.InputError, rg.KinkError, rg.DomainWarning) as reason:
        refused.append(type(reason))
        print(f"{type(reason).__name__}: {reason}\n")

# %% [markdown]
# ## 8. And Bayes at order 1/n?
#
# At infinite width training the last layer is Bayesian inference. At order $1/n$ it is not: training draws from the
# Gaussian process of *each* network, whatever it makes of the data; Bayes weighs networks by how likely they make them.

# %%
by_training = rg.trained(rg.readout_only(sin_network(WIDTH)), data, question)
by_bayes = rg.posterior(sin_network(WIDTH), data, question)
for label, ds in (("training", by_training), ("Bayes", by_bayes)):
    mean, shift = ds["mean_infinite"].item(), WIDTH * ds["mean_shift"].item()
    print(f"{label:8} infinite width {mean:.6f}, n * shift {shift:+.4f}")

fig, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
inverse = np.linspace(0, 1 / 20, 50)
for label, ds, colour in (
    ("all layers trained", end, BLUE),
    ("last layer trained", by_training, GREEN),
    ("posterior", by_bayes, PINK),
):
    axes.plot(inverse, WIDTH * ds["mean_shift"].item() * inverse, color=colour, label=label)
axes.axhline(0, color=GREY, ls=":")
axes.set(xlabel="1/n", ylabel="shift of the mean prediction")
axes.legend()
plt.show()

# %% [markdown]
# ## 9. The check
#
# What was said above, as statements that fail if they are wrong.

# %%
only_last = everywhere["last layer"]
assert np.allclose(only_last["mean"].values[:, 0], bayes[0], rtol=0, atol=1e-9)
assert np.allclose(only_last["covariance"].values[:, :, 0, 0], bayes[1], rtol=0, atol=1e-9)
assert np.abs(everywhere["all layers"]["mean"].values[:, 0] - bayes[0]).max() > 0.05
for name, (found, error, theory) in within.items():
    assert abs(found[-1] - theory) < 4 * error[-1] + 0.1 * abs(theory), name  # widest networks, next order in 1/n
    assert abs(found[0]) > 10 * error[0], name  # infinite width is visibly off
assert flow_end["mean_infinite"].item() == steps_end["mean_infinite"].item()
assert abs(flow_end["mean_shift"].item() / steps_end["mean_shift"].item() - 1) > 0.01
assert all(last > first for first, last in aligned.values())
assert np.allclose(residual[-2] / residual[-1], (2, 4), rtol=0.05)
assert refused == [rg.InputError, rg.KinkError, rg.DomainWarning]
assert np.isclose(by_training["mean_infinite"].item(), by_bayes["mean_infinite"].item())
assert by_training["mean_shift"].item() * by_bayes["mean_shift"].item() < 0
print("all checks hold")

# %% [markdown]
# Next: [Tuning a PyTorch model](tuning_a_pytorch_model.py), where the theory is turned toward modules of your own.
