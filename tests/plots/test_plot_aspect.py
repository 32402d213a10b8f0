"""Pictures of aspect ratios: what is drawn is what the flow and the series hold."""

import numpy as np
import pytest
from matplotlib.figure import Figure

import rgflow as rg
from rgflow.errors import InputError
from rgflow.plots.aspect import plot_aspect
from rgflow.plots.files import write_picture
from rgflow.predict.aspect.ratio import aspect_ratio
from rgflow.predict.information.mixture import mixture_information


def named(ax, name):
    """The line whose label starts so."""
    return next(line for line in ax.lines if line.get_label().startswith(name))


@pytest.mark.parametrize(("activation", "n_out", "width"), [("tanh", 10, 64), ("relu", 1, 64), ("relu", 10, 200)])
def test_four_panels(tmp_path, activation, n_out, width):
    """Curves are the flow's, and the drawn series is largest, and positive, at the recommended depth."""
    found = aspect_ratio(activation, n_out)
    recommended = found.recommend(width)
    axes = plot_aspect(found, recommended)
    assert axes.shape == (4,)
    growth = found.growth(recommended.flowed)
    x, y = axes[0].lines[2].get_data()  # after the lines of r* and of the depth
    inside = len(x)
    np.testing.assert_allclose(x, np.arange(1, inside + 1) / width)
    np.testing.assert_allclose(y, growth.metric[:inside] / width)
    np.testing.assert_allclose(axes[1].lines[2].get_ydata() ** 2, growth.tangent[:inside] / width)
    np.testing.assert_allclose(named(axes[2], "$Q$").get_ydata(), growth.change["Q"][:inside] / width)
    assert axes[1].lines[3].get_ydata() == [0.5] * 2  # the bound
    series = named(axes[3], "series through $v^3$")
    assert ("continued to one output" in series.get_label()) == (n_out == 1)
    a, b, v = *found.groups, growth.metric[:inside] / width
    typed = a * b / 8 * (v**2 - (20 + 3 * n_out) / 6 * v**3)
    np.testing.assert_allclose(series.get_ydata(), typed, rtol=1e-12, atol=1e-15)
    assert series.get_xdata()[np.argmax(series.get_ydata())] == recommended.ratio
    assert max(series.get_ydata()) > 0
    gamma = named(axes[3], "scale mixture, gamma")
    last, value = gamma.get_xdata()[-1], gamma.get_ydata()[-1]
    assert value == mixture_information(a, b, v[round(last * width) - 1])[0]
    for ax in axes:
        assert ax.lines[0].get_xdata() == [found.best_ratio] * 2
        assert ax.lines[1].get_xdata() == [recommended.ratio] * 2
        assert ax.get_xlim()[1] == pytest.approx(x[-1])
    write_picture(axes, tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 10_000


def legend(axes):
    return [text.get_text() for text in axes[0].figure.legends[0].texts]


def test_the_legend_lists_what_is_drawn():
    """Hatching if there is some, and where r* is if layers up to it were not flowed."""
    found = aspect_ratio("tanh", 10)
    axes = plot_aspect(found, found.recommend(128))
    first = min(last for last in found.recommend(128).cutoffs.values() if last is not None)
    assert axes[0].patches[0].get_x() == pytest.approx((first + 0.5) / 128)
    assert "beyond the first cut-off" in legend(axes)
    found = aspect_ratio("tanh", layer=rg.Residual(skip=0.7))
    recommended = found.recommend(128)
    axes = plot_aspect(found, recommended)
    assert not axes[0].patches
    assert "beyond the first cut-off" not in legend(axes)
    assert "continued to one output (at 0.343, deeper than was flowed)" in legend(axes)[0]
    assert axes[0].get_xlim()[1] == recommended.flowed / 128


def test_axes_of_ones_own_and_layers_that_remember(tmp_path):
    """P and Q are not followed there; the ratio of orders is drawn."""
    found = aspect_ratio("relu", layer=rg.Residual(skip=0.5))
    given = Figure().subplots(2, 2)
    recommended = found.recommend(60)
    axes = plot_aspect(found, recommended, given)
    assert axes[0] is given.flat[0]
    y = axes[2].lines[2].get_ydata()
    np.testing.assert_allclose(y, found.growth(recommended.flowed).orders[: len(y)] / 60)
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
