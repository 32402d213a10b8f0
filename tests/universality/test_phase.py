"""Phase diagrams and their pictures."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from matplotlib.figure import Figure

import rgflow as rg
from rgflow.plots.files import write_picture
from rgflow.plots.phase import plot_phase
from rgflow.universality import phase as module
from rgflow.universality.fixed_points import correlation_lengths
from rgflow.universality.phase import phase_diagram

GELU = (1.98305825744, 0.172922390756, 3.56155281281)  # C_W, C_b, K* of PDLT's half-stable class, to more digits
SWISH = (1.98800467827, 0.555143170722, 14.3201736180)


@pytest.fixture(scope="module")
def tanh():
    return phase_diagram("tanh", C_W=np.linspace(0.5, 3, 26), C_b=np.linspace(0, 0.3, 13))


@pytest.fixture(scope="module")
def gelu():
    return phase_diagram("gelu", C_W=np.linspace(1.5, 2.5, 21), C_b=np.linspace(0, 0.35, 8))


def line(ds):
    return np.array([ds[name].values for name in ("critical_C_W", "critical_C_b", "critical_K")])


def test_holds_what_single_points_say(tanh):
    assert dict(tanh.sizes) == {"C_b": 13, "C_W": 26, "line": tanh.sizes["line"]}
    for i, j in ((0, 0), (0, 5), (3, 20), (12, 25)):
        at = tanh.isel(C_b=i, C_W=j)
        found = correlation_lengths("tanh", C_b=float(at["C_b"]), C_W=float(at["C_W"]))
        names = ("K_star", "chi_parallel", "chi_perpendicular", "xi_parallel", "xi_perpendicular")
        numbers = (found.K_star, found.chi_parallel, found.chi_perpendicular, found.xi_parallel, found.xi_perpendicular)
        np.testing.assert_allclose([float(at[name]) for name in names], numbers, rtol=1e-12)
        assert {-1: "ordered", 0: "critical", 1: "chaotic"}[int(at["phase"])] == found.phase
    assert tanh["phase"].dtype == np.int8
    assert tanh["phase"].attrs["flag_values"].tolist() == [-1, 0, 1]


def test_relu_is_critical_at_two():
    ds = phase_diagram("relu", C_W=[1.0, 2.0, 3.0], C_b=[0.0, 0.1])
    assert ds["phase"].values.tolist() == [[-1, 0, 1]] * 2
    np.testing.assert_allclose(ds["K_star"].values, [[0, 1, np.inf], [0.2, np.inf, np.inf]])
    w, b, K = line(ds)
    assert set(w) == {2.0}
    assert (b[0], b[-1]) == (0, 0.1)
    assert (K[0], K[-1]) == (1, np.inf)


def test_the_line_of_erf():
    """Typed: C_W = pi/4 sqrt(1+4K), C_b = K - C_W 2/pi asin(2K/(1+2K)) (arXiv:2111.12143)."""
    w, b, K = line(phase_diagram("erf", C_W=[0.5, 1.5], C_b=[0.0, 0.3]))
    np.testing.assert_allclose(w, np.pi / 4 * np.sqrt(1 + 4 * K), rtol=1e-13)
    np.testing.assert_allclose(b, K - w * 2 / np.pi * np.arcsin(2 * K / (1 + 2 * K)), atol=1e-13)
    assert (w[0], b[0], K[0]) == (pytest.approx(np.pi / 4, rel=1e-15), 0, 0)
    assert 1.49 < w[-1] <= 1.5


def test_the_line_parts_the_phases(tanh):
    w, b, K = line(tanh)
    assert (w[0], b[0], K[0]) == (1, 0, 0)
    for i in range(20, w.size, 40):
        assert correlation_lengths("tanh", C_b=b[i], C_W=0.999 * w[i]).phase == "ordered"
        assert correlation_lengths("tanh", C_b=b[i], C_W=1.001 * w[i]).phase == "chaotic"
    # arXiv:1611.01232 and many after it: C_W = 1.76 at C_b = 0.05
    assert round(float(np.interp(0.05, b, w)), 2) == 1.76


def test_control_a_lost_factor_is_seen(monkeypatch):
    """Negative control: with C_b = K - g instead of K - C_W g, line, half-stable points and window are elsewhere."""
    honest = module._point

    def wrong(act, K):
        w, b = honest(act, K)
        return w, K - (K - b) / w

    monkeypatch.setattr(module, "_point", wrong)
    with pytest.raises(AssertionError):
        test_the_line_of_erf()
    with pytest.raises(AssertionError):
        test_half_stable_points_are_on_the_line("gelu", GELU)
    with pytest.raises(AssertionError):
        test_the_window_holds_the_critical_point(
            "gelu",
            *GELU[:2],
        )


def test_control_a_shifted_line_is_seen(tanh):
    """Negative control: phases do not meet half a percent beside the line."""
    w = tanh["critical_C_W"]
    with pytest.raises(AssertionError):
        test_the_line_parts_the_phases(tanh.assign(critical_C_W=w.copy(data=1.005 * w.values)))


@pytest.mark.parametrize(("name", "point"), [("gelu", GELU), ("swish", SWISH)])
def test_half_stable_points_are_on_the_line(name, point):
    """They end it: beyond, the fixed point with chi_perpendicular = 1 repels."""
    found = line(phase_diagram(name, C_W=[1.5, 2.5], C_b=[0.0, 2 * point[1]]))
    nearest = np.nanargmin(np.abs(found[2] - point[2]))
    np.testing.assert_allclose(found[:, nearest], point, rtol=1e-8)
    finite = found[:, np.isfinite(found[2])]
    assert finite[2].min() == found[2, nearest]


def test_pieces_are_divided_and_know_whether_flows_end_there(gelu):
    w, b, K = line(gelu)
    gaps = np.isnan(w)
    assert gaps.sum() == 1
    assert np.isnan(b[gaps]).all()
    far = np.isinf(K)
    assert set(w[far]) == {2.0}  # gelu tends to relu
    end = np.nanargmin(np.abs(K - GELU[2]))
    assert gelu["critical_reached"].values[end] == 0  # a flow from 1 stops at a root below
    assert phase_diagram("gelu", C_W=[1.5, 2.5], C_b=[0.0, 0.35], first_kernel=10.0)["critical_reached"].values[-1] == 1


def test_no_line_where_nothing_attracts():
    assert phase_diagram("z**2", C_W=[0.1, 0.5], C_b=[0.0, 0.1]).sizes["line"] == 0
    assert phase_diagram("sigmoid", C_W=[1.0, 9.0], C_b=[0.0, 0.1]).sizes["line"] == 0


@pytest.mark.parametrize(
    ("name", "C_W", "C_b"), [("tanh", 1, 0), ("erf", np.pi / 4, 0), ("relu", 2, 0), ("gelu", *GELU[:2])]
)
def test_the_window_holds_the_critical_point(name, C_W, C_b):
    w, b = module._window(rg.activation(name))
    assert np.abs(w / C_W - 1).min() < 1e-9
    assert np.abs(b - C_b).min() < 1e-9
    assert w[0] < C_W < w[-1]
    assert C_b < b[-1]


def test_either_axis_may_be_left_out(monkeypatch):
    monkeypatch.setattr(module, "_window", lambda act: (np.array([1.0, 1.5]), np.array([0.0, 0.2])))
    for given in ({"C_b": [0.0, 0.2]}, {"C_W": [1.0, 1.5]}, {}):
        ds = phase_diagram("tanh", **given)
        assert (ds["C_W"].values.tolist(), ds["C_b"].values.tolist()) == ([1.0, 1.5], [0.0, 0.2])


@pytest.mark.parametrize("name", ["exp", "softplus", "Max(z-1,0)", "Max(Min(z,1),-1)"])
def test_every_activation_has_a_window(name):
    w, b = module._window(rg.activation(name))
    assert (np.diff(w) > 0).all()
    assert (np.diff(b) > 0).all()
    assert w[0] > 0
    assert b[0] == 0


def test_saved_and_loaded(gelu, tmp_path):
    rg.save(gelu, tmp_path / "gelu.nc")
    loaded = rg.load(tmp_path / "gelu.nc")
    assert loaded.identical(gelu)
    assert loaded["phase"].dtype == np.int8
    assert rg.activation(loaded.attrs["activation"]) == rg.activation("gelu")
    assert plot_phase(loaded).lines


def test_a_bar_for_those_who_wait(monkeypatch, capsys):
    monkeypatch.setattr(module, "_PATIENCE", -1.0)
    phase_diagram("relu", C_W=[1.0, 2.0], C_b=[0.0, 0.1], progress=True)
    assert capsys.readouterr() == ("", "")  # a pipe
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    phase_diagram("relu", C_W=[1.0, 2.0], C_b=[0.0, 0.1])
    assert capsys.readouterr().err == ""
    phase_diagram("relu", C_W=[1.0, 2.0], C_b=[0.0, 0.1], progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "phase diagram" in err


@pytest.mark.parametrize("bad", [[1.0, 0.5], [1.0, 1.0], [[1.0]], 1.0, [], [np.nan], [-1.0, 1.0], "1:2"], ids=repr)
def test_refuses_other_grids(bad):
    with pytest.raises(rg.InputError, match="C_W"):
        phase_diagram("tanh", C_W=bad, C_b=[0.0])
    with pytest.raises(rg.InputError, match="C_b"):
        phase_diagram("tanh", C_W=[1.0], C_b=bad)


def test_refuses_other_starts():
    for bad in ([1.0], -1.0, None, "1"):
        with pytest.raises(rg.InputError, match="first_kernel"):
            phase_diagram("tanh", C_W=[1.0], C_b=[0.0], first_kernel=bad)


# Pictures -------------------------------------------------------------------------------------------------------------


def test_colours_are_depths_and_sides_are_phases(tanh):
    ax = plot_phase(tanh)
    (mesh,) = ax.collections
    drawn = np.asarray(mesh.get_array()).reshape(tanh["phase"].shape)
    seen = tanh["xi_perpendicular"].values < 1000
    np.testing.assert_array_equal(np.sign(drawn), np.where(seen, -tanh["phase"].values, 0))
    i, j = 12, 0
    np.testing.assert_allclose(drawn[i, j], 3 - np.log10(max(1, tanh["xi_perpendicular"].values[i, j])))
    assert [text.get_text() for text in ax.texts] == ["ordered", "chaotic"]


def test_pieces_of_the_line_and_points(gelu, tmp_path):
    points = [(*GELU[:2], "critical point"), (9.0, 0.1, "outside")]
    ax = plot_phase(gelu, points)
    solid = [drawn for drawn in ax.lines if len(drawn.get_xdata()) > 1]
    assert len(solid) == 2
    assert all(drawn.get_linestyle() == "-" for drawn in solid)
    total = sum(len(drawn.get_xdata()) for drawn in solid)
    assert total == gelu.sizes["line"] - 1
    (mark,) = [drawn for drawn in ax.lines if len(drawn.get_xdata()) == 1]
    assert (mark.get_xdata()[0], mark.get_ydata()[0]) == GELU[:2]
    assert "critical point" in [text.get_text() for text in ax.texts]
    assert "outside" not in [text.get_text() for text in ax.texts]
    write_picture(plot_phase(gelu, points), tmp_path / "gelu.png")


def test_lines_that_flows_do_not_reach_are_dashed():
    ax = plot_phase(phase_diagram("Max(z-1,0)", C_W=np.linspace(5, 12, 4), C_b=np.linspace(0, 0.5, 3)))
    assert any(drawn.get_linestyle() == "--" for drawn in ax.lines)


def test_takes_axes(tanh):
    ax = Figure().subplots()
    before = "matplotlib.pyplot" in sys.modules
    assert plot_phase(tanh, ax=ax) is ax
    assert ax.get_legend() is not None
    assert ("matplotlib.pyplot" in sys.modules) == before
    with pytest.raises(rg.InputError, match="1 is drawn"):
        plot_phase(tanh, ax=Figure().subplots(1, 2))


def test_pictures_refuse_what_they_cannot_show(tanh):
    with pytest.raises(rg.InputError, match="phase_diagram"):
        plot_phase(rg.flow(rg.MLP([3, 5], "tanh"), first_kernel=1.0))
    with pytest.raises(rg.InputError, match="two of each"):
        plot_phase(phase_diagram("relu", C_W=[1.0, 2.0], C_b=[0.0]))
    for bad in ((1.0, 2.0), (1.0, "x", "y"), (np.nan, 1.0, "x"), (1.0, 1.0, 3)):
        with pytest.raises(rg.InputError, match="point"):
            plot_phase(tanh, [bad])
