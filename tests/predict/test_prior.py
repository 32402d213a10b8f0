"""The prior of a finite network: real networks of plain NumPy, the exact product law, moments of its density."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import rgflow as rg
from rgflow.errors import AccuracyError, DomainWarning, InputError
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
    """K + K_1/n within its sampling error; what V/n leaves out falls fourfold as both widths double."""
    left_out, errors = [], []
    for widths in ([10, 8], [20, 16]):
        net = rg.MLP([2, *widths, 3], "tanh", C_b=0.1, C_W=1.5)
        both = prior(net, INPUTS)
        mean, error, covariance, doubt = fluctuations(metrics(net, INPUTS, 150_000, seed=widths[0]))
        assert np.all(np.abs(mean - both.kernel) < 4.5 * error)
        assert np.all(np.abs(np.diagonal(mean - both.kernel_infinite)) > 4.5 * np.diagonal(error))  # control: K_1
        left_out.append(covariance - four(both))
        errors.append(doubt)
    coarse, fine = left_out
    assert np.all(np.abs(coarse - 4 * fine) < 4.5 * np.hypot(errors[0], 4 * errors[1]))
    # control: a wrong V would be left out twofold; V_(11)(22), the least entry, tells
    assert (coarse - 2 * fine)[0, 0, 1, 1] > 4.5 * np.hypot(errors[0], 2 * errors[1])[0, 0, 1, 1]


def test_kurtosis_is_the_product_law_of_relu():
    """E z^4 / E[z^2]^2 = 3 prod(1 + 5/n_l) exactly, for one input and C_b = 0; what is left out falls fourfold."""
    left_out = []
    for scale in (2, 1):
        net = rg.MLP([3, 400 // scale, 800 // scale, 500 // scale, 2], "relu", C_W=2.0)
        here = prior(net, [0.3, 0.4, 0.5])
        first = 3 * sum(5 / n for n in net.widths[1:-1])
        left_out.append(3 * np.prod([1 + 5 / n for n in net.widths[1:-1]]) - 3 - here.kurtosis()[0])
    assert_allclose(here.kurtosis(), [first], rtol=1e-9)
    # The ratio of what is left out, e2 + e3 to e2/4 + e3/8 with e3/e2 < 0.01 (sums of products of the 5/n_l).
    assert left_out[0] / left_out[1] == pytest.approx(4, abs=0.04)
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
    assert_allclose(both.density(np.sqrt(K) * x[:, None, None]), expected, rtol=1e-10)
    assert_allclose(both.log_density([[0.0]]), np.log(1 / np.sqrt(2 * np.pi * K)) + 3 * v / 8, rtol=1e-10)


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
        both.log_density([[5.0]])
    with pytest.warns(DomainWarning, match=r"V/\(n K\^2\) of one input is 1.2, beyond 0.5: take wider"):
        narrow = prior(rg.MLP([2, 4, 1], "relu", C_W=2.0), INPUTS[:1])
    assert both.trusted
    assert not narrow.trusted
    with pytest.warns(DomainWarning, match="too unlikely"):  # x^4 - 6 x^2 + 3 = -6 at x^2 = 3, times 5/(8 n) is -0.94
        assert narrow.density([[3**0.5 * narrow.kernel[0, 0] ** 0.5]]) > 0
    with pytest.warns(DomainWarning, match="relative variance"):
        narrow.draw(2, seed=0)


def test_inputs_without_outputs():
    """tanh of nothing is nothing: no kurtosis, and the other input is not disturbed; numbers too small are refused."""
    net = rg.MLP([2, 200, 1], "tanh", C_W=1.5)
    both, alone = prior(net, [[0.0, 0.0], [1.0, 0.5]]), prior(net, [1.0, 0.5])
    assert_allclose(both.kurtosis(), [np.nan, alone.kurtosis()[0]], rtol=1e-9)
    assert not both.draw(5, seed=0)[:, 0].any()
    with pytest.raises(AccuracyError, match="beyond numbers; scale the inputs"):
        prior(net, 1e-100 * INPUTS)


@pytest.mark.filterwarnings("ignore::rgflow.errors.DomainWarning")
def test_no_negative_density():
    """At x^2 = 3 the polynomial is -6: for three neurons -6 x 5/(8 x 3) = -1.25 of the density."""
    narrow = prior(rg.MLP([2, 3, 1], "relu", C_W=2.0), INPUTS[:1])
    z = 3**0.5 * narrow.kernel[0, 0] ** 0.5
    with pytest.raises(AccuracyError, match=r"negative at z: its term of order 1/n is -1.2.* wider .* or log_density"):
        narrow.density([[z]])
    with pytest.raises(AccuracyError, match=r"z is more than 1e\+10 standard"):
        narrow.log_density([[1e200]])
    with pytest.raises(AccuracyError, match=r"negative at z\[1\]"):
        narrow.density(np.array([[[0.0]], [[z]]]))
    with pytest.warns(DomainWarning, match="too unlikely"):
        assert np.isfinite(narrow.log_density([[z]]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: p.cumulant([0, 0], [0]), "2 neurons and 1 samples"),
        (lambda p: p.cumulant([0, 3], [0, 0]), "3 outputs"),
        (lambda p: p.cumulant([], []), "give a list"),
        (lambda p: p.cumulant([True, 0], [0, 0]), "neurons is True"),
        (lambda p: p.cumulant([[0, 0], [0]], [0, 0]), "neurons is"),
        (lambda p: p.log_density(0.0), "z has shape"),
        (lambda p: p.density(np.zeros((7, 2))), "z has shape"),
        (lambda p: p.draw(10**12), "draw at most"),
        (lambda p: p.cumulant([0] * 6, [0] * 6), "two or four"),
        (lambda p: p.density(np.zeros((4, 3))), "z has shape"),
        (lambda p: p.density(np.zeros((2, 4))), "z has shape"),
        (lambda p: p.draw(0), "count is 0"),
        (lambda p: p.draw(1, seed=-1), "seed is -1"),
        (lambda p: prior("tanh", INPUTS), "is not a network"),
        (lambda p: prior(DEEP, [1.0, 2.0, 3.0]), "the network takes"),
        (
            lambda p: prior(rg.MLP([2, 9, 1], "linear"), [[1.0, 0.0], [2.0, 0.0]]).density([[1.0], [2.0]]),
            "have no density",
        ),
    ],
)
def test_refused(call, message):
    with pytest.raises(InputError, match=message):
        call(prior(DEEP, INPUTS))


def test_orthogonal_weights_have_no_random_metric():
    """Their V is not positive: cumulants are given, draws refused."""
    net = rg.Network([rg.Orthogonal(), rg.Orthogonal()], [2, 8, 2], "linear")
    both = prior(net, INPUTS[:1])
    assert both.cumulant([0, 0, 1, 1], [0] * 4) < -0.05
    with pytest.raises(InputError, match="not a covariance"):
        both.draw(3)
