"""Pictures of aspect ratios: what is drawn is what the flow and the series hold."""

import numpy as np
import pytest
from matplotlib.figure import Figure

import rgflow as rg
from rgflow.errors import InputError
from rgflow.plots.aspect import plot_aspect
from rgflow.plots.files import write_picture
from rgflow.predict.aspect.ratio import aspect_ratio


def test_four_panels(tmp_path):
    found = aspect_ratio("tanh", 10)
    recommended = found.recommend(64)
    axes = plot_aspect(found, recommended)
    assert axes.shape == (4,)
    growth = found.growth(recommended.flowed)
    x, y = axes[0].lines[2].get_data()  # after the lines of r* and of the depth
    inside = len(x)
    np.testing.assert_allclose(x, np.arange(1, inside + 1) / 64)
    np.testing.assert_allclose(y, growth.metric[:inside] / 64)
    np.testing.assert_allclose(axes[1].lines[2].get_ydata() ** 2, growth.tangent[:inside] / 64)
    labels = {line.get_label(): line for line in axes[2].lines}
    np.testing.assert_allclose(labels["$Q$"].get_ydata(), growth.change["Q"][:inside] / 64)
    series = next(line for line in axes[3].lines if line.get_label() == "series through $v^3$")
    place = np.argmax(series.get_ydata())
    assert series.get_xdata()[place] == pytest.approx(found.optimal, rel=0.02)
    for ax in axes:
        assert ax.lines[0].get_xdata() == [found.optimal] * 2
        assert ax.lines[1].get_xdata() == [recommended.ratio] * 2
    write_picture(axes, tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 10_000


def test_axes_of_ones_own_and_layers_that_remember(tmp_path):
    found = aspect_ratio("relu", layer=rg.Residual(skip=0.5))
    given = Figure().subplots(2, 2)
    axes = plot_aspect(found, found.recommend(60), given)
    assert axes[0] is given.flat[0]
    assert "remember" in axes[2].texts[0].get_text()
    write_picture(axes, tmp_path / "x.svg")


def test_refusals():
    found = aspect_ratio("relu")
    recommended = found.recommend(100)
    for call in (
        lambda: plot_aspect(recommended, found),
        lambda: plot_aspect(found, 100),
        lambda: plot_aspect(found, recommended, Figure().subplots(1, 2)),
    ):
        with pytest.raises(InputError):
            call()
