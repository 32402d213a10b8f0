r"""PDLT chapter 3: deep linear networks, exactly: K, V, V_1, V6, at and off criticality; ReLU networks beside them.

Assumptions: sigma(z) = z; C_b = 0, but for the last part; a Gaussian first layer; one input.

The way. With sigma(z) = z every average is a moment of a Gaussian, and the recursions close on powers of K: <s s> = K,
<s s s s> = 3 K^2, <d^2[s s]> = 2, and nothing higher. Each layer multiplies the metric by the mean square of n
Gaussian numbers, so that, exactly in every width,

    E[G^2] / E[G]^2 = prod_l (1 + 2/n_l),      E[G^3] / E[G]^3 = prod_l (1 + 2/n_l)(1 + 4/n_l),

the products over the hidden layers before. The expansion in 1/n must reproduce them term by term: V and V_1 are the
terms 1/n and 1/n^2 of the variance, V6 is the term 1/n^2 of the third cumulant E[G^3] - 3 E[G^2] E[G] + 2 E[G]^3.

With half of the Gaussian numbers cut off, relu at C_W = 2 has <s s s s> = 3/2 K^2 instead of 3 K^2, and K to itself:
the factor of each layer is 1 + (2^2 (3/2) - 1)/n = 1 + 5/n. After L such layers Var(q_L/q_0) = (1 + 5/n)^L - 1, and
with L = r n, n -> oo, e^{5 r} - 1.

Engine: rg.closed_form(rg.derive(...), "linear") for any widths, rg.solve(..., "linear") in the layer l.

Equation numbers: (3.21)-(3.24) for the recursion of the four-point correlator, (3.25), (3.29), (3.30) for its
solution; these have been seen in a public formalisation, not in the book.
"""

from functools import cache

import sympy as sp
from compare import equal, plain
from rows import row

import rgflow as rg

l, n, m = sp.symbols("l n m", integer=True, positive=True)
K, V, V_1, r, k = sp.Symbol("K", positive=True), *sp.symbols("V V_1", real=True), *sp.symbols("r k", positive=True)
C_b, C_W = sp.symbols("C_b C_W", nonnegative=True)
S_1, S_2 = sp.symbols("S_1 S_2", positive=True)

# One step, any widths: n = n_l, m = n_{l-1}, r = n/m
STEPS = {
    "K": C_b + C_W * K,
    "V": 2 * C_W**2 * K**2 + r * C_W**2 * V,
}

# In the layer, equal widths; h hidden layers have been passed
h = l - 1
MOMENT_2 = (1 + 2 / n) ** h
MOMENT_3 = ((1 + 2 / n) * (1 + 4 / n)) ** h
SOLUTIONS = {
    "K": k,
    "K_1": sp.S.Zero,
    "K_2": sp.S.Zero,
    "V": 2 * h * k**2,
    "V_1": 2 * h * (h - 1) * k**2,
    "V6": (12 * h**2 - 4 * h) * k**3,
}


def same(found: sp.Expr, typed: sp.Expr, what: str) -> None:
    """AssertionError unless two expressions are equal; by name, whatever else their symbols are known to be."""
    by_name = {s: sp.Symbol(s.name, positive=True) for e in (found, typed) for s in e.free_symbols}
    difference = sp.simplify((found - typed).subs(by_name, simultaneous=True))
    assert difference == 0, f"{what}: typed - derived = {difference}"
    shown = f"{what} = {typed}" if typed.count_ops() < 40 else what
    print(f"{shown}\n    equal to the formula typed by hand")


def coefficient(series: sp.Expr, power: int) -> sp.Expr:
    """Of n^-power, for any number of hidden layers."""
    x = sp.Symbol("x", positive=True)
    return sp.simplify(sp.diff(series.subs(n, 1 / x), x, power).subs(x, 0) / sp.factorial(power))


def steps() -> None:
    for name, typed in STEPS.items():
        same(rg.closed_form(rg.derive(name), "linear"), typed, f"{name}'")


def product_of_widths() -> None:
    """V/n and V_1/n^2 are the first and second symmetric sums of 2/n_l: those of prod (1 + 2/n_l), for any widths."""
    sums = {"K_1": 0, "V": m * K**2 * S_1, "V_1": m**2 * K**2 * S_2, "r": n / m}
    for name, power, grown in (("V", 1, S_1 + 2 / n), ("V_1", 2, S_2 + 2 / n * S_1)):
        step = rg.closed_form(rg.derive(name), "linear")
        put = {s: sums[s.name] for s in step.free_symbols if s.name in sums}
        same(step.subs(put) / n**power, C_W**2 * K**2 * grown, f"{name}'/n^{power}")


def in_the_layer() -> None:
    same(coefficient(MOMENT_2 - 1, 1) * k**2, SOLUTIONS["V"], "the term 1/n of prod (1 + 2/n) - 1, times k^2")
    same(coefficient(MOMENT_2 - 1, 2) * k**2, SOLUTIONS["V_1"], "its term 1/n^2, times k^2")
    third = coefficient(MOMENT_3 - 3 * MOMENT_2 + 2, 2)
    same(third * k**3, SOLUTIONS["V6"], "the term 1/n^2 of the third cumulant, times k^3")
    for name, typed in SOLUTIONS.items():
        same(rg.solve(name, "linear").expression, typed, f"{name}(l) at criticality")
        growth = C_W ** (rg.Tensor.named(name).level * h)
        same(rg.solve(name, "linear", C_W="symbolic").expression, typed * growth, f"{name}(l) at any C_W")


def with_biases() -> None:
    """C_b > 0: K has its fixed point C_b/(1 - C_W); the solution of V is put into its recursion, at every layer."""
    given = {"C_b": "symbolic", "C_W": "symbolic"}
    kernel, vertex = (rg.solve(name, "linear", **given).expression for name in ("K", "V"))
    layer = next(s for s in kernel.free_symbols if s.name == "l")
    fixed = C_b / (1 - C_W)
    same(kernel, fixed + C_W ** (layer - 1) * (k - fixed), "K(l)")
    step = STEPS["V"].subs({K: kernel, V: vertex, r: 1})
    same(vertex.subs(layer, layer + 1), step, "V(l+1), from V(l)")
    same(vertex.subs(layer, 1), sp.S.Zero, "V(1)")


# Rows of the book -----------------------------------------------------------------------------------------------------

EXACT = "tests/oracles/deep_linear.py: exact moments of deep linear networks; tests/oracles/product_law.py"
width, before, layer, weight, kernel = (sp.Symbol(x, positive=True) for x in ("n", "m", "l", "C_W", "k"))
small = sp.Symbol("epsilon", positive=True)  # counts powers of 1/width


def orders(expression: sp.Expr, highest: int = 2) -> list[sp.Expr]:
    """Coefficients of 1, epsilon, ..., epsilon^highest."""
    return [sp.diff(expression, small, p).subs(small, 0) / sp.factorial(p) for p in range(highest + 1)]


@cache
def in_depth(name: str, activation: str, **given: str) -> sp.Expr:
    return plain(rg.solve(name, activation, **given).expression)


@row("pdlt/deep_linear_recursion", witness=EXACT)
def deep_linear_recursion() -> dict[str, sp.Expr]:
    """G_4 = K^2 + V/m + V_1/m^2 behind m neurons; one layer on, behind n, to second order in both widths."""
    n, m = width / small, before / small
    typed = weight**2 + 2 * weight**2 / n
    k, v, v_1 = (sp.Symbol(x, positive=True) for x in ("K", "V", "V_1"))
    below = k**2 + v / m + v_1 / m**2
    at = {sp.Symbol(x, positive=True): y for x, y in {"C_b": 0, "K_1": 0, "r": n / m}.items()}
    new = {name: plain(rg.closed_form(rg.derive(name), "linear")).subs(at) for name in ("K", "V", "V_1")}
    derived = new["K"] ** 2 + new["V"] / n + new["V_1"] / n**2
    for found, wanted in zip(orders(derived), orders(sp.expand(typed * below)), strict=True):
        equal(found, wanted, "G_4 of the next layer")
    return {f"{name}'": plain(rg.closed_form(rg.derive(name), "linear")) for name in ("V", "V_1")}


@row("pdlt/deep_linear_closed_form", witness=EXACT)
def deep_linear_closed_form() -> dict[str, sp.Expr]:
    """G_4 of layer l to second order in 1/n; k is K of layer 1, C_W G_2 of the input. Then widths that differ."""
    n, input_square = width / small, kernel / weight
    typed = weight ** (2 * layer) * (1 + 2 / n) ** (layer - 1) * input_square**2
    typed_excess = (1 + 2 / n) ** (layer - 1) - 1
    K, V, V_1 = (in_depth(name, "linear", C_W="symbolic") for name in ("K", "V", "V_1"))
    derived = [K**2, V / width, V_1 / width**2]
    for found, wanted in zip(derived, orders(typed), strict=True):
        equal(found, wanted, "G_4")
    for found, wanted in zip([sp.Integer(0), *derived[1:]], orders(typed_excess), strict=True):
        equal(found / K**2, wanted, "G_4/G_2^2 - 1")
    typed_widths = (1 + 2 * small / 20) * (1 + 2 * small / 30) * (1 + 2 * small / 50)
    net = rg.MLP([1, 20, 30, 50, 1], "linear", C_W=1.3)
    last = rg.flow(net, first_kernel=1.0, tensors=["K", "V"], order=2).isel(layer=-1)
    flowed = [1.0, *(float(last[name] / last["K"] ** 2) / 50**power for power, name in enumerate(("V", "V_1"), 1))]
    for number, wanted in zip(flowed, orders(typed_widths), strict=True):
        assert abs(number / float(wanted) - 1) < 1e-12, (number, wanted)
    return {"K": K, "V": sp.factor(V), "V_1": sp.factor(V_1)}


@row("pdlt/relu_exact_variance", witness="tests/oracles/product_law.py: the exact law of the squared norm")
def relu_exact_variance() -> dict[str, sp.Expr]:
    """To third order in 1/n after L layers (layer L + 1); then the highest power of L = r n at each order."""
    L, ratio = sp.Symbol("L", positive=True), sp.Symbol("r", positive=True)
    typed = (1 + 5 * small / width) ** L - 1
    typed_limit = sp.exp(5 * ratio * small) - 1
    found = [sp.Integer(0)]
    for power, name in enumerate(("V", "V_1", "V_2"), start=1):
        found.append(sp.expand(in_depth(name, "relu").subs(layer, L + 1) / kernel**2 / width**power))
    for each, wanted, limit in zip(found, orders(typed, 3), orders(typed_limit, 3), strict=True):
        equal(each, wanted, "Var(q_L/q_0)")
        equal(sp.limit(each.subs(L, ratio * width), width, sp.oo), limit, "its limit")
    return {f"1/n^{power}": sp.factor(each) for power, each in enumerate(found) if power}


if __name__ == "__main__":
    steps()
    product_of_widths()
    in_the_layer()
    with_biases()
    for formula in (deep_linear_recursion, deep_linear_closed_form, relu_exact_variance):
        formula()
    print("\nequal to PDLT chapter 3, (3.25), (3.29), (3.30), order by order in 1/n")
