"""The prior of a finite network: real networks of plain NumPy, the exact product law, moments of its density."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import rgflow as rg
from rgflow.errors import DomainWarning, InputError
from rgflow.predict.bayes.prior import prior

INPUTS = np.array([[1.0, 0.5], [-0.3, 1.2]])
DEEP = rg.MLP([2, 40, 30, 3], "tanh", C_b=0.1, C_W=1.5)


def metrics(net, x, networks, seed):
    """The metric of the outputs, (networks, N, N), of random tanh networks: every hidden neuron is drawn, in NumPy."""
    rng = np.random.default_rng(seed)
    first, *further = net.layers
    G = np.broadcast_to(first.C_b + first.C_W * x @ x.T / net.widths[0], (networks, len(x), len(x)))
    for layer, n in zip(further, net.widths[1:-1], strict=True):
        s = np.tanh(np.linalg.cholesky(G) @ rng.standard_normal((networks, len(x), n)))
        G = layer.C_b + layer.C_W * s @ s.transpose(0, 2, 1) / n
    return G


def relations(z):
    """Numbers of each network whose means are E[z_i z_i] and E[z_i z_i z_j z_j] of two of its outputs, all samples."""
    i, j = z[:, :, 0], z[:, :, 1]
    same = np.einsum("sa,sb->sab", i, i).reshape(len(z), -1)
    crossed = np.einsum("sa,sb,sc,sd->sabcd", i, i, j, j).reshape(len(z), -1)
    return np.concatenate([same, crossed], axis=1)


def predicted(both):
    """Those means from kernel and cumulants: of four outputs the cumulant plus the product of kernels."""
    N = len(both.inputs)
    K = np.array([[both.cumulant([0, 0], [a, b]) for b in range(N)] for a in range(N)])
    four = np.array([both.cumulant([0, 0, 1, 1], place) for place in np.ndindex(N, N, N, N)])
    return np.concatenate([K.ravel(), four + np.einsum("ab,cd->abcd", K, K).ravel()])


def fluctuations(G):
    """Mean of the metric (N, N) and covariance of its entries (N, N, N, N), with their standard errors."""
    mean, away = G.mean(axis=0), G - G.mean(axis=0)
    products = np.einsum("sab,scd->sabcd", away, away)
    return mean, G.std(axis=0) / len(G) ** 0.5, products.mean(axis=0), products.std(axis=0) / len(G) ** 0.5


def four(both):
    """The cumulants of z_i z_i z_j z_j, all samples."""
    N = len(both.inputs)
    flat = [both.cumulant([0, 0, 1, 1], place) for place in np.ndindex(N, N, N, N)]
    return np.reshape(flat, (N, N, N, N))


def test_one_hidden_layer_exactly():
    """Two- and four-point functions have no further orders: within 4.5 standard errors of networks of 10 neurons."""
    net = rg.MLP([2, 10, 3], "tanh", C_b=0.1, C_W=1.5)
    both = prior(net, INPUTS)
    mean, error, covariance, doubt = fluctuations(metrics(net, INPUTS, 50_000, seed=0))
    assert np.all(np.abs(mean - both.kernel) < 4.5 * error)
    assert np.all(np.abs(covariance - four(both)) < 4.5 * doubt)
    assert np.all(four(both) > 10 * doubt)  # control: independent outputs would have none


def test_two_hidden_layers():
    """K + K_1/n and V/n, up to the next order: V/n is good to a few 1/n of itself, the kernel to V_1-like 1/n^2."""
    both = prior(DEEP, INPUTS)
    mean, error, covariance, doubt = fluctuations(metrics(DEEP, INPUTS, 100_000, seed=0))
    n = min(DEEP.widths[1:-1])
    assert np.all(np.abs(mean - both.kernel) < 4.5 * error + 2 / n**2)
    away = np.diagonal(mean - both.kernel_infinite)
    assert np.all(np.abs(away) > 4.5 * np.diagonal(error))  # control: K_1 is needed
    assert np.all(np.abs(covariance - four(both)) < 4.5 * doubt + 3 / n * np.abs(four(both)))


def test_kurtosis_is_the_product_law_of_relu():
    """E z^4 / E[z^2]^2 = 3 prod(1 + 5/n_l) exactly, for one input and C_b = 0."""
    net = rg.MLP([3, 400, 800, 500, 2], "relu", C_W=2.0)
    here = prior(net, [0.3, 0.4, 0.5])
    exact = 3 * np.prod([1 + 5 / n for n in net.widths[1:-1]]) - 3
    first = 3 * sum(5 / n for n in net.widths[1:-1])
    assert_allclose(here.kurtosis(), [first], rtol=1e-9)
    assert abs(exact - first) < first**2  # of the next order
    assert_allclose(here.correlation(), [[first / 6]], rtol=1e-9)
    for i in ([0, 1, 0, 1], [0, 1, 1, 0], [1, 1, 0, 0]):
        assert here.cumulant(i, [0, 0, 0, 0]) == pytest.approx(first / 3 * here.kernel_infinite[0, 0] ** 2, rel=1e-9)
    assert here.cumulant([0, 0, 0, 1], [0] * 4) == here.cumulant([0, 1], [0, 0]) == here.cumulant([0], [0]) == 0


@pytest.mark.filterwarnings("ignore::rgflow.errors.DomainWarning")
def test_moments_of_the_density():
    """Summed over a grid: norm 1, K + K_1/n, and the cumulant of four of two outputs at one input."""
    both = prior(DEEP, INPUTS[:1])
    line = np.linspace(-9, 9, 361) * np.sqrt(both.kernel[0, 0])
    z = np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1)[:, :, None, :]  # (.., N = 1, m = 2)
    weight = both.density(z) * (line[1] - line[0]) ** 2
    first, second = z[:, :, 0, 0], z[:, :, 0, 1]
    K = both.kernel_infinite[0, 0] + both.metric.change[0, 0]
    assert weight.sum() == pytest.approx(1, rel=1e-12)
    assert (weight * first**2).sum() == pytest.approx(K, rel=1e-12)
    four = (weight * first**2 * second**2).sum()
    # linear in 1/n, as the density is
    leading = both.kernel_infinite[0, 0] * (2 * K - both.kernel_infinite[0, 0])
    assert four - leading == pytest.approx(both.cumulant([0, 0, 1, 1], [0, 0, 0, 0]), rel=1e-10)


def test_density_of_one_output_at_one_input_as_typed():
    """N(z) [1 + V/(8 n K^2) (x^4 - 6 x^2 + 3)], x = z/sqrt(K), for K_1 = 0."""
    both = prior(rg.MLP([2, 200, 1], "relu", C_W=2.0), INPUTS[:1])
    K, v = both.kernel[0, 0], 5 / 200
    x = np.linspace(-3, 3, 7)
    expected = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi * K) * (1 + v / 8 * (x**4 - 6 * x**2 + 3))
    assert_allclose(both.density(np.sqrt(K) * x[:, None]), expected, rtol=1e-10)
    assert_allclose(both.log_density(0.0), np.log(1 / np.sqrt(2 * np.pi * K)) + 3 * v / 8, rtol=1e-10)


def test_draws_have_the_prior_s_cumulants():
    """Kernel and cumulants of four, within 4.5 standard errors and the square of the metric's relative variance."""
    both = prior(rg.MLP([2, 60, 3], "relu", C_b=0.1, C_W=2.0), INPUTS)
    seen = relations(both.draw(200_000, seed=0))
    mean, error = seen.mean(axis=0), seen.std(axis=0) / np.sqrt(len(seen))
    expected = predicted(both)
    next_order = (both.kurtosis().max() / 3) ** 2 * np.abs(expected)
    assert np.all(np.abs(mean - expected) < 4.5 * error + next_order)
    independent = both.kernel[0, 0] ** 2
    assert mean[4] - independent > 6 * error[4]


def test_draws_of_dependent_inputs():
    """A linear network at three inputs of two dimensions: outputs depend as the inputs do, in every draw."""
    x = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    z = prior(rg.MLP([2, 30, 2], "linear"), x).draw(50, seed=1)
    assert_allclose(z[:, 2], z[:, 0] + z[:, 1], atol=1e-7)
    assert z.shape == (50, 3, 2)
    assert np.array_equal(z, prior(rg.MLP([2, 30, 2], "linear"), x).draw(50, seed=1))


def test_warns_far_out():
    both = prior(rg.MLP([2, 20, 1], "relu", C_W=2.0), INPUTS[:1])
    with pytest.warns(DomainWarning, match="too unlikely"):
        both.log_density(5.0)
    narrow = prior(rg.MLP([2, 4, 1], "relu", C_W=2.0), INPUTS[:1])
    with pytest.warns(DomainWarning, match="too unlikely"):  # x^4 - 6 x^2 + 3 = -6 at x^2 = 3, times 5/(8 n) is -0.94
        assert narrow.density(3**0.5 * narrow.kernel[0, 0] ** 0.5) > 0
    with pytest.warns(DomainWarning, match="too unlikely"):
        assert np.isnan(
            prior(rg.MLP([2, 3, 1], "relu", C_W=2.0), INPUTS[:1]).density(3**0.5 * narrow.kernel[0, 0] ** 0.5)
        )
    with pytest.warns(DomainWarning, match="relative variance"):
        prior(rg.MLP([2, 5, 1], "relu", C_W=2.0), INPUTS[:1]).draw(2, seed=0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: p.cumulant([0, 0], [0]), "2 neurons and 1 samples"),
        (lambda p: p.cumulant([0, 3], [0, 0]), "3 outputs"),
        (lambda p: p.cumulant([], []), "empty"),
        (lambda p: p.cumulant([0] * 6, [0] * 6), "two or four"),
        (lambda p: p.density(np.zeros((4, 3))), "z has shape"),
        (lambda p: p.density(np.zeros((2, 4))), "z has shape"),
        (lambda p: p.draw(0), "count is 0"),
        (lambda p: prior("tanh", INPUTS), "is not a network"),
        (lambda p: prior(DEEP, [1.0, 2.0, 3.0]), "the network takes"),
        (lambda p: prior(rg.MLP([2, 9, 1], "linear"), [[1.0, 0.0], [2.0, 0.0]]).density([1.0, 2.0]), "inverted"),
    ],
)
def test_refused(call, message):
    with pytest.raises(InputError, match=message):
        call(prior(DEEP, INPUTS))


def test_orthogonal_weights_have_no_random_metric():
    """Their V is not positive: cumulants are given, draws refused."""
    net = rg.Network([rg.Orthogonal(), rg.Orthogonal()], [2, 8, 2], "linear")
    both = prior(net, INPUTS[:1])
    if both.cumulant([0, 0, 1, 1], [0] * 4) < 0:
        with pytest.raises(InputError, match="not a covariance"):
            both.draw(3)
