"""Derived exponents beside explicit networks trained in NumPy: the claims on the one-parameter and integrable families.

Every slope stands with its standard error, from drawing the networks of each width again with replacement. Sizes were
chosen in trial runs, some of them with these seeds, so that standard errors are small enough to tell exponents apart.
"""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from plain_training import of_family, slope

import rgflow as rg

X = np.array([[1.0, 0.2, -0.7, 0.5], [-0.3, 1.0, 0.4, 0.9]]).T
X = X / np.sqrt((X**2).mean(0))
Y = np.array([1.0, -1.0])


def rms(a):
    """Root mean square over neurons and inputs, by network."""
    return np.sqrt((a**2).mean(axis=(1, 2)))


def fitted(widths, samples, middle=np.median):
    """Slope of the medians and its standard error."""
    source = np.random.default_rng(0)
    again = [[middle(source.choice(v, len(v))) for v in samples] for _ in range(200)]
    spread = np.std([slope(widths, values) for values in again])
    return slope(widths, [middle(v) for v in samples]), spread


# The exact map -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("s", [0.3, 0.5, 1])
@pytest.mark.parametrize("sigma", ["tanh", "relu"])
def test_rescaling_map_is_exact(s, sigma):
    """T4-4: n^{s/2} f_s, trained on y, is f_0 trained on n^{s/2} y; weights and biases, 50 steps, to 1e-12."""
    n, widths = 40, [4, 40, 40, 40, 1]

    def outputs(at, target):
        family, source = rg.family("meta", s=at), np.random.default_rng(1)
        net = of_family(family, source, 3, widths, n, sigma=sigma, rate=0.05, bias=0.3)
        return net.descend(X, target, 50)[1]

    along, still = outputs(s, Y), outputs(0, n ** (s / 2) * Y)
    np.testing.assert_allclose(n ** (s / 2) * along, still, rtol=0, atol=1e-12 * np.abs(still).max())
    assert np.abs(along[-1] - Y).max() < 0.6 * np.abs(along[0] - Y).max()  # it trains


def test_control_another_exponent_breaks_the_map():
    """Negative control: one group's rate off by n^{1/10}."""
    n, family = 40, rg.family("meta", s=0.5)
    for group, abc in family.weights.items():
        wrong = replace(family, weights={**family.weights, group: replace(abc, c=abc.c - Fraction(1, 10))})
        results = [
            of_family(f, np.random.default_rng(1), 1, [4, 40, 40, 1], n, rate=0.05).descend(X, y, 50)[1]
            for f, y in ((wrong, Y), (rg.family("meta", s=0), n**0.25 * Y))
        ]
        assert np.abs(n**0.25 * results[0] - results[1]).max() > 1e-3


# Change of the tangent kernel ---------------------------------------------------------------------------------------


def change(net, until):
    """|Delta NTK|/|NTK| over training to zero loss, by network."""
    before = net.tangent_kernel(X)
    trained, outputs = net.descend(X, Y, 1000, until)
    assert np.abs(outputs[-1] - Y).max() <= until
    return np.linalg.norm(trained.tangent_kernel(X) - before, axis=(1, 2)) / np.linalg.norm(before, axis=(1, 2))


def changes(s, widths, nets, until=1e-2):
    family = rg.family("meta", s=s)
    return [
        change(of_family(family, np.random.default_rng([4, n]), count, [4, n, n, 1], n, rate=0.15), until)
        for n, count in zip(widths, nets, strict=True)
    ]


@pytest.mark.parametrize("s", [0, 0.5, 1])
def test_change_of_the_kernel(s):
    """T4-1, small: within three standard errors of the derived power."""
    widths = (48, 96, 192)
    found, error = fitted(widths, changes(s, widths, (96, 64, 32)))
    assert abs(found - float(rg.family("meta", s=s).exponents().gamma)) < 3 * error
    assert error < 0.12


@pytest.mark.slow
@pytest.mark.parametrize("s", [0, 0.5, 1])
def test_change_of_the_kernel_at_full_size(s):
    """T4-1: slopes -(1 - s) +- 0.12 over widths 32 to 512, 24 networks each, to zero loss."""
    widths = (32, 64, 128, 256, 512)
    found, error = fitted(widths, changes(s, widths, (24,) * 5, until=1e-4))
    print(f"s = {s}: {found:.3f} +- {error:.3f}")
    assert abs(found + 1 - s) < 0.12


@pytest.mark.parametrize("s", [pytest.param(0, marks=pytest.mark.slow), 0.5, pytest.param(1, marks=pytest.mark.slow)])
def test_outputs_at_the_start(s):
    """T4-2: slopes -s/2 +- 0.03 of the standard deviation of outputs."""
    widths, family = (32, 64, 128), rg.family("meta", s=s)
    nets = [of_family(family, np.random.default_rng([7, n]), 2000, [4, n, n, 1], n) for n in widths]
    found, error = fitted(widths, [net.forward(X)[-1].ravel() for net in nets], np.std)
    assert error < 0.02
    assert abs(found + s / 2) < 0.03
    assert family.exponents()["output"] == Fraction(-s) / 2


# Depth with width ----------------------------------------------------------------------------------------------------


def deep(s, n, depth, nets):
    """Critical tanh, rates of rg.learning_rates; the read-out makes up for the kernel 1/(2L) of the last layer."""
    rates, up = rg.learning_rates("tanh", depth), 2.0 * depth
    family, source = rg.family("meta", s=s), np.random.default_rng([9, n, depth])
    net = of_family(family, source, nets, [4, *[n] * (depth - 1), 1], n, bias=0.0)
    net.weights[-1] = net.weights[-1] * up**0.5
    for l in range(depth):
        scale = 0.3 / (1 if l + 1 == depth else up)
        net.weight_rates[l] *= scale * rates["lambda_W"][l]
        net.bias_rates[l] *= scale * rates["lambda_b"][l]
    return net


def along(s, path, nets):
    samples = [change(deep(s, n, depth, count), 1e-2) for (n, depth), count in zip(path, nets, strict=True)]
    return fitted([n for n, _ in path], samples)


def matched(s, depth, widths):
    """(n, L) with the gamma of the first width and depth."""
    return [(n, round(rg.family("meta", s=s).match_depth(widths[0], n, depth, "tanh"))) for n in widths]


def kept_and_fixed(s, depth, widths, nets):
    """Along the path of equal gamma the change stays, at fixed depth it falls: both within three standard errors."""
    kept, error = along(s, matched(s, depth, widths), nets)
    print(f"s = {s}: along {matched(s, depth, widths)} {kept:.3f} +- {error:.3f}")
    assert abs(kept) < 3 * error
    fixed, error = along(s, [(n, depth) for n in widths], nets)
    print(f"s = {s}: at depth {depth} {fixed:.3f} +- {error:.3f}")
    assert abs(fixed + 1 - s) < 3 * error
    return kept, fixed


def test_depth_that_grows_with_width_keeps_the_change():
    """T4-3, small, at s = 1/2: a tolerance from its own spread, and the two paths told apart."""
    assert matched(0.5, 6, (16, 36, 64)) == [(16, 6), (36, 9), (64, 12)]
    kept, fixed = kept_and_fixed(0.5, 6, (16, 36, 64), (96, 64, 48))
    assert kept - fixed > 0.25


@pytest.mark.slow
@pytest.mark.parametrize(("s", "depth", "widths"), [(0, 8, (32, 64, 128)), (0.5, 8, (16, 36, 64, 144))])
def test_depth_that_grows_with_width_at_full_size(s, depth, widths):
    """T4-3: L = 8 to 32 along L ~ n at s = 0, L = 8 to 24 along L ~ sqrt(n) at s = 1/2."""
    assert matched(0, 8, (32, 64, 128)) == [(32, 8), (64, 16), (128, 32)]
    kept, fixed = kept_and_fixed(s, depth, widths, (192, 128, 64, 32)[: len(widths)])
    assert kept - fixed > 0.25


# Integrable parametrisations -----------------------------------------------------------------------------------------


ONE = np.random.default_rng(5).standard_normal((8, 1))
ONE *= np.sqrt(8 / (ONE**2).sum())


def integrable(n, depth, nets, name="ip", sigma="relu", rate=1.0, first=False):
    family = rg.family(name, layers=depth)
    C_W = 2.0 if sigma == "relu" else 1.0
    widths = [8, *[n] * (depth - 1), 1]
    return of_family(
        family, np.random.default_rng([3, n]), nets, widths, n, sigma=sigma, C_W=C_W, rate=rate, first=first
    )


def own(net):
    """What the first step of every layer alone puts into its own z, dE/df = 1: geometric means over networks."""
    zs = net.forward(ONE)
    updates = net.updates(ONE, np.ones((len(net.weights[0]), 1, 1)))
    return [rms(dW @ s) for (dW, _), s in zip(updates, net.signals(ONE, zs), strict=True)]


def log_mean(v):
    return np.exp(np.log(v).mean())


def own_slopes(depth, widths, total):
    """(measured, its standard error, derived) by layer."""
    samples = [own(integrable(n, depth, total // n)) for n in widths]
    derived = rg.family("ip").exponents(layers=depth)
    hidden = Fraction(4 - depth, 2)  # (3 - L)/2 of the page, whose L counts hidden layers
    assert set(derived["own_relative"][1:-1]) == {hidden}
    found = [fitted(widths, [v[l] for v in samples], log_mean) for l in range(depth)]
    return [(*slopes, float(exponent)) for slopes, exponent in zip(found, derived["own"], strict=True)]


@pytest.mark.parametrize("depth", [4, 5])
def test_own_updates_of_the_integrable_family(depth):
    """Own-weight contributions of the updates, small: three standard errors."""
    for measured, error, derived in own_slopes(depth, (128, 256, 512), 4096):
        assert abs(measured - derived) < 3 * error < 0.3


@pytest.mark.slow
@pytest.mark.parametrize("depth", [3, 4, 5, 6])
def test_own_updates_at_full_size(depth):
    """Widths 128 to 2048: within 0.1; without the width's own power, those of hidden layers go like (4 - L)/2."""
    for measured, error, derived in own_slopes(depth, (128, 256, 512, 1024, 2048), 16384):
        print(f"L = {depth}: {measured:.3f} +- {error:.3f}, derived {derived:g}")
        assert abs(measured - derived) < 0.1


def training(name, depth, sigma, steps, widths, rate):
    """rms z_t - z_0 of every network by step, layer and width, MSE towards 1."""
    found = [[[] for _ in range(depth)] for _ in range(steps)]
    for n in widths:
        net = integrable(n, depth, 4096 // n, name, sigma, rate, first=True)
        later = integrable(n, depth, 1, name, sigma, rate).weight_rates
        start = net.forward(ONE)
        for step in range(steps):
            net = net.moved(net.updates(ONE, net.forward(ONE)[-1] - 1.0))
            net.weight_rates = later
            for l, (z, z0) in enumerate(zip(net.forward(ONE), start, strict=True)):
                found[step][l].append(rms(z - z0))
    return found


def agrees(moved, exponents, widths):
    for samples, exponent in zip(moved, exponents, strict=True):
        measured, error = fitted(widths, samples, log_mean)
        assert abs(measured - float(exponent)) < 3 * error < 0.3


@pytest.mark.parametrize(("depth", "regime"), [(3, "learns features"), (4, "marginal"), (5, "frozen")])
def test_regimes_of_the_integrable_family(depth, regime):
    """Whole changes of signals and outputs after one step: exponents of three, four and five weight layers.

    Frozen ones have them after three steps, too; elsewhere later steps pass through crossovers.
    """
    derived = rg.family("ip").exponents(layers=depth)
    assert derived.regime == regime
    widths = (128, 256, 512)
    moved = training("ip", depth, "relu", 3 if depth == 5 else 1, widths, 0.3)
    for step, samples in enumerate(moved, start=1):
        agrees(samples, derived.step(step), widths)


def test_first_large_step_of_an_odd_activation():
    """tanh and the rates that relu needs: only two layers move at the first step, since signs average out."""
    widths = (128, 256, 512)
    derived = rg.family("ip-llr", layers=4).exponents(activation="tanh")
    assert [str(p) for p in derived.step(1)] == ["0", "0", "-1/2", "-1/2"]
    agrees(training("ip-llr", 4, "tanh", 1, widths, 0.5)[0], derived.step(1), widths)
    even = rg.family("ip-llr", layers=4).exponents()
    assert [str(p) for p in even.step(1)] == ["0"] * 4


# Adam -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "s"), [("meta", 0), ("meta", 0.5), ("meta", 1), ("standard", None)])
def test_steps_of_signs(name, s):
    """The first step of Adam is the sign of the gradient: own updates, and the whole changes of signals."""
    widths, depth = (64, 128, 256, 512), 4
    family = rg.family(name, s=s, optimizer="adam")
    derived = family.exponents(layers=depth, activation="tanh")
    own, whole = ([[] for _ in range(depth)] for _ in range(2))
    for n in widths:
        source = np.random.default_rng([6, n])
        net = of_family(family, source, 4096 // n, [8, *[n] * (depth - 1), 1], n, rate=1e-3)
        before = net.forward(ONE)
        gradients = replace(net, weight_rates=[1.0] * depth).updates(ONE, np.ones((4096 // n, 1, 1)))
        steps = [(rate * np.sign(dW), db) for rate, (dW, db) in zip(net.weight_rates, gradients, strict=True)]
        after = net.moved(steps).forward(ONE)
        for l, ((dW, _), signal) in enumerate(zip(steps, net.signals(ONE, before), strict=True)):
            own[l].append(rms(dW @ signal))
            whole[l].append(rms(after[l] - before[l]))
    agrees_within(own, derived["own"], widths)
    if name == "meta":  # small steps of a stable family
        agrees_within(whole, derived.step(1), widths)


def agrees_within(samples, exponents, widths):
    """The signs of a row act alike: own updates are nearly the same in all networks, up to 1/n."""
    for values, exponent in zip(samples, exponents, strict=True):
        measured, error = fitted(widths, values, log_mean)
        assert abs(measured - float(exponent)) < max(3 * error, 0.05)
