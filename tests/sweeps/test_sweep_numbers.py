"""A sweep is the flow of every point: to the errors that both give, whatever route the points take."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import rgflow as rg
from rgflow.sweeps import sweep

RNG = np.random.default_rng(6)
C_W, C_b = np.linspace(0.5, 2.5, 5), np.array([0.3, 0.0, 0.1])  # in no order
RESIDUAL = rg.Network([rg.Dense(), rg.Residual(skip=0.9), rg.Residual(skip=0.9), rg.Dense()], [3, 8, 8, 8, 8], "tanh")


def tanh(depth: int = 6, width: int = 16, **values: float) -> rg.MLP:
    return rg.MLP.uniform(n_in=3, width=width, depth=depth, activation="tanh", **values)


def agree(point: xr.Dataset, one: xr.Dataset) -> None:
    """Every coefficient within the sum of both numerical errors, and the ratios that follow from them."""
    assert [str(name) for name in point["coefficient"].values] == [str(name) for name in one["coefficient"].values]
    error = point["numerical_error"] + one["numerical_error"].values
    for name in (str(name) for name in one["coefficient"].values):
        apart = np.abs(point[name].values - one[name].values)
        allowed = error.sel(coefficient=name).values
        assert (apart <= allowed.reshape(allowed.shape + (1,) * (apart.ndim - allowed.ndim))).all(), name
    if "expansion_ratio" in one:
        np.testing.assert_allclose(point["expansion_ratio"].values, one["expansion_ratio"].values, rtol=1e-6)
    if "trusted_layers" in point:
        np.testing.assert_array_equal(point["trusted_layers"], one["trusted_layers"])


@pytest.mark.parametrize("order", [0, 1, 2])
def test_every_point_is_a_flow(order):
    tensors = ["K"] if order == 2 else ["K", "V", "Theta"] if order else ["K", "Theta"]
    ds = sweep(tanh(), first_kernel=1.0, tensors=tensors, order=order, C_W=C_W, C_b=C_b)
    assert ds["K"].dims == ("layer", "C_W", "C_b")
    assert ds["numerical_error"].dims == ("coefficient", "layer", "C_W", "C_b")
    assert ds["C_b"].values.tolist() == C_b.tolist()
    for w, b in zip(RNG.integers(5, size=3), RNG.integers(3, size=3), strict=True):
        one = rg.flow(tanh(C_W=C_W[w], C_b=C_b[b]), first_kernel=1.0, tensors=tensors, order=order)
        agree(ds.isel(C_W=w, C_b=b), one)


def test_control_another_point_is_another_flow():
    ds = sweep(tanh(), first_kernel=1.0, C_W=[1.0, 1.001])
    with pytest.raises(AssertionError):
        agree(ds.isel(C_W=0), rg.flow(tanh(C_W=1.001), first_kernel=1.0))


@pytest.mark.parametrize(
    ("name", "values"),
    [("lambda_W", [0.5, 2.0]), ("lambda_b", [0.0, 3.0]), ("first_kernel", [0.25, 2.0]), ("width", [8, 32])],
)
def test_other_axes(name, values):
    given = {"first_kernel": 1.0, "C_W": 1.5, name: np.array(values)}
    ds = sweep(tanh(), **given)
    shown = {"first_kernel": values[1] if name == "first_kernel" else 1.0}
    changed = {name: values[1]} if name != "first_kernel" else {}
    one = rg.flow(tanh(**{"C_W": 1.5, **changed}), **shown)
    agree(ds.isel({name: 1}), one)
    np.testing.assert_array_equal(ds["fan_in"].isel({name: 1}, missing_dims="ignore"), one["fan_in"])


def test_depth_is_the_last_layer_of_each_network():
    ds = sweep(tanh(), first_kernel=1.0, C_W=[1.0, 2.0], depth=[4, 1, 7])
    assert ds["V"].dims == ("C_W", "depth")
    for depth in (1, 4, 7):
        one = rg.flow(tanh(depth, C_W=2.0), first_kernel=1.0).isel(layer=-1)
        agree(ds.sel(C_W=2.0, depth=depth), one)
        assert int(ds["fan_in"].sel(depth=depth)) == int(one["fan_in"])


def test_depth_and_skip_of_residual_networks():
    """Their last layer is of another kind, so that every depth is a network of its own; neurons keep their past."""
    ds = sweep(RESIDUAL, first_kernel=1.0, tensors=["K", "V"], C_W=[0.5, 1.0], skip=[0.5, 0.9], depth=[3, 4])
    middle = [rg.Residual(skip=0.5)] * 1
    net = rg.Network([rg.Dense(), *middle, rg.Dense()], [3, 8, 8, 8], "tanh")
    agree(ds.sel(C_W=1.0, skip=0.5, depth=3), rg.flow(net, first_kernel=1.0, tensors=["K", "V"]).isel(layer=-1))


def test_several_inputs():
    inputs = RNG.normal(size=(2, 3))
    ds = sweep(tanh(3), inputs, tensors=["K", "V"], C_W=[1.0, 1.5], layers=[1, 3])
    assert ds["V"].dims == ("layer", "C_W", "sample0", "sample1", "sample2", "sample3")
    one = rg.flow(tanh(3, C_W=1.5), inputs, tensors=["K", "V"])
    agree(ds.sel(C_W=1.5), one.sel(layer=[1, 3]))


def test_kinks_and_parameters():
    """slope = 1 has no kink: there alone a written second derivative is known."""
    net = rg.MLP.uniform(n_in=3, width=20, depth=3, activation="leaky_relu")
    ds = sweep(net, first_kernel=1.0, tensors=["K", "V", "R"], slope=[0.5, 1.0])
    assert ds["status"].values.tolist() == [4, 0]
    assert ds["status"].attrs["flag_meanings"].split()[4] == "refused"
    assert "kink" in ds["status"].attrs["refused"]
    exact = rg.MLP.uniform(n_in=3, width=20, depth=3, activation="leaky_relu(slope=1)")
    agree(ds.sel(slope=1.0), rg.flow(exact, first_kernel=1.0, tensors=["K", "V", "R"]))
    with pytest.raises(rg.KinkError):  # of every point, whatever its numbers
        sweep(net, first_kernel=1.0, tensors=["R"], C_W=[1.0, 2.0])


def test_points_that_fail_do_not_stop_the_others():
    """exp runs away for larger C_W, and no input has K = 1 where C_b is larger."""
    net = rg.MLP.uniform(n_in=3, width=8, depth=12, activation="exp")
    ds = sweep(net, first_kernel=1.0, tensors=["K"], order=0, C_W=[0.05, 1.0], C_b=[0.0, 1.5], layers="last")
    status = ds["status"]
    assert bool(status.sel(C_W=0.05, C_b=0.0) == 0)
    assert status.sel(C_b=1.5).values.tolist() == [3, 3]
    assert int(status.sel(C_W=1.0, C_b=0.0)) in (1, 2)
    assert np.isnan(ds["K"].values[status.values != 0]).all()
    assert "C_b = 1.5" in status.attrs["outside_domain"]
    with pytest.raises(rg.InputError, match=r"C_b = 1\.5"):
        sweep(net, first_kernel=1.0, C_b=[1.5, 2.0])


def test_a_deep_failure_leaves_shallower_depths():
    """Of one flow only the depths fail at which a network of that depth does."""
    net = rg.MLP.uniform(n_in=3, width=8, depth=2, activation="exp")
    depths = [2, 3, 4, 5, 8, 12]
    ds = sweep(net, first_kernel=1.0, tensors=["K"], order=0, C_W=0.2, depth=depths)
    expected = []
    for depth in depths:
        try:
            rg.flow(rg.MLP.uniform(3, 8, depth, activation="exp", C_W=0.2), first_kernel=1.0, tensors="K", order=0)
            expected.append(True)
        except rg.AccuracyError:
            expected.append(False)
    assert (ds["status"].values == 0).tolist() == expected
    assert set(expected) == {True, False}


def test_totals_of_a_sweep():
    ds = sweep(tanh(), first_kernel=1.0, C_W=[1.0, 1.5], C_b=[0.0, 2.0], width=[8, 64])
    found = rg.total(ds)
    assert found["K"].dims == ("layer", "C_W", "C_b", "width")
    one = rg.total(rg.flow(tanh(width=64, C_W=1.5), first_kernel=1.0))
    point = found.sel(C_W=1.5, C_b=0.0, width=64)
    for name in ("K", "V", "Theta", "K_error", "V_error", "Theta_error"):
        np.testing.assert_allclose(point[name], one[name], rtol=1e-7, atol=0)
    assert np.isnan(found["K_error"].sel(C_b=2.0)).all()


def test_quadrature_is_a_second_witness():
    asked = {"first_kernel": 1.0, "C_W": C_W, "C_b": C_b, "layers": "last"}
    tables, averages = (sweep(tanh(), **asked, method=method) for method in ("tabulated", "quadrature"))
    agree(tables, averages)
    with pytest.raises(rg.InputError, match="point by point"):
        sweep(RESIDUAL, first_kernel=1.0, C_W=C_W, method="tabulated")


def test_errors_of_some_points():
    """Blocks that are sampled stand at fixed places of the grid; elsewhere a total takes the largest."""
    asked = {"first_kernel": 1.0, "C_W": np.linspace(0.5, 2.5, 600), "layers": "last", "errors": "sampled"}
    ds, cut = sweep(tanh(), **asked), sweep(tanh(), **asked, chunk=100)
    xr.testing.assert_identical(ds, cut)
    known = ds["numerical_error"].notnull().all("coefficient")
    assert 0 < int(known.sum()) < 600
    every = sweep(tanh(), **{**asked, "errors": "all"})
    xr.testing.assert_equal(ds.drop_vars("numerical_error"), every.drop_vars("numerical_error"))
    xr.testing.assert_equal(ds["numerical_error"][:, known.values], every["numerical_error"][:, known.values])
    assert rg.total(ds)["K_error"].notnull().all()


def test_one_point_and_numbers_that_are_no_axes():
    ds = sweep(tanh(), first_kernel=1.0, C_W=1.5, depth=4)
    assert ds["K"].dims == ("layer",)
    agree(ds, rg.flow(tanh(4, C_W=1.5), first_kernel=1.0))


def test_what_overflows_is_named_without_a_warning():
    net = rg.MLP([3, 8, 8, 1], "tanh")
    ds = sweep(net, first_kernel=1.0, C_W=[1.0, 1e308], layers="last")
    assert ds.status.values.tolist() == [0, 1]  # beyond the tables; its own flow says that it runs away
    with pytest.raises(rg.AccuracyError, match="not finite"):
        sweep(net, first_kernel=1.0, C_W=[1e308])


def test_points_beyond_the_tables_are_flowed_by_themselves():
    """K falls below every table at C_W = 0.01; a flow of its own follows it. By name, tables alone are asked."""
    net = rg.MLP.uniform(n_in=2, width=8, depth=160, n_out=2, activation="tanh")
    asked = {"first_kernel": 1.0, "C_W": [0.01, 1.0], "tensors": "K", "order": 0}
    found, tables = sweep(net, **asked), sweep(net, **asked, method="tabulated")
    alone = rg.flow(rg.MLP(net.widths, "tanh", C_W=0.01), first_kernel=1.0, tensors="K", order=0)
    assert found["status"].values.tolist() == [0, 0]
    assert tables["status"].values.tolist() == [2, 0]
    np.testing.assert_array_equal(found["K"].sel(C_W=0.01).values, alone["K"].values)
