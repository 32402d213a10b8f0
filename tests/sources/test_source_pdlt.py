"""Hand-typed PDLT formulas: one input against many, against brute force, exact networks and the solutions in depth."""

import random
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from oracles import polynomial_networks
from oracles.deep_linear import DeepLinear
from oracles.exact_brackets import PolynomialBrackets, ScaleInvariantBrackets
from oracles.tiny_networks import TinyNetwork
from oracles.tiny_tensors import brute_tensor

from sources.pdlt import (
    LETTERS,
    TENSORS,
    TEST_LAMBDA_B,
    TEST_LAMBDA_W,
    TEST_LAYER,
    TEST_VALUES,
    ManyInputs,
    Parameters,
    first_layer,
    scale_invariant,
    step,
    vanishing_fixed_point,
)

SIGMA = (Fraction(1, 3), 1, Fraction(-1, 2), Fraction(1, 5))
ARGUMENTS = {name: 2 if name in ("K", "Theta", "K_1", "Theta_1") else 4 for name in TENSORS}


def rational(source):
    return Fraction(source.randint(-20, 20) or 7, source.randint(1, 9))


@pytest.mark.parametrize("seed", range(3))
def test_many_equal_inputs_are_one(seed):
    """Random state, hyperparameters and width ratio; exact equality of rational numbers."""
    source = random.Random(seed)
    state = {name: rational(source) for name in TENSORS}
    state["K"] = abs(state["K"])
    p = Parameters(*(rational(source) for _ in range(5)))
    brackets = PolynomialBrackets.single(SIGMA, state["K"])
    one = step(brackets.one, state, p)
    tensors = {name: (lambda *_, value=value: value) for name, value in state.items()}
    many = ManyInputs(brackets.many, tensors, p)
    for name in TENSORS:
        assert getattr(many, name)(*[0] * ARGUMENTS[name]) == one[name], name


def test_unused_sample_labels_do_not_matter():
    """Two labels of one input: the many-input formulas with a copied sample equal the one-input ones.

    Sums over beta run over both copies, whose single derivatives are not those of the merged sample.
    """
    source = random.Random(5)
    state = {name: rational(source) for name in TENSORS}
    p = Parameters(*(rational(source) for _ in range(5)))
    kernel = dict.fromkeys(product("xy", repeat=2), Fraction(3, 4))
    one = step(PolynomialBrackets.single(SIGMA, Fraction(3, 4)).one, state | {"K": Fraction(3, 4)}, p)
    tensors = {name: (lambda *_, value=value: value) for name, value in state.items()}
    many = ManyInputs(PolynomialBrackets(SIGMA, kernel).many, tensors, p)
    for name in TENSORS:
        assert getattr(many, name)(*"xyyx"[: ARGUMENTS[name]]) == one[name], name


@pytest.mark.parametrize("samples", [(0, 1, 0, 1), (0, 0, 1, 1), (1, 0, 1, 1)])
def test_second_layer_is_exact(samples):
    """At layer 2 nothing is neglected: every source term against brute force over all weights, sigma with sigma'''."""
    inputs, sigma = ((1, Fraction(1, 2)), (Fraction(-1, 3), 1)), (Fraction(1, 2), 1, Fraction(1, 3), Fraction(-1, 2))
    hyper = ((Fraction(1, 5), 1), (Fraction(1, 2), Fraction(2, 3)), (Fraction(1, 4), 3), (Fraction(1, 3), 2))
    net = TinyNetwork((2, 1, 2), sigma, inputs, *hyper)
    kernel = {(a, b): net.kernel(a, b) for a in (0, 1) for b in (0, 1)}
    gram = {pair: (value - hyper[0][0]) / hyper[1][0] for pair, value in kernel.items()}
    Theta = {pair: hyper[2][0] + hyper[3][0] * value for pair, value in gram.items()}
    p = Parameters(*(row[1] for row in hyper))
    many = ManyInputs(PolynomialBrackets(sigma, kernel).many, {"K": kernel, "Theta": Theta}, p)
    assert many.Theta(*samples[:2]) == net.mean(net.ntk((0, 0), samples[:2]))
    for name in LETTERS:
        assert getattr(many, name)(*samples) == brute_tensor(net, name, samples), name


def test_leading_order_of_deep_linear_networks():
    """All letters, two inputs, unequal widths, biases: the leading coefficients of exact networks."""
    gram = ((Fraction(5, 8), Fraction(1, 3)), (Fraction(1, 3), 2))
    L, multiples = 4, (2, 3, 5)
    hyper = tuple(tuple(Fraction(k + l, 5 - k + 2 * l) for l in range(L)) for k in range(1, 5))
    rows = DeepLinear(gram, *hyper).coefficients(multiples, order=2)
    for l in range(1, L):
        p = Parameters(*(row[l] for row in hyper), r=Fraction(multiples[l - 1], (1, *multiples)[l - 1]))
        many = ManyInputs(PolynomialBrackets((0, 1), rows[l - 1]["K"]).many, rows[l - 1], p)
        for name in TENSORS:
            for samples, value in rows[l][name].items():
                assert getattr(many, name)(*samples) == value, (l, name)


def test_kernel_and_vertex_of_polynomial_networks():
    """K, V, K_1 with transport through a nonlinear sigma, unequal widths: the coefficients of exact moments."""
    multiples, C_b, C_W = (2, 3, 5), Fraction(1, 5), Fraction(3, 4)
    rows = polynomial_networks.coefficients(SIGMA, Fraction(2, 3), C_b, C_W, multiples, highest=2, order=1)
    state = first_layer(Fraction(2, 3), Parameters(C_b, C_W, 1, 1))
    for row, width, below in zip(rows[1:], multiples, (1, *multiples), strict=False):
        p = Parameters(C_b, C_W, 1, 1, Fraction(width, below))
        state = step(PolynomialBrackets.single(SIGMA, state["K"]).one, state, p)
        assert row == {name: state[name] for name in row}
    assert set(rows[-1]) == {"K", "K_1", "V"}


@pytest.mark.parametrize(("name", "slopes"), [("linear", (1, 1)), ("relu", (1, 0)), ("leaky", (1, Fraction(1, 4)))])
def test_scale_invariant_closed_forms(name, slopes):
    """The closed forms solve the recursions exactly, and the printed numbers are theirs."""
    A_2, A_4 = (sum(Fraction(a) ** k for a in slopes) / 2 for k in (2, 4))
    K = 1 / A_2
    p = Parameters(0, 1 / A_2, TEST_LAMBDA_B, TEST_LAMBDA_W)
    state = first_layer(K, p)
    for layer in range(1, 7):
        closed = scale_invariant(layer, A_2, A_4, K, TEST_LAMBDA_B, TEST_LAMBDA_W)
        assert {key: state[key] for key in closed} == closed
        if layer == TEST_LAYER and name in TEST_VALUES:
            assert {key: closed[key] for key in TEST_VALUES[name]} == TEST_VALUES[name]
        state = step(ScaleInvariantBrackets(slopes, K).one, state, p)


class TanhBrackets:
    """Float brackets of tanh, derivatives as polynomials in t = tanh z, trapezoid in z/sqrt K (K <= 1)."""

    nodes = np.linspace(-9, 9, 73)
    weights = np.exp(-(nodes**2) / 2) * (nodes[1] - nodes[0]) / np.sqrt(2 * np.pi)

    def __init__(self, kernel):
        t = np.tanh(np.sqrt(kernel) * self.nodes)
        polynomial, self.derivatives = np.polynomial.Polynomial([0, 1]), []
        for _ in range(8):
            self.derivatives.append(polynomial(t))
            polynomial = polynomial.deriv() * np.polynomial.Polynomial([1, 0, -1])

    def one(self, orders, pending=0):
        terms = {tuple(sorted(orders)): 1}
        for _ in range(pending):
            grown = {}
            for key, count in terms.items():
                for i in range(len(key)):
                    new = tuple(sorted((*key[:i], key[i] + 1, *key[i + 1 :])))
                    grown[new] = grown.get(new, 0) + count
            terms = grown
        values = sum(count * np.prod([self.derivatives[k] for k in key], axis=0) for key, count in terms.items())
        return float(self.weights @ values)


def test_vanishing_fixed_point_asymptotics():
    """Asymptotics for tanh: amplitudes and powers of the layer.

    1/K = a l + c log l makes relative corrections of order log(l)/l, and the sums over layers with rates lambda_b/l
    of order log(l)^2/l; a wrong amplitude or power would not fall with depth.
    """
    lambda_b, lambda_W = 0.8, 0.6
    expected = vanishing_fixed_point(-2.0, lambda_b, lambda_W)
    Theta = lambda_b + lambda_W / 2
    state = first_layer(0.5, Parameters(0, 1, lambda_b, lambda_W))
    for layer in range(1, 2001):
        if layer in (1000, 2000):
            for name, amplitude in expected.items():
                assert abs(state[name] / amplitude(layer, Theta) - 1) < np.log(layer) ** 2 / layer / 2, (name, layer)
        state = step(TanhBrackets(state["K"]).one, state, Parameters(0.0, 1.0, lambda_b / (layer + 1), lambda_W))


def test_control_width_ratio_and_argument_order():
    """Forgetting r, or reading F, Q in another order of samples, is noticed by the exact deep linear network."""
    gram = ((Fraction(5, 8), Fraction(1, 3)), (Fraction(1, 3), 2))
    rows = DeepLinear.uniform(gram, 3, Fraction(1, 5), 2, 1, 3).coefficients((2, 3))
    E = PolynomialBrackets((0, 1), rows[1]["K"]).many
    right, wrong = (ManyInputs(E, rows[1], Parameters(Fraction(1, 5), 2, 1, 3, r)) for r in (Fraction(3, 2), 1))
    for name in ("V", "A", "B", "D", "F", "Q", "S", "T"):
        assert getattr(right, name)(0, 0, 0, 1) == rows[2][name][0, 0, 0, 1] != getattr(wrong, name)(0, 0, 0, 1)
    assert right.F(0, 1, 0, 1) == rows[2]["F"][0, 1, 0, 1] != right.F(0, 0, 1, 1)
    assert right.Q(0, 1, 0, 1) == rows[2]["Q"][0, 1, 0, 1] != right.Q(0, 0, 1, 1)
