"""Tensors: names, canonical form, symmetries, and how many there are, against enumeration by brute force."""

import pickle
import random
from itertools import combinations, permutations, product

import pytest

from rgflow import InputError, RgflowError, Tensor, UnknownName
from rgflow.algebra.jets import Jet
from rgflow.algebra.tensor import LETTERS, canonical

ELEVEN = "VADFBPQRSTU"


# Names ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("letter", LETTERS)
def test_letters(letter):
    jets = LETTERS[letter][0]
    tensor = Tensor.named(letter)
    assert tensor == Tensor.named(jets) == Tensor.named(f"G[{jets}]") == Tensor.named(tensor)
    assert tensor.name == tensor.letter == str(tensor) == letter
    assert (tensor.level, tensor.order, tensor.cost) == (jets.count("|") + 1, 0, jets.count("|"))
    for order in (1, 2, 10):
        corrected = Tensor.named(f"{letter}_{order}")
        assert (corrected.order, corrected.cost, corrected.name) == (order, tensor.cost + order, f"{letter}_{order}")
        assert corrected == Tensor.named(f"{jets}_{order}") == Tensor.named(corrected.name) != tensor


def test_other_tensors_carry_their_jets():
    """A name is read back as the same tensor, with the samples numbered by its arguments."""
    for jets in ("1e 2|3e 4|5 6", "7 8|1f 2|3f 4", "1ef 2|3e 4|5f 6", "1 2|3 4|5 6|7 8", "1e 2f|3e 4g|5f 6g"):
        tensor = Tensor.named(jets)
        assert tensor.name.startswith("G[")
        assert Tensor.named(tensor.name) == tensor == Tensor.of(tensor.pairs)
        assert Tensor.named(tensor.name + "_2").name == tensor.name + "_2"
        assert [jet.sample for pair in tensor.pairs for jet in pair] == list(range(1, 2 * tensor.level + 1))


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("W", UnknownName),
        ("theta", UnknownName),
        ("V__1", UnknownName),
        ("V_-1", UnknownName),
        ("", UnknownName),
        ("1 2|3", InputError),
        ("G[1 2", UnknownName),
        (3, InputError),
        (None, InputError),
    ],
)
def test_unknown_names(name, error):
    with pytest.raises(error) as caught:
        Tensor.named(name)
    assert isinstance(caught.value, RgflowError)


def test_suggestions():
    with pytest.raises(UnknownName, match="Theta"):
        Tensor.named("theta")
    for order in (-1, 1.0, True, None):
        with pytest.raises(InputError, match="order"):
            Tensor.of(Tensor.named("V").pairs, order)


def test_arguments_of_letters_are_those_of_their_jets():
    """Argument i of a letter is the jet that its definition numbers i."""
    for letter, (jets, _) in LETTERS.items():
        tensor = Tensor.named(letter)
        edges = {jet.sample: len(jet.edges) for pair in tensor.pairs for jet in pair}
        written = {int(w[0]): len(w) - 1 for part in jets.split("|") for w in part.split()}
        partners = {frozenset(int(w[0]) for w in part.split()) for part in jets.split("|")}
        assert edges == written
        assert {frozenset(jet.sample for jet in pair) for pair in tensor.pairs} == partners


# Canonical form ------------------------------------------------------------------------------------------------------


def random_pairs(source, level, labels):
    """A random forest on 2 * level jets, with random samples."""
    size = 2 * level
    jets = [[] for _ in range(size)]
    component = list(range(size))
    edge = 0
    every = list(combinations(range(size), 2))
    for a, b in source.sample(every, source.randint(0, min(size, len(every)))):
        if component[a] != component[b]:
            component = [component[a] if c == component[b] else c for c in component]
            jets[a].append(edge)
            jets[b].append(edge)
            edge += 1
    flat = [Jet(source.choice(labels), tuple(edges)) for edges in jets]
    return [(flat[2 * i], flat[2 * i + 1]) for i in range(level)], edge


def scrambled(source, pairs, edges):
    names = source.sample(range(20), edges)
    renamed = [[Jet(j.sample, tuple(sorted(names[e] for e in j.edges))) for j in pair] for pair in pairs]
    for pair in renamed:
        source.shuffle(pair)
    source.shuffle(renamed)
    return [tuple(pair) for pair in renamed]


@pytest.mark.parametrize("level", [1, 2, 3, 4])
@pytest.mark.parametrize(
    "labels", [range(1, 9), (0,), (1, 2), (1, 2, -1, -2)], ids=["different", "one", "two", "summed"]
)
def test_canonical_form_does_not_see_the_writing(level, labels):
    """Permuted pairs, swapped jets, renamed edges: the same structure and samples, also when samples repeat."""
    source = random.Random(level)
    for _ in range(60 if level < 4 else 10):
        pairs, edges = random_pairs(source, level, list(labels))
        assert canonical(pairs) == canonical(scrambled(source, pairs, edges))
        structure, samples = canonical(pairs)
        flat = [Jet(a, e) for a, e in zip(samples, (e for pair in structure for e in pair), strict=True)]
        again = [(flat[2 * i], flat[2 * i + 1]) for i in range(level)]
        assert canonical(again) == (structure, samples)


def test_canonical_form_sees_a_moved_sample():
    """Different samples exchanged within D's NTK pair are the same tensor component; across its pairs they are not."""
    one, two, three, four = Jet(1), Jet(2), Jet(3, (0,)), Jet(4, (0,))
    assert canonical([(one, two), (three, four)]) == canonical([(two, one), (four, three)])
    assert canonical([(one, two), (three, four)]) != canonical([(Jet(3), two), (Jet(1, (0,)), four)])


# Counting by brute force ---------------------------------------------------------------------------------------------


def forests(vertices, start=0, component=None):
    """All forests on labelled vertices, as tuples of edges."""
    component = component or tuple(range(vertices))
    yield ()
    every = list(combinations(range(vertices), 2))
    for i in range(start, len(every)):
        a, b = every[i]
        if component[a] != component[b]:
            merged = tuple(component[a] if c == component[b] else c for c in component)
            yield from ((every[i], *more) for more in forests(vertices, i + 1, merged))


def smallest(forest, level):
    """The smallest relabelling of a forest that keeps the matching (0 1)(2 3)...: one for each isomorphism class."""
    best = None
    for order in permutations(range(level)):
        for swaps in product((0, 1), repeat=level):
            place = {}
            for at, i in enumerate(order):
                place[2 * i], place[2 * i + 1] = 2 * at + swaps[i], 2 * at + 1 - swaps[i]
            moved = tuple(sorted(tuple(sorted((place[a], place[b]))) for a, b in forest))
            best = moved if best is None else min(best, moved)
    return best


@pytest.mark.parametrize(("level", "labelled", "count"), [(1, 2, 2), (2, 38, 11), (3, 2932, 103)])
def test_number_of_tensors(level, labelled, count):
    """Forests on 2k jets with their matching into pairs, up to isomorphism; canonical forms tell them apart."""
    every = list(forests(2 * level))
    assert len(every) == labelled
    found = set()
    for forest in every:
        jets = [Jet(v + 1, tuple(e for e, ends in enumerate(forest) if v in ends)) for v in range(2 * level)]
        structure = canonical([(jets[2 * i], jets[2 * i + 1]) for i in range(level)])[0]
        found.add((smallest(forest, level), structure))
    assert len(found) == len({form for form, _ in found}) == len({structure for _, structure in found}) == count
    names = {Tensor(structure).name for _, structure in found}
    assert len(names) == count
    assert all(Tensor.named(name).structure in {s for _, s in found} for name in names)
    if level == 2:
        assert names == set(ELEVEN)


# Symmetries ----------------------------------------------------------------------------------------------------------

SYMMETRIC = [*LETTERS, "1e 2|3e 4|5 6", "1e 2f|3e 4g|5f 6g", "1ef 2|3e 4|5f 6", "1e 2|3e 4f|5f 6", "1efg 2|3e 4f|5g 6"]


@pytest.mark.parametrize("name", SYMMETRIC)
def test_symmetries_form_a_group(name):
    symmetries = set(Tensor.named(name).symmetries)
    assert tuple(range(2 * Tensor.named(name).level)) in symmetries
    assert {tuple(a[i] for i in b) for a in symmetries for b in symmetries} == symmetries
    assert len(symmetries) == len(Tensor.named(name).symmetries)


@pytest.mark.parametrize("name", SYMMETRIC)
def test_symmetries_are_all_relabellings_that_change_nothing(name):
    """By brute force over all permutations of arguments, from the jets themselves."""
    tensor = Tensor.named(name)
    flat = {jet.sample: jet.edges for pair in tensor.pairs for jet in pair}
    partners = {frozenset(jet.sample for jet in pair) for pair in tensor.pairs}
    edges = {frozenset(a for a in flat if e in flat[a]) for e in {e for jet in flat.values() for e in jet}}
    found = set()
    for order in permutations(range(2 * tensor.level)):
        move = {a + 1: order[a] + 1 for a in range(len(order))}
        if {frozenset(map(move.get, p)) for p in partners} == partners and {
            frozenset(map(move.get, e)) for e in edges
        } == edges:
            found.add(order)
    assert set(tensor.symmetries) == found


@pytest.mark.parametrize(
    ("name", "size"), [("K", 2), ("V", 8), ("A", 8), ("D", 4), ("F", 2), ("B", 4), ("P", 2), ("V6", 48)]
)
def test_number_of_symmetries(name, size):
    assert len(Tensor.named(name).symmetries) == size


def test_values():
    """Equal, hashable, picklable."""
    tensor = Tensor.named("1e 2|3e 4|5 6_1")
    assert pickle.loads(pickle.dumps(tensor)) == tensor
    assert len({tensor, Tensor.named(tensor.name), Tensor.named("5 6|1f 2|3f 4_1")}) == 1
