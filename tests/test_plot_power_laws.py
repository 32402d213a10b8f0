"""The picture of power laws: its lines are the flow and the laws, one panel for each tensor that does not vanish."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import rgflow as rg
from rgflow.plots import plot_power_laws
from rgflow.universality import Criticality
from rgflow.universality.exponentials import l


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_lines_are_the_flow_and_its_laws(activation):
    found = rg.criticality(activation)
    panels = plot_power_laws(found, depth=50)
    assert len(panels) == 8
    for ax, name in zip(panels, ("K", "Theta", "V", "B", "F", "A", "D", "Q"), strict=True):
        flow, law = ax.lines[:2]
        assert ax.get_title(loc="left").startswith("$-") == (activation == "tanh" and name in ("D", "Q"))
        assert flow.get_xdata()[-1] == law.get_xdata()[-1] == 50
        assert len(ax.lines) == (2 if found.laws[name].correction == 0 else 3)
    V = panels[2].lines
    expected = 5 * V[1].get_xdata() if activation == "relu" else 1 / (6 * V[1].get_xdata())
    np.testing.assert_allclose(V[1].get_ydata(), expected, rtol=1e-12)
    if activation == "relu":  # V = 5 k^2 (l - 1) is all of it: the dotted line is the flow
        np.testing.assert_allclose(V[0].get_ydata(), 5 * (V[0].get_xdata() - 1), rtol=1e-10)
        late = np.isfinite(V[2].get_ydata())
        np.testing.assert_allclose(V[2].get_ydata()[late], V[0].get_ydata()[late], rtol=1e-10)
    else:
        flow, leading, better = (line.get_ydata()[-1] for line in V)
        assert abs(flow / better - 1) < abs(flow / leading - 1)


@pytest.mark.parametrize("part", ["amplitude", "correction"])
def test_control_another_law_is_seen(part, monkeypatch):
    """Negative control: V of relu twice as large, or with another correction."""
    laws = dict(rg.criticality("relu").laws)
    V = laws["V"]
    laws["V"] = replace(V, amplitude=2 * V.amplitude) if part == "amplitude" else replace(V, correction=1 / l)
    monkeypatch.setattr(Criticality, "laws", property(lambda found: laws))
    with pytest.raises(AssertionError):
        test_lines_are_the_flow_and_its_laws("relu")


def test_own_axes_and_what_is_refused():
    from matplotlib.figure import Figure

    found = rg.criticality("linear")
    axes = Figure().subplots(2, 4)
    panels = plot_power_laws(found, depth=20, ax=axes)
    assert list(panels) == list(axes.flat)
    with pytest.raises(rg.InputError, match="8 are drawn"):
        plot_power_laws(found, depth=20, ax=Figure().subplots(2, 2))
    with pytest.raises(rg.InputError, match=r"rgflow\.criticality"):
        plot_power_laws("tanh")
    with pytest.raises(rg.InputError, match="depth"):
        plot_power_laws(found, depth=3)
