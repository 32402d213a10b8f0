"""What is no axis is refused before the work, with a remedy."""

from __future__ import annotations

import numpy as np
import pytest

import rgflow as rg
from rgflow.sweeps import sweep
from rgflow.sweeps.layout import blocks, cut

NET = rg.MLP.uniform(n_in=3, width=8, depth=3, activation="swish")


@pytest.mark.parametrize(
    ("axes", "match"),
    [
        ({"C_W": []}, "C_W is empty"),
        ({"C_W": np.zeros(0)}, "C_W is empty"),
        ({"C_W": [1.0, np.nan]}, "NaN"),
        ({"C_W": [1.0, -1.0]}, "C_W is -1.0"),
        ({"C_W": [1.0, 2.0, 1.0]}, r"C_W holds 1\.0 twice"),
        ({"C_W": np.ones((2, 2))}, "one-dimensional"),
        ({"C_W": "1:2"}, "real numbers"),
        ({"C_W": [True, False]}, "real numbers"),
        ({"depth": [2, 2.5]}, "depth holds 2.5"),
        ({"depth": [0, 2]}, "at least 1"),
        ({"depth": [2, 10**18]}, "at most"),
        ({"depth": [1e300]}, "at most"),
        ({"C_W": [1.0], "layers": np.array([1, 4])}, "layers"),
        ({"C_W": [1.0], "path": "a\0.zarr"}, "zero bytes"),
        ({"C_W": np.arange(1e6), "C_b": np.arange(1e5)}, r"GB, and this machine has .*NAME\.zarr"),
        ({"width": [-4]}, "at least 1"),
        ({"depth": [2, 3], "layers": [1]}, "depth is an axis"),
        ({"C_W": [1.0], "layers": [4]}, "layers"),
        ({"C_W": [1.0], "layers": "first"}, "layers"),
        ({"C_W": [1.0], "method": "guess"}, "method"),
        ({"C_W": [1.0], "errors": "none"}, "errors"),
        ({"C_W": [1.0], "chunk": 0}, "chunk"),
        ({"C_W": [1.0], "threads": 0}, "threads"),
        ({"C_W": [1.0], "executor": 3}, "executor"),
        ({"C_W": [1.0], "path": "sweep.nc"}, r"NAME\.zarr"),
        ({"first_kernel": [1.0, -1.0]}, "not negative"),
        ({"C_W": [1.0], "seed": 1}, "nothing is drawn"),
        ({"first_kernel": None}, "exactly one"),
        ({"inputs": np.ones(4), "first_kernel": None}, "inputs has shape"),
    ],
)
def test_refused(axes, match):
    with pytest.raises(rg.InputError, match=match):
        sweep(NET, **{"first_kernel": 1.0, **axes})


@pytest.mark.parametrize(("name", "hint"), [("C_w", "C_W"), ("slope", "beta"), ("Beta", "beta"), ("dept", "depth")])
def test_unknown_axes_are_told(name, hint):
    with pytest.raises(rg.UnknownName, match=hint):
        sweep(NET, first_kernel=1.0, **{name: [1.0]})


def test_networks_without_something_to_change():
    with pytest.raises(rg.InputError, match="hidden"):
        sweep(rg.MLP([3, 1], "tanh"), first_kernel=1.0, depth=[2, 3])
    with pytest.raises(rg.InputError, match="hidden"):
        sweep(rg.MLP([3, 1], "tanh"), first_kernel=1.0, width=[2, 3])
    with pytest.raises(rg.InputError, match="differ"):
        sweep(rg.MLP([3, 4, 5, 1], "tanh"), first_kernel=1.0, depth=[2, 3])
    with pytest.raises(rg.InputError, match="not a network"):
        sweep("tanh", first_kernel=1.0, depth=[2, 3])


def test_blocks_tile_the_grid():
    """Every point once, whatever the size of a block."""
    for shape in ((), (7,), (3, 5), (2, 3, 4)):
        for points in (1, 2, 3, 5, 100):
            boxes = list(blocks(shape, cut(shape, points)))
            found = np.concatenate([box.points(shape) for box in boxes])
            assert sorted(found.tolist()) == list(range(int(np.prod(shape, dtype=int))))
            assert max(box.size for box in boxes) <= points
            assert [box.number for box in boxes] == list(range(len(boxes)))
