"""Orthogonal weights: Haar's law, lengths kept in every draw, averages over rows."""

import numpy as np
import pytest

from rgflow.errors import InputError
from rgflow.network import Dense, Network
from rgflow.network.inputs import given
from rgflow.network.layer import KINDS
from rgflow.sampling import haar, sample
from rgflow.sampling.draw import Streams
from rgflow.sampling.first import first_layer
from rgflow.sampling.plan import Plan
from rgflow.sampling.run import drawn_layers
from rgflow.seeds import seed_sequence

Orthogonal = KINDS["Orthogonal"]
COUNT = 40_000


@pytest.mark.parametrize(("n", "m"), [(3, 3), (2, 4), (4, 2), (1, 3), (3, 1)])
def test_rows_or_columns_are_orthonormal(n, m):
    W = haar.weights(np.random.default_rng(1), 50, n, m, 1.3)
    narrow = W if n <= m else W.swapaxes(1, 2)
    gram = np.matmul(narrow, narrow.swapaxes(1, 2))
    expected = np.broadcast_to(1.3 * max(n, m) / n * np.eye(min(n, m)), gram.shape)
    np.testing.assert_allclose(gram, expected, atol=1e-13)


def moments(Q):
    """Means of polynomials in the entries (COUNT, 3, 3) that Haar's law fixes, and their standard errors."""
    det = np.linalg.det(Q)
    polynomials = {
        "1": (Q[:, 0, 0], 0.0),
        "22": (Q[:, 2, 2], 0.0),
        "11^2": (Q[:, 0, 0] ** 2, 1 / 3),
        "33^4": (Q[:, 2, 2] ** 4, 3 / 15),
        "11^2 22^2": (Q[:, 0, 0] ** 2 * Q[:, 1, 1] ** 2, 4 / 30),
        "11^2 12^2": (Q[:, 0, 0] ** 2 * Q[:, 0, 1] ** 2, 1 / 15),
        "11 12 21 22": (Q[:, 0, 0] * Q[:, 0, 1] * Q[:, 1, 0] * Q[:, 1, 1], -1 / 30),
        "det": (det, 0.0),
    }
    return {name: (x.mean(), expected, x.std() / np.sqrt(COUNT)) for name, (x, expected) in polynomials.items()}


def test_the_law_is_haars():
    # Eight comparisons: once in 2000. E[Q_11^2 Q_22^2] = (m+1)/(m (m-1)(m+2)) and so on, m = 3.
    found = moments(haar.orthonormal(np.random.default_rng(2), COUNT, 3, 3))
    for name, (mean, expected, error) in found.items():
        assert abs(mean - expected) <= 4 * error, name
    # Control: a routine's factor as it comes has signs of its own.
    wrong = moments(np.linalg.qr(np.random.default_rng(2).standard_normal((COUNT, 3, 3)))[0])
    assert any(abs(mean - expected) > 20 * error for mean, expected, error in wrong.values())


@pytest.mark.parametrize(("n", "m"), [(4, 4), (3, 5), (5, 3)])
def test_an_image_has_the_law_of_a_product(n, m):
    """Frames drawn from overlaps alone, against explicit matrices: third and fourth moments over two inputs."""
    x = np.random.default_rng(3).standard_normal((1, 2, n))
    by_frame = haar.image(np.random.default_rng(4), x, COUNT, m, 1.2)
    by_matrix = np.matmul(x, haar.weights(np.random.default_rng(5), COUNT, n, m, 1.2))
    for pick in ("a0 a0", "a0 b0", "a0 a0 b1 b1", "a0 b0 a1 b1", "a2 a2 a2 b2"):
        both = []
        for z in (by_frame, by_matrix):
            value = np.prod([z[:, "ab".index(s[0]), int(s[1])] for s in pick.split()], axis=0)
            both.append((value.mean(), value.std() / np.sqrt(COUNT)))
        (left, left_error), (right, right_error) = both
        assert abs(left - right) <= 4.2 * np.hypot(left_error, right_error), pick


def test_cumulants_over_rows():
    """Averages over two and three rows of O(4), and of a 3 x 5 block of O(5), against drawn matrices."""
    pairs = np.triu_indices(2)
    for n, m in ((4, 4), (3, 5), (5, 3)):
        x = np.random.default_rng(6).standard_normal((1, 2, n))
        z = np.matmul(x, haar.weights(np.random.default_rng(7), COUNT, n, m, 1.1))
        G = 1.1 / n * np.matmul(x, x.swapaxes(1, 2))
        u = (z[:, pairs[0]] * z[:, pairs[1]] - G[:, pairs[0], pairs[1]][..., None])[..., :3]
        two = u[:, :, None, 0] * u[:, None, :, 1]
        three = u[:, :, None, None, 0] * u[:, None, :, None, 1] * u[:, None, None, :, 2]
        for drawn, found in ((two, haar.second(G, max(n, m), pairs)), (three, haar.third(G, max(n, m), pairs))):
            error = drawn.std(axis=0) / np.sqrt(COUNT)
            # 36 numbers for each size: about 100 in all, once in 200.
            assert np.all(np.abs(drawn.mean(axis=0) - found[0]) <= 4.2 * error)
            # Control: independent rows have no such cumulants.
            assert np.any(np.abs(drawn.mean(axis=0)) > 10 * error)


def lengths(net, tensors, first_kernel):
    """|z|^2 of every draw and input at every layer, (L, m, N), each divided by its width."""
    shown = given(net, None, first_kernel)
    plan = Plan(net, len(shown.overlap), tensors)
    drawn = drawn_layers(plan, first_layer(net, shown), Streams(seed_sequence(8), 0), 100, to_the_end=True)
    return np.stack([np.mean(z.values**2, axis=-1) for _, z, _ in drawn if z is not None])


@pytest.mark.parametrize("tensors", [("K", "V"), ("K", "V", "F")], ids=["neurons", "weights"])
def test_linear_layers_keep_every_length(tensors):
    kernel = np.array([[1.0, 0.3], [0.3, 0.8]])
    after_gaussian = lengths(Network([Dense(), *[Orthogonal()] * 8], [6, *[6] * 9], "linear"), tensors, kernel)
    np.testing.assert_allclose(after_gaussian, np.broadcast_to(after_gaussian[0], after_gaussian.shape), rtol=1e-12)
    assert np.ptp(after_gaussian[0]) > 0.1
    haar_first = lengths(Network([Orthogonal()] * 5, [4, 4, 6, 6, 7, 7], "linear"), tensors, kernel)
    np.testing.assert_allclose(haar_first, np.broadcast_to(np.diagonal(kernel), haar_first.shape), rtol=1e-12)
    # Control: Gaussian weights do not.
    dense = lengths(Network([Dense()] * 3, [6] * 4, "linear"), tensors, kernel)
    assert np.abs(dense[2] / dense[0] - 1).max() > 0.1


def test_a_haar_first_layer_leaves_nothing_to_chance():
    """V = -2 K^2 n_{l-1}/(n_l + 2) in every batch, widths never decreasing."""
    net = Network([Orthogonal()] * 5, [4, 4, 6, 6, 7, 7], "linear")
    ds = sample(net, first_kernel=0.7, tensors=["K", "V"], networks=200, seed=9)
    n = np.array(net.widths, dtype=float)
    np.testing.assert_allclose(ds.V, -2 * 0.49 * n[:-1] / (n[1:] + 2), rtol=1e-12)
    assert np.all(ds.V_se < 1e-13)


def test_more_inputs_than_dimensions():
    X = np.random.default_rng(10).standard_normal((5, 3))
    net = Network([Orthogonal(), Orthogonal(), Dense()], [3, 3, 4, 1], "tanh")
    many = sample(net, X, tensors=["K", "V"], networks=4000, seed=11)
    one = sample(net, X[4], tensors=["K", "V"], networks=4000, seed=12)
    for name in ("K", "V"):
        at = {f"sample{k}": 4 for k in range(many[name].ndim - 1)}
        error = np.hypot(many[f"{name}_se"].isel(at), one[f"{name}_se"])
        assert np.all(np.abs(many[name].isel(at) - one[name]) <= 4 * error + 1e-13)
    with pytest.raises(InputError, match="n_0 larger"):
        sample(net, first_kernel=np.eye(4), networks=100)


def test_too_narrow():
    net = Network([Dense(), Orthogonal(), Dense()], [3, 1, 1, 1], "tanh")
    sample(net, first_kernel=1.0, tensors=["K", "Theta"], networks=100, seed=1)
    with pytest.raises(InputError, match=r"V of layer 2, Orthogonal.* 2 different neurons"):
        sample(net, first_kernel=1.0, tensors=["K", "V"], networks=100, seed=1)
    for layer in (Orthogonal(), KINDS["Residual"]()):
        net = Network([Dense(), layer, Dense()], [3, 2, 2, 1], "tanh")
        sample(net, first_kernel=1.0, tensors=["V", "F"], networks=150, seed=1)
        with pytest.raises(InputError, match=r"V6 of layer 2.* 3 different neurons"):
            sample(net, first_kernel=1.0, tensors=["V6"], networks=150, seed=1)
    with pytest.raises(InputError, match="V of layer 1"):
        sample(Network([Orthogonal(), Dense()], [1, 1, 1], "tanh"), first_kernel=1.0, networks=100)
