"""Recursions and systems as values: equality, hash, pickle, what they depend on, symmetry of what is derived."""

import pickle
import random
from fractions import Fraction
from itertools import product

import pytest
from exact_flow import evaluate
from oracles.exact_brackets import PolynomialBrackets
from oracles.tiny_networks import TinyNetwork
from oracles.tiny_tensors import brute_tensor

from rgflow import Dense, InputError, Tensor, UnknownName, closure, derive
from rgflow.algebra import Recursion, Term

LETTERS = "VADFBPQRSTU"


def test_equal_by_value():
    one, other = derive("V_1"), derive("V_1", layer=Dense())
    rebuilt = Recursion(one.tensor, one.samples, one.layer, tuple(Term(t.coefficient, *t.body) for t in one.terms))
    assert one == other == rebuilt
    assert hash(one) == hash(rebuilt)
    assert len({one, other, rebuilt, derive("1 2|3 4_1")}) == 1
    assert one not in (derive("V"), derive("V_1", samples="many"))


@pytest.mark.parametrize("samples", ["one", "many"])
def test_pickle(samples):
    """In memory, to another process: what comes back is equal, and hashes and prints alike."""
    for thing in (derive("A_1", samples=samples), closure(["V_1", "K_2"], samples=samples)):
        again = pickle.loads(pickle.dumps(thing))
        assert again == thing
        assert hash(again) == hash(thing)
        assert str(again) == str(thing)


def test_what_a_recursion_says_of_itself():
    rec = derive("K_1")
    assert (rec.name, rec.order, rec.samples, rec.layer) == ("K_1", 1, "one", "dense")
    assert rec.depends_on == ("K", "K_1", "V")
    assert derive("B").depends_on == ("B", "K", "Theta")
    assert any("n_(l)^(-1)" in line for line in rec.assumptions)
    assert any("dense" in line for line in rec.assumptions)
    assert repr(rec) == "<Recursion K_1: 2 terms, one input>"
    assert {b.orders for b in rec.brackets} == {(0, 0)}


def test_system():
    """Closed, each recursion after those that it needs from the layer below, found by name."""
    system = closure(["V_1", "A", "R"])
    names = list(system.names)
    for recursion in system:
        assert set(recursion.depends_on) <= set(names)
        assert all(names.index(d) <= names.index(recursion.name) for d in recursion.depends_on)
    assert system["A"] == derive("A")
    assert system["1e 2e|3f 4f"] == system["A"]
    assert len(system) == len(names) == len(set(names)) == len(system.tensors)
    assert set(system.brackets) == {b for rec in system for b in rec.brackets}
    with pytest.raises(UnknownName, match="recursion of this system"):
        system["V_2"]


def test_bad_questions():
    for bad in ("three", None, 1):
        with pytest.raises(InputError, match="samples"):
            derive("K", samples=bad)
        with pytest.raises(InputError, match="samples"):
            closure("K", samples=bad)
    with pytest.raises(InputError, match="no tensor is named"):
        closure([])
    with pytest.raises(InputError, match="not a layer"):
        derive("K", layer="dense")


# Symmetry ------------------------------------------------------------------------------------------------------------


def symmetric_state(source, names, inputs):
    state = {}
    for name in names:
        tensor = Tensor.named(name)
        values = {}
        for samples in product(range(inputs), repeat=2 * tensor.level):
            alike = min(tuple(samples[i] for i in s) for s in tensor.symmetries)
            values[samples] = values.setdefault(alike, Fraction(source.randint(-20, 20), source.randint(1, 9)))
        state[name] = values
    return state


@pytest.mark.parametrize(
    "name", [*LETTERS, "V6", "1e 2|3e 4|5 6", "1e 2f|3e 4g|5f 6g", "1ef 2|3e 4|5f 6", "Theta_1", "D_1"]
)
def test_derived_tensors_keep_their_symmetries(name):
    """A step with a symmetric state gives equal numbers for equal components, and different ones for others."""
    source = random.Random(name)
    recursion = derive(name, samples="many")
    state = symmetric_state(source, {*recursion.depends_on, "K"}, 3)
    brackets = PolynomialBrackets((0, 1, Fraction(1, 2), Fraction(1, 3)), state["K"]).many
    hyper = {"C_b": 1, "C_W": Fraction(2, 3), "lambda_b": Fraction(1, 5), "lambda_W": Fraction(3, 7)}
    known = {}

    def remembered(factors, pend=()):
        key = (tuple(sorted(factors)), tuple(sorted(pend)))
        if key not in known:
            known[key] = brackets(*key)
        return known[key]

    def at(samples):
        return evaluate(recursion, remembered, state, hyper, Fraction(5, 2), samples)

    samples = (0, 1, 2, 1, 0, 0)[: 2 * recursion.tensor.level]
    value = at(samples)
    symmetries = recursion.tensor.symmetries
    generators = symmetries if len(symmetries) <= 4 else source.sample(symmetries, 3)
    for symmetry in generators:
        assert at(tuple(samples[i] for i in symmetry)) == value


def test_exact_networks_have_the_symmetries():
    """Brute force over all weights of a small network: P, Q, R, S, T, U, ... are symmetric as their tensors say."""
    inputs, sigma = ((1, Fraction(1, 2)), (Fraction(-1, 3), 1)), (0, 1, Fraction(1, 3))
    hyper = ((Fraction(1, 5), 1), (Fraction(1, 2), Fraction(2, 3)), (Fraction(1, 4), 3), (Fraction(1, 3), 2))
    net = TinyNetwork((2, 1, 2), sigma, inputs, *hyper)
    for name in LETTERS:
        values = {s: brute_tensor(net, name, s) for s in product((0, 1), repeat=4)}
        symmetries = set(Tensor.named(name).symmetries)
        for samples, value in values.items():
            assert all(values[tuple(samples[i] for i in s)] == value for s in symmetries), name
        if name in "DFPQR":  # and not symmetric under one that their tensors do not list
            assert any(values[s] != values[s[1], s[2], s[3], s[0]] for s in values), name
