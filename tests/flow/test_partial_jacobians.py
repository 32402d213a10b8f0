"""Partial Jacobians: the engine's own tangent kernel, exact networks, sums that must give Theta, hostile input."""

import math
from dataclasses import replace

import numpy as np
import pytest
from oracles.relu_jacobians import moments

import rgflow as rg
from rgflow.flow.jacobian import partial_jacobian
from rgflow.flow.leading import leading
from rgflow.flow.moved import probed
from rgflow.layers.probed import Probed
from rgflow.layers.stages import stages
from rgflow.network.inputs import given
from rgflow.network.kinds.layer_norm import LayerNorm

TWO = [[1.0, 0.3], [0.3, 0.8]]
EPSILON = np.finfo(float).eps


def residual(sigma="tanh", width=50, skip=0.7, layers=3, **hyper):
    inner = [rg.Residual(**{"skip": skip, "C_W": 0.8, "C_b": 0.05, **hyper})] * layers
    return rg.Network([rg.Dense(), *inner, rg.Dense()], [3, *[width] * (layers + 1), 1], sigma)


def blocks(sigma="tanh", width=50):
    inner = [rg.Branch(C_a=0.1, hidden=40), rg.Gated(gate=-0.6), rg.Projection(C_P=0.9, lambda_P=0.3, C_W=1.2)]
    return rg.Network([rg.Linear(), *inner, rg.Linear()], [3, *[width] * 4, 1], sigma)


def trained(net, start, name):
    """The same network in which one bias rate is 1 and all others 0."""
    layers = []
    for i, layer in enumerate(net.layers, start=1):
        rates = {x: 0.0 for x in layer.hyperparameters() if x.startswith("lambda")}
        layers.append(layer.changed(**rates | ({name: 1.0} if i == start else {})))
    return rg.Network(layers, net.widths, net.activation)


# The tangent kernel of a network in which one bias is trained ---------------------------------------------------------


@pytest.mark.parametrize("sigma", ["tanh", "relu"])
@pytest.mark.parametrize("shown", [1.0, TWO])
def test_dense_networks_are_theirs(sigma, shown):
    net = rg.MLP([3, 20, 30, 40, 1], sigma, C_W=1.5, C_b=0.2)
    for start in (1, 2, 4):
        mine = partial_jacobian(net, first_kernel=shown, start=start, order=1)
        whole = rg.flow(trained(net, start, "lambda_b"), first_kernel=shown, tensors=["Theta", "A"])
        assert mine["layer"].values.tolist() == list(range(start, 5))
        for name, full in (("J", "Theta"), ("J_1", "Theta_1"), ("V_J", "A")):
            error = float(mine["numerical_error"].sel(coefficient=name).max())
            np.testing.assert_allclose(mine[name], whole[full][start - 1 :], rtol=1e-13, atol=2 * error + 1e-15)
        leading_order = partial_jacobian(net, first_kernel=shown, start=start)
        np.testing.assert_allclose(mine["J"], leading_order["J"], rtol=1e-12)
        np.testing.assert_allclose(mine["chi_J"], leading_order["chi_J"], rtol=1e-12)


@pytest.mark.parametrize(
    ("net", "start", "rate"), [(residual(), 2, "lambda_b"), (residual(), 1, "lambda_b"), (blocks(), 2, "lambda_a")]
)
def test_layers_with_a_past_are_theirs(net, start, rate):
    mine = partial_jacobian(net, first_kernel=1.0, start=start, order=1)
    whole = rg.flow(trained(net, start, rate), first_kernel=1.0, tensors=["Theta", "A"])
    for name, full in (("J", "Theta"), ("J_1", "Theta_1"), ("V_J", "A")):
        np.testing.assert_allclose(mine[name], whole[full][start - 1 :], rtol=1e-12, atol=1e-14)


def test_the_book_s_closure_by_name():
    net = residual()
    mine = partial_jacobian(net, first_kernel=1.0, order=1, closure="book")
    whole = rg.flow(trained(net, 1, "lambda_b"), first_kernel=1.0, tensors=["Theta", "A"], closure="book")
    np.testing.assert_allclose(mine["V_J"], whole["A"], rtol=1e-13)
    full = partial_jacobian(net, first_kernel=1.0, order=1)
    assert abs(float(mine["V_J"][-1] / full["V_J"][-1]) - 1) > 0.01
    np.testing.assert_allclose(mine["J"], full["J"], rtol=1e-13)


# Exact networks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("widths", [(1, 1, 1, 1), (1, 2, 3, 2)])
def test_relu_against_exact_moments(widths):
    """Mean and variance of J at finite width are known; widths so large that only the leading power is left."""
    large = 10**15
    exact = moments([large * w for w in widths], 1.5)
    net = rg.MLP([3, *(10 * w for w in widths)], "relu", C_W=1.5)
    ds = partial_jacobian(net, first_kernel=0.7, order=1)
    for l, (mean, variance) in enumerate(exact):
        fan_in = large * widths[l - 1]
        error = ds["numerical_error"].sel(layer=l + 1)
        assert float(ds["J"][l]) == pytest.approx(float(mean), rel=1e-12)
        assert float(ds["J_1"][l]) == pytest.approx(0.0, abs=float(error.sel(coefficient="J_1")) + 1e-14)
        # what is left out is of order 1/large
        assert float(ds["V_J"][l]) == pytest.approx(float(variance * fan_in if l else 0), rel=1e-12, abs=1e-14)


def test_control_another_variance_is_not_exact():
    """The control: without the coin's own fluctuation V_J would be smaller."""
    exact = [float(v) * 10**15 for _, v in moments([10**15] * 4, 2)]
    ds = partial_jacobian(rg.MLP([3] + [10] * 4, "relu", C_W=2.0), first_kernel=0.7, order=1)
    np.testing.assert_allclose(ds["V_J"][1:], [1, 2, 3], rtol=1e-12)
    np.testing.assert_allclose(exact[1:], [1, 2, 3], rtol=1e-12)
    assert abs(float(ds["V_J"][3]) - 2.0) > 0.9


def test_linear_networks_of_orthogonal_weights_are_isometries():
    net = rg.Network([rg.Dense(), *[rg.Orthogonal(C_W=1.1)] * 3], [3] + [20] * 4, "linear")
    ds = partial_jacobian(net, first_kernel=1.0, order=1)
    np.testing.assert_allclose(ds["J"], 1.1 ** np.arange(4), rtol=1e-13)
    np.testing.assert_allclose(ds["V_J"], 0.0, atol=1e-13)


# Theta is a sum of partial Jacobians ----------------------------------------------------------------------------------


def erf_square(K):
    """<sigma sigma> of erf, typed."""
    scale = 1 + 2 * np.diagonal(K)
    return 2 / math.pi * np.arcsin(2 * K / np.sqrt(np.outer(scale, scale)))


# What the parameters of each stage themselves add to the tangent kernel, from the definition of the kind.
def of_values(x, K):
    return x.lambda_b + x.lambda_W * K[-1]


def of_sigma(x, K):
    return x.lambda_b + x.lambda_W * erf_square(K[-1])


def of_normalised(x, K):
    """After erf, whose mean vanishes: <s_1 s_2> / (nu_1 nu_2)."""
    square = erf_square(K[-1])
    nu = np.sqrt(np.diagonal(square) + x.epsilon)
    return x.lambda_b + x.lambda_W * square / np.outer(nu, nu)


def nothing(x, K):
    return 0.0 * K[-1]


HIDDEN = of_values
OWN = {
    "Dense": [of_sigma],
    "Residual": [of_sigma],
    "Orthogonal": [of_sigma],
    "Linear": [of_values],
    "Branch": [HIDDEN, lambda x, K: x.lambda_a + x.lambda_V * erf_square(K[-1])],
    "Gated": [HIDDEN, lambda x, K: x.gate**2 * x.lambda_V * erf_square(K[-1])],
    "Reduced": [HIDDEN, nothing],
    "LayerNorm before": [nothing, of_sigma],
    "LayerNorm after": [of_normalised],
    "Projection": [HIDDEN, lambda x, K: x.lambda_a + x.lambda_V * erf_square(K[-1]) + x.lambda_P * K[-2]],
}
RATES = {"lambda_b": 0.3, "lambda_W": 0.7, "lambda_V": 1.3, "lambda_a": 0.2, "lambda_P": 0.4}
NORMS = ((0.6, "before"), (0.0, "before"), (0.6, "after"), (0.0, "after"))
NETWORKS = {
    "dense": [rg.Dense(C_W=1.3, C_b=0.1)] * 4,
    "residual": [rg.Dense(), *[rg.Residual(skip=-0.8, C_W=0.5)] * 3, rg.Dense()],
    "orthogonal": [rg.Orthogonal()] * 2 + [rg.Linear(C_W=1.2)] * 2,
    "norms": [rg.Dense(), *[LayerNorm(skip=s, C_b=0.1, place=p) for s, p in NORMS], rg.Dense()],
    "blocks": [rg.Linear(), rg.Branch(C_a=0.1), rg.Gated(gate=-0.6), rg.Reduced(), rg.Projection(), rg.Dense()],
}


@pytest.mark.parametrize("name", NETWORKS)
def test_theta_is_the_sum_over_stages_of_their_partial_jacobians(name):
    """Theta^L = sum over weight matrices of J^{l,L} (lambda_b + lambda_W g^{l-1}): each stage moved by itself."""
    layers = [x.changed(**{n: v for n, v in RATES.items() if n in x.hyperparameters()}) for x in NETWORKS[name]]
    net = rg.Network(layers, [4] + [10] * len(layers), "erf")
    x = np.array([[0.3, -1.0, 0.2, 0.5], [1.0, 0.4, -0.3, 0.1], [0.2, 0.2, 0.9, -1.4]])
    overlap = given(net, x).overlap
    through = stages(net)
    K = leading(net.activation, through, overlap).K
    untrained, _ = probed(net, 2)
    bare = stages(untrained)
    total = np.zeros((3, 3))
    for t, stage in enumerate(through):
        if t == 0:
            first = net.layers[0]
            own, moved = first.lambda_b + first.lambda_W * overlap, stages(probed(net, 1)[0])
        else:
            inside = [i for i, s in enumerate(through) if s.layer == stage.layer]
            kind = f"{type(stage.description).__name__} {getattr(stage.description, 'place', '')}".strip()
            own, moved = OWN[kind][t - inside[0]](stage.description, K[:t]), bare
        wrapped = [replace(s, law=Probed(s.law, source=i == t > 0)) for i, s in enumerate(moved)]
        total += own * leading(net.activation, wrapped, overlap).Theta[-1]
    whole = rg.flow(net, x, tensors=["Theta"], order=0)
    np.testing.assert_allclose(total, whole["Theta"][-1], rtol=1e-12)
    if name in ("dense", "residual"):  # the sum by the public function
        K_below = [None, *rg.flow(net, x, tensors=["K"], order=0)["K"].values]
        by_layer = sum(
            partial_jacobian(net, x, start=l)["J"][-1].values
            * (layers[l - 1].lambda_b + layers[l - 1].lambda_W * (overlap if l == 1 else erf_square(K_below[l - 1])))
            for l in range(1, net.depth + 1)
        )
        np.testing.assert_allclose(by_layer, whole["Theta"][-1], rtol=1e-12)


# Factors --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("net", [rg.MLP([3] + [9] * 5, "gelu", C_W=1.7), residual(), blocks()])
def test_j_is_the_product_of_its_factors(net):
    for start in (1, 3):
        ds = partial_jacobian(net, first_kernel=TWO, start=start)
        product = np.cumprod(np.concatenate([np.ones((1, 2, 2)), ds["chi_J"].values[:-1]]), axis=0)
        np.testing.assert_allclose(ds["J"], product, rtol=1e-12)
        assert np.isnan(ds["chi_J"].values[-1]).all()


def test_factors_where_jacobians_vanish():
    """J underflows, and factors are read from a network in which every layer is moved."""
    net = rg.MLP.uniform(n_in=3, width=10, depth=320, activation="tanh", C_W=0.1, C_b=0.2)
    ds = partial_jacobian(net, first_kernel=1.0)
    assert float(ds["J"][-1]) == 0.0
    chi, error = ds["chi_J"].values[30:-1], float(ds["chi_J_error"][30:-1].max())
    assert 0.06 < chi[0] < 0.1
    assert np.abs(chi - chi[0]).max() < 1e-15 + error < 1e-14
    still = partial_jacobian(rg.MLP([3, 4, 4, 4], "tanh", C_W=0.0, C_b=0.3), [1.0, 2.0, 0.5])
    np.testing.assert_array_equal(still["chi_J"][:-1], 0.0)
    np.testing.assert_array_equal(still["J"], [1.0, 0.0, 0.0])


def test_erf_by_its_typed_recursion_to_depth_1000():
    """<s s> = (2/pi) asin(2K/(1+2K)), <s's'> = 4/(pi sqrt(1+4K)): typed; vanilla and residual."""
    for skip, C_W, C_b in ((0.0, math.pi / 4, 0.0), (0.0, 1.2, 0.3), (1.0, 1.0, 0.5)):
        depth = 400 if skip else 1000
        inner = rg.Residual(skip=skip, C_W=C_W, C_b=C_b) if skip else rg.Dense(C_W=C_W, C_b=C_b)
        tail = [rg.Dense()] if skip else []
        net = rg.Network([rg.Dense(), *[inner] * (depth - 1), *tail], [3] + [10] * (depth + len(tail)), "erf")
        K, J, log = 1.0, 1.0, [0.0]
        for _ in range(depth - 1):
            J = math.log(skip**2 + C_W * 4 / (math.pi * math.sqrt(1 + 4 * K)))
            K = C_b + C_W * 2 / math.pi * math.asin(2 * K / (1 + 2 * K)) + skip**2 * K
            log.append(log[-1] + J)
        ds = partial_jacobian(net, first_kernel=1.0)
        relative = (ds["numerical_error"].sel(coefficient="J") / ds["J"])[:depth].values
        assert relative.max() < 1e-9
        assert (np.abs(np.log(ds["J"].values[:depth]) - log) < relative + 4 * depth * EPSILON).all()


# Inputs, labels, errors -----------------------------------------------------------------------------------------------


def test_labels_save_and_total(tmp_path):
    ds = partial_jacobian(residual(layers=1), first_kernel=TWO, start=2, order=1)
    assert (ds["J"].dims, ds["V_J"].ndim) == (("layer", "sample0", "sample1"), 5)
    assert ds["layer"].values.tolist() == [2, 3]
    assert ds["fan_in"].values.tolist() == [50] * 2
    assert ds["skip"].values.tolist() == [0.7, 0.0]
    assert (ds.attrs["kind"], ds.attrs["order"], ds.attrs["start"]) == ("coefficients", 1, 2)
    np.testing.assert_array_equal(ds["J"][0], 1.0)
    np.testing.assert_array_equal(ds["J_1"][0], 0.0)
    total = rg.total(ds)
    np.testing.assert_allclose(total["J"], ds["J"] + ds["J_1"] / 50, rtol=1e-14)
    assert (total["J_error"][1:] > 0).all()
    assert total.attrs["kind"] == "totals"
    rg.save(ds, tmp_path / "j.nc")
    assert rg.load(tmp_path / "j.nc").equals(ds)


def test_equal_inputs_are_one_and_many_go_pair_by_pair():
    net = rg.MLP([3, 10, 10, 10], "tanh", C_W=1.2)
    x = np.array([[1.0, 0.5, -0.2], [1.0, 0.5, -0.2], [0.1, 0.3, 2.0]])
    ds = partial_jacobian(net, x, order=1)
    np.testing.assert_array_equal(ds["J"][:, 0, 2], ds["J"][:, 1, 2])
    several = np.random.default_rng(3).standard_normal((12, 3))
    many, few = partial_jacobian(net, several), partial_jacobian(net, several[:3])
    errors = [float(d["numerical_error"].max()) + float(d["chi_J_error"][:-1].max()) for d in (many, few)]
    for name in ("J", "chi_J"):
        np.testing.assert_allclose(many[name][:-1, :3, :3], few[name][:-1], rtol=0, atol=sum(errors))


def test_hostile_requests():
    net = rg.MLP([3, 10, 10, 1], "tanh")
    for wrong, error in (
        ({"start": 0}, rg.InputError),
        ({"start": 4}, rg.InputError),
        ({"start": 1.5}, rg.InputError),
        ({"start": True}, rg.InputError),
        ({"order": 2}, rg.OrderError),
        ({"order": -1}, rg.InputError),
        ({"closure": "none"}, rg.InputError),
        ({"first_kernel": math.nan}, rg.InputError),
        ({"first_kernel": [[1.0, 3.0], [3.0, 1.0]]}, rg.InputError),
        ({"kinks": "ignore"}, rg.InputError),
    ):
        with pytest.raises(error):
            partial_jacobian(net, **{"first_kernel": 1.0, **wrong})
    with pytest.raises(rg.InputError, match="network"):
        partial_jacobian("tanh", first_kernel=1.0)
    with pytest.raises(rg.KinkError):
        partial_jacobian(rg.MLP([3, 10, 1], "sign(z)"), first_kernel=1.0)
    for layer in (rg.Dense(), rg.LayerNorm()):
        net = rg.Network([rg.Dense(), layer, rg.Dense()], [3, 5, 5, 1], "sign(z)")
        with pytest.raises(rg.KinkError, match=r"^(J|J_1|V_J|D_J|F_J) holds"):
            partial_jacobian(net, first_kernel=1.0, order=1)
    partial_jacobian(rg.MLP([3, 10, 1], "sign(z)"), first_kernel=1.0, kinks="almost_everywhere")
    reduced = rg.Network([rg.Linear(), rg.Reduced(), rg.Linear()], [3, 5, 5, 1], "tanh")
    assert float(partial_jacobian(reduced, first_kernel=1.0)["J"][1]) > 1
    with pytest.raises(rg.OrderError, match=r"reduced.*order=0"):
        partial_jacobian(reduced, first_kernel=1.0, order=1)
    with pytest.raises(rg.InputError, match="closure='full'"):
        partial_jacobian(blocks(), first_kernel=1.0, order=1, closure="book")
    with pytest.raises(rg.AccuracyError, match="layer"):
        partial_jacobian(rg.MLP.uniform(n_in=3, width=5, depth=600, activation="relu", C_W=7.0), first_kernel=1e-300)


def test_one_layer_and_the_last():
    ds = partial_jacobian(rg.MLP([3, 1], "tanh"), first_kernel=1.0, order=1)
    assert ds["J"].values.tolist() == [1.0]
    assert np.isnan(ds["chi_J"].values).all()
    ds = partial_jacobian(rg.MLP([3, 4, 4], "tanh"), first_kernel=1.0, start=2)
    assert ds["J"].values.tolist() == [1.0]
