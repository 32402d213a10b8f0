r"""Gaussian regression with a metric G over training and test inputs, and what it becomes when the metric fluctuates.

With train A, test B, noise s2, Kt = K_AA + s2, M = K_BA Kt^-1, a = Kt^-1 y, and R = D_BA - M D_AA for a change D of the
metric, per output i of n_out:

    mean f = M y            Df[D] = R a                         D2f[D,D]/2 = - R Kt^-1 D_AA a
    covariance C = K_BB - M K_AB
                            DC[D] = D_BB - M D_AB - D_BA M^T + M D_AA M^T       D2C[D,D]/2 = - R Kt^-1 R^T
    log evidence l = log N(y; 0, Kt)
                            Dl[D] = (a.D a - n_out tr Kt^-1 D)/2
                            D2l[D,D]/2 = - a.D Kt^-1 D a/2 + n_out tr(Kt^-1 D Kt^-1 D)/4

Let the metric be K + K_1/n + sum_k x_k G_k with independent x_k of mean zero and variance w_k = O(1/n) (its
*fluctuations*). Given it, outputs are Gaussian; the data weigh metrics by e^l. To order 1/n then, with the metric's own
shift towards the data D* = sum_k w_k Dl[G_k] G_k,

    E[f]    = f + Df[K_1/n + D*] + sum_k w_k D2f[G_k, G_k]/2
    Cov_ij  = delta_ij (C + DC[K_1/n + D*] + sum_k w_k D2C[G_k, G_k]/2) + sum_k w_k Df_i[G_k] Df_j[G_k]
    log p(y) = l + Dl[K_1/n] + sum_k w_k (D2l[G_k, G_k] + Dl[G_k]^2)/2

Negative w_k (layers whose four-point vertex is no covariance) are as good: everything is linear in them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rgflow.errors import AccuracyError, InputError

Floats = NDArray[np.float64]
FARTHEST = 1e10  # standard deviations under the leading law: the square of their square is still a number
TINY, HUGE = 1e-100, 1e100  # the range of K in which its square is a number
LEAST = 1e-12  # of the largest eigenvalue of Kt: below, what is left of the smallest is rounding


class Response(NamedTuple):
    """Sums over fluctuations; arrays of M test and N training inputs, o outputs.

    Attributes
    ----------
    pull : D* as its columns at training inputs, (N + M, N)
    pull_test : D* at test inputs, (M, M), or its diagonal (M,)
    bend : sum of D2f/2, (M, o)
    narrowing : sum of D2C/2, (M, M) or (M,)
    coupling : sum of Df_i Df_j, (M, M, o, o) or (M, o, o)
    evidence : sum of (D2l + Dl^2)/2
    """

    pull: Any
    pull_test: Any
    bend: Any
    narrowing: Any
    coupling: Any
    evidence: Any

    def plus(self, other: Response, factor: float = 1.0) -> Response:
        return Response(*(x + factor * y for x, y in zip(self, other, strict=True)))


class Shift(NamedTuple):
    """The terms of order 1/n: of the mean (M, o), of the covariance, of the log evidence."""

    mean: Any
    covariance: Any
    log_evidence: Any


@dataclass(frozen=True, eq=False)
class Regression:
    """Gaussian regression at the leading metric; ``joint``: covariance between test inputs too, not at each alone."""

    targets: Floats
    joint: bool
    inverse: Floats  # Kt^-1
    root: Floats  # L^-T, Kt = L L^T
    M: Floats
    a: Floats
    mean: Floats
    spread: Floats  # C, (M, M) or (M,)
    log_evidence: float

    @property
    def N(self) -> int:
        return len(self.targets)

    @property
    def outputs(self) -> int:
        return int(self.targets.shape[1])

    def pairs(self, left: Any, right: Any) -> Any:
        """Sum over the first axis of left_a right_b over test inputs a, b: (M, M, ...) if joint, else a = b: (M, ...).

        left, right : (T, M) or (T, M, o)
        """
        if left.ndim == 2:
            return left.T @ right if self.joint else (left * right).sum(axis=0)
        if not self.joint:
            return np.matmul(left.transpose(1, 2, 0), right.transpose(1, 0, 2))
        T, M, o = left.shape
        found = left.reshape(T, M * o).T @ right.reshape(T, M * o)
        return found.reshape(M, o, M, o).transpose(0, 2, 1, 3)

    def regressed(self, columns: Any, test: Any) -> Any:
        """DC[D] from the columns of D at training inputs (N + M, N) and its part at test inputs."""
        M, N = self.M, self.N
        if self.joint:
            crossed = M @ columns[N:].T
            return test - crossed - crossed.T + M @ columns[:N] @ M.T
        return test - 2 * (M * columns[N:]).sum(axis=1) + ((M @ columns[:N]) * M).sum(axis=1)

    def at_test(self, matrix: Any) -> Any:
        """The part at test inputs of (N + M, N + M): whole, or its diagonal."""
        block = matrix[self.N :, self.N :]
        return block if self.joint else np.diagonal(block).copy()

    def slope(self, D: Any) -> Any:
        """Dl[D] for D of which the part at training inputs is (..., N, N)."""
        return evidence_response(self.inverse, self.a, D[..., : self.N, : self.N])[0]

    def shift(self, change: Any, response: Response) -> Shift:
        """All terms of order 1/n, for K_1/n = ``change`` (N + M, N + M)."""
        N = self.N
        columns = change[:, :N] + response.pull
        mean = (columns[N:] - self.M @ columns[:N]) @ self.a + response.bend
        alone = self.regressed(columns, self.at_test(change) + response.pull_test) + response.narrowing
        covariance = alone[..., None, None] * np.eye(self.outputs) + response.coupling
        return Shift(mean, covariance, self.slope(change) + response.evidence)

    def strain(self, change: Any, response: Response) -> float:
        """How far the data move the metric, relative to it: the largest |eigenvalue| of Kt^-1 (K_1/n + D*)."""
        moved = change[: self.N, : self.N] + response.pull[: self.N]
        moved = self.root.T @ ((moved + moved.T) / 2) @ self.root
        return float(np.abs(np.linalg.eigvalsh(moved)).max())


def regression(kernel: Any, targets: Any, noise: float, joint: bool) -> Regression:
    """Regression with a kernel (N + M, N + M), training inputs first.

    Raises InputError for a training kernel that cannot be inverted, AccuracyError for numbers out of range.
    """
    from scipy.linalg import solve_triangular

    N, o = targets.shape
    check_range(kernel)
    Kt = kernel[:N, :N] + noise * np.eye(N)
    values = np.linalg.eigvalsh(Kt)
    if not values[0] > LEAST * values[-1]:
        raise InputError(
            f"K of the training inputs plus noise={noise!r} cannot be inverted: its eigenvalues range from "
            f"{values[0]:.2g} to {values[-1]:.2g}; give noise > 0, or leave out inputs that repeat or depend on others"
        )
    L = np.linalg.cholesky(Kt)
    root = solve_triangular(L, np.eye(N), lower=True).T
    inverse = root @ root.T
    M = kernel[N:, :N] @ inverse
    a = inverse @ targets
    check_near("targets are", targets, a)
    crossed = kernel[:N, N:]
    spread = kernel[N:, N:] - M @ crossed if joint else np.diagonal(kernel)[N:] - (M * crossed.T).sum(axis=1)
    determinant = 2 * np.log(np.diagonal(L)).sum()
    evidence = -((targets * a).sum() + o * (determinant + N * np.log(2 * np.pi))) / 2
    return Regression(targets, joint, inverse, root, M, a, M @ targets, spread, float(evidence))


def check_range(kernel: Any) -> None:
    """AccuracyError for a kernel whose square is no number; zero, of an input without outputs, is one."""
    sizes = np.diagonal(kernel)
    if not np.all((sizes == 0) | ((sizes > TINY) & (sizes < HUGE))):
        raise AccuracyError(
            f"K of single inputs ranges from {sizes.min():.2g} to {sizes.max():.2g}, and its square beyond numbers; "
            "scale the inputs"
        )


def check_near(what: str, values: Any, solved: Any) -> None:
    """AccuracyError for (..., N, o) values, and K^-1 times them, that are beyond all numbers of an expansion."""
    with np.errstate(over="ignore", invalid="ignore"):
        away = np.sqrt(np.max(np.sum(values * solved, axis=(-2, -1))))
    if not away < FARTHEST:
        raise AccuracyError(
            f"{what} more than {FARTHEST:g} standard deviations of the infinite network away; scale down"
        )


def nothing(problem: Regression) -> Response:
    """The response of a metric that does not fluctuate."""
    N, o, M = problem.N, problem.outputs, len(problem.M)
    pairs = (M, M) if problem.joint else (M,)
    zero = np.zeros
    return Response(zero((N + M, N)), zero(pairs), zero((M, o)), zero(pairs), zero((*pairs, o, o)), 0.0)


def evidence_response(inverse: Any, a: Any, D: Any) -> tuple[Any, Any]:
    """Dl[D] and D2l[D, D] for a = Kt^-1 y (..., N, o) and D (..., N, N) at training inputs."""
    o = a.shape[-1]
    Da, turned = D @ a, inverse @ D
    slope = ((a * Da).sum(axis=(-2, -1)) - o * np.einsum("...aa->...", turned)) / 2
    squares = np.einsum("...ab,...ba->...", turned, turned)
    return slope, o / 2 * squares - (Da * (inverse @ Da)).sum(axis=(-2, -1))


def respond(problem: Regression, weights: Any, modes: Any) -> Response:
    """The sums over fluctuations given as matrices ``modes`` (k, N + M, N + M) with variances ``weights`` (k,)."""
    N = problem.N
    slopes, second = evidence_response(problem.inverse, problem.a, modes[:, :N, :N])
    pull = np.einsum("k,kab->ab", weights * slopes, modes)
    Da = modes[:, :, :N] @ problem.a  # (k, N + M, o)
    moved = problem.inverse @ Da[:, :N]  # Kt^-1 D a
    R = modes[:, N:, :N] - problem.M @ modes[:, :N, :N]
    Ra = R @ problem.a
    bend = -np.einsum("k,kmn,kno->mo", weights, R, moved)
    flat = (R @ problem.root).transpose(0, 2, 1).reshape(-1, R.shape[1])  # rows: fluctuation and direction
    repeated = np.repeat(weights, N)[:, None]
    return Response(
        pull[:, :N],
        problem.at_test(pull),
        bend,
        -problem.pairs(flat * repeated, flat),
        problem.pairs(Ra * weights[:, None, None], Ra),
        float(weights @ (second + slopes**2)) / 2,
    )
