r"""PDLT section 11.4: nearly-kernel methods: a model quadratic in its weights, in the space of samples.

Assumptions: one output (several do not mix), mean squared error, N training samples with targets y, weights 0 before
training, learning rate eta, first order in epsilon. Indices 1, 2, .. are training samples, delta is any sample.

The way. The model z = W phi + epsilon/2 W W psi has dz/dW = phi^E = phi + epsilon psi W, the effective features, and a
second derivative epsilon psi that stays. A step of gradient descent, W -> W - eta sum_a e_a phi^E(a), e = z - y,
changes outputs and the effective kernel k^E = phi^E phi^E by Taylor's theorem, exactly to first order in epsilon:

    z_d    -> z_d    - eta sum_a k^E_da e_a + eta^2/2 sum_ab mu_{d ab} e_a e_b
    k^E_da -> k^E_da - eta sum_b (mu_{d ab} + mu_{a db}) e_b,            mu_{a bc} = epsilon phi(b) psi(a) phi(c).

No feature and no weight is left in this: it is the dual of the parameters' own way, as kernel methods are of linear
models. At order 0 e(t) = E_t e(0), E_t = (1 - eta k)^t; so what mu does is a sum over times of E_t E_s, and in the end

    z_delta = k u y + m_delta - k_delta u m,
    m_delta = mu_{delta 12} Z_B^{1234} y_3 y_4 + mu_{1 delta 2} Z_A^{1234} y_3 y_4

with u = k^-1 on the training samples: what acted on delta, less what the kernel makes of what acted on the training
samples. Z_B counts pairs of times, in one step half; Z_A those where the feature of 1 has moved before 1 pulls:

    X = eta sum_t E_t E_t = [k 1 + 1 k - eta k k]^-1,    Z_A = u u - u X,    Z_B = Z_A + eta/2 X.

The algorithm is in the projectors Z alone: eta = 0 is gradient flow. They are those of the dNTK in a network.

Engine: rg.nearly_kernel_predict, rg.QuadraticModel.

Source: PDLT section 11.4 and its last chapter (equation numbers not seen).
"""

from fractions import Fraction

import numpy as np
import sympy as sp
from rows import row

import rgflow as rg

N, SAMPLES, FEATURES = 2, 3, 3
PHI = np.array([[1, Fraction(1, 2), 0], [1, Fraction(-1, 3), Fraction(1, 2)], [Fraction(1, 2), 1, 1]], dtype=object)
PSI = np.array(
    [
        [[1, 0, Fraction(1, 2)], [0, -1, 1], [Fraction(1, 2), 1, 0]],
        [[0, 2, 1], [2, 1, 0], [1, 0, Fraction(-1, 3)]],
        [[Fraction(1, 4), -1, 0], [-1, 0, 1], [0, 1, 2]],
    ],
    dtype=object,
)
Y = np.array([Fraction(6, 5), Fraction(-7, 10)], dtype=object)
ETA = Fraction(1, 3)
K = PHI @ PHI.T
MU = np.array([PHI @ psi @ PHI.T for psi in PSI], dtype=object)  # for epsilon = 1
A = slice(0, N)


def in_weights(steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """z_0, z_1 and k^E_1: gradient descent of W = W_0 + epsilon W_1, in fractions."""
    W_0, W_1 = (np.full(FEATURES, Fraction(0), dtype=object) for _ in range(2))
    for step in range(steps + 1):
        moved = np.array([psi @ W_0 for psi in PSI], dtype=object)  # phi^E = phi + epsilon moved
        z_0 = PHI @ W_0
        z_1 = PHI @ W_1 + moved @ W_0 / 2
        if step < steps:
            e = z_0[A] - Y
            W_0, W_1 = W_0 - ETA * e @ PHI[A], W_1 - ETA * (z_1[A] @ PHI[A] + e @ moved[A])
    return z_0, z_1, PHI @ moved.T + moved @ PHI.T


def in_samples(mu: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same from k and mu alone."""
    z_0, z_1 = (np.full(SAMPLES, Fraction(0), dtype=object) for _ in range(2))
    k_1 = np.full((SAMPLES, SAMPLES), Fraction(0), dtype=object)
    for _ in range(steps):
        e = z_0[A] - Y
        z_1 = z_1 - ETA * (K[:, A] @ z_1[A] + k_1[:, A] @ e) + ETA**2 / 2 * (mu[:, A, A] @ e) @ e
        k_1 = k_1 - ETA * (mu[:, :, A] @ e + (mu[:, :, A] @ e).T)
        z_0 = z_0 - ETA * K[:, A] @ e
    return z_0, z_1, k_1


def duality(mu: np.ndarray, steps: int = 6) -> None:
    """Fractions that are equal, not nearly."""
    for T in range(steps + 1):
        for name, weights, samples in zip(("z_0", "z_1", "k^E_1"), in_weights(T), in_samples(mu, T), strict=True):
            assert (weights == samples).all(), f"{name} after {T} steps"
    print(f"weights and samples, {steps} steps of gradient descent in fractions: z and k^E to order epsilon are equal")


def projectors(eta: float) -> tuple[np.ndarray, np.ndarray]:
    """Z_A and Z_B at the end of training."""
    k, one = K[A, A].astype(float), np.eye(N)
    u = np.linalg.inv(k)
    X = np.linalg.inv(np.kron(k, one) + np.kron(one, k) - eta * np.kron(k, k)).reshape((N,) * 4)
    Z_A = np.einsum("ac,bd->abcd", u, u) - np.einsum("be,aecd->abcd", u, X)
    return Z_A, Z_A + eta / 2 * X


def sums_over_times(eta: float, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """The same, pair by pair of times."""
    E, decay, earlier = np.eye(N), np.eye(N) - eta * K[A, A].astype(float), np.zeros((N, N))
    Z_A, Z_B = np.zeros((N,) * 4), np.zeros((N,) * 4)
    for _ in range(steps):
        ordered = eta**2 * np.einsum("ac,bd->abcd", E, earlier)  # 2 moves the feature of 1, which then pulls
        Z_A = Z_A + ordered
        Z_B = Z_B + ordered + eta**2 / 2 * np.einsum("ac,bd->abcd", E, E)
        E, earlier = decay @ E, earlier + E
    return Z_A, Z_B


def end(eta: float, mu: np.ndarray) -> np.ndarray:
    """m_delta - k_delta u m."""
    Z_A, Z_B = projectors(eta)
    k, y = K.astype(float), Y.astype(float)
    m = np.einsum("xab,abcd,c,d->x", mu[:, A, A], Z_B, y, y) + np.einsum("axb,abcd,c,d->x", mu[A, :, A], Z_A, y, y)
    return m - k[:, A] @ np.linalg.solve(k[A, A], m[A])


def end_of_training(eta: float | None) -> None:
    """Projectors against their sums, the formula against steps and against the engine."""
    rate = 0.0 if eta is None else eta
    mu = 0.01 * MU.astype(float)
    if eta is not None:
        for formula, added in zip(projectors(eta), sums_over_times(eta, 250), strict=True):
            np.testing.assert_allclose(formula, added, rtol=1e-10, atol=1e-12)
    found = rg.nearly_kernel_predict(K.astype(float), mu, Y.astype(float), learning_rate=eta)
    np.testing.assert_allclose(found["prediction_shift"].values[:, 0], end(rate, mu), rtol=1e-11, atol=1e-14)
    print(f"eta = {rate:.4f}: shift {found['prediction_shift'].values[-1, 0]:+.8f}: formula and engine are equal")


def finite_times(mu: np.ndarray) -> None:
    """The engine after T steps: weights, samples, trees."""
    model = rg.QuadraticModel(PHI.astype(float), PSI.astype(float), epsilon=0.01)
    for T in (1, 2, 5):
        z_0, z_1, k_1 = (np.array(values, float) for values in in_samples(mu, T))
        found = model.nearly_kernel(Y.astype(float), learning_rate=float(ETA), steps=T)
        np.testing.assert_allclose(found["prediction_kernel"].values[:, 0], z_0, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(found["prediction_shift"].values[:, 0], 0.01 * z_1, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(found["kernel_shift"].values[0], 0.01 * k_1, rtol=1e-12, atol=1e-14)
    print("1, 2 and 5 steps: sums over trees are equal to the steps")


# Rows of the book ----------------------------------------------------------------------------------------------------

WITNESS = "tests/predict/test_nearly_kernel.py: descent in the weights, at several epsilon"


@row("pdlt/nearly_kernel_feature", witness=WITNESS)
def feature():
    """dz/dW of the model that the engine evaluates, in symbols."""
    W = sp.Matrix(sp.symbols("W1 W2 W3", real=True))
    epsilon, phi, psi = sp.Symbol("epsilon"), sp.Matrix(PHI[2]), sp.Matrix(PSI[2])
    z = (W.T * phi)[0] + epsilon / 2 * (W.T * psi * W)[0]
    typed = phi + epsilon * psi * W
    assert sp.Matrix([sp.diff(z, w) for w in W]).equals(typed)
    model = rg.QuadraticModel(PHI.astype(float), PSI.astype(float), epsilon=0.01)
    put = dict(zip(W, (0.3, -0.7, 1.1), strict=True)) | {epsilon: 0.01}
    found = model.effective_features([[float(w.subs(put)) for w in W]])
    np.testing.assert_allclose(found.reshape(SAMPLES, -1)[2], np.array(typed.subs(put), float).ravel(), rtol=1e-13)
    return {"effective feature": sp.Matrix([sp.diff(z, w) for w in W])}


@row("pdlt/nearly_kernel_kernel", witness=WITNESS)
def kernel():
    model = rg.QuadraticModel(PHI.astype(float), PSI.astype(float), epsilon=0.01, weights=[0.3, -0.7, 1.1])
    effective = model.effective_features().reshape(SAMPLES, -1)
    typed = np.einsum("aj,bj->ab", effective, effective)
    found = model.kernel.reshape(SAMPLES, SAMPLES)
    np.testing.assert_allclose(found, typed, rtol=1e-13)
    return {"effective kernel, first row": found[0]}


@row("pdlt/nearly_kernel_meta_kernel", witness=WITNESS)
def meta_kernel():
    model = rg.QuadraticModel(PHI.astype(float), PSI.astype(float), epsilon=0.01)
    typed = 0.01 * np.einsum("ajk,bj,ck->abc", PSI.astype(float), PHI.astype(float), PHI.astype(float))
    np.testing.assert_allclose(model.meta_kernel, typed, rtol=1e-13, atol=1e-16)
    return {"meta-kernel, an entry": model.meta_kernel[2, 0, 1]}


@row("pdlt/nearly_kernel_prediction", witness=WITNESS)
def prediction():
    mu, y, k = 0.01 * MU.astype(float), Y.astype(float), K.astype(float)
    Z_A, Z_B = projectors(float(ETA))

    def typed(mu):
        return np.einsum("xab,abcd,c,d->x", mu[:, A, A], Z_B, y, y) + np.einsum(
            "axb,abcd,c,d->x", mu[A, :, A], Z_A, y, y
        )

    m = typed(mu)
    found = rg.nearly_kernel_predict(k, mu, y, learning_rate=float(ETA))
    shift = found["prediction_shift"].values[:, 0]
    np.testing.assert_allclose(shift, m - k[:, A] @ np.linalg.solve(k[A, A], m[A]), rtol=1e-11, atol=1e-14)
    return {"kernel prediction": found["prediction_kernel"].values[-1, 0], "meta-kernel correction": shift[-1]}


@row("pdlt/nearly_kernel_feature_evolution", witness=WITNESS)
def feature_evolution():
    """What a step does to the effective kernel, to first order in epsilon: the features have moved."""
    y = Y.astype(float)
    one, two = (in_weights(T)[2].astype(float) for T in (1, 2))
    e = in_weights(1)[0][A].astype(float) - y
    pulled = MU.astype(float)[:, :, A] @ e
    typed = one - float(ETA) * pulled - float(ETA) * pulled.T
    np.testing.assert_allclose(two, typed, rtol=1e-12)
    model = rg.QuadraticModel(PHI.astype(float), PSI.astype(float), epsilon=0.01)
    found = model.nearly_kernel(y, learning_rate=float(ETA), steps=2)["kernel_shift"].values[0]
    np.testing.assert_allclose(found, 0.01 * typed, rtol=1e-12, atol=1e-14)
    return {"change of the effective kernel after two steps": found[0]}


if __name__ == "__main__":
    duality(MU)
    finite_times(MU)
    for eta in (float(ETA), 0.8, None):
        end_of_training(eta)
