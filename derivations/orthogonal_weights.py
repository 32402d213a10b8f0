r"""Orthogonal weights: the fourth cumulant of Haar matrices, the recursions that it changes, and what they do in depth.

Assumptions: z'_i = sum_j W_ij sigma(z_j), W = sqrt(C_W m/n) O, where O is the n' x n block of an m x m Haar matrix, m =
max(n, n'): orthonormal rows or columns, and Var W_ij = C_W/n. No random bias. Tangent directions are Gaussian.

*Fourth moments.* A Haar matrix is invariant under rotations of its rows and of its columns. That leaves four numbers,

    a = <O_11^4>, b = <O_11^2 O_12^2>, c = <O_11^2 O_22^2>, d = <O_11 O_12 O_21 O_22>,

and four equations: a rotation by 45 degrees of two columns, a row of norm 1 squared, a row of norm 1 with another, and
two orthogonal rows:

    a = (2 a + 6 b)/4,   a + (m - 1) b = <O_11^2> = 1/m,   b + (m - 1) c = 1/m,   b + (m - 1) d = 0.

*Fourth cumulant.* Given the layer below, z'_i = sum_j W_ij s_j and, for two different neurons, rotations of the columns
leave <z'_ia z'_ib z'_kc z'_kd> = C_W^2 m^2 (c g_ab g_cd + d (g_ac g_bd + g_ad g_bc)), g_ab = (1/n) sum_j s_ja s_jb.
Without C_W^2 g_ab g_cd, exactly,

    C_W^2/(m - 1) [2/(m + 2) g_ab g_cd - m/(m + 2) (g_ac g_bd + g_ad g_bc)],

so that at leading order n times the cumulant is -C_W^2 (n/m) (g_ac g_bd + g_ad g_bc). Nothing of this is there in the
parts with lambda_W. With a jet that is differentiated along e, s_a is sigma'_a z_e and <z_e z_e> = Theta: V, F and B
gain a term, and in D, A, P, Q the directions of no pair match. The corrections of the means are those of dense layers.

*Depth.* Linear layers: V' = 2 C_W^2 K^2 (1 - n/m) + r C_W^2 V. After a Gaussian first layer V stays 0 where widths are
equal or narrow; after a Haar one V = -2 K^2 n_{l-1}/n_l where they never narrow, which says that |z|^2 does not
fluctuate. ReLU: <s^4> - 3 <s s>^2 = (6 - 3) <s s>^2, so V = 3 K^2 (l - 1), with dense layers 5. K* = 0, with odd
sigma = z - a z^3/6 + ...: K' = K - a K^2, <s^4> - 3 <s s>^2 = -4 a K^3, chi_parallel^2 = 1 - 4 a K, and a K = 1/l give
for x = V/K^2

    x' = x (1 - 2/l) - 4/l + O(1/l^2),      x -> -2,

where dense layers have x' = x (1 - 2/l) + 2, x -> 2 l/3.

Engine: rg.derive(..., layer=rg.Orthogonal()), rg.closed_form, rg.solve, rg.flow.

Source: Day, Kahn, Roberts (arXiv:2310.07765), where fluctuations of orthogonal tanh networks do not grow with depth;
its equation numbers have not been seen. The moments are those of Weingarten's calculus.
"""

from itertools import pairwise

import numpy as np
import sympy as sp
from paper import C_W, D, E, Equation, Expression, F, Theta, V, b1, b2, b3, b4, ds, lambda_W, r, s, show

import rgflow as rg

HAAR = rg.Orthogonal()
m = sp.Symbol("m", positive=True)
MOMENTS = {
    "<O_11^4>": 3 / (m * (m + 2)),
    "<O_11^2 O_12^2>": 1 / (m * (m + 2)),
    "<O_11^2 O_22^2>": (m + 1) / ((m - 1) * m * (m + 2)),
    "<O_11 O_12 O_21 O_22>": -1 / ((m - 1) * m * (m + 2)),
}

narrowing = Expression.atom("symbol", "narrowing", ())  # n_l / max(n_l, n_{l+1})
SOURCE = "the fourth cumulant of Haar matrices (arXiv:2310.07765, equation numbers not seen)"


class OfHaar(Equation):
    """A formula for an orthogonal layer."""

    def derived(self) -> rg.Recursion:
        return rg.derive(self.name, samples="many" if self.samples else "one", layer=HAAR)


B = Expression.atom("tensor", "B", ())
g, h, chi = E(s * s), E(ds * ds), C_W * E(s * s, d=2) / 2
LAYER = (
    OfHaar(
        V[1, 2, 3, 4],
        C_W**2
        * (
            E(s(1) * s(2) * s(3) * s(4))
            - E(s(1) * s(2)) * E(s(3) * s(4))
            - narrowing * (E(s(1) * s(3)) * E(s(2) * s(4)) + E(s(1) * s(4)) * E(s(2) * s(3)))
        )
        + r * C_W**2 / 4 * V[b1, b2, b3, b4] * E(s(1) * s(2), d=(b1, b2)) * E(s(3) * s(4), d=(b3, b4)),
        SOURCE,
    ),
    OfHaar(V, C_W**2 * (E(s**4) - g**2 - 2 * narrowing * g**2) + r * chi**2 * V, SOURCE),
    OfHaar(
        F,
        C_W**2 * Theta * (E(s * s * ds * ds) - narrowing * g * h) + r * C_W**2 * F * E(s * ds, d=1) ** 2,
        SOURCE,
    ),
    OfHaar(B, C_W**2 * Theta**2 * (E(ds**4) - narrowing * h**2) + r * C_W**2 * B * h**2, SOURCE),
    OfHaar(
        D,
        C_W * lambda_W * (E(s**4) - g**2)
        + C_W**2 * Theta * (E(s * s * ds * ds) - g * h)
        + r * chi * (lambda_W * V * E(s * s, d=2) / 2 + C_W * D * h + C_W * Theta * V * E(ds * ds, d=2) / 2),
        SOURCE + ", of which D has nothing",
    ),
)
AS_DENSE = ("K_1", "Theta_1", "A", "D", "P", "Q")


def moments() -> None:
    """The four numbers from the four equations; then the cumulant of two neurons, exactly and at large m."""
    a, b, c, d = sp.symbols("a b c d")
    (found,) = sp.solve(
        [4 * a - 2 * a - 6 * b, a + (m - 1) * b - 1 / m, b + (m - 1) * c - 1 / m, b + (m - 1) * d],
        [a, b, c, d],
        dict=True,
    )
    for symbol, (name, typed) in zip((a, b, c, d), MOMENTS.items(), strict=True):
        assert sp.simplify(found[symbol] - typed) == 0, name
        print(f"{name} = {typed}")
    direct, exchanged = m**2 * found[c] - 1, m**2 * found[d]
    assert sp.simplify(found[b] - found[c] - 2 * found[d]) == 0  # g_ab g_cd and its partners, at one column
    assert sp.simplify(direct - 2 / ((m - 1) * (m + 2))) == 0
    assert sp.simplify(exchanged + m / ((m - 1) * (m + 2))) == 0
    assert (sp.limit(m * direct, m, sp.oo), sp.limit(m * exchanged, m, sp.oo)) == (0, -1)
    print("n times the fourth cumulant: equal to -C_W^2 (n/m) (g_ac g_bd + g_ad g_bc), n -> oo\n")


def drawn(size: int = 3, matrices: int = 40_000) -> None:
    """The same numbers from matrices that are drawn: QR of Gaussian ones, with the signs of R taken out."""
    q, upper = np.linalg.qr(np.random.default_rng(0).normal(size=(matrices, size, size)))
    q = q * np.sign(np.diagonal(upper, axis1=1, axis2=2))[:, None, :]
    products = (
        q[:, 0, 0] ** 4,
        q[:, 0, 0] ** 2 * q[:, 0, 1] ** 2,
        q[:, 0, 0] ** 2 * q[:, 1, 1] ** 2,
        q[:, 0, 0] * q[:, 0, 1] * q[:, 1, 0] * q[:, 1, 1],
    )
    for (name, typed), each in zip(MOMENTS.items(), products, strict=True):
        away = (each.mean() - float(typed.subs(m, size))) / (each.std() / np.sqrt(matrices))
        assert abs(away) < 5, (name, away)
    print(f"{matrices} Haar matrices of size {size}: equal within 5 standard errors\n")


def as_dense() -> None:
    for name in AS_DENSE:
        assert rg.derive(name, layer=HAAR).terms == rg.derive(name).terms, name
    print(f"{', '.join(AS_DENSE)}: equal to those of dense layers\n")


def linear() -> None:
    """Narrow after a Gaussian first layer, wide after a Haar one: zero, and minus two."""
    for first, widths in ((rg.Dense(), [8, 8, 8, 5, 3]), (HAAR, [4, 6, 6, 9, 27])):
        ds = rg.flow(rg.Network([first, *[HAAR] * 3], widths, "linear"), first_kernel=1.5, tensors=["K", "V"])
        typed = [0.0] * 4 if first != HAAR else [-2 * 1.5**2 * n / over for n, over in pairwise(widths)]
        np.testing.assert_allclose(ds["V"], typed, rtol=1e-13, atol=1e-14)
    print("linear: equal to V = 0 after a Gaussian first layer, to -2 K^2 n_{l-1}/n_l after a Haar one\n")


def relu() -> None:
    k, l = sp.symbols("k l", positive=True)
    for layer, growth in ((HAAR, 3), (rg.Dense(), 5)):
        found = rg.solve("V", "relu", layer=layer)
        assert found.exact
        assert sp.simplify(named(found.expression, k, l) - growth * k**2 * (l - 1)) == 0
        print(f"relu, {type(layer).__name__}: equal to V = {growth} K^2 (l - 1)")


def named(expression: sp.Expr, *mine: sp.Symbol) -> sp.Expr:
    """With the symbols of this page, by name."""
    return expression.xreplace({x: y for x in expression.free_symbols for y in mine if x.name == y.name})


def vanishing() -> None:
    """One step of x = V/K^2 from the derived recursions of sin, a = 1, with K = 1/l + O(ln l/l^2); then tanh, a = 2."""
    K, x, l = sp.Symbol("K", positive=True), sp.Symbol("x", real=True), sp.Symbol("l", positive=True)
    at = {"C_W": sp.S.One, "C_b": sp.S.Zero, "r": sp.S.One, "narrowing": sp.S.One, "V": x * K**2}
    for layer, typed in ((HAAR, x * (1 - 2 / l) - 4 / l), (rg.Dense(), x * (1 - 2 / l) + 2)):
        forms = {name: named(rg.closed_form(rg.derive(name, layer=layer), "sin"), K) for name in ("K", "V")}
        new = {n: form.xreplace({y: at[y.name] for y in form.free_symbols - {K}}) for n, form in forms.items()}
        step = sp.expand(sp.series(new["V"] / new["K"] ** 2, K, 0, 2).removeO().subs(K, 1 / l))
        left_out = sp.expand(step - typed)
        assert left_out.coeff(l, 0) == 0, left_out  # of dense layers, whose x grows as l, a term 1/l is too much
        assert left_out == 0 or layer != HAAR, left_out
        print(f"sin, {type(layer).__name__}: x' equal to {typed}")
    assert sp.solve(sp.Eq(x * (1 - 2 / l) - 4 / l, x), x) == [-2]
    depth = 1024
    for layer, law in ((HAAR, lambda l: -2.0 + 0 * l), (rg.Dense(), lambda l: 2 * l / 3)):
        net = rg.Network([rg.Dense(), *[layer] * (depth - 1)], [8] * (depth + 1), "tanh")
        ds = rg.flow(net, first_kernel=1.0, tensors=["K", "V"])
        layers = np.array([depth // 16, depth // 4, depth])
        away = np.abs((ds["V"] / ds["K"] ** 2).values[layers - 1] / law(layers) - 1)
        assert away[2] < away[1] / 2 < away[0] / 4, away  # as ln l/l
        assert away[2] < 0.02
        print(f"tanh, {type(layer).__name__}: V/K^2 equal to {law(depth):.5g} within {away[2]:.1e} at layer {depth}")


if __name__ == "__main__":
    moments()
    drawn()
    show(*LAYER)
    as_dense()
    linear()
    relu()
    vanishing()
