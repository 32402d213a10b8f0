r"""Training at order 1/n, step by step: gradient descent iterated on the random variables that it needs, then averaged.

Nothing is summed over time in closed form and there are no projectors. Of a network we keep, at initialisation, its
outputs z, its NTK H = Theta + Delta H, its dNTK dH and its two ddNTKs I and II; a step phi -> phi - eta v_k eps_k of
full-batch gradient descent (eps = z - y on the training samples) changes them by Taylor's theorem,

    z_i    -> z_i    - eta H_ij eps_j + eta^2/2 dH_ijk eps_j eps_k - eta^3/6 I_ijkl eps_j eps_k eps_l
    H_ij   -> H_ij   - eta (dH_ijk + dH_jik) eps_k + eta^2/2 (I_ijkl + I_jikl + 2 II_ijkl) eps_k eps_l
    dH_ijk -> dH_ijk - eta (I_ijkl + II_ijkl + II_ikjl) eps_l

where an index is a pair (output, sample) and j, k, l in sums run over the training samples. After T steps z is kept as
a polynomial of eps(0): linear with matrices to second order in Delta H, quadratic and linear in dH, cubic and linear in
I and II. Its average over initialisations is a differential operator on that polynomial, with the joint cumulants of
order 1/n,

    E f = < f + (1/n) [ 1/2 K_1 dz dz + Theta_1 dH + 1/2 cum(z,z,H) dz dz dH + 1/2 cum(H,H) dH dH
                        + cum(dH,z) d(dH) dz + E[I] dI + E[II] dII ] f >,    z Gaussian with covariance K,

(V would need a fourth derivative with respect to z, and f has none at this order).

Sources: the definitions of PDLT (arXiv:2106.10165), its chapters 8, 11 and its last; the rest is derived here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Tensors = dict[str, Array]


def spread(n_out: int, terms: list[tuple[str, Array]], joint: int) -> Array:
    """A tensor over pairs (output, sample): ``("03 12 0123", P)`` means delta_03 delta_12 P[0,1,2,3].

    The result has ``joint`` flat indices, each output * samples + sample.
    """
    size = len(terms[0][1])
    delta = np.eye(n_out)
    total: Array = np.zeros((n_out, size) * joint)
    outputs, samples = "abcd"[:joint], "wxyz"[:joint]
    target = "".join(o + s for o, s in zip(outputs, samples, strict=True))
    for text, tensor in terms:
        *pairs, order = text.split()
        deltas = [f"{outputs[int(p[0])]}{outputs[int(p[1])]}" for p in pairs]
        placed = "".join(samples[int(i)] for i in order)
        total += np.einsum(f"{','.join(deltas)},{placed}->{target}", *[delta] * len(pairs), tensor)
    return total.reshape((n_out * size,) * joint)


@dataclass
class Training:
    """T steps of gradient descent, for tensors of the last layer over N training samples and then the test samples.

    tensors: the coefficients K, Theta, K_1, Theta_1, A, B, D, F, P, Q, R, S, T, U (those that are missing are zero);
    targets (N, n_out); rate: eta.
    """

    tensors: Tensors
    targets: Array
    rate: float
    steps: int

    def __post_init__(self) -> None:
        self.targets = np.asarray(self.targets, float)
        self.n_train, self.n_out = self.targets.shape
        self.samples = len(self.tensors["K"])
        size = self.n_out * self.samples
        flat = np.arange(size).reshape(self.n_out, self.samples)
        self.train = flat[:, : self.n_train].ravel()
        self.y = self.targets.T.ravel()
        # select: eps = select @ z - y
        self.select = np.eye(size)[self.train]

    def _letter(self, name: str) -> Array:
        found = self.tensors.get(name)
        order = 2 if name in ("K", "K_1", "Theta", "Theta_1") else 4
        return np.zeros((self.samples,) * order) if found is None else np.asarray(found, float)

    def _metric(self, name: str) -> Array:
        return spread(self.n_out, [("01 01", self._letter(name))], 2)

    @cached_property
    def K(self) -> Array:
        """Covariance of z at initialisation."""
        return self._metric("K")

    @cached_property
    def Theta(self) -> Array:
        """Mean of H."""
        return self._metric("Theta")

    @cached_property
    def cum_zzH(self) -> Array:
        """Joint cumulant of z_1, z_2, H_34, times n."""
        D, F = self._letter("D"), self._letter("F")
        return spread(self.n_out, [("01 23 0123", D), ("02 13 0213", F), ("03 12 0312", F)], 4)

    @cached_property
    def cum_HH(self) -> Array:
        """Covariance of H_12 and H_34, times n."""
        A, B = self._letter("A"), self._letter("B")
        return spread(self.n_out, [("01 23 0123", A), ("02 13 0213", B), ("03 12 0312", B)], 4)

    @cached_property
    def cum_dHz(self) -> Array:
        """E[dH_012 z_3], times n."""
        P, Q = self._letter("P"), self._letter("Q")
        return spread(self.n_out, [("03 12 0123", P), ("01 23 0123", Q), ("02 13 0213", Q)], 4)

    @cached_property
    def mean_I(self) -> Array:
        """E[I_0123], times n."""
        R = self._letter("R")
        return spread(self.n_out, [("01 23 0123", R), ("02 13 0231", R), ("03 12 0312", R)], 4)

    @cached_property
    def mean_II(self) -> Array:
        """E[II_0123], times n."""
        S, T, U = self._letter("S"), self._letter("T"), self._letter("U")
        return spread(self.n_out, [("01 23 0123", S), ("02 13 0231", T), ("03 12 0312", U)], 4)

    # Trajectories: polynomials of eps(0) after T steps ----------------------------------------------------------------

    @cached_property
    def errors(self) -> list[Array]:
        """E(t) with eps(t) = E(t) eps(0), for the kernel Theta; t = 0 .. T."""
        step = np.eye(len(self.train)) - self.rate * self.Theta[np.ix_(self.train, self.train)]
        found = [np.eye(len(self.train))]
        for _ in range(self.steps):
            found.append(step @ found[-1])
        return found

    def linear(self, directions: Array) -> tuple[Array, Array, Array]:
        """z(T) - z(0) = (M_0 + s M_1 + s^2 M_2) eps(0) for H = Theta + s h; a batch of h (.., all, train)."""
        theta = self.Theta[:, self.train]
        M_0: Array = np.zeros_like(theta)
        M_1, M_2 = np.zeros_like(directions), np.zeros_like(directions)
        for E in self.errors[:-1]:
            E_1, E_2 = M_1[..., self.train, :], M_2[..., self.train, :]
            M_0 = M_0 - self.rate * theta @ E
            M_1, M_2 = (
                M_1 - self.rate * (theta @ E_1 + directions @ E),
                M_2 - self.rate * (theta @ E_2 + directions @ E_1),
            )
        return M_0, M_1, M_2

    def quadratic(self, dH: Array) -> tuple[Array, Array]:
        """z_i gains Q_ibcd eps_b eps_c and H_ij gains G_ijbd eps_b from dH_ijk, for a batch d: dH is (i, j, k, d)."""
        eta, tr = self.rate, self.train
        theta = self.Theta[:, tr]
        size, n, batch = len(self.K), len(tr), dH.shape[3]
        z: Array = np.zeros((size, n, n, batch))
        H: Array = np.zeros((size, size, n, batch))
        for E in self.errors[:-1]:
            bent = np.einsum("ijkd,kb->ijbd", dH[:, :, tr], E)
            z = (
                z
                - eta * np.einsum("ij,jbcd->ibcd", theta, z[tr])
                - eta * np.einsum("ijbd,jc->ibcd", H[:, tr], E)
                + eta**2 / 2 * np.einsum("ijcd,jb->ibcd", bent[:, tr], E)
            )
            H = H - eta * (bent + bent.transpose(1, 0, 2, 3))
        return z, H

    def cubic(self, first: Array, second: Array) -> tuple[Array, Array]:
        """z_i gains C_ibcd eps_b eps_c eps_d and H_ij gains G_ijbc eps_b eps_c from I = first, II = second."""
        eta, tr = self.rate, self.train
        theta = self.Theta[:, tr]
        size, n = len(self.K), len(tr)
        z: Array = np.zeros((size, n, n, n))
        H: Array = np.zeros((size, size, n, n))
        dH: Array = np.zeros((size, size, size, n))
        turn = first + second + second.transpose(0, 2, 1, 3)
        curve = first + first.transpose(1, 0, 2, 3) + 2 * second
        curve = curve[:, :, tr][..., tr]
        third = first[:, tr][:, :, tr][..., tr]
        for E in self.errors[:-1]:
            bent = np.einsum("ijkb,kc->ijbc", dH[:, :, tr], E)
            z = (
                z
                - eta * np.einsum("ij,jbcd->ibcd", theta, z[tr])
                - eta * np.einsum("ijbc,jd->ibcd", H[:, tr], E)
                + eta**2 / 2 * np.einsum("ijbc,jd->ibcd", bent[:, tr], E)
                - eta**3 / 6 * np.einsum("ijbc,jd->ibcd", np.einsum("ijkl,kb,lc->ijbc", third, E, E, optimize=True), E)
            )
            H = (
                H
                - eta * (bent + bent.transpose(1, 0, 2, 3))
                + eta**2 / 2 * np.einsum("ijkl,kb,lc->ijbc", curve, E, E, optimize=True)
            )
            dH = dH - eta * np.einsum("ijkl,lb->ijkb", turn[..., tr], E)
        return z, H

    @cached_property
    def _quadratic(self) -> tuple[Array, Array]:
        return self.quadratic(self.cum_dHz)

    @cached_property
    def _cubics(self) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        none = np.zeros_like(self.mean_I)
        return self.cubic(self.mean_I, none), self.cubic(none, self.mean_II)

    @cached_property
    def _kernel_response(self) -> tuple[Array, Array, Array, Array, Array, Array]:
        """M_0; M_1 along Theta_1; eigenvalues of cum(H, H), M_1 and M_2 along its vectors; M_1 along cum(z, z, H)."""
        tr = self.train
        size, n = len(self.K), len(tr)
        fluctuation = self.cum_HH[:, tr][:, :, :, tr].reshape(size * n, size * n)
        weights, vectors = np.linalg.eigh((fluctuation + fluctuation.T) / 2)
        _, M_1, M_2 = self.linear(vectors.T.reshape(-1, size, n))
        M_0, shifted, _ = self.linear(self._metric("Theta_1")[:, tr])
        _, mixed, _ = self.linear(self.cum_zzH[..., tr])
        return M_0, shifted, weights, M_1, M_2, mixed

    # Averages over initialisations ------------------------------------------------------------------------------------

    @cached_property
    def squares(self) -> Array:
        """E[eps_b eps_c] at initialisation."""
        return np.outer(self.y, self.y) + self.select @ self.K @ self.select.T

    @cached_property
    def mean(self) -> tuple[Array, dict[str, Array]]:
        """The mean of z(T) at infinite width, and n times its shift in parts."""
        M_0, shifted, weights, _, M_2, _ = self._kernel_response
        z_2, _ = self._quadratic
        # d/dz_d of eps_b eps_c, averaged: eps_b has slope select_bd and mean -y_b
        slope = np.einsum("ibcd,bd,c->i", z_2 + z_2.transpose(0, 2, 1, 3), self.select, -self.y)
        K, y = self.select @ self.K @ self.select.T, self.y
        yK = np.einsum("b,cd->bcd", y, K)
        cubes = -(np.einsum("b,c,d->bcd", y, y, y) + yK + yK.transpose(1, 0, 2) + yK.transpose(1, 2, 0))
        (I, _), (II, _) = self._cubics
        parts = {
            "NTK mean": -shifted @ y,
            "NTK fluctuation": -np.einsum("k,kib,b->i", weights, M_2, y),
            "dNTK": slope,
            "ddNTK I": np.einsum("ibcd,bcd->i", I, cubes),
            "ddNTK II": np.einsum("ibcd,bcd->i", II, cubes),
        }
        return -M_0 @ y, parts

    @cached_property
    def covariance(self) -> tuple[Array, dict[str, Array]]:
        """The covariance of z(T) at infinite width, and n times its shift in parts."""
        M_0, shifted, weights, M_1, M_2, mixed = self._kernel_response
        K, select = self.K, self.select
        J_0 = np.eye(len(K)) + M_0 @ select
        KJ = select @ K @ J_0.T  # Cov(eps_b, z_j(T))
        (I, _), (II, _) = self._cubics
        z_2, _ = self._quadratic
        one_sided = {
            "NTK mean": shifted @ KJ,
            "NTK fluctuation": np.einsum("k,kib,bj->ij", weights, M_2, KJ)
            + np.einsum("k,kib,bc,kjc->ij", weights, M_1, self.squares / 2, M_1, optimize=True),
            # cum(z_a, z_b, H): one z in eps, the other in the trajectory of j
            "NTK with prior": np.einsum("abic,ca,jb->ij", mixed, select, J_0, optimize=True),
            # one of z(T)_j, eps_b, eps_c meets the z_d of cum(dH, z_d), the other two each other or their means
            "dNTK": np.einsum("ibcd,bd,cj->ij", z_2, select, KJ, optimize=True)
            + np.einsum("ibcd,cd,bj->ij", z_2, select, KJ, optimize=True)
            + np.einsum("ibcd,bc,jd->ij", z_2, self.squares, J_0, optimize=True),
            "ddNTK I": self._four(I, KJ),
            "ddNTK II": self._four(II, KJ),
        }
        parts = {name: term + term.T for name, term in one_sided.items()}
        parts["prior"] = J_0 @ self._metric("K_1") @ J_0.T
        return J_0 @ K @ J_0.T, parts

    def _four(self, z_3: Array, KJ: Array) -> Array:
        """Cov(C_ibcd eps_b eps_c eps_d, z_j(T))."""
        any_order = z_3 + z_3.transpose(0, 2, 3, 1) + z_3.transpose(0, 3, 1, 2)
        return np.einsum("ibcd,bj,cd->ij", any_order, KJ, self.squares, optimize=True)

    @cached_property
    def ntk_change(self) -> dict[str, Array]:
        """n E[H_ij(T) - H_ij(0)] in parts."""
        _, H_1 = self._quadratic
        (_, I), (_, II) = self._cubics
        return {
            "dNTK": np.einsum("ijbd,bd->ij", H_1, self.select),
            "ddNTK I": np.einsum("ijbc,bc->ij", I, self.squares),
            "ddNTK II": np.einsum("ijbc,bc->ij", II, self.squares),
        }


# By sample and output -------------------------------------------------------------------------------------------------


def _training(tensors: Tensors, y: ArrayLike, n_train: int, eta: float, steps: int) -> Training:
    targets = np.asarray(y, float)
    targets = targets[:, None] if targets.ndim == 1 else targets
    if len(targets) != n_train:
        raise ValueError(f"{len(targets)} targets for {n_train} training samples")
    return Training(tensors, targets, eta, steps)


def _samples(run: Training, vector: Array) -> Array:
    """(all samples, outputs)."""
    return vector.reshape(run.n_out, run.samples).T


def _pairs(run: Training, matrix: Array) -> Array:
    """(sample, sample_, output, output_)."""
    return matrix.reshape(run.n_out, run.samples, run.n_out, run.samples).transpose(1, 3, 0, 2)


def mean_parts(
    tensors: Tensors, y: ArrayLike, n: float, n_train: int, eta: float, steps: int
) -> tuple[Array, dict[str, Array]]:
    """Mean predictions at the test samples (M, n_out): at infinite width, and the terms of order 1/n by part."""
    run = _training(tensors, y, n_train, eta, steps)
    infinite, parts = run.mean
    return _samples(run, infinite)[n_train:], {k: _samples(run, v)[n_train:] / n for k, v in parts.items()}


def mean(tensors: Tensors, y: ArrayLike, n: float, n_train: int, eta: float, steps: int) -> tuple[Array, Array]:
    """Mean predictions at the test samples, (M, n_out): at infinite width, and their shift at order 1/n."""
    infinite, parts = mean_parts(tensors, y, n, n_train, eta, steps)
    return infinite, sum(parts.values(), np.zeros_like(infinite))


def covariance_parts(
    tensors: Tensors, y: ArrayLike, n: float, n_train: int, eta: float, steps: int
) -> tuple[Array, dict[str, Array]]:
    """Covariance of predictions at the test samples, (M, M, n_out, n_out), and the terms of order 1/n by part."""
    run = _training(tensors, y, n_train, eta, steps)
    infinite, parts = run.covariance
    test = slice(n_train, None)
    return _pairs(run, infinite)[test, test], {k: _pairs(run, v)[test, test] / n for k, v in parts.items()}


def covariance(tensors: Tensors, y: ArrayLike, n: float, n_train: int, eta: float, steps: int) -> tuple[Array, Array]:
    """Covariance of predictions at the test samples, (M, M, n_out, n_out), and its shift at order 1/n."""
    infinite, parts = covariance_parts(tensors, y, n, n_train, eta, steps)
    return infinite, sum(parts.values(), np.zeros_like(infinite))


def ntk_change(tensors: Tensors, y: ArrayLike, n: float, n_train: int, eta: float, steps: int) -> Array:
    """E[H(T) - H(0)] at order 1/n for all samples, (N + M, N + M, n_out, n_out): not diagonal in outputs."""
    run = _training(tensors, y, n_train, eta, steps)
    return _pairs(run, sum(run.ntk_change.values(), np.zeros_like(run.K))) / n
