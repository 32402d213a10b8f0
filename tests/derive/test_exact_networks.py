"""Derived recursions against the exact moments of finite networks, coefficient by coefficient in 1/n."""

from fractions import Fraction

import pytest
from exact_flow import flow_many, flow_one
from oracles.deep_linear import DeepLinear
from oracles.exact_brackets import PolynomialBrackets, ScaleInvariantBrackets
from oracles.polynomial_networks import coefficients
from oracles.product_law import coefficients as product_law

from rgflow.derive import closure

POLYNOMIALS = {
    "linear": (0, 1),
    "square": (0, 0, 1),
    "mixed even and odd": (0, Fraction(2, 3), Fraction(1, 2)),
    "mixed with constant": (Fraction(1, 4), 1, Fraction(-1, 3)),
    "cubic": (0, 1, Fraction(1, 5), Fraction(-1, 6)),
}
C_B, C_W, K1 = Fraction(1, 3), Fraction(4, 5), Fraction(3, 4)
WITNESSED = ("K", "K_1", "K_2", "V", "V_1", "V6")


@pytest.mark.parametrize("multiples", [(1, 1, 1), (2, 3, 5)])
@pytest.mark.parametrize("name", POLYNOMIALS)
def test_polynomial_networks(name, multiples):
    """K to 1/n^2, V with V_1 and V6 over 4 layers (V6 of the cubic over 3), C_b != 0, also for widths 2n, 3n, 5n."""
    sigma = POLYNOMIALS[name]
    exact = coefficients(sigma, K1, C_B, C_W, multiples, highest=3, order=2) if name != "cubic" else None
    if exact is None:
        exact = coefficients(sigma, K1, C_B, C_W, multiples, highest=2, order=2)
        for row, short in zip(
            exact, coefficients(sigma, K1, C_B, C_W, multiples[:2], highest=3, order=2), strict=False
        ):
            row["V6"] = short["V6"]
    hyper = [{"C_b": C_B, "C_W": C_W}] * 4
    states = flow_one(
        closure(["K_2", "V_1", "V6"]), lambda K: PolynomialBrackets.single(sigma, K), {"K": K1}, hyper, multiples
    )
    compared = 0
    for state, row in zip(states, exact, strict=True):
        for tensor in WITNESSED:
            if tensor in row:
                assert state[tensor] == row[tensor], tensor
                compared += 1
    assert compared == (24 if name != "cubic" else 23)
    assert all(states[-1][tensor] != 0 for tensor in ("V", "V6"))


def test_fourth_order_of_the_kernel():
    """K to 1/n^4 of a mixed quadratic network over 3 layers."""
    sigma, multiples = POLYNOMIALS["mixed even and odd"], (2, 3)
    exact = coefficients(sigma, K1, C_B, C_W, multiples, highest=3, order=4)
    hyper = [{"C_b": C_B, "C_W": C_W}] * 3
    states = flow_one(closure("K_4"), lambda K: PolynomialBrackets.single(sigma, K), {"K": K1}, hyper, multiples)
    for state, row in zip(states, exact, strict=True):
        for tensor in ("K_1", "K_2", "K_3", "K_4", "V_1", "V_2", "V_3", "V6", "V6_1", "V6_2"):
            assert state[tensor] == row[tensor], tensor


@pytest.mark.parametrize("slopes", [(1, 0), (1, Fraction(1, 10)), (1, 1)], ids=["relu", "leaky_relu", "linear"])
def test_product_law(slopes):
    """One input, C_b = 0: the exact product law through V, V_1 and V6; K_1 = K_2 = 0."""
    multiples, depth = (2, 3, 5, 1), 5
    exact = product_law(slopes, K1, C_W, multiples, 3, 2)
    hyper = [{"C_b": 0, "C_W": C_W}] * depth
    states = flow_one(
        closure(["K_2", "V_1", "V6"]), lambda K: ScaleInvariantBrackets(slopes, K), {"K": K1}, hyper, multiples
    )
    for state, row in zip(states, exact, strict=True):
        assert state["K_1"] == state["K_2"] == 0
        for tensor in ("K", "V", "V_1", "V6"):
            assert state[tensor] == row[tensor], tensor


TANGENT = ("Theta", "Theta_1", "A", "B", "D", "F", "P", "Q", "R", "S", "T", "U", "V")


def test_deep_linear_networks_with_two_inputs():
    """All letters through their first correction, two inputs, unequal widths, biases: P = 0."""
    gram = ((Fraction(5, 8), Fraction(1, 3)), (Fraction(1, 3), 2))
    depth, multiples = 4, (2, 3, 5)
    rows = [tuple(Fraction(k + l, 5 - k + 2 * l) for l in range(depth)) for k in range(1, 5)]
    names = ("C_b", "C_W", "lambda_b", "lambda_W")
    hyper = [dict(zip(names, column, strict=True)) for column in zip(*rows, strict=True)]
    exact = DeepLinear(gram, *rows).coefficients(multiples, order=2)
    wanted = ["A_1", "B_1", "D_1", "F_1", "Q_1", "P", "V_1", "Theta_2", "K_2"]
    system = closure(wanted, samples="many")
    both = [(a, b) for a in (0, 1) for b in (0, 1)]
    first = {
        "K": {p: rows[0][0] + rows[1][0] * Fraction(gram[p[0]][p[1]]) for p in both},
        "Theta": {p: rows[2][0] + rows[3][0] * Fraction(gram[p[0]][p[1]]) for p in both},
    }
    states = flow_many(system, lambda K: PolynomialBrackets((0, 1), K), first, hyper, multiples, 2)
    for state, row in zip(states, exact, strict=True):
        for name in (
            "A",
            "A_1",
            "B",
            "B_1",
            "D",
            "D_1",
            "F",
            "F_1",
            "Q",
            "Q_1",
            "P",
            "V",
            "V_1",
            "Theta",
            "Theta_1",
            "Theta_2",
        ):
            assert state[name] == row[name], name
        assert not any(state["P"].values())
    assert all(any(states[-1][name].values()) for name in ("A_1", "B_1", "D_1", "F_1", "Q_1"))
