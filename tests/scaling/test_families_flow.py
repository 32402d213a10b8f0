"""Derived exponents at the start beside numbers of rg.flow at two widths: logarithms of ratios are the exponents."""

import random
from fractions import Fraction
from math import log

import pytest

import rgflow as rg
from rgflow.brackets import gaussian_moments
from rgflow.scaling.families.counting import backward, flowed
from rgflow.scaling.families.described import planned
from rgflow.scaling.families.initial import squared_differential
from rgflow.scaling.families.powers import Power
from rgflow.scaling.families.sizes import Sizes
from rgflow.scaling.families.triple import ABC, GROUPS

LETTERS = ("K", "Theta", "V", "A", "B", "D", "F", "P", "Q", "R", "S", "T", "U")
WIDTHS = (2.0**24, 2.0**26)  # wider, and doubles lose terms behind larger ones that cancel
# Exponents are multiples of 1/2: the next term is n^-1/2 of the largest, 2^-12, times a ratio of constants below 500;
# the logarithm of a ratio of two widths moves by 500 (2^-12 - 2^-13)/ln 4.
TOLERANCE = 0.05


def network(weights, biases, n, layers, activation, unit):
    """The network of width n, its hyperparameters from the definition of a, b, c; rg.flow takes any number as width."""
    groups = ["input", *["hidden"] * (layers - 2), "output"]
    fan_in = [1.0] + [n] * (layers - 1)

    def power(exponent):
        return n ** float(exponent)

    values = {
        "C_W": [
            f * u * power(-2 * (weights[g].a + weights[g].b)) for f, g, u in zip(fan_in, groups, unit, strict=True)
        ],
        "lambda_W": [
            f * u * power(-(2 * weights[g].a + weights[g].c)) for f, g, u in zip(fan_in, groups, unit, strict=True)
        ],
        "C_b": [0.0] * layers,
        "lambda_b": [0.0] * layers,
    }
    if biases:
        values["C_b"] = [u * power(-2 * (biases[g].a + biases[g].b)) for g, u in zip(groups, unit, strict=True)]
        values["lambda_b"] = [u * power(-(2 * biases[g].a + biases[g].c)) for g, u in zip(groups, unit, strict=True)]
    return rg.MLP([1, *[4] * (layers - 1), 1], activation, **values)


def numbers(weights, biases, n, layers, activation, unit):
    net = network(weights, biases, n, layers, activation, unit)
    ds = rg.flow(net, inputs=[1.0], tensors=LETTERS, order=1, kinks="almost_everywhere")
    return {name: abs(float(ds[name][-1])) for name in LETTERS}


def half(source, low, high):
    return Fraction(source.randint(2 * low, 2 * high), 2)


def drawn(seed, growing):
    """Random exponents; those of the hidden layers let kernels grow only if ``growing``."""
    source = random.Random(seed)
    found = {}
    for group in GROUPS:
        least = 0 if group == "input" else 1  # 2 (a + b) of a kernel that stays
        total = Fraction(source.randint(-1 if growing else least, 3), 2)
        a = half(source, -1, 1)
        found[group] = ABC(a, total - a, half(source, -2, 2))
    biases = {g: ABC(0, half(source, 0, 1), half(source, -1, 2)) for g in GROUPS} if source.random() < 0.5 else None
    unit = [source.uniform(0.5, 2.0) for _ in range(5)]
    return found, biases, unit


CASES = [("relu", True), ("linear", True), ("relu(z)^2", True), ("tanh", False), ("gelu", False), ("sin", False)]


def exponents_from_flow(weights, biases, unit, activation, layers):
    at = [numbers(weights, biases, n, layers, activation, unit[:layers]) for n in WIDTHS]
    found = {}
    for name in LETTERS:
        low, high = (values[name] for values in at)
        found[name] = None if low == high == 0 else log(high / low) / log(WIDTHS[1] / WIDTHS[0])
    return found


def counted(weights, biases, layers, activation):
    plan = planned(weights, biases, layers)
    return flowed(LETTERS, plan.layers, Sizes(rg.activation(activation)))[-1]


@pytest.mark.parametrize(("activation", "growing"), CASES)
@pytest.mark.parametrize("seed", range(4))
def test_exponents_of_random_families(activation, growing, seed):
    layers = 3 + seed % 2
    weights, biases, unit = drawn(seed, growing)
    found = exponents_from_flow(weights, biases, unit, activation, layers)
    derived = counted(weights, biases, layers, activation)
    for name in LETTERS:
        if found[name] is None:
            assert derived[name].zero, name
        else:
            assert found[name] == pytest.approx(float(derived[name].at(0)), abs=TOLERANCE), name


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("wrong", ["a", "b", "c"])
def test_control_a_wrong_exponent_of_one_group_is_seen(group, wrong):
    """Negative control: half a power less in one exponent of one group, and some letter disagrees."""
    family = rg.family("meta", s="1/2")
    found = exponents_from_flow(family.weights, None, [1.0, 1.3, 0.8, 1.1], "relu", 4)
    right = family.weights[group]
    values = {name: getattr(right, name) - Fraction(name == wrong, 2) for name in ("a", "b", "c")}
    for weights, seen in ((family.weights, False), (family.weights | {group: ABC(**values)}, True)):
        derived = counted(weights, None, 4, "relu")
        away = max(abs(found[n] - float(derived[n].at(0))) for n in LETTERS if found[n] is not None)
        assert away > 0.4 if seen else away < TOLERANCE


@pytest.mark.parametrize(("activation", "growing"), [("relu", True), ("tanh", False)])
@pytest.mark.parametrize("seed", [10, 11])
def test_backward_signals_of_random_families(activation, growing, seed):
    """J of every layer, by the compiled flow of partial Jacobians."""
    layers = 4
    weights, biases, unit = drawn(seed, growing)
    plan = planned(weights, biases, layers)
    sizes = Sizes(rg.activation(activation))
    states = flowed(("K",), plan.layers, sizes)
    derived = backward([state["K"] for state in states], plan.layers, sizes)
    nets = [network(weights, biases, n, layers, activation, unit[:layers]) for n in WIDTHS]
    for start in range(1, layers + 1):
        low, high = (float(rg.partial_jacobian(net, inputs=[1.0], start=start)["J"][-1]) for net in nets)
        measured = log(high / low) / log(WIDTHS[1] / WIDTHS[0])
        assert measured == pytest.approx(float(derived[start - 1].at(0)), abs=TOLERANCE)


@pytest.mark.parametrize(("activation", "s"), [("tanh", 0.5), ("relu", 1)])
def test_square_of_the_differential(activation, s):
    """The five cumulants of three entries that make E[dH dH], flowed at order 2."""
    family = rg.family("meta", s=s)
    names = squared_differential()
    assert len(names) == 5
    unit, values = [1.0, 1.3, 0.8, 1.1], []
    for n in WIDTHS:
        net = network(family.weights, None, n, 4, activation, unit)
        ds = rg.flow(net, inputs=[1.0], tensors=names, order=2, kinks="almost_everywhere")
        values.append(sum(abs(float(ds[name][-1])) for name in names))
    third = log(values[1] / values[0]) / log(WIDTHS[1] / WIDTHS[0])
    assert third / 2 - 1 == pytest.approx(float(family.exponents(activation=activation)["dNTK"]), abs=TOLERANCE)
    assert family.exponents(activation=activation)["dNTK"] == Fraction(s) / 2 - 1


def test_averages_of_small_kernels_are_those_of_quadrature():
    """<d^m prod sigma^(k)> at K = 4^-8 and 4^-10, for activations of every kind of behaviour at the origin."""
    cases = [((0, 0), 0), ((1, 1), 0), ((0, 0), 2), ((0, 1), 1), ((0, 0, 1, 1), 0), ((0, 2), 0)]
    for name in (
        "tanh",
        "gelu",
        "sigmoid",
        "z^3",
        "z^2 + z^3",
        "cos(z)",
        "softplus",
        "leaky_relu",
        "relu(z)^2",
        "abs(z)",
    ):
        activation = rg.activation(name)
        for orders, pending in cases:
            if activation.kinks and (max(orders) > 1 or pending):
                continue
            high, low = (_average(activation, orders, pending, 4.0**-k) for k in (8, 10))
            power = Sizes(activation).combined(((Fraction(1), ((orders, pending),)),), Power.of(-1))
            if power.zero:
                assert max(abs(low), abs(high)) < 1e-14, (name, orders, pending)
            else:  # the next power of K is 2^-16 smaller
                measured = log(abs(high / low)) / log(16)
                assert measured == pytest.approx(-float(power.at(0)), abs=0.01), (name, orders, pending)


def _average(activation, orders, pending, kernel):
    values, _ = gaussian_moments(activation, [[[kernel]]], [((orders, pending),)], tolerance=1e-14)
    return float(values[0, 0])
