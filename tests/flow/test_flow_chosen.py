"""Many inputs: components at chosen samples, symmetric storage and its rows, against dense flows and plain rows."""

import numpy as np
import pytest

import rgflow as rg
from rgflow.algebra import Tensor
from rgflow.codegen import kernel
from rgflow.codegen.packed import step
from rgflow.derive import closure
from rgflow.flow.moments import plan
from rgflow.flow.state import Packed, State

NET = rg.MLP.uniform(n_in=4, width=20, depth=3, activation="tanh", C_b=0.1, C_W=1.3)
X = np.random.default_rng(0).normal(size=(300, 4))


def test_chosen_components_are_those_of_the_dense_flow():
    at = [(0, 1, 2, 3), (3, 3, 1, 1), (2, 2, 2, 2), (1, 299, 1, 0), (299, 2, 0, 1)]
    ds = rg.flow(NET, X, tensors=["V", "F"], at=at)
    assert ds["V"].dims == ("layer", "component")
    assert ds["sample1"].values.tolist() == [row[1] for row in at]
    some = [0, 1, 2, 3, 299]
    dense = rg.flow(NET, X[some], tensors=["V", "F"])
    for name in ("V", "F"):
        slack = dense["numerical_error"].sel(coefficient=name).values
        for i, row in enumerate(at):
            place = tuple(some.index(sample) for sample in row)
            own = ds["numerical_error"].sel(coefficient=name).values[:, i]
            assert (np.abs(ds[name].values[:, i] - dense[name].values[(slice(None), *place)]) <= slack + own).all()
            swapped = dense[name].values[(-1, place[0], place[2], place[1], place[3])]
            if len(set(row)) == 4:
                assert abs(ds[name].values[-1, i] - swapped) > 1e6 * slack[-1]


def test_chosen_pairs_know_their_own_expansion():
    at = [(0, 1), (5, 5), (7, 250)]
    ds = rg.flow(NET, X, tensors=["K", "Theta"], at=at)
    assert set(ds.data_vars) >= {"K", "K_1", "Theta", "Theta_1", "expansion_ratio", "trusted_layers"}
    for i, pair in enumerate(at):
        names = sorted(set(pair))
        alone = rg.flow(NET, X[names], tensors=["K_1"])
        place = (slice(None), 0, len(names) - 1) if len(names) == 2 else (slice(None), 0, 0)
        dense = np.reshape(alone["K_1"].values, (3, len(names), len(names)))[place]
        slack = alone["numerical_error"].values[0] + ds["numerical_error"].sel(coefficient="K_1").values[:, i]
        assert (np.abs(ds["K_1"].values[:, i] - dense) <= slack).all()


def test_equal_inputs_are_one():
    twice = np.concatenate([X[:3], X[:1]])
    ds = rg.flow(NET, twice, tensors="V", at=[(0, 1, 2, 3), (0, 1, 2, 0)])
    assert np.array_equal(ds["V"].values[:, 0], ds["V"].values[:, 1])
    K = 0.1 + 1.3 * twice @ twice.T / 4
    same = rg.flow(NET, first_kernel=K, tensors="V", at=[(0, 1, 2, 3)])
    assert same["V"].values[:, 0] == pytest.approx(ds["V"].values[:, 0], rel=1e-10)


def test_relu_at_chosen_samples():
    net = rg.MLP.uniform(n_in=4, width=20, depth=3, activation="relu", C_W=2.0)
    ds = rg.flow(net, X, tensors="V", at=[(0, 1, 0, 1), (4, 4, 4, 4)])
    assert ds["V"].values[:, 0] == pytest.approx(rg.flow(net, X[:2], tensors="V")["V"].values[:, 0, 1, 0, 1], rel=1e-9)
    assert ds["V"].values[:, 1] == pytest.approx(rg.flow(net, X[4], tensors="V")["V"].values, rel=1e-9)


@pytest.mark.parametrize(
    ("at", "message"),
    [
        ([(0, 1)], "V has 4"),
        ([(0, 1, 2, 300)], "sample 300; there are 300"),
        ([(0, 1, 2, -1)], "sample -1"),
        ([(0, 1, 2, 3), (0, 1)], "tuples of sample indices"),
        ([(0.5, 1, 2, 3)], "tuples of sample indices"),
        ([], "tuples of sample indices"),
        (3, "tuples of sample indices"),
    ],
)
def test_wrong_indices(at, message):
    with pytest.raises(rg.InputError, match=message):
        rg.flow(NET, X, tensors="V", at=at)


def test_wrong_inputs():
    net = rg.Network([rg.Dense(), rg.Residual(), rg.Dense()], [4, 8, 8, 2], "tanh")
    with pytest.raises(rg.InputError, match="without a past"):
        rg.flow(net, X, tensors="V", at=[(0, 1, 2, 3)])
    with pytest.raises(rg.InputError, match="several inputs"):
        rg.flow(NET, X[0], tensors="V", at=[(0, 0, 0, 0)])
    with pytest.raises(rg.InputError, match="threads"):
        rg.flow(NET, X[:2], tensors="V", threads=0)


def test_packed_states_hold_each_component_once():
    tensors = tuple(Tensor.named(name) for name in ("K", "V", "P"))
    state, dense = Packed(tensors, 6), State(tensors, 6)
    assert len(state.work) == len(dense.work)
    assert state.offsets[2] - state.offsets[1] == 231  # pairs of the 21 pairs, of 1296
    block = np.random.default_rng(0).normal(size=(6,) * 4)
    block = np.mean([np.transpose(block, s) for s in tensors[1].symmetries], axis=0)
    values = np.zeros((2, len(state.work)))
    values[1, state.offsets[1] : state.offsets[2]] = state.packed(1, block)
    assert np.allclose(state.block(values, 1)[1], block, rtol=1e-15)


def test_packed_rows_are_the_plain_rows():
    """All eleven letters with random averages: values and bounds of the plain program that one input shares."""
    rng = np.random.default_rng(3)
    system = closure([*"VDFABPQRSTU", "K_1", "Theta_1"], samples="many")
    program = kernel(system, jit=False)
    dense, state = State(program.table.tensors, 2), Packed(program.table.tensors, 2)
    layout = plan(program.table.shapes, 2)
    flat, brackets = rng.normal(size=len(dense.representative)), rng.normal(size=layout.size)
    flat = flat[dense.representative]
    errors, doubt = 1e-3 * np.abs(flat), 1e-3 * np.abs(brackets)
    hyper = np.array([0.1, 1.5, 0.25, 0.75, 1.5])

    def plain(x, b, positive):
        return program.step(2, dense.work, x, dense.offsets, b, layout.offsets, hyper, positive)[dense.representative]

    low = plain(np.abs(flat), np.abs(brackets), True)
    high = plain(np.abs(flat) + errors, np.abs(brackets) + doubt, True)
    places = [dense.offsets[target] + component for target, component in state.work]
    out, bound = np.zeros((2, len(places)))
    step(
        *(2, 0, len(places), state.work, state.slots, state.starts, flat[places], errors[places], brackets, doubt),
        *(layout.offsets, hyper, program.table.arrays, out, bound),
    )
    assert np.allclose(out, plain(flat, brackets, False)[places], rtol=1e-12, atol=1e-12 * low.max())
    assert np.allclose(bound, (high - low)[places], rtol=1e-9, atol=1e-12 * low.max())


def test_few_sets_on_several_threads():
    """Fewer jobs than threads take, and inputs whose probes vanish: neither an error nor a warning, and the same."""
    net = rg.MLP.uniform(n_in=5, width=20, depth=3, activation="gelu", C_b=0.1, C_W=1.5)
    x = np.random.default_rng(0).standard_normal((14, 5))
    for inputs, threads in ((x[:4], 2), (x[:4], 3), (x[:7], 2)):
        one, several = (rg.flow(net, inputs, tensors="V", threads=number) for number in (1, threads))
        assert one.identical(several)
    at = [tuple(row) for row in np.random.default_rng(0).integers(0, 14, (30, 4))]
    assert rg.flow(net, x, tensors="V", at=at, threads=2).identical(rg.flow(net, x, tensors="V", at=at))
