"""Derived recursions against PDLT's, typed by hand in ``sources/``: exact at random states; solutions in depth."""

import random
from fractions import Fraction
from itertools import product

import pytest
from exact_flow import evaluate, flow_one
from oracles.exact_brackets import PolynomialBrackets, ScaleInvariantBrackets
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
)

from rgflow import Tensor, closure, derive

SIGMA = (Fraction(1, 3), 1, Fraction(-1, 2), Fraction(1, 5), Fraction(-1, 7))
HYPER = ("C_b", "C_W", "lambda_b", "lambda_W")

# The equal components of each letter, as its definition has them (not taken from the package).
EQUAL = {
    "K": [(1, 0)],
    "V": [(1, 0, 2, 3), (2, 3, 0, 1)],
    "D": [(1, 0, 2, 3), (0, 1, 3, 2)],
    "F": [(2, 3, 0, 1)],
    "A": [(1, 0, 2, 3), (2, 3, 0, 1)],
    "B": [(2, 3, 0, 1), (1, 0, 3, 2)],
    "P": [(0, 2, 1, 3)],
    "Q": [],
    "R": [(0, 1, 3, 2)],
    "S": [(1, 0, 3, 2)],
    "T": [(3, 2, 1, 0)],
    "U": [(2, 3, 0, 1)],
} | {name: [(1, 0)] for name in ("Theta", "K_1", "Theta_1")}


def rational(source):
    return Fraction(source.choice([-1, 1]) * source.randint(1, 30), source.randint(1, 9))


def random_tensor(source, name, inputs):
    """Random rational components with the symmetries of the letter."""
    found = {}
    for samples in product(range(inputs), repeat=2 if name in ("K", "Theta", "K_1", "Theta_1") else 4):
        if samples not in found:
            value, waiting = rational(source), [samples]
            while waiting:
                component = waiting.pop()
                if component not in found:
                    found[component] = value
                    waiting += [tuple(component[i] for i in s) for s in EQUAL[name]]
    return found


@pytest.mark.parametrize("name", EQUAL)
def test_symmetries_are_those_of_the_definition(name):
    """The permutations that Tensor.symmetries lists are the group that the hand-typed ones generate."""
    generated = {tuple(range(2 * Tensor.named(name).level))}
    while True:
        grown = generated | {tuple(g[i] for i in s) for g in generated for s in EQUAL[name]}
        if grown == generated:
            break
        generated = grown
    assert set(Tensor.named(name).symmetries) == generated


@pytest.mark.parametrize("seed", range(3))
def test_one_input(seed):
    """All letters, Theta, K_1, Theta_1 at a random state, hyperparameters and width ratio; sigma of degree four."""
    source = random.Random(seed)
    state = {name: rational(source) for name in TENSORS}
    state["K"] = abs(state["K"])
    hyper, r = {name: rational(source) for name in HYPER}, rational(source)
    brackets = PolynomialBrackets.single(SIGMA, state["K"])
    expected = step(brackets.one, state, Parameters(*hyper.values(), r=r))
    assert {name: evaluate(derive(name), brackets, state, hyper, r) for name in TENSORS} == expected


@pytest.fixture(scope="module")
def two_inputs():
    """A random state of three inputs, its brackets, hyperparameters and width ratio."""
    source = random.Random(11)
    state = {name: random_tensor(source, name, 3) for name in TENSORS}
    brackets = PolynomialBrackets(SIGMA[:4], state["K"]).many
    hyper, r = {name: rational(source) for name in HYPER}, rational(source)
    known = {}

    def remembered(factors, pend=()):
        key = (tuple(sorted(factors)), tuple(sorted(pend)))
        if key not in known:
            known[key] = brackets(*key)
        return known[key]

    return remembered, state, hyper, r


@pytest.mark.parametrize("name", TENSORS)
def test_many_inputs(name, two_inputs):
    """Random samples among three inputs, coinciding ones included; cubic sigma with every power."""
    brackets, state, hyper, r = two_inputs
    sources = ManyInputs(brackets, state, Parameters(*hyper.values(), r=r))
    recursion = derive(name, samples="many")
    every = list(product(range(3), repeat=2 * recursion.tensor.level))
    chosen = random.Random(name).sample(every, 6) if len(every) > 9 else every
    for samples in [*chosen, *([(0, 0, 0, 0), (0, 1, 0, 1), (0, 0, 1, 1), (0, 1, 2, 0)] if len(every) > 9 else [])]:
        assert evaluate(recursion, brackets, state, hyper, r, samples) == getattr(sources, name)(*samples), samples


def test_four_different_inputs():
    """All letters once with four different samples, cubic sigma."""
    source = random.Random(12)
    state = {name: random_tensor(source, name, 4) for name in TENSORS}
    brackets = PolynomialBrackets(SIGMA[:4], state["K"]).many
    hyper, r = {name: rational(source) for name in HYPER}, rational(source)
    sources = ManyInputs(brackets, state, Parameters(*hyper.values(), r=r))
    for name in LETTERS:
        recursion = derive(name, samples="many")
        assert evaluate(recursion, brackets, state, hyper, r, (2, 0, 3, 1)) == getattr(sources, name)(2, 0, 3, 1), name


SLOPES = {
    "linear": (1, 1),
    "relu": (1, 0),
    "leaky_relu": (1, Fraction(1, 4)),
    "two slopes": (Fraction(2, 3), Fraction(-3, 2)),
}


@pytest.mark.parametrize("name", SLOPES)
def test_scale_invariant_solutions(name):
    """Closed forms in depth at criticality, exactly, over eight layers; written sigma'' = 0 almost everywhere."""
    slopes = SLOPES[name]
    A_2, A_4 = (sum(Fraction(a) ** k for a in slopes) / 2 for k in (2, 4))
    K = 1 / A_2
    hyper = {"C_b": 0, "C_W": 1 / A_2, "lambda_b": TEST_LAMBDA_B, "lambda_W": TEST_LAMBDA_W}
    first = first_layer(K, Parameters(*hyper.values()))
    system = closure([*LETTERS, "K_1", "Theta_1"])
    states = flow_one(system, lambda K: ScaleInvariantBrackets(slopes, K), first, [hyper] * 8, (1,) * 7)
    for layer, state in enumerate(states, 1):
        assert state == scale_invariant(layer, A_2, A_4, K, TEST_LAMBDA_B, TEST_LAMBDA_W), layer
    for letter, number in TEST_VALUES.get(name, {}).items():
        assert states[TEST_LAYER - 1][letter] == number
    assert len(states) == 8


def test_control_an_argument_in_the_wrong_place_is_noticed(two_inputs):
    """F, B, D, P, Q, ... read in another order of samples than PDLT's: the comparison fails."""
    brackets, state, hyper, r = two_inputs
    sources = ManyInputs(brackets, state, Parameters(*hyper.values(), r=r))
    for name in LETTERS:
        recursion = derive(name, samples="many")
        right, wrong = (0, 1, 2, 0), (1, 2, 0, 0)
        found = evaluate(recursion, brackets, state, hyper, r, right)
        assert found == getattr(sources, name)(*right) != getattr(sources, name)(*wrong), name
