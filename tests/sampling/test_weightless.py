"""Networks drawn without their weights, against weights drawn, weights drawn given the neurons, and fractions."""

from fractions import Fraction

import numpy as np
import pytest
from oracles.deep_linear import DeepLinear
from oracles.polynomial_networks import totals

from rgflow.network import MLP
from rgflow.network.inputs import given
from rgflow.sampling import collapsed, plan, sample
from rgflow.sampling.backward import probed_squares
from rgflow.sampling.collapsed import Directions, Hidden, hidden_layers
from rgflow.sampling.draw import Streams
from rgflow.sampling.expected import expected_tangents
from rgflow.sampling.first import first_layer
from rgflow.sampling.squared import expected_squares

X = np.array([[1.0, -0.4, 0.3], [0.2, 0.9, -1.1]])
NET = MLP([3, 4, 3, 5, 2], "tanh", C_b=0.3, C_W=[1.0, 1.5, 1.2, 0.9], lambda_b=[0.5, 1.0, 0.2, 0.7], lambda_W=0.8)
DRAWS = 20_000
# 60 different numbers at most are compared in one test: a right program fails once in 2000.
APART = 4.6


def neurons(count=1):
    """The hidden layers of one network, ``count`` times over."""
    first = first_layer(NET, given(NET, X, None))
    layers = list(hidden_layers(NET, first, Streams(np.random.SeedSequence(4), 0), 1, 1))
    if count > 1:
        for k, one in enumerate(layers):
            arrays = (np.repeat(x, count, axis=0) for x in (one.normal, one.s, one.slope, one.overlap))
            layers[k] = Hidden(one.layer, *arrays, one.C_b, one.C_W, one.lambda_b, one.lambda_W)
    return first, layers


def drawn_given_neurons(seed):
    """N_jm;12 of every hidden layer, (draws, N, N, n, n): weights of the law of Gaussian vectors with known images."""
    first, layers = neurons()
    rng = np.random.default_rng(seed)
    n = layers[0].width
    H = np.broadcast_to(first.tangent[:, :, None, None] * np.eye(n), (DRAWS, 2, 2, n, n))
    found = []
    for k, hidden in enumerate(layers):
        slope = hidden.slope[0]
        N = slope[:, None, :, None] * slope[None, :, None, :] * H
        found.append(N)
        if k + 1 == len(layers):
            break
        n, m = hidden.width, layers[k + 1].width
        variances = np.r_[np.full(n, hidden.C_W / n), hidden.C_b]
        seen = np.column_stack([hidden.s[0], np.ones(2)])
        covariance = seen * variances @ seen.T
        z = np.linalg.cholesky(covariance) @ layers[k + 1].normal[0]
        rows = rng.standard_normal((DRAWS, n + 1, m)) * np.sqrt(variances)[:, None]
        gain = variances[:, None] * seen.T @ np.linalg.inv(covariance)
        rows += gain @ (z - seen @ rows)
        np.testing.assert_allclose(seen @ rows[:5], np.broadcast_to(z, (5, 2, m)), atol=1e-12)
        W = rows[:, :n].swapaxes(1, 2)[:, None, None]
        H = W @ N @ W.swapaxes(3, 4) + hidden.own[0][:, :, None, None] * np.eye(m)
    return layers, found


def letters_given_neurons(seed=5):
    """Per draw and layer: tr N C_W/n, F, A2 and B."""
    layers, found = drawn_given_neurons(seed)
    per_layer = []
    for hidden, N in zip(layers, found, strict=True):
        share, s = hidden.C_W / hidden.width, hidden.s[0]
        trace = np.einsum("mabjj->mab", N) * share
        per_layer.append(
            {
                "trace": trace,
                "F": np.einsum("aj,mbdjk,ck->mabcd", s, N, s) * share**2 * hidden.width,
                "square": trace[:, :, :, None, None] * trace[:, None, None],
                "B": np.einsum("macjk,mbdjk->mabcd", N, N) * share**2 * hidden.width,
            }
        )
    return per_layer


def expected_letters():
    first, layers = neurons()
    found = []
    squares = expected_squares(expected_tangents(iter(layers), first.tangent), first.tangent, NET.depth)
    for after, square in zip(expected_tangents(iter(layers), first.tangent), squares, strict=True):
        t = after.trace[0]
        place = np.array([[0, 1], [1, 2]])
        full = square.A2[0][place][:, :, place] + t[:, :, None, None] * t
        found.append({"trace": t, "F": after.F[0], "square": full, "B": square.B[0]})
    return found


def distances(exact, drawn):
    """In standard errors; exact agreement where nothing varies."""
    found = []
    for one, many in zip(exact, drawn, strict=True):
        for name, value in one.items():
            mean, error = many[name].mean(axis=0), many[name].std(axis=0) / np.sqrt(DRAWS)
            found.append(np.ravel(np.abs(value - mean) / (error + 1e-13 * np.abs(mean).max())))
    return np.concatenate(found)


@pytest.fixture(scope="module")
def brute_force():
    """B is symmetric in what its pairs may exchange; its arguments are those of N N."""
    return letters_given_neurons()


def test_averages_over_weights_given_neurons(brute_force):
    """Means of tangent kernels and of their products are those of weights drawn given the neurons."""
    apart = distances(expected_letters(), brute_force)
    assert apart.max() < APART


def independent_of_neurons(hidden, known=Directions.of):
    """What it would be if neurons said nothing of the weights that gradients go back through."""
    right = known(hidden)
    return Directions(0 * right.weights, 0 * right.bias, right.root)


def test_control_gradients_that_forget_the_neurons(brute_force, monkeypatch):
    monkeypatch.setattr(collapsed.Directions, "of", independent_of_neurons)
    wrong = expected_letters()
    for name in ("trace", "square", "B"):
        apart = distances([{name: one[name]} for one in wrong], brute_force)
        assert apart.max() > 5 * APART, name


def probed():
    count = 4000
    first, layers = neurons(count)
    streams = Streams(np.random.SeedSequence(6), 0)
    found = probed_squares(expected_tangents(iter(layers), first.tangent), streams, first.tangent)
    exact = expected_squares(expected_tangents(iter(neurons()[1]), first.tangent), first.tangent, NET.depth)
    apart = []
    for one, other in zip(found, exact, strict=True):
        for name in ("A2", "B"):
            many, right = getattr(one, name), getattr(other, name)[0]
            error = many.std(axis=0) / np.sqrt(count)
            apart.append(np.ravel(np.abs(many.mean(axis=0) - right) / (error + 1e-12)))
    return np.concatenate(apart)


def test_probes_agree_with_averages():
    assert probed().max() < APART


def test_control_probes_that_forget_the_neurons(monkeypatch):
    monkeypatch.setattr("rgflow.sampling.backward._supposed", lambda found, bias, below: 0.0)
    assert probed().max() > 5 * APART


LETTERS = ("K", "Theta", "V", "D", "F", "A", "B")


@pytest.mark.parametrize("inputs", [1, 2, 4])
def test_both_routes(inputs):
    """All weights drawn, or none: the same tensors; four inputs are probed, two of them opposite and one zero."""
    x = np.array([[0.2, 0.9, -1.1], [1.0, -0.4, 0.3], [-1.0, 0.4, -0.3], [0.0, 0.0, 0.0]])[:inputs]
    net = MLP([3, 5, 4, 6, 2], "gelu" if inputs == 1 else "tanh", C_b=[0.1, 0.0, 0.2, 0.1], C_W=1.4, lambda_W=0.8)
    fast = sample(net, x, tensors=LETTERS, networks=4000, seed=31)
    slow = sample(net, x, tensors=LETTERS, networks=4000, seed=32, route="weights")
    for name in LETTERS:
        error = np.hypot(fast[f"{name}_se"], slow[f"{name}_se"]).values
        apart = np.abs(fast[name] - slow[name]).values
        # Of four inputs 55 different entries at three layers: once in 1000 at 5.2.
        assert np.all(apart <= (5.2 if inputs == 4 else APART) * error + 1e-13), name


@pytest.mark.parametrize("squares", ["averaged", "probed"])
def test_deep_linear_networks(squares, monkeypatch):
    """All letters at all orders by fractions: two inputs, biases, uneven widths."""
    monkeypatch.setattr(plan, "_AVERAGED", 3 if squares == "averaged" else 0)
    gram = [[Fraction(1), Fraction(1, 3)], [Fraction(1, 3), Fraction(1, 2)]]
    columns = [
        (Fraction(1, 5), 0, Fraction(1, 2)),
        (1, Fraction(3, 2), Fraction(4, 5)),
        (1, 0, 2),
        (1, 2, Fraction(1, 3)),
    ]
    names = ("C_b", "C_W", "lambda_b", "lambda_W")
    net = MLP([3, 4, 3, 2], "linear", **{k: [float(v) for v in c] for k, c in zip(names, columns, strict=True)})
    kernel = np.array([[float(columns[0][0] + columns[1][0] * g) for g in row] for row in gram])
    ds = sample(net, first_kernel=kernel, tensors=LETTERS, networks=20_000, seed=33)
    exact = DeepLinear(tuple(map(tuple, gram)), *columns).totals((4, 3))
    for layer, row in enumerate(exact):
        for name in LETTERS:
            for at, value in row[name].items():
                found, error = (float(ds[v].values[layer][at]) for v in (name, f"{name}_se"))
                assert abs(found - float(value)) <= APART * error + 1e-12, (name, layer, at)


def test_polynomial_networks_with_control_variates():
    """K, V, V6 by fractions, from so many networks that control variates are learned; the error shows that they are."""
    sigma, widths = (Fraction(0), Fraction(1), Fraction(1, 8)), (12, 9, 10)
    net = MLP([2, *widths, 1], "z + z^2/8", C_b=0.25, C_W=0.5)
    exact = totals(sigma, Fraction(1, 2), Fraction(1, 4), Fraction(1, 2), widths)
    ds = sample(net, first_kernel=0.5, tensors=["K", "V", "V6"], networks=20_000, seed=34)
    for layer, row in enumerate(exact):
        for name, value in row.items():
            found, error = float(ds[name][layer]), float(ds[f"{name}_se"][layer])
            assert abs(found - float(value)) <= APART * error + 1e-12, (name, layer)
    plain = float(np.sqrt(float(exact[1]["V"]) / widths[0] / 20_000))
    assert float(ds.K_se[1]) < 0.5 * plain
