"""Pictures show what the Datasets hold, and refuse what does not belong together."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure

import rgflow as rg
from rgflow.components import distinct, families, representatives, unit, unit_tex, unit_text
from rgflow.plots import plot_flow, write_picture
from rgflow.plots.style import COLOURS

NET = rg.MLP.uniform(n_in=16, width=16, depth=4, activation="tanh")
TWO = np.array([[1.0, 0.4], [0.4, 1.0]])


@pytest.fixture(scope="module")
def one():
    return rg.flow(NET, first_kernel=1.0)


@pytest.fixture(scope="module")
def two():
    return rg.flow(NET, first_kernel=TWO)


@pytest.fixture(scope="module")
def sampled():
    return rg.sample(NET, first_kernel=1.0, networks=200, seed=0)


def lines(ax, style):
    return [line for line in ax.lines if (line.get_linestyle() == style) and len(line.get_xdata()) > 1]


def test_lines_are_leading_order_and_total(one):
    axes = plot_flow(one)
    assert axes.shape == (2, 3)
    panel = axes[0, list(one["letter"].values).index("K")]
    dashed, solid = lines(panel, "--"), lines(panel, "-")
    np.testing.assert_array_equal(dashed[0].get_ydata(), one["K"].values)
    np.testing.assert_array_equal(solid[0].get_ydata(), rg.total(one)["K"].values)
    assert panel.get_ylabel() == "$K$"


def test_four_point_tensors_are_measured_in_the_kernel(one):
    axes = plot_flow(one)
    panel = axes[0, [ax.get_ylabel().startswith("$V") for ax in axes[0]].index(True)]
    expected = (rg.total(one)["V"] / (one["fan_in"] * one["K"] ** 2)).values[1:]
    np.testing.assert_allclose(lines(panel, "-")[0].get_ydata(), expected, rtol=1e-14)


def test_points_carry_two_standard_errors(one, sampled):
    panel = plot_flow(one, sampled)[0, 0]
    (bars,) = panel.containers
    points, _, (segments,) = bars.lines
    np.testing.assert_allclose(points.get_ydata(), sampled["K"].values[1:])
    heights = [path[1, 1] - path[0, 1] for path in segments.get_segments()]
    np.testing.assert_allclose(heights, 4 * sampled["K_se"].values[1:])


def test_several_inputs_show_diagonal_and_off_diagonal_components(two):
    panel = plot_flow(two)[0, 0]
    labels = [
        text.get_text()
        for legend in panel.get_children()
        if hasattr(legend, "get_texts")
        for text in legend.get_texts()
    ]
    assert labels == ["$K_{11} = K_{22}$", "$K_{12}$"]
    assert [line.get_color() for line in lines(panel, "-")] == list(COLOURS[:2])


def test_the_layers_beyond_trust_are_marked():
    deep = rg.flow(rg.MLP.uniform(n_in=8, width=8, depth=12, activation="relu", C_W=2.0), first_kernel=1.0)
    marked = [patch for patch in plot_flow(deep)[0, 0].patches if patch.get_hatch()]
    assert [patch.get_x() for patch in marked] == [int(deep["trusted_layers"][0]) + 0.5]
    assert not [patch for patch in plot_flow(rg.flow(NET, first_kernel=1.0))[0, 0].patches if patch.get_hatch()]


def test_totals_alone_and_order_0(one):
    assert plot_flow(rg.total(one)).shape == (3,)
    assert plot_flow(rg.flow(NET, first_kernel=1.0, tensors=["K", "Theta"], order=0)).shape == (2,)


def test_takes_axes_and_returns_them(one):
    figure = Figure()
    given = figure.subplots(1, 3)
    assert plot_flow(one, ax=given).tolist() == given.tolist()
    given = Figure().subplots(2, 3)
    assert plot_flow(one, ax=given).shape == (2, 3)
    alone = rg.flow(NET, first_kernel=1.0, tensors="K")
    assert plot_flow(alone, ax=Figure().subplots()).size == 1
    with pytest.raises(rg.InputError, match="3 letters"):
        plot_flow(one, ax=Figure().subplots(1, 2))


def test_many_letters_make_several_rows():
    wide = rg.flow(NET, first_kernel=1.0, tensors=["K", "Theta", "V", "A", "B", "D", "F"])
    axes = plot_flow(wide)
    assert axes.shape == (2, 7)
    assert len({round(ax.get_subplotspec().rowspan.start) for ax in axes.flat}) == 4


def test_refuses_what_does_not_belong_together(one, two, sampled):
    with pytest.raises(rg.InputError, match="totals"):
        plot_flow(one, one)
    with pytest.raises(rg.InputError, match="ds holds 2 inputs and mc 1"):
        plot_flow(two, sampled)
    other = rg.flow(rg.MLP.uniform(n_in=16, width=32, depth=4, activation="tanh"), first_kernel=1.0)
    with pytest.raises(rg.InputError, match="different networks"):
        plot_flow(other, sampled)
    with pytest.raises(rg.InputError, match="plot_flow takes"):
        plot_flow(one.assign_attrs(kind="something"))
    with pytest.raises(rg.InputError, match="K_1"):
        plot_flow(rg.flow(NET, first_kernel=1.0, tensors=["K_1"]))


def test_refuses_other_inputs_that_look_the_same(two):
    """Same network, same number of inputs: layer 1, exact in both, tells them apart."""
    for name in ("K", "Theta"):
        ds = rg.flow(NET, first_kernel=1.0, tensors=name)
        mc = rg.sample(NET, first_kernel=1.0 + 1e-9, tensors=["Theta", name], networks=100, seed=0)
        with pytest.raises(rg.InputError, match=f"different inputs: {name} of layer 1"):
            plot_flow(ds, mc)
    other = rg.total(rg.flow(NET, first_kernel=[[1.0, 0.5], [0.5, 1.0]]))
    with pytest.raises(rg.InputError, match="different inputs"):
        plot_flow(two, other)


@pytest.mark.parametrize("C_b", [0.0, 0.3])
def test_inputs_and_their_kernel_are_the_same_to_rounding(C_b):
    """Control: the two ways to the same layer 1, a sum of n_0 products and a kernel, are not refused."""
    net = rg.MLP.uniform(n_in=50, width=8, depth=2, activation="tanh", C_b=C_b, C_W=0.7)
    x = np.random.default_rng(0).normal(size=(2, 50))
    kernel = C_b + 0.7 * np.einsum("ai,bi->ab", x, x) / 50
    ds = rg.flow(net, x)
    for first_kernel in (kernel, np.nextafter(kernel, 2)):
        mc = rg.sample(net, first_kernel=first_kernel, tensors=["K", "Theta"], networks=100, seed=0)
        assert plot_flow(ds, mc).size


def test_networks_are_compared_as_networks(one, sampled):
    """Not by the text of a formula; without the network's description, by what the arrays tell."""
    bare = {name: value for name, value in sampled.attrs.items() if name != "network"}
    assert plot_flow(one, sampled.assign_attrs(activation="the same, written otherwise")).size
    alone = sampled.copy()
    alone.attrs = bare
    assert plot_flow(one, alone).size
    with pytest.raises(rg.InputError, match="different networks"):
        plot_flow(one, alone.assign_coords(C_W=2 * alone["C_W"]))


def test_one_layer_and_zero_inputs_can_be_drawn(tmp_path):
    shallow = rg.MLP([3, 5], "tanh")
    write_picture(plot_flow(rg.flow(shallow, first_kernel=1.0)), tmp_path / "shallow.png")
    write_picture(plot_flow(rg.flow(NET, first_kernel=0.0)), tmp_path / "zero.png")


def test_no_global_state(one):
    import matplotlib

    before = dict(matplotlib.rcParams)
    loaded = "matplotlib.pyplot" in sys.modules
    plot_flow(one)
    assert dict(matplotlib.rcParams) == before
    assert ("matplotlib.pyplot" in sys.modules) == loaded


def test_picture_files(one, tmp_path):
    axes = plot_flow(one)
    with pytest.raises(rg.InputError, match=r"\.png, \.svg or \.pdf"):
        write_picture(axes, tmp_path / "flow.jpg")
    with pytest.raises(rg.StoreError, match="cannot write"):
        write_picture(axes, tmp_path / "missing" / "flow.png")


def test_a_failed_write_leaves_what_stood_there(one, tmp_path, monkeypatch):
    path = tmp_path / "flow.png"
    path.write_bytes(b"before")

    def full(*paths: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full)
        with pytest.raises(rg.StoreError, match="No space left"):
            write_picture(plot_flow(one), path)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]
    write_picture(plot_flow(one), path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert list(tmp_path.iterdir()) == [path]


def test_families_and_groups(two):
    found = {letter: [t.name for t in family] for letter, family in families(two).items()}
    assert found == {"K": ["K", "K_1"], "V": ["V"], "Theta": ["Theta", "Theta_1"]}
    assert {letter: [t.name for t in family] for letter, family in families(rg.total(two)).items()} == {
        letter: [letter] for letter in found
    }
    assert distinct(two, families(two)["K"]) == [[(0, 0), (1, 1)], [(0, 1)]]
    uneven = rg.flow(NET, first_kernel=[[1.0, 0.4], [0.4, 1.0 + 1e-4]])
    assert distinct(uneven, families(uneven)["K"]) == [[(0, 0)], [(1, 1)], [(0, 1)]]


def test_units_in_letters():
    for letter, text, tex in (
        ("V", "nK^2", r"n\,K^{2}"),
        ("A", "nΘ^2", r"n\,\Theta^{2}"),
        ("V6", "n^2K^3", r"n^{2}\,K^{3}"),
    ):
        assert unit_text(rg.Tensor.named(letter)) == text
        assert unit_tex(rg.Tensor.named(letter)) == tex


def test_every_letter_can_be_drawn(tmp_path):
    """Matplotlib reads the names and units of all of them, jets included."""
    letters = ["P", "R", "V6", "1 2|3 4|5e 6e"]
    net = rg.MLP.uniform(n_in=8, width=8, depth=3, activation="tanh")
    ds = rg.flow(net, first_kernel=TWO, tensors=["K", "Theta", *letters], order=2)
    axes = plot_flow(ds)
    labels = [ax.get_ylabel() for ax in axes[0]]
    assert r"$P\,/\,(n\,\Theta^{2})$" in labels
    assert any(label.startswith("$V_{6}") for label in labels)
    write_picture(axes, tmp_path / "letters.svg")


def test_representatives_are_different_components():
    for letter in ("V", "A", "B", "D", "F", "P", "R", "V6"):
        tensor = rg.Tensor.named(letter)
        chosen = representatives(tensor, 2)
        orbits = [{tuple(c[i] for i in order) for order in tensor.symmetries} for c in chosen]
        assert all(not a & b for i, a in enumerate(orbits) for b in orbits[:i])


def test_scale_is_the_size_of_the_tensor(one):
    """Independent of units: learning rates rescaled, tensor / scale stays what it was, for a linear network."""
    ratios = []
    for C_W, rate in ((1.0, 1.0), (1.0, 7.0)):
        net = rg.MLP.uniform(n_in=8, width=8, depth=3, activation="linear", C_W=C_W, lambda_W=rate, lambda_b=0.0)
        ds = rg.flow(net, first_kernel=1.0, tensors=["K", "Theta", "V", "A", "B", "D", "F", "P"])
        ratios.append([ds[x].values[-1] / unit(ds, rg.Tensor.named(x), ())[-1] for x in ("V", "A", "B", "D", "F")])
    np.testing.assert_allclose(ratios[0], ratios[1], rtol=1e-12)


def test_what_is_no_result_is_not_drawn():
    from rgflow.plots import plot_phase

    for draw in (plot_flow, plot_phase):
        for wrong in (None, 3, {}):
            with pytest.raises(rg.InputError):
                draw(wrong)
