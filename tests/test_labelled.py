"""Labelled results are what xarray itself makes of the same arrays."""

import numpy as np
import pytest
import xarray

from rgflow.labelled import dataset

DATA = {
    "K": (("layer", "sample0"), np.arange(6.0).reshape(3, 2), {"level": 1}),
    "whole": (("layer",), [1, 2, 3]),
    "one": ((), np.float64(2.5)),
    "bool": ("layer", np.array([True, False, True])),
}
COORDS = {
    "layer": [1, 2, 3],
    "letter": ["V", "Theta"],
    "fan_in": ("layer", [3, 5, 5]),
    "depth": ((), np.int64(4)),
    "C_W": np.array([0.5, 1.0]),
    "time": (("time",), [0.0, 0.5, 1.0], {"units": "steps"}),
    "input": np.array(["first", "second"], dtype=object),
}


def test_it_is_the_dataset_of_xarray():
    mine, plain = (
        dataset(DATA, COORDS, {"kind": "coefficients"}),
        xarray.Dataset(DATA, COORDS, {"kind": "coefficients"}),
    )
    xarray.testing.assert_identical(mine, plain)
    assert list(mine.variables) == list(plain.variables)
    assert [v.dtype for v in mine.variables.values()] == [v.dtype for v in plain.variables.values()]
    assert set(mine.xindexes) == set(plain.xindexes)
    xarray.testing.assert_identical(mine.sel(layer=2, letter="V"), plain.sel(layer=2, letter="V"))


def test_arrays_are_not_copied():
    assert np.shares_memory(dataset(DATA, {}, {})["K"].values, DATA["K"][1])


def test_control_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match=r"layer|dimension"):
        dataset({"K": (("layer",), np.zeros((2, 2)))}, {}, {})
    with pytest.raises(ValueError, match="layer"):
        dataset({"K": (("layer",), np.zeros(2))}, {"layer": [1, 2, 3]}, {})
