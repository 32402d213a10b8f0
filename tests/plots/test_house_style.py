"""One house style: where to draw, what is returned, what is left as it was, files that are the same each time."""

from __future__ import annotations

import gc
import importlib.util
import inspect
import re
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import xarray
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import rgflow as rg
from rgflow import plots
from rgflow.plots.style import BEYOND

DOCS = Path(__file__).parents[2] / "docs"
NET = rg.MLP.uniform(n_in=8, width=8, depth=4, activation="tanh")
RELU = rg.MLP([4, 8, 8, 4], "relu", C_W=2.0)
X = np.random.default_rng(0).normal(size=(2, 4))


def data(name: str) -> tuple[Any, ...]:
    """What a function draws, as small as it can be."""
    return {
        "flow": _flow,
        "power_laws": lambda: (rg.criticality("relu"), 20),
        "phase": lambda: (rg.phase_diagram("tanh", C_W=np.linspace(0.5, 2, 4), C_b=np.linspace(0, 0.2, 3)),),
        "sweep": lambda: (rg.sweep(NET, first_kernel=1.0, C_W=[1.0, 2.0, 3.0], C_b=[0.0, 0.1], tensors=["K", "V"]),),
        "aspect": lambda: (rg.aspect_ratio("relu", 2), rg.aspect_ratio("relu", 2).recommend(32)),
        "variation": lambda: (rg.variation("tanh", 5),),
        "variation_phases": _diagram,
        "family": lambda: (_meta().exponents(layers=2).to_dataset(),),
        "web": lambda: (_meta().web(n=[16, 64], L=[1, 8], s=[0, 0.5]),),
        "transfer": _runs,
        "partial_jacobians": lambda: (rg.nn.partial_jacobians(RELU, X[:1], networks=4, seed=0),),
        "activation_kernels": lambda: (rg.nn.activation_kernels(RELU, X, networks=4, seed=0),),
        "tangent_kernel_spread": lambda: (rg.nn.tangent_kernel_spread(RELU, X, networks=4, seed=0),),
        "width_check": _widths,
        "ranks": lambda: (rg.nn.ranks(RELU, X, networks=3, seed=0),),
        "tuned": lambda: (rg.nn.tune(rg.nn.build(RELU, seed=0), X, seed=0, tolerance=1.0).table,),
        "fluctuations": _history,
        "landscape": _surface,
        "robustness": _attacked,
        "decision_cells": _cells,
    }[name]()


@cache
def given(name: str) -> tuple[Any, ...]:
    return data(name)


def _flow() -> tuple[Any, ...]:
    mc = rg.sample(NET, first_kernel=1.0, networks=100, seed=0)
    return rg.flow(NET, first_kernel=1.0), mc


def _meta() -> Any:
    import sympy as sp

    return rg.family("meta", s=sp.Symbol("s"))


def _diagram() -> tuple[Any, ...]:
    import sympy as sp

    x, y = sp.symbols("beta_W beta_a", nonnegative=True)
    grid = np.linspace(0, 2, 5)
    return (rg.variation_phases("relu", beta_W=x, beta_b=x, beta_a=y).diagram("p", beta_W=grid, beta_a=grid),)


def _runs() -> tuple[Any, ...]:
    rates = 2.0 ** np.arange(-4, 1)
    loss = np.exp(np.log(rates / 0.25) ** 2)[None, None, :, None] * np.array([1.0, 1.1])
    coords = {"family": ["a", "b"], "width": [8, 64], "rate": rates, "seed": [0, 1]}
    return (xarray.Dataset({"loss": (tuple(coords), np.broadcast_to(loss, (2, 2, 5, 2)).copy())}, coords),)


def _widths() -> tuple[Any, ...]:
    import torch

    def factory(width: int, seed: int) -> Any:
        model = rg.nn.build(rg.MLP([3, width, 3], "relu"), seed=seed)
        return model, torch.optim.SGD(rg.nn.groups(model, 0.1))

    return (rg.nn.width_check(factory, (torch.eye(3), torch.arange(3)), widths=[8, 16], runs=2, family="ntk", seed=0),)


def _model() -> Any:
    return rg.nn.build(rg.MLP([2, 8, 3], "relu", C_W=2.0), seed=0)


def _three() -> Any:
    import torch

    x = torch.tensor(np.random.default_rng(1).normal(size=(30, 2)))
    return rg.nn.Data(x, torch.arange(30) % 3, x[:6], torch.arange(6) % 3, 3)


def _history() -> tuple[Any, ...]:
    import torch

    model = _model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    watched = {"monitors": [rg.nn.FluctuationMonitor(optimizer)], "progress": False}
    return (rg.nn.fit(model, _three(), optimizer=optimizer, epochs=3, batch=5, **watched),)


def _surface() -> tuple[Any, ...]:
    return (rg.nn.landscape(_model(), _three(), [0.1, 0.05], epochs=3, batch=5, progress=False),)


def _attacked() -> tuple[Any, ...]:
    return (rg.nn.robustness(_model(), _three().X_test, _three().y_test, ["fgsm"], sizes=[0.0, 0.1]),)


def _cells() -> tuple[Any, ...]:
    return (rg.nn.decision_cells(_model(), _three().X_test[:3], resolution=6),)


FUNCTIONS = {name.removeprefix("plot_"): getattr(plots, name) for name in plots.__all__ if name.startswith("plot_")}
ONE = {name for name, draw in FUNCTIONS.items() if inspect.signature(draw).return_annotation == "Axes"}


# Where to draw --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_takes_ax_and_returns_it(name):
    """Nothing: a new figure. A part of a figure: panels within it. Axes: these. Anything else is refused."""
    draw = FUNCTIONS[name]
    assert inspect.signature(draw).parameters["ax"].default is None
    before, loaded = dict(matplotlib.rcParams), "matplotlib.pyplot" in sys.modules
    own = draw(*given(name))
    assert isinstance(own, Axes) == (name in ONE)
    drawn = np.asarray(own, dtype=object).reshape(-1)
    assert all(isinstance(ax, Axes) for ax in drawn)
    left, _ = Figure(figsize=(12, 5), layout="constrained").subfigures(1, 2)
    inside = np.asarray(draw(*given(name), ax=left), dtype=object).reshape(-1)
    assert len(inside) == len(drawn)
    assert {id(ax) for ax in inside} <= {id(ax) for ax in left.axes}
    axes = Figure().subplots(1, len(drawn), squeeze=False)[0]
    if name == "flow":
        axes = Figure().subplots(*own.shape)
    back = draw(*given(name), ax=axes[0] if name in ONE else axes)
    assert [id(ax) for ax in np.ravel(back)] == [id(ax) for ax in np.ravel(axes)]
    for wrong in ("here", Figure().subplots(1, len(drawn) + 1), []):
        with pytest.raises(rg.InputError, match="ax "):
            draw(*given(name), ax=wrong)
    assert dict(matplotlib.rcParams) == before
    assert ("matplotlib.pyplot" in sys.modules) == loaded


def test_every_function_of_one_panel_says_so():
    assert {"phase", "variation_phases", "family"} <= ONE
    assert not {"flow", "sweep", "aspect"} & ONE


SAMPLED = (
    "flow", "partial_jacobians", "activation_kernels", "tangent_kernel_spread", "ranks", "tuned", "landscape",
    "robustness",
)  # fmt: skip


@pytest.mark.parametrize("name", SAMPLED)
def test_what_is_sampled_has_bars(name):
    drawn = np.asarray(FUNCTIONS[name](*given(name)), dtype=object).reshape(-1)
    assert any(each.has_yerr for ax in drawn for each in ax.containers)


@pytest.mark.parametrize("name", ["transfer", "fluctuations"])
def test_what_is_sampled_has_bands(name):
    drawn = np.asarray(FUNCTIONS[name](*given(name)), dtype=object).reshape(-1)
    assert any("FillBetween" in type(each).__name__ or each.get_facecolor().size for each in drawn[0].collections)


def hatched(drawn: Any) -> bool:
    return any(patch.get_hatch() == BEYOND["hatch"] for ax in np.ravel(drawn) for patch in ax.patches)


def test_where_the_expansion_ends_is_shaded():
    """Flows at order 1 that are too deep, by layer and over an axis, measurements beside their theory; a control."""
    deep = rg.MLP.uniform(n_in=8, width=8, depth=12, activation="relu", C_W=2.0)
    assert hatched(plots.plot_flow(rg.flow(deep, first_kernel=1.0)))
    assert hatched(plots.plot_sweep(rg.sweep(deep, first_kernel=1.0, depth=[2, 6, 12])))
    assert hatched(plots.plot_partial_jacobians(rg.nn.partial_jacobians(deep, X.repeat(2, 1)[:1], networks=2, seed=0)))
    assert hatched(plots.plot_activation_kernels(rg.nn.activation_kernels(deep, X.repeat(2, 1), networks=2, seed=0)))
    assert not hatched(plots.plot_flow(rg.flow(NET, first_kernel=1.0)))


# What is left behind --------------------------------------------------------------------------------------------------


def test_figures_are_not_kept():
    axes = plots.plot_flow(*given("flow"))
    figure = weakref.ref(axes[0, 0].figure)
    assert figure() is not None
    del axes
    gc.collect()
    assert figure() is None


def test_settings_survive_many_threads(tmp_path):
    """Settings of matplotlib are the process's: pictures wait for each other."""
    before = dict(matplotlib.rcParams)

    def draw(number: int) -> None:
        plots.write_picture(plots.plot_family(*given("family")), tmp_path / f"{number}.svg")

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(draw, range(4)))
    assert dict(matplotlib.rcParams) == before
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_settings_of_the_user_stay_out_of_our_figures(tmp_path):
    plain, dark = tmp_path / "plain.svg", tmp_path / "dark.svg"
    plots.write_picture(plots.plot_family(*given("family")), plain)
    with matplotlib.rc_context({"text.color": "white", "axes.facecolor": "black", "font.family": ["monospace"]}):
        plots.write_picture(plots.plot_family(*given("family")), dark)
    assert plain.read_bytes() == dark.read_bytes()


# Files ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["png", "svg", pytest.param("pdf", marks=pytest.mark.slow)])
def test_the_same_picture_is_the_same_file(tmp_path, ending):
    for number in (1, 2):
        plots.write_picture(plots.plot_web(*given("web")), tmp_path / f"{number}.{ending}")
    one, two = ((tmp_path / f"{number}.{ending}").read_bytes() for number in (1, 2))
    assert one == two == plots.picture_bytes(plots.plot_web(*given("web")), ending)
    assert len(one) > 5000
    assert b"Date" not in one


def test_control_another_picture_is_another_file(tmp_path):
    for number, s in ((1, [0, 0.5]), (2, [0, 0.6])):
        plots.write_picture(plots.plot_web(_meta().web(n=[16, 64], L=[1, 8], s=s)), tmp_path / f"{number}.svg")
    assert (tmp_path / "1.svg").read_bytes() != (tmp_path / "2.svg").read_bytes()


def test_text_of_an_svg_is_text(tmp_path):
    plots.write_picture(plots.plot_flow(*given("flow")), tmp_path / "x.svg")
    drawn = words(tmp_path / "x.svg")
    assert "layer ℓ" in drawn
    assert "tanh, width 8, 4 layers, one input, 100 sampled networks" in drawn
    assert {"K", "V", "Θ", "0.2"} <= set(drawn)


@pytest.mark.parametrize("what", ["ax", "axes", "figure", "part"])
def test_whatever_was_drawn_in_can_be_written(tmp_path, what):
    figure = Figure()
    part = figure.subfigures(1, 1)
    ax = part.subplots()
    plots.write_picture({"ax": ax, "axes": np.array([ax]), "figure": figure, "part": part}[what], tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 500


@pytest.mark.parametrize("wrong", [None, 3, [], np.zeros(2)], ids=repr)
def test_what_is_no_picture_is_not_written(tmp_path, wrong):
    with pytest.raises(rg.InputError, match="picture"):
        plots.write_picture(wrong, tmp_path / "x.png")
    with pytest.raises(rg.InputError, match="kind"):
        plots.picture_bytes(Figure().subplots(), "jpg")
    assert not list(tmp_path.iterdir())


# The gallery ----------------------------------------------------------------------------------------------------------


def words(path: Path) -> list[str]:
    """The text of an .svg, run by run."""
    runs = re.findall(r"<(?:text|tspan)[^>]*>([^<]+)(?=<)", path.read_text(encoding="utf-8"))
    return [text.strip() for text in runs if text.strip()]


def test_the_gallery_shows_every_function():
    page = (DOCS / "pictures.md").read_text(encoding="utf-8")
    shown = {path.stem: path for path in (DOCS / "pictures").iterdir()}
    assert set(shown) == set(FUNCTIONS)
    for name, path in shown.items():
        assert path.stat().st_size < 60_000
        assert f"(pictures/{path.name})" in page
        assert f"**`plot_{name}`**" in page


@pytest.mark.parametrize("name", ["family", "variation"])
def test_the_gallery_is_drawn_as_now(name, tmp_path):
    """Loosely: fonts and digits differ between versions, names and labels do not."""
    spec = importlib.util.spec_from_file_location("gallery", DOCS / "pictures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    plots.write_picture(module.DRAWN[name](), tmp_path / "x.svg")
    now, then = ({text for text in words(path) if re.search("[^ -~]|[a-z]{3}", text)} for path in (
        tmp_path / "x.svg", DOCS / "pictures" / f"{name}.svg"
    ))  # fmt: skip
    assert now == then
    assert len(now) >= 3
