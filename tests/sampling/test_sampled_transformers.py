"""Sampled transformers: gradients against finite differences of an explicit network, and the flow against samples."""

from itertools import pairwise

import numpy as np
import pytest

import rgflow as rg
from rgflow.network.transformer import BLOCKS, Transformer
from rgflow.sampling.attention import drawn
from rgflow.sampling.transformer import sample_transformer
from rgflow.transformer import transformer_flow

RNG = np.random.default_rng(7)


# An explicit network, token by token ----------------------------------------------------------------------------------


def parameters_of(net, generator):
    """What ``sample_transformer`` draws, in its order."""
    names = [("stem", "patch" if net.stem == "patch" else "WE"), ("stem", "PE")]
    names += [(place, group) for place, kind in enumerate(net.blocks) for group in BLOCKS[kind]]
    names += [] if net.tied else [("head", "head"), ("head", "bhead")]
    return {name: drawn(net, name[1], [generator])[0] for name in names}


def explicit(net, weights, sequence):
    """z of every token after the stem and each block, and the outputs: loops over tokens and heads."""

    def normed(z):
        if net.norm == "none":
            return z
        return (z - np.mean(z)) / np.sqrt(np.var(z) + net.eps)

    stem = weights["stem", "patch" if net.stem == "patch" else "WE"]
    z = [stem @ x if net.stem == "patch" else stem[:, x] for x in sequence]
    z = [a + weights["stem", "PE"][:, t] for t, a in enumerate(z)]
    found = [z]
    for place, kind in enumerate(net.blocks):
        s, own = [normed(a) for a in z], {group: weights[place, group] for group in BLOCKS[kind]}
        if kind == "mlp":
            z = [a + own["X"] @ net.activation(own["W"] @ b) for a, b in zip(z, s, strict=True)]
        else:
            mixed = []
            for t in range(len(s)):
                heads = []
                for h in range(net.heads):
                    rows = slice(h * net.channels, (h + 1) * net.channels)
                    seen = range(t + 1) if net.mask == "causal" else range(len(s))
                    logits = [own["Q"][rows] @ s[t] @ (own["K"][rows] @ s[u]) / np.sqrt(net.channels) for u in seen]
                    weight = np.exp(logits) / np.sum(np.exp(logits))
                    heads.append(sum(w * (own["V"][rows] @ s[u]) for w, u in zip(weight, seen, strict=True)))
                mixed.append(own["U"] @ np.concatenate(heads))
            z = [a + b for a, b in zip(z, mixed, strict=True)]
        found.append(z)
    if net.tied:
        out = [weights["stem", "WE"].T @ normed(a) / np.sqrt(net.width) for a in z]
    else:
        out = [weights["head", "head"] @ normed(a) + weights["head", "bhead"] for a in z]
    return found, out


def numerical(net, weights, shown, output, neurons):
    """Theta by group, (blocks, groups, A, A), by central differences of every parameter."""
    step, theta = 1e-5, 0.0

    def outputs():
        rows = []
        for sequence in shown:
            stream, out = explicit(net, weights, sequence)
            stream = [[a[: len(neurons)] for a in z] for z in stream] + [[a[output] for a in out]]
            rows.append(stream)
        # blocks, neurons, A
        return np.concatenate([np.array(r).transpose(0, 2, 1) for r in rows], axis=-1)

    shape = outputs().shape
    theta = np.zeros((shape[0], len(net.groups), shape[2], shape[2]))
    for (_, group), array in weights.items():
        rate = net.value(f"Lambda_{group}") / net.fan_in(group)
        for index in np.ndindex(array.shape):
            kept = array[index]
            array[index] = kept + step
            up = outputs()
            array[index] = kept - step
            slope = (up - outputs()) / (2 * step)
            array[index] = kept
            theta[:, net.groups.index(group)] += rate * np.einsum("bia,bic->bac", slope, slope) / shape[1]
    return theta


PATCHES = RNG.normal(size=(2, 3, 3))
RATES = {
    f"Lambda_{group}": value for group, value in zip(("PE", "Q", "K", "V", "U", "W", "X"), RNG.random(7), strict=True)
}
TINY = {"width": 4, "heads": 2, "M": 2, "n_in": 3, "positions": 4, "C_bhead": 0.3} | RATES


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"blocks": ("attention", "mlp"), "n_out": 2}, PATCHES),
        ({"blocks": ("mlp", "attention"), "mask": "causal", "heads": 1, "n_out": 2}, PATCHES[:1]),
        ({"blocks": ("attention",), "norm": "none", "activation": "tanh", "n_out": 2}, PATCHES[:1]),
        ({"blocks": ("attention",), "stem": "words", "tied": True, "n_in": 5, "eps": 0.1}, np.array([[0, 1, 0]])),
    ],
)
def test_gradients_are_those_of_an_explicit_network(changes, shown):
    net = Transformer(**TINY | changes)
    found = sample_transformer(net, shown, networks=2, seed=11, neurons=2)
    output = np.arange(2) if not net.tied else np.array([2, 3])
    measured = [np.arange(net.n_out), np.setdiff1d(np.arange(net.n_out), shown)][net.tied]
    kernels, thetas = [], []
    for child in np.random.SeedSequence(11).spawn(2):
        weights = parameters_of(net, np.random.default_rng(child))
        streams = [explicit(net, weights, sequence) for sequence in shown]
        blocks = [[np.array(z) for z in stream] + [np.array(out)[:, measured]] for stream, out in streams]
        joined = [np.concatenate(parts) for parts in zip(*blocks, strict=True)]
        kernels.append([z @ z.T / z.shape[1] for z in joined])
        thetas.append(numerical(net, weights, shown, output, np.arange(2)))
    size = shown.shape[0] * shown.shape[1]
    np.testing.assert_allclose(found.K.values.reshape(-1, size, size), np.mean(kernels, axis=0), rtol=1e-9, atol=1e-12)
    theta = found.Theta_by_group.values.reshape(-1, len(net.groups), size, size)
    np.testing.assert_allclose(theta, np.mean(thetas, axis=0), rtol=1e-6, atol=1e-8)


# The flow -------------------------------------------------------------------------------------------------------------


VARIANCES = {"C_Q": 1.5, "C_K": 1.2, "C_V": 0.8, "C_U": 1.3, "C_W": 1.1, "C_X": 0.9, "C_PE": 0.2}
LAMBDAS = {"Lambda_patch": 0.7, "Lambda_PE": 0.3, "Lambda_Q": 1.1, "Lambda_V": 0.8, "Lambda_U": 1.2, "Lambda_X": 0.5}


def compared(net, inputs, networks, neurons=2, tensors=("K", "Theta"), seed=1):
    """(sampled - flow, its standard error), of all entries of the last two rows of blocks."""
    flow = transformer_flow(net, inputs, draws=2**15)
    mc = sample_transformer(net, inputs, networks=networks, seed=seed, neurons=neurons, tensors=tensors)
    return {
        name: ((mc[name] - flow[name]).values, np.hypot(mc[f"{name}_se"], flow[f"{name}_error"]).values, flow[name])
        for name in tensors
    }


@pytest.mark.parametrize(("mask", "stem"), [("full", "patch"), ("causal", "words")])
def test_flow_and_samples(mask, stem):
    inputs = RNG.normal(size=(3, 16)) if stem == "patch" else np.array([3, 0, 3])
    net = Transformer(
        width=128, heads=4, blocks=1, n_in=16, positions=3, mask=mask, stem=stem, tied=stem == "words",
        n_out=4 if stem == "patch" else 1,
        **VARIANCES, **LAMBDAS,
    )  # fmt: skip
    for name, (off, se, expected) in compared(net, inputs, 100).items():
        scale = np.abs(expected.values).max()
        # The remainder is of order H/n = 1/32, with a coefficient of order one.
        assert np.all(np.abs(off) < 4 * se + scale / 32), name


def test_control_of_the_comparison():
    """A head of four times the query variance is told apart."""
    inputs = RNG.normal(size=(3, 16))
    net = Transformer(width=128, heads=4, blocks=("attention",), n_in=16, positions=3, C_U=2.0)
    mc = sample_transformer(net, inputs, networks=60, seed=1)
    wrong = transformer_flow(net.changed(C_Q=4.0), inputs)
    off = np.abs(mc.Theta - wrong.Theta).values[1]
    assert np.any(off > 4 * mc.Theta_se.values[1] + np.abs(wrong.Theta.values).max() / 32)


@pytest.mark.slow
def test_the_tangent_kernel_within_two_percent():
    """Claim of the paper: n = 256, C = 64, all learning rates different."""
    inputs = np.random.default_rng(0).normal(size=(3, 16))
    net = Transformer(width=256, heads=4, blocks=1, n_in=16, positions=3, n_out=64, **VARIANCES, **LAMBDAS)
    for name, (off, se, expected) in compared(net, inputs, 3000, neurons=4).items():
        scale = np.sqrt(np.einsum("bt,bu->btu", *[np.einsum("btt->bt", expected.values)] * 2))
        print(name, np.max(np.abs(off[1:]) / scale[1:]), np.max(se[1:] / scale[1:]))
        assert np.all(se[1:] < 0.007 * scale[1:])
        assert np.all(np.abs(off[1:]) < 0.02 * scale[1:]), name


def remainder(width, networks):
    """Relative distance of Theta of V and U behind one attention block of four heads, and its error."""
    inputs = np.random.default_rng(0).normal(size=(4, 16))
    net = Transformer(width=width, heads=4, blocks=("attention",), n_in=16, positions=4, C_Q=2.0, C_U=2.0)
    mc, flow = sample_transformer(net, inputs, networks=networks, seed=1, neurons=1), transformer_flow(net, inputs)
    found, expected = (np.einsum("gtt->", ds.Theta_by_group.sel(group=["V", "U"]).values[1]) for ds in (mc, flow))
    error = np.einsum("gtt->", mc.Theta_by_group_se.sel(group=["V", "U"]).values[1])
    return found / expected - 1, error / expected


def shrinks(widths, networks):
    """In proportion to H/n, up to what its square may be."""
    sizes = [remainder(n, many) for n, many in zip(widths, networks, strict=True)]
    assert abs(sizes[0][0]) > 4 * sizes[0][1]
    for (n, m), ((larger, first), (smaller, second)) in zip(pairwise(widths), pairwise(sizes), strict=True):
        ratio = n / m
        assert abs(smaller - ratio * larger) < ratio**2 * abs(larger) + 4 * np.hypot(ratio * first, second)
    return sizes


def test_the_remainder_shrinks():
    shrinks((16, 64), (3000, 1500))


@pytest.mark.slow
def test_the_remainder_is_proportional():
    """H/n = 1/4, 1/8, 1/16."""
    print(shrinks((16, 32, 64), (60_000, 40_000, 30_000)))


def test_queries_and_keys_are_not_gaussian():
    """The excess kurtosis of a logit is 6/C = 6 H/n, that of a sum of C products of Gaussian numbers."""
    s = np.random.default_rng(3).normal(size=32)
    for heads in (16, 8, 4):
        net = Transformer(width=32, heads=heads, blocks=1, n_in=3, positions=4)
        generators = [np.random.default_rng((5, i)) for i in range(4000)]
        q, k = ((drawn(net, group, generators) @ s).reshape(-1, net.channels) for group in "QK")
        logits = np.sum(q * k, axis=1) / np.sqrt(net.channels)
        excess = np.mean(logits**4) / np.mean(logits**2) ** 2 - 3
        # Batches of logits say how uncertain that is.
        parts = [np.mean(x**4) / np.mean(x**2) ** 2 - 3 for x in np.array_split(logits, 20)]
        assert abs(excess - 6 / net.channels) < 4 * np.std(parts, ddof=1) / np.sqrt(20) + 0.1 / net.channels


@pytest.mark.slow
def test_the_kernel_grows_linearly():
    """Claim of the paper, sampled: n = 256, from the fourth to the twelfth pair of blocks, within 2 %."""
    inputs = np.random.default_rng(0).normal(size=(3, 16))
    net = Transformer(width=256, heads=8, blocks=12, n_in=16, positions=3, **VARIANCES)
    mc = sample_transformer(net, inputs, networks=400, seed=2, tensors="K")
    flow = transformer_flow(net, inputs, draws=2**12)
    pairs = np.arange(4, 13)
    slopes = [np.polyfit(pairs, np.einsum("btt->b", ds.K.values[2 * pairs]) / 3, 1)[0] for ds in (mc, flow)]
    print(slopes)
    assert slopes[0] == pytest.approx(slopes[1], rel=0.02)


# How it is asked ------------------------------------------------------------------------------------------------------


def test_memory_does_not_matter():
    net = Transformer(**TINY | {"blocks": 1, "n_out": 2, "pooling": "mean"})
    one, other = (sample_transformer(net, PATCHES, networks=5, seed=2, memory=m) for m in (1, 2**28))
    np.testing.assert_allclose(one.Theta, other.Theta, rtol=1e-12)
    np.testing.assert_allclose(one.Theta_pooled_se, other.Theta_pooled_se, rtol=1e-9)
    assert one.Theta_pooled.dims == ("sample0", "sample1")
    mean = one.Theta[-1].mean(("token0", "token1"))
    np.testing.assert_allclose(one.Theta_pooled, mean, rtol=1e-12)
    assert "Theta" not in sample_transformer(net, PATCHES, networks=2, tensors="K")


def test_refused():
    net = Transformer(**TINY | {"blocks": 1})
    for wrong in ({"networks": 1}, {"networks": 2.0}, {"neurons": 0}, {"memory": 0}, {"seed": -1}):
        with pytest.raises(rg.InputError):
            sample_transformer(net, PATCHES, **wrong)
    with pytest.raises(rg.UnknownName):
        sample_transformer(net, PATCHES, tensors=["V"])
    words = Transformer(**TINY | {"blocks": 1, "stem": "words", "tied": True})
    with pytest.raises(rg.InputError, match="every word"):
        sample_transformer(words, [0, 1, 2])
    with pytest.raises(rg.AccuracyError, match="overflows"):
        sample_transformer(net.changed(norm="none", C_X=1e300, C_U=1e300, blocks=4), PATCHES, networks=2)
    with pytest.raises(rg.AccuracyError, match="overflows"):  # of a finite mean no standard error
        sample_transformer(net, PATCHES * 1e150, networks=2)
    for nothing in (net.changed(eps=0.0, C_PE=0.0, C_patch=0.0), net.changed(eps=0.0, width=1, heads=1)):
        with pytest.raises(rg.AccuracyError, match="0/0"):
            sample_transformer(nothing, PATCHES, networks=2)


def test_slopes_of_a_jump_are_refused():
    net = Transformer(**TINY | {"blocks": 1, "activation": "sign(z)"})
    with pytest.raises(rg.KinkError, match="jump"):
        sample_transformer(net, PATCHES, networks=2)
    sample_transformer(net, PATCHES, networks=2, tensors="K")
    sample_transformer(net.changed(blocks="attention"), PATCHES, networks=2)
