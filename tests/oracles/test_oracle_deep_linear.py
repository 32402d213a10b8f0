"""Exact deep linear tensors against brute force over every weight, and against the other oracles."""

from fractions import Fraction
from itertools import pairwise

import pytest

from oracles import polynomial_networks
from oracles.deep_linear import DeepLinear
from oracles.tiny_networks import TinyNetwork
from oracles.tiny_tensors import brute_tensor

INPUTS = ((1, Fraction(1, 2)), (Fraction(-1, 3), 2))
GRAM = tuple(tuple(sum(Fraction(p) * q for p, q in zip(x, y, strict=True)) / 2 for y in INPUTS) for x in INPUTS)
C_B = (Fraction(1, 5), Fraction(1, 3), Fraction(1, 2), Fraction(1, 7))
C_W = (Fraction(1, 2), Fraction(2, 3), Fraction(3, 2), Fraction(1))
LAMBDA_B = (Fraction(1, 4), Fraction(3, 7), Fraction(1, 2), Fraction(2))
LAMBDA_W = (Fraction(1, 3), Fraction(2), Fraction(1, 2), Fraction(3, 5))
LETTERS = ("V", "A", "B", "D", "F", "P", "Q", "R", "S", "T", "U")


def pair(hidden, bias=True):
    """The same network for the oracle and for brute force."""
    L = len(hidden) + 1
    C_b = C_B[:L] if bias else (0,) * L
    columns = (C_b, C_W[:L], LAMBDA_B[:L], LAMBDA_W[:L])
    return DeepLinear(GRAM, *columns), TinyNetwork((2, *hidden, 2), (0, 1), INPUTS, *columns)


@pytest.mark.parametrize("hidden", [(1,), (2,), (1, 1), (1, 2), (2, 1), (1, 1, 1)])
@pytest.mark.parametrize("samples", [(0, 1, 0, 1), (0, 0, 1, 1), (0, 1, 1, 1)])
def test_brute_force(hidden, samples):
    """Every letter at every layer index choice: gradients and Hessians of explicit polynomials in the weights."""
    exact, tiny = pair(hidden)
    last = exact.totals(hidden)[-1]
    for name in LETTERS:
        assert last[name][samples] == brute_tensor(tiny, name, samples), name


def test_brute_force_of_two_by_two():
    """Widths with every kind of loop at once; the cheap letters."""
    exact, tiny = pair((2, 2))
    last = exact.totals((2, 2))[-1]
    for name in ("V", "F", "B", "P", "Q", "S", "T", "U"):
        assert last[name][0, 1, 1, 1] == brute_tensor(tiny, name, (0, 1, 1, 1)), name


def test_means_by_brute_force():
    """K and Theta for two inputs."""
    exact, tiny = pair((2, 2))
    last = exact.totals((2, 2))[-1]
    for a, b in ((0, 0), (0, 1), (1, 1)):
        assert last["Theta"][a, b] == tiny.mean(tiny.ntk((0, 0), (a, b)))


def test_series_are_the_totals():
    """Enough orders give the whole polynomial in 1/n, which is the value at integer widths."""
    exact, _ = pair((1, 1, 1))
    multiples, order = (2, 3, 5), 9
    rows, n = exact.coefficients(multiples, order), 7
    totals = exact.totals([w * n for w in multiples])
    for row, total, w in zip(rows, totals, (1, *multiples), strict=True):
        for name, values in total.items():
            level = {"K": 1, "Theta": 1, "V6": 3}.get(name, 2)
            terms = [row[name if q == 0 else f"{name}_{q}"] for q in range(order - level + 2)]
            for samples, value in values.items():
                assert value == sum(term[samples] / Fraction(w * n) ** q for q, term in enumerate(terms))


def test_one_input_is_the_polynomial_network():
    """K, V, V6 with all corrections, from two oracles."""
    exact, _ = pair((1, 1, 1))
    other = polynomial_networks.coefficients((0, 1), C_B[0] + C_W[0] * GRAM[0][0], C_B, C_W, (2, 3, 5))
    for row, reference in zip(exact.coefficients((2, 3, 5), 3), other, strict=True):
        for name, value in reference.items():
            samples = (0,) * (2 if name[0] == "K" else 6 if name.startswith("V6") else 4)
            assert row[name][samples] == value


def test_p_vanishes_only_at_leading_order():
    """P = R = U = 0 at leading order; finite width makes them: P_1 = (Q_0123 + Q_0213) carried from the layer below."""
    rows = DeepLinear.uniform(GRAM, 4, 0, 1, 1, 1).coefficients((1, 1, 1))
    for below, row in pairwise(rows):
        assert not any(value for name in "PRU" for value in row[name].values())
        for (a, b, c, d), value in row["P_1"].items():
            carried = below["P_1"][a, b, c, d] + below["Q"][a, b, c, d] + below["Q"][a, c, b, d]
            assert value == carried
    assert any(rows[2]["P_1"].values())
