"""Jets: the parser, Faa di Bruno, and what is refused: rings, edges that do not join two jets, text that is no jet."""

from math import comb

import pytest

from rgflow import InputError, NotForest, Tensor
from rgflow.algebra.jets import Jet, activated, read_jets, write_jets
from rgflow.algebra.partitions import set_partitions
from rgflow.algebra.tensor import LETTERS


@pytest.mark.parametrize("letter", LETTERS)
def test_text_of_jets_is_read_back(letter):
    jets = LETTERS[letter][0]
    assert write_jets(read_jets(jets)) == jets
    assert read_jets(f"  {jets.replace('|', ' | ')} ") == read_jets(jets)


def test_edge_letters_are_names():
    assert read_jets("1q 2q") == read_jets("1e 2e") == ((Jet(1, (0,)), Jet(2, (0,))),)
    assert read_jets("1ba 2a|3b 4") == read_jets("1ab 2b|3a 4")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "0 jets"),
        ("1", "1 jets"),
        ("1 2 3", "3 jets"),
        ("1 2|", "0 jets"),
        ("1ee 2", "'1ee'"),
        ("e1 2e", "'e1'"),
        ("1E 2E", "'1E'"),
        ("1e 2", "occurs 1 times"),
        ("1e 2e|3e 4", "occurs 3 times"),
        ("-1 2", "'-1'"),
        ("1e2e", "'1e2e'"),
        ("__import__('os') 2", "is not a jet"),
    ],
)
def test_bad_jets(text, word):
    with pytest.raises(InputError, match=".*".join(word.split())):
        read_jets(text)


@pytest.mark.parametrize("ring", ["1ef 2ef", "1ef 2eg|3fg 4", "1ef 2fg|3gh 4he", "1e 2ef|3f 4|5gh 6gh"])
def test_rings_are_refused(ring):
    """Traces of Hessians, and longer rings, are outside the closure."""
    with pytest.raises(NotForest, match="ring"):
        Tensor.named(ring)


def test_faa_di_bruno_counts():
    """D_S sigma has as many terms with k blocks as Stirling's number of the second kind says."""

    def stirling(n, k):
        return k == n if n == 0 or k == 0 else k * stirling(n - 1, k) + stirling(n - 1, k - 1)

    for n in range(6):
        products = activated(Jet(1, tuple(range(n))))
        assert len(products) == len(set_partitions(n)) == sum(stirling(n, k) for k in range(n + 1))
        for k in range(n + 1):
            assert sum(p.factors == ((1, k),) for p in products) == stirling(n, k)
        for p in products:
            assert sorted(e for jet in p.jets for e in jet.edges) == list(range(n))
    assert [len(set_partitions(n)) for n in range(8)] == [1, 1, 2, 5, 15, 52, 203, 877]
    assert all(
        sum(comb(n, k) * len(set_partitions(k)) for k in range(n + 1)) == len(set_partitions(n + 1)) for n in range(6)
    )
