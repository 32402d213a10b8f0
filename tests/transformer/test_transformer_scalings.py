"""Initialisation and learning rates with width and depth: the paper's laws, measured exponents, what drifts without."""

import pickle
from fractions import Fraction

import numpy as np
import pytest

import rgflow as rg
from rgflow.network.transformer import BLOCKS as PARTS
from rgflow.network.transformer import Transformer
from rgflow.sampling.attention import BLOCKS, Normed, drawn
from rgflow.sampling.transformer import sample_transformer
from rgflow.transformer import deep_transformer, depth_exponents, transformer_flow, transformer_scaling

X = np.random.default_rng(3).normal(size=(3, 16))
SMALL = {"width": 64, "heads": 2, "blocks": 1, "n_in": 16, "positions": 3}
SQUARE = ("Q", "K", "V", "U")


# The paper's table, typed by hand -------------------------------------------------------------------------------------


def factors(n, M, n_patch, n_out):
    """SGD (1.99 to 1.107) and AdamW (1.108 to 1.116)."""
    return {
        "patch": (1 / n_patch, 1 / (n_patch * n**0.5)),
        "WE": (1.0, 1 / n**0.5),
        "PE": (1.0, 1 / n**0.5),
        **{group: (1 / n, 1 / (n * n**0.5)) for group in SQUARE},
        "W": (1 / n, 1 / (n * (M * n) ** 0.5)),
        "X": (1 / (M * n), 1 / (M * n * n**0.5)),
        "head": (1 / n, 1 / (n * n_out**0.5)),
        "bhead": (1.0, 1 / n_out**0.5),
    }


@pytest.mark.parametrize("stem", ["patch", "words"])
@pytest.mark.parametrize("s", [0, Fraction(1, 2), 1])
def test_the_papers_table(stem, s):
    net = Transformer(width=768, heads=12, blocks=12, n_in=588, positions=196, n_out=100, M=3, stem=stem)
    found, typed = transformer_scaling(net, s), factors(768, 3, 588, 100)
    assert [each.group for each in found.groups] == list(net.groups)
    for each in found.groups:
        sgd, adamw = typed[each.group]
        raised = each.group not in ("head", "bhead")  # footnote 26: all but the head
        assert each.sgd == pytest.approx(sgd * 768 ** float(s) if raised else sgd)
        assert each.adamw == pytest.approx(adamw * 768 ** (float(s) / 2) if raised else adamw)
    assert found["head"].std == pytest.approx(768 ** (-(1 + float(s)) / 2))  # footnote 8
    assert found["X"].std == pytest.approx((3 * 768) ** -0.5)
    assert found["bhead"].std == 0


@pytest.mark.parametrize(
    ("n", "s", "rate", "standard"),
    [(768, 0, 20.0, 9.40e-4), (768, 0.5, 4.0, 9.89e-4), (768, 1, 0.4, 5.21e-4), (1024, 0, 32.768, 1.00e-3)],
)
def test_learning_rates_of_the_papers_runs(n, s, rate, standard):
    """ViT-B/16 and BART-large: the rates of neural-tangent, hybrid and maximal-update runs, as rates of matrices."""
    net = Transformer(width=n, heads=n // 64, blocks=12, n_in=768, positions=196, n_out=1000)
    assert transformer_scaling(net, s).learning_rates("adamw", rate)["Q"] == pytest.approx(standard, rel=5e-4)
    # lr wd = 8e-4 at the neural-tangent and at the standard optimum.
    decays = transformer_scaling(net, s).weight_decays("adamw", 4e-5)
    rates = transformer_scaling(net, s).learning_rates("adamw", 20.0)
    assert {round(decays[group] * rates[group], 12) for group in rates} == {8e-4}


def test_tied_heads_and_words():
    net = Transformer(width=64, heads=2, blocks=1, n_in=50, positions=8, stem="words", tied=True)
    assert transformer_scaling(net).rescale == pytest.approx(1 / 8)
    assert transformer_scaling(net, 1).rescale == pytest.approx(1 / 64)
    with pytest.raises(rg.InputError, match="s=0"):
        _ = transformer_scaling(net, 1).scaled
    assert transformer_scaling(net).scaled == net


@pytest.mark.parametrize("s", [0, 0.5, 1])
def test_the_family_keeps_every_group(s):
    """At each s the flow of the scaled transformer gives every group the same tangent kernel at two widths."""
    found = []
    for n in (64, 256):
        scaled = transformer_scaling(Transformer(**SMALL | {"width": n}), s).scaled
        assert scaled.C_head == pytest.approx(n**-s)
        found.append(transformer_flow(scaled, X, draws=2**6))
    np.testing.assert_allclose(by_group(found[0]), by_group(found[1]), rtol=1e-9)


# Exponents, measured --------------------------------------------------------------------------------------------------


def slopes(sizes, values):
    return np.polyfit(np.log(sizes), np.log(values), 1)[0]


def slope_with_error(sizes, values, errors):
    """Slope of log values (sizes, ...) and its standard error, from that of the values."""
    x = np.log(sizes) - np.mean(np.log(sizes))
    weights = x / (x @ x)
    return np.tensordot(weights, np.log(values), 1), np.sqrt(np.tensordot(weights**2, (errors / values) ** 2, 1))


def by_group(ds):
    return np.einsum("gtt->g", ds.Theta_by_group.values[-1]) / ds.sizes["token0"]


def gradients(net, generator):
    """dz/dtheta of one output of the first token, by group: arrays of the shapes of the parameters that it reaches."""
    generators = [generator]
    stem = {name: drawn(net, name, generators) for name in ("patch", "PE")}
    z = np.einsum("mjp,atp->matj", stem["patch"], X[None]) + stem["PE"][:, :, : len(X)].swapaxes(1, 2)[:, None]
    layers = []
    for kind in net.blocks:
        layers.append(BLOCKS[kind](net, Normed(net, z), {g: drawn(net, g, generators) for g in PARTS[kind]}))
        z = layers[-1].forward()
    last, head = Normed(net, z), drawn(net, "head", generators)[:, :1]
    found = {"head": last.s[0, 0, :1], "bhead": np.ones(1)}
    d = np.zeros((1, 1, 1, 1, 1, *z.shape[2:]))
    d[..., 0, :] = head
    d = last.back(d)
    for place in range(len(layers) - 1, -1, -1):
        d, read = layers[place].back(d)
        for group, (by, what) in read.items():
            found.setdefault(group, []).append(by[0, 0, 0, 0, 0].T @ what[0, 0])
    return {group: np.array(x) for group, x in found.items()} | {
        "patch": d[0, 0, 0, 0, 0].T @ X,
        "PE": d[0, 0, 0, 0, 0],
    }


def first_steps(net, networks, seed, **scaling):
    """By group, of every network: change of the output by AdamW's first step, which is sign(g), and the mean of g^2."""
    rates = transformer_scaling(net, **scaling).learning_rates("adamw", 1.0)
    here = transformer_scaling(net, **scaling).scaled
    moved, squares = [], []
    for child in np.random.SeedSequence(seed).spawn(networks):
        found = gradients(here, np.random.default_rng(child))
        moved.append([rates[group] * np.abs(found[group]).sum() for group in net.groups])
        squares.append([np.mean(found[group] ** 2) for group in net.groups])
    return np.array(moved), np.array(squares)


def mean_and_error(samples):
    return np.mean(samples, axis=0), np.std(samples, axis=0, ddof=1) / np.sqrt(len(samples))


def exponents(widths, networks, heads):
    """Slopes in the width, with errors: NTK by group, a first AdamW step, g^2, and the stream."""
    found = {"theta": [], "step": [], "square": [], "K": []}
    for n, many in zip(widths, networks, strict=True):
        net = Transformer(**SMALL | {"width": n, "heads": heads, "n_out": 8})
        mc = sample_transformer(net, X, networks=many, seed=n, neurons=8)
        # Errors of a trace as if its entries went together: never too small.
        error = np.einsum("gtt->g", mc.Theta_by_group_se.values[-1]) / len(X)
        found["theta"].append((by_group(mc), error))
        found["K"].append((np.trace(mc.K.values[-2]), np.trace(mc.K_se.values[-2])))
        moved, squares = first_steps(net, many, seed=n)
        found["step"].append(mean_and_error(moved))
        found["square"].append(mean_and_error(squares))
    return {name: slope_with_error(widths, *map(np.array, zip(*pairs, strict=True))) for name, pairs in found.items()}


def checked(found, allowance):
    """Each exponent within ``allowance`` and four standard errors of its law."""
    net = Transformer(**SMALL)
    scaling = transformer_scaling(net)
    for i, group in enumerate(net.groups):
        theta, step, square = ((slope[i], 4 * error[i] + allowance) for slope, error in (found[n] for n in LAWS))
        assert abs(theta[0]) < theta[1], group
        assert abs(step[0]) < step[1], group
        # One learning rate for all: what is left is that of the factor, +1 for matrices that read n entries.
        uniform = theta[0] - float(scaling[group].sgd_law.exponent("n"))
        expected = 1.0 if group in (*SQUARE, "W", "X", "head") else 0.0
        assert abs(uniform - expected) < theta[1], group
        # AdamW's factor is SGD's times |g|; of the head one neuron in n_out has a gradient here.
        law = scaling[group].adamw_law.exponent("n") - scaling[group].sgd_law.exponent("n")
        assert abs(square[0] / 2 - float(law)) < square[1], group
    assert abs(found["K"][0]) < 4 * found["K"][1] + allowance


LAWS = ("theta", "step", "square")


def test_exponents_of_narrow_transformers():
    """C = 16, 32, 64: what remains of order H/n moves slopes by 0.1 at most."""
    checked(exponents((32, 64, 128), (240, 120, 60), heads=2), allowance=0.1)


@pytest.mark.slow
def test_exponents_from_64_to_1024():
    """Slopes within 0.05, as claimed."""
    found = exponents((64, 128, 256, 512, 1024), (3000, 1500, 600, 250, 100), heads=2)
    for name, (slope, error) in found.items():
        print(name, np.round(slope, 3), np.round(error, 3))
        assert np.all(error < (0.04 if name == "square" else 0.02))  # that of |g| is half of it
    checked({name: (slope, 0 * error) for name, (slope, error) in found.items()}, allowance=0.05)


# In depth, our own ----------------------------------------------------------------------------------------------------


def test_exponents_in_depth():
    net = Transformer(**SMALL)
    moved = {name: power for name, power in depth_exponents(net).items() if power}
    assert moved == dict.fromkeys(("C_U", "Lambda_U", "C_X", "Lambda_X"), Fraction(-1))
    here = transformer_scaling(net.changed(blocks=8), depth=True)
    assert pytest.approx(deep_transformer(net.changed(blocks=8)).C_X) == here.scaled.C_X
    assert [str(here[group].adamw_law) for group in "QUWX"] == [
        "n^(-3/2) B^(-1/2)", "n^(-3/2) B^(-1)", "n^(-3/2) M^(-1/2) B^(-1/2)", "n^(-3/2) M^(-1) B^(-1)",
    ]  # fmt: skip
    assert "scaling in depth of rgflow" in str(here)


def drifts(depths, without, tokens, sigma="gelu"):
    """Slopes in the depth of every group's tangent kernel and of K: with the scaling, and at some depths without."""
    found = []
    for few, change in ((depths, deep_transformer), (without, lambda net: net)):
        nets = [Transformer(**SMALL | {"blocks": depth}, activation=sigma) for depth in few]
        flows = [transformer_flow(change(net), X[:tokens], draws=2**6) for net in nets]
        kernel = slopes(few, [float(ds.K[-2, 0, 0]) for ds in flows])
        found.append(
            (
                dict(zip(nets[0].groups, slopes(few, np.array([by_group(ds) for ds in flows]) + 1e-300), strict=True)),
                kernel,
            )
        )
    return found


def stable(found):
    (theta, kernel), (drift, growth) = found
    assert all(abs(slope) < 0.05 for slope in theta.values())
    assert abs(kernel) < 0.02
    assert all(drift[group] > 0.4 for group in "VUWX")
    assert all(drift[group] > 0.1 for group in "QK")
    assert growth > 0.5


def test_tangent_kernels_do_not_depend_on_depth():
    """From 2 to 32 pairs of blocks: slopes of every group within 0.05 with the scaling, up to 0.6 without."""
    stable(drifts((2, 6, 32), (2, 8), 2))


@pytest.mark.slow
@pytest.mark.parametrize("sigma", ["gelu", "relu", "tanh"])
def test_every_depth_and_activation(sigma):
    stable(drifts((2, 4, 8, 16, 32), (2, 4, 8, 16), 3, sigma))


@pytest.mark.slow
def test_sampled_depths():
    """Sampled networks of 2 to 32 pairs of blocks, n = 64: tangent kernels, and the first step of AdamW."""
    depths = (2, 8, 32)
    found, moved = [], []
    for depth in depths:
        net = Transformer(**SMALL | {"blocks": depth, "n_out": 8})
        mc = sample_transformer(deep_transformer(net), X[:2], networks=160, seed=depth, neurons=4)
        found.append((by_group(mc), np.einsum("gtt->g", mc.Theta_by_group_se.values[-1]) / 2))
        moved.append(mean_and_error(first_steps(net, 160, seed=depth, depth=True)[0]))
    for name, pairs in (("theta", found), ("step", moved)):
        slope, error = slope_with_error(depths, *map(np.array, zip(*pairs, strict=True)))
        print(name, np.round(slope, 3), np.round(error, 3))
        assert np.all(np.abs(slope) < 0.05 + 4 * error)


# How it is asked ------------------------------------------------------------------------------------------------------


def test_refused_and_kept():
    net = Transformer(**SMALL)
    for wrong in (-0.1, 1.5, "1", True, None, float("nan")):
        with pytest.raises(rg.InputError, match="s is"):
            transformer_scaling(net, wrong)
    with pytest.raises(rg.InputError, match="depth"):
        transformer_scaling(net, depth=1)
    with pytest.raises(rg.InputError, match="give a Transformer"):
        transformer_scaling("vit")
    found = transformer_scaling(net)
    with pytest.raises(rg.UnknownName):
        _ = found["WE"]
    with pytest.raises(rg.UnknownName):
        found.learning_rates("adam", 1.0)
    with pytest.raises(rg.InputError, match="rate"):
        found.learning_rates("sgd", 0.0)
    assert pickle.loads(pickle.dumps(found)) == found
