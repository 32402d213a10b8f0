"""Every recursion for many inputs, with all samples equal, is term by term the recursion for one input."""

import pytest

from rgflow import closure, derive
from rgflow.algebra import Term

NEXT_ORDER = [f"{letter}_1" for letter in "VADFBPQRSTU"] + ["K_2", "Theta_2"]


def names_of(wanted):
    return closure(wanted, samples="many").names


@pytest.mark.parametrize("name", names_of(NEXT_ORDER))
def test_next_order_collapses(name):
    """All eleven letters with their first corrections, K_2, Theta_2 and what they depend on."""
    assert derive(name, samples="many").collapse() == derive(name)


def test_closures_agree():
    """One input and many close over the same tensors, in the same order: at next-to-leading order 55 besides K."""
    for wanted in (NEXT_ORDER, ["K_3"]):
        assert closure(wanted).names == closure(wanted, samples="many").names
    besides = [recursion for recursion in closure(NEXT_ORDER) if recursion.name != "K"]
    assert len(besides) == 55
    assert sum(len(recursion.terms) for recursion in besides) == 1123  # as counted once by another program


@pytest.mark.parametrize("name", names_of(["K_3"]))
def test_third_order_of_the_kernel_collapses(name):
    assert derive(name, samples="many").collapse() == derive(name)


def test_collapse_merges_terms():
    """A and T have terms that differ only in their samples: collapse adds their coefficients."""
    for name in ("A", "T", "A_1"):
        many, one = derive(name, samples="many"), derive(name)
        assert len(many.terms) > len(one.terms)
        assert sum(term.coefficient for term in many.terms) == sum(term.coefficient for term in one.terms)
        assert one.collapse() == one


def test_control_a_lost_term_does_not_collapse():
    """Dropping any term, changing any coefficient or power of r of a recursion for many inputs is noticed."""
    for name in ("V", "D", "A_1", "Theta_1", "T"):
        many, one = derive(name, samples="many"), derive(name)
        for i, term in enumerate(many.terms):
            halved = Term(term.coefficient / 2, *term.body)
            wider = Term(term.coefficient, term.symbols, term.r + 1, term.tensors, term.brackets)
            for changed in ((), (halved,), (wider,)):
                terms = (*many.terms[:i], *changed, *many.terms[i + 1 :])
                assert type(many)(many.tensor, "many", many.layer, terms).collapse() != one
