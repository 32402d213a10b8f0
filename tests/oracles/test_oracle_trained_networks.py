"""Trained finite networks: the code that trains them, a small seeded ensemble and the full record beside the theory."""

import importlib.util
import json
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import rgflow as rg
from oracles import trained_networks

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
specification = importlib.util.spec_from_file_location("trained_ensembles", BENCHMARKS / "trained_ensembles.py")
trained_ensembles = sys.modules["trained_ensembles"] = importlib.util.module_from_spec(specification)
specification.loader.exec_module(trained_ensembles)


def close(a, b, digits):
    return np.max(np.abs(np.subtract(a, b))) <= 10.0**-digits


def test_kernel_of_real_networks_is_what_a_step_does():
    """A step of size 1e-7 changes outputs by -eta H eps, up to 1e-7 of that; every output, every sample."""
    x = trained_networks.coordinates(np.random.default_rng(0).standard_normal((4, 9)))
    y = np.array([[1.0, -0.5], [-1.0, 1.0], [0.5, 1.0]])
    task = trained_networks.Training((4, 6, 5, 2), "tanh", 0.3, 1.4, 0.2, 0.7, x, y, 1e-7)
    batch = trained_networks.Batch(task, 3, np.random.default_rng(1))
    z, H, G = batch.kernel()
    at = trained_networks.Indices(task)
    batch.train_steps(1)
    moved = (batch.kernel()[0] - z) / 1e-7
    expected = -np.einsum("kij,kj->ki", H[:, :, at.train], z[:, at.train] - at.y)
    assert close(moved, expected, 4)
    assert np.abs(expected).max() > 1
    assert close(H, H.transpose(0, 2, 1), 12)
    assert close(G, G.transpose(0, 2, 1), 12)


def test_coordinates_keep_inner_products():
    x = np.random.default_rng(0).standard_normal((3, 20))
    few = trained_networks.coordinates(x)
    assert few.shape == (3, 3)
    assert close(few @ few.T / 3, x @ x.T / 20, 12)


def small():
    """Networks with one hidden layer, few enough for seconds."""
    return replace(trained_ensembles.FULL[0], trained=(3_000, 2_000), frozen=(15_000, 10_000), widths=(32, 64))


@cache
def small_record():
    return trained_ensembles.record(small())


def test_trained_networks_follow_the_theory():
    """Kernel part, representation part and both, of mean, variance and NTK: 1/n agrees, infinite width does not."""
    rows = trained_ensembles.compare(small(), small_record())
    assert trained_ensembles.family_p_value(rows) > 1e-3
    seen = {row.tensor: row.rejection for row in sorted(rows, key=lambda row: row.rejection)}
    for quantity in ("kernel mean", "kernel covariance", "representation mean", "representation covariance", "ntk"):
        assert seen[quantity] > 5, quantity


@pytest.mark.parametrize("part", ["kernel", "representation"])
@pytest.mark.parametrize("factor", [-1, 3])
def test_control_wrong_theories_leave_the_networks(part, factor):
    """Negative control: the same samples against a part of the wrong sign or three times its size."""
    theory = small().theory()
    for quantity in (f"{part} mean", f"{part} covariance"):
        infinite, shift = theory[quantity]
        theory[quantity] = (infinite, factor * shift)
    rows = [row for row in trained_ensembles.compare(small(), small_record(), theory) if row.tensor.startswith(part)]
    assert trained_ensembles.family_p_value(rows) < 1e-3


def kept():
    """Every ensemble of the full record, with its numbers and the theory that was kept beside them."""
    path = BENCHMARKS / "results" / "trained_ensembles.json"
    found = json.loads(path.read_text(encoding="utf-8"))["ensembles"]
    for ensemble in trained_ensembles.FULL:
        theory = {
            name: (np.array(term["infinite"]), np.array(term["shift"]))
            for name, term in found[ensemble.name]["theory"].items()
        }
        yield ensemble, found[ensemble.name]["measured"], theory


def test_full_record():
    """One amplitude for all widths, for every component; and what is predicted at infinite width is visibly not it."""
    rows = [
        row for ensemble, measured, theory in kept() for row in trained_ensembles.compare(ensemble, measured, theory)
    ]
    assert trained_ensembles.family_p_value(rows) > 1e-3
    assert min(row.rejection for row in rows if row.tensor == "total mean") > 10
    assert min(row.rejection for row in rows if row.tensor == "ntk") > 10


def test_full_record_is_beside_the_theory_of_today():
    for ensemble, _, theory in kept():
        if ensemble.hidden == 1:
            for name, (infinite, shift) in ensemble.theory().items():
                assert close(theory[name][0], infinite, 10)
                assert close(theory[name][1], shift, 10)


@pytest.mark.parametrize(
    "hidden", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)]
)
def test_full_record_is_beside_rg_trained(hidden):
    """The engine says what the record of trained networks is compared with."""
    ensemble, _, theory = next(entry for entry in kept() if entry[0].hidden == hidden)
    N = len(ensemble.y)
    ds = rg.trained(ensemble.network(10**6), (ensemble.x[:N], ensemble.y), ensemble.x[N:], learning_rate=ensemble.rate)
    learns = ds["part"].isin(["dNTK", "ddNTK I", "ddNTK II"])
    shifts = {"kernel": ~learns, "representation": learns, "total": learns | ~learns}
    for name, part in shifts.items():
        mean = 1e6 * ds["mean_shift_part"][part].sum("part").values[0]
        covariance = 1e6 * ds["covariance_shift_part"][part].sum("part").values[0, 0]
        assert close(mean, theory[f"{name} mean"][1], 8)
        assert close(covariance, theory[f"{name} covariance"][1], 8)
    assert close(ds["mean_infinite"].values[0], theory["total mean"][0], 9)


@pytest.mark.parametrize("part", ["kernel", "representation"])
@pytest.mark.parametrize("factor", [0.5, 2])
def test_control_wrong_theories_leave_the_record(part, factor):
    """Negative control: half or twice one part, in the totals alone, for each ensemble by itself."""
    for ensemble, measured, theory in kept():
        for quantity in ("mean", "covariance"):
            infinite, total = theory[f"total {quantity}"]
            _, shift = theory[f"{part} {quantity}"]
            theory[f"total {quantity}"] = (infinite, total + (factor - 1) * shift)
        rows = trained_ensembles.compare(ensemble, measured, theory)
        assert trained_ensembles.family_p_value([row for row in rows if row.tensor.startswith("total")]) < 1e-3
