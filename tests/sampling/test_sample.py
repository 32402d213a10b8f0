"""rg.sample as its users meet it: seeds, memory, threads, inputs, names, errors."""

import tracemalloc

import numpy as np
import pytest
import xarray

from rgflow.errors import AccuracyError, InputError, KinkError, UnknownName
from rgflow.network import MLP, Dense, Layer, Network
from rgflow.network.layer import KINDS
from rgflow.sampling import sample
from rgflow.sampling.names import SAMPLE_ARGUMENTS

ALL = tuple(SAMPLE_ARGUMENTS)
NET = MLP([3, 6, 5, 7, 2], "tanh", C_b=0.1, C_W=[1.0, 1.5, 1.2, 0.9], lambda_b=[0.5, 1.0, 0.2, 0.7], lambda_W=0.8)
X = np.array([[1.0, -0.4, 0.3], [0.2, 0.9, -1.1]])


def small(**options):
    return sample(NET, X, **{"tensors": ALL, "networks": 150, "seed": 3, **options})


def drawn_kernel(seed):
    """K of those networks, without the other letters; B draws weights."""
    return small(tensors=["K", "B"], seed=seed).K


@pytest.fixture(scope="module")
def reference():
    return small()


def test_same_seed_same_numbers(reference):
    xarray.testing.assert_identical(reference, small())
    assert not np.array_equal(drawn_kernel(3), drawn_kernel(4))


@pytest.mark.parametrize("tensors", [ALL, ("K", "V"), ("Theta", "A", "B", "F")])
def test_numbers_do_not_depend_on_memory_or_threads(tensors):
    whole = small(tensors=tensors, networks=400)
    with pytest.raises(InputError, match="need at least"):
        small(tensors=tensors, networks=400, memory=1)
    for options in ({"memory": 2**20}, {"threads": 2}, {"threads": 3, "memory": 2**21}):
        xarray.testing.assert_identical(whole, small(tensors=tensors, networks=400, **options))


@pytest.mark.parametrize("tensors", [("K", "V", "D"), ("A", "B")])
def test_nor_do_control_variates_and_probes(tensors):
    """Four inputs, enough networks to learn from; the least memory takes networks one by one."""
    x = np.vstack([X, X[:1] + X[1:], [[0.3, 0.1, 0.4]]]) if "A" in tensors else X
    networks = 200 if "A" in tensors else 2000

    def found(**options):
        return sample(NET, x, tensors=tensors, networks=networks, seed=6, **options)

    with pytest.raises(InputError, match="need at least") as refused:
        found(memory=1)
    least = int(str(refused.value).split()[-1])
    whole = found()
    for options in ({"memory": least}, {"threads": 2}, {"threads": 2, "memory": 8 * least}):
        xarray.testing.assert_identical(whole, found(**options))


def test_seeds_of_every_kind(reference):
    xarray.testing.assert_identical(reference, small(seed=np.random.SeedSequence(3)))
    # A SeedSequence keeps its state, and its spawned children are other seeds; a Generator moves on.
    sequence = np.random.SeedSequence(3)
    child = sequence.spawn(1)[0]
    expected = drawn_kernel(3)
    assert np.array_equal(drawn_kernel(sequence), expected)
    assert not np.array_equal(drawn_kernel(child), expected)
    generator = np.random.default_rng(3)
    first, second = drawn_kernel(generator), drawn_kernel(generator)
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, drawn_kernel(np.random.default_rng(3)))
    fresh = small(tensors=["K", "B"], seed=None)
    np.testing.assert_array_equal(fresh.K, drawn_kernel(int(fresh.attrs["seed"])))


def test_the_networks_do_not_depend_on_the_other_tensors(reference):
    for name in ("Theta", "F", "V"):
        alone = small(tensors=[name, "B"], route="weights")
        np.testing.assert_array_equal(alone[name], reference[name])
    together = small(tensors=["K", "Theta", "V", "A", "B", "D", "F"], networks=2000)
    for name in ("Theta", "F", "V"):
        np.testing.assert_array_equal(small(tensors=[name, "B"], networks=2000)[name], together[name])


def test_shape_and_coordinates(reference):
    for name, arguments in SAMPLE_ARGUMENTS.items():
        for variable in (name, f"{name}_se"):
            assert reference[variable].dims == ("layer", *(f"sample{k}" for k in range(arguments)))
            assert reference[variable].dtype == np.float64
    assert reference.layer.values.tolist() == [1, 2, 3, 4]
    assert reference.fan_in.values.tolist() == [3, 6, 5, 7]
    assert reference.C_W.values.tolist() == [1.0, 1.5, 1.2, 0.9]
    assert reference.lambda_b.values.tolist() == [0.5, 1.0, 0.2, 0.7]
    assert reference.attrs["kind"] == "totals"
    assert reference.attrs["networks"] == 150
    assert reference.attrs["seed"] == "3"


def test_first_layer_is_exact(reference):
    at = reference.sel(layer=1)
    g = X @ X.T / 3
    np.testing.assert_allclose(at.K, 0.1 + g, rtol=1e-15)
    np.testing.assert_allclose(at.Theta, 0.5 + 0.8 * g, rtol=1e-15)
    for name in ALL:
        assert np.all(at[f"{name}_se"] == 0)
        assert name in ("K", "Theta") or np.all(at[name] == 0)
    assert np.all(reference.K_se.sel(layer=[2, 3, 4]) > 0)


def test_one_input_has_no_sample_dims():
    for inputs in (X[0], X[:1]):
        ds = sample(NET, inputs, tensors=ALL, networks=160, seed=3)
        assert all(ds[name].dims == ("layer",) for name in ALL)
    assert sample(MLP([3, 2], "tanh"), X[0], networks=100).K.shape == (1,)


def test_inputs_equal_first_kernel(reference):
    """Layer 1 depends on inputs through x.x'/n_0 alone; equality to rounding of that product."""
    kernel = 0.1 + X @ X.T / 3
    by_kernel = sample(NET, first_kernel=kernel, tensors=ALL, networks=150, seed=3)
    for name in ALL:
        np.testing.assert_allclose(by_kernel[name], reference[name], rtol=1e-9, atol=1e-9)


def test_equal_opposite_and_zero_inputs():
    """Exact symmetries of tanh without biases: equal inputs agree, opposite ones differ by signs, zero stays zero."""
    net = MLP([2, 8, 8, 1], "tanh", C_W=1.4)
    x = np.array([0.8, -1.0])
    for tensors in (("K", "V"), ("K", "V", "F", "P", "U")):
        ds = sample(net, np.stack([x, x, -x, 0 * x]), tensors=tensors, networks=200, seed=5)
        K, V = ds.K.values, ds.V.values
        np.testing.assert_allclose(K[:, 0, 1], K[:, 0, 0], rtol=1e-13)
        np.testing.assert_allclose(K[:, 0, 2], -K[:, 0, 0], rtol=1e-13)
        assert np.all(K[:, 3] == 0)
        np.testing.assert_allclose(V[:, 0, 1, 2, 1], -V[:, 0, 0, 0, 0], rtol=1e-12, atol=0)
        for name in set(tensors) & {"F", "P", "U"}:
            # Dense in the inputs' first-layer covariance, so equal inputs agree entry by entry.
            value = ds[name].values
            np.testing.assert_allclose(value[:, 1, 1, 1, 1], value[:, 0, 0, 0, 0], rtol=1e-11)


def test_one_input_among_many():
    """The diagonal of two inputs is the single-input tensor; both routes to K and V agree."""
    net = MLP([3, 12, 12, 1], "gelu", C_b=0.1, C_W=1.7, lambda_W=0.6)
    names = ("K", "Theta", "V", "A", "B", "D", "F", "P", "Q", "R", "S", "T", "U")
    many = sample(net, X, tensors=names, networks=6000, seed=7)
    one = sample(net, X[1], tensors=names, networks=6000, seed=8)
    fast = sample(net, X, tensors=("K", "V"), networks=20_000, seed=9)
    for name in names:
        at = {f"sample{k}": 1 for k in range(SAMPLE_ARGUMENTS[name])}
        _same(many[name].isel(at), many[f"{name}_se"].isel(at), one[name], one[f"{name}_se"])
    for name in ("K", "V"):
        _same(many[name], many[f"{name}_se"], fast[name], fast[f"{name}_se"])


def _same(x, x_error, y, y_error):
    # At most 40 different numbers are compared in one test: once in 4000.
    error = np.hypot(x_error, y_error)
    assert np.all(np.abs(x - y) <= 4.6 * error + 1e-14)


def test_symmetries_of_the_arguments(reference):
    """What the definitions allow to be exchanged, and no more."""
    V, A, B, F, U = (reference[name].values for name in "VABFU")
    for pairwise in (V, A):
        np.testing.assert_allclose(pairwise, pairwise.transpose(0, 2, 1, 3, 4), atol=1e-12)
        np.testing.assert_allclose(pairwise, pairwise.transpose(0, 3, 4, 1, 2), atol=1e-12)
    for letter in (B, F, U):
        np.testing.assert_allclose(letter, letter.transpose(0, 3, 4, 1, 2), atol=1e-12)
    assert np.abs(B - B.transpose(0, 2, 1, 3, 4)).max() > 1e-3


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"inputs": None}, "exactly one"),
        ({"first_kernel": 1.0}, "exactly one"),
        ({"inputs": np.ones((2, 4))}, "shape"),
        ({"inputs": np.ones((0, 3))}, "shape"),
        ({"inputs": np.ones((1, 2, 3))}, "shape"),
        ({"inputs": [[1.0, np.nan, 0.0]]}, "finite"),
        ({"inputs": "digits"}, "not an array of real numbers"),
        ({"inputs": [1j, 0, 0]}, "not an array of real numbers"),
        ({"inputs": None, "first_kernel": -1.0}, "not positive semidefinite"),
        ({"inputs": None, "first_kernel": 0.05}, "x.x'/n_0"),
        ({"inputs": None, "first_kernel": [[1.0, 2.0], [2.0, 1.0]]}, "not positive semidefinite"),
        ({"inputs": None, "first_kernel": [[1.0, 0.5], [0.2, 1.0]]}, "not symmetric"),
        ({"inputs": None, "first_kernel": [1.0, 1.0]}, "N x N"),
        ({"inputs": None, "first_kernel": np.inf}, "finite"),
        ({"networks": 99}, "at least 100"),
        ({"networks": 149, "tensors": ["V6"]}, "at least 150"),
        ({"networks": 1e3}, "integer"),
        ({"networks": -1}, "integer"),
        ({"memory": 0}, "integer"),
        ({"threads": 0}, "integer"),
        ({"seed": -1}, "seed"),
        ({"seed": True}, "seed"),
        ({"seed": "7"}, "seed"),
        ({"tensors": []}, "empty"),
        ({"tensors": "K_1"}, "totals"),
        ({"tensors": ["V6_1"]}, "totals"),
        ({"tensors": None}, "tensors"),
        ({"tensors": 3}, "tensors"),
        ({"kinks": "ignore"}, "kinks"),
        ({"route": "neurons"}, "route is 'neurons'"),
        ({"kinks": ["error"]}, "kinks"),
        ({"inputs": [1e200, 1e200, 1e200]}, "overflows; rescale"),
        ({"inputs": []}, "empty"),
        ({"inputs": None, "first_kernel": 10**400}, "not an array of real numbers"),
        ({"networks": True}, "integer"),
        ({"networks": "200"}, "integer"),
        ({"networks": 10**30}, "2\\^53"),
        ({"threads": 1.0}, "integer"),
    ],
)
def test_bad_input(options, match):
    arguments = {"inputs": X, "networks": 200, "seed": 1, **options}
    with pytest.raises(InputError, match=match):
        sample(NET, arguments.pop("inputs"), **arguments)


def test_unknown_names():
    with pytest.raises(UnknownName, match="did you mean 'Theta'"):
        small(tensors=["theta"])
    with pytest.raises(UnknownName):
        small(tensors=["H_x"])
    for name in (3, None, ["K", "V"], {"K": 1}):
        with pytest.raises(UnknownName):
            small(tensors=[name])
    with pytest.raises(InputError, match="MLP"):
        sample("tanh", X)


def test_kinks():
    net = MLP([3, 6, 6, 1], "relu", C_W=2.0)
    sample(net, X[0], tensors=["K", "Theta", "P", "Q"], networks=100, seed=1)
    for inputs, name in ((X, "P"), (X, "Q"), (X[0], "R"), (X[0], "U")):
        with pytest.raises(KinkError, match="almost_everywhere"):
            sample(net, inputs, tensors=["K", name], networks=100, seed=1)
    ds = sample(net, X, tensors=["P", "Q", "R", "S", "T", "U"], networks=100, seed=1, kinks="almost_everywhere")
    # At layer 2 P needs sigma'', zero almost everywhere, as layer 1 is linear in its parameters.
    assert np.all(ds.P.sel(layer=2) == 0)
    assert np.all(ds.Q.sel(layer=3) != 0)
    shifted = MLP([3, 6, 1], "relu(z) + 1", C_W=1.0)
    with pytest.raises(KinkError):
        sample(shifted, X[0], tensors=["P"], networks=100, seed=1)
    step = MLP([3, 6, 1], "Heaviside(z)", C_W=1.0)
    sample(step, X[0], tensors=["K", "V"], networks=100, seed=1)
    with pytest.raises(KinkError):
        sample(step, X[0], tensors=["Theta"], networks=100, seed=1)


def test_overflow_is_an_error():
    net = MLP([1, 4, 4, 4, 4, 4, 4, 1], "z**9", C_W=1e3)
    with pytest.raises(AccuracyError, match="overflow"):
        sample(net, [1e3], networks=100, seed=1)


def test_memory_is_bounded():
    net = MLP([2, 40, 40, 40, 1], "tanh")
    budget = 2**22
    for tensors in (["K", "V"], ["Theta", "D"], ["A", "B", "F"], ["P", "R", "T"]):
        sample(net, X[:, :2], tensors=tensors, networks=100, seed=1)  # imports and caches
        tracemalloc.start()
        try:
            sample(net, X[:, :2], tensors=tensors, networks=500, seed=1, memory=budget)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < budget + 2**20  # estimates of the batches and the Dataset


def test_equal_inputs_are_one():
    """Flows and samples agree: equal inputs are merged, so that P of ReLU is that of one input."""
    net = MLP([3, 6, 6, 1], "relu", C_W=2.0)
    one = sample(net, X[0], tensors=["P", "V"], networks=100, seed=1)
    two = sample(net, X[[0, 0]], tensors=["P", "V"], networks=100, seed=1)
    by_kernel = sample(net, first_kernel=np.ones((2, 2)), networks=100, seed=1)
    assert two.P.dims == ("layer", "sample0", "sample1", "sample2", "sample3")
    for name in ("P", "P_se", "V"):
        spread = np.broadcast_to(one[name].values[:, None, None, None, None], two[name].shape)
        np.testing.assert_array_equal(two[name], spread)
    assert np.all(np.ptp(by_kernel.K.values, axis=(1, 2)) == 0)
    mixed = sample(net, X[[1, 0, 1]], tensors=["V"], networks=100, seed=1).V.values
    np.testing.assert_array_equal(mixed[:, 0, 1, 2, 2], mixed[:, 2, 1, 0, 0])
    with pytest.raises(KinkError):
        sample(net, X[[0, 0, 1]], tensors=["P"], networks=100, seed=1)


def test_a_sample_says_what_it_is_of(reference):
    assert MLP.from_json(reference.attrs["network"]) == NET
    assert reference.attrs["kinks"] == "error"
    assert reference.attrs["rgflow_version"]
    assert reference.attrs["seed"] == "3"


@pytest.mark.parametrize("threads", [1, 2])
def test_any_number_of_networks_starts_in_little_memory(monkeypatch, threads):
    """10^15 networks are 10^10 batches: none of them is listed before it is drawn."""
    import rgflow.sampling.run as run

    calls = []
    measure = run._measure

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) > 3:
            raise KeyboardInterrupt
        measure(*arguments)

    monkeypatch.setattr(run, "_measure", interrupted)
    tracemalloc.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            small(networks=10**15, threads=threads, memory=2**29)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**29


def test_estimates_of_batches_are_not_kept():
    """Ten times the networks at the same number of bytes."""
    peaks = []
    for networks in (4000, 40_000):
        tracemalloc.start()
        try:
            sample(MLP([3, 4, 4, 1], "tanh"), X, tensors=["K"], networks=networks, seed=1, memory=2**18)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert peaks[1] < 2 * peaks[0]


@pytest.mark.parametrize("threads", [1, 2])
def test_interrupt_leaves_cleanly(monkeypatch, threads):
    import rgflow.sampling.run as run

    calls = []

    def interrupted(*arguments):
        calls.append(1)
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "_measure", interrupted)
    with pytest.raises(KeyboardInterrupt):
        small(threads=threads, networks=5000, progress=True)
    assert len(calls) <= threads + 1


def test_progress_bar_changes_nothing(reference, capsys):
    xarray.testing.assert_identical(reference, small(progress=True))


EVERY_KIND = Network(
    [
        KINDS["Orthogonal"](C_W=1.2),
        KINDS["Residual"](skip=0.7, C_b=0.1),
        KINDS["Branch"](C_b=0.1, hidden=3),
        KINDS["Projection"](C_P=0.5),
        KINDS["Reduced"](C_b=0.2),
        KINDS["Orthogonal"](),
        KINDS["Linear"](C_b=0.1),
    ],
    [3, 5, 5, 5, 4, 4, 6, 2],
    "tanh",
)


@pytest.mark.parametrize("tensors", [ALL, ("K", "V", "V6")])
def test_networks_of_every_kind_do_not_depend_on_memory_or_threads(tensors):
    arguments = {"tensors": tensors, "networks": 150, "seed": 3}
    whole = sample(EVERY_KIND, X, **arguments)
    for name in tensors:
        assert np.isfinite(whole[name]).all()
        assert np.all(whole[f"{name}_se"].values[1:] > 0) or name not in ("K", "V")
    with pytest.raises(InputError, match="need at least") as refused:
        sample(EVERY_KIND, X, **arguments, memory=1)
    # Batches are drawn many together; with the least memory one network after the other.
    least = int(str(refused.value).split()[-1])
    for options in ({"memory": least if tensors != ALL else 2**20}, {"threads": 2}):
        xarray.testing.assert_identical(whole, sample(EVERY_KIND, X, **arguments, **options))
    assert Network.from_json(whole.attrs["network"]) == EVERY_KIND
    assert "skip" in whole.coords


def test_every_letter_can_be_asked_for_alone():
    layers = [Dense(), KINDS["Residual"](), KINDS["Orthogonal"](), KINDS["Reduced"](), Dense()]
    net = Network(layers, [3, 4, 4, 4, 4, 1], "tanh")
    together = sample(net, X[0], tensors=ALL, networks=150, seed=3)
    for name in ALL:
        # B draws weights.
        alone = sample(net, X[0], tensors=[name, "B"], networks=150, seed=3)
        # The same draws, multiplied in matrices of another shape.
        np.testing.assert_allclose(alone[name], together[name], rtol=1e-11)


@pytest.mark.parametrize("tensors", [ALL, ("K", "Theta", "A", "B")])
def test_a_residual_layer_without_skip_is_dense(tensors):
    dense = Dense(C_b=0.1, C_W=1.3, lambda_b=0.5)
    plain = KINDS["Residual"](skip=0.0, C_b=0.1, C_W=1.3, lambda_b=0.5)
    mlp, net = (Network([Dense(), one, one, Dense()], [3, 5, 5, 5, 2], "tanh") for one in (dense, plain))
    expected, found = (sample(one, X, tensors=tensors, networks=200, seed=3, route="weights") for one in (mlp, net))
    for name in tensors:
        # The same draws; what is carried adds zeros, in another order of summation.
        scale = np.abs(expected[name].values).max()
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=1e-12 * scale)
    assert not np.allclose(found.K, sample(mlp, X, tensors="K", networks=200, seed=4, route="weights").K)


def test_memory_of_networks_is_bounded():
    n, budget = 12, 2**20
    blocks = [KINDS["Residual"](), KINDS["Branch"](hidden=18), KINDS["Orthogonal"]()]
    net = Network([Dense(), *blocks, Dense()], [2, n, n, n, n, 1], "tanh")
    for tensors in (["V6"], ["P", "T"]):
        sample(net, X[0, :2], tensors=tensors, networks=150, seed=1)  # imports and caches
        tracemalloc.start()
        try:
            sample(net, X[0, :2], tensors=tensors, networks=150, seed=1, memory=budget)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < budget + 2**18


def test_networks_have_kinks_too():
    net = Network([Dense(), KINDS["Residual"](), Dense()], [3, 4, 4, 1], "relu")
    sample(net, X[0], tensors=["K", "V", "Theta", "F"], networks=100, seed=1)
    # In a dense network P and Q of one input would do: there every sigma'' stands beside a sigma.
    with pytest.raises(KinkError, match="P of 'relu'"):
        sample(net, X[0], tensors=["P"], networks=100, seed=1)
    sample(net, X[0], tensors=["P"], networks=100, seed=1, kinks="almost_everywhere")


def test_a_kind_that_nobody_draws(monkeypatch):
    monkeypatch.setattr("rgflow.network.layer.KINDS", dict(KINDS))

    class Unheard(Layer):
        pass

    with pytest.raises(InputError, match="rgflow/sampling/kinds"):
        sample(Network([Dense(), Unheard(), Dense()], [3, 4, 4, 1], "tanh"), X[0], networks=100)


def test_a_first_layer_that_is_more_than_weights(monkeypatch):
    for layer in (KINDS["Branch"](), KINDS["Residual"]()):
        monkeypatch.setattr(type(layer), "ends", True)
        net = Network([layer, Dense()], [3, 3, 1], "tanh")
        with pytest.raises(InputError, match=r"layer 1 is .* no more"):
            sample(net, X[0], networks=100)
