"""Learning rates by layer: shares of the tangent kernel from averages taken here, and how flows with them behave."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from plain_averages import DENT, FLAT, HARDTANH, LEANING, SIGMA, gauss

import rgflow as rg
from rgflow import MLP, InputError, NoClosedForm, NoCriticalPoint
from rgflow.universality import LearningRates, rates

KEPT = Path(__file__).parents[2] / "benchmarks" / "results" / "power_laws.json"
NAMED = ("tanh", "sin", "erf", "relu", "leaky_relu", "linear", "gelu", "swish")
VANISHING = ("tanh", "sin", "erf", DENT, LEANING)
# K* where it must be met; and 0.3 where a kernel of 1 is far from the power law for many layers
FIRST = {"gelu": (3 + 17**0.5) / 2, "swish": 14.3201736180, DENT: 0.3}


def network(name, depth, **columns):
    """A critical network of one-neuron layers; only K and Theta are asked of it."""
    point = rg.criticality(name).point
    return MLP.uniform(1, 1, depth, activation=name, C_b=point.C_b, C_W=point.C_W, **columns)


def tangent_kernel(net, name):
    return rg.flow(net, first_kernel=FIRST.get(name, 1.0), tensors=["K", "Theta"], order=0)["Theta"].values


def shares(name, lambda_b, lambda_W):
    """What each layer's biases and weights add to Theta of the last layer: its own term times all later chi_perp.

    Averages are those of plain_averages; the critical point is the only thing taken from rgflow.
    """
    point = rg.criticality(name).point
    sigma, slope = SIGMA[name]
    kernels, activity, chi = [FIRST.get(name, 1.0)], [], []
    activity.append((kernels[0] - point.C_b) / point.C_W)  # x.x/n_0
    for _ in range(len(lambda_b) - 1):
        activity.append(gauss(lambda z: sigma(z) ** 2, kernels[-1]))
        chi.append(point.C_W * gauss(lambda z: slope(z) ** 2, kernels[-1]))
        kernels.append(point.C_b + point.C_W * activity[-1])
    later = np.append(np.cumprod(chi[::-1])[::-1], 1.0)
    return np.array(lambda_b) * later, np.array(lambda_W) * activity * later


def spread(x):
    return float(np.max(x) / np.min(x))


# The law --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "p_0", "p_perpendicular"),
    [("relu", 0, 0), ("gelu", 0, 0), ("tanh", 1, 1), (LEANING, 1, 28 / 29), (FLAT, 0.5, 0.5)],
)
def test_the_book_s_law(name, p_0, p_perpendicular):
    """lambda_b l^-p_perp L^(p_perp - 1), lambda_W l^(p_0 - p_perp) L^(p_perp - 1), typed."""
    L, l = 50, np.arange(1, 51)
    found = rg.learning_rates(name, L, lambda_b=0.7, lambda_W=1.3)
    assert (found.p_0, found.p_perpendicular) == (p_0, pytest.approx(p_perpendicular))
    common = float(L) ** (p_perpendicular - 1)
    np.testing.assert_allclose(found["lambda_b"], 0.7 * common * l ** -float(p_perpendicular), rtol=1e-14)
    np.testing.assert_allclose(found["lambda_W"], 1.3 * common * l ** float(p_0 - p_perpendicular), rtol=1e-14)


@pytest.mark.parametrize("name", [*NAMED, DENT, LEANING, FLAT])
def test_theta_stays_of_order_one(name):
    """From depth 128 to 256 Theta of the last layer changes by less than 5 %, both constants positive."""
    last = [tangent_kernel(network(name, L, **rg.learning_rates(name, L)), name)[-1] for L in (128, 256)]
    assert abs(last[1] / last[0] - 1) < 0.05


@pytest.mark.parametrize("name", [*NAMED, DENT, LEANING])
@pytest.mark.parametrize("depth", [128, 256])
def test_every_layer_has_its_share(name, depth):
    """Beyond layer 20 within a factor 1.5, biases and weights each; and the shares add up to the flowed Theta."""
    columns = rg.learning_rates(name, depth, lambda_b=0.7, lambda_W=1.3)
    of_biases, of_weights = shares(name, columns["lambda_b"], columns["lambda_W"])
    assert spread(of_biases[20:]) < 1.5
    assert spread(of_weights[20:]) < 1.5
    theta = tangent_kernel(network(name, depth, **columns), name)[-1]
    assert np.sum(of_biases + of_weights) == pytest.approx(theta, rel=1e-10)


def test_shares_by_switching_on_one_layer():
    """The same shares once more, from flows in which a single layer learns."""
    name, depth = "tanh", 40
    columns = rg.learning_rates(name, depth)
    of_biases, of_weights = shares(name, columns["lambda_b"], columns["lambda_W"])
    for layer in (0, 7, 39):
        one = np.zeros(depth)
        one[layer] = columns["lambda_b"][layer]
        alone = network(name, depth, lambda_b=one.tolist(), lambda_W=0.0)
        assert tangent_kernel(alone, name)[-1] == pytest.approx(of_biases[layer], rel=1e-10)
        one[layer] = columns["lambda_W"][layer]
        alone = network(name, depth, lambda_b=0.0, lambda_W=one.tolist())
        assert tangent_kernel(alone, name)[-1] == pytest.approx(of_weights[layer], rel=1e-10)


@pytest.mark.parametrize("name", [*NAMED, DENT])
def test_constant_rates(name):
    """Theta grows in proportion to depth in every class, and shares become unequal where the kernel decays only."""
    theta = tangent_kernel(network(name, 2048, lambda_b=0.7, lambda_W=1.3), name)
    assert theta[2047] / theta[1023] == pytest.approx(2, rel=0.02)
    of_biases, of_weights = shares(name, [0.7] * 256, [1.3] * 256)
    if name in VANISHING:
        assert spread(of_biases[20:]) > 1.5
    else:
        assert spread(of_biases[20:]) < 1.5
        assert spread(of_weights[20:]) < 1.5


def test_published_spread():
    """tanh, L = 1000: largest over smallest share of biases and weights, four numbers typed to four decimals."""
    columns = rg.learning_rates("tanh", 1000)
    of_biases, of_weights = shares("tanh", columns["lambda_b"], columns["lambda_W"])
    assert spread(of_biases[50:]) == pytest.approx(1.0323, abs=5e-5)
    assert spread(of_weights[50:]) == pytest.approx(1.0064, abs=5e-5)
    assert spread(of_biases[100:]) == pytest.approx(1.0175, abs=5e-5)
    assert spread(of_weights[100:]) == pytest.approx(1.0030, abs=5e-5)


# Fluctuations and representation learning with these rates ------------------------------------------------------------

UNIT = {  # what makes a letter a number
    "V": lambda x: x["K"] ** 2,
    **dict.fromkeys("ABPQ", lambda x: x["Theta"] ** 2),
    **dict.fromkeys("DF", lambda x: x["K"] * x["Theta"]),
    **dict.fromkeys("RSTU", lambda x: x["Theta"] ** 2 / x["K"]),
}


@pytest.mark.parametrize("name", ["tanh", "sin", "erf", "relu", "leaky_relu", "linear", DENT])
def test_ratios_grow_as_depth_over_width(name):
    """Over the last doubling of the kept flows: doubled, within 1 %; U, which is the first to be small, does not grow.

    The common L^(p_perp - 1) of the rates, 1/L or 1, was not in these flows: R, S, T and U contain one more of it than
    Theta^2.
    """
    common = 2.0 ** (float(rg.criticality(name).p_perpendicular) - 1)
    kept = json.loads(KEPT.read_text())["activations"][name]
    x = {letter: np.array(values[-2:]) for letter, values in kept["values"].items()}
    for letter, unit in UNIT.items():
        ratio = x[letter] / unit(x)
        doubled = ratio[1] * (common if letter in "RSTU" else 1)
        if letter == "U" or not ratio.any():
            assert abs(doubled) <= abs(ratio[0])
        else:
            assert doubled / ratio[0] == pytest.approx(2, rel=0.01), letter


def test_ratios_at_the_last_layer_of_deeper_networks():
    """The same with the rates of each depth, as a user builds them: ReLU, whose powers come with l - 1 or l + 1."""
    found = []
    for depth in (32, 64):
        net = network("relu", depth, **rg.learning_rates("relu", depth))
        ds = rg.flow(net, first_kernel=1.0, tensors=["K", "Theta", *"VABDFQST"], kinks="almost_everywhere")
        values = {name: float(ds[name][-1]) for name in (*"VABDFQST", "K", "Theta")}
        found.append({letter: values[letter] / UNIT[letter](values) for letter in "VABDFQST"})
    for letter in "VABDFQST":
        # (64 - 1)/(32 - 1), or the product of at most two such factors in 1/l
        assert found[1][letter] / found[0][letter] == pytest.approx(2, rel=2 / 32 + 1 / 31), letter


# Interface ------------------------------------------------------------------------------------------------------------


def test_they_unpack_into_a_network():
    columns = rg.learning_rates("tanh", 3, lambda_b=0.5)
    assert isinstance(columns, LearningRates)
    assert list(columns) == ["lambda_b", "lambda_W"]
    assert len(columns) == 2
    net = MLP([4, 16, 16, 2], "tanh", C_W=1.0, **columns)
    assert net.hyperparameter("lambda_b") == pytest.approx((0.5, 0.25, 0.5 / 3))
    assert net.hyperparameter("lambda_W") == (1.0, 1.0, 1.0)
    with pytest.raises(KeyError):
        columns["C_W"]
    of_net = rg.learning_rates(net, lambda_b=0.5)
    assert of_net == columns
    assert rg.learning_rates(net, 3, lambda_b=0.5) == columns
    rates_of = columns.per_parameter(net)
    assert rates_of["bias"] == columns.lambda_b
    assert rates_of["weight"] == pytest.approx((1 / 4, 1 / 16, 1 / 16))


def test_sizes_multiply():
    one, more = rg.learning_rates("erf", 9), rg.learning_rates("erf", 9, lambda_b=3.0, lambda_W=0.0)
    np.testing.assert_allclose(more.lambda_b, 3 * np.array(one.lambda_b), rtol=1e-15)
    assert set(more.lambda_W) == {0.0}


@pytest.mark.parametrize("depth", [0, -1, 2.5, "3", None, True, float("nan")])
def test_depth_must_be_a_number_of_layers(depth):
    with pytest.raises(InputError, match="depth"):
        rg.learning_rates("tanh", depth)


@pytest.mark.parametrize(
    ("name", "size"), list(itertools.product(["lambda_b", "lambda_W"], [-1.0, np.nan, np.inf, "x", None]))
)
def test_sizes_must_be_numbers(name, size):
    with pytest.raises(InputError, match=name):
        rg.learning_rates("relu", 3, **{name: size})


def test_what_is_refused():
    with pytest.raises(NoCriticalPoint, match="sigmoid"):
        rg.learning_rates("sigmoid", 3)
    with pytest.raises(NoClosedForm, match="power of the depth"):
        rg.learning_rates(HARDTANH, 3)
    net = MLP.uniform(2, 4, 3, activation="tanh")
    with pytest.raises(InputError, match="depth is 4"):
        rg.learning_rates(net, 4)
    other = rg.learning_rates("tanh", 4)
    for wrong in (net, None, "tanh"):
        with pytest.raises(InputError, match="not a network of 4 layers"):
            other.per_parameter(wrong)
    with pytest.raises(rg.UnknownName):
        rg.learning_rates("tanhh", 3)


# Controls -------------------------------------------------------------------------------------------------------------


def test_a_wrong_exponent_is_noticed(monkeypatch):
    """Control: rates that do not fall with the layer, for a kernel that decays."""
    monkeypatch.setattr(rates, "exponents", lambda point: (1, 0))
    with pytest.raises(AssertionError):
        test_every_layer_has_its_share("tanh", 128)
    with pytest.raises(AssertionError):
        test_published_spread()


def test_a_forgotten_depth_is_noticed(monkeypatch):
    """Control: without the factor L^(p_perp - 1) Theta grows."""
    real = rates.learning_rates

    def damaged(activation, depth, **sizes):
        found = real(activation, depth, **sizes)
        return {name: [depth * x for x in found[name]] for name in found}

    monkeypatch.setattr(rg, "learning_rates", damaged)
    with pytest.raises(AssertionError):
        test_theta_stays_of_order_one("relu")


@pytest.mark.parametrize("depth", [10**7, 10**12])
def test_a_depth_beyond_memory_is_refused(depth):
    with pytest.raises(rg.InputError, match="layer by layer"):
        rg.learning_rates("tanh", depth)
    with pytest.raises(rg.InputError, match="layer by layer"):
        rg.solve("V", "relu").check(depth)
    with pytest.raises(rg.InputError, match="layer by layer"):
        rg.solve("V", "tanh").check(depth)
