r"""PDLT: the recursions solved in depth for sigma(z) = a_+ z (z > 0), a_- z (z < 0) at criticality, one input.

Assumptions: C_b = 0 and C_W = 1/A_2, which is critical; lambda_b, lambda_W the same in every layer; all widths equal
(r = 1); Gaussian first layer with Theta = lambda_b + lambda_W A_2 K. A_2 = (a_+^2 + a_-^2)/2, A_4 = (a_+^4 +
a_-^4)/2.

The way. Every bracket is the average of a power of |u|, u a standard Gaussian, on each half-line: with w written
factors, d of them not differentiated, <d^m[...]> = A_w K^{(d-m)/2} E[He_m(u) u^d] (integration by parts against the
Gaussian moves the m derivatives of the expansion onto it). Written second derivatives vanish almost everywhere; what
sits in the kink is dropped, as automatic differentiation and sampling drop it. So K stays where it is, chi_parallel =
chi_perpendicular = 1, and the recursions become sums over powers of the layer l. The closed forms below are
polynomials in l; the script puts them into the derived recursions at l and finds them again at l + 1, for every l at
once, and at l = 1.

Engine: rg.derive("V").to_sympy(), brackets replaced by their values.

Typed below with rho = A_4/A_2^2 (linear 1, ReLU 2), kappa = lambda_W A_2 K and c = lambda_b + kappa. The book solves
this class where it treats criticality, from chapter 5 on; these forms were derived by hand and checked against
sampled networks, and equation numbers have not been seen.
"""

import sympy as sp

import rgflow as rg

l = sp.Symbol("l", positive=True)
K, A_2, A_4, lambda_b, lambda_W = sp.symbols("K A_2 A_4 lambda_b lambda_W", positive=True)
rho, kappa = A_4 / A_2**2, lambda_W * A_2 * K
c = lambda_b + kappa

SOLUTIONS = {
    "K": K,
    "Theta": c * l,
    "V": (3 * rho - 1) * K**2 * (l - 1),
    "K_1": sp.S.Zero,
    "Theta_1": sp.S.Zero,
    "F": rho * K * c * l * (l - 1) / 2,
    "B": rho * c**2 * l * (l - 1) * (2 * l - 1) / 6,
    "D": K / 2 * l * (l - 1) * ((rho - 1) * c + (3 * rho - 1) * kappa),
    "A": l
    * (l - 1)
    / 6
    * (
        (rho - 1) * c**2 * (2 * l - 1)
        + 2 * (rho - 1) * c * kappa * (l + 1)
        + kappa**2 * ((6 * rho - 2) * l - (3 * rho - 1))
    ),
    "P": sp.S.Zero,
    "Q": rho * c * kappa * l * (l**2 - 1) / 6,
    "R": sp.S.Zero,
    "S": rho * c**2 * kappa * l**2 * (l**2 - 1) / (12 * K),
    "T": rho * c * kappa**2 * l**2 * (l**2 - 1) / (12 * K),
    "U": sp.S.Zero,
}

# x^2 = 1 and K = x^2/A_2, lambda_b = 0.5, lambda_W = 0.7, layer 4
NUMBERS = {
    "linear": "Theta 4.8, V 6, F 7.2, B 20.16, D 8.4, A 13.72, Q 8.4, S 20.16, T 11.76",
    "ReLU": "Theta 4.8, V 60, F 28.8, B 40.32, D 56.4, A 71.26, Q 16.8, S 20.16, T 11.76",
}
SLOPES = {"linear": {A_2: sp.S.One, A_4: sp.S.One}, "ReLU": {A_2: sp.Rational(1, 2), A_4: sp.Rational(1, 2)}}


def bracket(orders: sp.Tuple, pending: sp.Integer) -> sp.Expr:
    """< d^pending prod sigma^{(orders)} >_K, sigma'' = 0 almost everywhere."""
    if any(order > 1 for order in orders):
        return sp.S.Zero
    u = sp.Symbol("u")
    degree = sum(1 for order in orders if order == 0)
    hermite = sp.Poly(2 ** (-sp.Rational(pending) / 2) * sp.hermite(pending, u / sp.sqrt(2)) * u**degree, u)
    moment = sum(coefficient * sp.factorial2(power - 1) for (power,), coefficient in hermite.terms() if power % 2 == 0)
    assert (degree + pending) % 2 == 0  # odd powers would be moments of a_+^w - a_-^w; they do not occur
    return {2: A_2, 4: A_4}[len(orders)] * moment * K ** ((degree - pending) / sp.Integer(2))


def next_layer(name: str) -> sp.Expr:
    """The derived recursion with the solutions of layer l on its right."""
    below = {sp.Symbol(other, real=True): value for other, value in SOLUTIONS.items()}
    critical = {
        sp.Symbol("C_b", nonnegative=True): 0,
        sp.Symbol("C_W", nonnegative=True): 1 / A_2,
        sp.Symbol("lambda_b", nonnegative=True): lambda_b,
        sp.Symbol("lambda_W", nonnegative=True): lambda_W,
        sp.Symbol("r", positive=True): 1,
    }
    averaged = rg.derive(name).to_sympy().replace(sp.Function("Bracket"), bracket)
    return averaged.subs(below | critical, simultaneous=True)


def check(name: str, solution: sp.Expr) -> None:
    """AssertionError unless the solution starts as layer 1 does and solves the derived recursion at every layer."""
    first = {"K": K, "Theta": lambda_b + lambda_W * A_2 * K}.get(name, 0)
    assert sp.expand(solution.subs(l, 1) - first) == 0, f"{name} at layer 1"
    assert sp.expand(next_layer(name) - solution.subs(l, l + 1)) == 0, f"{name} from layer l to l + 1"


def main() -> None:
    for name, solution in SOLUTIONS.items():
        check(name, solution)
        print(f"{name} = {sp.factor(solution)}\n\n    {sp.latex(sp.factor(solution))}\n\nequal: solves the recursion\n")
    for activation, numbers in NUMBERS.items():
        at = {l: 4, K: 1 / SLOPES[activation][A_2], lambda_b: sp.Rational(1, 2), lambda_W: sp.Rational(7, 10)}
        for name, number in map(str.split, numbers.split(", ")):
            value = SOLUTIONS[name].subs(at).subs(SLOPES[activation])
            assert value == sp.Rational(number), (activation, name, value)
        print(f"{activation}, layer 4: equal to {numbers}")


if __name__ == "__main__":
    main()
