"""Flows as numbers: against 30 digits, exact laws, published tables, and themselves in another guise."""

from fractions import Fraction

import numpy as np
import pytest
from exact_flow import flow_one
from mpmath import mp
from oracles.product_law import coefficients as product_law

import rgflow as rg
from rgflow.brackets import reference

LETTERS = ["K", "Theta", *"VABDFPQRSTU"]


class ReferenceBrackets:
    """Brackets of one input at 30 digits."""

    def __init__(self, sigma, kernel):
        self.sigma, self.kernel, self.known = rg.activation(sigma), kernel, {}

    def one(self, orders, pending):
        key = (orders, pending)
        if key not in self.known:
            self.known[key] = reference(self.sigma, [[self.kernel]], [(orders, pending)])
        return self.known[key]


@pytest.mark.parametrize(("sigma", "first", "C_W", "C_b"), [("tanh", 0.9, 1.3, 0.05), ("gelu", 1.7, 1.9, 0.1)])
def test_thirty_digits(sigma, first, C_W, C_b):
    """All letters with K_1 and Theta_1, unequal widths, three layers: 1e-10 relative."""
    widths = [10, 20, 60, 60]
    net = rg.MLP(widths, sigma, C_W=C_W, C_b=C_b, lambda_b=0.3, lambda_W=0.7)
    ds = rg.flow(net, first_kernel=first, tensors=LETTERS, order=1)
    with mp.workdps(30):
        hyper = [{"C_W": C_W, "C_b": C_b, "lambda_b": 0.3, "lambda_W": 0.7}] * 3
        begin = {"K": mp.mpf(first), "Theta": mp.mpf(0.3) + mp.mpf(0.7) * (mp.mpf(first) - mp.mpf(C_b)) / mp.mpf(C_W)}
        states = flow_one(
            rg.closure(list(ds["coefficient"].values)),
            lambda K: ReferenceBrackets(sigma, K),
            begin,
            hyper,
            (1, 3),
            number=mp.mpf,
        )
    for layer, state in enumerate(states):
        for name in map(str, ds["coefficient"].values):
            exact, found = float(state[name]), float(ds[name][layer])
            size = max(abs(float(s[name])) for s in states)
            assert abs(found - exact) <= 1e-10 * size, (name, layer)
            claimed = float(ds["numerical_error"].sel(coefficient=name)[layer])
            assert abs(found - exact) <= claimed, (name, layer)


def test_published_table():
    """K, V, K_1 of tanh with two inputs (arXiv:1910.00019 as reproduced; C_b = 0.1, C_W = 1.5, n = 100, depth 4)."""
    net = rg.MLP.uniform(n_in=10, width=100, depth=4, activation="tanh", C_b=0.1, C_W=1.5)
    ds = rg.flow(net, first_kernel=[[1, 0.4], [0.4, 0.7]], tensors=["K", "V"])
    n = 100
    np.testing.assert_allclose(ds["K"][1:, 0, 0], [0.69144, 0.59256, 0.55277], atol=5.01e-6)
    np.testing.assert_allclose(ds["V"][1:, 0, 0, 0, 0] / n, [0.00219, 0.00213, 0.00204], atol=5.01e-6)
    np.testing.assert_allclose(ds["V"][1:, 0, 1, 0, 1] / n, [0.00267, 0.00320, 0.00335], atol=5.01e-6)
    np.testing.assert_allclose(ds["K_1"][1:, 0, 0] / n, [0, -0.00050, -0.00082], atol=5.01e-6)


@pytest.mark.parametrize(
    ("sigma", "values"),
    [
        (
            "linear",
            {"Theta": 4.8, "V": 6, "F": 7.2, "B": 20.16, "D": 8.4, "A": 13.72, "Q": 8.4, "S": 20.16, "T": 11.76},
        ),
        (
            "relu",
            {"Theta": 4.8, "V": 60, "F": 28.8, "B": 40.32, "D": 56.4, "A": 71.26, "Q": 16.8, "S": 20.16, "T": 11.76},
        ),
    ],
)
@pytest.mark.parametrize("samples", [1, 2])
def test_scale_invariant_closed_forms(sigma, values, samples):
    """PDLT's solutions in depth at criticality (numbers not seen), lambda_b = 0.5, lambda_W = 0.7, layer 4."""
    A_2 = {"linear": 1.0, "relu": 0.5}[sigma]
    net = rg.MLP.uniform(n_in=9, width=50, depth=4, activation=sigma, C_W=1 / A_2, lambda_b=0.5, lambda_W=0.7)
    kernel = np.full((samples, samples), 1 / A_2)
    if samples == 2:
        kernel[0, 1] = kernel[1, 0] = 0.3 / A_2
    ds = rg.flow(net, first_kernel=kernel, tensors=LETTERS, kinks="almost_everywhere")
    for name, value in {**values, "P": 0, "R": 0, "U": 0, "K_1": 0, "Theta_1": 0}.items():
        found = float(np.ravel(ds[name].values[-1])[0])
        assert found == pytest.approx(value, rel=1e-12, abs=1e-12), name


@pytest.mark.parametrize(("sigma", "slopes"), [("relu", (1, 0)), ("leaky_relu", (1, 0.01)), ("linear", (1, 1))])
def test_product_law(sigma, slopes):
    """Through V_1 and V6, unequal widths, C_b = 0; K_1 = K_2 = 0."""
    net = rg.MLP([7, 20, 60, 100, 40], sigma, C_W=1.3)
    ds = rg.flow(net, first_kernel=0.8, tensors=["K", "V", "V6"], order=2)
    exact = product_law(slopes, 0.8, 1.3, (1, 3, 5), 3, 2)
    for layer, row in enumerate(exact):
        for name in ("K", "V", "V_1", "V6"):
            assert float(ds[name][layer]) == pytest.approx(float(row[name]), rel=1e-12, abs=1e-14), name
    np.testing.assert_allclose(ds["K_1"], 0, atol=1e-14)
    np.testing.assert_allclose(ds["K_2"], 0, atol=1e-14)


@pytest.mark.parametrize("sigma", ["tanh", "relu", "silu"])
def test_one_input_among_several_is_that_input_alone(sigma):
    """Two routes to the same numbers: the fused kernel of one input, nested quadrature for two."""
    net = rg.MLP.uniform(n_in=3, width=30, depth=4, activation=sigma, C_W=1.7, C_b=0.1)
    x = np.array([[1.0, 0.2, -0.5], [0.3, 1.4, 0.2]])
    two = rg.flow(net, x, tensors=["K", "Theta", *"VABDF"])
    for sample in (0, 1):
        one = rg.flow(net, x[sample], tensors=["K", "Theta", *"VABDF"])
        for name in map(str, one["coefficient"].values):
            diagonal = two[name].values[(slice(None), *[sample] * (two[name].ndim - 1))]
            np.testing.assert_allclose(diagonal, one[name].values, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("sigma", ["tanh", "relu"])
def test_equal_inputs_are_merged(sigma):
    """(x, y, x): every tensor is that of (x, y) with repeated indices, also where single brackets would diverge."""
    net = rg.MLP.uniform(n_in=2, width=30, depth=3, activation=sigma, C_W=1.7, C_b=0.1)
    x, y = [1.0, 0.3], [-0.4, 0.9]
    three = rg.flow(net, [x, y, x], tensors=["K", "V", "Theta", "D"])
    two = rg.flow(net, [x, y], tensors=["K", "V", "Theta", "D"])
    for name in ("K", "K_1", "Theta", "Theta_1", "V", "D"):
        repeated = two[name].values
        for axis in range(1, repeated.ndim):
            repeated = repeated.take([0, 1, 0], axis=axis)
        np.testing.assert_array_equal(three[name].values, repeated)
    same = rg.flow(net, [x, x], tensors=["V"])
    one = rg.flow(net, x, tensors=["V"])
    np.testing.assert_array_equal(same["V"].values[:, 0, 1, 1, 0], one["V"].values)


def test_smooth_activations_survive_collinear_and_zero_inputs():
    net = rg.MLP.uniform(n_in=2, width=30, depth=3, activation="tanh", C_W=1.7, C_b=0.0)
    x = np.array([[1.0, 0.3], [-1.0, -0.3], [0.0, 0.0], [1.0 + 1e-9, 0.3]])
    ds = rg.flow(net, x, tensors=["K", "V", "Theta", "F"])
    assert np.isfinite(ds["V"]).all()
    np.testing.assert_allclose(ds["K"][:, 0, 1], -ds["K"][:, 0, 0], rtol=1e-12)
    np.testing.assert_allclose(ds["V"][:, 0, 1, 0, 1], ds["V"][:, 0, 0, 0, 0], rtol=1e-10)
    np.testing.assert_allclose(ds["V"][:, 3, 3, 3, 3], ds["V"][:, 0, 0, 0, 0], rtol=1e-7)
    np.testing.assert_array_equal(ds["V"][:, 2, 2, 0, 0], 0)


@pytest.mark.parametrize(("sigma", "frequency"), [("sin", 1), ("sin(10*z)", 10)])
def test_fast_oscillations_are_resolved(sigma, frequency):
    """<sin(f z)^2> = (1 - exp(-2 f^2 K)) / 2, where coarse and fine nodes may alias alike (K = 1000)."""
    net = rg.MLP.uniform(n_in=3, width=30, depth=4, activation=sigma)
    for first in (1.0, 30.0, 1000.0):
        try:
            found = rg.flow(net, first_kernel=first, tensors=["K"], order=0)["K"].values
        except rg.AccuracyError:
            assert frequency**2 * first > 10_000
            continue
        expected = [first]
        for _ in range(3):
            expected.append((1 - np.exp(-2 * frequency**2 * expected[-1])) / 2)
        np.testing.assert_allclose(found, expected, rtol=1e-11)


def test_permuted_samples_permute_the_tensors():
    net = rg.MLP.uniform(n_in=3, width=30, depth=3, activation="gelu", C_W=1.7, C_b=0.1)
    x = np.array([[1.0, 0.2, -0.5], [0.3, 1.4, 0.2], [-0.7, 0.1, 0.6]])
    order = [2, 0, 1]
    tensors = ["K", "Theta", "V", "F", "D"]
    plain, shuffled = rg.flow(net, x, tensors=tensors), rg.flow(net, x[order], tensors=tensors)
    for name in map(str, plain["coefficient"].values):
        expected = plain[name].values
        for axis in range(1, expected.ndim):
            expected = expected.take(order, axis=axis)
        np.testing.assert_allclose(shuffled[name].values, expected, rtol=1e-9, atol=1e-12)


def test_kernel_and_ntk_for_many_inputs():
    """N = 12 at order 0 equals every pair on its own."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(12, 5))
    net = rg.MLP.uniform(n_in=5, width=30, depth=3, activation="tanh", C_W=1.4, C_b=0.1)
    ds = rg.flow(net, x, tensors=["K", "Theta"], order=0)
    pair = rg.flow(net, x[[3, 8]], tensors=["K", "Theta"], order=0)
    for name in ("K", "Theta"):
        np.testing.assert_allclose(ds[name].values[:, [[3], [8]], [3, 8]], pair[name].values, rtol=1e-10)


def test_hyperparameters_of_each_layer_enter_where_they_belong():
    """A linear network: K^{l} = C_b^l + C_W^l K^{l-1}."""
    net = rg.MLP(
        [4, 5, 6, 7], "linear", C_b=[0.1, 0.2, 0.3], C_W=[1.1, 1.2, 1.3], lambda_b=[1, 2, 3], lambda_W=[4, 5, 6]
    )
    ds = rg.flow(net, [1.0, 1.0, 1.0, 1.0], tensors=["K", "Theta"])
    k1 = 0.1 + 1.1
    k2 = 0.2 + 1.2 * k1
    t1 = 1 + 4.0
    t2 = 2 + 5 * k1 + 1.2 * t1
    np.testing.assert_allclose(ds["K"], [k1, k2, 0.3 + 1.3 * k2], rtol=1e-14)
    np.testing.assert_allclose(ds["Theta"], [t1, t2, 3 + 6 * k2 + 1.3 * t2], rtol=1e-14)
    np.testing.assert_array_equal(ds["fan_in"], [4, 5, 6])


@pytest.mark.parametrize("inputs", [1, 2])
def test_an_unstable_flow_knows_its_error(inputs):
    """Rounding at layer 1 doubles at every layer; the claimed error must follow it, and a claim of zero be refuted."""
    K = 10 / 9
    kernel = K if inputs == 1 else [[K, 0.4], [0.4, 1.1]]
    layers = 36
    C_W = Fraction(0.3)  # what the double 0.3 is
    net = rg.MLP.uniform(n_in=3, width=10, depth=layers, activation="z^2", C_W=0.3)
    ds = rg.flow(net, first_kernel=kernel, tensors="K", order=0)
    a, b, c = Fraction(K), Fraction(1.1), Fraction(0.4)
    refuted = False
    for layer in range(layers):
        exact = [a] if inputs == 1 else [a, b, c]
        found = np.ravel(ds["K"].values[layer])[[0] if inputs == 1 else [0, 3, 1]]
        claimed = float(ds["numerical_error"][0, layer])
        for value, truth in zip(found, exact, strict=True):
            off = abs(Fraction(float(value)) - truth)
            assert off <= Fraction(claimed), layer
            refuted = refuted or off > Fraction(1e-14) * truth
        a, b, c = (
            Fraction(round(3 * C_W * a * a * 2**400), 2**400),
            Fraction(round(3 * C_W * b * b * 2**400), 2**400),
            Fraction(round(C_W * (a * b + 2 * c * c) * 2**400), 2**400),
        )
    assert refuted


@pytest.mark.parametrize(
    ("sigma", "first", "A"), [("tanh", 1e-8, 2e-16), ("cos", 1e-4, 2.0e-16), ("gaussian", 1e-6, 1.4e-23)]
)
def test_cancellation_is_in_the_error(sigma, first, A):
    """The source of A is a variance of numbers near 1: at small K its digits are lost, and the claim says so."""
    ds = rg.flow(rg.MLP([2, 30, 30], sigma), first_kernel=first, tensors="A")
    assert abs(float(ds["A"][1]) - A) <= float(ds["numerical_error"].sel(coefficient="A")[1])


@pytest.mark.parametrize("kernel", [1e-8, 1.0, 1e3])
def test_a_bracket_that_vanishes_identically(kernel):
    """sigma^2 = 1 + z^2: d^4 is zero up to rounding of its terms, and K_1 = 0 exactly, for one and two inputs."""
    net = rg.MLP([2, 30, 30, 30], "sqrt(1 + z^2)")
    one = rg.flow(net, first_kernel=kernel, tensors="K")
    two = rg.flow(net, first_kernel=[[kernel, 0.3 * kernel], [0.3 * kernel, kernel]], tensors="K")
    for ds, found in ((one, one["K_1"].values), (two, two["K_1"].values[:, 0, 0])):
        assert (abs(found) <= ds["numerical_error"].sel(coefficient="K_1").values).all()


@pytest.mark.parametrize("kernel", [1e-8, 1.0, 1e9, 1e20])
def test_relu_knows_no_scale(kernel):
    """V / K^2 = 5/4 C_W^2 at layer 2 whatever the size of K."""
    ds = rg.flow(rg.MLP([2, 30, 30], "relu"), first_kernel=kernel, tensors="V")
    assert float(ds["V"][1]) / kernel**2 == pytest.approx(1.25, rel=1e-13)
