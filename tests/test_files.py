"""Results on disk: whole round trips, clear errors, nothing lost."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import rgflow as rg

NET = rg.MLP([3, 20, 30], "z*tanh(z)", C_b=[0.1, 1 / 3])


@pytest.fixture
def ds():
    return rg.flow(NET, [[1.0, 0.2, 0.1], [0.0, 1.0, 0.3]], tensors=["K", "V", "1 2|3e 4e"])


def test_round_trip(ds, tmp_path):
    path = tmp_path / "flow.nc"
    rg.save(ds, path)
    found = rg.load(str(path))
    xr.testing.assert_identical(found, ds)
    assert rg.MLP.from_json(found.attrs["network"]) == NET
    assert [p.name for p in tmp_path.iterdir()] == ["flow.nc"]


@pytest.mark.parametrize("path", [5, None, b"flow.nc", ["flow.nc"], True])
def test_what_is_no_path(ds, path):
    for call in (lambda: rg.save(ds, path), lambda: rg.load(path)):
        with pytest.raises(rg.InputError, match="path is"):
            call()


def test_totals_round_trip(ds, tmp_path):
    rg.save(rg.total(ds), tmp_path / "total.nc")
    xr.testing.assert_identical(rg.load(tmp_path / "total.nc"), rg.total(ds))


@pytest.mark.parametrize("ending", ["nc", "zarr"])
@pytest.mark.parametrize("seed", [7, np.random.SeedSequence(7).spawn(2)[1]])
def test_samples_round_trip(ending, seed, tmp_path):
    mc = rg.sample(NET, [[1.0, 0.2, 0.1], [0.0, 1.0, 0.3]], tensors=["K", "Theta", "V"], networks=100, seed=seed)
    rg.save(mc, tmp_path / f"mc.{ending}")
    found = rg.load(tmp_path / f"mc.{ending}")
    xr.testing.assert_identical(found, mc)
    assert rg.MLP.from_json(found.attrs["network"]) == NET


def test_zarr(ds, tmp_path):
    for result in (ds, rg.total(ds)):  # the second over an existing one
        rg.save(result, tmp_path / "flow.zarr")
        xr.testing.assert_identical(rg.load(tmp_path / "flow.zarr"), result)
        assert [p.name for p in tmp_path.iterdir()] == ["flow.zarr"]


def broken_replace(monkeypatch, target, fails):
    """os.replace, except that the calls onto ``target`` whose number is in ``fails`` find a full disk."""
    replace, calls = os.replace, []

    def sometimes(source, destination):
        if Path(destination) == target:
            calls.append(source)
            if len(calls) in fails:
                raise OSError(28, "No space left on device")
        replace(source, destination)

    monkeypatch.setattr(os, "replace", sometimes)


def test_a_failed_replacement_brings_the_old_store_back(ds, tmp_path, monkeypatch):
    path = tmp_path / "flow.zarr"
    rg.save(ds, path)
    broken_replace(monkeypatch, path, fails={1})
    with pytest.raises(rg.StoreError, match="unchanged"):
        rg.save(rg.total(ds), path)
    xr.testing.assert_identical(rg.load(path), ds)
    assert [p.name for p in tmp_path.iterdir()] == ["flow.zarr"]


def test_an_old_store_that_cannot_go_back_is_kept_and_named(ds, tmp_path, monkeypatch):
    path = tmp_path / "flow.zarr"
    rg.save(ds, path)
    broken_replace(monkeypatch, path, fails={1, 2})
    with pytest.raises(rg.StoreError, match="is kept as") as caught:
        rg.save(rg.total(ds), path)
    kept = Path(str(caught.value).split("is kept as ")[1])
    xr.testing.assert_identical(xr.open_zarr(kept, consolidated=False).load(), ds)


def test_other_endings(ds, tmp_path):
    for name in ("flow", "flow.pkl", "flow.csv"):
        with pytest.raises(rg.InputError, match=r"\.nc"):
            rg.save(ds, tmp_path / name)
        with pytest.raises(rg.InputError, match=r"\.nc"):
            rg.load(tmp_path / name)


def test_foreign_datasets_are_refused(ds, tmp_path):
    with pytest.raises(rg.InputError):
        rg.save(xr.Dataset({"a": 1}), tmp_path / "a.nc")
    with pytest.raises(rg.InputError):
        rg.save({"K": np.ones(3)}, tmp_path / "a.nc")
    xr.Dataset({"a": 1}).to_netcdf(tmp_path / "foreign.nc", engine="h5netcdf")
    with pytest.raises(rg.StoreError, match="not a result"):
        rg.load(tmp_path / "foreign.nc")


@pytest.mark.parametrize(
    "network", [None, "", "{}", "[]", "[" * 100_000, json.dumps({"kind": "CNN"}), "unknown", "code"]
)
def test_save_demands_what_load_demands(network, ds, tmp_path):
    """Datasets with a kind but without a network that can be read."""
    del ds.attrs["network"]
    if network == "unknown":
        network = NET.to_json().replace("z*tanh(z)", "tahn")
    elif network == "code":
        network = NET.to_json().replace("z*tanh(z)", "().__class__")
    if network is not None:
        ds.attrs["network"] = network
    with pytest.raises(rg.InputError, match="network"):
        rg.save(ds, tmp_path / "flow.nc")
    assert not list(tmp_path.iterdir())
    ds.to_netcdf(tmp_path / "flow.nc", engine="h5netcdf")
    with pytest.raises(rg.StoreError, match="network"):
        rg.load(tmp_path / "flow.nc")


def test_missing_truncated_and_empty_files(ds, tmp_path):
    path = tmp_path / "flow.nc"
    with pytest.raises(rg.StoreError, match="does not exist"):
        rg.load(path)
    rg.save(ds, path)
    whole = path.read_bytes()
    for size in (0, 7, len(whole) // 3, len(whole) - 200):
        path.write_bytes(whole[:size])
        with pytest.raises(rg.StoreError, match="cannot be read"):
            rg.load(path)


def test_a_failed_write_leaves_what_stood_there(ds, tmp_path, monkeypatch):
    path = tmp_path / "flow.nc"
    rg.save(ds, path)
    before = path.read_bytes()

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(xr.Dataset, "to_netcdf", full)
    with pytest.raises(rg.StoreError, match="No space left"):
        rg.save(ds, path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["flow.nc"]
    with pytest.raises(rg.StoreError):
        rg.save(ds, tmp_path / "nowhere" / "flow.nc")


@pytest.mark.parametrize("ending", ["nc", "zarr"])
def test_a_transformer_comes_back(tmp_path, ending):
    net = rg.Transformer(width=8, heads=2, blocks=1, n_in=3, positions=2)
    ds = rg.transformer_flow(net, [[0.2, -0.1, 0.4], [0.3, 0.3, -0.2]], draws=64)
    rg.save(ds, tmp_path / f"t.{ending}")
    assert rg.load(tmp_path / f"t.{ending}").identical(ds)
    del ds.attrs["transformer"]
    with pytest.raises(rg.InputError, match="without its transformer"):
        rg.save(ds, tmp_path / "u.nc")
