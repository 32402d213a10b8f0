"""Pictures of sweeps: what is drawn is what the Dataset holds."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

import rgflow as rg
from rgflow.plots import plot_sweep, write_picture
from rgflow.sweeps import sweep

RELU = rg.MLP.uniform(n_in=3, width=8, depth=20, activation="relu")


@pytest.fixture(scope="module")
def ds():
    """No input has K = 1 where C_b is larger; relu grows over decades."""
    return sweep(RELU, first_kernel=1.0, C_W=[3.0, 0.5, 1.0, 2.0], C_b=[0.0, 0.5, 1.5], layers=[10, 20])


def test_a_map_is_its_numbers(ds, tmp_path):
    drawn = plot_sweep(ds, points=[(2.0, 0.0, "critical point"), (9.0, 0.0, "outside")])
    assert drawn.shape == (3,)
    ax = drawn[1]
    mesh = ax.collections[0]
    shown = np.ma.filled(mesh.get_array(), np.nan)
    np.testing.assert_array_equal(shown, ds["V"].isel(layer=-1).sortby("C_W").transpose("C_b", "C_W"))
    assert isinstance(mesh.norm, LogNorm)
    assert np.isnan(shown[2]).all()
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("$C_W$", "$C_b$")
    assert [text.get_text() for text in ax.texts] == ["critical point"]
    (legend,) = ax.figure.legends
    said = [text.get_text() for text in legend.get_texts()]
    assert said == ["no numbers: outside domain", "expansion in 1/n not to be trusted"]
    write_picture(drawn, tmp_path / "map.png")


def test_a_curve_is_its_numbers(ds, tmp_path):
    line = ds.sel(C_b=0.0)
    drawn = plot_sweep(line, ["K", "K_1"])
    x, y = drawn[0].lines[0].get_data()
    np.testing.assert_array_equal(x, [0.5, 1.0, 2.0, 3.0])
    np.testing.assert_array_equal(y, line["K"].isel(layer=-1).sortby("C_W"))
    assert drawn[0].get_yscale() == "log"
    assert drawn[1].get_yscale() == "linear"
    write_picture(drawn, tmp_path / "curve.svg")
    write_picture(plot_sweep(rg.total(line)), tmp_path / "total.pdf")


def test_samples_are_points_with_bars():
    mc = sweep(rg.MLP([2, 4, 4], "relu"), first_kernel=1.0, tensors="K", networks=100, seed=1, C_W=[1.0, 2.0, 3.0])
    (ax,) = plot_sweep(mc)
    (bars,) = ax.containers
    low, high = (np.array([path[i][1] for path in bars[2][0].get_segments()]) for i in (0, 1))
    np.testing.assert_allclose(high - low, 4 * mc["K_se"].isel(layer=-1), rtol=1e-9)


def test_axes_of_the_caller(ds):
    axes = Figure().subplots(1, 3)
    assert plot_sweep(ds, ax=axes)[2] is axes[2]
    with pytest.raises(rg.InputError, match="3 are drawn: K, V, Theta"):
        plot_sweep(ds, ax=axes[:2])


def test_what_cannot_be_drawn(ds):
    with pytest.raises(rg.InputError, match=r"rgflow\.sweep"):
        plot_sweep(rg.flow(RELU, first_kernel=1.0))
    with pytest.raises(rg.InputError, match="one or two axes"):
        plot_sweep(ds.isel(C_W=0, C_b=0))
    with pytest.raises(rg.InputError, match="one or two axes"):
        plot_sweep(sweep(RELU, first_kernel=1.0, C_W=[1.0, 2.0], width=[8, 16], depth=[2, 3]))
    with pytest.raises(rg.InputError, match="2 inputs"):
        plot_sweep(sweep(RELU, first_kernel=np.eye(2), order=0, tensors="K", C_W=[1.0, 2.0]))
    with pytest.raises(rg.UnknownName, match="V"):
        plot_sweep(ds, "v")
    with pytest.raises(rg.InputError, match="empty"):
        plot_sweep(ds, [])
