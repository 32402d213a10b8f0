"""Trained networks at order 1/n: PDLT's numbers, an independent theory in discrete time, limits, controls."""

import warnings
from functools import cache
from importlib import import_module
from math import inf

import numpy as np
import pytest
import xarray
from oracles import discrete_training, trained_networks

import rgflow as rg
from rgflow.predict.data import Task
from rgflow.predict.training import clock, ensemble, trees

X = np.array([(1.0, 0.5), (-0.6, 1.2), (0.9, -0.8), (0.2, 0.4)])
Y = np.array([1.2, -0.7])
TEST = X[2:]
LETTERS = ["K", "Theta", "V", "A", "B", "D", "F", "P", "Q", "R", "S", "T", "U"]


def network(depth=3, n_out=1, width=32, activation="sin"):
    return rg.MLP([2, *[width] * (depth - 1), n_out], activation, C_b=0.2, C_W=1.2, lambda_b=0.3, lambda_W=0.5)


@cache
def tensors(depth):
    ds = rg.flow(network(depth), X, tensors=LETTERS)
    return {str(name): ds[name].values[-1] for name in ds["coefficient"].values}


@cache
def _flowed(text, inputs, shape, order):
    data = Task(np.frombuffer(inputs).reshape(shape), np.zeros((0, 1)), np.zeros((0, shape[1])), None)
    return ensemble.flowed(rg.Network.from_json(text), data, order, False)


@pytest.fixture(autouse=True)
def each_flow_once(monkeypatch):
    """Many tests ask for one flow: it is found once."""

    def flowed(net, data, order, progress):
        return _flowed(net.to_json(), data.inputs.tobytes(), data.inputs.shape, order)

    monkeypatch.setattr(import_module("rgflow.predict.training.trained"), "flowed", flowed)


def rate(depth, share=0.5):
    return share / np.linalg.eigvalsh(tensors(depth)["Theta"][:2, :2])[-1]


def targets(n_out):
    return Y if n_out == 1 else np.random.default_rng(n_out).normal(size=(2, n_out))


# PDLT's closed forms, as numbers (last chapter) ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "parts"),
    [
        (0.5, {"dNTK": -0.0718404, "ddNTK I": 1.3962328, "ddNTK II": -1.2670996}),
        (0.4, {"dNTK": -0.0754, "ddNTK I": 1.4059, "ddNTK II": -1.2994}),
    ],
)
def test_numbers_of_the_last_chapter(share, parts):
    ds = rg.trained(network(), (X[:2], Y), X[2], learning_rate=rate(3, share))
    assert ds["mean_infinite"].item() == pytest.approx(0.89655833, abs=5e-9)
    parts = {"NTK mean": -0.0034053, "NTK fluctuation": 0.4413246, **parts}
    digits = 7 if share == 0.5 else 4
    for name, number in parts.items():
        known = 7 if name.startswith("NTK") else digits
        assert 32 * ds["mean_shift_part"].sel(part=name).item() == pytest.approx(number, abs=0.51 * 10.0**-known)
    for name in ("prior", "NTK with prior"):
        assert ds["mean_shift_part"].sel(part=name).item() == 0
    if share == 0.5:
        assert 32 * ds["mean_shift"].item() == pytest.approx(0.4952121, abs=5.1e-8)


# The second witness: gradient descent step by step, with the correlators typed by hand --------------------------------


@pytest.mark.parametrize("depth", [2, 3])
@pytest.mark.parametrize(("n_out", "steps"), [(1, 1), (1, 2), (1, 5), (1, None), (2, 3), (3, None)])
def test_another_perturbation_theory_agrees(depth, n_out, steps):
    """To rounding: 1e-12 of the largest entry."""
    y, eta = targets(n_out), rate(depth)
    ds = rg.trained(network(depth, n_out), (X[:2], y), TEST, learning_rate=eta, steps=steps)
    given = tensors(depth), y.reshape(2, -1), 32.0, 2, eta, steps or 400  # of 400 steps 1e-22 is left
    for name in ("mean", "covariance"):
        infinite, shift = getattr(discrete_training, name)(*given)
        for ours, theirs in ((ds[f"{name}_infinite"].values, infinite), (ds[f"{name}_shift"].values, shift)):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12 * np.abs(theirs).max())
    change = discrete_training.ntk_change(*given)[2:, 2:]
    np.testing.assert_allclose(ds["ntk_change"].values, change, rtol=0, atol=1e-12 * np.abs(change).max())


def test_four_training_inputs():
    x = np.random.default_rng(5).normal(size=(5, 3))
    y = np.random.default_rng(6).normal(size=4)
    net = rg.MLP([3, 20, 1], "sin", C_b=0.3, lambda_b=0.4)
    flow = rg.flow(net, x, tensors=LETTERS)
    known = {str(name): flow[name].values[-1] for name in flow["coefficient"].values}
    eta = 1.0 / np.linalg.eigvalsh(known["Theta"][:4, :4])[-1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rg.DomainWarning)
        ds = rg.trained(net, (x[:4], y), x[4], learning_rate=eta, steps=20)
    _, shift = discrete_training.mean(known, y[:, None], 20.0, 4, eta, 20)
    np.testing.assert_allclose(ds["mean_shift"].values, shift, rtol=1e-10, atol=0)


# Limits ---------------------------------------------------------------------------------------------------------------


def test_infinite_width():
    """PDLT section 10.1: mean and covariance typed by hand, for gradient descent, flow and convergence."""
    K, Theta = tensors(3)["K"], tensors(3)["Theta"]
    H, cross = Theta[:2, :2], Theta[2:, :2]
    eta, time = rate(3), 1.7
    u, modes = np.linalg.eigh(H)
    for options, left in (
        ({"learning_rate": eta, "steps": 7}, np.linalg.matrix_power(np.eye(2) - eta * H, 7)),
        ({"time": time}, modes @ np.diag(np.exp(-time * u)) @ modes.T),
        ({}, np.zeros((2, 2))),
    ):
        ds = rg.trained(network(), (X[:2], Y), TEST, order=0, **options)
        M = cross @ np.linalg.inv(H) @ (np.eye(2) - left)
        expected = K[2:, 2:] - M @ K[:2, 2:] - K[2:, :2] @ M.T + M @ K[:2, :2] @ M.T
        np.testing.assert_allclose(ds["mean"].values[:, 0], M @ Y, rtol=1e-11)
        np.testing.assert_allclose(ds["covariance"].values[..., 0, 0], expected, rtol=1e-10)
        assert "mean_shift" not in ds


@pytest.mark.parametrize("algorithm", [{}, {"learning_rate": 0.2}])
def test_what_is_trained_on_is_learnt(algorithm):
    ds = rg.trained(network(), (X[:2], Y), X[:2], **algorithm)
    np.testing.assert_allclose(ds["mean"].values[:, 0], Y, rtol=1e-13)
    assert np.abs(ds["covariance"].values).max() < 1e-14
    assert not ds["left"].values.any()


def test_the_end_is_the_limit_of_many_steps_and_gradient_flow_of_small_ones():
    ask = {"train": (X[:2], Y), "test": TEST}
    names = ["mean_shift", "covariance_shift", "ntk_change"]
    end, long = (
        rg.trained(network(), **ask, learning_rate=0.2),
        rg.trained(network(), **ask, learning_rate=0.2, steps=500),
    )
    flow, late = rg.trained(network(), **ask), rg.trained(network(), **ask, time=120.0)
    for name in names:
        np.testing.assert_allclose(end[name], long[name], rtol=1e-12)
        np.testing.assert_allclose(flow[name], late[name], rtol=1e-11)
    # a step eta differs from gradient flow by O(eta): two steps extrapolate to O(eta^2)
    for time, steps in ((None, (None, None)), (2.0, (1000, 2000))):
        coarse, fine = (
            rg.trained(network(), **ask, learning_rate=eta, steps=number)
            for eta, number in zip((2e-3, 1e-3), steps, strict=True)
        )
        exact = rg.trained(network(), **ask, time=time)
        for name in names:
            guess = 2 * fine[name].values - coarse[name].values
            first = np.abs(fine[name].values - exact[name].values).max()
            assert np.abs(guess - exact[name].values).max() < 0.01 * first
            assert first < 0.02 * np.abs(exact[name].values).max()


def test_learning_curve_starts_at_initialisation():
    ds = rg.trained(network(), (X[:2], Y), TEST, time=1e-9)  # in which everything moves by some 1e-9
    assert np.abs(ds["mean"].values).max() < 1e-8
    np.testing.assert_allclose(ds["covariance_infinite"].values[..., 0, 0], tensors(3)["K"][2:, 2:], rtol=1e-8)
    np.testing.assert_allclose(ds["covariance_shift"].values[..., 0, 0], tensors(3)["K_1"][2:, 2:] / 32, rtol=1e-6)


def test_readout_alone_learns_nothing_new():
    """Without hidden rates every gradient is fixed: no dNTK, and its fluctuation is that of the metric, A = V."""
    layers = [layer.changed(lambda_b=0.0, lambda_W=0.0) for layer in network().layers[:-1]]
    net = rg.Network([*layers, rg.Dense(C_b=0.2, C_W=1.2, lambda_b=0.2, lambda_W=1.2)], network().widths, "sin")
    ds = rg.trained(net, (X[:2], Y), TEST)
    K = tensors(3)["K"]
    np.testing.assert_allclose(ds["mean_infinite"].values[:, 0], K[2:, :2] @ np.linalg.solve(K[:2, :2], Y), rtol=1e-11)
    learning = ds["mean_shift_part"].sel(part=["dNTK", "ddNTK I", "ddNTK II"]).values
    assert np.abs(learning).max() < 1e-15 < np.abs(ds["mean_shift"].values).min()
    assert np.abs(ds["ntk_change"].values).max() < 1e-15


# What is told besides -------------------------------------------------------------------------------------------------


def test_parts_and_errors_add_up():
    answers = np.array([[0.3], [0.1]])
    ds = rg.trained(network(), (X[:2], Y), (TEST, answers), learning_rate=0.2)
    for name in ("mean", "covariance"):
        np.testing.assert_allclose(ds[f"{name}_shift_part"].sum("part"), ds[f"{name}_shift"], rtol=1e-13)
        np.testing.assert_allclose(ds[name], ds[f"{name}_infinite"] + ds[f"{name}_shift"], rtol=1e-14)
    m, dm = ds["mean_infinite"].values, ds["mean_shift"].values
    spread, more = (np.einsum("aaii->ai", ds[f"covariance_{which}"].values) for which in ("infinite", "shift"))
    np.testing.assert_allclose(ds["error_infinite"].sum("contribution"), (m - answers) ** 2 + spread, rtol=1e-13)
    np.testing.assert_allclose(ds["error_shift"].sum("contribution"), 2 * (m - answers) * dm + more, rtol=1e-12)
    assert ds["error_infinite"].sel(contribution="representation learning").values.max() == 0
    assert ds["error_shift"].sel(contribution="representation learning").values.any()


def test_one_over_n():
    narrow, wide = (rg.trained(network(width=width), (X[:2], Y), TEST, learning_rate=0.2) for width in (32, 64))
    for name in ("mean_shift", "covariance_shift", "ntk_change", "ntk_shift"):
        np.testing.assert_allclose(narrow[name], 2 * wide[name], rtol=1e-12)
    np.testing.assert_allclose(narrow["kernel_fluctuation"], np.sqrt(2) * wide["kernel_fluctuation"], rtol=1e-12)


def test_numerical_error_is_that_of_the_tensors():
    ds = rg.trained(network(), (X[:2], Y), TEST, learning_rate=0.2)
    for name in ("mean", "covariance"):
        error = ds[f"{name}_numerical_error"].values
        assert (error > 0).all()
        assert (error < 1e-10).all()


def test_save_and_load(tmp_path):
    ds = rg.trained(network(), (X[:2], Y), (TEST, [0.1, 0.2]), learning_rate=0.2)
    rg.save(ds, tmp_path / "trained.nc")
    xarray.testing.assert_identical(rg.load(tmp_path / "trained.nc"), ds)


# Domain ---------------------------------------------------------------------------------------------------------------


def test_a_negative_variance_is_not_trusted():
    """Small variances near a training input are as easily lost as large ones."""
    net = rg.MLP([2, 10, 10, 1], "sin", C_b=0.1, C_W=1.2, lambda_b=0.2, lambda_W=0.5)
    with pytest.warns(rg.DomainWarning, match="minus the least variance"):
        ds = rg.trained(net, ([[1.0, 0.5]], [3.0]), [[1.03, 0.48], [1.1, 0.55]])
    assert (np.einsum("aaii->ai", ds["covariance"].values) < 0).all()


def test_a_narrow_network_is_not_trusted():
    with pytest.warns(rg.DomainWarning, match="slowest modes' tangent kernel"):
        ds = rg.trained(network(width=2), (X[:2], Y), TEST, learning_rate=0.2)
    assert not ds["trusted"]
    assert "the shift of the variance" in ds.attrs["doubts"]


def test_a_step_that_some_networks_do_not_survive():
    with pytest.warns(rg.DomainWarning, match=r"is 2\.\d+, beyond 2: take less than"):
        rg.trained(network(), (X[:2], Y), TEST, learning_rate=rate(3, 1.9))


def test_nearly_equal_inputs_are_doubted_and_what_overflows_is_refused():
    with pytest.warns(rg.DomainWarning, match="numerical error of the mean"):
        rg.trained(network(), ([[1.0, 0.5], [1.0, 0.5001]], Y), X[2])
    with pytest.raises(rg.AccuracyError, match="mean_shift overflows"):
        rg.trained(network(), (X[:2], 1e150 * Y), X[2])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": 10.0}, "diverges.*take less than"),
        ({"learning_rate": 0.0}, "above 0"),
        ({"learning_rate": np.nan}, "above 0"),
        ({"learning_rate": True}, "above 0"),
        ({"learning_rate": "fast"}, "above 0"),
        ({"steps": 10}, "without a learning rate"),
        ({"learning_rate": 0.1, "steps": 0}, "at least 1"),
        ({"learning_rate": 0.1, "steps": 10**400}, "401 digits"),
        ({"order": 1.0}, "order is 1.0"),
        ({"learning_rate": 0.1, "time": 1.0}, "gradient flow"),
        ({"time": -1.0}, "above 0"),
        ({"train": X[:2]}, "not a pair"),
        ({"train": (X[:2], [1.0])}, "targets have shape"),
        ({"train": (X[:2], [1.0, np.nan])}, "NaN"),
        ({"train": (X[[0, 0]], Y)}, "singular"),
        ({"train": (X[:0], [])}, "empty"),
        ({"test": np.ones((1, 3))}, "test have shape"),
        ({"test": (TEST, [1.0])}, "test targets have shape"),
        ({"test": np.random.default_rng(0).normal(size=(40, 2))}, "N <= 32"),
        ({"net": "tanh"}, "not a network"),
        ({"net": rg.MLP([2, 8, 1], "sin", lambda_b=0.0, lambda_W=0.0)}, "no parameter learns"),
    ],
)
def test_refused(changes, message):
    with pytest.raises(rg.InputError, match=message):
        rg.trained(**{"net": network(), "train": (X[:2], Y), "test": TEST, **changes})


def test_refused_otherwise():
    with pytest.raises(rg.OrderError, match="order 0 and 1"):
        rg.trained(network(), (X[:2], Y), TEST, order=2)
    with pytest.raises(rg.KinkError, match="readout_only"):
        rg.trained(network(activation="relu"), (X[:2], Y), X[2])
    ds = rg.trained(rg.readout_only(network(activation="relu", width=400)), (X[:2], Y), X[2])
    assert ds["mean_shift"].values.any()
    assert not ds["ntk_change"].values.any()


def test_the_same_input_twice_can_be_trained_for_a_while():
    once = rg.trained(network(), (X[:1], Y[:1]), TEST, learning_rate=0.2, steps=10, order=0)
    twice = rg.trained(network(), (X[[0, 0]], Y[[0, 0]]), TEST, learning_rate=0.1, steps=10, order=0)
    np.testing.assert_allclose(once["mean"], twice["mean"], rtol=1e-12)
    once = rg.trained(network(), (X[:1], Y[:1]), X[2], time=1.0)
    twice = rg.trained(network(), (X[[0, 0]], Y[[0, 0]]), X[2], time=0.5)
    np.testing.assert_allclose(once["mean_shift"], twice["mean_shift"], rtol=1e-9)


@pytest.mark.slow
def test_why_kinks_are_refused():
    """What learning features adds to the mean of ReLU networks falls like n^(-1/2); that of sin like 1/n."""
    slopes = {}
    for activation in ("relu", "sin"):
        theta = rg.flow(network(2, activation=activation), X[:2], tensors="Theta", order=0)["Theta"].values[-1]
        rate = 0.4 / np.linalg.eigvalsh(theta)[-1]
        found = []
        for n, networks in ((16, 40_000), (64, 20_000), (256, 6_000)):
            nets = trained_networks.Training((2, n, 1), activation, 0.2, 1.2, 0.3, 0.5, X[:3], Y[:, None], rate)
            found.append(trained_networks.trained(nets, networks, np.random.SeedSequence(n))["mean"])
        values, errors = (np.array([getattr(one, name).item() for one in found]) for name in ("value", "error"))
        fit, covariance = np.polyfit(
            np.log([16, 64, 256]), np.log(np.abs(values)), 1, w=np.abs(values) / errors, cov="unscaled"
        )
        slopes[activation] = fit[0], np.sqrt(covariance[0, 0])
    for activation, claimed, other in (("relu", -0.5, -1.0), ("sin", -1.0, -0.5)):
        slope, error = slopes[activation]
        # the next power is in the slope as well, a few hundredths at these widths
        assert abs(slope - claimed) < 3 * error + 0.08
        assert abs(slope - other) > 5 * error + 0.08


# Controls: break it, and the witness sees -----------------------------------------------------------------------------


def disagreement(depth=2):
    y, eta = targets(1), rate(depth)
    ds = rg.trained(network(depth), (X[:2], y), TEST, learning_rate=eta, steps=5)
    given = tensors(depth), y.reshape(2, -1), 32.0, 2, eta, 5
    found = 0.0
    for name in ("mean", "covariance"):
        _, shift = getattr(discrete_training, name)(*given)
        found = max(found, np.abs(ds[f"{name}_shift"].values - shift).max() / np.abs(shift).max())
    return found


@pytest.fixture
def broken(monkeypatch):
    """Replace a function of a module of training for one test."""

    def replace(module, name, value):
        monkeypatch.setattr(import_module(f"rgflow.predict.training.{module}"), name, value)

    return replace


def test_control_events_at_the_same_step(broken):
    whole = clock.orderings
    broken("clock", "orderings", lambda nodes, together: whole(nodes, False))
    assert disagreement() > 1e-2


def test_control_symmetry_factors(broken):
    broken("averages", "weight", lambda forest: 1)
    assert disagreement() > 1e-2


@pytest.mark.parametrize("edges", [1, 2, 3])
def test_control_a_tree_is_left_out(broken, edges):
    whole = trees.output_diagrams(1)
    kept = tuple(diagram for diagram in whole if _largest(diagram[0]) != edges)
    assert len(kept) < len(whole)
    broken("parts", "output_diagrams", lambda order: kept)
    assert disagreement() > 1e-3


def _largest(forest):
    """The number of edges of the largest fluctuating tree of a diagram, responses included."""
    if not forest:
        return 0
    own = 0 if forest[0].mean else _edges(forest)
    return max([own, *(_largest(node.source) for node in forest if node.source is not None)])


def _edges(forest):
    return sum(1 + _edges(node.children) for node in forest)


def test_control_a_decay_step_too_many(broken):
    whole = clock.Event
    broken("clock", "Event", lambda acting, active, carried: whole(acting, active, active - acting | carried))
    assert disagreement() < 1e-12  # the same set: this is what carried means when nothing is created
    broken("clock", "Event", lambda acting, active, carried: whole(acting, active, frozenset()))
    assert disagreement() > 1e-2


def test_clock_sums_are_sums():
    """h_{T-m} against the loops that it stands for."""
    x = np.array([0.3, -0.2])
    steps = 6
    diagram = ((trees.Node(children=(trees.Node(),)),),)
    found = clock.Clock(0.5, steps).weights(diagram, (1 - x) / 0.5)
    brute = np.zeros((2, 2))
    for a in range(2):
        for b in range(2):
            brute[a, b] = 0.25 * sum(x[a] ** s * x[b] ** t for s in range(steps) for t in range(s))
    np.testing.assert_allclose(found, brute, rtol=1e-13)
    assert clock.Clock(0.5, inf).weights(diagram, (1 - x) / 0.5)[0, 0] == pytest.approx(
        0.25 * x[0] / ((1 - x[0]) * (1 - x[0] ** 2)), rel=1e-14
    )
