r"""Yaida, Non-Gaussian processes: cumulants of a finite network's outputs, layer by layer, and inference with them.

Assumptions: z'_i = b_i + sum_j W_ij phi(z_j), Gaussian b and W, widths n; here K is the core kernel, V the vertex and S
the self-energy *with their powers of 1/n inside*: V = V_here/n, S = K_1/n of this package.

The way. Integrating out a layer leaves a random kernel Khat_ab = C_b + (C_W/n) sum_j phi_ja phi_jb, and given it the
next layer is Gaussian: S is its mean beyond K and V its covariance. What n neurons leave are fluctuations of their own,
C_W^2/n times a covariance over one neuron, and those of the layer below, turned by how averages change with the kernel:

    d<f>/dK_ef = (1/2)<d_e d_f f> = (1/2)<f He2_ef(z)>,       He2_ef = y_e y_f - K^-1_ef,  y = K^-1 z,

the second form without any derivative of phi. Twice over, He4. Behind one hidden layer both are exact: the layer below
is Gaussian. Where phi is scale-invariant Khat is a product of independent factors, one a layer, and its moments follow.

*Inference.* Given Khat it is Gaussian regression; averaged with the evidence as a weight, E[m(Khat) N(y)]/E[N(y)], and
expanded to 1/n (``finite_width_posterior`` has the steps). V enters with the regression on the training inputs taken
off each test index, Vr_(BA)(..) = V_(BA)(..) - M V_(A0 A)(..), M = K_BA Kt^-1, Kt = K_AA + noise.

Engine: rg.derive, rg.closed_form, rg.flow, rg.prior, rg.posterior.

Source: Yaida, "Non-Gaussian processes and neural networks at finite widths" (arXiv:1910.00019); equation numbers not
seen. Numbers were computed apart from this package.
"""

from __future__ import annotations

import itertools
import math
import warnings
from functools import cache

import numpy as np
import sympy as sp
from paper import C_W, K_1, C_b, E, Equation, K, V, b1, b2, b3, b4, r, s
from rows import check_rows, row

import rgflow as rg

EXACT = "tests/oracles/polynomial_networks.py: exact moments of finite networks"
SAMPLED = "tests/test_real_networks.py: sampled networks of three widths, one input and two"
BAYES = "tests/predict/test_posterior.py: exact posteriors by importance averages"

# Layer by layer -------------------------------------------------------------------------------------------------------


@row("non_gaussian_processes/first_layer", witness=SAMPLED)
def first_layer():
    x = np.array([[1.0, 0.5, -0.2], [0.3, -0.8, 1.1]])
    net = rg.MLP.uniform(n_in=3, width=50, depth=3, activation="tanh", C_b=0.1, C_W=1.5)
    ds = rg.flow(net, x, tensors=["K", "V", "K_1"], order=1).isel(layer=0)
    typed = 0.1 + 1.5 * x @ x.T / 3
    typed_V = 0
    typed_S = 0
    np.testing.assert_allclose(ds["K"].values, typed, rtol=1e-14)
    np.testing.assert_array_equal(ds["V"].values, np.full((2,) * 4, typed_V))
    np.testing.assert_array_equal(ds["K_1"].values, np.full((2, 2), typed_S))
    return {"K of the first layer": ds["K"].values}


@row("non_gaussian_processes/kernel", witness=EXACT)
def kernel():
    typed = C_b + C_W * E(s(1) * s(2))
    return Equation(K[1, 2], typed, "the core kernel")


@row("non_gaussian_processes/quartic_vertex", witness=EXACT)
def quartic_vertex():
    """Times n_l: with 1/n inside, V^{(l)} on the right is r V/n_l of this package."""
    typed = (
        C_W**2 * E(s(1) * s(2) * s(3) * s(4))
        - C_W**2 * E(s(1) * s(2)) * E(s(3) * s(4))
        + r * C_W**2 / 4 * V[b1, b2, b3, b4] * E(s(1) * s(2), d=(b1, b2)) * E(s(3) * s(4), d=(b3, b4))
    )
    return Equation(V[1, 2, 3, 4], typed, "the quartic vertex")


@row("non_gaussian_processes/self_energy", witness=EXACT)
def self_energy():
    """Times n_l."""
    typed = r * C_W / 2 * K_1[b1, b2] * E(s(1) * s(2), d=(b1, b2)) + r * C_W / 8 * V[b1, b2, b3, b4] * E(
        s(1) * s(2), d=(b1, b2, b3, b4)
    )
    return Equation(K_1[1, 2], typed, "the self-energy")


# Averages of phi = z^2 + z, exactly -----------------------------------------------------------------------------------

K11, K12, K22, c_W, c_b = (sp.Symbol(name, real=True) for name in ("K11", "K12", "K22", "C_W", "C_b"))
z1, z2 = sp.symbols("z1 z2", real=True)
KERNEL = sp.Matrix([[K11, K12], [K12, K22]])
INVERSE = KERNEL.inv()
PHI = (z1**2 + z1, z2**2 + z2)
Y = [sum(INVERSE[e, f] * (z1, z2)[f] for f in (0, 1)) for e in (0, 1)]
PUT = {K11: sp.Rational(7, 5), K12: sp.Rational(1, 3), K22: sp.Rational(4, 5), c_W: sp.Rational(3, 2), c_b: 0}


@cache
def moment(i: int, j: int) -> sp.Expr:
    """<z1^i z2^j> by Wick's theorem."""
    if i == j == 0:
        return sp.Integer(1)
    if i == 0:
        return (j - 1) * K22 * moment(0, j - 2) if j > 1 else sp.Integer(0)
    with_one = (i - 1) * K11 * moment(i - 2, j) if i > 1 else 0
    with_two = j * K12 * moment(i - 1, j - 1) if j else 0
    return sp.expand(with_one + with_two)


def average(f: sp.Expr) -> sp.Expr:
    """At the numbers of PUT."""
    terms = sp.Poly(sp.expand(sp.sympify(f).subs(PUT)), z1, z2).terms()
    return sum(c * moment(i, j).subs(PUT) for (i, j), c in terms)


@cache
def engine(name: str) -> sp.Expr:
    """The closed form of a recursion for this phi, at the numbers of PUT, with r = 1."""
    found = rg.closed_form(rg.derive(name, samples="many"), "z**2 + z")
    names = {symbol.name: value for symbol, value in PUT.items()} | {"r": 1}
    # a vertex with four samples, of which the last two are the first two again
    again = {"K13": "K11", "K14": "K12", "K23": "K12", "K24": "K22", "K33": "K11", "K34": "K12", "K44": "K22"}
    names |= {a: names[b] for a, b in again.items()}
    return found.subs({x: names[x.name] for x in found.free_symbols if x.name in names})


def coefficient(name: str, tensor: str, *places: int) -> sp.Expr:
    base = sp.IndexedBase(tensor)
    found = sp.expand(engine("K_1" if name == "S" else name))
    (here,) = [x for x in found.atoms(sp.Indexed) if x.base.name == base.name and x.indices == places]
    return found.coeff(here)


def second(e: int, f: int) -> sp.Expr:
    return Y[e] * Y[f] - INVERSE[e, f]


def fourth(e: int, f: int, g: int, h: int) -> sp.Expr:
    pairs = [((e, f), (g, h)), ((e, g), (f, h)), ((e, h), (f, g))]
    found = Y[e] * Y[f] * Y[g] * Y[h]
    for (a, b), (c, d) in pairs:
        found += INVERSE[a, b] * INVERSE[c, d] - INVERSE[a, b] * Y[c] * Y[d] - INVERSE[c, d] * Y[a] * Y[b]
    return found


@row("non_gaussian_processes/second_hermite_average", witness=EXACT)
def second_hermite_average():
    """The coefficient of S_ef in S'_12, over C_W/2, without a derivative of phi; e = f, and twice e < f."""
    for e, f in ((0, 0), (1, 1), (0, 1)):
        typed = average(PHI[0] * PHI[1] * second(e, f))
        derivative = average(sp.diff(PHI[0] * PHI[1], (z1, z2)[e], (z1, z2)[f]))
        found = coefficient("S", "K_1", e + 1, f + 1) * 2 / PUT[c_W] / (1 if e == f else 2)
        assert typed == derivative == found
    return {"D2 of 12;12": found}


@row("non_gaussian_processes/fourth_hermite_average", witness=EXACT)
def fourth_hermite_average():
    """The coefficient of V_(11)(22) in S'_12, over C_W/8, which it has twice: (11)(22) and (22)(11)."""
    typed = average(PHI[0] * PHI[1] * fourth(0, 0, 1, 1))
    derivative = average(sp.diff(PHI[0] * PHI[1], z1, 2, z2, 2))
    found = coefficient("S", "V", 1, 1, 2, 2) * 8 / PUT[c_W] / 2
    assert typed == derivative == found
    return {"D4 of 12;1122": found}


@row("non_gaussian_processes/second_hermite_tensor", witness=EXACT)
def second_hermite_tensor():
    """A second derivative of the Gaussian, over the Gaussian; its averages are those of the engine."""
    exponent = -sum(Y[e] * (z1, z2)[e] for e in (0, 1)) / 2
    for e, f in ((0, 0), (0, 1)):
        typed = Y[e] * Y[f] - INVERSE[e, f]
        ratio = sp.diff(sp.exp(exponent), (z1, z2)[e], (z1, z2)[f]) / sp.exp(exponent)
        assert sp.simplify(ratio - typed) == 0
        found = coefficient("S", "K_1", e + 1, f + 1) * 2 / PUT[c_W] / (1 if e == f else 2)
        assert average(PHI[0] * PHI[1] * typed) == found
    return {"He2 of 12": sp.factor(ratio.subs({K11: 1, K22: 1}))}


@row("non_gaussian_processes/fourth_hermite_tensor", witness=EXACT)
def fourth_hermite_tensor():
    exponent = -sum(Y[e] * (z1, z2)[e] for e in (0, 1)) / 2
    (e, f, g, h), k, y = (0, 0, 1, 1), INVERSE, Y
    typed = (
        y[e] * y[f] * y[g] * y[h]
        - k[e, f] * y[g] * y[h] - k[e, g] * y[f] * y[h] - k[e, h] * y[f] * y[g]
        - k[f, g] * y[e] * y[h] - k[f, h] * y[e] * y[g] - k[g, h] * y[e] * y[f]
        + k[e, f] * k[g, h] + k[e, g] * k[f, h] + k[e, h] * k[f, g]
    )  # fmt: skip
    ratio = sp.diff(sp.exp(exponent), z1, 2, z2, 2) / sp.exp(exponent)
    assert sp.simplify((ratio - typed).subs(PUT)) == 0
    found = coefficient("S", "V", 1, 1, 2, 2) * 8 / PUT[c_W] / 2
    assert average(PHI[0] * PHI[1] * typed) == found
    return {"average with phi_1 phi_2": found}


@row("non_gaussian_processes/integrating_out", witness=EXACT)
def integrating_out():
    """Of independent neurons at the core kernel: what a layer adds to the vertex, times n; and nothing to the mean."""
    G = average(PHI[0] * PHI[1])
    typed = PUT[c_W] ** 2 * average(PHI[0] ** 2 * PHI[1] ** 2) - PUT[c_W] ** 2 * G**2
    typed_S = 0
    found = sp.expand(engine("V"))
    alone = found.subs({x: 0 for x in found.atoms(sp.Indexed)})
    assert alone == typed
    mean = sp.expand(engine("K_1"))
    assert mean.subs({x: 0 for x in mean.atoms(sp.Indexed)}) == typed_S
    return {"n Cov(Khat_12, Khat_12)": alone}


@row("non_gaussian_processes/vertex_one_input", witness=EXACT)
def vertex_one_input():
    """For phi = z^2 + z, times n."""
    k, v, weight = sp.Symbol("K", positive=True), sp.Symbol("V", real=True), sp.Symbol("C_W", nonnegative=True)

    def one(f):
        terms = sp.Poly(sp.expand(f), z1).terms()
        return sum(c * k ** sp.Rational(i, 2) * sp.factorial2(i - 1) for (i,), c in terms if i % 2 == 0)

    phi = PHI[0]
    chi = weight / 2 / k**2 * one(phi**2 * (z1**2 - k))
    assert sp.expand(chi - weight * sp.diff(one(phi**2), k)) == 0
    typed = weight**2 * one(phi**4) - weight**2 * one(phi**2) ** 2 + chi**2 * v
    found = rg.closed_form(rg.derive("V"), "z**2 + z")
    found = found.subs({x: {"K": k, "V": v, "C_W": weight, "r": 1}[x.name] for x in found.free_symbols})
    assert sp.expand(found - typed) == 0
    return {"V of phi = z^2 + z": sp.factor(found)}


@row("non_gaussian_processes/first_hidden_layer", witness=EXACT)
def first_hidden_layer():
    """Behind one hidden layer the first correction of the kernel vanishes, and so do all corrections of the vertex."""
    net = rg.MLP.uniform(n_in=1, width=50, depth=3, activation="tanh", C_b=0.1, C_W=1.5)
    ds = rg.flow(net, first_kernel=0.8, tensors=["K_1", "K_2", "V_1"], order=2).sel(layer=2)
    typed = {"K_1": 0, "K_2": 0, "V_1": 0}
    for name, value in typed.items():
        assert float(ds[name]) == value
    return {name: float(ds[name]) for name in typed}


# Scale-invariant networks ---------------------------------------------------------------------------------------------

SLOPES = {"linear": (1, 1), "relu": (0, 1), "leaky_relu": (0.3, 1)}


def activation(name: str):
    return rg.activation("leaky_relu", slope=0.3) if name == "leaky_relu" else name


@cache
def critical_flow(name: str):
    """C_b = 0, any C_W: coefficients through 1/n^2, widths equal."""
    net = rg.MLP.uniform(n_in=1, width=20, depth=6, activation=activation(name), C_W=1.3)
    return rg.flow(net, first_kernel=1.0, tensors=["K", "K_1", "K_2", "V", "V_1"], order=2)


def product_through_second_order(ds) -> list[np.ndarray]:
    """E[Khat^2]/E[Khat]^2: coefficients of 1/n and 1/n^2 by layer, where K has no corrections."""
    assert np.abs(ds["K_1"].values).max() == np.abs(ds["K_2"].values).max() == 0
    return [ds[name].values / ds["K"].values ** 2 for name in ("V", "V_1")]


@row("non_gaussian_processes/scale_invariant_product", witness="tests/oracles/product_law.py: the exact product")
def scale_invariant_product():
    """Through 1/n^2, what the expansion can tell: prod (1 + c/n) over the layers passed."""
    n = sp.Symbol("n", positive=True)
    for name, (low, high) in SLOPES.items():
        A_2, A_4 = (high**2 + low**2) / 2, (high**4 + low**4) / 2
        typed_c = 3 * A_4 / A_2**2 - 1
        first, second = product_through_second_order(critical_flow(name))
        for passed in range(1, 6):
            powers = sp.Poly(sp.expand((1 + typed_c * n) ** passed), n).all_coeffs()[::-1]
            np.testing.assert_allclose(first[passed], float(powers[1]), rtol=1e-12)
            np.testing.assert_allclose(second[passed], float(powers[2]) if passed > 1 else 0, rtol=1e-11, atol=1e-12)
    return {"leaky relu, five layers, coefficients of 1/n and 1/n^2": (first[5], second[5])}


@row("non_gaussian_processes/scale_invariant_constants", witness="tests/oracles/product_law.py: the exact product")
def scale_invariant_constants():
    typed = {"linear": 2, "relu": 5, "leaky_relu": 4.0910}
    found = {name: float(rg.aspect_ratio(activation(name)).nu) for name in typed}
    for name, value in typed.items():
        assert abs(found[name] - value) < 5.1e-5, name
    return found


@row("non_gaussian_processes/scale_invariant_fourth_moment", witness="tests/oracles/product_law.py: the exact product")
def scale_invariant_fourth_moment():
    """At order 1/n, from the fourth cumulant of an output: 3 V/n; at 1/n^2 as E[z^4] = 3 E[Khat^2], with V_1."""
    n, hidden, x = 1000, 4, sp.Symbol("x")
    for name, c in (("linear", 2), ("relu", 5)):
        both = rg.prior(rg.MLP([1, *[n] * hidden, 2], name, C_W=1.3), [[1.0]])
        fourth = both.cumulant([0] * 4, [0] * 4) + 3 * both.kernel_infinite[0, 0] ** 2
        found = fourth / 3 / both.kernel_infinite[0, 0] ** 2 - 1
        typed = (1 + c * x) ** hidden - 1
        at_infinity, first, second = (float(sp.diff(typed, x, k).subs(x, 0) / math.factorial(k)) for k in range(3))
        assert at_infinity == 0
        assert abs(found * n / first - 1) < 1e-9
        assert abs(product_through_second_order(critical_flow(name))[1][hidden] / second - 1) < 1e-11
    return {"relu, 4 hidden layers of 1000": found}


@row("non_gaussian_processes/scale_invariant_self_energy", witness="tests/oracles/product_law.py: the exact product")
def scale_invariant_self_energy():
    typed = 0
    for name in SLOPES:
        assert np.abs(critical_flow(name)["K_1"].values).max() == typed
    return {"K_1": 0.0, "K": critical_flow("relu")["K"].values[-1]}


@row("non_gaussian_processes/depth_width_law", witness="tests/oracles/product_law.py: the exact product")
def depth_width_law():
    """Equal widths: c times hidden layers over width."""
    for name, c in (("linear", 2), ("relu", 5)):
        ds = critical_flow(name)
        typed = c * 5 / 20
        assert abs(float((ds["V"] / ds["K"] ** 2 / ds["fan_in"])[-1]) / typed - 1) < 1e-12
    return {"relu, 5 hidden layers of 20": typed}


@row("non_gaussian_processes/relu_brackets", witness="tests/oracles/product_law.py: the exact product")
def relu_brackets():
    """<phi^2> in K', and <phi^4> - <phi^2>^2 in V'."""
    k = sp.Symbol("K", positive=True)
    typed_second = k / 2
    typed_fourth = 3 * k**2 / 2
    weights = {"C_W": 1, "C_b": 0, "r": 1, "V": 0, "K": k}
    found = []
    for name in ("K", "V"):
        closed = rg.closed_form(rg.derive(name), "relu")
        found.append(sp.expand(closed.subs({x: weights[x.name] for x in closed.free_symbols})))
    assert sp.expand(found[0] - typed_second) == 0
    assert sp.expand(found[1] + found[0] ** 2 - typed_fourth) == 0
    return {"<phi^2>": found[0], "<phi^4>": found[1] + found[0] ** 2}


# Numbers --------------------------------------------------------------------------------------------------------------


@cache
def small_flow(name: str, n: int):
    net = rg.MLP.uniform(n_in=2, width=n, depth=4, activation=name, C_b=0.1, C_W=1.5)
    return rg.flow(net, first_kernel=np.array([[1, 0.4], [0.4, 0.7]]), tensors=["K", "V", "K_1"], order=1)


def to_digits(found: np.ndarray, typed: list[float], unit: float) -> None:
    """Half a unit of the last digit, and what binary numbers add."""
    np.testing.assert_allclose(found, typed, rtol=0, atol=0.501 * unit)


@row("non_gaussian_processes/tanh_values_wide", witness=SAMPLED)
def tanh_values_wide():
    ds, n = small_flow("tanh", 100), 100
    typed_K = [0.69144, 0.59256, 0.55277]
    typed_V = [0.00219, 0.00213, 0.00204]
    typed_other = [0.00267, 0.00320, 0.00335]
    typed_S = [0, -0.00050, -0.00082]
    to_digits(ds["K"].values[1:, 0, 0], typed_K, 1e-5)
    to_digits(ds["V"].values[1:, 0, 0, 0, 0] / n, typed_V, 1e-5)
    to_digits(ds["V"].values[1:, 0, 1, 0, 1] / n, typed_other, 1e-5)
    to_digits(ds["K_1"].values[1:, 0, 0] / n, typed_S, 1e-5)
    return {"V_0000": ds["V"].values[1:, 0, 0, 0, 0] / n, "S_00": ds["K_1"].values[1:, 0, 0] / n}


@row("non_gaussian_processes/tanh_values_narrow", witness=SAMPLED)
def tanh_values_narrow():
    typed = [0, -0.00199, -0.00326]
    found = small_flow("tanh", 25)["K_1"].values[1:, 0, 0] / 25
    to_digits(found, typed, 1e-5)
    return {"S_00": found}


@row("non_gaussian_processes/gelu_values", witness=SAMPLED)
def gelu_values():
    typed = {100: 0.01840, 25: 0.0736}
    found = {n: float(small_flow("gelu", n)["V"].values[3, 0, 0, 0, 0]) / n for n in typed}
    for n, value in typed.items():
        to_digits(found[n], value, 1e-5 if n == 100 else 1e-4)
    return {f"n = {n}": value for n, value in found.items()}


@row("non_gaussian_processes/product_values", witness="tests/oracles/product_law.py: the exact product")
def product_values():
    """The engine's c of each activation, to the fourth power of 1 + c/20: 4 hidden layers of width 20."""
    typed = {"linear": 1.4641, "relu": 2.4414, "leaky_relu": 2.1052}
    found = {
        name: (1 + critical_flow(name)["V"].values[1] / critical_flow(name)["K"].values[1] ** 2 / 20) ** 4
        for name in typed
    }
    for name, value in typed.items():
        to_digits(found[name], value, 1e-4)
    return found


# The prior ------------------------------------------------------------------------------------------------------------

INPUTS = np.array([[1.0, 0.5], [-0.4, 0.8], [0.3, -0.9]])


@cache
def outputs():
    return rg.prior(rg.MLP([2, 300, 200, 2], "tanh", C_b=0.1, C_W=1.4), INPUTS)


@row("non_gaussian_processes/cumulants", witness=SAMPLED)
def cumulants():
    """Of every choice of two outputs and three inputs; K, S and V are those of the recursions, run by a flow."""
    both = outputs()
    ds = rg.flow(rg.MLP([2, 300, 200, 2], "tanh", C_b=0.1, C_W=1.4), INPUTS, tensors=["K", "V", "K_1"], order=1)
    last = ds.isel(layer=-1)
    k, v = last["K"].values + last["K_1"].values / 200, last["V"].values / 200
    for (i, a), (j, b) in itertools.product(itertools.product(range(2), range(3)), repeat=2):
        typed = (i == j) * k[a, b]
        assert abs(both.cumulant([i, j], [a, b]) - typed) < 1e-10
    for i, j, p, q in itertools.product(range(2), repeat=4):
        a, b, c, d = 0, 1, 2, 1
        typed_four = (
            (i == j) * (p == q) * v[a, b, c, d]
            + (i == p) * (j == q) * v[a, c, b, d]
            + (i == q) * (j == p) * v[a, d, b, c]
        )
        assert abs(both.cumulant([i, j, p, q], [a, b, c, d]) - typed_four) < 1e-11
    return {"of one output at the inputs 0, 1, 2, 1": both.cumulant([0] * 4, [0, 1, 2, 1])}


@row("non_gaussian_processes/vertex_symmetries", witness=SAMPLED)
def vertex_symmetries():
    found = small_flow("tanh", 100)["V"].values[-1]
    same = {
        "(ba)(cd)": np.allclose(found, found.transpose(1, 0, 2, 3), rtol=1e-12),
        "(cd)(ab)": np.allclose(found, found.transpose(2, 3, 0, 1), rtol=1e-12),
        "(ac)(bd)": np.allclose(found, found.transpose(0, 2, 1, 3), rtol=1e-3),
    }
    typed = {"(ba)(cd)": True, "(cd)(ab)": True, "(ac)(bd)": False}
    assert same == typed
    return {"V_(00)(11)": found[0, 0, 1, 1], "V_(01)(01)": found[0, 1, 0, 1]}


@row("non_gaussian_processes/prior_density", witness="tests/predict/test_prior.py: densities of sampled outputs")
def prior_density():
    """Two outputs at two inputs; over the Gaussian."""
    both = rg.prior(rg.MLP([2, 300, 200, 2], "tanh", C_b=0.1, C_W=1.4), INPUTS[:2])
    k, S, v = both.kernel_infinite, both.metric.change, both.metric.vertex
    z = sp.Matrix(2, 2, sp.symbols("z00 z01 z10 z11", real=True))  # output, input
    inverse = sp.Matrix(np.linalg.inv(k))

    @cache
    def d(*places):
        """Derivatives of the Gaussian over the Gaussian: d/dz_ia turns f N into (df/dz_ia - (K^-1 z_i)_a f) N."""
        if not places:
            return sp.Integer(1)
        (i, a), f = places[0], d(*sorted(places[1:]))
        return sp.expand(sp.diff(f, z[i, a]) - (inverse[a, :] * z[i, :].T)[0] * f)

    twice = sum(S[a, b] * d((i, a), (i, b)) for i in (0, 1) for a in (0, 1) for b in (0, 1))
    four = sum(
        v[a, b, c, e] * d(*sorted([(i, a), (i, b), (j, c), (j, e)]))
        for i, j in itertools.product((0, 1), repeat=2)
        for a, b, c, e in itertools.product((0, 1), repeat=4)
    )
    typed = 1 + twice / 2 + four / 8
    point = np.array([[0.9, -1.4], [1.3, 0.8]])
    normal = np.exp(-np.einsum("ia,ab,ib->", point, np.linalg.inv(k), point) / 2) / np.linalg.det(2 * np.pi * k)
    value = float(typed.subs(dict(zip(z, point.ravel(), strict=True)))) * normal
    found = float(both.density(point.T))
    assert abs(found / value - 1) < 1e-9
    return {"density at a point": found}


# The posterior --------------------------------------------------------------------------------------------------------

TRAIN, TEST, NOISE = slice(0, 2), slice(2, 3), 0.1
TARGETS = np.array([[0.7, -0.4], [-0.2, 0.5]])  # input, output


class Regression:
    """What the formulas take: a = Kt^-1 y, M, and S and V with the regression subtracted from test indices."""

    def __init__(self, kernel, change, vertex, y):
        self.u = np.linalg.inv(kernel[TRAIN, TRAIN] + NOISE * np.eye(2))
        self.a, self.n_out, self.y = self.u @ y, y.shape[1], y
        self.M = kernel[TEST, TRAIN] @ self.u
        self.hat = np.concatenate([-self.M, np.eye(1)], axis=1)  # a test index less its regression
        self.S, self.V = change, vertex
        self.label = self.a @ self.a.T - self.n_out * self.u
        self.kernel = kernel

    def take(self, tensor, *places):
        """Indices "A": training inputs; "B": test inputs; "r": test inputs less their regression."""
        for axis, place in enumerate(places):
            tensor = np.moveaxis(tensor, axis, 0)
            tensor = (
                {"A": tensor[TRAIN], "B": tensor[TEST]}.get(place)
                if place != "r"
                else np.tensordot(self.hat, tensor, 1)
            )
            tensor = np.moveaxis(tensor, 0, axis)
        return tensor


@cache
def inference():
    net = rg.MLP([2, 300, 200, 2], "tanh", C_b=0.1, C_W=1.4)
    ds = rg.posterior(net, (INPUTS[TRAIN], TARGETS), INPUTS[TEST], NOISE)
    both = outputs()
    return Regression(both.kernel_infinite, both.metric.change, both.metric.vertex, TARGETS), ds


@row("non_gaussian_processes/posterior_mean", witness=BAYES)
def posterior_mean():
    at, ds = inference()
    V, a, u = at.take(at.V, "r", "A", "A", "A"), at.a, at.u
    typed = (
        at.take(at.S, "r", "A") @ a
        + np.einsum("bxyz,xi,yz->bi", V, a, a @ a.T) / 2
        - at.n_out * np.einsum("bxyz,xi,yz->bi", V, a, u) / 2
        - np.einsum("bxyz,xy,zi->bi", V, u, a)
    )
    found = ds["mean_shift"].values
    np.testing.assert_allclose(found, typed, rtol=1e-9)
    return {"shift of the mean": found}


@row("non_gaussian_processes/posterior_covariance", witness=BAYES)
def posterior_covariance():
    at, ds = inference()
    S, together, apart = at.take(at.S, "r", "r"), at.take(at.V, "r", "r", "A", "A"), at.take(at.V, "r", "A", "r", "A")
    one, a, u = np.eye(2), at.a, at.u
    typed = (
        np.einsum("ij,bc->bcij", one, S)
        + np.einsum("ij,bcxy,xy->bcij", one, together, a @ a.T) / 2
        - at.n_out * np.einsum("ij,bcxy,xy->bcij", one, together, u) / 2
        + np.einsum("bxcy,xi,yj->bcij", apart, a, a)
        - np.einsum("bxcy,ij,xy->bcij", apart, one, u)
    )
    found = ds["covariance_shift"].values
    np.testing.assert_allclose(found, typed, rtol=1e-8)
    return {"shift of the covariance of outputs": found[0, 0]}


def evidence_hermite_of(at):
    """Summed over outputs, contracted with V/8."""
    return at.take(at.V, "A", "A", "A", "A"), at.u, at.a @ at.a.T


@row("non_gaussian_processes/evidence_hermite", witness=BAYES)
def evidence_hermite():
    """The part of V in the log evidence; summed over outputs, 1 gives their number and delta_ij gives it once."""
    at, ds = inference()
    V, u, aa = evidence_hermite_of(at)
    n_out = at.n_out
    typed = (
        np.einsum("wxyz,wx,yz->", V, aa, aa)
        - n_out * np.einsum("wxyz,wx,yz->", V, u, aa)
        - n_out * np.einsum("wxyz,yz,wx->", V, u, aa)
        + n_out**2 * np.einsum("wxyz,wx,yz->", V, u, u)
        - 4 * np.einsum("wxyz,wy,xz->", V, u, aa)
        + 2 * n_out * np.einsum("wxyz,wy,xz->", V, u, u)
    )
    of_S = np.einsum("xy,xy->", at.take(at.S, "A", "A"), at.label) / 2
    found = float(ds["log_evidence_shift"]) - of_S
    np.testing.assert_allclose(found, typed / 8, rtol=1e-8)
    return {"V in the log evidence": found}


@row("non_gaussian_processes/log_evidence", witness=BAYES)
def log_evidence():
    at, ds = inference()
    V, u, aa = evidence_hermite_of(at)
    n_out = at.n_out
    he2 = aa - n_out * u
    he4 = (
        np.einsum("wx,yz->wxyz", he2, he2)
        - 4 * np.einsum("wy,xz->wxyz", u, aa)
        + 2 * n_out * np.einsum("wy,xz->wxyz", u, u)
    )
    leading = -np.trace(at.y.T @ u @ at.y) / 2 - n_out * np.linalg.slogdet(2 * np.pi * np.linalg.inv(u))[1] / 2
    typed = leading + np.sum(at.take(at.S, "A", "A") * he2) / 2 + np.sum(V * he4) / 8
    found = float(ds["log_evidence_infinite"] + ds["log_evidence_shift"])
    np.testing.assert_allclose(found, typed, rtol=1e-9)
    np.testing.assert_allclose(float(ds["log_evidence_shift"]), typed - leading, rtol=1e-7)
    return {"log evidence": found}


@cache
def exact_linear(n: int, y: float = 0.5):
    """One hidden layer of linear neurons, one input to train on: Khat is a gamma variable, its averages integrals."""
    x, x_test, noise = 1.0, 0.6, 0.3
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    g = np.exp(nodes * math.sqrt(2 / n))  # times the density of chi^2_n/n in ln g, over the Gaussian's
    log = n / 2 * np.log(g) - n / 2 * g + nodes**2 / 2
    weights = weights * np.exp(log - log.max())
    weights = weights / weights.sum()
    variance = x * x * g + noise
    density = np.exp(-(y**2) / 2 / variance) / np.sqrt(2 * np.pi * variance)
    mean = x_test * x * g / variance * y
    net = rg.MLP([1, n, 1], "linear")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rg.DomainWarning)
        ds = rg.posterior(net, ([[x]], [y]), [[x_test]], noise)
    data = weights * density / np.sum(weights * density)
    exact = float(np.sum(data * mean))
    spread = x_test**2 * g - (x_test * x * g) ** 2 / variance
    return {
        "m": mean, "N": density, "w": weights,
        "mean": exact,
        "covariance": float(np.sum(data * (spread + (mean - exact) ** 2))),
        "log evidence": float(np.log(np.sum(weights * density))),
        "engine": {name: float(np.ravel(ds[name])[0]) for name in ("mean", "covariance", "log_evidence")},
        "infinite": float(np.ravel(ds["mean_infinite"])[0]),
    }  # fmt: skip


@row("non_gaussian_processes/importance_identity", witness=BAYES)
def importance_identity():
    """In an exact case, at n = 4000, where what the engine leaves out is below 1e-8; without the weight it is far."""
    exact = exact_linear(4000)
    numerator, denominator = (np.sum(exact["w"] * f) for f in (exact["m"] * exact["N"], exact["N"]))
    typed = numerator / denominator
    found = exact["engine"]["mean"]
    assert abs(found - typed) < 1e-8
    unweighted = np.sum(exact["w"] * exact["m"])
    assert abs(found - unweighted) > 1e-6
    return {"posterior mean": found}


@row("non_gaussian_processes/residual_order", witness=BAYES)
def residual_order():
    """Of posterior mean, covariance and log evidence, n = 1600 to 3200; behind one hidden layer S = 0 exactly."""
    typed = -2
    slopes = {}
    for name in ("mean", "covariance", "log evidence"):
        engine = name.replace(" ", "_")
        left = [abs(exact_linear(n)[name] - exact_linear(n)["engine"][engine]) for n in (1600, 3200)]
        slopes[name] = math.log2(left[1] / left[0])
        assert abs(slopes[name] - typed) < 0.05
    return slopes


@row("non_gaussian_processes/expansion_fails", witness=BAYES)
def expansion_fails():
    """a^T K a is as large as N for likely labels; at a hundred times that half of the shift is wrong: the engine warns.

    What is wrong is seen in the exact case: one training input of kernel 1, noise 0.3, n = 100.
    """
    net = rg.MLP([2, 300, 200, 1], "tanh", C_b=0.1, C_W=1.4)
    typed = {1.0: True, 100.0: False}
    found = {}
    k = outputs().kernel_infinite[TRAIN, TRAIN]
    for size in typed:
        y = np.linalg.cholesky(k + NOISE * np.eye(2)) @ [math.sqrt(size), math.sqrt(size)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", rg.DomainWarning)
            found[size] = bool(rg.posterior(net, (INPUTS[TRAIN], y), INPUTS[TEST], NOISE)["trusted"])
        exact = exact_linear(100, 1.3 * math.sqrt(size))
        engine = exact["engine"]["mean"]
        wrong = abs(engine - exact["mean"]) / abs(engine - exact["infinite"])
        assert (wrong < 1 / 20) == typed[size] == (wrong < 1 / 2), wrong
    assert found == typed
    return {f"a^T K a = {size:g} N": "trusted" if ok else "not trusted" for size, ok in found.items()}


@row("non_gaussian_processes/hidden_unit_contraction", witness=BAYES)
def hidden_unit_contraction():
    """One hidden layer with phi = z^2/2 + z, where averages over a unit are sums over few nodes."""
    n, n_out, c_w = 100, 2, 1.2
    net = rg.MLP([2, n, n_out], "z**2/2 + z", C_b=0.1, C_W=c_w)
    first = 0.1 + c_w * INPUTS @ INPUTS.T / 2 + 1e-15 * np.eye(3)
    values, vectors = np.linalg.eigh(first)
    nodes, weights = np.polynomial.hermite_e.hermegauss(14)
    root = vectors * np.sqrt(np.maximum(values, 0))
    grid = np.array(list(itertools.product(nodes, repeat=3))) @ root.T
    w = np.prod(list(itertools.product(weights, repeat=3)), axis=1) / math.sqrt(2 * np.pi) ** 3
    unit = grid**2 / 2 + grid

    def mean(f):
        return np.tensordot(w, f, 1)

    kernel = 0.1 + c_w * mean(unit[:, :, None] * unit[:, None, :])
    inverse = np.linalg.inv(kernel[TRAIN, TRAIN] + NOISE * np.eye(2))
    a = inverse @ TARGETS
    s_A = unit[:, TRAIN]
    rest = (unit[:, TEST] - s_A @ inverse @ kernel[TRAIN, TEST])[:, 0]
    t = s_A @ a
    T, u = np.sum(t * t, axis=1), np.einsum("ka,ab,kb->k", s_A, inverse, s_A)
    both = mean(rest[:, None] * t * (T - n_out * u)[:, None]) - mean(rest[:, None] * t) * mean(T - n_out * u)
    inner = mean((rest * u)[:, None] * t)
    outer = mean(rest[:, None] * s_A) @ inverse @ mean(s_A[:, :, None] * t[:, None, :])
    typed = c_w**2 / (2 * n) * both - c_w**2 / n * inner + c_w**2 / n * outer
    ds = rg.posterior(net, (INPUTS[TRAIN], TARGETS), INPUTS[TEST], NOISE)
    found = ds["mean_shift"].values[0]
    np.testing.assert_allclose(found, typed, rtol=1e-8)
    return {"shift of the mean": found}


if __name__ == "__main__":
    check_rows(globals())
