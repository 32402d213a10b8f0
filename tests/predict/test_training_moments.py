"""Averages of products of output jets: the index structure of PDLT's tensors, typed by hand."""

from fractions import Fraction

from rgflow.algebra.jets import Jet
from rgflow.predict.training.moments import moments, pairings
from rgflow.predict.training.trees import cost, kernel_diagrams, output_diagrams, weight


def found(jets, centred=frozenset(), order=1):
    """Each term as its letters with samples, and the pairs of jets that share a neuron."""
    return {
        (tuple((tensor.name, samples) for tensor, samples in moment.tensors), moment.pairs)
        for moment in moments(jets, centred, order)
        if moment.order == order
    }


def test_kernel_and_vertex():
    terms = found([Jet(i) for i in range(4)])
    letters = [term[0] for term in terms]
    assert sum(len(tensors) == 1 and tensors[0][0] == "V" for tensors in letters) == 3
    assert sum({name for name, _ in tensors} == {"K", "K_1"} for tensors in letters) == 6
    assert ((("V", (0, 1, 2, 3)),), ((0, 1), (2, 3))) in terms
    assert ((("V", (0, 2, 1, 3)),), ((0, 2), (1, 3))) in terms


def test_two_kernels():
    """E[dH_12 dH_34] = d12 d34 A + d13 d24 B_1324 + d14 d23 B_1423: jets 1e 2e 3f 4f."""
    jets = [Jet(1, (0,)), Jet(2, (0,)), Jet(3, (1,)), Jet(4, (1,))]
    assert found(jets, centred=frozenset({0, 1})) == {
        ((("A", (1, 2, 3, 4)),), ((0, 1), (2, 3))),
        ((("B", (1, 3, 2, 4)),), ((0, 2), (1, 3))),
        ((("B", (1, 4, 2, 3)),), ((0, 3), (1, 2))),
    }


def test_outputs_and_kernel():
    """E[z1 z2 dH_34] = d12 d34 (D_1234 + K Theta_1 + ..) + d13 d24 F_1324 + d14 d23 F_1423."""
    jets = [Jet(1), Jet(2), Jet(3, (0,)), Jet(4, (0,))]
    terms = found(jets, centred=frozenset({0}))
    assert {tensors for tensors, _ in terms} == {
        (("D", (1, 2, 3, 4)),),
        (("F", (1, 3, 2, 4)),),
        (("F", (2, 3, 1, 4)),),  # F_1423: it is symmetric under the exchange of its pairs
        (("K", (1, 2)), ("Theta_1", (3, 4))),
    }


def test_differential_and_output():
    """E[dH_012 z_3] = d03 d12 P_0123 + d01 d23 Q_0123 + d02 d13 Q_0213."""
    jets = [Jet(5, (0, 1)), Jet(1, (0,)), Jet(2, (1,)), Jet(3)]
    assert found(jets) == {
        ((("P", (5, 1, 2, 3)),), ((0, 3), (1, 2))),
        ((("Q", (5, 1, 2, 3)),), ((0, 1), (2, 3))),
        ((("Q", (5, 2, 1, 3)),), ((0, 2), (1, 3))),
    }
    assert found(jets, order=0) == set()


def test_second_differentials():
    """E[ddI_0123] = d01 d23 R_0123 + d02 d31 R_0231 + d03 d12 R_0312; ddII likewise with S_1234, T_1342, U_1423."""
    first = [Jet(5, (0, 1, 2)), Jet(1, (0,)), Jet(2, (1,)), Jet(3, (2,))]
    names = {(tensors[0][0], pairs) for tensors, pairs in found(first)}
    assert names == {("R", pairs) for pairs in pairings((0, 1, 2, 3))}
    second = [Jet(1, (0, 1)), Jet(2, (0, 2)), Jet(3, (1,)), Jet(4, (2,))]  # v3 in the Hessian of 1, v4 in that of 2
    assert found(second) == {
        ((("S", (1, 2, 3, 4)),), ((0, 1), (2, 3))),
        ((("T", (1, 3, 4, 2)),), ((0, 2), (1, 3))),
        ((("U", (1, 4, 2, 3)),), ((0, 3), (1, 2))),
    }


def test_a_mean_that_is_taken_off_and_an_odd_product():
    pair = [Jet(1, (0,)), Jet(2, (0,))]
    assert [moment.tensors[0][0].name for moment in moments(pair, frozenset(), 1)] == ["Theta", "Theta_1"]
    assert [moment.tensors[0][0].name for moment in moments(pair, frozenset({0}), 1)] == ["Theta_1"]
    assert moments([Jet(1), Jet(2), Jet(3)], frozenset(), 1) == ()


def test_trees():
    """Rooted trees with 1, 2, 3 edges: 1, 2, 4 of them; in drawings where children have an order 1, 2, 5."""
    bare = [forest for (forest,) in output_diagrams(1) if _plain(forest)]
    assert sorted(map(_edges, bare)) == [0, 1, 2, 2, 3, 3, 3, 3, 3]
    # 1/3! for three children, 1/2! for each drawing of two of which one has a child, and for a child with two
    assert sum(weight(forest) for forest in bare if _edges(forest) == 3) == Fraction(1, 6) + 3 * Fraction(1, 2) + 1
    assert [cost(d) for d in output_diagrams(0)] == [0, 0]
    assert kernel_diagrams(0) == ()
    assert len(kernel_diagrams(1)) == 2 + (2 + 1 + 2)


def _edges(forest):
    return sum(1 + _edges(node.children) + _edges(node.source or ()) for node in forest)


def _plain(forest):
    return all(node.source is None and not node.mean for node in forest)
