"""Flows at many points at once, beside the flow of each point, PDLT's recursion typed by hand, and exact laws."""

import numpy as np
import pytest

import rgflow as rg
from rgflow.codegen.lanes import BEYOND, GOOD, RUNS_AWAY
from rgflow.flow.points import OVERFLOWS, SAMPLED, flow_points, suits

RNG = np.random.default_rng(7)
POINTS = {
    "C_b": RNG.uniform(0, 0.5, 150),
    "C_W": RNG.uniform(0.3, 2.5, 150),
    "lambda_b": RNG.uniform(0, 1, 150),
    "lambda_W": RNG.uniform(0.1, 2, 150),
}
OVERLAP = RNG.uniform(0.05, 3, 150)


def alone(net, place, **options):
    """The flow of one of the points."""
    values = {name: float(x[place]) for name, x in POINTS.items()}
    one = rg.MLP(net.widths, net.activation, **values)
    return rg.flow(one, first_kernel=values["C_b"] + values["C_W"] * OVERLAP[place], **options)


@pytest.mark.parametrize("name", ["tanh", "gelu", "relu", "leaky_relu", "sin", "softplus", "Max(z, 1/2)", "z^2/2 + z"])
def test_each_point_is_its_own_flow(name):
    """Within the errors of both; every letter of order 1 that the activation has, at widths that differ."""
    net = rg.MLP([5, 40, 60, 30, 30, 2], name)
    tensors = ["K", "Theta", "V", "A", "B", "D", "F"]
    found = flow_points(net, POINTS, OVERLAP, tensors=tensors)
    for place in (0, 63, 64, 149):
        ds = alone(net, place, tensors=tensors)
        for coefficient in ds.coefficient.values:
            error = ds.numerical_error.sel(coefficient=coefficient).values
            ours, doubt = found.values[coefficient][:, place], found.errors[coefficient][:, place]
            assert (np.abs(ours - ds[coefficient].values) <= error + doubt).all(), coefficient
            assert (doubt <= 1e-9 * np.maximum(np.abs(ours), 1e-3)).all(), coefficient
        for letter in ds.letter.values:
            ratio = ds.expansion_ratio.sel(letter=letter).values
            assert found.expansion_ratio[letter][:, place] == pytest.approx(ratio, rel=1e-7)


def test_higher_orders_and_all_letters():
    net = rg.MLP([3, 50, 50, 50, 1], "sin")
    few = slice(10, 13)  # tables of so many averages are made for few kernels
    points = {name: x[few] for name, x in POINTS.items()}
    found = flow_points(net, points, OVERLAP[few], tensors=["K", "V", "V6", "P", "T"], order=2, layers=[4])
    for place in range(3):
        ds = alone(net, 10 + place, tensors=["K", "V", "V6", "P", "T"], order=2)
        for name in ds.coefficient.values:
            assert found.values[name][0, place] == pytest.approx(float(ds[name][3]), rel=1e-9)


def test_pdlt_by_hand():
    """K, V, Theta of tanh by PDLT's equations and the trapezoid rule, on a grid of (C_b, C_W)."""
    x = np.linspace(-9, 9, 721)
    w = np.exp(-x * x / 2) * (x[1] - x[0]) / np.sqrt(2 * np.pi)
    C_b, C_W = (g.ravel() for g in np.meshgrid(np.linspace(0, 0.4, 9), np.linspace(0.5, 1.5, 9)))
    K, V, Theta = C_b + C_W, 0 * C_W, 0.3 + 0.7 * np.ones_like(C_W)
    for _ in range(12):
        t = np.tanh(np.sqrt(K)[:, None] * x)
        squared, fourth, slopes = (t**2) @ w, (t**4) @ w, ((1 - t**2) ** 2) @ w
        parallel = C_W * ((t**2 * (x**2 - 1)) @ w) / (2 * K)
        V = C_W**2 * (fourth - squared**2) + parallel**2 * V
        Theta = 0.3 + 0.7 * squared + C_W * slopes * Theta
        K = C_b + C_W * squared
    net = rg.MLP.uniform(n_in=4, width=4, depth=13, n_out=4, activation="tanh", lambda_b=0.3, lambda_W=0.7)
    asked = [((0, 0), 2), ((1, 1), 0)]
    for method in ("tabulated", "quadrature"):
        found = flow_points(
            net, {"C_b": C_b, "C_W": C_W}, 1.0, layers=[1, 13], expansion=False, brackets=asked, method=method
        )
        for name, exact in (("K", K), ("V", V), ("Theta", Theta)):
            assert found.values[name][1] == pytest.approx(exact, rel=1e-10)
        for entry, exact in zip(asked, (2 * parallel / C_W, slopes), strict=True):
            assert found.brackets[entry][1] == pytest.approx(exact, rel=1e-10)
            assert np.isnan(found.brackets[entry][0]).all()


def test_deep_relu_is_exact():
    """C_W = 2: K stays, V grows by 5 K^2 a layer, for kernels over many orders of magnitude."""
    net = rg.MLP.uniform(n_in=2, width=9, depth=200, n_out=1, activation="relu")
    kernels = np.geomspace(1e-60, 1e60, 130)
    found = flow_points(net, {"C_W": np.full(130, 2.0)}, kernels / 2, tensors=["K", "V"], layers=[200])
    assert found.values["K"][0] == pytest.approx(kernels, rel=1e-11)
    assert found.values["V"][0] == pytest.approx(5 * 199 * kernels**2, rel=1e-11)
    assert (np.abs(found.values["K"][0] - kernels) <= found.errors["K"][0]).all()


def test_quadrature_is_a_second_witness():
    net = rg.MLP.uniform(n_in=3, width=64, depth=12, n_out=1, activation="tanh")
    tables, nodes = (
        flow_points(net, POINTS, OVERLAP, method=method, expansion=False) for method in ("tabulated", "quadrature")
    )
    for name, values in tables.values.items():
        assert (np.abs(values - nodes.values[name]) <= tables.errors[name] + 1e-12 * np.abs(values)).all(), name
        assert (nodes.errors[name] >= tables.errors[name]).all()


def test_points_that_fail_do_not_stop_the_others():
    net = rg.MLP.uniform(n_in=3, width=64, depth=40, n_out=1, activation="relu")
    found = flow_points(net, {"C_W": np.array([2.0, 1e200, 2.0, 1e12])}, 1.0, tensors=["K", "V"])
    assert found.status.tolist()[0] == found.status.tolist()[2] == GOOD
    assert found.status[1] in (RUNS_AWAY, BEYOND)
    assert found.status[3] != GOOD
    assert np.isnan(found.values["V"][:, 1]).all()
    assert np.isfinite(found.values["V"][:, 0]).all()
    assert all(found.reason(int(status)) for status in found.status[[1, 3]])
    tall = rg.MLP.uniform(n_in=1, width=10**6, depth=40, n_out=1, activation="relu", lambda_W=1e300)
    assert flow_points(tall, {"C_W": np.array([2.0])}, 1.0, tensors=["K", "A"]).status.tolist() == [OVERFLOWS]


def test_vanishing_kernels():
    """K = 0 stays 0 without biases; deep in the ordered phase K falls below every table, which is told."""
    net = rg.MLP.uniform(n_in=3, width=64, depth=30, n_out=1, activation="tanh")
    found = flow_points(net, {"C_W": np.array([0.5, 1.0])}, np.array([0.0, 1.0]))
    assert found.values["K"][:, 0].tolist() == [0.0] * 30
    assert found.status.tolist() == [GOOD, GOOD]
    deep = rg.MLP.uniform(n_in=3, width=64, depth=400, n_out=1, activation="tanh")
    found = flow_points(deep, {"C_W": np.array([0.01, 0.5])}, 1.0, tensors="K", order=0)
    assert found.status.tolist() == [BEYOND, GOOD]
    assert "1e-300" in found.reason(BEYOND)
    assert found.values["K"][-1, 1] == pytest.approx(found.values["K"][-2, 1] / 2, rel=1e-12)


def test_numbers_do_not_depend_on_threads_and_hardly_on_neighbours():
    net = rg.MLP.uniform(n_in=3, width=64, depth=12, n_out=1, activation="tanh")
    points = {name: np.tile(x, 20) for name, x in POINTS.items()}
    one, two = (flow_points(net, points, np.tile(OVERLAP, 20), threads=threads) for threads in (1, 2))
    few = flow_points(net, {name: x[:10] for name, x in POINTS.items()}, OVERLAP[:10])
    for name, values in one.values.items():
        assert (values == two.values[name]).all()
        assert (np.abs(values[:, :10] - few.values[name]) <= few.errors[name]).all()


def test_sampled_errors_are_those_of_all():
    net = rg.MLP.uniform(n_in=3, width=64, depth=5, n_out=1, activation="tanh")
    count = 64 * (SAMPLED + 1)
    points = {"C_W": np.linspace(0.5, 2, count)}
    every, some, none = (flow_points(net, points, 1.0, errors=errors) for errors in ("all", "sampled", "none"))
    seen = np.isfinite(some.errors["V"][4])
    assert seen.sum() == 128
    assert (some.errors["V"][:, seen] == every.errors["V"][:, seen]).all()
    assert none.errors == {}


def test_control_a_wrong_table_is_seen(monkeypatch):
    """Negative control: tables wrong by 1e-9 are told apart by the flow of one point."""
    from rgflow.brackets import in_kernel

    net = rg.MLP.uniform(n_in=3, width=64, depth=6, n_out=1, activation="tanh")
    ds = alone(net, 3, tensors=["V"])
    honest = in_kernel.Tables._averages
    monkeypatch.setattr(in_kernel.Tables, "_averages", lambda self, K: tuple(x * (1 + 1e-9) for x in honest(self, K)))
    in_kernel.tables.cache_clear()
    found = flow_points(net, POINTS, OVERLAP, tensors=["V"])
    in_kernel.tables.cache_clear()
    error = ds.numerical_error.sel(coefficient="V").values + found.errors["V"][:, 3]
    assert (np.abs(found.values["V"][:, 3] - ds.V.values) > error)[1:].all()


def test_what_is_refused():
    net = rg.Network([rg.Dense(), rg.Residual(), rg.Dense()], [3, 8, 8, 1], "tanh")
    assert not suits(net, {"C_W": [1.0]})
    assert not suits(rg.MLP([3, 8, 1], "tanh"), {"skip": [1.0]})
    with pytest.raises(rg.InputError, match="point by point"):
        flow_points(net, {"C_W": np.ones(3)}, 1.0)
    with pytest.raises(rg.InputError, match="method is 'magic'"):
        flow_points(rg.MLP([3, 8, 1], "tanh"), {"C_W": np.ones(3)}, 1.0, method="magic")
    with pytest.raises(rg.InputError, match=r"brackets holds \(\(9,\), 0\)"):
        flow_points(rg.MLP([3, 8, 1], "tanh"), {"C_W": np.ones(3)}, 1.0, brackets=[((9,), 0)])
    with pytest.raises(rg.KinkError):
        flow_points(rg.MLP([3, 8, 8, 1], "relu"), {"C_W": np.ones(3)}, 1.0, tensors=["R"])


def test_fluctuations_of_large_tangent_kernels():
    """A / (n Theta^2) of a linear network does not depend on the scale of Theta, also where Theta^2 overflows."""
    net = rg.MLP.uniform(n_in=2, width=10, depth=4, n_out=1, activation="linear")
    found = flow_points(net, {"lambda_W": np.array([1.0, 1e150]), "lambda_b": 0.0}, 1.0, tensors="Theta")
    small, large = found.expansion_ratio["Theta"].T
    assert small[-1] > 0
    assert large == pytest.approx(small, rel=1e-12)
