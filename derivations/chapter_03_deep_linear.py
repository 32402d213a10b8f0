r"""PDLT chapter 3: deep linear networks, exactly: K, V, V_1, V6, at and off criticality.

Assumptions: sigma(z) = z; C_b = 0, but for the last part; a Gaussian first layer; one input.

The way. With sigma(z) = z every average is a moment of a Gaussian, and the recursions close on powers of K: <s s> = K,
<s s s s> = 3 K^2, <d^2[s s]> = 2, and nothing higher. Each layer multiplies the metric by the mean square of n
Gaussian numbers, so that, exactly in every width,

    E[G^2] / E[G]^2 = prod_l (1 + 2/n_l),      E[G^3] / E[G]^3 = prod_l (1 + 2/n_l)(1 + 4/n_l),

the products over the hidden layers before. The expansion in 1/n must reproduce them term by term: V and V_1 are the
terms 1/n and 1/n^2 of the variance, V6 is the term 1/n^2 of the third cumulant E[G^3] - 3 E[G^2] E[G] + 2 E[G]^3.

Engine: rg.closed_form(rg.derive(...), "linear") for any widths, rg.solve(..., "linear") in the layer l.

Equation numbers: (3.21)-(3.24) for the recursion of the four-point correlator, (3.25), (3.29), (3.30) for its
solution; these have been seen in a public formalisation, not in the book.
"""

import sympy as sp

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


if __name__ == "__main__":
    steps()
    product_of_widths()
    in_the_layer()
    with_biases()
    print("\nequal to PDLT chapter 3, (3.25), (3.29), (3.30), order by order in 1/n")
