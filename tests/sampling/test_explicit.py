"""On fixed weights: jets, tangent kernels and every letter equal brute-force differentiation over all parameters."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from explicit_networks import Network, mean_of_quadratic

from rgflow.activations import activation
from rgflow.network import Dense
from rgflow.sampling.estimators import LETTERS, Measurement, metric
from rgflow.sampling.jets import activate, propagate, subsets
from rgflow.sampling.tangent import TangentKernel

# Rounding and aliasing of the Cauchy integrals, see explicit_networks.
TOLERANCE = 1e-9
X = np.array([[0.7, -1.1], [0.4, 0.9]])
HYPER = {"C_b": (0.3, 0.2, 0.4), "C_W": (1.1, 1.6, 1.3), "lambda_b": (0.5, 0.8, 0.3), "lambda_W": (0.9, 0.6, 1.2)}
WIDTHS = (2, 3, 2, 2)
DENSE = [Dense(*row) for row in zip(*HYPER.values(), strict=True)]
SIDES = [((), ()), ((0,), ()), ((1,), ()), ((0, 1), ()), ((0,), (1,))]


@pytest.fixture(scope="module")
def network():
    return Network(WIDTHS, *HYPER.values(), X)


@pytest.fixture(scope="module")
def theta(network):
    return np.random.default_rng(5).standard_normal(network.size) * 0.7


def parts(network, vectors, l):
    """Weights (m, n, n') and biases (m, 1, n') of layer l + 1 from parameter vectors (m, size)."""
    weights, biases = (vectors[:, part] for part in network.slices[l])
    n, m = network.widths[l], network.widths[l + 1]
    return weights.reshape(-1, m, n).swapaxes(1, 2), biases[:, None]


def hidden(network, theta, directions):
    """rgflow's jets of layer 2 and activated tangent kernel, for fixed parameters and directions (m, 2, size)."""
    count = len(directions)
    thetas = np.broadcast_to(theta, (count, network.size))
    sets = subsets(2, 2)
    W, b = parts(network, thetas, 0)
    eps = [parts(network, directions[:, e], 0) for e in range(2)]
    z = X @ W + b
    jets = {chosen: np.zeros_like(z) for chosen in sets}
    jets[()] = z
    for e, (eps_W, eps_b) in enumerate(eps):
        jets[e,] = X @ eps_W + eps_b
    own = DENSE[0].lambda_b + DENSE[0].lambda_W * X @ X.T / 2
    tangent = TangentKernel.first_layer(own, count, WIDTHS[1], SIDES)
    sigma = activation("tanh")
    derivatives = sigma.derivatives(z, 3)
    s = activate(derivatives, jets)
    activated = tangent.activated(activate(derivatives[1:], jets))
    W, b = parts(network, thetas, 1)
    eps = [parts(network, directions[:, e], 1) for e in range(2)]
    tangent = activated.next_layer(s, W, [eps_W for eps_W, _ in eps], DENSE[1])
    return propagate(s, W, eps, b), tangent


def measured(jets, tangent):
    derivatives = activation("tanh").derivatives(jets[()], 3)
    s = activate(derivatives, jets)
    return Measurement(s, tangent.activated(activate(derivatives[1:], jets)), DENSE[2])


def test_jets_are_derivatives(network, theta):
    directions = np.random.default_rng(6).standard_normal((1, 2, network.size)) * 0.5
    jets, _ = hidden(network, theta, directions)
    for chosen, jet in jets.items():
        expected = network.derivative(theta, directions[0, list(chosen)], 2) if chosen else network.outputs(theta, 2)
        np.testing.assert_allclose(jet[0], expected, rtol=0, atol=TOLERANCE)


def test_tangent_kernel_and_its_derivatives(network, theta):
    directions = np.random.default_rng(7).standard_normal((1, 2, network.size)) * 0.5
    _, tangent = hidden(network, theta, directions)
    basis = np.eye(network.size)[:, None]

    def gradient_along(chosen):
        along = np.broadcast_to(directions[0, list(chosen)], (network.size, len(chosen), network.size))
        return network.derivative(theta, np.concatenate([basis, along], axis=1), 2)

    np.testing.assert_allclose(tangent((), ())[0], network.tangent_kernel(theta, 2), rtol=0, atol=TOLERANCE)
    for a, b in [*SIDES, ((1,), (0,)), ((), (0, 1))]:
        expected = np.einsum("p,paj,pbm->abjm", network.rates, gradient_along(a), gradient_along(b))
        np.testing.assert_allclose(tangent(a, b)[0], expected, rtol=0, atol=TOLERANCE)


def contractions(network, theta):
    """Products of two output neurons i=0, k=1 that isolate each letter, by full derivatives: name -> (N, N, N, N).

    PDLT: dH = D^2 z_0[v_1, v_2], ddI = D^3 z_0[v_1, v_2, v_3], ddII = (Hess_1 v_3) . lambda (Hess_2 v_4) with
    v = lambda grad z.
    """
    i, k, N = 0, 1, range(2)
    z, J = network.outputs(theta), network.gradients(theta)
    H = np.einsum("p,paj,pbm->abjm", network.rates, J, J)
    v = network.rates[:, None, None] * J
    ddII_half = {}
    for a, n in product(N, (i, k)):
        along = np.broadcast_to(v[:, a, n], (network.size, 1, network.size))
        # (size, N, width): Hessian of every output applied to v of neuron n at input a
        ddII_half[a, n] = network.derivative(theta, np.concatenate([np.eye(network.size)[:, None], along], axis=1))
    out = {name: np.empty((2, 2, 2, 2)) for name in ("G G", "G H", "H H", "F", "B", *LETTERS)}
    triples = [np.stack([v[:, b, i], v[:, c, k], v[:, d, k]]) for b, c, d in product(N, repeat=3)]
    third = network.derivative(theta, np.stack(triples)).reshape(2, 2, 2, 2, 2)
    for a, b, c, d in product(N, repeat=4):
        at = (a, b, c, d)
        out["G G"][at] = z[a, i] * z[b, i] * z[c, k] * z[d, k]
        out["G H"][at] = z[a, i] * z[b, i] * H[c, d, k, k]
        out["H H"][at] = H[a, b, i, i] * H[c, d, k, k]
        # Arguments in the order of each letter; see the table of index structures.
        out["F"][at] = z[a, i] * z[c, k] * H[b, d, i, k]  # z1 z2 H34 as [1,3,2,4], 1 = 3 = i, 2 = 4 = k
        out["B"][at] = H[a, c, i, k] * H[b, d, i, k]  # H12 H34 as [1,3,2,4]
        dH = lambda s0, n0, s1, n1, s2, n2: v[:, s1, n1] @ ddII_half[s2, n2][:, s0, n0]  # noqa: E731
        out["P"][at] = dH(a, i, b, k, c, k) * z[d, i]  # d03 d12
        out["Q"][at] = dH(a, i, b, i, c, k) * z[d, k]  # d01 d23
        out["R"][at] = third[b, c, d, a, i]  # d01 d23

        def ddII(s1, n1, s2, n2, s3, n3, s4, n4):
            return network.rates @ (ddII_half[s3, n3][:, s1, n1] * ddII_half[s4, n4][:, s2, n2])

        out["S"][at] = ddII(a, i, b, i, c, k, d, k)  # [1,2,3,4], d12 d34
        out["T"][at] = ddII(a, i, d, k, b, i, c, k)  # [1,3,4,2], d13 d42
        out["U"][at] = ddII(a, i, c, k, d, k, b, i)  # [1,4,2,3], d14 d23
    return out


@pytest.fixture(scope="module")
def expected(network, theta):
    """Averages over the parameters of the last layer, exactly; times n, the width below."""
    last, width = 3, WIDTHS[2]
    weights, biases = network.slices[last - 1]
    groups = [
        np.r_[weights.start + neuron * width : weights.start + (neuron + 1) * width, biases.start + neuron]
        for neuron in range(2)
    ]
    stack = lambda at: np.stack(list(contractions(network, at).values()))  # noqa: E731
    values = mean_of_quadratic(stack, theta, groups, network.variances)
    names = ("G G", "G H", "H H", "F", "B", *LETTERS)
    return {name: value * width for name, value in zip(names, values, strict=True)}


@pytest.fixture(scope="module")
def over_directions(network, theta):
    """rgflow's measurement of that hidden layer with f and g running over 0 and a basis of the hidden parameters."""
    size = network.slices[2][0].start
    basis = np.zeros((size + 1, network.size))
    basis[1:, :size] = np.diag(np.sqrt(network.rates[:size]))
    directions = np.stack([np.repeat(basis, size + 1, axis=0), np.tile(basis, (size + 1, 1))], axis=1)
    return measured(*hidden(network, theta, directions)), size


@pytest.mark.parametrize("name", ["F", "B", *LETTERS])
def test_letter_equals_the_full_contraction(name, expected, over_directions):
    np.testing.assert_allclose(averaged(name, *over_directions), expected[name], rtol=0, atol=TOLERANCE)
    assert np.abs(expected[name]).max() > 1e-2


def averaged(name, measurement, size):
    """Mean over f, g of a letter, q(0) + a quadratic form in each: q(0) + sum_mu [q(lambda_mu^(1/2) e_mu) - q(0)]."""
    found = getattr(measurement, name)(*range(LETTERS.get(name, 0)))
    found = found.reshape(size + 1, size + 1, 2, 2, 2, 2)
    weights = np.r_[1.0 - size, np.ones(size)]
    return np.einsum("f,g,fgabcd->abcd", weights, weights, found)


def test_dropping_the_last_layers_own_directions_is_noticed(expected, over_directions):
    """Control: without lambda_W of the last layer exactly the letters that it enters go wrong."""
    measurement, size = over_directions
    frozen = Measurement(measurement.s, measurement.N, replace(DENSE[2], lambda_W=0.0))
    for name in ("F", "B", *LETTERS):
        wrong = np.abs(averaged(name, frozen, size) - expected[name]).max() > 1e4 * TOLERANCE
        assert wrong == (name in ("Q", "R", "S", "T"))


def test_means_of_pairs(network, theta, expected, over_directions):
    measurement, _ = over_directions
    G, Hbar = metric(measurement.s[()][:1], DENSE[2])[0], measurement.Hbar()[0]
    for name, x, y in (("G G", G, G), ("G H", G, Hbar), ("H H", Hbar, Hbar)):
        found = WIDTHS[2] * x[:, :, None, None] * y
        np.testing.assert_allclose(found, expected[name], rtol=0, atol=TOLERANCE)
