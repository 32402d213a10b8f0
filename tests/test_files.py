"""Results on disk: whole round trips, clear errors, nothing lost."""

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


def test_totals_round_trip(ds, tmp_path):
    rg.save(rg.total(ds), tmp_path / "total.nc")
    xr.testing.assert_identical(rg.load(tmp_path / "total.nc"), rg.total(ds))


def test_zarr(ds, tmp_path):
    pytest.importorskip("zarr")
    for _ in range(2):  # also over an existing one
        rg.save(ds, tmp_path / "flow.zarr")
        xr.testing.assert_identical(rg.load(tmp_path / "flow.zarr"), ds)


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


def test_text_in_a_file_is_never_evaluated(ds, tmp_path):
    ds.attrs["network"] = ds.attrs["network"].replace("z*tanh(z)", "().__class__")
    rg.save(ds, tmp_path / "flow.nc")
    with pytest.raises(rg.RgflowError):
        rg.load(tmp_path / "flow.nc")
