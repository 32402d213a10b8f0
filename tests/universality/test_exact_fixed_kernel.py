"""Exact solutions of smooth sigma at a critical fixed point: polynomials in l with averages as coefficients."""

from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
from mpmath import mp
from oracles.deep_linear import DeepLinear
from oracles.exact_brackets import PolynomialBrackets

from rgflow import MLP, Tensor, activation, closure, flow
from rgflow.brackets import reference
from rgflow.brackets.leibniz import leibniz
from rgflow.errors import NoClosedForm
from rgflow.universality.averages import average_at, bracket_node, closed, normal_form, odd
from rgflow.universality.exact import SYMBOLS, K, fixed_kernel, homogeneous
from rgflow.universality.exponentials import l

NAMES = ("Theta", "V", "A", "B", "D", "F", "P", "Q", "R", "S", "T", "U", "K_1", "Theta_1", "V_1", "V6")
gelu, swish = activation("gelu"), activation("silu")
K_GELU = (3 + sp.sqrt(17)) / 2
# PDLT's half-stable points, recomputed to 12 digits from <s s''> = 0, C_W = 1/<s's'>, C_b = K - C_W <ss>
SWISH = {"K": 14.3201736180, "C_W": 1.98800467827, "C_b": 0.555143170722}
GELU = {"K": 3.56155281281, "C_W": 1.98305825744, "C_b": 0.172922390756}
RATES = {SYMBOLS["lambda_b"]: sp.Rational(1, 2), SYMBOLS["lambda_W"]: sp.Rational(3, 4)}


def numbers(sigma, kernel):
    return lambda orders, pending: average_at(sigma, bracket_node(orders, pending), kernel)


def put_in(expression, sigma, kernel):
    """Numbers for the averages, C_W and the learning rates of a formula."""
    averages = {
        node: numbers(sigma, kernel)(tuple(map(int, node.args[0])), int(node.args[1])) for node in nodes(expression)
    }
    return expression.xreplace(averages).subs({SYMBOLS["C_W"]: 1 / numbers(sigma, kernel)((1, 1), 0), **RATES})


def nodes(expression):
    return sorted(expression.atoms(sp.core.function.AppliedUndef), key=sp.default_sort_key)


@pytest.fixture(scope="module")
def solved():
    return fixed_kernel(closure(NAMES))


def test_a_line_is_the_homogeneous_solution(solved):
    """sigma = z at C_W = 1, where every K is fixed: averages are (w-1)!! K^{w/2}, and both ways must agree."""
    average = closed(activation("linear"))
    other = homogeneous(closure(NAMES), average, {"C_b": sp.S.Zero, "C_W": sp.S.One, "k": K})
    for name in NAMES:
        formula = solved[name]
        values = {n: average(tuple(map(int, n.args[0])), int(n.args[1])) for n in nodes(formula)}
        assert sp.expand(formula.xreplace(values).subs(SYMBOLS["C_W"], 1) - other[name]) == 0, name


def test_a_line_is_the_deep_linear_network(solved):
    net = DeepLinear.uniform([[Fraction(2)]], 6, 0, 1, Fraction(1, 2), Fraction(3, 4))
    moments = PolynomialBrackets.single((0, 1), 2)
    for layer, row in enumerate(net.coefficients([1] * 5), start=1):
        for name in NAMES:
            formula = solved[name].subs({l: layer, SYMBOLS["C_W"]: 1, **RATES})
            values = {n: moments.one(tuple(map(int, n.args[0])), int(n.args[1])) for n in nodes(formula)}
            values = {n: sp.Rational(x.numerator, x.denominator) for n, x in values.items()}
            assert Fraction(str(formula.xreplace(values))) == row[name][next(iter(row[name]))], (name, layer)


@pytest.mark.parametrize(
    ("sigma", "typed", "kernel"), [(gelu, GELU, K_GELU), (swish, SWISH, None)], ids=["gelu", "silu"]
)
def test_flow_at_the_half_stable_point(solved, sigma, typed, kernel):
    """Numbers at K*, the point typed from the book; as close as its last typed digit allows."""
    kernel = sp.Float(str(typed["K"]), 30) if kernel is None else kernel
    tensors = [Tensor.named(name) for name in NAMES]

    def run(K, C_W, C_b):
        net = MLP.uniform(1, 1, 16, activation=sigma, C_b=C_b, C_W=C_W, lambda_b=0.5, lambda_W=0.75)
        return flow(net, first_kernel=K, tensors=tensors, order=2)

    ds = run(**typed)
    digit = {"K": 1e-10 if sigma == swish else 1e-11, "C_W": 1e-11, "C_b": 1e-12}
    moved = [run(**typed | {name: typed[name] + digit[name]}) for name in typed]
    for i, name in enumerate(NAMES):
        formula = put_in(solved[name], sigma, kernel)
        expected = np.array([float(formula.subs(l, layer)) for layer in range(1, 17)])
        allowed = (
            sum(np.abs(other[name] - ds[name]) for other in moved) + ds["numerical_error"][i] + 1e-14 * abs(expected)
        )
        assert np.all(np.abs(ds[name] - expected) <= allowed), name
        assert np.all(allowed <= 1e-8 * np.abs(expected).max()), name


def test_numbers_instead_of_symbols(solved):
    """Thirty digits carried through are the formula with thirty digits put in."""
    names = ("V", "T", "Theta_1")
    carried = fixed_kernel(closure(names), numbers=numbers(swish, sp.Float("14.3201736180", 30)))
    for name in names:
        later = put_in(solved[name], swish, sp.Float("14.3201736180", 30)).subs(l, 7)
        assert not nodes(carried[name])
        assert abs(carried[name].subs({l: 7, **RATES}) / later - 1) < 1e-24, name


def test_every_recursion_is_solved_at_every_layer(solved):
    """Put into the derived recursions: layer l on the right gives l + 1, averages as symbols.

    They are put in by Leibniz' rule on products, and not by the normal form that the solution uses.
    """
    products = {}

    def product(orders):
        if orders not in products:
            products[orders] = sp.Symbol("s" + "_".join(map(str, orders)))
        return products[orders]

    def bracket(orders, pending):
        terms = leibniz(tuple(map(int, orders)), int(pending))
        return sp.Add(*(times * product(orders) for times, orders in terms))

    # chi_perpendicular = chi_parallel = 1
    critical = {product((0, 2)): 0, product((1, 1)): 1 / SYMBOLS["C_W"]}
    function = sp.Function("Bracket")
    written = {name: x.replace(function, bracket).subs(critical) for name, x in solved.items()}
    below = {sp.Symbol(name, real=True): x for name, x in written.items()} | {sp.Symbol("r", positive=True): 1}
    for name in ("Theta", "V", "B", "F", "P", "Q", "U", "K_1"):
        right = closure(name)[name].to_sympy().replace(function, bracket).subs(critical).subs(below, simultaneous=True)
        assert sp.expand(right - written[name].subs(l, l + 1)) == 0, name


@pytest.mark.parametrize("orders", [(0, 2), (0, 4), (1, 3), (0, 6), (1, 2), (0, 1, 1, 2)])
@pytest.mark.parametrize("pending", [0, 1, 2])
def test_normal_form_of_averages(orders, pending):
    """Thirty-digit quadrature of both sides, for an activation without parity."""
    form = normal_form(orders, pending)
    with mp.workdps(30):
        one = reference(swish, [[0.7]], [(orders, pending)])
        other = sum(reference(swish, [[0.7]], [product]) * t.numerator / t.denominator for product, t in form.items())
        assert abs(one - other) < 1e-25


def test_odd_averages_vanish():
    assert odd(((0, 1), 0), -1)
    assert odd(((0, 1), 0), 1)
    assert odd(((0, 0, 1), 0), 1)
    assert not odd(((0, 0, 1), 0), -1)
    assert not odd(((0, 1), 0), 0)
    assert not odd(((0, 1), 1), -1)


def no_closed_form(sigma):
    def average(orders, pending):
        raise NoClosedForm("none here")

    return average


def test_an_average_at_a_kernel_that_is_no_double(monkeypatch):
    """Thirty digits at (3 + sqrt 17)/2: the closed form and the quadrature, which takes a double, agree."""
    exact = closed(gelu)((0, 0), 0).subs(K, K_GELU).n(30)
    assert average_at(gelu, bracket_node((0, 0)), K_GELU) == exact
    with monkeypatch.context() as patch:
        patch.setattr("rgflow.universality.averages.closed", no_closed_form)
        assert abs(average_at(gelu, bracket_node((0, 0)), K_GELU) / exact - 1) < 1e-25


def test_a_forgotten_condition_is_seen(solved):
    """Away from criticality the formulas are wrong: the flow of gelu at C_W = 2 leaves them at once."""
    net = MLP.uniform(1, 1, 4, activation=gelu, C_b=GELU["C_b"], C_W=2.0, lambda_b=0.5, lambda_W=0.75)
    ds = flow(net, first_kernel=GELU["K"], tensors=["V"])
    formula = put_in(solved["V"], gelu, K_GELU)
    assert abs(float(ds["V"][-1]) / float(formula.subs(l, 4)) - 1) > 1e-3
