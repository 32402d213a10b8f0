"""The gallery of docs/pictures.md: ``python docs/pictures.py [NAME ...]`` draws every picture into docs/pictures/.

One function for each function of rgflow.plots, of the same name without ``plot_``. Some minutes in all.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import rgflow as rg
from rgflow import plots

FOLDER = Path(__file__).with_name("pictures")
MOST = 60_000  # bytes of a picture


def flow() -> Any:
    net = rg.MLP.uniform(n_in=64, width=32, depth=24, activation="tanh")
    two = np.array([[1.0, 0.4], [0.4, 1.0]])
    sampled = rg.sample(net, first_kernel=two, networks=2000, seed=0, tensors=["K", "V", "Theta"])
    return plots.plot_flow(rg.flow(net, first_kernel=two), sampled)


def power_laws() -> Any:
    return plots.plot_power_laws(rg.criticality("tanh"))


def phase() -> Any:
    found = rg.criticality("gelu").point
    ds = rg.phase_diagram("gelu", C_W=np.linspace(0.5, 3, 100), C_b=np.linspace(0, 0.4, 80))
    return plots.plot_phase(ds, [(found.C_W, found.C_b, "critical point")])


def sweep() -> Any:
    net = rg.MLP.uniform(n_in=64, width=64, depth=50, activation="tanh")
    axes = {"C_W": np.linspace(0.5, 3, 80), "C_b": np.linspace(0, 0.3, 60)}
    return plots.plot_sweep(rg.sweep(net, first_kernel=1.0, tensors=["K", "V"], **axes), points=[(1, 0, "critical")])


def aspect() -> Any:
    found = rg.aspect_ratio("tanh", 10)
    return plots.plot_aspect(found, found.recommend(128))


def variation() -> Any:
    return plots.plot_variation({f"β = {b}": rg.variation("tanh", 100, beta_V=b, beta_a=b) for b in (0, 0.25, 0.5, 1)})


def variation_phases() -> Any:
    import sympy as sp

    x, y = sp.symbols("beta_W beta_a", nonnegative=True)
    grid = np.linspace(0, 2, 161)
    ds = rg.variation_phases("relu", beta_W=x, beta_b=x, beta_a=y).diagram("p", beta_W=grid, beta_a=grid)
    return plots.plot_variation_phases(ds, {"zig": [(0, 0), (2, 0)], "zag": [(2, 0), (2, 2)]})


def family() -> Any:
    import sympy as sp

    return plots.plot_family(rg.family("meta", s=sp.Symbol("s")).exponents(layers=3).to_dataset())


def web() -> Any:
    import sympy as sp

    return plots.plot_web(rg.family("meta", s=sp.Symbol("s")).web(s=[0, 0.5, 0.75]))


# Of measured models ---------------------------------------------------------------------------------------------------


def _net() -> Any:
    return rg.MLP.uniform(n_in=16, width=64, depth=12, n_out=10, activation="relu", C_W=2.0)


def _inputs(count: int) -> Any:
    return np.random.default_rng(0).normal(size=(count, 16))


def partial_jacobians() -> Any:
    return plots.plot_partial_jacobians(rg.nn.partial_jacobians(_net(), _inputs(1), networks=100, seed=0))


def activation_kernels() -> Any:
    return plots.plot_activation_kernels(rg.nn.activation_kernels(_net(), _inputs(2), networks=100, seed=0))


def tangent_kernel_spread() -> Any:
    net = rg.MLP.uniform(n_in=16, width=48, depth=4, n_out=4, activation="relu", C_W=2.0)
    return plots.plot_tangent_kernel_spread(rg.nn.tangent_kernel_spread(net, _inputs(2), networks=100, seed=0))


def width_check() -> Any:
    import torch

    def trained(width: int, seed: int) -> Any:
        model = rg.nn.build(rg.MLP([3, width, width, 3], "relu", C_W=2.0), seed=seed)
        return model, torch.optim.SGD(rg.nn.groups(model, 0.1))

    batch = (torch.eye(3), torch.arange(3))
    found = rg.nn.width_check(trained, batch, widths=[32, 64, 128, 256], runs=4, family="ntk", seed=0)
    return plots.plot_width_check(found)


def ranks() -> Any:
    return plots.plot_ranks(rg.nn.ranks(_net(), _inputs(40), networks=20, seed=0))


def tuned() -> Any:
    model = rg.nn.build(rg.MLP.uniform(n_in=16, width=64, depth=12, activation="relu"), seed=0)
    return plots.plot_tuned(rg.nn.tune(model, _inputs(64), seed=0, tolerance=0.1).table)


def _model() -> Any:
    import torch

    return rg.nn.build(rg.MLP([64, 60, 60, 10], "relu", C_W=2.0), seed=0, dtype=torch.float32)


def _trained(strength: float) -> Any:
    import torch

    model = _model()
    penalty = rg.nn.JacobianPenalty(strength, seed=0) if strength else None
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    rg.nn.fit(model, rg.nn.digits(), optimizer=optimizer, epochs=12, batch=50, penalty=penalty, progress=False)
    return model


def fluctuations() -> Any:
    import torch

    model = _model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2, weight_decay=0.1)
    lower = torch.optim.lr_scheduler.MultiStepLR(optimizer, [40], gamma=0.5)
    watched = {"monitors": [rg.nn.FluctuationMonitor(optimizer)], "schedulers": [lower]}
    about = {"epochs": 80, "batch": 100, "progress": False, **watched}
    return plots.plot_fluctuations(rg.nn.fit(model, rg.nn.digits(), optimizer=optimizer, **about))


def landscape() -> Any:
    import torch

    model = rg.nn.build(rg.MLP([64, 20, 10], "relu", C_W=2.0), seed=0, dtype=torch.float32)
    about = {"epochs": [40, 40, 50, 60], "batch": 100, "weight_decay": 0.1, "progress": False}
    return plots.plot_landscape(rg.nn.landscape(model, rg.nn.digits(), [0.4, 0.3, 0.2, 0.1], **about))


def robustness() -> Any:
    data = rg.nn.digits()
    about = {"attack": ["white_noise", "fgsm", "pgd"], "sizes": [0.0, 0.1, 0.2, 0.3, 0.5]}
    trained = {"plain": _trained(0.0), "Jacobian penalty": _trained(0.05)}
    return plots.plot_robustness(
        {label: rg.nn.robustness(model, data.X_test, data.y_test, **about) for label, model in trained.items()}
    )


def decision_cells() -> Any:
    return plots.plot_decision_cells(
        rg.nn.decision_cells(_trained(0.0), rg.nn.digits().X_test[[0, 7, 12]], resolution=120)
    )


def transfer() -> Any:
    """The runs of benchmarks/learning_rate_transfer.py."""
    import json

    import xarray

    rows = json.loads((FOLDER.parents[1] / "benchmarks/results/learning_rate_transfer.json").read_text())["rows"]
    dims = {"family": ["standard", "mup"], "width": [64, 128, 256, 512], "log2_rate": None, "seed": None}
    dims = {name: known or sorted({row[name] for row in rows}) for name, known in dims.items()}
    loss = np.full([len(values) for values in dims.values()], np.inf)
    for row in rows:
        if row["family"] in dims["family"] and row["train_loss"] is not None:
            loss[tuple(values.index(row[name]) for name, values in dims.items())] = row["train_loss"]
    runs = xarray.Dataset({"loss": (list(dims), loss)}, dims).rename(log2_rate="rate")
    runs = runs.assign_coords(rate=2.0 ** runs["rate"])
    return plots.plot_transfer(runs, label="learning rate at width 64")


DRAWN: dict[str, Callable[[], Any]] = {
    name.removeprefix("plot_"): globals()[name.removeprefix("plot_")]
    for name in plots.__all__
    if name.startswith("plot_")
}


def _fewer_colours(path: Path) -> None:
    """A picture of lines needs no more than a palette."""
    from PIL import Image

    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(96)
    small.save(path, optimize=True)


def main(names: list[str]) -> None:
    """Draw some, or all: as .svg, or where that is longer as .png."""
    FOLDER.mkdir(exist_ok=True)
    for name in names or DRAWN:
        drawn = DRAWN[name]()
        for old in FOLDER.glob(f"{name}.*"):
            old.unlink()
        path = FOLDER / f"{name}.svg"
        plots.write_picture(drawn, path, dpi=80)
        if path.stat().st_size > MOST:
            path.unlink()
            path = path.with_suffix(".png")
            plots.write_picture(drawn, path, dpi=80)
            _fewer_colours(path)
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
