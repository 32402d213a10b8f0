r"""PDLT, last chapter ("infinity"): the second differentials of the neural tangent kernel: R, S, T, U.

Assumptions: those of chapter 8.

The way. Two products of jets have a mean at order 1/n,

    ddI_0123  = z_{0,efg} z_{1,e} z_{2,f} z_{3,g}           R(0efg 1e|2f 3g)
    ddII_1234 = z_{1,ef} z_{2,eg} z_{3,f} z_{4,g}           S(1ef 2eg|3f 4g)   T(1ef 3f|2eg 4g)   U(1ef 4g|2eg 3f)

and what the pairing of neurons into entries leaves open decides the graphs:
- R: Faa di Bruno gives sigma' z_{0,efg} + sigma''(z_{0,e} z_{0,fg} + two alike) + sigma''' z_{0,e} z_{0,f} z_{0,g}.
  On one neuron only sigma''' closes: Theta_01 Theta_02 Theta_03. On two, e closes to Theta_01 and what is left
  (z_{0,f} z_{0,g} with sigma''', z_{0,fg} and a bare field with sigma'') meets z_{2,f} z_{3,g} in B or P; all of it
  meets in R. With e along this layer's weights the entry 0efg 1e becomes that of P(0fg 1|2f 3g), times lambda_W/C_W.
- S: e joins the jets of one entry. It runs along the weights, lambda_W sigma_1' sigma_2', closes below, C_W Theta_12
  sigma_1'' sigma_2'', or goes on in S; the remaining z_{1,f} z_{2,g} meet z_{3,f} z_{4,g} in B, or close on one
  neuron to Theta_13 Theta_24.
- T: f stays within the first entry, g within the second, and e joins them. With f along the weights or closed, the
  first entry is a_1 z_{1,e} with a_1 = lambda_W sigma_3 sigma_1' + C_W Theta_13 sigma_1'' sigma_3', likewise a_2
  z_{2,e} of the second: they close on one neuron to Theta_12, or each takes a bare field and they meet in F; if f
  stays open its leg z_{1,ef} z_{3,f} meets a_2 z_{2,e} in Q, and both open legs meet in T.
- U: every direction joins the two entries, so nothing closes but on one neuron, and U goes to U.

Engine: rg.derive("R", samples="many"), with a different sample in every argument, and rg.derive("R") for one input.

The formulas are typed in derivative form, without inverse kernels (see chapter 4). Equation numbers: none of these
has been seen.
"""

from paper import (
    C_W,
    B,
    E,
    Equation,
    Expression,
    F,
    P,
    Q,
    R,
    S,
    T,
    Theta,
    U,
    b1,
    b2,
    ddds,
    dds,
    ds,
    lambda_W,
    r,
    s,
    show,
)
from rows import row

SOURCES = {
    "R": "PDLT last chapter, recursion of R (number not seen)",
    "S": "PDLT last chapter, recursion of S (number not seen)",
    "T": "PDLT last chapter, recursion of T (number not seen)",
    "U": "PDLT last chapter, recursion of U (number not seen)",
}
EXACT = "tests/oracles/exact_brackets.py: exact averages of polynomials, put into the formulas of tests/sources/pdlt.py"


def P_next(i0: int, i1: int, i2: int, i3: int) -> Expression:
    """P of the new layer (chapter 11) at any samples."""
    carried = E(dds(i0) * s(i3)) * B[i0, i0, i1, i2] + E(ds(i0) * s(i3), d=(b1,)) * P[i0, i1, i2, b1]
    return C_W**2 * (
        E(dds(i0) * ds(i1) * ds(i2) * s(i3)) * Theta[i0, i1] * Theta[i0, i2] + r * E(ds(i1) * ds(i2)) * carried
    )


@row("pdlt/R_ddntk", witness=EXACT)
def R_ddntk() -> tuple[Equation, ...]:
    carried = r * C_W**2 * E(ds(2) * ds(3))
    typed = (
        lambda_W / C_W * P_next(0, 2, 3, 1)
        + C_W**2 * E(ddds(0) * ds(1) * ds(2) * ds(3)) * Theta[0, 1] * Theta[0, 2] * Theta[0, 3]
        + carried * Theta[0, 1] * E(ddds(0) * ds(1)) * B[0, 0, 2, 3]
        + carried * Theta[0, 1] * E(dds(0) * ds(1), d=(b1,)) * P[0, 2, 3, b1]
        + carried * E(ds(0) * ds(1)) * R[0, 1, 2, 3]
    )
    typed_P = (
        C_W**2 * E(s * ds**2 * dds) * Theta**2
        + r * chi_parallel * chi_perpendicular * P
        + r * C_W * chi_perpendicular * E(s * dds) * B
    )
    typed_for_one = (
        lambda_W / C_W * typed_P
        + C_W**2 * E(ds**3 * ddds) * Theta**3
        + r * C_W * chi_perpendicular * Theta * E(ds * ddds) * B
        + r * C_W * chi_perpendicular * Theta * E(ds * ddds) * P
        + r * C_W * chi_perpendicular * Theta * E(dds**2) * P
        + r * chi_perpendicular**2 * R
    )
    return Equation(R[0, 1, 2, 3], typed, SOURCES["R"]), Equation(R, typed_for_one, SOURCES["R"])


@row("pdlt/S_ddntk", witness=EXACT)
def S_ddntk() -> tuple[Equation, ...]:
    typed = (
        C_W * lambda_W * E(ds(1) * ds(2) * ds(3) * ds(4)) * Theta[1, 3] * Theta[2, 4]
        + r * C_W * lambda_W * E(ds(3) * ds(4)) * E(ds(1) * ds(2)) * B[1, 2, 3, 4]
        + r * C_W**2 * E(ds(3) * ds(4)) * Theta[1, 2] * E(dds(1) * dds(2)) * B[1, 2, 3, 4]
        + C_W**2 * E(dds(1) * dds(2) * ds(3) * ds(4)) * Theta[1, 2] * Theta[1, 3] * Theta[2, 4]
        + r * C_W**2 * E(ds(1) * ds(2)) * E(ds(3) * ds(4)) * S[1, 2, 3, 4]
    )
    typed_for_one = (
        C_W * lambda_W * E(ds**4) * Theta**2
        + r * chi_perpendicular * lambda_W * E(ds**2) * B
        + r * chi_perpendicular * C_W * Theta * E(dds**2) * B
        + C_W**2 * E(ds**2 * dds**2) * Theta**3
        + r * chi_perpendicular**2 * S
    )
    return Equation(S[1, 2, 3, 4], typed, SOURCES["S"]), Equation(S, typed_for_one, SOURCES["S"])


@row("pdlt/T_ddntk", witness=EXACT)
def T_ddntk() -> tuple[Equation, ...]:
    typed_1 = lambda_W * s(3) * ds(1) + C_W * Theta[1, 3] * dds(1) * ds(3)
    typed_2 = lambda_W * s(4) * ds(2) + C_W * Theta[2, 4] * dds(2) * ds(4)
    typed = (
        E(typed_1 * typed_2) * Theta[1, 2]
        + r * E(typed_1, d=(b1,)) * E(typed_2, d=(b2,)) * F[b1, 1, b2, 2]
        + r * C_W * E(ds(2) * ds(4)) * E(typed_1, d=(b1,)) * Q[2, 4, 1, b1]
        + r * C_W * E(ds(1) * ds(3)) * E(typed_2, d=(b1,)) * Q[1, 3, 2, b1]
        + r * C_W**2 * E(ds(1) * ds(3)) * E(ds(2) * ds(4)) * T[1, 3, 4, 2]
    )
    typed_for_one = (
        lambda_W**2 * E(s**2 * ds**2) * Theta
        + 2 * C_W * lambda_W * E(s * ds**2 * dds) * Theta**2
        + C_W**2 * E(ds**2 * dds**2) * Theta**3
        + r * psi**2 * F
        + 2 * r * chi_perpendicular * psi * Q
        + r * chi_perpendicular**2 * T
    )
    return Equation(T[1, 3, 4, 2], typed, SOURCES["T"]), Equation(T, typed_for_one, SOURCES["T"])


@row("pdlt/U_ddntk", witness=EXACT)
def U_ddntk() -> tuple[Equation, ...]:
    typed = (
        C_W**2 * E(dds(1) * dds(2) * ds(3) * ds(4)) * Theta[1, 2] * Theta[1, 3] * Theta[2, 4]
        + r * C_W**2 * E(ds(1) * ds(4)) * E(ds(2) * ds(3)) * U[1, 4, 2, 3]
    )
    typed_for_one = C_W**2 * E(ds**2 * dds**2) * Theta**3 + r * chi_perpendicular**2 * U
    return Equation(U[1, 4, 2, 3], typed, SOURCES["U"]), Equation(U, typed_for_one, SOURCES["U"])


# One input
chi_parallel = C_W / 2 * E(s**2, d=2)
chi_perpendicular = C_W * E(ds**2)
h = C_W / 4 * E(ds**2, d=2)
psi = lambda_W / C_W * chi_parallel + 2 * h * Theta

MANY, ONE = zip(*(equations() for equations in (R_ddntk, S_ddntk, T_ddntk, U_ddntk)), strict=True)

if __name__ == "__main__":
    show(*MANY, *ONE)
