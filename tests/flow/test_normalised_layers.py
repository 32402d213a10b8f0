"""LayerNorm and RMSNorm at next order: exact spheres, exact constants, limits in which the norm is switched off."""

import sys
from fractions import Fraction

import numpy as np
import pytest

import rgflow as rg
from rgflow.derive import normalised
from rgflow.derive.response import mean, response, shift

NAMES = ("K", "Theta", "V", "D", "F", "A", "B")
ALL = (*NAMES, "K_1", "Theta_1")
KINDS = (rg.LayerNorm, rg.RMSNorm)


def network(layer, activation, blocks=3, width=64):
    layers = [rg.Dense(), *[layer] * blocks, rg.Dense()]
    return rg.Network(layers, [5] + [width] * (blocks + 2), activation)


def flowed(layer, activation, first_kernel=1.0, **given):
    net = network(layer, activation, **given)
    return rg.flow(net, first_kernel=first_kernel, tensors=NAMES, order=1, kinks="almost_everywhere")


def sphere(n: int, *powers: int) -> Fraction:
    """E[y_1^p y_2^q ..] for y uniform on the sphere of radius sqrt(n) in n dimensions, all powers even."""
    found, total = Fraction(1), sum(powers) // 2
    for power in powers:
        for k in range(1, power, 2):
            found *= k
    for k in range(total):
        found *= Fraction(n, n + 2 * k)
    return found


def test_a_sphere_gives_the_kernel_and_the_vertex_of_rms_norm():
    """sigma = z^2 behind RMSNorm reads y^4 of a point on a sphere, exactly; its 1/n follows from two large n."""
    ds = flowed(rg.RMSNorm(C_b=0.3, C_W=0.7), "z^2", first_kernel=2.0)
    means = [float(n * (sphere(n, 4) - 3)) for n in (10**7, 2 * 10**7)]
    spreads = [float(sphere(n, 8) + (n - 1) * sphere(n, 4, 4) - n * sphere(n, 4) ** 2) for n in (10**7, 2 * 10**7)]
    np.testing.assert_allclose(ds["K"][1:4], 0.3 + 0.7 * 3, rtol=1e-13)
    np.testing.assert_allclose(ds["K_1"][1:4], 0.7 * (2 * means[1] - means[0]), rtol=1e-9)
    np.testing.assert_allclose(ds["V"][1:4], 0.7**2 * (2 * spreads[1] - spreads[0]), rtol=1e-9)


def centred_sphere(n: int) -> tuple[Fraction, Fraction]:
    """E[y_1^4] and the variance of (1/n) sum y^4 for y on the sphere of radius sqrt(n) among vectors without mean.

    y = sqrt(n) P g/|P g| with P = 1 - 11^T/n: moments of the Gaussian P g, divided by those of its chi-squared radius.
    """
    a, b = Fraction(n - 1, n), Fraction(-1, n)
    fourth, eighth = 3 * a**2, 105 * a**4
    both = 9 * a**4 + 72 * a**2 * b**2 + 24 * b**4  # Isserlis for E[x^4 y^4]
    radius = [Fraction(1)]
    for k in range(4):
        radius.append(radius[-1] * (n - 1 + 2 * k))
    mean4 = fourth * n**2 / radius[2]
    square = (eighth + (n - 1) * both) / n * n**4 / radius[4]
    return mean4, square - mean4**2


def test_a_sphere_without_mean_gives_those_of_layer_norm():
    ds = flowed(rg.LayerNorm(C_b=0.3, C_W=0.7), "z^2", first_kernel=2.0)
    pairs = [centred_sphere(n) for n in (10**7, 2 * 10**7)]
    shifts = [float(n * (mean4 - 3)) for n, (mean4, _) in zip((10**7, 2 * 10**7), pairs, strict=True)]
    spreads = [float(n * spread) for n, (_, spread) in zip((10**7, 2 * 10**7), pairs, strict=True)]
    np.testing.assert_allclose(ds["K_1"][1:4], 0.7 * (2 * shifts[1] - shifts[0]), rtol=1e-9)
    np.testing.assert_allclose(ds["V"][1:4], 0.7**2 * (2 * spreads[1] - spreads[0]), rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("skip", [0.0, 0.8])
@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu"])
def test_behind_sigma_the_kernel_of_one_input_does_not_fluctuate(kind, skip, activation):
    """W norm(sigma) has the variance C_W, whatever the neurons are: Gaussian layers of a fixed variance are added."""
    ds = flowed(kind(place="after", C_b=0.2, C_W=1.3, skip=skip), activation)
    expected = [1.0]
    for _ in range(3):
        expected.append(1.5 + skip**2 * expected[-1])
    np.testing.assert_allclose(ds["K"][:4], expected, rtol=1e-13)
    for name in ("K_1", "V"):
        np.testing.assert_allclose(ds[name][:4], 0.0, atol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_a_linear_network_of_unit_length_does_not_fluctuate(kind):
    ds = flowed(kind(C_b=0.2, C_W=1.3), "linear")
    np.testing.assert_allclose(ds["K"][1:4], 1.5, rtol=1e-13)
    for name in ("K_1", "V"):
        np.testing.assert_allclose(ds[name][1:4], 0.0, atol=1e-11)


HUGE = 1e10


@pytest.mark.parametrize("skip", [0.0, 0.7])
@pytest.mark.parametrize("place", ["before", "after"])
def test_a_norm_that_is_switched_off_leaves_the_layer_without_it(place, skip):
    """epsilon -> inf with weights that make up for it: the norm divides by a constant, relu passes it on."""
    off = rg.RMSNorm(place=place, epsilon=HUGE, C_b=0.3, C_W=1.4 * HUGE, skip=skip, lambda_W=HUGE * 0.6, lambda_b=0.8)
    plain = rg.Residual(C_b=0.3, C_W=1.4, skip=skip, lambda_W=0.6, lambda_b=0.8)
    ours, theirs = flowed(off, "relu"), flowed(plain, "relu")
    for name in ALL:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=3e-8, atol=3e-8, err_msg=name)


@pytest.mark.parametrize("skip", [0.0, pytest.param(0.6, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", ["before", "after"])
def test_an_input_flows_the_same_beside_another_one(kind, place, skip):
    layer = kind(place=place, C_b=0.1, C_W=1.2, skip=skip)
    one = flowed(layer, "gelu", blocks=2)
    two = flowed(layer, "gelu", blocks=2, first_kernel=[[1.0, 0.4], [0.4, 0.8]])
    for name in ALL:
        ndim = two[name].ndim - 1
        np.testing.assert_allclose(two[name].values[(slice(None), *[0] * ndim)], one[name], rtol=1e-8, atol=1e-9)


def test_scale_of_the_input_is_forgotten_without_a_skip():
    small, large = (flowed(rg.LayerNorm(C_W=1.3, C_b=0.1), "gelu", first_kernel=K) for K in (1e-6, 1e6))
    for name in ("K", "V", "K_1"):
        np.testing.assert_allclose(small[name][1:4], large[name][1:4], rtol=1e-9, atol=1e-12)


def without(count):
    """The expansion behind a norm without what needs ``count`` fluctuations."""

    def cut(part):
        return tuple(piece for piece in normalised.pieces(part) if len(piece.stats) != count)

    return cut


@pytest.mark.parametrize("count", [1, 2])
def test_control_a_norm_without_its_fluctuations_is_told_apart(monkeypatch, count):
    monkeypatch.setattr(sys.modules["rgflow.derive.response"], "pieces", without(count))
    for line in (mean, response, shift):
        line.cache_clear()
    try:
        with pytest.raises(AssertionError):
            test_a_sphere_gives_the_kernel_and_the_vertex_of_rms_norm()
    finally:
        for line in (mean, response, shift):
            line.cache_clear()


@pytest.mark.parametrize("layer", [rg.LayerNorm(place="after"), rg.Branch()], ids=["norm", "branch"])
def test_kernels_whose_squares_overflow_are_refused(layer):
    with pytest.raises(rg.AccuracyError, match="not finite"):
        rg.flow(network(layer, "tanh", blocks=2), first_kernel=1e300, order=1)


def test_what_a_norm_cannot_divide_is_refused():
    with pytest.raises(rg.InputError, match=r"at layer 2 the norm divides"):
        rg.flow(network(rg.LayerNorm(), "tanh"), first_kernel=0.0)
    with pytest.raises(rg.InputError, match="place is 'inside'"):
        rg.LayerNorm(place="inside")
    with pytest.raises(rg.InputError, match="cannot be one"):
        rg.Network([rg.LayerNorm(), rg.Dense()], [3, 3, 1], "tanh")
    with pytest.raises(rg.OrderError, match="known to order 1"):
        rg.flow(network(rg.LayerNorm(), "tanh"), first_kernel=1.0, order=2)
    with pytest.raises(rg.InputError, match="no recursion in one time"):
        rg.closure(["K"], layer=rg.LayerNorm(place="after"))
    with pytest.raises(rg.InputError, match="closure='full'"):
        rg.flow(network(rg.LayerNorm(place="after"), "tanh"), first_kernel=1.0, closure="book")


def test_many_inputs_are_pairs_of_few():
    """Beyond ten inputs pairs of other layers go one by one; behind a norm they stay together."""
    layers = [rg.Dense(), rg.LayerNorm(C_b=0.1), rg.RMSNorm(place="after", skip=0.5), rg.Dense()]
    net = rg.Network(layers, [4, 8, 8, 8, 1], "gelu")
    inputs = np.random.default_rng(0).standard_normal((12, 4))
    many, few = (rg.flow(net, inputs[:n], order=0, tensors=["K", "Theta"]) for n in (12, 5))
    for name in ("K", "Theta"):
        np.testing.assert_allclose(many[name].values[:, :5, :5], few[name], rtol=1e-13)
