"""V against matrices: beside the flow of V, closed forms, plain draws of neurons and sampled networks."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import rgflow as rg
from rgflow.brackets import gaussian_moments
from rgflow.errors import InputError
from rgflow.predict import contractions, quadratic_forms
from rgflow.predict.bayes.kernel_map import kernel_map
from rgflow.predict.contractions import contract, pulled
from rgflow.predict.mixed_slopes import mixed_slopes

WIDTHS = [6, 20, 50, 30, 4]  # unequal, so that each n_l/n_{l-1} counts
CASES = {"tanh": (0.1, 1.3, 3), "gelu": (0.05, 2.0, 6), "relu": (0.0, 2.0, 3)}
SIGMAS = 4.0  # once in 16000, for numbers of one fixed seed


def some(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def case(activation):
    C_b, C_W, N = CASES[activation]
    net = rg.MLP(WIDTHS, activation, C_b=C_b, C_W=C_W)
    return net, some(1, N, 6), some(2, 2, N, N), some(3, N, N)


def contracted(net, x, left, right):
    """The flow's V, index by index, and its error."""
    ds = rg.flow(net, x, tensors=["V"]).isel(layer=-1)
    error = float(ds["numerical_error"].sel(coefficient="V")) * np.abs(left).sum(axis=(1, 2)) * np.abs(right).sum()
    return np.einsum("iab,cd,abcd->i", left, right, ds["V"].values), error


# Beside the flow ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", CASES)
def test_few_inputs_as_the_flow(activation):
    net, x, left, right = case(activation)
    found = contract(net, x, left=left, right=right, seed=0)
    expected, error = contracted(net, x, left, right)
    assert (np.abs(found.value - expected) < SIGMAS * found.standard_error + found.numerical_error + error).all()
    sizes = np.sqrt(np.diagonal(contract(net, x, left=[*left, right], seed=0).value))
    assert (found.standard_error < 0.01 * sizes[:2] * sizes[2]).all()
    assert_allclose(found.sources.sum(axis=0), found.value, rtol=1e-14)


def test_the_response_cannot_be_forgotten(monkeypatch):
    """Controls: the last hidden layer alone, and a response without its part by K_aa."""
    net, x, left, right = case("gelu")
    expected = contracted(net, x, left, right)[0]
    found = contract(net, x, left=left, right=right, seed=0)
    assert (np.abs(found.sources[-1] - expected) > 5 * SIGMAS * found.standard_error).all()
    monkeypatch.setattr(contractions, "pulled", lambda through, matrix: through.cross * matrix)
    wrong = contract(net, x, left=left, right=right, seed=0)
    assert (np.abs(wrong.value - expected) > 2 * SIGMAS * wrong.standard_error).all()


def test_components_of_many_inputs():
    net, x = rg.MLP(WIDTHS, "gelu", C_b=0.05, C_W=2.0), some(4, 40, 6)
    at = [(3, 17, 30, 5), (8, 8, 21, 8)]
    flowed = rg.flow(net, x, tensors=["V"], at=at)["V"].values[-1]
    for (a, b, c, d), expected in zip(at, flowed, strict=True):
        left, right = np.zeros((2, 40, 40))
        left[a, b] = right[c, d] = 1.0
        found = contract(net, x, left=left, right=right, seed=0)
        assert abs(found.value - expected) < SIGMAS * found.standard_error + found.numerical_error


def test_standard_errors_are_honest():
    """16 pulls of Student's t with 31 degrees of freedom have a root mean square below 1.83, but once in 10^4."""
    net, x, left, right = case("relu")
    expected = contracted(net, x, left[:1], right)[0]
    found = [contract(net, x, left=left[0], right=right, seed=seed, draws=2048) for seed in range(16)]
    pulls = [float((one.value - expected[0]) / one.standard_error) for one in found]
    assert 0.5 < np.sqrt(np.mean(np.square(pulls))) < 1.83


# Closed forms and other witnesses -------------------------------------------------------------------------------------


def test_linear_networks_of_many_inputs_are_exact():
    """sigma = z, C_W = 1, C_b = 0: V = sum_l n_{L-1}/n_l (K_ac K_bd + K_ad K_bc)."""
    x, left, right = some(5, 150, 6), some(6, 150, 150), some(7, 150, 150)
    found = contract(rg.MLP(WIDTHS, "z", C_W=1.0), x, left=left, right=right, seed=0, draws=1024)
    K = x @ x.T / 6
    left, right = left + left.T, right + right.T
    expected = np.trace(left @ K @ right @ K) / 2 * (30 / 20 + 30 / 50 + 1)
    assert (
        abs(found.value - expected)
        < found.numerical_error
        < 1e-9 * np.sqrt(np.trace(left @ K @ left @ K) * np.trace(right @ K @ right @ K))
    )


def test_relu_of_one_input_follows_its_product_law():
    found = contract(rg.MLP(WIDTHS, "relu", C_W=2.0), first_kernel=1.0, left=[[1.0]], seed=0)
    assert abs(found.value - 5 * (30 / 20 + 30 / 50 + 1)) < SIGMAS * found.standard_error
    assert found.covariance == found.value / 30


@pytest.mark.parametrize("activation", ["gelu", "relu", pytest.param("max(z, -1)", marks=pytest.mark.slow)])
def test_many_inputs_of_one_hidden_layer_beside_plain_draws(activation):
    N, draws = 60, 20000
    x, root = some(8, N, 6), some(9, 2, N, N) / N
    left = root + root.transpose(0, 2, 1)
    sigma = rg.activation(activation)
    if sigma.name.startswith("max"):
        x, left = x[:5], left[:, :5, :5]  # averages over pairs by quadrature
    net = rg.MLP([6, 50, 1], activation, C_b=0.2, C_W=1.5)
    found = contract(net, x, left=left, seed=0)
    z = some(10, draws, 6) @ (x.T * np.sqrt(1.5 / 6)) + np.sqrt(0.2) * some(11, draws, 1)
    s = sigma(z)
    q = 1.5 * np.array([np.einsum("ta,ab,tb->t", s, matrix, s) for matrix in left])
    q -= q.mean(axis=1, keepdims=True)
    products = q[:, None] * q
    error = products.std(axis=-1) / np.sqrt(draws)
    assert (np.abs(found.value - products.mean(axis=-1)) < SIGMAS * np.hypot(error, found.standard_error)).all()
    assert (found.standard_error < error / 2).all()


def test_sampled_networks():
    """n Cov(tr M G, tr M G) at widths n and 2n; 2 V(2n) - V(n) is free of the next order."""
    x, matrix, gelu = some(12, 3, 4), np.diag([0.5, 0.25, 0.25]), rg.activation("gelu")
    sampled, errors = [], []
    for n in (24, 48):
        net = rg.MLP([4, n, n, 2], gelu, C_b=0.1, C_W=1.5)
        rng = np.random.default_rng(13)
        networks = 20000
        z = np.sqrt(1.5 / 4) * np.einsum("tij,aj->tia", rng.standard_normal((networks, n, 4)), x)
        z += np.sqrt(0.1) * rng.standard_normal((networks, n, 1))
        G = 0.1 + 1.5 / n * np.einsum("tia,tib->tab", gelu(z), gelu(z))
        root = np.linalg.cholesky(G)  # rows of weights given the layer below: Gaussian of this metric
        z = np.einsum("tab,tib->tia", root, rng.standard_normal((networks, n, 3)))
        t = 1.5 / n * np.einsum("tia,a->t", gelu(z) ** 2, np.diagonal(matrix))
        squares = n * (t - t.mean()) ** 2
        sampled.append(squares.mean())
        errors.append(squares.std() / np.sqrt(networks))
    found = contract(net, x, left=matrix, seed=0)
    error = np.hypot(2 * errors[1], errors[0])
    assert abs(2 * sampled[1] - sampled[0] - found.value) < SIGMAS * error
    assert abs(found.sources[-1] - found.value) > 2 * SIGMAS * error


# Parts ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_pulled_is_the_adjoint_of_push(activation):
    x = some(14, 5, 6)
    through = kernel_map(rg.activation(activation), x @ x.T / 6, 1)
    matrix, change = (m + m.T for m in some(15, 2, 5, 5))
    assert_allclose((pulled(through, matrix) * change).sum(), (matrix * through.push(change)).sum(), rtol=1e-12)


@pytest.mark.parametrize("activation", ["gelu", "softplus", "z + z*z", "relu", "leaky_relu"])
def test_mixed_slopes_by_quadrature(activation):
    """<sigma' sigma'>-like averages with one derivative pending on the first input."""
    x, sigma = some(16, 3, 6), rg.activation(activation)
    K = x @ x.T / 6 + 0.1
    found = mixed_slopes(sigma, K)
    a, b = np.triu_indices(3, 1)
    kernels = np.array([[K[a, a], K[a, b]], [K[b, a], K[b, b]]]).transpose(2, 0, 1)
    moments = [(((0,), 1), ((0,), 0)), (((0,), 0), ((0,), 1))]
    values, errors = gaussian_moments(sigma, kernels, moments)
    both = np.stack([found[a, b], found[b, a]], axis=1)
    assert (np.abs(both - values) < errors + 1e-11 * np.abs(found).max()).all()


def test_no_series_costs_draws_alone(monkeypatch):
    net, x, left, right = case("relu")
    expected = contracted(net, x, left, right)[0]
    usual = contract(net, x, left=left, right=right, seed=0)
    monkeypatch.setattr(contractions, "mixed_slopes", lambda activation, K: None)
    found = contract(net, x, left=left, right=right, seed=0)
    assert (np.abs(found.value - expected) < SIGMAS * found.standard_error).all()
    assert (found.standard_error > usual.standard_error).all()


def test_equal_inputs_are_added_and_others_left_out():
    net, x, left, _ = case("gelu")
    M = left[0]
    expected = contract(net, x[:3], left=M[:3, :3], seed=0, draws=1024)
    more = np.zeros((5, 5))
    more[np.ix_([0, 2, 4], [0, 2, 4])] = M[:3, :3]
    more[0, 0], more[1, 0] = 0.0, M[0, 0]  # 1 is 0 again
    found = contract(net, x[[0, 0, 1, 3, 2]], left=more, seed=0, draws=1024)
    assert_allclose(found.value, expected.value, rtol=1e-10)


def test_threads_change_nothing():
    net, x, left, right = case("gelu")
    one, two = (contract(net, x, left=left, right=right, seed=3, draws=1024, threads=n) for n in (1, 2))
    assert_array_equal(one.value, two.value)


def test_axes_and_what_is_exactly_zero():
    net, x, left, right = case("gelu")
    assert contract(net, x, left=left, right=some(0, 3, 1, 6, 6), draws=1024).value.shape == (2, 3, 1)
    both = contract(net, x, left=left, draws=1024, seed=1).value
    assert_allclose(both, both.T, rtol=1e-12)
    nothing = contract(net, x, left=np.zeros((6, 6)))
    flat = contract(rg.MLP([6, 4], "gelu"), x, left=right)
    assert nothing.value == nothing.standard_error == flat.value == 0.0


def test_what_is_refused():
    net, x, _, right = case("gelu")
    with pytest.raises(rg.OrderError, match="'D'"):
        contract(net, x, tensor="D", left=right)
    with pytest.raises(rg.InputError, match=r"left has shape \(2, 2\); for 6 inputs"):
        contract(net, x, left=np.eye(2))
    with pytest.raises(rg.InputError, match="draws"):
        contract(net, x, left=right, draws=1000)
    with pytest.raises(rg.InputError, match="not dense"):
        contract(rg.Network([rg.Dense(), rg.Residual(), rg.Dense()], [6, 8, 8, 1], "gelu"), x, left=right)
    with pytest.raises(rg.InputError, match="NaN"):
        contract(net, x, left=np.full((6, 6), np.nan))


@pytest.mark.parametrize("activation", ["exp", "z*z", "z**5"])
def test_tails_beyond_the_draws_are_refused(activation):
    """Of z^2, <z^8> - <z^4>^2 is made up about z = 3; of e^z, e^8K - e^4K about z = 4 K."""
    with pytest.raises(rg.AccuracyError, match="faster than a line"):
        contract(rg.MLP([1, 9, 1], activation), first_kernel=1.0, left=[[1.0]], seed=0)


def test_exponentials_of_small_kernels():
    """One hidden layer of sigma = e^z: V = e^8K - e^4K."""
    found = contract(rg.MLP([1, 9, 1], "exp"), first_kernel=0.02, left=[[1.0]], seed=0)
    assert abs(found.value - np.exp(0.16) + np.exp(0.08)) < SIGMAS * found.standard_error


def test_averages_of_few_draws_are_refused(monkeypatch):
    net, x, left, _ = case("gelu")
    monkeypatch.setattr(quadratic_forms, "LOST", 1e-4)
    with pytest.raises(rg.AccuracyError, match="more draws"):
        contract(net, x, left=left, draws=1024)


@pytest.mark.parametrize("size", [1e60, 1e-60])
def test_matrices_that_leave_the_range_of_floats_are_refused(size):
    net = rg.MLP.uniform(n_in=3, width=9, depth=3, activation="tanh", C_W=1.5)
    x = np.eye(3)
    with pytest.raises(InputError, match=r"left holds a matrix whose largest entry is 1e[+-]60; rescale it"):
        contract(net, x, left=[np.eye(3), size * np.eye(3)])
    one, small = (contract(net, x, left=s * np.eye(3), seed=0, draws=1024) for s in (1.0, 2.0**-160))
    assert small.value == one.value * 2.0**-320
    assert small.standard_error == one.standard_error * 2.0**-320
