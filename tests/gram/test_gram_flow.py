"""Gram matrices against the quadrature of whole layers, for every kind of layer and hostile inputs."""

import numpy as np
import pytest

import rgflow as rg
from rgflow.flow.leading import leading
from rgflow.gram.gram import gram, matrices
from rgflow.gram.inputs import of_kernel
from rgflow.gram.one_by_one import by_quadrature
from rgflow.gram.pairs import prepared
from rgflow.layers.stages import stages
from rgflow.network.inputs import given


def some_inputs(rows=6, columns=5, seed=0):
    x = np.random.default_rng(seed).standard_normal((rows, columns))
    x[2] = -2 * x[0]
    x[3] = x[1] + 1e-4 * x[0]
    return x


def agree(net, x):
    """Every layer within the errors that both routes report."""
    found, through, start = gram(net, x, layers="all"), stages(net), given(net, x)
    witness = leading(net.activation, through, start.overlap)
    last = [t for t, stage in enumerate(through) if stage.last]
    for letter in ("K", "Theta"):
        value, doubt = (getattr(witness, name)[last] for name in (letter, letter + "_error"))
        value = value[:, start.place][:, :, start.place]
        away = np.abs(found[letter].values - value).max(axis=(1, 2))
        error = found["numerical_error"].sel(coefficient=letter).values
        assert (away <= error + doubt.max(axis=(1, 2))).all(), (letter, away, error)
        assert (error < 1e-9 * np.abs(value).max(axis=(1, 2))).all()


@pytest.mark.parametrize(
    ("name", "C_W", "C_b"),
    [
        ("tanh", 1.5, 0.1),
        ("sigmoid", 3.0, 0.1),  # sigma' even, a mean
        ("softplus", 0.7, 0.2),  # sigma' odd but for a constant
        ("sin", 1.3, 0.1),
        ("z^2/3 - z", 0.6, 0.1),  # no parity: all powers
        ("z*tanh(z)", 0.8, 0.0),
        ("exp(z/2)", 0.4, 0.1),
    ],
)
def test_activations(name, C_W, C_b):
    agree(rg.MLP.uniform(n_in=5, width=20, depth=3, activation=name, C_W=C_W, C_b=C_b), some_inputs())


@pytest.mark.parametrize("kind", ["Residual", "Branch", "Gated", "Projection", "Orthogonal", "Linear", "Reduced"])
def test_kinds_of_layers(kind):
    layer = getattr(rg, kind)()
    net = rg.Network([rg.Dense(C_W=1.2, C_b=0.1), layer, layer, rg.Dense(C_W=0.9)], [5, 20, 20, 20, 3], "tanh")
    agree(net, some_inputs())


def test_two_slopes_with_skips():
    net = rg.Network([rg.Dense(C_b=0.1), rg.Residual(skip=0.7), rg.Dense(C_W=1.4)], [5, 20, 20, 3], "leaky_relu")
    agree(net, some_inputs(4)[[0, 1, 3]] + 0.1)


def test_other_kinks_by_quadrature():
    net = rg.MLP.uniform(n_in=5, width=20, depth=2, activation="Max(-1, Min(1, z))", C_W=1.4, C_b=0.1)
    agree(net, some_inputs(4)[:3])


def test_zero_input_and_norms_that_differ_widely():
    """Kernels of 0, 1e-6, 1 and 400 go together; without biases the first stays at zero."""
    x = some_inputs()
    x = np.stack([0 * x[0], 1e-3 * x[0], x[1], 20 * x[4]])
    agree(rg.MLP.uniform(n_in=5, width=20, depth=3, activation="tanh", C_W=1.0), x)
    zero = gram(rg.MLP.uniform(n_in=5, width=20, depth=3, activation="tanh", C_W=1.0), x)
    assert zero.K[0].values.tolist() == [0.0] * 4


def test_long_series_are_found_pair_by_pair():
    """At K = 600, nearly parallel inputs need more than 1024 terms: they are no series, and say nothing else."""
    net = rg.MLP.uniform(n_in=5, width=20, depth=2, activation="tanh", C_W=1.0)
    x = 20 * some_inputs()
    through, start = stages(net), of_kernel(given(net, x).overlap)
    pairs = prepared(net, through, start, [2], True)
    near = by_quadrature(
        net.activation, pairs.lines, pairs.alone, np.array([1]), np.array([3]), start.kernel[[1], [3]], [1]
    )
    found = matrices(net, through, start, [2])
    assert pairs.alone.averages[0].rests[-1] > 1e-4
    assert found.K[0, 1, 3] == near.K[0, 0]
    assert found.errors[0, 0] >= near.K_error[0, 0]
    agree_to = found.errors[0, 1] + near.Theta_error[0, 0]
    assert abs(found.Theta[0, 1, 3] - near.Theta[0, 0]) <= agree_to


def test_flow_of_many_inputs_goes_this_way():
    """rg.flow at order 0 beyond ten inputs: the same numbers, its own layout."""
    net = rg.MLP.uniform(n_in=5, width=20, depth=4, activation="tanh", C_b=0.1)
    x = np.random.default_rng(1).standard_normal((14, 5))
    x[13] = x[2]
    ds, here = rg.flow(net, x, tensors=["K", "Theta"], order=0), gram(net, x, layers="all")
    for letter in ("K", "Theta"):
        error = here["numerical_error"].sel(coefficient=letter)
        assert ds[letter].dims == ("layer", "sample0", "sample1")
        assert (abs(ds[letter] - here[letter]).max(("sample0", "sample1")) <= 2 * error).all()
        np.testing.assert_array_equal(ds[letter][:, 13], ds[letter][:, 2])
    few = rg.flow(net, x[:4], tensors=["K", "Theta"], order=0)
    assert float(abs(few.Theta - ds.Theta[:, :4, :4]).max()) <= float(few.numerical_error.max()) + 1e-12


def test_the_error_follows_chaos():
    """In the chaotic phase nearly equal inputs part; their error grows with them, and that of others does not."""
    net = rg.MLP.uniform(n_in=5, width=20, depth=12, activation="tanh", C_W=4.0)
    x = np.random.default_rng(0).standard_normal((3, 5))
    calm = gram(net, x, tensors="K")
    x[1] = x[0] * (1 + 1e-9)
    x[1, 0] += 1e-9
    wild = gram(net, x, tensors="K")
    assert float(wild.numerical_error[0]) > 10 * float(calm.numerical_error[0])
