r"""PDLT chapter 11: the differential of the neural tangent kernel: its forward equation; with a preactivation, P and Q.

Assumptions: those of chapter 8.

The way. The dNTK is a second derivative contracted with two first ones, dH_012 = z_{0,ef} z_{1,e} z_{2,f}. Its mean
vanishes; with one more preactivation z_3 there are two tensors, P(0ef 3|1e 2f) and Q(0ef 1e|2f 3). Faa di Bruno on
sample 0,

    s_{0,ef} = sigma_0' z_{0,ef} + sigma_0'' z_{0,e} z_{0,f},

makes two kinds of terms. With sigma_0'': on one neuron the directions close, e to Theta_01 and f to Theta_02, the
source common to P and Q. On two neurons
- P: the jets z_{0,e} z_{0,f} make one leg (sigma'' stays in its bracket with sigma_3) and meet z_{1,e} z_{2,f} in B;
  with sigma_0' the jet z_{0,ef} is a leg together with one bare field, d_b(sigma_0' sigma_3), and meets them in P.
- Q: e closes within the first entry to Theta_01, and z_{0,f}, with one bare field, meets z_{2,f} in F; with sigma_0'
  the leg z_{0,ef} z_{1,e} meets it in Q.
- Q also has e along this layer's own weights: its entry 0ef 1e is then that of F, lambda_W sigma_0' sigma_1 z_{0,f}:
  the same graphs as for F(1 0f|3 2f), so lambda_W/C_W times F' with those arguments.

*One network.* The forward equation holds before any average. Of the second derivative of z'_0 = b + W sigma(z_0) one
direction may run along the new weights W, where it meets z'_1 = ... + W sigma(z_1) of the same neuron, or the other
one with z'_2; or both run below, and Faa di Bruno makes two tangent kernels with sigma'', or the dNTK of layer l. It is
compared with derivatives by every parameter of a small network, which are carried through the layers by the chain rule.

Engine: rg.derive("P", samples="many"), with a different sample in every argument, and rg.derive("P") for one input.

The formulas are typed in derivative form, without inverse kernels (see chapter 4). Equation numbers: none of these
has been seen.
"""

from functools import cache

import numpy as np
from paper import C_W, B, E, Equation, Expression, F, P, Q, Theta, b1, b2, dds, ds, lambda_W, r, s, show
from rows import row

SOURCES = {
    "P": "PDLT chapter 11, recursion of P (number not seen)",
    "Q": "PDLT chapter 11, recursion of Q (number not seen)",
}
BIAS, WEIGHT = 0.5, 0.7  # lambda_b, lambda_W of the small network
EXACT = "tests/oracles/exact_brackets.py: exact averages of polynomials, put into the formulas of tests/sources/pdlt.py"


def F_next(i1: int, i3: int, i2: int, i4: int) -> Expression:
    """F of the new layer (chapter 8) at any samples."""
    return C_W**2 * (
        E(s(i1) * s(i2) * ds(i3) * ds(i4)) * Theta[i3, i4]
        + r * E(s(i1) * ds(i3), d=(b1,)) * E(s(i2) * ds(i4), d=(b2,)) * F[b1, i3, b2, i4]
    )


@row("pdlt/P_dntk", witness=EXACT)
def P_dntk() -> tuple[Equation, ...]:
    typed = (
        C_W**2 * E(dds(0) * ds(1) * ds(2) * s(3)) * Theta[0, 1] * Theta[0, 2]
        + r * C_W**2 * E(ds(1) * ds(2)) * E(dds(0) * s(3)) * B[0, 0, 1, 2]
        + r * C_W**2 * E(ds(1) * ds(2)) * E(ds(0) * s(3), d=(b1,)) * P[0, 1, 2, b1]
    )
    typed_for_one = (
        C_W**2 * E(s * ds**2 * dds) * Theta**2
        + r * chi_parallel * chi_perpendicular * P
        + r * C_W * chi_perpendicular * E(s * dds) * B
    )
    return Equation(P[0, 1, 2, 3], typed, SOURCES["P"]), Equation(P, typed_for_one, SOURCES["P"])


@row("pdlt/Q_dntk", witness=EXACT)
def Q_dntk() -> tuple[Equation, ...]:
    typed = (
        C_W**2 * E(dds(0) * ds(1) * ds(2) * s(3)) * Theta[0, 1] * Theta[0, 2]
        + lambda_W / C_W * F_next(1, 0, 3, 2)
        + r * C_W**2 * E(ds(0) * ds(1)) * E(ds(2) * s(3), d=(b1,)) * Q[0, 1, 2, b1]
        + r * C_W**2 * Theta[0, 1] * E(dds(0) * ds(1), d=(b1,)) * E(ds(2) * s(3), d=(b2,)) * F[b1, 0, b2, 2]
    )
    typed_F = C_W**2 * E(s**2 * ds**2) * Theta + r * chi_parallel**2 * F
    typed_for_one = (
        C_W**2 * E(s * ds**2 * dds) * Theta**2
        + lambda_W / C_W * typed_F
        + r * chi_parallel * chi_perpendicular * Q
        + r * 2 * h * chi_parallel * Theta * F
    )
    return Equation(Q[0, 1, 2, 3], typed, SOURCES["Q"]), Equation(Q, typed_for_one, SOURCES["Q"])


@cache
def small_network() -> tuple[np.ndarray, ...]:
    """Of a layer of three inputs and the next: derivatives of sigma, H and dH; the new weights; H and dH after them."""
    n, samples, rng = 2, 3, np.random.default_rng(0)
    size = n * (n + 1)  # parameters of a layer: biases, then rows of weights; three layers of them
    rate = np.tile(np.r_[np.full(n, BIAS), np.full(n * n, WEIGHT / n)], 3)
    z, jacobian, hessian = rng.normal(size=(samples, n)), None, None
    slots = np.arange(size * 3).reshape(3, size)
    for layer in range(3):
        W, b = rng.normal(size=(n, n)), rng.normal(size=n)
        own = slots[layer, n:].reshape(n, n)
        if jacobian is None:  # the inputs
            s, ds, dds = z, 0 * z, 0 * z
            jacobian, hessian = np.zeros((samples, n, rate.size)), np.zeros((samples, n, rate.size, rate.size))
        else:
            s, ds, dds = z + z**2 / 3 - z**3 / 5, 1 + 2 * z / 3 - 3 * z**2 / 5, 2 / 3 - 6 * z / 5
            before = (s, ds, dds, *contracted(jacobian, hessian, rate), W)
        first = ds[..., None] * jacobian
        second = ds[..., None, None] * hessian + dds[..., None, None] * jacobian[..., None] * jacobian[..., None, :]
        z = b + s @ W.T
        jacobian, hessian = np.einsum("ij,ajp->aip", W, first), np.einsum("ij,ajpq->aipq", W, second)
        for i in range(n):
            jacobian[:, i, slots[layer, i]] += 1
            jacobian[:, i, own[i]] += s
            hessian[:, i, own[i]] += first
            hessian[:, i, :, own[i]] += first.transpose(1, 0, 2)
    return (*before, *contracted(jacobian, hessian, rate))


def contracted(jacobian: np.ndarray, hessian: np.ndarray, rate: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """H_ij of samples a, b; dH_ijk of samples a, b, c: derivatives met with the learning rates."""
    H = np.einsum("aip,p,bjp->ijab", jacobian, rate, jacobian)
    return H, np.einsum("aipq,p,q,bjp,ckq->ijkabc", hessian, rate, rate, jacobian, jacobian)


@row("pdlt/dntk_forward_equation", witness="tests/sampling/test_every_kind.py: jets of fixed networks by brute force")
def dntk_forward_equation() -> dict[str, float]:
    """dH'_{i j k} of the samples 0, 1, 2; no engine has this law of one network, so both sides are made here."""
    s, ds, dds, H, dH, W, _, after = small_network()
    n = len(W)
    same = np.eye(n)
    typed = (
        WEIGHT / n * np.einsum("ij,kl,m,m,l,ml->ijk", same, W, s[1], ds[0], ds[2], H[..., 0, 2])
        + WEIGHT / n * np.einsum("ik,jl,m,m,l,ml->ijk", same, W, s[2], ds[0], ds[1], H[..., 0, 1])
        + np.einsum("ia,jb,kc,a,b,c,ab,ac->ijk", W, W, W, dds[0], ds[1], ds[2], H[..., 0, 1], H[..., 0, 2])
        + np.einsum("ia,jb,kc,a,b,c,abc->ijk", W, W, W, ds[0], ds[1], ds[2], dH[..., 0, 1, 2])
    )
    found = after[..., 0, 1, 2]
    assert np.abs(typed - found).max() < 1e-12 * np.abs(found).max(), np.abs(typed - found).max()
    return {f"dH'_{i}{j}{k}": float(found[i, j, k]) for i, j, k in np.ndindex(found.shape)}


# One input
chi_parallel = C_W / 2 * E(s**2, d=2)
chi_perpendicular = C_W * E(ds**2)
h = C_W / 4 * E(ds**2, d=2)

MANY, ONE = zip(P_dntk(), Q_dntk(), strict=True)

if __name__ == "__main__":
    dntk_forward_equation()
    show(*MANY, *ONE)
