"""Pictures of measurements draw what the Datasets hold and refuse wrong ones; all measurements keep on disk."""

import numpy as np
import pytest
import torch
import xarray
from matplotlib.figure import Figure

import rgflow as rg
from rgflow.errors import InputError
from rgflow.nn import (
    activation_kernels,
    build,
    groups,
    partial_jacobians,
    ranks,
    tangent_kernel_spread,
    tune,
    width_check,
)
from rgflow.plots import probes

NET = rg.MLP([4, 12, 12, 6], "relu", C_W=2.0)
X = np.random.default_rng(0).normal(size=(2, 4))


def trained(width, seed):
    model = build(rg.MLP([3, width, 3], "relu"), seed=seed)
    return model, torch.optim.SGD(groups(model, 0.1))


def drawn():
    yield probes.plot_partial_jacobians, partial_jacobians(NET, X[:1], networks=5, seed=0)
    yield probes.plot_activation_kernels, activation_kernels(NET, X, networks=5, seed=0)
    yield probes.plot_activation_kernels, activation_kernels(NET, X[:1], networks=5, seed=0)
    yield probes.plot_tangent_kernel_spread, tangent_kernel_spread(NET, X, networks=5, seed=0)
    check = width_check(trained, (torch.eye(3), torch.arange(3)), widths=[8, 16], runs=2, family="ntk", seed=0)
    yield probes.plot_width_check, check
    yield probes.plot_ranks, ranks(NET, X, networks=3, seed=0)
    yield probes.plot_tuned, tune(build(NET, seed=0), X, seed=0, tolerance=1.0).table


def test_pictures(tmp_path):
    made = list(drawn())
    for number, (plot, ds) in enumerate(made):
        own = plot(ds)
        if number in (0, 4):
            own.figure.savefig(tmp_path / f"{number}.png", dpi=40)
        given = Figure().subplots()
        assert plot(ds, ax=given) is given
        assert given.get_legend() is not None
        with pytest.raises(InputError, match="draws what"):
            plot(made[(number + 3) % len(made)][1])
    for number in (0, 3, 4, 6):
        rg.save(made[number][1], tmp_path / "x.nc")
        xarray.testing.assert_identical(rg.load(tmp_path / "x.nc"), made[number][1])
    J = made[0][1]
    ax = probes.plot_partial_jacobians(J)
    assert any(np.array_equal(line.get_ydata(), J["J_theory"].values) for line in ax.lines)
    check = made[4][1]
    with pytest.raises(InputError, match="quantity"):
        probes.plot_width_check(check, "size of it")
    with pytest.raises(InputError, match="step"):
        probes.plot_width_check(check, step=9)
    bare = tangent_kernel_spread(lambda seed: torch.nn.Linear(4, 2), X, networks=3, seed=0)
    with pytest.raises(InputError, match="no theory"):
        probes.plot_tangent_kernel_spread(bare)
