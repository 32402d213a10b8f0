"""Pictures of variation: what is drawn is what the Datasets hold."""

import numpy as np
import pytest
import sympy as sp
from matplotlib.figure import Figure

from rgflow.errors import InputError
from rgflow.plots import plot_variation, plot_variation_phases, write_picture
from rgflow.scaling import variation, variation_phases


@pytest.fixture(scope="module")
def diagram():
    x, y = sp.symbols("beta_W beta_a", nonnegative=True)
    found = variation_phases("relu", beta_W=x, beta_b=x, beta_a=y)
    grid = np.linspace(0, 2, 17)
    return found.diagram("chi_V", beta_W=grid, beta_a=grid)


def test_one_network():
    ds = variation("relu", 2000, gamma0=0.5)
    left, right = plot_variation(ds)
    by_label = {line.get_label(): line for line in (*left.lines, *right.lines)}
    np.testing.assert_allclose(by_label["$p$"].get_ydata(), ds["log_p"] / np.log(10))  # beyond 1e308
    assert by_label["$p$"].get_ydata().max() > 350
    assert len(by_label[r"$\chi_W$"].get_xdata()) == 2000  # not at layer 0
    assert set(by_label) == {"$p$", "$q$", "$s$", r"$\chi$", r"$\chi_W$", r"$\chi_V$", r"$\chi_b$", r"$\chi_a$"}


def test_several_networks(tmp_path):
    axes = plot_variation({"0": variation("tanh", 20), "0.5": variation("tanh", 20, beta_V=0.5)})
    assert [text.get_text() for text in axes[0].get_legend().get_texts()] == ["0", "0.5"]
    write_picture(axes, tmp_path / "x.png")
    given = Figure().subplots(1, 2)
    assert plot_variation(variation("tanh", 1), given)[0] is given[0]


def test_diagram(diagram, tmp_path):
    ax = plot_variation_phases(diagram, {"zig": [(0, 0), (2, 0)], "zag": [(2, 0), (2, 2)]})
    names = [text.get_text() for text in ax.figure.legends[0].get_texts()]
    assert names == ["constant", "polynomial", "zig", "zag"]
    assert ax.get_xlabel() == r"$\beta_W$"
    write_picture(ax, tmp_path / "x.svg")
    given = Figure().subplots()
    assert plot_variation_phases(diagram, ax=given) is given


def test_refusals(diagram):
    ds = variation("tanh", 3)
    for call in (
        lambda: plot_variation(diagram),
        lambda: plot_variation({str(i): ds for i in range(7)}),
        lambda: plot_variation(ds, Figure().subplots()),
        lambda: plot_variation_phases(ds),
        lambda: plot_variation_phases(diagram, {"zig": [(0, 0)]}),
        lambda: plot_variation_phases(diagram, {"zig": "ab"}),
        lambda: plot_variation_phases(diagram, ax=Figure().subplots(1, 2)),
    ):
        with pytest.raises(InputError):
            call()
