"""On fixed weights every kind of layer: jets, tangent kernels and every letter equal brute-force differentiation."""

from dataclasses import replace
from itertools import product

import brute_networks
import numpy as np
import pytest
from brute_networks import contractions
from explicit_networks import mean_of_quadratic

from rgflow.activations import activation
from rgflow.network import Dense, Network
from rgflow.network.layer import KINDS
from rgflow.sampling.estimators import LETTERS, Measurement
from rgflow.sampling.gradients import backwards
from rgflow.sampling.jets import subsets
from rgflow.sampling.routes import routes
from rgflow.sampling.signals import Start, Weighted
from rgflow.sampling.stages import WeightStages, settled
from rgflow.sampling.tangent import TangentKernel

# Rounding and aliasing of the Cauchy integrals, see brute_networks; relative to the largest entry.
TOLERANCE = 1e-9
X = np.array([[0.7, -1.1], [0.4, 0.9]])
SIDES = [((), ()), ((0,), ()), ((1,), ()), ((0, 1), ()), ((0,), (1,))]
PAIRS = ("V", "D", "A")
DENSE = {"C_b": 0.3, "C_W": 1.1, "lambda_b": 0.5, "lambda_W": 0.9}
BRANCH = {**DENSE, "C_a": 0.2, "C_V": 0.8, "lambda_a": 0.4, "lambda_V": 0.7}
LAYERS = {
    "Dense": DENSE,
    "Linear": DENSE,
    "Residual": {**DENSE, "skip": 0.8},
    "Orthogonal": {"C_W": 1.2, "lambda_b": 0.5, "lambda_W": 0.9},
    "Branch": {**BRANCH, "hidden": 3},
    "Projection": {**BRANCH, "C_P": 0.9, "lambda_P": 0.6, "hidden": 3},
    "Reduced": DENSE,
    "Gated": {**DENSE, "C_V": 0.8, "lambda_V": 0.7, "gate": -0.6, "hidden": 3},
    "LayerNorm": {**DENSE, "skip": 0.8, "epsilon": 1.0},
    "LayerNorm after": {**DENSE, "skip": 0.8, "epsilon": 1.0, "place": "after"},
    "RMSNorm": {**DENSE, "epsilon": 1.0},
    "RMSNorm after": {**DENSE, "skip": -0.7, "epsilon": 1.0, "place": "after"},
}


def test_every_kind_is_here():
    """A kind that nobody measures by brute force is not known to be right."""
    assert {name.split()[0] for name in LAYERS} == set(KINDS)


def kind_of(name):
    """A kind, which may have several rows."""
    return KINDS[name.split()[0]]


def described(kind, width=2):
    """Dense, then this kind twice: between layers 2 and 3 all that it transports has come about."""
    layer = kind_of(kind)(**LAYERS[kind])
    last = [] if layer.ends else [Dense()]
    return Network([Dense(**DENSE), layer, layer, *last], [2, width, width, width] + [1] * len(last), "tanh")


class FixedStages(WeightStages):
    """Weights and directions from vectors of all parameters instead of random ones: (m, size) and (m, 2, size)."""

    def __init__(self, brute, theta, directions, layer):
        super().__init__(brute.net, None, layer, len(theta), 3, 2)
        known = brute.places[layer - 1]
        pairs = (("W", "b"), ("V", "a"), ("P", None))
        self.names = [(one, bias if bias in known else None) for one, bias in pairs if one in known]
        self._names = iter(self.names)
        self._vectors = [brute.parts(vectors, layer - 1) for vectors in (theta, *(directions[:, e] for e in range(2)))]

    def _weighted(self, w, width, place, C_b, lambda_b):
        name, bias = next(self._names)
        found = []
        for parts in self._vectors:
            b = parts[bias] if bias else np.zeros((self._count, width))
            found.append((parts[name].swapaxes(1, 2), b[:, None]))
        (W, b), *eps = found
        return Weighted(w.source, W, b, eps, w.rate, lambda_b)


def below(brute, theta, directions, layer):
    """rgflow's jets and tangent kernel of a layer, for fixed parameters and directions."""
    parts = [brute.parts(vectors, 0) for vectors in (theta, directions[:, 0], directions[:, 1])]
    values = [np.einsum("mij,aj->mai", p["W"], X) + p["b"][:, None] for p in parts]
    jets = {chosen: np.zeros_like(values[0]) for chosen in subsets(2, 2)}
    jets |= dict(zip([(), (0,), (1,)], values, strict=True))
    first = brute.net.layers[0]
    tangent = first.lambda_b + first.lambda_W * X @ X.T / 2
    z = Start(jets, TangentKernel.first_layer(tangent, len(theta), brute.net.widths[1], SIDES))
    for l in range(2, layer + 1):
        stages = FixedStages(brute, theta, directions, l)
        width = brute.net.widths[l]
        z = settled(stages.output(routes(brute.net.layers[l - 1], z, stages, width), width), SIDES)
    return z


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE * max(1.0, np.abs(expected).max()))


@pytest.mark.parametrize("kind", LAYERS)
def test_jets_and_tangent_kernels_are_derivatives(kind):
    brute = brute_networks.Network(described(kind, width=3), X)
    rng = np.random.default_rng(5)
    theta, directions = rng.standard_normal(brute.size) * 0.6, rng.standard_normal((1, 2, brute.size)) * 0.4
    z = below(brute, theta[None], directions, 3)
    for chosen, jet in z.jets.items():
        expected = brute.derivative(theta, directions[0, list(chosen)], 3) if chosen else brute.outputs(theta, 3)
        close(jet[0], expected)
    basis = np.eye(brute.size)[:, None]

    def gradient_along(chosen):
        along = np.broadcast_to(directions[0, list(chosen)], (brute.size, len(chosen), brute.size))
        return brute.derivative(theta, np.concatenate([basis, along], axis=1), 3)

    gradients = {chosen: gradient_along(chosen) for chosen in ((), (0,), (1,), (0, 1))}
    for a, b in [*SIDES, ((1,), (0,)), ((), (0, 1))]:
        expected = np.einsum("p,paj,pbm->abjm", brute.rates, gradients[a], gradients[b])
        close(z.kernel(z, a, b)[0], expected)


@pytest.mark.parametrize("kind", LAYERS)
def test_gradients_are_derivatives(kind):
    """Back-propagation of a layer, against derivatives by every parameter of it and by the layer below."""
    brute = brute_networks.Network(described(kind, width=3), X)
    rng = np.random.default_rng(5)
    theta, delta = rng.standard_normal(brute.size) * 0.6, rng.standard_normal((1, 2, 3))
    thetas, still = theta[None], np.zeros((1, 2, brute.size))
    z = below(brute, thetas, still, 2)
    stages = FixedStages(brute, thetas, still, 3)
    output = stages.output(routes(brute.net.layers[2], z, stages, 3), 3)
    found = backwards(output, delta)
    # E of each input apart: by parameter, input
    gradient = np.einsum("pai,ai->pa", brute.gradients(theta, 3), delta[0])
    for (name, bias), stage in zip(stages.names, [*stages.inner, *stages.own], strict=True):
        at, shape = brute.places[2][name]
        close(np.einsum("ai,aj->ija", found[stage][0], stage.source.values[0]), gradient[at].reshape(*shape, 2))
        if bias:
            close(found[stage][0].T, gradient[brute.places[2][bias][0]])
    before = np.einsum("pai,ai->pa", brute.gradients(theta, 2), found[z][0])
    hidden = slice(0, brute.places[2]["W"][0].start)
    close(before[hidden], gradient[hidden])
    assert np.abs(before[hidden]).max() > 1e-2


def averaged_by_brute_force(brute, theta, l):
    """Mean over the own parameters of layer l + 1 and over the pairs of its two neurons."""
    mean = lambda at: np.concatenate([value.ravel() for value in contractions(brute, at).values()])  # noqa: E731
    shapes = {name: value.shape for name, value in contractions(brute, theta).items()}
    if type(brute.net.layers[l]).__name__ == "Orthogonal":
        found = mean_over_rotations(mean, brute, theta, l)
    else:
        found = mean_of_quadratic(mean, theta, brute.rows(l), brute.variances)
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes.values()])[:-1]
    return {name: part.reshape(shapes[name]) for name, part in zip(shapes, np.split(found, ends), strict=True)}


def mean_over_rotations(function, brute, theta, l, angles=6):
    """Exact for polynomials of degree 4 in the entries of a matrix of O(2): six rotations and reflections."""
    at, _ = brute.places[l]["W"]
    theta = theta.copy()
    theta[brute.places[l]["b"][0]] = 0.0
    total = 0.0
    for angle, sign in product(np.arange(angles) * 2 * np.pi / angles, (1.0, -1.0)):
        c, s = np.cos(angle), np.sin(angle)
        theta[at] = np.sqrt(brute.net.layers[l].C_W) * np.array([c, -sign * s, s, sign * c])
        total = total + function(theta) / (2 * angles)
    return total


def over_directions(brute, theta, l):
    """rgflow's measurement with f and g running over 0 and a basis of all parameters that are not averaged."""
    left = np.setdiff1d(np.arange(brute.size), np.concatenate(brute.rows(l)))
    basis = np.zeros((len(left) + 1, brute.size))
    basis[np.arange(len(left)) + 1, left] = np.sqrt(brute.rates[left])
    size = len(basis)
    directions = np.stack([np.repeat(basis, size, axis=0), np.tile(basis, (size, 1))], axis=1)
    thetas = np.broadcast_to(theta, (len(directions), brute.size))
    stages = FixedStages(brute, thetas, directions, l + 1)
    ways = routes(brute.net.layers[l], below(brute, thetas, directions, l), stages, 2)
    return Measurement(ways, 2, 2), size


def averaged(name, measurement, size):
    """Mean over f, g of a letter, q(0) + a quadratic form in each: q(0) + sum_mu [q(lambda_mu^(1/2) e_mu) - q(0)]."""
    found = getattr(measurement, name)(*range(LETTERS.get(name, 0)))
    found = np.broadcast_to(found, (size**2, *found.shape[1:])).reshape(size, size, 2, 2, 2, 2)
    weights = np.r_[2.0 - size, np.ones(size - 1)]
    return np.einsum("f,g,fgabcd->abcd", weights, weights, found)


def of_pairs(name, measurement):
    """V, D and A as plain means of products, from the measured means and what the pairs add."""
    G, H = measurement.G()[0], measurement.Hbar()[0]
    x, y = {"V": (G, G), "D": (G, H), "A": (H, H)}[name]
    within = getattr(measurement, f"{name}2")()[0]
    place = np.array([[0, 1], [1, 2]])
    return x[:, :, None, None] * y + within[place][:, :, place]


class Cut:
    """Three layers, the last of them of a kind that need not be able to end a network."""

    depth, activation, widths = 3, activation("tanh"), (2, 2, 2, 2)

    def __init__(self, kind):
        hidden = {"hidden": 1} if "hidden" in LAYERS[kind] else {}
        last = kind_of(kind)(**{**LAYERS[kind], **hidden})
        self.layers = (Dense(**DENSE), KINDS["Residual"](**LAYERS["Residual"]), last)


# A linear layer is measured as a dense one is, and transported above.
@pytest.fixture(scope="module", params=[kind for kind in LAYERS if kind != "Linear"])
def both(request):
    brute = brute_networks.Network(Cut(request.param), X)
    theta = np.random.default_rng(6).standard_normal(brute.size) * 0.6
    return brute, averaged_by_brute_force(brute, theta, 2), *over_directions(brute, theta, 2)


def test_every_letter_is_the_full_contraction(both):
    _, expected, measurement, size = both
    close(measurement.G()[0], expected["G"])
    close(measurement.Hbar()[0], expected["H"])
    for name in PAIRS:
        close(of_pairs(name, measurement), expected[name])
    for name in ("F", "B", *LETTERS):
        close(averaged(name, measurement, size), 2 * expected[name])
        assert np.abs(expected[name]).max() > 1e-2


def wrong_letters(measurement, expected, size):
    """The names at which a measurement with something left out is off."""
    found = {name: of_pairs(name, measurement) for name in PAIRS}
    found |= {name: averaged(name, measurement, size) / 2 for name in ("F", "B", *LETTERS)}
    scale = {name: max(1.0, np.abs(expected[name]).max()) for name in found}
    return {
        name for name, value in found.items() if np.abs(value - expected[name]).max() > 1e4 * TOLERANCE * scale[name]
    }


def test_what_is_left_out_is_noticed(both):
    """Controls: own directions, crosswise pairings of orthogonal weights, carried neurons that are different ones."""
    _, expected, measurement, size = both
    ways = measurement.routes
    everything = {*PAIRS, "F", "B", *LETTERS}
    frozen = replace(ways, weights=[replace(w, rate=0.0) for w in ways.weights])
    if ways.weights:
        assert wrong_letters(Measurement(frozen, 2, 2), expected, size) >= {"Q", "R", "S", "T"}
    gaussian = replace(ways, weights=[replace(w, orthogonal=False) for w in ways.weights])
    if any(w.orthogonal for w in ways.weights):
        assert wrong_letters(Measurement(gaussian, 2, 2), expected, size) == everything
    if ways.carried:
        equal = Measurement(ways, 2, 2)
        equal._different = lambda summed, own: summed
        assert wrong_letters(equal, expected, size) >= {"F", "B", "P", "Q", "U"}
