"""Pictures of scaling families: what is drawn is what the Datasets hold."""

import numpy as np
import pytest
import sympy as sp
from matplotlib.figure import Figure

import rgflow as rg
from rgflow.errors import InputError
from rgflow.plots.families import plot_family, plot_web
from rgflow.plots.files import write_picture


@pytest.fixture(scope="module")
def family():
    return rg.family("meta", s=sp.Symbol("s"))


def test_powers_along_the_family(family, tmp_path):
    ds = family.exponents(layers=3).to_dataset()
    ax = plot_family(ds)
    lines = {line.get_label(): line for line in ax.lines}
    s = np.linspace(0, 1, 21)
    for label, expected in (
        ("output $z^L$", -s / 2),
        (r"ddNTK, $\gamma$", s - 1),
        ("change of hidden $z$", (s - 1) / 2),
    ):
        np.testing.assert_allclose(lines[label].get_xdata(), s)
        np.testing.assert_allclose(lines[label].get_ydata(), expected, atol=1e-15)
    assert {text.get_text() for text in ax.texts} >= {*list(lines)[:7], "neural tangent", "maximal update"}
    write_picture(np.array([ax]), tmp_path / "family.png")
    assert (tmp_path / "family.png").stat().st_size > 10_000


def test_web(family, tmp_path):
    """gamma is one along L = n^{1-s}."""
    ds = family.web(n=[16, 64, 1024], L=[1, 8, 256], s=[0, 0.5])
    np.testing.assert_allclose(ds["gamma"].values[1], np.outer([1, 8, 256], np.array([16, 64, 1024.0]) ** -0.5))
    given = Figure().subplots()
    assert plot_web(ds, given) is given
    edges = [line for line in given.lines if line.get_label().startswith(r"$\gamma")]
    for s, line in zip((0, 0.5), edges, strict=True):
        np.testing.assert_allclose(line.get_ydata(), np.array([16, 64, 1024.0]) ** (1 - s))
    write_picture(np.array([plot_web(rg.family("mup").web())]), tmp_path / "web.png")
    assert (tmp_path / "web.png").stat().st_size > 10_000


def test_refusals(family):
    fixed = rg.family("mup").exponents().to_dataset()
    for call, said in (
        (lambda: plot_family(fixed), "no s"),
        (lambda: plot_family(family.web()), "to_dataset"),
        (lambda: plot_web(fixed), "web"),
        (lambda: plot_web(None), "web"),
    ):
        with pytest.raises(InputError, match=said):
            call()
