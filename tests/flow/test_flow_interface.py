"""What a flow accepts, refuses and says of itself."""

import numpy as np
import pytest

import rgflow as rg

NET = rg.MLP.uniform(n_in=3, width=20, depth=3, activation="tanh")
RELU = rg.MLP.uniform(n_in=3, width=20, depth=3, activation="relu", C_W=2.0)


def test_orders_and_names():
    assert list(rg.flow(NET, first_kernel=1.0, tensors=["K", "V"], order=1)["coefficient"]) == ["K", "K_1", "V"]
    order_2 = rg.flow(NET, first_kernel=1.0, tensors=["K", "V", "V6"], order=2)
    assert list(order_2["coefficient"]) == ["K", "K_1", "K_2", "V", "V_1", "V6"]
    assert list(rg.flow(NET, first_kernel=1.0, tensors="K_1")["coefficient"]) == ["K_1"]
    named = rg.flow(NET, first_kernel=1.0, tensors=["1 2|3e 4e"])
    assert list(named["coefficient"]) == ["D"]


@pytest.mark.parametrize(("tensors", "order"), [("V", 0), ("K_2", 1), ("V6", 1), (["K", "V_1"], 1)])
def test_beyond_the_order(tensors, order):
    with pytest.raises(rg.OrderError, match=r"ask order=\d"):
        rg.flow(NET, first_kernel=1.0, tensors=tensors, order=order)


@pytest.mark.parametrize("order", [-1, 1.0, "1", True, None])
def test_bad_order(order):
    with pytest.raises(rg.InputError, match="order"):
        rg.flow(NET, first_kernel=1.0, order=order)


@pytest.mark.parametrize("tensors", ["Thta", ["K", "W"], ["v"]])
def test_unknown_tensor(tensors):
    with pytest.raises(rg.UnknownName, match="unknown tensor"):
        rg.flow(NET, first_kernel=1.0, tensors=tensors)


def test_suggestion():
    with pytest.raises(rg.UnknownName, match="did you mean 'Theta'"):
        rg.flow(NET, first_kernel=1.0, tensors="Theeta")


@pytest.mark.parametrize(
    "inputs",
    [
        [[1.0, 2.0]],
        [1.0, 2.0],
        np.zeros((0, 3)),
        [],
        np.zeros((2, 2, 3)),
        [[1.0, np.nan, 0.0]],
        [[1.0, np.inf, 0.0]],
        "abc",
        [["a", "b", "c"]],
        [[1j, 0, 0]],
        [[1e200, 1e200, 1e200]],
        None,
        [[1.0, 2.0, 3.0], [1.0]],
    ],
)
def test_bad_inputs(inputs):
    with pytest.raises(rg.InputError):
        rg.flow(NET, inputs)


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (-1.0, "semidefinite"),
        (np.nan, "NaN"),
        ([[1.0, 2.0], [2.0, 1.0]], "semidefinite"),
        ([[1.0, 0.5], [0.4, 1.0]], "symmetric"),
        ([1.0, 2.0], "shape"),
        ([[1.0, 0.5]], "shape"),
        ([], "empty"),
    ],
)
def test_bad_first_kernel(kernel, message):
    with pytest.raises(rg.InputError, match=message):
        rg.flow(NET, first_kernel=kernel)


def test_a_first_kernel_below_the_biases_has_no_input():
    net = rg.MLP.uniform(n_in=3, width=20, depth=3, activation="tanh", C_b=0.5)
    with pytest.raises(rg.InputError, match="C_b"):
        rg.flow(net, first_kernel=0.2)
    silent = rg.MLP([3, 4, 5], "tanh", C_W=[0.0, 1.0], C_b=0.5)
    with pytest.raises(rg.InputError, match="C_W = 0"):
        rg.flow(silent, first_kernel=0.5)


def test_both_or_neither_start():
    with pytest.raises(rg.InputError, match="exactly one"):
        rg.flow(NET)
    with pytest.raises(rg.InputError, match="exactly one"):
        rg.flow(NET, [1.0, 2.0, 3.0], first_kernel=1.0)
    with pytest.raises(rg.InputError, match="not a network"):
        rg.flow("tanh", first_kernel=1.0)


def test_how_many_inputs():
    x = np.random.default_rng(0).normal(size=(33, 3))
    with pytest.raises(rg.InputError, match="N <= 32"):
        rg.flow(NET, x, tensors="V")
    with pytest.raises(rg.InputError, match="N <= 10 where the activation has kinks"):
        rg.flow(rg.MLP([3, 8, 2], "relu"), x[:11], tensors="V")
    with pytest.raises(rg.InputError, match=r"V6.* N <= 4"):
        rg.flow(NET, x[:5], tensors=["K", "V"], order=2)
    assert rg.flow(NET, x, tensors=["K", "Theta"], order=0)["K"].shape == (3, 33, 33)


def test_six_inputs_are_fifteen_times_four():
    """Each component knows only the inputs that it names."""
    x = np.random.default_rng(0).normal(size=(6, 3))
    six, four = rg.flow(NET, x, tensors=["V", "D"]), rg.flow(NET, x[[5, 0, 3, 2]], tensors=["V", "D"])
    at = np.ix_(range(3), *4 * [[5, 0, 3, 2]])
    for name in ("V", "D"):
        slack = (six["numerical_error"] + four["numerical_error"]).sel(coefficient=name).values
        assert (np.abs(six[name].values[at] - four[name].values).max(axis=(1, 2, 3, 4)) <= slack).all()
        assert np.abs(six[name].values[-1]).max() > 1e6 * slack[-1]


def test_kinks():
    for tensor in "QRSTU":
        many = [[1.0, 0.2], [0.2, 1.0]]
        with pytest.raises(rg.KinkError, match="almost_everywhere"):
            rg.flow(RELU, first_kernel=many, tensors=tensor)
    for tensor in "RSTU":
        with pytest.raises(rg.KinkError, match="relu"):
            rg.flow(RELU, first_kernel=1.0, tensors=tensor)
    for tensor in "PQ":  # one input, sigma = 0 at the kink: both conventions agree
        agreed = rg.flow(RELU, first_kernel=1.0, tensors=tensor)
        dropped = rg.flow(RELU, first_kernel=1.0, tensors=tensor, kinks="almost_everywhere")
        np.testing.assert_array_equal(agreed[tensor], dropped[tensor])
        with pytest.raises(rg.KinkError):
            rg.flow(RELU, first_kernel=1.0, tensors=tensor, order=2)
    shifted = rg.activation("Max(0, z) + 1")
    net = rg.MLP.uniform(n_in=3, width=20, depth=3, activation=shifted)
    with pytest.raises(rg.KinkError):
        rg.flow(net, first_kernel=1.0, tensors="P")
    step = rg.MLP.uniform(n_in=3, width=20, depth=3, activation="Heaviside(z)")
    with pytest.raises(rg.KinkError):
        rg.flow(step, first_kernel=1.0, tensors="Theta")
    assert np.isfinite(rg.flow(step, first_kernel=1.0, tensors=["K", "V"])["V"]).all()
    with pytest.raises(rg.InputError, match="kinks"):
        rg.flow(RELU, first_kernel=1.0, kinks="ignore")


def test_a_vanishing_kernel_at_a_kink():
    with pytest.raises(rg.AccuracyError):
        rg.flow(RELU, [0.0, 0.0, 0.0])


def test_a_runaway_flow_is_refused():
    net = rg.MLP.uniform(n_in=3, width=20, depth=40, activation="z^2", C_W=4.0)
    with pytest.raises(rg.AccuracyError, match="layer"):
        rg.flow(net, first_kernel=2.0)


def test_what_a_dataset_says():
    ds = rg.flow(NET, [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    assert ds.attrs["kind"] == "coefficients"
    assert ds.attrs["order"] == 1
    assert rg.MLP.from_json(ds.attrs["network"]) == NET
    assert ds["V"].dims == ("layer", "sample0", "sample1", "sample2", "sample3")
    assert ds["V"].attrs["power_of_n"] == -1
    np.testing.assert_array_equal(ds["layer"], [1, 2, 3])
    np.testing.assert_array_equal(ds["V"][0], 0)
    assert rg.flow(NET, first_kernel=1.0)["V"].dims == ("layer",)


def test_trust_is_reported():
    """ReLU: V/(nK^2) = 5 (l-1)/n passes 1/2 after layer 1 + n/10, though K_1 = 0."""
    net = rg.MLP.uniform(n_in=3, width=44, depth=12, activation="relu", C_W=2.0)
    ds = rg.flow(net, first_kernel=1.0, tensors=["K", "V"])
    np.testing.assert_allclose(ds["expansion_ratio"].sel(letter="K"), 5 * np.arange(12) / 44, rtol=1e-12, atol=1e-14)
    assert int(ds["trusted_layers"].sel(letter="K")) == 5
    assert "expansion_ratio" not in rg.flow(net, first_kernel=1.0, tensors="K", order=0)


def test_totals():
    net = rg.MLP([3, 50, 100, 200], "tanh", C_W=1.5)
    ds = rg.flow(net, first_kernel=1.0, tensors=["K", "V"], order=2)
    tot = rg.total(ds)
    n = ds["fan_in"].values
    np.testing.assert_allclose(tot["K"], ds["K"] + ds["K_1"] / n + ds["K_2"] / n**2, rtol=1e-14)
    np.testing.assert_allclose(tot["V"], ds["V"] + ds["V_1"] / n, rtol=1e-14)
    assert tot.attrs["kind"] == "totals"
    assert (tot["K_error"] >= 0).all()
    assert (tot["V_error"][1:] > 0).all()
    next_order = rg.total(rg.flow(net, first_kernel=1.0, tensors=["K", "V"], order=3))
    assert (abs(next_order["K"] - tot["K"]) <= 3 * tot["K_error"] + 1e-14).all()
    with pytest.raises(rg.InputError, match="totals"):
        rg.total(tot)
    with pytest.raises(rg.InputError, match="every order"):
        rg.total(rg.flow(net, first_kernel=1.0, tensors="K_1"))
    with pytest.raises(rg.OrderError, match="order=1"):
        rg.total(rg.flow(net, first_kernel=1.0, tensors="K", order=0))
    with pytest.raises(rg.InputError):
        rg.total("ds")


def test_totals_beyond_the_expansion_have_infinite_error():
    net = rg.MLP.uniform(n_in=3, width=4, depth=12, activation="relu", C_W=2.0)
    tot = rg.total(rg.flow(net, first_kernel=1.0, tensors="K"))
    assert np.isinf(tot["K_error"][-1])


@pytest.mark.parametrize("tensors", [["B"], ["F"], ["Q"], ["K"]])
def test_trust_does_not_depend_on_what_else_was_asked(tensors):
    net = rg.MLP.uniform(n_in=3, width=20, depth=6, activation="relu", C_W=2.0)
    alone = rg.flow(net, first_kernel=1.0, tensors=tensors, kinks="almost_everywhere")
    more = rg.flow(net, first_kernel=1.0, tensors=[*tensors, "V", "A", "B", "Theta"], kinks="almost_everywhere")
    for name in ("expansion_ratio", "trusted_layers"):
        np.testing.assert_array_equal(alone[name].sel(letter=tensors[0]), more[name].sel(letter=tensors[0]))


def test_a_vanishing_leading_order_does_not_claim_to_be_exact():
    """P of ReLU is zero at leading order and not beyond: its error is unknown, not zero."""
    net = rg.MLP.uniform(n_in=3, width=20, depth=4, activation="relu", C_W=2.0)
    tot = rg.total(rg.flow(net, first_kernel=1.0, tensors=["K", "P"], kinks="almost_everywhere"))
    assert np.isinf(tot["P_error"][1:]).all()
    assert np.isfinite(tot["K_error"]).all()


@pytest.mark.parametrize("tensors", [None, 5, [["K"]], [None], []])
def test_requests_that_name_nothing(tensors):
    with pytest.raises(rg.InputError):
        rg.flow(NET, first_kernel=1.0, tensors=tensors)
    with pytest.raises(rg.InputError):
        rg.closure(tensors)


def test_numpy_integers_count():
    assert "K_1" in rg.flow(NET, first_kernel=1.0, tensors="K", order=np.int64(1))


def test_a_flow_too_large_for_memory_is_refused():
    x = np.random.default_rng(0).normal(size=(4, 3))
    with pytest.raises(rg.OrderError, match="GiB"):
        rg.flow(NET, x, tensors="V", order=3)


def test_errors_cross_processes():
    import pickle

    with pytest.raises(rg.UnknownName) as caught:
        rg.derive("Theeta")
    again = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(again, rg.UnknownName)
    assert str(again) == str(caught.value)
