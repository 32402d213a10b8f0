"""rgflow.sampling.gradients as its users meet it; back-propagation itself is tested in test_every_kind."""

import numpy as np
import pytest
import xarray

from rgflow.errors import AccuracyError, InputError, KinkError
from rgflow.network import MLP, Dense, Network
from rgflow.network.layer import KINDS
from rgflow.sampling.gradients import NAMES, sample_gradients

Linear, Branch, Projection, Reduced = (KINDS[name] for name in ("Linear", "Branch", "Projection", "Reduced"))
# 3 tests of at most 14 numbers: once in 1000.
APART = 4.2


def test_linear_blocks_exactly():
    """x' = x + V (W x): E|x'|^2 = (1 + C_V C_W) E|x|^2, and the same backwards; each chi by one line of algebra."""
    net = Network([Linear()] + [Branch(C_W=0.6, C_V=0.5, hidden=5)] * 3 + [Linear()], [3, 6, 6, 6, 6, 4], "linear")
    ds = sample_gradients(net, first_kernel=0.8, networks=4000, seed=1)
    gain = 1 + 0.5 * 0.6
    p = 0.8 * gain ** np.arange(4)
    # The read-out has 4 neurons above 6.
    chi = 4 / 6 * gain ** np.arange(4)[::-1]
    same(ds, "p", [*p, p[-1]])
    same(ds, "chi", [*chi, 1.0])
    same(ds, "chi_a", [np.nan, *chi[1:], np.nan])
    same(ds, "chi_b", [chi[0], *(6 / 5 * 0.5 * chi[1:]), 1.0])
    np.testing.assert_allclose(ds.chi_w[0], 0.8 * ds.chi_b[0], rtol=1e-13)
    np.testing.assert_allclose(ds.chi_w[4], ds.p[3], rtol=1e-13)
    assert np.isnan(ds.chi_v.values[[0, 4]]).all()


def same(ds, name, expected):
    distance, error = np.abs(ds[name].values - expected), ds[f"{name}_se"].values
    np.testing.assert_array_equal(np.isnan(ds[name]), np.isnan(expected))
    assert np.all((distance <= APART * error + 1e-12) | np.isnan(expected)), (name, ds[name].values, expected)


@pytest.mark.parametrize("kind", ["full", "reduced"])
def test_mean_field_of_wide_networks(kind):
    """Recurrences of the paper, typed by hand; corrections of order depth/width are below the errors here."""
    depth, n = 6, 100
    block = Branch(C_a=0.25, C_V=1.3, C_b=0.1, C_W=0.8) if kind == "full" else Reduced(C_b=0.1, C_W=0.8)
    net = Network([Linear()] + [block] * depth + [Linear()], [4] + [n] * (depth + 2), "tanh")
    ds = sample_gradients(net, first_kernel=1.0, networks=120, seed=2)
    g = np.linspace(-9, 9, 4001)
    w = np.exp(-(g**2) / 2)
    w /= w.sum()
    C_V, C_a = (1.3, 0.25) if kind == "full" else (1.0, 0.0)
    p, q, chi = [1.0], [], [1.0]
    for _ in range(depth):
        q.append(0.8 * p[-1] + 0.1)
        p.append(p[-1] + C_V * w @ np.tanh(np.sqrt(q[-1]) * g) ** 2 + C_a)
    slope = [w @ np.cosh(np.sqrt(one) * g) ** -4 for one in q]
    for one in slope[::-1]:
        chi.insert(0, chi[0] * (1 + C_V * 0.8 * one))

    # What finite width changes, a few depth / n^2 of the value, is below the errors (1 % to 3 %).
    def near(name, expected):
        return np.all(np.abs(ds[name].values[1:-1] - expected) <= APART * ds[f"{name}_se"].values[1:-1])

    chi, p, slope = np.array(chi), np.array(p), np.array(slope)
    assert near("p", p[1:])
    assert near("chi", chi[1:])
    assert near("chi_b", C_V * chi[1:] * slope)
    assert near("chi_w", C_V * chi[1:] * slope * p[:-1])
    # Control: without the block's own slope gradients would not grow.
    assert not near("chi", np.ones(depth))


def test_projection_changes_the_width():
    """chi_u = chi (N/N_u)(C_P + C_V C_W) for linear blocks."""
    net = Network([Linear(), Projection(C_P=0.5, C_V=0.7, C_W=0.9), Linear()], [3, 8, 4, 4], "linear")
    ds = sample_gradients(net, first_kernel=1.0, networks=4000, seed=3)
    same(ds, "chi", [4 / 8 * (0.5 + 0.63), 1.0, 1.0])
    same(ds, "p", [1.0, 1.13, 1.13])


def test_several_inputs_and_seeds():
    net = Network([Dense(), KINDS["Orthogonal"](), KINDS["Residual"](), Dense()], [2, 4, 4, 4, 2], "relu")
    X = np.array([[1.0, 0.5], [1.0, 0.5], [-0.3, 0.2]])
    ds = sample_gradients(net, X, networks=100, seed=4)
    assert ds.chi.dims == ("layer", "sample0")
    for name in NAMES:
        np.testing.assert_array_equal(ds[name][:, 0], ds[name][:, 1])
    xarray.testing.assert_identical(ds, sample_gradients(net, X, networks=100, seed=4))
    assert not np.array_equal(ds.p, sample_gradients(net, X, networks=100, seed=5).p)
    assert ds.attrs["kind"] == "gradients"


def test_errors():
    with pytest.raises(InputError, match="MLP or a Network"):
        sample_gradients("tanh", first_kernel=1.0)
    with pytest.raises(InputError, match="networks"):
        sample_gradients(MLP([2, 3, 1], "tanh"), first_kernel=1.0, networks=1)
    with pytest.raises(KinkError, match="jumps"):
        sample_gradients(MLP([2, 3, 1], "Heaviside(z)"), first_kernel=1.0)
    with pytest.raises(AccuracyError, match="overflow"):
        sample_gradients(MLP([1, 4, 4, 4, 4, 1], "z**9", C_W=1e9), [1e9], networks=4, seed=1)
