r"""PDLT chapter 8: mean and fluctuations of the neural tangent kernel: Theta, D, F, A, B and Theta_1.

Assumptions: those of chapter 4, and the learning-rate tensor lambda_b for biases, lambda_W/n_l for weights.

The way. The NTK is the product of two jets that share one direction e, H_12 = z_{1,e} z_{2,e}; a jet is z
differentiated along the random tangent direction e. By the chain rule s_{1,e} = sigma'(z_1) z_{1,e}, and the layer's
integrand is

    g_{1e,2e} = C_W sigma'_1 sigma'_2 z_{1,e} z_{2,e} + lambda_W sigma_1 sigma_2,         constant lambda_b:

the direction runs through the layers below, or along this layer's own weights. Averaged over the jets (z_{1,e}
z_{2,e} -> Theta_12) this is Omega_12 = lambda_W sigma_1 sigma_2 + C_W Theta_12 sigma'_1 sigma'_2, and Theta' =
lambda_b + <Omega_12>.

*D, F, A, B* are covariances of two entries of the metric of jets: D(12|3e 4e), F(1 3e|2 4e), A(1e 2e|3f 4f), B(1e
3f|2e 4f). Each has the two parts of chapter 4, one neuron (source) or two neurons tied by a hyperedge of layer l
(transport). Which hyperedge: a direction that is left open in one bracket must meet its partner in the same cumulant.
- D, A: within an entry e may be closed, to Theta, and the bracket <Omega> hangs on V by bare legs, (1/2) d d; or the
  pair z_{3,e} z_{4,e} is itself a leg, on D (with a bare leg of the other entry) or on A (with the other entry's
  pair).
- F: e joins the two entries. Their jets z_{3,e} and z_{4,e} are legs that each take one bare field along, d_b, and
  both legs lie on F: sum d_b(sigma_1 sigma'_3) d_c(sigma_2 sigma'_4) F. Source: e closes to Theta_34 on one neuron.
- B: both directions join the entries; no bare field is left and B goes to B.

*Theta_1* has one vertex, <Omega_12>: bare legs K_1, V as in chapter 4; the pair z_{1,e} z_{2,e} as a leg on Theta_1,
or on D with a bare leg; or its two jets as legs with one bare field each, on F. Its lambda_W part is lambda_W/C_W
times K_1'.

Engine: rg.derive("A", samples="many"), with a different sample in every argument, and rg.derive("A") for one input.

The formulas are typed in derivative form, without inverse kernels (see chapter 4). Equation numbers: none of these
has been seen.
"""

from fractions import Fraction

from paper import (
    C_W,
    K_1,
    A,
    B,
    D,
    E,
    Equation,
    Expression,
    F,
    Omega,
    Theta,
    Theta_1,
    V,
    b1,
    b2,
    b3,
    b4,
    ds,
    lambda_b,
    lambda_W,
    normal,
    r,
    right_hand_side,
    s,
    show,
)
from rows import row

import rgflow as rg

SOURCES = {
    "Theta": "PDLT chapter 8, recursion of the NTK mean (number not seen)",
    "D": "PDLT chapter 8, recursion of D (number not seen)",
    "F": "PDLT chapter 8, recursion of F (number not seen)",
    "B": "PDLT chapter 8, recursion of B (number not seen)",
    "A": "PDLT chapter 8, recursion of A (number not seen)",
    "Theta_1": "PDLT chapter 8, next-to-leading order of the NTK mean, H^{1} (number not seen)",
}
EXACT = "tests/oracles/exact_brackets.py: exact averages of polynomials, put into the formulas of tests/sources/pdlt.py"
half = Fraction(1, 2)


@row("pdlt/neural_tangent_kernel", witness=EXACT)
def neural_tangent_kernel() -> tuple[Equation, ...]:
    typed = lambda_b + lambda_W * E(s(1) * s(2)) + C_W * Theta[1, 2] * E(ds(1) * ds(2))
    typed_for_one = lambda_b + lambda_W * g + chi_perpendicular * Theta
    return Equation(Theta[1, 2], typed, SOURCES["Theta"]), Equation(Theta, typed_for_one, SOURCES["Theta"])


@row("pdlt/D_cross_correlation", witness=EXACT)
def D_cross_correlation() -> tuple[Equation, ...]:
    typed = (
        C_W * E(s(1) * s(2) * Omega(3, 4))
        - C_W * E(s(1) * s(2)) * E(Omega(3, 4))
        + r * C_W / 4 * V[b1, b2, b3, b4] * E(s(1) * s(2), d=(b1, b2)) * E(Omega(3, 4), d=(b3, b4))
        + r * C_W**2 / 2 * D[b1, b2, 3, 4] * E(s(1) * s(2), d=(b1, b2)) * E(ds(3) * ds(4))
    )
    typed_for_one = (
        C_W * E(s**2 * omega)
        - C_W * g * E(omega)
        + r * chi_parallel * chi_perpendicular * D
        + r * chi_parallel * psi * V
    )
    return Equation(D[1, 2, 3, 4], typed, SOURCES["D"]), Equation(D, typed_for_one, SOURCES["D"])


@row("pdlt/F_cross_correlation", witness=EXACT)
def F_cross_correlation() -> tuple[Equation, ...]:
    typed = (
        C_W**2 * E(s(1) * s(2) * ds(3) * ds(4)) * Theta[3, 4]
        + r * C_W**2 * E(s(1) * ds(3), d=(b1,)) * E(s(2) * ds(4), d=(b2,)) * F[b1, 3, b2, 4]
    )
    typed_for_one = C_W**2 * E(s**2 * ds**2) * Theta + r * chi_parallel**2 * F
    return Equation(F[1, 3, 2, 4], typed, SOURCES["F"]), Equation(F, typed_for_one, SOURCES["F"])


@row("pdlt/B_ntk_variance", witness=EXACT)
def B_ntk_variance() -> tuple[Equation, ...]:
    typed = (
        C_W**2 * E(ds(1) * ds(2) * ds(3) * ds(4)) * Theta[1, 2] * Theta[3, 4]
        + r * C_W**2 * E(ds(1) * ds(3)) * E(ds(2) * ds(4)) * B[1, 3, 2, 4]
    )
    typed_for_one = C_W**2 * E(ds**4) * Theta**2 + r * chi_perpendicular**2 * B
    return Equation(B[1, 3, 2, 4], typed, SOURCES["B"]), Equation(B, typed_for_one, SOURCES["B"])


@row("pdlt/A_ntk_variance", witness=EXACT)
def A_ntk_variance() -> tuple[Equation, ...]:
    typed = (
        E(Omega(1, 2) * Omega(3, 4))
        - E(Omega(1, 2)) * E(Omega(3, 4))
        + r * Fraction(1, 4) * V[b1, b2, b3, b4] * E(Omega(1, 2), d=(b1, b2)) * E(Omega(3, 4), d=(b3, b4))
        + r * C_W**2 * E(ds(1) * ds(2)) * E(ds(3) * ds(4)) * A[1, 2, 3, 4]
        + r * C_W / 2 * E(Omega(1, 2), d=(b1, b2)) * D[b1, b2, 3, 4] * E(ds(3) * ds(4))
        + r * C_W / 2 * E(Omega(3, 4), d=(b1, b2)) * D[b1, b2, 1, 2] * E(ds(1) * ds(2))
    )
    typed_for_one = (
        E(omega**2)
        - E(omega) ** 2
        + r * psi**2 * V
        + r * chi_perpendicular**2 * A
        + 2 * r * chi_perpendicular * psi * D
    )
    return Equation(A[1, 2, 3, 4], typed, SOURCES["A"]), Equation(A, typed_for_one, SOURCES["A"])


@row("pdlt/ntk_correction", witness=EXACT)
def ntk_correction() -> tuple[Equation, ...]:
    def typed_shift(f: Expression) -> Expression:
        """What K_1 and V make of the average of f at next order (chapter 4)."""
        return half * K_1[b1, b2] * E(f, d=(b1, b2)) + Fraction(1, 8) * V[b1, b2, b3, b4] * E(f, d=(b1, b2, b3, b4))

    typed = (
        r * lambda_W * typed_shift(s(1) * s(2))
        + r * C_W * E(ds(1) * ds(2)) * Theta_1[1, 2]
        + r * C_W * Theta[1, 2] * typed_shift(ds(1) * ds(2))
        + r * C_W / 2 * E(ds(1) * ds(2), d=(b1, b2)) * D[b1, b2, 1, 2]
        + r * C_W / 2 * E(ds(1) * ds(2), d=(b1, b2)) * F[b1, 1, b2, 2]
        + r * C_W / 2 * E(ds(1) * ds(2), d=(b1, b2)) * F[b2, 1, b1, 2]
    )
    typed_K_1 = r * chi_parallel * K_1 + r * C_W / 8 * E(s**2, d=4) * V
    typed_for_one = (
        lambda_W / C_W * typed_K_1
        + r * chi_perpendicular * Theta_1
        + r * Theta * 2 * h * K_1
        + r * Theta * h_prime * V
        + r * 2 * h * D
        + r * 4 * h * F
    )
    source = SOURCES["Theta_1"]
    return Equation(Theta_1[1, 2], typed, source), Equation(Theta_1, typed_for_one, source)


@row("pdlt/omega_hat", witness=EXACT)
def omega_hat() -> tuple[rg.Recursion, ...]:
    """Its mean makes Theta; where nothing fluctuates below, its variance over one neuron is all of A."""

    def typed(i: int, j: int) -> Expression:
        return lambda_W * s(i) * s(j) + C_W * Theta[i, j] * ds(i) * ds(j)

    theta, spread = (rg.derive(name, samples="many") for name in ("Theta", "A"))
    left_over = normal(lambda_b + E(typed(1, 2)) - right_hand_side(theta, (1, 2)))
    assert left_over == {}, left_over
    source = E(typed(1, 2) * typed(3, 4)) - E(typed(1, 2)) * E(typed(3, 4))
    left_over = normal(source - without(right_hand_side(spread, (1, 2, 3, 4)), "V", "D", "A"))
    assert left_over == {}, left_over
    return theta, spread


@row("pdlt/kappa_of_the_ntk_correction", witness=EXACT)
def kappa_of_the_ntk_correction() -> rg.Recursion:
    """All that Theta_1 has of D and F is this sum, behind (r C_W/2) d_b d_c."""
    typed = D[b1, b2, 1, 2] + F[b1, 1, b2, 2] + F[b2, 1, b1, 2]
    derived = rg.derive("Theta_1", samples="many")
    whole = right_hand_side(derived, (1, 2))
    left_over = normal(r * C_W / 2 * E(ds(1) * ds(2), d=(b1, b2)) * typed - whole + without(whole, "D", "F"))
    assert left_over == {}, left_over
    return derived


def without(expression: Expression, *letters: str) -> Expression:
    """The terms that hold none of these tensors."""
    names = {("tensor", letter) for letter in letters}
    return Expression({m: c for m, c in expression.terms.items() if not any(atom[:2] in names for atom, _ in m)})


# One input. h = (1/2) d chi_perpendicular / dK and h' = dh/dK, as averages of derivatives
g = E(s**2)
chi_parallel = C_W / 2 * E(s**2, d=2)
chi_perpendicular = C_W * E(ds**2)
h = C_W / 4 * E(ds**2, d=2)
h_prime = C_W / 8 * E(ds**2, d=4)
psi = lambda_W / C_W * chi_parallel + 2 * h * Theta
omega = lambda_W * s**2 + C_W * Theta * ds**2

RECURSIONS = (
    neural_tangent_kernel,
    D_cross_correlation,
    F_cross_correlation,
    B_ntk_variance,
    A_ntk_variance,
    ntk_correction,
)
MANY, ONE = zip(*(equations() for equations in RECURSIONS), strict=True)

if __name__ == "__main__":
    show(*MANY, *ONE)
    omega_hat()
    kappa_of_the_ntk_correction()
    print("Omega, and kappa in Theta_1: equal to what is typed by hand")
