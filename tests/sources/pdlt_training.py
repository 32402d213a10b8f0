r"""PDLT (arXiv:2106.10165), its last chapter: the end of training at order 1/n, closed forms typed by hand.

Mean prediction of networks trained to the end by gradient descent with step eta, mean squared error per sample:

    m_beta = H_{beta a} H^{ab} y_b + (1/n) [ m_beta - Theta_{beta a} u^{ab} m_b ],    H = Theta + Theta_1 / n

with u the inverse of Theta over the training samples, m = m^DeltaNTK + m^dNTK + m^ddI + m^ddII, and the algorithm
projectors Z below. Tensors are coefficients at the last layer over the N training samples and then the test samples,
in the book's order of sample arguments. The forms are those that an independent perturbation theory confirms (signs and
orders of arguments in public code differ in six places); equation numbers not seen.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = Any


def projectors(theta: Array, eta: float) -> dict[str, Array]:
    """Z_A, Z_B (four indices) and Z_IA, Z_IB, Z_IIA, Z_IIB (six), from Theta over the training samples."""
    N = len(theta)
    one, u = np.eye(N), np.linalg.inv(theta)

    def inverse(terms: Array, indices: int) -> Array:
        return np.linalg.inv(terms.reshape(N**indices, N**indices)).reshape((N,) * (2 * indices))

    def two(a: Array, b: Array) -> Array:
        return np.einsum("ac,bd->abcd", a, b)

    def three(a: Array, b: Array, c: Array) -> Array:
        return np.einsum("ad,be,cf->abcdef", a, b, c)

    X2 = inverse(two(theta, one) + two(one, theta) - eta * two(theta, theta), 2)
    X3 = inverse(
        three(theta, one, one)
        + three(one, theta, one)
        + three(one, one, theta)
        - eta * (three(theta, theta, one) + three(theta, one, theta) + three(one, theta, theta))
        + eta**2 * three(theta, theta, theta),
        3,
    )
    Y1 = np.einsum("abde,cf->abcdef", X2, u) - np.einsum("cg,abgdef->abcdef", u, X3)
    Y2 = two(u, u) - np.einsum("be,aecd->abcd", u, X2)
    Y3 = (
        three(u, u, u)
        - np.einsum("bg,agde,cf->abcdef", u, X2, u)
        - np.einsum("ad,cg,bgef->abcdef", u, u, X2)
        + np.einsum("ci,bigh,aghdef->abcdef", u, X2, X3)
    )
    Y4 = np.einsum("ad,bcef->abcdef", u, X2) - np.einsum("bcgh,aghdef->abcdef", X2, X3)
    # Y3^{bacedf} and Y3^{acbdfe}
    turned = np.einsum("bacedf->abcdef", Y3) + np.einsum("acbdfe->abcdef", Y3)
    Z_IA = -Y3 - eta / 2 * Y4
    return {
        "A": Y2,
        "B": Y2 + eta / 2 * X2,
        "IA": Z_IA,
        "IB": Z_IA - eta / 2 * Y1 - eta**2 / 6 * X3,
        "IIA": -Y3,
        "IIB": -Y3 - turned - eta * Y4 - eta * Y1,
    }


def mean_parts(tensors: dict[str, Array], y: Array, n_train: int, eta: float) -> tuple[Array, dict[str, Array]]:
    """Mean predictions at the test samples (M, n_L), and n times the parts of their shift; y is (N, n_L)."""
    N, n_L = np.shape(y)
    assert n_train == N
    train, every = slice(0, N), slice(None)
    theta = tensors["Theta"][train, train]
    u, Z = np.linalg.inv(theta), projectors(theta, eta)
    K = tensors["K"][train, train]

    def at(name: str, delta: int) -> Array:
        """A tensor whose index number ``delta`` runs over all samples, the others over training samples."""
        return tensors[name][tuple(every if i == delta else train for i in range(tensors[name].ndim))]

    m = {}
    # indices: x is delta; 1, 2, 3, .. are a, b, c, ..; i and j are outputs
    m["NTK fluctuation"] = -np.einsum(
        "xabc,ab,cd,di->xi",
        at("A", 0) + np.einsum("xbac->xabc", at("B", 0)) + n_L * np.einsum("xcab->xabc", at("B", 0)),
        u,
        u,
        y,
    )
    P, Q = at("P", 0), at("Q", 0)
    P_1x23, Q_1x23, Q_12x3 = at("P", 1), at("Q", 1), at("Q", 2)
    m["dNTK"] = -(
        np.einsum("xabc,abcd,di->xi", P + Q, Z["B"] + np.einsum("badc->abcd", Z["B"]), y)
        + n_L * np.einsum("xbac,abcd,di->xi", Q, Z["B"] + np.einsum("badc->abcd", Z["B"]), y)
        + np.einsum("axbc,abcd,di->xi", n_L * P_1x23 + Q_1x23, Z["A"], y)
        + np.einsum("abxc,abcd,di->xi", Q_12x3, Z["A"], y)
        + np.einsum("axbc,abdc,di->xi", P_1x23 + n_L * Q_1x23, Z["A"], y)
        + np.einsum("abxc,abdc,di->xi", Q_12x3, Z["A"], y)
    )
    gamma = (
        np.einsum("di,ef->idef", y, np.einsum("ej,fj->ef", y, y) + n_L * K)
        + np.einsum("ei,fd->idef", y, K)
        + np.einsum("fi,de->idef", y, K)
    )
    IB = Z["IB"] + np.einsum("bcaefd->abcdef", Z["IB"]) + np.einsum("cabfde->abcdef", Z["IB"])
    R = "R"
    m["ddNTK I"] = -(
        np.einsum("xabc,abcdef,idef->xi", at(R, 0), IB, gamma)
        + np.einsum("axbc,abcdef,idef->xi", at(R, 1), Z["IA"], gamma)
        + np.einsum("abcx,abcefd,idef->xi", at(R, 3), Z["IA"], gamma)
        + np.einsum("acxb,abcfde,idef->xi", at(R, 2), Z["IA"], gamma)
    )
    m["ddNTK II"] = -(
        np.einsum("xabc,abcdef,idef->xi", at("S", 0), Z["IIB"], gamma)
        + np.einsum("xabc,cabfde,idef->xi", at("T", 0), Z["IIB"], gamma)
        + np.einsum("xabc,bcaefd,idef->xi", at("U", 0), Z["IIB"], gamma)
        + np.einsum("abxc,abcefd,idef->xi", at("S", 2), Z["IIA"], gamma)
        + np.einsum("axcb,abcdef,idef->xi", at("T", 1), Z["IIA"], gamma)
        + np.einsum("acbx,abcfde,idef->xi", at("U", 3), Z["IIA"], gamma)
    )
    test = slice(N, None)
    across = tensors["Theta"][test, train]
    parts = {name: value[test] - across @ u @ value[train] for name, value in m.items()}
    shift = tensors.get("Theta_1", np.zeros_like(tensors["Theta"]))[:, train]
    parts["NTK mean"] = (shift[test] - across @ u @ shift[train]) @ u @ y
    return across @ u @ y, parts
