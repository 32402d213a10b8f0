r"""PDLT chapter 11: the differential of the neural tangent kernel with a preactivation: P and Q.

Assumptions: those of chapter 8.

The way. The dNTK is a second derivative contracted with two first ones, dH_012 = z_{0,ef} z_{1,e} z_{2,f}. Its mean
vanishes; with one more preactivation z_3 there are two tensors, P(0ef 3|1e 2f) and Q(0ef 1e|2f 3). Faa di Bruno on
sample 0,

    s_{0,ef} = sigma'_0 z_{0,ef} + sigma''_0 z_{0,e} z_{0,f},

makes two kinds of terms. With sigma''_0: on one neuron the directions close, e to Theta_01 and f to Theta_02, the
source common to P and Q. On two neurons
- P: the jets z_{0,e} z_{0,f} make one leg (sigma'' stays in its bracket with sigma_3) and meet z_{1,e} z_{2,f} in B;
  with sigma'_0 the jet z_{0,ef} is a leg together with one bare field, d_b(sigma'_0 sigma_3), and meets them in P.
- Q: e closes within the first entry to Theta_01, and z_{0,f}, with one bare field, meets z_{2,f} in F; with sigma'_0
  the leg z_{0,ef} z_{1,e} meets it in Q.
- Q also has e along this layer's own weights: its entry 0ef 1e is then that of F, lambda_W sigma'_0 sigma_1 z_{0,f}:
  the same graphs as for F(1 0f|3 2f), so lambda_W/C_W times F' with those arguments.

Engine: rg.derive("P", samples="many"), with a different sample in every argument, and rg.derive("P") for one input.

The formulas are typed in derivative form, without inverse kernels (see chapter 4). Equation numbers: none of these
has been seen.
"""

from paper import C_W, B, E, Equation, Expression, F, P, Q, Theta, b1, b2, dds, ds, lambda_W, r, s, show

SOURCES = {
    "P": "PDLT chapter 11, recursion of P (number not seen)",
    "Q": "PDLT chapter 11, recursion of Q (number not seen)",
}


def F_next(i1: int, i3: int, i2: int, i4: int) -> Expression:
    """F of the new layer (chapter 8) at any samples."""
    return C_W**2 * (
        E(s(i1) * s(i2) * ds(i3) * ds(i4)) * Theta[i3, i4]
        + r * E(s(i1) * ds(i3), d=(b1,)) * E(s(i2) * ds(i4), d=(b2,)) * F[b1, i3, b2, i4]
    )


source = C_W**2 * E(dds(0) * ds(1) * ds(2) * s(3)) * Theta[0, 1] * Theta[0, 2]

MANY = (
    Equation(
        P[0, 1, 2, 3],
        source
        + r
        * C_W**2
        * E(ds(1) * ds(2))
        * (E(dds(0) * s(3)) * B[0, 0, 1, 2] + E(ds(0) * s(3), d=(b1,)) * P[0, 1, 2, b1]),
        SOURCES["P"],
    ),
    Equation(
        Q[0, 1, 2, 3],
        source
        + lambda_W / C_W * F_next(1, 0, 3, 2)
        + r * C_W**2 * E(ds(0) * ds(1)) * E(ds(2) * s(3), d=(b1,)) * Q[0, 1, 2, b1]
        + r * C_W**2 * Theta[0, 1] * E(dds(0) * ds(1), d=(b1,)) * E(ds(2) * s(3), d=(b2,)) * F[b1, 0, b2, 2],
        SOURCES["Q"],
    ),
)

# One input
chi_parallel = C_W / 2 * E(s**2, d=2)
chi_perpendicular = C_W * E(ds**2)
h = C_W / 4 * E(ds**2, d=2)
one_source = C_W**2 * E(s * ds**2 * dds) * Theta**2
F_next_one = C_W**2 * E(s**2 * ds**2) * Theta + r * chi_parallel**2 * F

ONE = (
    Equation(
        P,
        one_source + r * (chi_parallel * chi_perpendicular * P + C_W * chi_perpendicular * E(s * dds) * B),
        SOURCES["P"],
    ),
    Equation(
        Q,
        one_source
        + lambda_W / C_W * F_next_one
        + r * (chi_parallel * chi_perpendicular * Q + 2 * h * chi_parallel * Theta * F),
        SOURCES["Q"],
    ),
)

if __name__ == "__main__":
    show(*MANY, *ONE)
