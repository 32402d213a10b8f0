"""Negative controls: with one piece of a derivation broken, the step that rests on it refuses to be built.

The mutations of the engine at the end break :mod:`rgflow.derive.step` instead; then the last step differs.
"""

import importlib
from dataclasses import replace
from fractions import Fraction

import pytest

import rgflow as rg
from rgflow.algebra import Term
from rgflow.derive import history, hypergraphs, step
from rgflow.derive.steps import BrokenStep, build, contraction, direct, law, polynomials, worlds

derive_module = importlib.import_module("rgflow.derive.derive")  # the package gives its function under this name


@pytest.fixture
def patch():
    """Monkeypatching with derivations that are built anew."""
    with pytest.MonkeyPatch.context() as patched:
        forget()
        yield patched
    forget()


def forget():
    """Empty every cache of the derivation and of its steps."""
    remembered = (
        derive_module._derive,
        history._derivation,
        polynomials._field,
        hypergraphs._bare_edges,
        hypergraphs._bare_graphs,
        hypergraphs._without_clusters,
    )
    for cached in remembered:
        if hasattr(cached, "cache_clear"):
            cached.cache_clear()


def drop_a_set_partition(patch):
    patch.setattr(build, "set_partitions", lambda n, listed=build.set_partitions: listed(n)[:-1])


def one_set_partition_twice(patch):
    patch.setattr(build, "set_partitions", lambda n, listed=build.set_partitions: (*listed(n), listed(n)[-1]))


def drop_a_hypergraph(patch):
    listed = build.connected_graphs
    patch.setattr(build, "connected_graphs", lambda v, cost: listed(v, cost)[: -1 if cost else None])


def no_symmetry(patch):
    listed = build.connected_graphs
    patch.setattr(build, "connected_graphs", lambda v, cost: tuple((e, Fraction(1)) for e, _ in listed(v, cost)))


def wrong_sign_of_a_hypergraph(patch):
    listed = build.connected_graphs
    patch.setattr(
        build,
        "connected_graphs",
        lambda v, cost: tuple((e, -w if i == 1 else w) for i, (e, w) in enumerate(listed(v, cost))),
    )


def no_sign_of_moments(patch):
    listed = build.splits
    patch.setattr(build, "splits", lambda *of: tuple(each._replace(weight=abs(each.weight)) for each in listed(*of)))


def drop_a_placement_of_legs(patch):
    listed = build.splits
    patch.setattr(build, "splits", lambda *of: listed(*of)[:-1] if len(listed(*of)) > 1 else listed(*of))


def no_half_of_bare_legs(patch):
    """The halves are lost where terms are made."""
    made = build.contract

    def wrong(brackets, edges, weight, cost, one):
        ways, reason = made(brackets, edges, weight, cost, one)
        legs = sum(len(edge.legs) for edge in edges)
        return tuple(_times(way, 2**legs) for way in ways), reason

    patch.setattr(build, "contract", wrong)


def _times(way, number):
    return way._replace(term=replace(way.term, coefficient=way.term.coefficient * number))


def drop_a_contraction(patch):
    made = build.contract

    def wrong(*of):
        ways, reason = made(*of)
        return ways[:-1] if len(ways) > 1 else ways, reason

    patch.setattr(build, "contract", wrong)


def no_contraction_to_theta(patch):
    found = contraction._disposed
    patch.setattr(contraction, "_disposed", lambda *of: (each for each in found(*of) if not each.pairs))


def flipped_sign_of_a_diagram(patch):
    made = build.contract

    def wrong(brackets, edges, weight, cost, one):
        return made(brackets, edges, -weight if edges else weight, cost, one)

    patch.setattr(build, "contract", wrong)


def legs_without_a_half(patch):
    """The halves are lost where values are taken."""
    chosen = direct._chosen
    patch.setattr(
        direct, "_chosen", lambda bracket, legs: ((pairs, value * 2**legs) for pairs, value in chosen(bracket, legs))
    )


def no_second_block_in_faa_di_bruno(patch):
    found = contraction.activated
    patch.setattr(contraction, "activated", lambda jet: found(jet)[:1])


def no_learning_of_weights(patch):
    found = law.averaged
    for module in (law, build):
        patch.setattr(module, "averaged", lambda *of: found(*of)[:1])


def two_own_neurons_in_one(patch):
    patch.setattr(worlds, "together", lambda blocks, own: False)


def test_two_own_pasts_of_one_neuron_are_refused(patch):
    rec = rg.derive("V", samples="many", layer=rg.Residual(), closure="book")
    assert len(tuple(rec.steps)) == 6
    history._derivation.cache_clear()
    two_own_neurons_in_one(patch)
    with pytest.raises(BrokenStep, match=r"^step 2 "):
        _ = rec.steps


# What is broken, the tensor, and the words of the step that refuses
MUTATIONS = [
    (no_second_block_in_faa_di_bruno, "P", "step 1 "),
    (drop_a_set_partition, "V", "step 2 "),
    (one_set_partition_twice, "K_1", "step 2 "),
    (drop_a_hypergraph, "V_1", "step 3 "),
    (drop_a_hypergraph, "K_1", "step 3 "),
    (no_symmetry, "K_1", "step 3 "),
    (no_symmetry, "V_1", "step 3 "),
    (wrong_sign_of_a_hypergraph, "K_1", "step 3 "),
    (no_sign_of_moments, "V", "step 4 "),
    (drop_a_placement_of_legs, "V_1", "step 4 "),
    (no_half_of_bare_legs, "V", "diagram 2a of V "),
    (drop_a_contraction, "D", "diagram 1a of D "),
    (drop_a_contraction, "Theta_1", "diagram 1a of Theta_1 "),
    (no_contraction_to_theta, "Theta", "diagram 1a of Theta "),
    (no_contraction_to_theta, "B", "diagram 1a of B "),
    (flipped_sign_of_a_diagram, "K_1", "diagram 1a of K_1 "),
    (legs_without_a_half, "V", "diagram 2a of V "),
    (legs_without_a_half, "F", "diagram 2a of F "),
    (no_learning_of_weights, "Theta", "the coefficient of a term of Theta "),
]


@pytest.mark.parametrize(
    ("mutation", "name", "words"), MUTATIONS, ids=lambda x: x if isinstance(x, str) else x.__name__
)
@pytest.mark.parametrize("samples", ["one", "many"])
def test_a_broken_step_is_refused(mutation, name, words, samples, patch):
    rec = rg.derive(name, samples=samples)
    assert len(tuple(rec.steps)) == 6
    history._derivation.cache_clear()
    mutation(patch)
    with pytest.raises(BrokenStep, match=f"^{words}"):
        _ = rec.steps


# A recursion that is not what follows ---------------------------------------------------------------------------------


def other_coefficient(terms):
    return (*terms[:-1], replace(terms[-1], coefficient=terms[-1].coefficient * 2))


def flipped_sign(terms):
    return (replace(terms[0], coefficient=-terms[0].coefficient), *terms[1:])


def term_twice(terms):
    return (*terms, terms[0])


def no_width_ratio(terms):
    return (*terms[:-1], replace(terms[-1], r=0))


def a_term_too_many(terms):
    return (*terms, Term(Fraction(1, 7), (("C_b", 3),), 0, (), ()))


@pytest.mark.parametrize("change", [other_coefficient, flipped_sign, term_twice, no_width_ratio, a_term_too_many])
@pytest.mark.parametrize("name", ["V", "A", "K_1"])
def test_a_changed_recursion_is_refused(change, name):
    rec = rg.derive(name, samples="many")
    for terms in (change(rec.terms), rec.terms[1:]):
        with pytest.raises(BrokenStep, match=rf"{name} "):
            _ = replace(rec, terms=tuple(terms)).steps
    assert issubclass(BrokenStep, rg.RgflowError)


# The engine -----------------------------------------------------------------------------------------------------------


def engine_without_symmetry(patch):
    patch.setattr(hypergraphs, "_bare_weight", lambda legs: Fraction(1, 2 ** len(legs)))


def engine_without_signs(patch):
    listed = step._cumulants
    patch.setattr(step, "_cumulants", lambda blocks: ((abs(weight), *rest) for weight, *rest in listed(blocks)))


def engine_without_mixed_legs(patch):
    found = step._dispositions
    patch.setattr(step, "_dispositions", lambda jets: (legs for legs in found(jets) if not legs.mixed))


def engine_without_shifts(patch):
    edges = hypergraphs._bare_edges
    patch.setattr(hypergraphs, "_bare_edges", lambda b, most: tuple(e for e in edges(b, most) if len(e[1]) > 1))


@pytest.mark.parametrize(
    ("mutation", "name"),
    [
        (engine_without_symmetry, "K_1"),
        (engine_without_symmetry, "V_1"),
        (engine_without_signs, "V"),
        (engine_without_mixed_legs, "F"),
        (engine_without_shifts, "K_1"),
    ],
    ids=lambda x: x if isinstance(x, str) else x.__name__,
)
def test_steps_are_a_second_engine(mutation, name, patch):
    """What the engine of derive() gets wrong, its steps do not repeat."""
    mutation(patch)
    forget()
    rec = derive_module.derive(name, samples="many")
    with pytest.raises(BrokenStep, match=f"the coefficient of a term of {name} "):
        _ = rec.steps
