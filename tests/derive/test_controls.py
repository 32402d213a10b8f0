"""Negative controls: the engine with one piece broken is refused by a named comparison with an outside witness.

Each mutation drops a term, a symmetry factor, a sign or a width ratio of the derivation. Its witness is the exact
product law of ReLU networks, exact moments of finite networks with polynomial sigma, deep linear networks with two
inputs, or PDLT's formulas typed by hand. The witness passes with the engine as it is, and raises AssertionError with
the mutation.
"""

import importlib
import random
from fractions import Fraction
from functools import cache
from itertools import product

import pytest
from exact_flow import evaluate, flow_many, flow_one
from oracles.deep_linear import DeepLinear
from oracles.exact_brackets import PolynomialBrackets, ScaleInvariantBrackets
from oracles.polynomial_networks import coefficients
from oracles.product_law import coefficients as product_law
from sources.pdlt import TENSORS, Parameters
from sources.pdlt import step as pdlt_step

from rgflow import closure, derive
from rgflow.algebra.recursion import term_order
from rgflow.derive import hypergraphs, step
from rgflow.layers.affine import Affine
from rgflow.layers.law import Part

derive_module = importlib.import_module("rgflow.derive.derive")  # the package gives its function under this name

C_B, C_W, K1 = Fraction(1, 3), Fraction(4, 5), Fraction(3, 4)


# What does not depend on the engine is computed once
coefficients, product_law = cache(coefficients), cache(product_law)


# Witnesses -----------------------------------------------------------------------------------------------------------


def polynomial_networks():
    """K, K_1, K_2, V, V_1, V6 of finite networks with sigma = z/4 + z^2, widths 2n, 3n, 5n, one input, exactly.

    Four layers: K_1 starts at the third, and acts on the fourth.
    """
    sigma, multiples = (0, Fraction(1, 4), 1), (2, 3, 5)
    exact = coefficients(sigma, K1, C_B, C_W, multiples, highest=3, order=2)
    hyper = [{"C_b": C_B, "C_W": C_W}] * 4
    system = closure(["K_1", "K_2", "V_1", "V6"])
    states = flow_one(system, lambda K: PolynomialBrackets.single(sigma, K), {"K": K1}, hyper, multiples)
    compare(states, exact, ("K", "K_1", "K_2", "V", "V_1", "V6"))


def relu_product_law():
    """V, V_1, V6 and K_1 = K_2 = 0 of ReLU networks without biases, widths 2n, 3n, 5n, exactly."""
    multiples = (2, 3, 5)
    exact = product_law((1, 0), K1, C_W, multiples, 3, 2)
    hyper = [{"C_b": 0, "C_W": C_W}] * 4
    system = closure(["K_1", "K_2", "V_1", "V6"])
    states = flow_one(system, lambda K: ScaleInvariantBrackets((1, 0), K), {"K": K1}, hyper, multiples)
    compare(states, exact, ("K", "V", "V_1", "V6"))
    for state in states:
        assert state["K_1"] == state["K_2"] == 0


@cache
def deep_linear(gram, rows, multiples):
    return DeepLinear(gram, *rows).coefficients(multiples, order=2)


def deep_linear_networks():
    """A, B, D, F, Q, Theta with first corrections, P = 0: deep linear networks with two inputs, unequal widths."""
    gram = ((Fraction(5, 8), Fraction(1, 3)), (Fraction(1, 3), 2))
    depth, multiples = 3, (2, 3)
    rows = [tuple(Fraction(k + l, 5 - k + 2 * l) for l in range(depth)) for k in range(1, 5)]
    names = ("C_b", "C_W", "lambda_b", "lambda_W")
    hyper = [dict(zip(names, column, strict=True)) for column in zip(*rows, strict=True)]
    exact = deep_linear(gram, tuple(rows), multiples)
    both = list(product((0, 1), repeat=2))
    first = {
        "K": {p: rows[0][0] + rows[1][0] * Fraction(gram[p[0]][p[1]]) for p in both},
        "Theta": {p: rows[2][0] + rows[3][0] * Fraction(gram[p[0]][p[1]]) for p in both},
    }
    letters = ("A", "B", "D", "F", "Q", "V", "Theta", "Theta_1", "A_1", "B_1", "D_1", "F_1", "Q_1")
    system = closure([*letters, "P"], samples="many")
    states = flow_many(system, lambda K: PolynomialBrackets((0, 1), K), first, hyper, multiples, 2)
    compare(states, exact, letters)
    assert not any(any(state["P"].values()) for state in states)


def pdlt_one_input():
    """PDLT's fifteen formulas typed by hand, at a random rational state with sigma of degree four."""
    source = random.Random(3)
    state = {name: Fraction(source.randint(1, 30), source.randint(1, 9)) for name in TENSORS}
    hyper = {
        name: Fraction(source.randint(1, 30), source.randint(1, 9)) for name in ("C_b", "C_W", "lambda_b", "lambda_W")
    }
    r = Fraction(5, 3)
    sigma = (Fraction(1, 3), 1, Fraction(-1, 2), Fraction(1, 5), Fraction(-1, 7))
    brackets = PolynomialBrackets.single(sigma, state["K"])
    expected = pdlt_step(brackets.one, state, Parameters(*hyper.values(), r=r))
    for name in TENSORS:
        assert evaluate(derive(name), brackets, state, hyper, r) == expected[name], name


def compare(states, exact, names):
    compared = 0
    for state, row in zip(states, exact, strict=True):
        for name in names:
            if name in row:
                assert state[name] == row[name], name
                compared += 1
    assert compared >= len(states)


# Mutations: what is broken, and how ----------------------------------------------------------------------------------


def no_symmetry_of_equal_legs(patch):
    patch.setattr(hypergraphs, "_bare_weight", lambda legs: Fraction(1, 2 ** len(legs)))


def no_half_per_leg(patch):
    weight = hypergraphs._bare_weight
    patch.setattr(hypergraphs, "_bare_weight", lambda legs: weight(legs) * 2 ** len(legs))


def no_symmetry_of_equal_hyperedges(patch):
    """Undo the 1/copies! of equal hyperedges."""
    graphs = hypergraphs._bare_graphs

    def wrong(brackets, cost):
        found = []
        for edges, weight in graphs(brackets, cost):
            for edge in set(edges):
                for copy in range(edges.count(edge)):
                    weight *= copy + 1
            found.append((edges, weight))
        return tuple(found)

    patch.setattr(hypergraphs, "_bare_graphs", wrong)


def no_sign_in_cumulants(patch):
    """Moments added instead of subtracted: <ss><ss> with a plus."""
    cumulants = step._cumulants
    patch.setattr(step, "_cumulants", lambda blocks: ((abs(w), *rest) for w, *rest in cumulants(blocks)))


def no_factorial_in_cumulants(patch):
    """(m-1)! forgotten: felt first by a cumulant of three integrands over one neuron."""
    cumulants = step._cumulants
    patch.setattr(
        step, "_cumulants", lambda blocks: ((Fraction(w > 0) * 2 - 1, *rest) for w, *rest in cumulants(blocks))
    )


def no_width_ratio(patch):
    _on_terms(patch, lambda term: type(term)(term.coefficient, term.symbols, 0, term.tensors, term.brackets))


def width_ratio_once(patch):
    """r where r^2 belongs: felt first at the second order."""
    _on_terms(
        patch, lambda term: type(term)(term.coefficient, term.symbols, min(term.r, 1), term.tensors, term.brackets)
    )


def no_learning_of_weights(patch):
    """The lambda_W part of the integrand is lost."""
    patch.setattr(Affine, "integrand", lambda self, a, b: (Part(("C_W",), a, b),))


def disconnected_graphs(patch):
    patch.setattr(hypergraphs, "connected", lambda masks, vertices: True)


def no_contraction_to_theta(patch):
    dispositions = step._dispositions
    patch.setattr(step, "_dispositions", lambda jets: (legs for legs in dispositions(jets) if not legs.pairs))


def no_mixed_legs(patch):
    """Legs that take a jet and a bare field are forgotten: F transports nothing."""
    dispositions = step._dispositions
    patch.setattr(step, "_dispositions", lambda jets: (legs for legs in dispositions(jets) if not legs.mixed))


def no_shift_of_the_kernel(patch):
    """One-leg hyperedges (K_1, K_2, ...) are lost."""
    edges = hypergraphs._bare_edges
    patch.setattr(
        hypergraphs, "_bare_edges", lambda brackets, most: tuple(e for e in edges(brackets, most) if len(e[1]) > 1)
    )


def no_biases(patch):
    patch.setattr(Affine, "constants", lambda self, a, b: ())


def no_second_block_in_faa_di_bruno(patch):
    """D_S sigma keeps only sigma' z_S: sigma'' of the dNTK is lost."""
    activated = step.activated
    patch.setattr(step, "activated", lambda jet: activated(jet)[:1])


def _on_terms(patch, change):
    derived = step.step

    def wrong(*arguments):
        return tuple(sorted(map(change, derived(*arguments)), key=term_order))

    patch.setattr(derive_module, "step", wrong)


# Broken piece, witness, and the tensor by which the witness notices first
MUTATIONS = [
    (no_symmetry_of_equal_legs, polynomial_networks, "K_1"),
    (no_symmetry_of_equal_legs, pdlt_one_input, "K_1"),
    (no_half_per_leg, relu_product_law, "V"),
    (no_symmetry_of_equal_hyperedges, polynomial_networks, "V_1"),
    (no_sign_in_cumulants, relu_product_law, "V"),
    (no_sign_in_cumulants, polynomial_networks, "V"),
    (no_factorial_in_cumulants, relu_product_law, "V6"),
    (no_width_ratio, relu_product_law, "V"),
    (no_width_ratio, deep_linear_networks, "A"),
    (width_ratio_once, polynomial_networks, "V_1"),
    (no_learning_of_weights, deep_linear_networks, "A"),
    (no_learning_of_weights, pdlt_one_input, "Theta"),
    (disconnected_graphs, polynomial_networks, "V"),
    (no_contraction_to_theta, deep_linear_networks, "B"),
    (no_contraction_to_theta, pdlt_one_input, "Theta"),
    (no_mixed_legs, deep_linear_networks, "F"),
    (no_shift_of_the_kernel, polynomial_networks, "K_1"),
    (no_biases, deep_linear_networks, "Theta"),
    (no_biases, polynomial_networks, "K"),
    (no_second_block_in_faa_di_bruno, pdlt_one_input, "P"),
]


def forget():
    """Empty every cache of the derivation."""
    derive_module._derive.cache_clear()
    for cached in (hypergraphs._bare_edges, hypergraphs._bare_graphs, hypergraphs._without_clusters):
        if hasattr(cached, "cache_clear"):
            cached.cache_clear()


@pytest.fixture
def patch():
    """Monkeypatching of the engine, with caches that hold nothing broken before or after."""
    with pytest.MonkeyPatch.context() as patched:
        forget()
        yield patched
    forget()


@pytest.mark.parametrize("witness", [polynomial_networks, relu_product_law, deep_linear_networks, pdlt_one_input])
def test_witness_passes(witness):
    witness()


@pytest.mark.parametrize(
    ("mutation", "witness", "tensor"), MUTATIONS, ids=lambda x: x if isinstance(x, str) else x.__name__
)
def test_mutation_is_caught(mutation, witness, tensor, patch):
    mutation(patch)
    forget()
    with pytest.raises(AssertionError, match=rf"^{tensor}\b"):
        witness()
