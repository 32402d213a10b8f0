"""``variation`` against the papers' recurrences typed by hand, and its manners."""

import math

import numpy as np
import pytest
from sources.yang_schoenholz import arc_cosine, flow, relu_averages

import rgflow as rg
from rgflow.brackets import gaussian_moments
from rgflow.errors import AccuracyError, InputError, UnknownName
from rgflow.network.kinds.branch import Branch
from rgflow.network.kinds.projection import Projection
from rgflow.network.kinds.reduced import Reduced
from rgflow.network.kinds.residual import Residual
from rgflow.scaling import variation, variation_network
from rgflow.scaling.recurrences import recurrences

BETAS = {"beta_W": 0.3, "beta_V": 0.1, "beta_a": 0.4, "beta_b": 0.2}
SIZES = {"C_W": 1.3, "C_V": 0.8, "C_a": 0.5, "C_b": 0.2}
WIDTHS = [32, 32, 16, 16, 64, 8, 8]


def sigmas(l):
    return tuple(SIZES[f"C_{x}"] * l ** -BETAS[f"beta_{x}"] for x in "WVab")


def tanh_averages(q, lam):
    """By plain sums over a fine grid: exact but for rounding at small kernels, where tanh is smooth."""
    x = np.arange(-9, 9.01, 0.05)
    w = np.exp(-0.5 * x**2) * 0.05 / math.sqrt(2 * math.pi)
    V = w @ np.tanh(math.sqrt(q) * x) ** 2
    dV = w @ np.cosh(math.sqrt(q) * x) ** -4.0
    c = lam / q
    u = math.sqrt(q) * x
    other = math.sqrt(q) * (c * x[:, None] + math.sqrt(1 - c * c) * x)
    return V, dV, w @ (np.tanh(u)[:, None] * np.tanh(other)) @ w


def agree(ds, typed, rtol):
    for name, values in typed.items():
        if name not in ds:
            assert name in ("chi_V", "chi_a")  # not in a reduced block
            continue
        expected = np.array([np.nan if x is None else x for x in values], float)
        np.testing.assert_allclose(ds[name].values, expected, rtol=rtol, err_msg=name)


def test_recurrences_read_off_the_laws():
    """Theorems C.2 and C.3 of the sequel, letter by letter."""
    assert str(recurrences(Projection())).splitlines() == [
        "K_1 = C_b + C_W K_0",
        "K_2 = C_a + C_V <s s>_1 + C_P K_0",
        "Theta_1 = lambda_b + C_W Theta_0 + lambda_W K_0",
        "Theta_2 = lambda_a + C_V <s' s'>_1 Theta_1 + lambda_V <s s>_1 + C_P Theta_0 + lambda_P K_0",
    ]
    assert str(recurrences(Reduced())).splitlines()[1::2] == [
        "K_2 = K_0 + <s s>_1",
        "Theta_2 = Theta_0 + <s' s'>_1 Theta_1",
    ]
    assert recurrences(Reduced()).odd
    assert not recurrences(Branch()).odd


@pytest.mark.parametrize("widths", [None, WIDTHS])
def test_relu_is_the_papers_flow(widths):
    """Closed forms on both sides: rounding is all that differs, 1e-16 at each of six blocks and in logarithms."""
    ds = variation("relu", 6, **SIZES, **BETAS, widths=widths, p0=0.7, gamma0=0.2)
    agree(ds, flow(relu_averages, 6, sigmas, 0.7, 0.2, widths), 1e-12)
    np.testing.assert_allclose(ds["s"], ds["p"] - ds["gamma"], rtol=1e-12)
    np.testing.assert_allclose(ds["e"], ds["gamma"] / ds["p"], rtol=1e-12)
    np.testing.assert_allclose(ds["c"], ds["lambda"] / ds["q"], rtol=1e-12)


def test_tanh_is_the_papers_flow():
    """Rounding, and e^(-81/2) beyond nine standard deviations, are all that differs."""
    kernels = {"C_W": 0.5, "C_V": 0.8, "C_a": 0.5, "C_b": 0.2}
    ds = variation("tanh", 5, **kernels, p0=0.7, gamma0=-0.2)
    typed = flow(tanh_averages, 5, lambda l: (0.5, 0.8, 0.5, 0.2), 0.7, -0.2)
    agree(ds, typed, 1e-12)
    reduced = variation("tanh", 4, C_W=0.5, C_b=0.2, reduced=True, p0=0.7, gamma0=0.3)
    agree(reduced, flow(tanh_averages, 4, lambda l: (0.5, 0, 0, 0.2), 0.7, 0.3, reduced=True), 1e-12)


def test_control_a_wrong_width_or_factor_is_seen():
    """Without N/M, or with V' at the wrong kernel, the typed flow is another one."""
    ds = variation("relu", 6, **SIZES, **BETAS, widths=WIDTHS)
    wrong = flow(relu_averages, 6, sigmas, 1.0, 0.2, WIDTHS, hidden=[2 * n for n in WIDTHS[1:]])
    assert ds["chi_W"].values[1:] == pytest.approx(2 * np.array(wrong["chi_W"][1:]), rel=1e-12)
    equal = flow(relu_averages, 6, sigmas, 1.0, 0.2)
    assert abs(float(ds["chi"][0]) / equal["chi"][0] * WIDTHS[0] / WIDTHS[-1] - 1) < 1e-12
    assert float(ds["chi"][0]) != pytest.approx(equal["chi"][0], rel=0.1)


def test_a_network_is_the_same():
    net = variation_network("tanh", 6, **SIZES, **BETAS, widths=WIDTHS)
    kinds = "Linear Branch Projection Branch Projection Projection Branch Linear"
    assert [type(x).__name__ for x in net.layers] == kinds.split()
    one = variation("tanh", 6, **SIZES, **BETAS, widths=WIDTHS, gamma0=0.3)
    other = variation(net, gamma0=0.3)
    for name in one.drop_vars("numerical_error").data_vars:
        np.testing.assert_allclose(other[name], one[name], rtol=1e-12, err_msg=str(name))
    assert rg.Network.from_json(other.attrs["network"]) == net


def test_a_network_with_its_own_hidden_width_and_other_kinds():
    """Rows of W are hidden neurons; dense and residual layers have their own recurrences, by the same laws."""
    layers = [rg.Linear(), Branch(hidden=64), Residual(skip=0.5, C_W=1.5), rg.Dense(C_W=2.0), rg.Linear()]
    ds = variation(rg.Network(layers, [4, 16, 16, 16, 16, 1], "relu"), p0=1.0)
    p1 = 1 + 0.5
    p2 = 1.5 * p1 / 2 + 0.25 * p1
    np.testing.assert_allclose(ds["p"], [1, p1, p2, p2], rtol=1e-13)
    dense, residual = 2.0 / 2, 1.5 / 2 + 0.25
    np.testing.assert_allclose(ds["chi"], [dense * residual * 1.5, dense * residual, dense, 1], rtol=1e-13)
    assert float(ds["chi_W"][1]) == pytest.approx(16 / 64 * dense * residual * 0.5 * 1.0, rel=1e-13)


def test_layers_of_a_flow_are_the_same():
    """The kernel of the general flow of a network of branches, at leading order."""
    net = variation_network("tanh", 4, **SIZES, **BETAS, widths=8)
    ds = rg.flow(net, first_kernel=0.9, tensors=["K"], order=0)
    np.testing.assert_allclose(variation(net, p0=0.9)["p"], ds["K"].values[:5], rtol=1e-10)


def test_two_inputs_of_layers_of_every_kind():
    """Against the general flow of two inputs, which shares the laws but neither averages nor loop."""
    layers = [
        rg.Linear(),
        Residual(skip=-0.7, C_W=1.2, C_b=0.1),
        rg.Dense(C_W=1.5, C_b=0.2),
        Branch(C_b=0.3),
        rg.Linear(),
    ]
    net = rg.Network(layers, [8, 8, 8, 8, 8, 1], "tanh")
    K = rg.flow(net, first_kernel=[[1.0, 0.3], [0.3, 1.0]], tensors=["K"], order=0)["K"].values[:4]
    ds = variation(net, gamma0=0.3)
    np.testing.assert_allclose(ds["p"], K[:, 0, 0], rtol=1e-10)
    np.testing.assert_allclose(ds["gamma"], K[:, 0, 1], rtol=1e-10)
    assert np.isnan(ds["q"].values[:3]).all()
    assert float(ds["q"][3]) == pytest.approx(K[2, 0, 0] + 0.3, rel=1e-10)


def test_depth_without_overflow():
    """relu: p = (3/2)^l + ..., beyond every float; both ends of the logarithms are exact."""
    ds = variation("relu", 3000, C_a=0, C_b=0, gamma0=0.5)
    assert math.isinf(float(ds["p"][-1]))
    np.testing.assert_allclose(ds["log_p"], np.log(1.5) * np.arange(3001), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(ds["log_chi"], np.log(1.5) * np.arange(3000, -1, -1), rtol=1e-12, atol=1e-12)
    compiled = variation("relu", 3100, C_a=0, C_b=0, gamma0=0.5)  # long enough to be compiled
    for name in ("log_p", "log_gap", "log_gap_c"):
        np.testing.assert_allclose(compiled[name][:3001], ds[name], rtol=1e-12, err_msg=name)


def test_equal_and_opposite_inputs():
    same = variation("tanh", 5, gamma0=1.0)
    np.testing.assert_array_equal(same["e"], 1.0)
    np.testing.assert_array_equal(same["log_s"], -np.inf)
    opposite = variation("tanh", 5, C_a=0, C_b=0, gamma0=-1.0)
    # a = 0 stands at 2^-17: <sigma_1 sigma_2> = -V + O(a^2) at each of five blocks, relative to p >= 1
    np.testing.assert_allclose(opposite["e"], -1.0, rtol=5 * 2.0**-34)
    assert abs(float(opposite["e"][-1]) + 1) <= 2 * float(opposite["numerical_error"].sel(quantity="gap"))


def test_numerical_error():
    """Covers the distance from flows typed by hand, and is small."""
    kernels = {"C_W": 0.5, "C_V": 0.8, "C_a": 0.5, "C_b": 0.2}
    ds = variation("tanh", 5, **kernels, p0=0.7, gamma0=-0.2)
    typed = flow(tanh_averages, 5, lambda l: (0.5, 0.8, 0.5, 0.2), 0.7, -0.2)
    typed["s"] = np.array(typed["p"]) - np.array(typed["gamma"])
    errors = dict(zip(ds["quantity"].values, ds["numerical_error"].values, strict=True))
    rounding = 5 * 2e-16 / 0.1  # of the typed flow, whose differences lose a digit
    for name in ("p", "s", "chi", "chi_W", "chi_V", "chi_a", "chi_b"):
        expected = np.array([np.nan if x is None else x for x in typed[name]], float)
        assert np.nanmax(np.abs(ds[name] / expected - 1)) <= errors[name] + rounding, name
        assert errors[name] < 1e-11, name
    exact = variation("relu", 100, C_a=0, C_b=0)
    rounded = np.abs(exact["log_p"] - np.arange(101) * np.log(1.5)).max()
    assert rounded <= float(exact["numerical_error"].sel(quantity="p")) < 1e-11


def test_kinked_activation_with_a_kink_elsewhere():
    """A kink at 1: the tables against the quadrature for kinks."""
    act = rg.activation("Max(z, 1)")
    ds = variation(act, 1, C_V=1, C_a=0, C_b=0, p0=2.0, gamma0=0.5)
    joint, _ = gaussian_moments(act, [[[2.0, 0.5], [0.5, 2.0]]], [(((0,), 0), ((0,), 0))])
    alone, _ = gaussian_moments(act, [[[2.0]]], [(((0, 0), 0),), (((1, 1), 0),)])
    assert float(ds["p"][1]) == pytest.approx(2.0 + alone[0, 0], rel=1e-9)
    assert float(ds["gamma"][1]) == pytest.approx(0.5 + joint[0, 0], rel=1e-9)
    assert float(ds["chi"][0]) == pytest.approx(1 + alone[0, 1], rel=1e-9)


def test_powers_of_relu():
    ds = variation("relu(z)^(3/4)", 3, C_a=0.1, C_b=0.2, gamma0=0.3)
    rng = np.random.default_rng(3)
    z = rng.standard_normal((2, 400_000))
    q, lam = 1.2, 0.5
    c = lam / q
    u, v = math.sqrt(q) * z[0], math.sqrt(q) * (c * z[0] + math.sqrt(1 - c * c) * z[1])
    products = np.maximum(u, 0) ** 0.75 * np.maximum(v, 0) ** 0.75
    measured, error = products.mean(), products.std() / math.sqrt(products.size)
    assert abs(float(ds["gamma"][1]) - 0.3 - 0.1 - measured) < 4 * error
    assert ds.attrs["power"] == "3/4"


def test_round_trip(tmp_path):
    ds = variation("relu(z)^(3/4)", 3, gamma0=0.5)
    rg.save(ds, tmp_path / "x.nc")
    assert rg.load(tmp_path / "x.nc").identical(ds)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"depth": 0}, "depth"),
        ({"C_W": -1}, "C_W is -1"),
        ({"C_W": [1, 2]}, "one for each of the 3"),
        ({"beta_V": math.nan}, "beta of C_V"),
        ({"C_W": "a"}, "give numbers"),
        ({"widths": [4, 4]}, "2 widths for 3 blocks"),
        ({"widths": [4, 4, 4, 0]}, "widths"),
        ({"p0": 0}, "p0 is 0"),
        ({"gamma0": 2.0}, "gamma0 is 2.0"),
        ({"reduced": True, "widths": [4, 4, 2, 2]}, "keeps the width"),
    ],
)
def test_refusals(arguments, said):
    with pytest.raises(InputError, match=said):
        variation("tanh", **{"depth": 3, **arguments})


def test_other_refusals():
    with pytest.raises(InputError, match="not odd"):
        variation("relu", 3, reduced=True)
    with pytest.raises(InputError, match="own depth"):
        variation(variation_network("tanh", 3), 3)
    with pytest.raises(InputError, match="no layers above"):
        variation(rg.Network([rg.Linear(), rg.Linear()], [2, 2, 2], "tanh"))
    with pytest.raises(InputError, match="not smooth enough"):
        variation_network("relu(z)^(3/4)", 3)
    with pytest.raises(UnknownName):
        variation("thanh", 3)
    with pytest.raises(AccuracyError):
        variation("exp", 100)


def test_arc_cosine_by_hand():
    assert arc_cosine(0.0) == pytest.approx(1 / math.pi)
